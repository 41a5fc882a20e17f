"""Probes that note every random key they are handed, whatever the loop that hands it.

Two uses of one key see the same random numbers. So in a whole run no key may come twice, but where
sharing is documented.
"""

import collections
import itertools

import jax
import jax.numpy as jnp

from jaxrl.types import (
    Agent,
    Box,
    Discrete,
    Environment,
    GradientAgent,
    Policy,
    ReplayAgent,
    TimeStep,
)

LIMIT = 3


class Keys:
    """The words of every key under the name of its use."""

    def __init__(self):
        self.seen = collections.defaultdict(list)

    def note(self, use, key):
        """Notes a key; under vmap one for each element."""
        jax.debug.callback(
            lambda words: self.seen[use].append(tuple(words.tolist())), jax.random.key_data(key)
        )

    def counts(self):
        """How many keys each use has had."""
        jax.effects_barrier()
        return {use: len(keys) for use, keys in self.seen.items()}

    def require_fresh(self):
        """No key was handed out twice, nor one that comes from splitting another that was."""
        jax.effects_barrier()
        uses = collections.defaultdict(list)
        for use, keys in self.seen.items():
            for words in itertools.chain(keys, children(keys)):
                uses[words].append(use)
        shared = {tuple(names) for names in uses.values() if len(names) > 1}
        assert not shared, f"one key for several uses: {sorted(shared)[:10]}"


def children(keys):
    """The words of the first two keys that each one splits into."""
    parents = jax.random.wrap_key_data(jnp.array(keys, jnp.uint32))
    words = jax.random.key_data(jax.vmap(jax.random.split)(parents))
    return map(tuple, words.reshape(-1, words.shape[-1]).tolist())


def environment(keys, *, limit=LIMIT):
    """Episodes of `limit` steps; actions mean nothing."""

    def reset(key):
        keys.note("reset", key)
        return jnp.int32(0), jnp.zeros(1)

    def step(key, state, action):
        del action
        keys.note("step", key)
        over = state + 1 >= limit
        observation = jnp.zeros(1)
        step = TimeStep(observation, jnp.float32(1), over, jnp.array(False), {})
        return state + 1, step

    actions = space_of_noted_samples(keys)
    return Environment("recorded-keys", Box(-1.0, 1.0, (1,)), actions, reset, step, limit)


def space_of_noted_samples(keys):
    """Two actions, and random ones are noted."""

    class Noted(Discrete):
        def sample(self, key):
            keys.note("random action", key)
            return super().sample(key)

    return Noted(2)


def act(keys):
    def noted(key, state, carry, observation):
        del state, observation
        keys.note("act", key)
        return carry, jnp.int32(0), ()

    return noted


def start(keys, use="start"):
    """A memory, so that loops have something to start."""

    def noted(key):
        keys.note(use, key)
        return jnp.zeros(())

    return noted


def init(keys):
    def noted(key):
        keys.note("init", key)
        return jnp.zeros(())

    return noted


def policy(keys):
    def noted(key, carry, observation):
        del observation
        keys.note("evaluation act", key)
        return carry, jnp.int32(0)

    return lambda state: Policy(start(keys, "evaluation start"), noted)


def agent(keys):
    def update(key, state, batch):
        keys.note("update", key)
        return state, {}

    return Agent(init(keys), start(keys), act(keys), update, policy(keys))


def gradient_agent(keys):
    def gradient(key, params, batch):
        keys.note("update", key)
        return params, {}

    return GradientAgent(
        init=init(keys),
        params=lambda state: state,
        start=start(keys),
        act=act(keys),
        gradient=gradient,
        apply=lambda state, gradient: (state, {}),
        policy=policy(keys),
    )


def replay_agent(keys):
    def observe(key, state, transitions):
        keys.note("observe", key)
        return state

    def update(key, state, batch):
        keys.note("update", key)
        return state, jnp.zeros_like(batch.reward), {}

    def without_extras(key, state, carry, observation):
        return act(keys)(key, state, carry, observation)[:2]

    return ReplayAgent(init(keys), start(keys), without_extras, observe, update, policy(keys))
