"""A run as data: everything that config.json holds and a resumed run needs."""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl import registry
from jaxrl.runs.folder import CONFIG, read_own_file
from jaxrl.runs.members import Member, check_members, make_members

ON_DIVERGENCE = ("stop", "continue")
_OF_ONES_OWN = "one that a module of your own registers is known after --import MODULE"
# How often it saves, and what people are told, may change on the way.
BUDGETS = "total_steps"
_MAY_CHANGE = {
    *("checkpoint_interval", "checkpoint_minutes", "keep_checkpoints"),
    *("on_divergence", "wandb_project", "preset", "imports", "earlier_budgets"),
    *("keep_best", "stop_at_return", "stop_on_plateau"),
}
# Of the local devices.
WAYS_OF_SHARING = ("members", "envs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Specification:
    """One run: an algorithm on an environment, for a batch of members. Data only.

    Members differ in their seeds and in floats; whatever changes the program is the run's. Member i
    equals a run of its own with the same settings, parameters and seed. Intervals are in
    environment steps of one member; an event happens at the end of the chunk that reaches its
    multiple.

    Attributes:
        algorithm: a name in the registry.
        environment: a name that `make_env` knows.
        settings: the algorithm's settings object; its values are plain data.
        environment_parameters: keyword arguments of `make_env`: numbers, flags or names.
        members: what is trained side by side; `make_members` makes products of values and seeds.
        stop_steps: environment steps of a member after which the run ends, although its schedules
            and its budget reach further; None: at the budget.
        earlier_budgets: `total_steps` that the run had before it went on with more.
        start_from: the folder of an earlier run, what is learnt of which this one begins with;
            None: nothing. It is read once: afterwards the run goes on without it.
        start_from_member: of the earlier run, for all members; None: its only one, or each of as
            many for its own.
        shard: what the local devices share: "members", each with all of its environments, or the
            "envs" of every member, of which each device has some.
        preset: the name of the preset that the settings came from, for people.
        log_interval: between two rows of metrics; None: a two-hundredth of the run.
        evaluation_interval: between two evaluations; None: one at the end.
        evaluation_episodes: per member and evaluation; 0: none.
        checkpoint_interval: between two checkpoints, beside those by the clock; None: none.
        checkpoint_minutes: between two checkpoints; None: none. The end is always saved.
        keep_checkpoints: how many of the newest stay.
        on_divergence: "stop": a member whose parameters are not finite any more is marked, and the
            run ends when no other is left; "continue": it goes on as if nothing had happened.
        keep_best: whether what each member had learnt at its best evaluation is kept, too.
        stop_at_return: the run ends when the mean over its members, at an evaluation, is as high;
            None: it does not.
        stop_on_plateau: the run ends when so many evaluations have brought no higher mean; None: it
            does not.
        wandb_project: also log to this Weights & Biases project.
        imports: the modules that the command line imports before it looks the names up.

    Example:
        Specification(
            algorithm="ppo",
            environment="Pendulum-v1",
            settings=jaxrl.PPOConfig(total_steps=100_000),
            members=make_members(
                range(4),
                settings={"learning_rate": [1e-4, 3e-4, 1e-3]},
                environment_parameters={"g": [8.0, 10.0]},
            ),
        )
    """

    algorithm: str
    environment: str
    settings: Any
    environment_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    members: Sequence[Member] = (Member(),)
    stop_steps: int | None = None
    earlier_budgets: tuple[int, ...] = ()
    start_from: str | None = None
    start_from_member: int | None = None
    shard: str = "members"
    preset: str | None = None
    log_interval: int | None = None
    evaluation_interval: int | None = None
    evaluation_episodes: int = 100
    checkpoint_interval: int | None = None
    checkpoint_minutes: float | None = 5.0
    keep_checkpoints: int = 3
    on_divergence: str = "stop"
    keep_best: bool = False
    stop_at_return: float | None = None
    stop_on_plateau: int | None = None
    wandb_project: str | None = None
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        members = check_members(
            self.members, self.algorithm, self.settings, self.environment_parameters
        )
        # A frozen dataclass sets its own fields this way too.
        object.__setattr__(self, "members", members)
        for name in ("stop_steps", "log_interval", "evaluation_interval", "checkpoint_interval"):
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name), minimum=1)
        require_whole("evaluation_episodes", self.evaluation_episodes, minimum=0)
        require_whole("keep_checkpoints", self.keep_checkpoints, minimum=1)
        budgets = (*self.earlier_budgets, self.settings.total_steps)
        for earlier, later in itertools.pairwise(budgets):
            if not earlier < later:
                raise ValueError(f"earlier_budgets={self.earlier_budgets} must rise to the budget")
        if self.start_from_member is not None:
            require_whole("start_from_member", self.start_from_member, minimum=0)
            if self.start_from is None:
                raise ValueError("start_from_member needs start_from: the run that it is of")
        if self.on_divergence not in ON_DIVERGENCE:
            words = " or ".join(ON_DIVERGENCE)
            raise ValueError(f"on_divergence={self.on_divergence!r} must be {words}")
        _check_evaluated(self)
        if self.shard not in WAYS_OF_SHARING:
            raise ValueError(f"shard={self.shard!r} must be {' or '.join(WAYS_OF_SHARING)}")
        minutes = self.checkpoint_minutes
        if minutes is not None and not (_is_real(minutes) and 0 < minutes < math.inf):
            raise ValueError(f"checkpoint_minutes={minutes!r} must be a number greater than 0")

    def settings_of(self, member: int) -> Any:
        """Returns the settings object of one member."""
        return dataclasses.replace(self.settings, **self.members[member].settings)

    def environment_parameters_of(self, member: int) -> dict[str, Any]:
        """Returns the environment parameters of one member."""
        return {**self.environment_parameters, **self.members[member].environment_parameters}


