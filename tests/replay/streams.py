"""Streams of transitions whose every entry says where it comes from."""

import numpy as np

from jaxrl.types import Box, Discrete, Transition

OBSERVATIONS = Box(-np.inf, np.inf, (2,))
ACTIONS = Discrete(300)


class Stream:
    """B environments whose episodes end at random, by termination or by a limit.

    The observation of step t of environment b is [t, b], its reward 1000 b + t; a final observation
    is [t + 0.5, b]: never what the next step sees.
    """

    def __init__(self, num_envs, *, seed=0, ends=0.2, limit=None):
        self.num_envs, self.ends, self.limit = num_envs, ends, limit
        self.random = np.random.default_rng(seed)
        self.time = 0
        self.age = np.zeros(num_envs, int)
        self.terminated, self.truncated = [], []

    def take(self, num_steps):
        """The next transitions, leaves [T, B, ...]."""
        times = self.time + np.arange(num_steps)
        shape = (num_steps, self.num_envs)
        terminated = self.random.random(shape) < self.ends / 2
        truncated = self.random.random(shape) < self.ends / 2
        if self.limit is not None:
            for row in truncated:
                self.age += 1
                row[:] = self.age >= self.limit
                self.age[row] = 0
        self.terminated += list(terminated)
        self.truncated += list(truncated)
        self.time += num_steps
        grid = np.stack(np.meshgrid(times, np.arange(self.num_envs), indexing="ij"), axis=-1)
        ended = terminated | truncated
        final = grid + np.where(ended, [[[0.5]], [[0.0]]], [[[1.0]], [[0.0]]]).transpose(1, 2, 0)
        return Transition(
            observation=grid.astype(np.float32),
            action=(times[:, None] + np.arange(self.num_envs)).astype(np.int32) % 300,
            reward=(1000.0 * grid[..., 1] + grid[..., 0]).astype(np.float32),
            terminated=terminated,
            truncated=truncated,
            next_observation=final.astype(np.float32),
            extras=(),
        )

    def expected(self, time, environment, n_step, discount):
        """Reward, discount and successor (None after a termination), straight from the stream."""
        total = 0.0
        for k in range(n_step):
            now = time + k
            total += discount**k * (1000.0 * environment + now)
            if self.terminated[now][environment]:
                return total, 0.0, None
            if self.truncated[now][environment]:
                return total, discount ** (k + 1), (now + 0.5, environment)
        return total, discount**n_step, (time + n_step, environment)
