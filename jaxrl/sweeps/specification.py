"""A sweep as data: everything that sweep.json holds and a resumed sweep needs."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from jaxrl import environments, runs
from jaxrl.runs.folder import read_own_file
from jaxrl.runs.members import LARGEST_SEED, MOST_MEMBERS
from jaxrl.runs.specification import from_json as run_from_json
from jaxrl.runs.specification import require_whole
from jaxrl.runs.specification import to_json as run_to_json
from jaxrl.sweeps import spaces
from jaxrl.sweeps.sampling import ADAPTIVE_SAMPLERS, Trial, check_sampler, sample_trials
from jaxrl.sweeps.spaces import Distribution
from jaxrl.sweeps.studies import Study, make_study

SWEEP = "sweep.json"
# Names of an environment's parameters in a space, as on the command line.
PARAMETER_PREFIX = "env."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """A search over settings: every trial is trained with every seed. Data only.

    Attributes:
        base: what all trials share, as a run; its members are the seeds, and nothing else.
        space: what is searched, by the name of a setting, or `env.` and that of a parameter.
        trials: the values of each trial, by name; `make_sweep` draws them from the space. With an
            adaptive sampler, those that were asked for so far.
        sampler: how they were drawn.
        sampler_seed: of the draws.
        halving: after each rung of the budget, one in so many trials goes on; None: all do.
        median_stopping: at the end of each rung, the trials below the median of their scores end.
        rungs: how many there are with either. With `halving` the first ends at
            total_steps / halving^(rungs-1); with `median_stopping` they are equally long.
        validation_seeds: the best trial is trained again with so many seeds that it was not chosen
            on; 0: it is not.
        memory: bytes that the programs of one block may need; None: most of what is free.
        study: what an adaptive sampler asks for trials; None with the other samplers. Each of its
            batches is stopped early on its own.
    """

    base: runs.Specification
    space: Mapping[str, Distribution]
    trials: Sequence[Trial]
    sampler: str = "random"
    sampler_seed: int = 0
    halving: int | None = None
    median_stopping: bool = False
    rungs: int = 3
    validation_seeds: int = 0
    memory: int | None = None
    study: Study | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", spaces.check_space(self.space))
        _check_names(self.base, self.space)
        _check_study(self)
        for index, trial in enumerate(self.trials):
            if trial.keys() != self.space.keys():
                raise ValueError(f"trials[{index}] does not have the names of the space")
        require_whole("validation_seeds", self.validation_seeds, minimum=0)
        if self.validation_seeds > MOST_MEMBERS:
            raise ValueError(f"validation_seeds={self.validation_seeds}: at most {MOST_MEMBERS:,}")
        if max(self.fresh_seeds, default=0) > LARGEST_SEED:
            raise ValueError(f"validation_seeds: their seeds must stay at most {LARGEST_SEED}")
        _check_stopping(self)
        if self.memory is not None:
            require_whole("memory", self.memory, minimum=1)
        if self.base.start_from is not None:
            raise ValueError("base.start_from: the trials of a sweep begin from nothing")
        if self.base.evaluation_episodes == 0:
            raise ValueError("evaluation_episodes=0: a sweep compares the trials' evaluations")
        if any(member.settings or member.environment_parameters for member in self.base.members):
            raise ValueError("base.members: the members of a sweep's base differ in seeds only")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that every trial is trained with."""
        return tuple(member.seed for member in self.base.members)

    @property
    def fresh_seeds(self) -> range:
        """The seeds of the validation, none of which a trial was chosen on."""
        first = max(self.seeds) + 1
        return range(first, first + self.validation_seeds)

    @property
    def num_trials(self) -> int:
        """How many trials there will be in the end."""
        return len(self.trials) if self.study is None else self.study.num_trials

    @property
    def batches(self) -> tuple[range, ...]:
        """The places of the trials that are trained side by side and stopped early together."""
        if self.study is None:
            return (range(len(self.trials)),)
        size, total = self.study.batch, self.study.num_trials
        return tuple(range(first, min(first + size, total)) for first in range(0, total, size))

    @property
    def stops(self) -> tuple[int | None, ...]:
        """Environment steps of a member at the end of each rung; None: the budget."""
        total = self.base.settings.total_steps
        if self.median_stopping:
            parts = range(1, self.rungs)
            return (*(max(1, total * part // self.rungs) for part in parts), None)
        if self.halving is None:
            return (None,)
        powers = range(self.rungs - 1, 0, -1)
        return (*(max(1, total // self.halving**power) for power in powers), None)


def make_sweep(
    base: runs.Specification,
    space: Mapping[str, Any],
    *,
    trials: int | None = None,
    sampler: str = "random",
    sampler_seed: int = 0,
    batch: int | None = None,
    storage: str | None = None,
    study: str | None = None,
    **options: Any,
) -> Sweep:
    """Draws the trials of a sweep, or makes the study that they will be asked of.

    Args:
        base: what all trials share; its members are the seeds.
        space: distributions or lists, by the name of a setting, or `env.` and that of a parameter.
        trials: how many; None with a grid.
        sampler: "grid", "random", "sobol" or "latin"; or, adaptive, "tpe" or "cmaes".
        sampler_seed: of the draws.
        batch: with an adaptive sampler, trials at a time; None: an eighth, and at least four.
        storage: of the study; a URL of Optuna's, or the path of a journal file; None: a journal in
            the sweep's folder.
        study: its name; None: that of the algorithm and the environment.
        **options: the other fields of `Sweep`.

    Raises:
        ValueError: something in it is wrong; nothing was compiled or written.

    Example:
        settings, seeds = jaxrl.PPOConfig(total_steps=50_000), runs.make_members(range(4))
        base = runs.Specification(
            algorithm="ppo", environment="CartPole-v1", settings=settings, members=seeds
        )
        space = {"learning_rate": sweeps.log_uniform(1e-4, 1e-2), "num_steps": [16, 32]}
        make_sweep(base, space, trials=16)
    """
    checked = spaces.check_space(space)
    _check_names(base, checked)
    require_whole("sampler_seed", sampler_seed, minimum=0)
    given = {"batch": batch, "storage": storage, "study": study}
    own = _study_of(base, checked, sampler, trials, given)
    drawn: list[Trial] = []
    if own is None:
        drawn = sample_trials(checked, sampler=sampler, num_trials=trials, seed=sampler_seed)
    return Sweep(
        base=base,
        space=checked,
        trials=drawn,
        sampler=sampler,
        sampler_seed=sampler_seed,
        study=own,
        **options,
    )


def _study_of(
    base: runs.Specification,
    space: Mapping[str, Distribution],
    sampler: str,
    trials: int | None,
    given: Mapping[str, Any],
) -> Study | None:
    """The study of an adaptive sampler; None with another, which takes nothing of what is given."""
    check_sampler(sampler)
    if sampler in ADAPTIVE_SAMPLERS:
        name = f"{base.algorithm}-{base.environment}"
        return make_study(
            sampler=sampler,
            space=space,
            num_trials=trials,
            batch=given["batch"],
            storage=given["storage"],
            name=name if given["study"] is None else given["study"],
        )
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name}={value!r} is for the samplers {' and '.join(ADAPTIVE_SAMPLERS)}, and "
                f"sampler={sampler!r}"
            )
    return None


def to_json(sweep: Sweep) -> dict[str, Any]:
    """Returns the sweep as plain JSON data."""
    data = {field.name: getattr(sweep, field.name) for field in dataclasses.fields(sweep)}
    data["base"] = run_to_json(sweep.base)
    data["space"] = {name: spaces.to_json(values) for name, values in sweep.space.items()}
    data["study"] = None if sweep.study is None else dataclasses.asdict(sweep.study)
    return data


def from_json(data: Any) -> Sweep:
    """Rebuilds a sweep from what `to_json` returned.

    Raises:
        ValueError: naming what is missing, unknown or of the wrong kind.
    """
    names = {field.name for field in dataclasses.fields(Sweep)}
    if not isinstance(data, dict) or not {"base", "space", "trials"} <= data.keys():
        raise ValueError("it does not hold a sweep")
    values = {name: value for name, value in data.items() if name in names}
    if not isinstance(values["space"], dict) or not isinstance(values["trials"], list):
        raise ValueError("space or trials is not of the right kind")
    values["base"] = run_from_json(values["base"])
    values["space"] = {name: spaces.from_json(item) for name, item in values["space"].items()}
    values["trials"] = [_trial_from_json(trial) for trial in values["trials"]]
    values["study"] = _study_from_json(values.get("study"))
    return Sweep(**values)


def read_sweep(folder: str | Path) -> Sweep:
    """Reads a sweep from its folder.

    Raises:
        ExperimentError: there is no sweep in the folder, or its sweep.json is damaged.
    """
    return read_own_file(folder, SWEEP, from_json, kind="sweep")


def split_trial(trial: Trial) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits the values of a trial into settings and environment parameters, by their own names."""
    settings = {name: x for name, x in trial.items() if not name.startswith(PARAMETER_PREFIX)}
    parameters = {
        name.removeprefix(PARAMETER_PREFIX): x
        for name, x in trial.items()
        if name.startswith(PARAMETER_PREFIX)
    }
    return settings, parameters


def _trial_from_json(data: Any) -> Trial:
    if not isinstance(data, dict):
        raise ValueError("a trial is not an object")
    return {name: tuple(x) if isinstance(x, list) else x for name, x in data.items()}


def _study_from_json(data: Any) -> Study | None:
    if data is None:
        return None
    try:
        values: dict[str, Any] = {**data, "numbers": tuple(data["numbers"])}
        return Study(**values)
    except (KeyError, TypeError):
        raise ValueError("study is not of the right kind") from None


def _check_study(sweep: Sweep) -> None:
    """Checks that a sweep has its trials, or a study that it asks for them."""
    if sweep.study is None:
        if sweep.sampler in ADAPTIVE_SAMPLERS:
            raise ValueError(f"sampler={sweep.sampler!r} needs a study: use make_sweep")
        if not sweep.trials:
            raise ValueError("trials is empty: a sweep has at least one")
        return
    if sweep.sampler not in ADAPTIVE_SAMPLERS:
        raise ValueError(f"sampler={sweep.sampler!r} asks no study for its trials")
    drawn, numbers = len(sweep.trials), sweep.study.numbers
    if len(numbers) != drawn or len(set(numbers)) != drawn or drawn > sweep.study.num_trials:
        raise ValueError(f"study: {len(numbers)} numbers for {drawn} trials")


def _check_stopping(sweep: Sweep) -> None:
    require_whole("rungs", sweep.rungs, minimum=2)
    if sweep.halving is not None:
        require_whole("halving", sweep.halving, minimum=2)
    if sweep.halving is not None and sweep.median_stopping:
        raise ValueError("halving and median_stopping exclude each other")
    early = "halving" if sweep.halving is not None else "median_stopping"
    if len(sweep.stops) > 1 and sweep.sampler == "cmaes":
        raise ValueError(
            f"sampler='cmaes' learns from whole trainings only: {early} ends most trials before "
            "that; use sampler='tpe'"
        )
    _check_rungs(sweep)


def _check_names(base: runs.Specification, space: Mapping[str, Distribution]) -> None:
    settings = {field.name: field for field in dataclasses.fields(base.settings)}
    environment = environments.canonical_name(base.environment)
    parameters = environments.parameters_of(environment)
    for name, values in space.items():
        own = name.removeprefix(PARAMETER_PREFIX)
        is_parameter = name.startswith(PARAMETER_PREFIX)
        known = parameters if is_parameter else settings
        owner = environment if is_parameter else base.algorithm
        what = "parameter" if is_parameter else "setting"
        if own not in known:
            near = difflib.get_close_matches(own, known, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{owner} has no {what} {own!r}{hint}")
        if name == "total_steps":
            raise ValueError("total_steps cannot be searched: trials are compared at equal budgets")
        if is_parameter and own in base.environment_parameters:
            raise ValueError(f"{name} is both in the space and fixed for all trials")
        _check_kind(name, values, known[own])


def _check_kind(name: str, values: Distribution, known: Any) -> None:
    if isinstance(values, spaces.Range):
        if not values.whole and _is_whole(known):
            raise ValueError(f"{name}={values} needs whole numbers: use integers or a list")
        if not isinstance(known, dataclasses.Field) and known.kind in (bool, str):
            raise ValueError(f"{name}={values}: a range is of numbers, use a list")
        return
    for value in values.values:
        if _is_whole(known) and isinstance(value, float):
            raise ValueError(f"{name}: {value!r} is not a whole number")


def _is_whole(known: Any) -> bool:
    """Whether a setting's field or a parameter takes whole numbers only."""
    if isinstance(known, dataclasses.Field):
        return int in (get_args(known.type) or (known.type,))
    return known.kind is int


def _check_rungs(sweep: Sweep) -> None:
    stops = sweep.stops
    if len(set(stops)) < len(stops) or sweep.base.settings.total_steps in stops:
        parts = f"by {sweep.halving} so often" if sweep.halving is not None else "into so many"
        raise ValueError(
            f"rungs={sweep.rungs} are too many: total_steps={sweep.base.settings.total_steps} "
            f"cannot be divided {parts}"
        )