def _check_evaluated(specification: Specification) -> None:
    """Refuses what goes by evaluations on the way where there are none."""
    reached = specification.stop_at_return
    if reached is not None and not (_is_real(reached) and math.isfinite(reached)):
        raise ValueError(f"stop_at_return={reached!r} must be a finite number")
    if specification.stop_on_plateau is not None:
        require_whole("stop_on_plateau", specification.stop_on_plateau, minimum=1)
    for name in ("keep_best", "stop_at_return", "stop_on_plateau"):
        value = getattr(specification, name)
        if value is None or value is False:
            continue
        if specification.evaluation_interval is None or not specification.evaluation_episodes:
            raise ValueError(f"{name}={value} needs evaluation_interval: it would do nothing")


def to_json(specification: Specification) -> dict[str, Any]:
    """Returns the specification as plain JSON data.

    Raises:
        ValueError: a setting holds a function or an array, which a run folder cannot.
    """
    data = {
        field.name: getattr(specification, field.name)
        for field in dataclasses.fields(specification)
    }
    data["settings"] = {
        field.name: _setting_to_json(field, getattr(specification.settings, field.name))
        for field in dataclasses.fields(specification.settings)
    }
    data["environment_parameters"] = {
        name: _plain(f"environment parameter {name}", value)
        for name, value in specification.environment_parameters.items()
    }
    data["members"] = [_member_to_json(member) for member in specification.members]
    return data


def fingerprint(specification: Specification) -> dict[str, str]:
    """Returns a digest of each part that decides over the bits of a run's states and rows.

    The budgets are as they are, one behind the other, since a run may go on with more steps.

    Args:
        specification: the run.
    """
    data = to_json(specification)
    data["settings"] = dict(data["settings"])
    budgets = (*specification.earlier_budgets, data["settings"].pop("total_steps"))
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        for name, value in data.items()
        if name not in _MAY_CHANGE
    } | {BUDGETS: ",".join(map(str, budgets))}


def from_json(data: Any) -> Specification:
    """Rebuilds a specification from what `to_json` returned.

    Configurations from before there were members, with a first seed and a number of seeds, are read
    as the members that they mean.

    Raises:
        ValueError: naming what is missing, unknown or of the wrong kind.
    """
    if not isinstance(data, dict):
        raise ValueError("it does not hold a JSON object")
    names = {field.name for field in dataclasses.fields(Specification)}
    values = {name: value for name, value in data.items() if name in names}
    for name, kind in (("algorithm", str), ("environment", str), ("settings", dict)):
        if not isinstance(values.get(name), kind):
            raise ValueError(f"{name} is missing or not of the right kind")
    if not isinstance(values.get("environment_parameters", {}), dict):
        raise ValueError("environment_parameters is not an object")
    values["settings"] = _settings_from_json(values["algorithm"], values["settings"])
    values["earlier_budgets"] = _to_tuples(values.get("earlier_budgets", []))
    values["imports"] = _to_tuples(values.get("imports", []))
    values["members"] = _members_from_json(data)
    return Specification(**values)


