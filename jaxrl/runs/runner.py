"""A run from its first chunk to its last, however often it is stopped in between."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl.runs import batched, checkpoints, plan, programs
from jaxrl.runs.best import states_at_best
from jaxrl.runs.construction import build, check_environment, constructor
from jaxrl.runs.devices import check_devices
from jaxrl.runs.divergence import diverged_members
from jaxrl.runs.folder import (
    CONFIG,
    ExperimentError,
    change_config,
    check_new,
    clear,
    create,
    locked,
    write_atomically,
    writing,
)
from jaxrl.runs.grouping import differences_of
from jaxrl.runs.logs import cut_back
from jaxrl.runs.memory import check_memory, num_bytes
from jaxrl.runs.preparation import Prepared, prepare
from jaxrl.runs.progress import Display
from jaxrl.runs.provenance import provenance, warn_of_changes
from jaxrl.runs.session import Outcome, Session, say_outcome
from jaxrl.runs.specification import (
    Specification,
    fingerprint,
    read_specification,
    to_json,
)
from jaxrl.settings import require_whole
from jaxrl.training import Evaluation, Progress
from jaxrl.transfer import take_learned
from jaxrl.types import Algorithm, Environment, State
from jaxrl.types.spaces import sample_element


class Run(NamedTuple):
    """A run as its newest usable checkpoint holds it.

    Attributes:
        folder: of the run.
        specification: of the run.
        algorithm: of the first member, for what all members share.
        states: the algorithm's State; every leaf has a leading axis [members].
        progress: iterations and steps; shape (), or [members] where an iteration's cost varies.
        left_out: why each newer checkpoint could not be used, in words.
    """

    folder: Path
    specification: Specification
    algorithm: Algorithm
    states: State
    progress: Progress
    left_out: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Environment steps of all members together."""
        return plan.all_steps(self.specification, self.progress)

    def in_environment(self, parameters: Mapping[str, Any]) -> "Run":
        """The run with its policies in another environment: the same one with other parameters.

        Args:
            parameters: of the environment, by name, in the place of the run's.

        Returns:
            What `evaluate_run` takes.

        Raises:
            ValueError: a parameter is wrong or differs between members, or observations or actions
                are of another kind with it.

        Example:
            >>> run = jaxrl.runs.load("runs/demo")  # doctest: +SKIP
            >>> jaxrl.runs.evaluate_run(run.in_environment({"gravity": 15.0}), num_episodes=100)
            ... # doctest: +SKIP
        """
        before = self.specification
        own = {name for member in before.members for name in member.environment_parameters}
        if own & parameters.keys():
            raise ValueError(
                f"the members of {self.folder} have values of {min(own & parameters.keys())} of "
                "their own, in which each is played"
            )
        changed = dataclasses.replace(
            before, environment_parameters={**before.environment_parameters, **parameters}
        )
        to_json(changed)  # Refuses what a run of its own could not have.
        check_environment(changed)
        algorithm = build(changed)
        if _kind_of(algorithm.environment) != _kind_of(self.algorithm.environment):
            raise ValueError(
                f"with {', '.join(parameters)} as given, {before.environment} has other "
                "observations or actions than those that the run has learnt from"
            )
        return self._replace(specification=changed, algorithm=algorithm)

    def algorithm_of(self, member: int) -> Algorithm:
        """Builds the algorithm of one member, with its settings and its environment."""
        return build(self.specification, member)

    def state_of(self, member: int) -> State:
        """Returns the State of one member."""
        return jax.tree.map(lambda leaf: leaf[member], self.states)


def start(
    specification: Specification | Prepared, folder: str | Path, *, overwrite: bool = False
) -> Outcome:
    """Trains every member of a specification, and writes all of it to a folder.

    Args:
        specification: the run; or what `prepare` made of it, which saves doing that again.
        folder: new or empty; or an earlier run's, to be replaced.
        overwrite: whether an earlier run may be replaced. Other files are never touched.

    Returns:
        How it went. Ctrl-C ends the run after the running chunk, saved.

    Raises:
        ExperimentError: the folder cannot be used.
        ValueError: the specification is wrong. Nothing was written.
    """
    folder = Path(folder)
    check_new(folder, overwrite=overwrite)
    is_prepared = isinstance(specification, Prepared)
    check_devices(specification.specification if is_prepared else specification)
    prepared = specification if is_prepared else prepare(specification)
    earlier = _earlier_states(prepared)
    config = to_json(prepared.specification) | provenance()
    with locked(folder):
        check_new(folder, overwrite=overwrite)
        create(folder, config)
        display = Display()
        try:
            session = Session(folder, prepared, None, display, earlier=earlier)
        except Exception:
            # Nothing happened that could be resumed: the folder is free again.
            clear(folder)
            raise
        try:
            outcome = session.run()
        except ExperimentError:
            if not session.has_begun:
                # Nor here, as where a viewer of charts refuses: the next try is not in its way.
                clear(folder)
            raise
    say_outcome(display, outcome)
    return outcome


