"""Algorithms: all that training, sweeps and runs know of a method."""

from collections.abc import Callable
from typing import NamedTuple

from jaxrl.types.arrays import Key, Metrics, State
from jaxrl.types.environment import Environment
from jaxrl.types.network import Policy


class Algorithm(NamedTuple):
    """A method as training, sweeps and runs know it.

    Attributes:
        init: (key) -> State: everything needed to go on (parameters, optimiser, environments).
        step: (key, State) -> (State, Metrics): one iteration: interact, then learn.
            `Metrics["steps"]` counts the environment steps taken since `init`.
        policy: (State) -> Policy, which does not explore.
        environment: the task that the policy is evaluated in.
        total_steps: the budget, in environment steps.
        steps_per_iteration: what one `step` takes; None: it varies.
        max_iterations: the number of iterations, or their bound where the cost varies.
        first_steps: environment steps that `init` takes, of the budget.
        behavior: (State) -> Policy, which explores as in training; None: there is none.
    """

    init: Callable[[Key], State]
    step: Callable[[Key, State], tuple[State, Metrics]]
    policy: Callable[[State], Policy]
    environment: Environment
    total_steps: int
    steps_per_iteration: int | None
    max_iterations: int
    first_steps: int = 0
    behavior: Callable[[State], Policy] | None = None
