"""Episode returns and lengths, kept beside the environment's state."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.types import Action, Environment, EnvState, Key, Observation, TimeStep


class EpisodeStatisticsState(NamedTuple):
    """The inner state and the running sums of the present episode.

    Attributes:
        inner: the wrapped environment's state.
        episode_return: float32, shape (); undiscounted, before any scaling or clipping.
        episode_length: int32, shape ().
    """

    inner: EnvState
    episode_return: Float[Array, ""]
    episode_length: Int[Array, ""]


def record_episode_statistics(environment: Environment) -> Environment:
    """Adds `episode_return` and `episode_length` to `info`: sums up to and including this step.

    They are those of the whole episode where `terminated | truncated`. The return sums the task's
    own rewards (`info["task_reward"]` where a wrapper changed `reward`).

    Args:
        environment: any environment.
    """

    def reset(key: Key) -> tuple[EpisodeStatisticsState, Observation]:
        inner, observation = environment.reset(key)
        zeros = jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32)
        return EpisodeStatisticsState(inner, *zeros), observation

    def step(
        key: Key, state: EpisodeStatisticsState, action: Action
    ) -> tuple[EpisodeStatisticsState, TimeStep]:
        inner, time_step = environment.step(key, state.inner, action)
        reward = time_step.info.get("task_reward", time_step.reward)
        after = EpisodeStatisticsState(
            inner=inner,
            episode_return=state.episode_return + jnp.asarray(reward, jnp.float32),
            episode_length=state.episode_length + 1,
        )
        info = {
            **time_step.info,
            "episode_return": after.episode_return,
            "episode_length": after.episode_length,
        }
        return after, time_step._replace(info=info)

    return environment._replace(reset=reset, step=step)