def resume(folder: str | Path, *, total_steps: int | None = None) -> Outcome:
    """Goes on with a run that was stopped in any way, and ends with the same bits as if it had not.

    With more steps than it had, a run ends with the States of one that had them from the beginning,
    if none of its schedules runs over the budget; those that do go on as if the new budget had been
    theirs all along, so that they jump where the old one ended.

    Args:
        folder: of the run.
        total_steps: a larger budget, which the folder remembers; None: that which it has.

    Returns:
        How it went; a finished run is left as it is.

    Raises:
        ExperimentError: the folder holds no run or one that cannot be carried out here, another
            process works on it, or all of its checkpoints are damaged; or the budget is not a
            larger one, or the algorithm's State has room for the old one only.
    """
    folder = Path(folder)
    specification = read_specification(folder)
    try:
        if total_steps is not None:
            specification = _with_budget(specification, total_steps)
        prepared = prepare(specification)
    except ValueError as error:
        raise ExperimentError(f"{folder} cannot go on: {error}") from error
    display = Display()
    with locked(folder):
        run = fingerprint(specification)
        checkpoint = checkpoints.load_newest(folder, prepared.state_type, run=run)
        if total_steps is not None:
            change_config(folder, to_json(specification))
        algorithm = prepared.algorithm
        if checkpoint is None:
            display.say(f"{folder} has no checkpoint: the run begins anew")
        if checkpoint is not None and plan.is_finished(algorithm, checkpoint.progress):
            cut_back(folder, checkpoint.file_sizes, checkpoint.file_digests)
            steps = plan.all_steps(specification, checkpoint.progress)
            outcome = Outcome.nothing_left(folder, steps, _count_diverged(specification, folder))
        else:
            warn_of_changes(folder / CONFIG)
            earlier = _earlier_states(prepared) if checkpoint is None else None
            outcome = Session(folder, prepared, checkpoint, display, earlier=earlier).run()
    say_outcome(display, outcome)
    return outcome


