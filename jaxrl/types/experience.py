"""Experience: what learners read of the steps that were taken, and where it is stored."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from jaxrl.types.arrays import Action, Carry, Key, Observation, PyTree


class Transition(NamedTuple):
    """One step as a learner reads it; in a rollout every leaf has leading axes [T, B].

    Attributes:
        observation: what the action was chosen from.
        action: as the policy drew it, before the environment's door clips or scales it.
        reward: the (possibly scaled) reward that followed.
        terminated: see `TimeStep`.
        truncated: see `TimeStep`.
        next_observation: the successor before any reset.
        extras: what `Agent.act` reported beside the action, such as its log-probability.
    """

    observation: Observation
    action: Action
    reward: Array
    terminated: Array
    truncated: Array
    next_observation: Observation
    extras: PyTree


class Rollout(NamedTuple):
    """The steps that an on-policy agent learns from.

    Attributes:
        transitions: leaves [T, B, ...]: T steps of B environments.
        carry: leaves [B, ...]: the actors' memory before the first step.
    """

    transitions: Transition
    carry: Carry


class Episodes(NamedTuple):
    """Whole episodes to learn from: each from its reset on, padded to one length.

    Attributes:
        transitions: leaves [T, m, ...]; T is the longest that an episode can be. After its end an
            episode repeats its first step, so that whatever is computed there is nothing unusual.
            `next_observation` is (): a whole episode is not bootstrapped.
        mask: bool [T, m], which steps are the episode's, up to and including its last; none of an
            episode that had not ended after T steps.
        carry: leaves [m, ...]: the actors' memory before the first step.
    """

    transitions: Transition
    mask: Array
    carry: Carry


class StepsBetween(NamedTuple):
    """The steps after a replayed step and before its successor, of a replay of n steps.

    Attributes:
        observation: leaves [M, n - 1, ...], what their actions were chosen from; anything where the
            discount is 0.
        discount: float32 [M, n - 1], gamma to the number of steps after the replayed one; 0 where
            the episode had ended.
    """

    observation: Observation
    discount: Float[Array, "M K"]


class Replayed(NamedTuple):
    """M steps of the past; what follows a step is n steps later, or fewer where an episode ended.

    Attributes:
        observation: leaves [M, ...], what the action was chosen from.
        action: [M, ...], as the policy drew it.
        reward: float32 [M], the discounted sum of the rewards until the successor.
        discount: float32 [M], of the successor's value; 0 where the task terminated, and not where
            a limit cut the episode off.
        next_observation: leaves [M, ...], the successor, before any reset; anything where the task
            terminated.
        weight: float32 [M], of the step in the loss; 1 where all are as likely to be sampled.
        index: int32 [M], by which `Replay.prioritize` knows the step.
        between: the steps before the successor; None where there are none, or nobody asked.
    """

    observation: Observation
    action: Action
    reward: Float[Array, " M"]
    discount: Float[Array, " M"]
    next_observation: Observation
    weight: Float[Array, " M"]
    index: Int[Array, " M"]  # pyright: ignore[reportIncompatibleMethodOverride]
    between: StepsBetween | None = None


class Replay(NamedTuple):
    """Steps of the past, to be learnt from again.

    Attributes:
        init: () -> ReplayState, of nothing.
        add: (ReplayState, Transition [T, B]) -> ReplayState; what is oldest makes room.
        sample: (key, ReplayState) -> Replayed [M]; meaningless before `can_sample`.
        can_sample: (ReplayState) -> bool, shape ().
        prioritize: (ReplayState, index [M], error [M]) -> ReplayState, after learning.
    """

    init: Callable[[], Any]
    add: Callable[[Any, Transition], Any]
    sample: Callable[[Key, Any], Replayed]
    can_sample: Callable[[Any], Array]
    prioritize: Callable[[Any, Array, Array], Any]
