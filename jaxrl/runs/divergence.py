"""Divergence: when what a member has learnt is no longer finite, and what began it.

A chunk's program says at its end whether what each member learnt is finite: a reduction a chunk.
Where it began is found out afterwards, by taking the way from the last checkpoint again, which ends
with the same bits: whole chunks with the run's own program, the last one iteration by iteration
with an environment whose observations and rewards are checked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from jaxrl.runs._reading import ExperimentError, Kind, is_number, is_text, is_whole, read_rows
from jaxrl.runs.checkpoints import Checkpoint
from jaxrl.runs.construction import constructor
from jaxrl.runs.folder import DIVERGENCES
from jaxrl.runs.grouping import is_identity
from jaxrl.runs.learnt import has_replay, learnt_is_finite, remembers_nan
from jaxrl.runs.plan import first_progress, steps_of_members
from jaxrl.runs.preparation import Prepared
from jaxrl.runs.programs import Programs
from jaxrl.training import Progress
from jaxrl.types import Action, Environment, EnvState, Key, State, TimeStep

PARAMETERS = "parameters"
_WORDS = {
    "reward": "a reward",
    "observation": "an observation",
    PARAMETERS: "the parameters",
}


class Beginning(NamedTuple):
    """The first quantity that was not finite.

    Attributes:
        quantity: "observation", "reward", the name of a metric, or "parameters".
        after_steps: environment steps of the member before it.
        steps: environment steps of the member by which it was there.
    """

    quantity: str
    after_steps: int
    steps: int


class Divergence(NamedTuple):
    """A member that diverged.

    Attributes:
        identity: what names it in a row: its place, its seed, and the values that it sets.
        began: what was not finite first.
        steps: environment steps of the member by which its parameters were not finite.
    """

    identity: Mapping[str, Any]
    began: Beginning
    steps: int

    def row(self) -> dict[str, Any]:
        """Returns the row of divergences.jsonl."""
        return {**self.identity, "steps": self.steps, **{f"began_{k}": v for k, v in self._pairs()}}

    def __str__(self) -> str:
        """One line for people."""
        identity = dict(self.identity)
        member, seed = identity.pop("member"), identity.pop("seed")
        own = "".join(f", {name.removeprefix('settings.')}={x:g}" for name, x in identity.items())
        began = self.began
        what = _WORDS.get(began.quantity, began.quantity)
        text = f"member {member} (seed {seed}{own}) diverged: {what}"
        where = f"between steps {began.after_steps:,} and {began.steps:,}"
        if began.quantity == PARAMETERS:
            return f"{text} ceased to be finite {where}"
        return f"{text} was not finite {where}, nor are the parameters since step {self.steps:,}"

    def _pairs(self) -> list[tuple[str, Any]]:
        return list(self.began._asdict().items())


class Found(NamedTuple):
    """Result of taking a chunk again in which members diverged.

    Attributes:
        state: of all members before that chunk.
        beginnings: by member, what was not finite first, and the steps by which its parameters were
            not finite; without those of whom it did not come again.
    """

    state: State
    beginnings: dict[int, tuple[Beginning, int]]


def diverged_members(folder: str | Path, num_members: int) -> np.ndarray:
    """Reads which members of a run diverged, as the run noted it: bool [num_members]."""
    found = np.zeros(num_members, bool)
    for row in read_divergences(folder):
        member = row.get("member", num_members)
        if member >= num_members:
            raise ExperimentError(f"{Path(folder) / DIVERGENCES} is not of this run")
        found[member] = True
    return found


def read_divergences(folder: str | Path) -> list[dict[str, Any]]:
    """Reads the rows of divergences.jsonl; none where nothing diverged.

    Raises:
        ExperimentError: the file is damaged.
    """
    try:
        return list(read_rows(Path(folder) / DIVERGENCES, _kind_of))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _kind_of(column: str) -> Kind:
    if column == "began_quantity":
        return is_text
    return is_number if is_identity(column) and column not in ("member", "seed") else is_whole


def find(
    prepared: Prepared,
    programs: Programs,
    first: Checkpoint | None,
    before: Progress,
    after: Progress,
    members: Sequence[int],
) -> Found:
    """Takes the way to a divergence again, and looks for what began it.

    Args:
        prepared: the run.
        programs: the run's, compiled.
        first: the newest checkpoint; None: from the beginning.
        before: the progress before the chunk in which they diverged.
        after: the progress after it.
        members: their places.
    """
    state, progress = _first_state(prepared, programs, first)
    searches = {member: _Search(prepared, programs, member) for member in members}
    for search in searches.values():
        search.look_into(state, progress)
    while np.any(progress.iteration < before.iteration):
        state, progress, _ = programs.advance(state, progress)
        for search in searches.values():
            search.look_into(state, progress)
    found = {member: x.step_by_step(state, before, after) for member, x in searches.items()}
    beginnings = {member: x for member, x in found.items() if x is not None}
    return Found(state=state, beginnings=beginnings)


class _Search:
    """Looks for the first quantity of one member that is not finite."""

    def __init__(self, prepared: Prepared, programs: Programs, member: int) -> None:
        self._prepared = prepared
        self._member = member
        self._key = programs.keys.steps[member]
        self._own = jax.tree.map(lambda x: x[member], prepared.differences)
        self._step = jax.jit(checkify.checkify(_step_of(prepared), errors=checkify.user_checks))
        self._remembers = jax.jit(remembers_nan)
        self._has_replay = has_replay(prepared.state_type)
        self._steps = 0
        self._remembered: Beginning | None = None

    def look_into(self, state: State, progress: Progress) -> None:
        """Notes what a replay holds that is nan."""
        steps = int(steps_of_members(self._prepared.specification, progress)[self._member])
        if self._has_replay and self._remembered is None:
            found = jax.device_get(self._remembers(self._of_member(state)))
            self._remember([name for name, is_there in found.items() if is_there], steps)
        self._steps = steps

    def step_by_step(
        self, states: State, before: Progress, after: Progress
    ) -> tuple[Beginning, int] | None:
        """Takes the iterations of a chunk until the parameters are not finite."""
        state = self._of_member(states)
        counted = self._steps
        previous: dict[str, Any] = {}
        first, last = (self._iteration_of(progress) for progress in (before, after))
        for iteration in range(first, last):
            error, (state, row, is_finite, found) = self._step(
                self._prepared.settings, self._own, self._key, state, np.int32(iteration)
            )
            row = {name: np.asarray(x) for name, x in row.items()}
            # Its own counter goes round beyond 2^31.
            steps = self._steps + (int(row["steps"]) - counted) % 2**32
            seen = _seen(error)
            if self._has_replay and self._remembered is None:
                self._remember(seen or [k for k, is_there in found.items() if is_there], steps)
            if not is_finite:
                return self._beginning(seen, row, previous, steps), steps
            self._steps, counted, previous = steps, int(row["steps"]), row
        return None

    def _beginning(
        self, seen: list[str], row: dict[str, Any], previous: dict[str, Any], steps: int
    ) -> Beginning:
        if self._remembered is not None:
            return self._remembered
        broken = [name for name, x in row.items() if _can_tell(name) and not np.isfinite(x)]
        # Its losses say more than what is measured beside them.
        broken.sort(key=lambda name: "loss" not in name)
        # One that was there before is preferred: others may have had nothing to report.
        known = [name for name in broken if np.isfinite(previous.get(name, np.nan))]
        quantity = [*seen, *known, *broken, PARAMETERS][0]
        return Beginning(quantity, self._steps, steps)

    def _remember(self, names: Sequence[str], steps: int) -> None:
        if names:
            self._remembered = Beginning(names[0], min(self._steps, steps), steps)

    def _of_member(self, states: State) -> State:
        return jax.tree.map(lambda x: x[self._member], states)

    def _iteration_of(self, progress: Progress) -> int:
        shared = np.ndim(progress.iteration) == 0
        return int(progress.iteration if shared else progress.iteration[self._member])


def _first_state(
    prepared: Prepared, programs: Programs, first: Checkpoint | None
) -> tuple[State, Progress]:
    if first is not None:
        return first.state, first.progress
    return programs.init(), first_progress(prepared.specification, prepared.algorithm)


def _step_of(prepared: Prepared) -> Any:
    """One iteration of one member, in an environment that is watched."""
    construct = constructor(prepared.specification, wrap=watched)

    def step(settings: Any, own: Any, key: Key, state: State, iteration: Any) -> Any:
        algorithm = construct(settings, own)
        state, row = algorithm.step(jax.random.fold_in(key, iteration), state)
        return state, row, learnt_is_finite(state), remembers_nan(state)

    return step


def watched(environment: Environment) -> Environment:
    """Checks every observation that somebody acts on, and every reward.

    Under `checkify`, the first that is not finite becomes the error.

    Args:
        environment: any.
    """

    def reset(key: Key) -> tuple[EnvState, Any]:
        state, observation = environment.reset(key)
        checkify.check(_is_finite(observation), "observation")
        return state, observation

    def step(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        state, time_step = environment.step(key, state, action)
        # Nobody acts in a terminal state, and it may be anything.
        is_right = _is_finite(time_step.observation) | time_step.terminated
        checkify.check(is_right, "observation")
        checkify.check(_is_finite(time_step.reward), "reward")
        return state, time_step

    return environment._replace(reset=reset, step=step)


def _is_finite(tree: Any) -> Any:
    leaves = [jnp.asarray(x) for x in jax.tree.leaves(tree)]
    floats = [x for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in floats] or [True]))


def _seen(error: Any) -> list[str]:
    message = error.get()
    return [] if message is None else ["observation" if "observation" in message else "reward"]


def _can_tell(name: str) -> bool:
    return name != "steps" and not name.startswith("episode")