def read_specification(folder: str | Path) -> Specification:
    """Reads the specification of a run from its folder.

    Raises:
        ExperimentError: there is no run in the folder, or its config.json is damaged.
    """
    return read_own_file(folder, CONFIG, from_json, kind="run")


def _member_to_json(member: Member) -> dict[str, Any]:
    data: dict[str, Any] = {"seed": member.seed}
    if member.settings:
        values = member.settings.items()
        data["settings"] = {name: _number_to_json(value) for name, value in values}
    if member.environment_parameters:
        data["environment_parameters"] = dict(member.environment_parameters)
    return data


def _members_from_json(data: dict[str, Any]) -> tuple[Member, ...]:
    if "members" not in data:
        first, count = data.get("seed", 0), data.get("seeds", 1)
        require_whole("seeds", count, minimum=1)
        require_whole("seed", first, minimum=0)
        return make_members(range(first, first + count))
    if not isinstance(data["members"], list):
        raise ValueError("members is not a list")
    return tuple(_member_from_json(*pair) for pair in enumerate(data["members"]))


def _member_from_json(index: int, data: Any) -> Member:
    names = {field.name for field in dataclasses.fields(Member)}
    if not isinstance(data, dict) or not {"seed"} <= data.keys() <= names:
        raise ValueError(f"members[{index}] is not as a run writes it")
    require_whole(f"members[{index}]: seed", data["seed"], minimum=0)
    for name in ("settings", "environment_parameters"):
        if not isinstance(data.get(name, {}), dict):
            raise ValueError(f"members[{index}].{name} is not an object")
    settings = {
        name: float(value) if value in ("inf", "-inf") else value
        for name, value in data.get("settings", {}).items()
    }
    return Member(
        seed=data["seed"],
        settings=settings,
        environment_parameters=data.get("environment_parameters", {}),
    )


def _settings_from_json(algorithm: str, data: dict[str, Any]) -> Any:
    try:
        settings_type = registry.get(algorithm).settings
    except ValueError as error:
        raise ValueError(f"{error}; {_OF_ONES_OWN}") from None
    fields = {field.name: field for field in dataclasses.fields(settings_type)}
    unknown = sorted(data.keys() - fields.keys())
    if unknown:
        raise ValueError(f"{algorithm} has no setting {unknown[0]!r}")
    return settings_type(
        **{name: _setting_from_json(fields[name], value) for name, value in data.items()}
    )


def _setting_to_json(field: "dataclasses.Field[Any]", value: Any) -> Any:
    if value is None or field.metadata["static"]:
        return _plain(f"settings.{field.name}", value)
    if np.ndim(value) != 0:
        raise ValueError(
            f"settings.{field.name}={value} must be one number: members have several between them"
        )
    return _number_to_json(float(value))


def _number_to_json(number: float) -> float | str:
    # JSON has no infinities; a string that `float` reads keeps the file valid everywhere.
    return number if math.isfinite(number) else str(number)


def _setting_from_json(field: "dataclasses.Field[Any]", value: Any) -> Any:
    if value is None or field.metadata["static"]:
        return _to_tuples(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"settings.{field.name}={value!r} is not a number") from None


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(name, item) for item in value]
    if isinstance(value, np.generic) or (hasattr(value, "dtype") and np.ndim(value) == 0):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value} must be finite to be written to {CONFIG}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"{name}={value!r} cannot be written to {CONFIG}, which holds data only: "
        "use a number or a name, or call jaxrl.train from Python"
    )


def _to_tuples(value: Any) -> Any:
    return tuple(_to_tuples(item) for item in value) if isinstance(value, list) else value


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def require_whole(name: str, value: Any, *, minimum: int) -> None:
    """Raises ValueError, naming the value, unless it is a whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name}={value!r} is not a whole number")
    if value < minimum:
        raise ValueError(f"{name}={value} must be at least {minimum}")