def carry_out(
    prepared: Prepared,
    folder: Path,
    display: Display,
    *,
    compiled: programs.Programs,
    first: checkpoints.Checkpoint | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Starts a run or goes on with it, as one of several that share compiled programs.

    Args:
        prepared: the run.
        folder: new, or what this run left of itself.
        display: of the progress.
        compiled: its programs.
        first: where it begins, if not at the beginning.
        should_stop: asked after each chunk, whether the run is to end there, saved.

    Returns:
        How it went; a finished run is left as it is.

    Raises:
        ExperimentError: the folder cannot be used, or holds another run.
    """
    config, run = to_json(prepared.specification), fingerprint(prepared.specification)
    with locked(folder):
        if not (folder / CONFIG).exists():
            if first is not None:
                # Before there is a config: a run that may be resumed never begins anew by mistake.
                done = plan.all_steps(prepared.specification, first.progress)
                checkpoints.save(folder, first, total_steps=done, keep=1, run=run)
            with writing(folder):
                write_atomically(
                    folder / CONFIG, json.dumps(config | provenance(), indent=2) + "\n"
                )
        elif json.dumps(to_json(read_specification(folder))) != json.dumps(config):
            raise ExperimentError(f"{folder} holds another run: choose another folder")
        checkpoint = checkpoints.load_newest(folder, prepared.state_type, run=run)
        if checkpoint is not None and plan.is_finished(prepared.algorithm, checkpoint.progress):
            cut_back(folder, checkpoint.file_sizes, checkpoint.file_digests)
            if not checkpoint.file_sizes:
                # It began where it ends: only its evaluation is missing.
                return Session(folder, prepared, checkpoint, display, compiled).evaluate()
            steps = plan.all_steps(prepared.specification, checkpoint.progress)
            return Outcome.nothing_left(folder, steps)
        return Session(folder, prepared, checkpoint, display, compiled).run(should_stop)


def load(folder: str | Path, *, checkpoint: str = "newest") -> Run:
    """Reads the newest usable checkpoint of a run.

    Args:
        folder: of the run, running or ended.
        checkpoint: "newest"; or "best": with what each member had learnt at its best evaluation, in
            a run that kept it.

    Returns:
        The run, with the State of every member.

    Raises:
        ExperimentError: the folder holds no run, or no checkpoint that can be used.
        ValueError: the run cannot be built here, as where its algorithm is not registered; or there
            is no such checkpoint.
    """
    if checkpoint not in ("newest", "best"):
        raise ValueError(f"checkpoint={checkpoint!r} must be newest or best")
    folder = Path(folder)
    specification = read_specification(folder)
    check_environment(specification)
    algorithm = build(specification)
    state_type = _state_type(specification)
    check_memory(num_bytes(state_type), "it was trained on a larger machine, or has been changed")
    newest = checkpoints.load_newest(folder, state_type, run=fingerprint(specification))
    if newest is None:
        raise ExperimentError(f"{folder} has no checkpoint yet: go on with jaxrl resume {folder}")
    run = Run(
        folder=folder,
        specification=specification,
        algorithm=algorithm,
        states=newest.state,
        progress=newest.progress,
        left_out=newest.left_out,
    )
    if checkpoint == "newest":
        return run
    states, best = states_at_best(folder, run.states, state_type)
    return run._replace(states=states, progress=run.progress._replace(steps=best.steps))


def evaluate_run(
    run: Run, *, num_episodes: int, seed: int = 0, explores: bool = False
) -> Evaluation:
    """Plays whole episodes with the policy of every member, in its own environment.

    Args:
        run: as `load` returns it.
        num_episodes: per member.
        seed: of the episodes; the same one gives the same episodes.
        explores: whether the policies explore as in training, or not at all.

    Returns:
        Returns and lengths as numpy arrays, [members, num_episodes].

    Raises:
        ValueError: the environment has no time limit, there is nothing to play, or the algorithm
            has no policy that explores.
    """
    # Folded, so that no episode begins with the keys of a training seed of the same number.
    key = jax.random.fold_in(jax.random.key(seed), 2**31)
    keys = jax.random.split(key, len(run.specification.members))
    if explores and run.algorithm.behavior is None:
        raise ValueError(f"{run.specification.algorithm} has no policy that explores")
    return programs.evaluate_states(
        run.specification, keys, run.states, num_episodes=num_episodes, explores=explores
    )


def _kind_of(environment: Environment) -> tuple[Any, ...]:
    """Shapes and types of an observation and an action, and how many categories each has."""
    spaces = environment.observation_space, environment.action_space
    key = jax.random.key(0)
    elements = jax.eval_shape(lambda: [sample_element(space, key) for space in spaces])
    categories = [getattr(space, "num_categories", None) for space in jax.tree.leaves(spaces)]
    return elements, categories


def _with_budget(specification: Specification, total_steps: int) -> Specification:
    """The run with more steps.

    Raises:
        ValueError: they are not more, or its State would need more room.
    """
    before = specification.settings.total_steps
    require_whole("total_steps", total_steps, minimum=1)
    if total_steps <= before:
        raise ValueError(f"total_steps={total_steps} must be more than the {before} that it has")
    if specification.stop_steps is not None:
        raise ValueError("the run is a part of a sweep: it has the budget of the others")
    changed = dataclasses.replace(
        specification,
        settings=dataclasses.replace(specification.settings, total_steps=total_steps),
        earlier_budgets=(*specification.earlier_budgets, before),
    )
    types = [
        jax.tree.map(lambda x: (x.shape, str(x.dtype)), _state_type(x))
        for x in (specification, changed)
    ]
    if types[0] != types[1]:
        raise ValueError(
            f"the State of {specification.algorithm} has room for total_steps={before} and no more "
            "with these settings: begin a run of its own, from this one (--from)"
        )
    return changed


def _earlier_states(prepared: Prepared) -> State | None:
    """The States that a run begins from, one for each of its members; None: it begins from none.

    Raises:
        ExperimentError: the earlier run cannot be read, or does not fit.
    """
    specification = prepared.specification
    if specification.start_from is None:
        return None
    run = load(specification.start_from)
    present, wanted = len(run.specification.members), len(specification.members)
    member = specification.start_from_member
    if member is not None and member >= present:
        raise ExperimentError(
            f"start_from_member={member}: {run.folder} has the agents 0 to {present - 1}"
        )
    if member is None and present not in (1, wanted):
        raise ExperimentError(
            f"{run.folder} has {present} agents and the new run {wanted}: choose one of them for "
            "all (start_from_member, --from-member)"
        )
    places = np.arange(wanted) if member is None and present > 1 else np.full(wanted, member or 0)
    states = jax.tree.map(lambda leaf: leaf[places], run.states)
    try:
        jax.eval_shape(jax.vmap(take_learned), prepared.state_type, states)
    except ValueError as error:
        raise ExperimentError(f"cannot start from {run.folder}: {error}") from error
    return states


def _count_diverged(specification: Specification, folder: Path) -> int:
    if specification.on_divergence == "continue":
        return 0
    return int(diverged_members(folder, len(specification.members)).sum())


def _state_type(specification: Specification) -> Any:
    differences = differences_of(specification)
    return batched.state_type(specification, constructor(specification), differences)
