"""Steps that start the next episode where one ends, and the same steps without that."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrl.types import Action, Environment, EnvState, Key, Observation, TimeStep

Reset: TypeAlias = Callable[[Key], tuple[EnvState, Observation]]
Step: TypeAlias = Callable[[Key, EnvState, Action], tuple[EnvState, TimeStep]]


@dataclasses.dataclass(frozen=True)
class ResettingStep:
    """A step that resets at an episode's end, and can be had without the reset.

    The reset's random numbers are most of the work in a simple environment. Who plays one episode
    and no further does without: `play_once`.

    Attributes:
        whole: (key, state, action) -> (state, TimeStep), with the reset.
        without_reset: the same; at an episode's end the state and the observation are its last.
    """

    whole: Step
    without_reset: Step

    def __call__(self, key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        return self.whole(key, state, action)


def auto_reset(reset: Reset, step: Step, *, step_uses_key: bool = True) -> ResettingStep:
    """Makes a step that knows nothing of the next episode start it.

    Args:
        reset: (key) -> (state, observation).
        step: (key, state, action) -> (state, TimeStep), whose `observation` is its
            `final_observation`.
        step_uses_key: False gives the reset the whole key, and saves the split.
    """

    def whole(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        key_step, key_reset = jax.random.split(key) if step_uses_key else (key, key)
        state, time_step = step(key_step, state, action)
        ended = time_step.terminated | time_step.truncated
        state, observation = reset_where(ended, key_reset, reset, (state, time_step.observation))
        return state, time_step._replace(observation=observation)

    return ResettingStep(whole=whole, without_reset=step)


def reset_where(
    ended: Bool[Array, ""], key: Key, reset: Reset, present: tuple[EnvState, Observation]
) -> tuple[EnvState, Observation]:
    """The state and the observation of a fresh start where the episode ended, else the present."""
    return jax.tree.map(
        lambda first, running: jnp.where(ended, first, running), reset(key), present
    )


def change_step(step: Step, change: Callable[[Step], Step]) -> Step:
    """Puts a change around a step, and around what it is without its reset.

    Args:
        step: of an environment.
        change: (step) -> step, which leaves resets alone.
    """
    if isinstance(step, ResettingStep):
        return ResettingStep(change(step.whole), change(step.without_reset))
    return change(step)


def play_once(environment: Environment) -> Environment:
    """The environment for who plays one episode and no further.

    Its step does not reset where it can do without: what comes after an episode's end means
    nothing, and the caller must leave it out.

    Args:
        environment: any; one whose step resets in its own way is returned as it is.
    """
    step = environment.step
    if not isinstance(step, ResettingStep):
        return environment
    return environment._replace(step=step.without_reset)
