"""Episode returns and lengths, kept beside the environment's state."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.environments.resets import Step, change_step
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

    step = change_step(environment.step, _recorded)
    return environment._replace(reset=reset, step=step)


def _recorded(step: Step) -> Step:
    def function(
        key: Key, state: EpisodeStatisticsState, action: Action
    ) -> tuple[EpisodeStatisticsState, TimeStep]:
        inner, time_step = step(key, state.inner, action)
        reward = time_step.info.get("task_reward", time_step.reward)
        episode_return = state.episode_return + jnp.asarray(reward, jnp.float32)
        episode_length = state.episode_length + 1
        ended = time_step.terminated | time_step.truncated
        next_state = EpisodeStatisticsState(
            inner=inner,
            episode_return=jnp.where(ended, 0.0, episode_return),
            episode_length=jnp.where(ended, 0, episode_length),
        )
        info = {
            **time_step.info,
            "episode_return": episode_return,
            "episode_length": episode_length,
        }
        return next_state, time_step._replace(info=info)

    return function
