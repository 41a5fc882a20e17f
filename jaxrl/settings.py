"""Settings: frozen pytree dataclasses whose floats trace and whose shapes do not.

A settings class is declared with `@settings`; each field is `number(...)` (a leaf: it can be traced
and vmapped) or `static(...)` (part of the program's shape). Limits are declared with the field and
checked by `validate`, which names the field, the value and what would be right. So is what else a
field needs to do anything: a value that would be ignored is refused.
"""

import collections.abc
import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer

from jaxrl.types import Box, ObservationSpace, Space

__all__ = [
    "ALIASES",
    "BOX_ACTIONS",
    "MAX_BUDGET",
    "MAX_STEPS",
    "Need",
    "Surroundings",
    "check_budget",
    "check_use",
    "default_network",
    "describe_needs",
    "number",
    "require_scalars",
    "require_settings",
    "require_single_precision",
    "require_whole",
    "settings",
    "static",
    "unless",
    "validate",
]

T = TypeVar("T")

ALIASES = {
    "lr": "learning_rate",
    "gamma": "discount",
    "n_envs": "num_envs",
    "n_steps": "num_steps",
    "n_epochs": "num_epochs",
    "timesteps": "total_steps",
    "total_timesteps": "total_steps",
    "num_timesteps": "total_steps",
    "ent_coef": "entropy_coefficient",
    "vf_coef": "value_coefficient",
    "clip_range": "clip_epsilon",
    "clip_eps": "clip_epsilon",
    "clip_coef": "clip_epsilon",
    "max_grad_norm": "max_gradient_norm",
    "lam": "gae_lambda",
    "learning_starts": "random_steps",
    "gradient_steps": "num_updates",
    "target_update_interval": "target_period",
    "polyak": "tau",
}
"""What other libraries call a setting, and its name here."""


class Surroundings(NamedTuple):
    """What an algorithm is built for, beside its settings.

    Attributes:
        observation_space: of the observations.
        action_space: of the actions.
        networks: what was given for each network that the constructor takes; None: nothing.
    """

    observation_space: ObservationSpace
    action_space: Space
    networks: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Need:
    """A condition without which a setting does nothing.

    Attributes:
        text: the condition in words, such as "core='gru'".
        is_met: (settings object, Surroundings) -> bool; the latter is None where nothing but the
            settings is known, and what depends on it counts as met then.
        fields: the other settings that it is about; one that is traced counts as right.
        found: (Surroundings) -> what there is instead, in words; None: the fields' values.
        in_help: whether a command line can fail to meet it.
    """

    text: str
    is_met: Callable[[Any, Surroundings | None], bool]
    fields: tuple[str, ...] = ()
    found: Callable[[Surroundings], str] | None = None
    in_help: bool = True


Needs: TypeAlias = Need | tuple[Any, ...]
"""One need, or several that must all be met; `("core", "gru")` stands for `core="gru"`, and more
names or values for any of them."""


def unless(field: str, value: Any) -> Need:
    """The need that another setting is not a certain value, in one member of a batch at least."""

    def is_met(config: Any, _: Surroundings | None) -> bool:
        return _differs(getattr(config, field), value)

    return Need(f"{field} other than {value!r}", is_met, fields=(field,))


def default_network(name: str | None = None) -> Need:
    """The need that a network is the default one.

    Args:
        name: the constructor's argument for it; None: any of its networks.
    """

    def is_met(_: Any, surroundings: Surroundings | None) -> bool:
        if surroundings is None:
            return True
        networks = surroundings.networks
        return any(networks[x] is None for x in ([name] if name else networks))

    def found(surroundings: Surroundings) -> str:
        return f"another is given as {' and '.join([name] if name else surroundings.networks)}"

    return Need("the default network", is_met, found=found, in_help=False)


BOX_ACTIONS = Need(
    "Box actions",
    lambda _, surroundings: surroundings is None or isinstance(surroundings.action_space, Box),
    found=lambda surroundings: f"the actions are {surroundings.action_space}",
)


def number(
    default: Any,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    open_minimum: bool = False,
    optional: bool = False,
    needs: Needs | None = None,
) -> Any:
    """A float setting: a pytree leaf, finite unless its default is infinite.

    Args:
        default: the value.
        minimum: the least allowed value.
        maximum: the largest allowed value.
        open_minimum: whether the minimum itself is too small.
        optional: whether None is allowed, which switches the feature off.
        needs: without which another value than the default would do nothing and is refused; None:
            what the field of a base class needs that this one takes the place of.
    """
    limits = {"minimum": minimum, "maximum": maximum, "open_minimum": open_minimum}
    return dataclasses.field(
        default=default,
        metadata={"static": False, "optional": optional, "needs": _as_needs(needs), **limits},
    )


def static(
    default: Any,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    choices: Sequence[Any] | None = None,
    takes: Callable[[str, Any], bool] | None = None,
    items: type = int,
    needs: Needs | None = None,
) -> Any:
    """A setting that changes a shape or the program: a count, size, flag, name or function.

    Args:
        default: the value.
        minimum: the least allowed value.
        maximum: the largest allowed value.
        choices: the allowed names; where the field also takes a function, any callable passes.
        takes: (field's name, value that is no choice) -> whether it is of another kind that the
            field takes; a ValueError says why one of that kind cannot be used. None: as in the base
            class whose field this one takes the place of.
        items: int, float or str: what a tuple holds, where the default is one.
        needs: as for `number`.
    """
    limits = {"minimum": minimum, "maximum": maximum, "open_minimum": False}
    given = {"choices": choices, "takes": takes, "items": items, "needs": _as_needs(needs)}
    return dataclasses.field(default=default, metadata={"static": True, **given, **limits})


def _as_needs(needs: Needs | None) -> tuple[Need, ...] | None:
    if needs is None or isinstance(needs, Need):
        return needs if needs is None else (needs,)
    if needs and isinstance(needs[0], str):
        return (_one_of(*needs),)
    return tuple(need if isinstance(need, Need) else _one_of(*need) for need in needs)


def _one_of(field: str, *values: Any) -> Need:
    """The need that another setting is one of some values."""
    text = " or ".join(f"{field}={value!r}" for value in values)
    return Need(text, lambda config, _: getattr(config, field) in values, fields=(field,))


@dataclass_transform(frozen_default=True, field_specifiers=(number, static))
def settings(cls: type[T]) -> type[T]:
    """Makes a class a frozen, keyword-only dataclass and a pytree whose leaves are its numbers."""
    _inherit_declarations(cls)
    cls.__post_init__ = _to_single_precision  # pyright: ignore[reportAttributeAccessIssue]
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    fields: Any = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    cls.__init__ = _knowing_names(cls.__init__, [field.name for field in fields])
    # A float may be a tracer or a batch, and what is wrong gets `validate`'s message instead.
    typing.no_type_check(cls.__init__)
    return jax.tree_util.register_dataclass(
        cls,
        data_fields=[f.name for f in fields if not f.metadata["static"]],
        meta_fields=[f.name for f in fields if f.metadata["static"]],
    )


def _knowing_names(init: Callable[..., None], names: Sequence[str]) -> Callable[..., None]:
    """The same, but a setting that there is not is answered with the nearest name."""

    @functools.wraps(init)
    def __init__(self: Any, **given: Any) -> None:  # noqa: N807 - messages name it.
        for name in given:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                known = ALIASES.get(name) if ALIASES.get(name) in names else (near or [None])[0]
                hint = f": did you mean {known}?" if known else f": it has {', '.join(names)}"
                raise TypeError(f"{type(self).__name__} has no setting {name!r}{hint}")
        init(self, **given)

    return __init__


def _inherit_declarations(cls: type) -> None:
    """Gives a field what the one that it takes the place of needs, and what kinds it takes."""
    for name, field in vars(cls).items():
        if not isinstance(field, dataclasses.Field):
            continue
        inherited: dict[str, Any] = {"needs": None, "takes": None}
        for base in reversed(cls.__mro__[1:]):
            overridden = vars(base).get("__dataclass_fields__", {}).get(name)
            inherited |= {} if overridden is None else dict(overridden.metadata)
        metadata = dict(field.metadata)
        for key in ("needs", "takes"):
            if metadata.get(key) is None:
                metadata[key] = inherited[key]
        field.metadata = types.MappingProxyType(metadata)


def _to_single_precision(config: Any) -> None:
    """Gives numbers of 64 bits, as `jax_enable_x64` makes them, the 32 of all that they meet."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        # JAX also builds one from placeholders, which have a type but no value.
        is_array = isinstance(value, jax.Array | np.ndarray | np.generic)
        if not field.metadata["static"] and is_array and value.dtype == np.float64:
            # A plain number takes the type of what it meets.
            single = float(value) if isinstance(value, float) else value.astype(np.float32)
            object.__setattr__(config, field.name, single)


def validate(config: Any) -> None:
    """Checks every field of a settings object against its declaration.

    Traced values are not known yet and pass; a batch is checked whole.

    Raises:
        ValueError: naming the field, the value and what would be right; or what the field needs,
            where the value would do nothing.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata["static"] and _is_traced(value):
            raise ValueError(
                f"{field.name} changes the program and cannot be traced: build one algorithm per "
                "value"
            )
        if isinstance(value, Tracer):
            continue
        if field.metadata["static"]:
            _validate_static(field, value)
        elif not (value is None and field.metadata["optional"]):
            _validate_number(field, value)
    _check_needs(config, None)


def check_use(
    config: Any, observation_space: ObservationSpace, action_space: Space, **networks: Any
) -> None:
    """Refuses values that the spaces, or networks of the user's own, leave without any use.

    Args:
        config: the settings.
        observation_space: of the observations.
        action_space: of the actions.
        **networks: each network that the constructor takes, by its argument; None: the default one.

    Raises:
        ValueError: naming the field, the value and what it needs.
    """
    _check_needs(config, Surroundings(observation_space, action_space, networks))


def describe_needs(field: "dataclasses.Field[Any]") -> str:
    """What a field needs, in a sentence for people; empty where a command line always meets it."""
    texts = [need.text for need in field.metadata.get("needs") or () if need.in_help]
    return f"Needs {' and '.join(texts)}." if texts else ""


def _check_needs(config: Any, surroundings: Surroundings | None) -> None:
    """Refuses values that differ from their defaults, and whose needs are not met."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Tracer) or not _differs(value, field.default):
            continue
        for need in field.metadata.get("needs") or ():
            around = {name: getattr(config, name) for name in need.fields}
            if any(isinstance(x, Tracer) for x in around.values()):
                continue
            if not need.is_met(config, surroundings):
                found = ", ".join(f"{name}={_shown(x)}" for name, x in around.items())
                if need.found is not None and surroundings is not None:
                    found = need.found(surroundings)
                raise ValueError(
                    f"{field.name}={_shown(value)} needs {need.text}, but {found}: it would do "
                    "nothing"
                )


def _differs(value: Any, default: Any) -> bool:
    """Whether a value, or one of a batch, is another than the default, in single precision."""
    if value is None or default is None:
        return value is not default
    if isinstance(default, float):
        return bool(np.any(np.asarray(value, np.float32) != np.float32(default)))
    return bool(np.any(value != default))


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, np.ndarray | np.generic | jax.Array) else repr(value)


def require_scalars(config: Any) -> None:
    """Refuses a settings object that holds several values of a number: one algorithm takes one.

    Raises:
        ValueError: naming the field and how to use several values.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not field.metadata["static"] and np.ndim(value) > 0:
            raise ValueError(
                f"{field.name} has shape {np.shape(value)}: for several values, vmap a function "
                "that builds the algorithm"
            )


def require_settings(config: Any, kind: type) -> None:
    """Refuses what is not one setting of an algorithm.

    Args:
        config: the settings; traced values pass.
        kind: the class that the algorithm takes.

    Raises:
        ValueError: another class, a wrong value, or several values of a number.
    """
    if not isinstance(config, kind):
        given = config.__name__ if isinstance(config, type) else type(config).__name__
        hint = ""
        if isinstance(config, type) and issubclass(config, kind):
            hint = f": use {given}()"
        elif isinstance(config, dict):
            hint = f": use {kind.__name__}(**settings)"
        elif given == "Environment":
            hint = ": the environment comes first, the settings after it"
        raise ValueError(f"settings of class {kind.__name__} are needed here, not {given}{hint}")
    validate(config)
    require_scalars(config)


def _is_traced(value: Any) -> bool:
    """Whether a value, or one in a tuple, is known only when the program runs."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


def _validate_number(field: "dataclasses.Field[Any]", value: Any) -> None:
    if isinstance(value, str | bytes | bool):
        # numpy would read the number in it, and the program would not.
        raise ValueError(f"{field.name}={value!r} is not a number")
    try:
        values = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{field.name}={value!r} is not a number") from None
    if np.isnan(values).any():
        raise ValueError(f"{field.name}={value} is not a number")
    if np.isinf(values).any() and field.default not in (math.inf, -math.inf):
        raise ValueError(f"{field.name}={value} must be finite")
    _check_limits(field, value, values)
    require_single_precision(field.name, value)


def require_single_precision(name: str, value: Any) -> None:
    """Checks that numbers are numbers in float32 too, in which every program computes.

    Args:
        name: for the message.
        value: a number or an array of them; infinities pass.

    Raises:
        ValueError: one is beyond float32, or would be 0 there.
    """
    sizes = np.abs(np.asarray(value, dtype=float))
    limits = np.finfo(np.float32)
    if (np.isfinite(sizes) & (sizes > float(limits.max))).any():
        raise ValueError(f"{name}={value} is beyond float32, whose largest number is 3.4e+38")
    if ((sizes > 0) & (sizes < float(limits.tiny))).any():
        raise ValueError(f"{name}={value} is 0 in float32, whose smallest number is 1.2e-38")


def _validate_static(field: "dataclasses.Field[Any]", value: Any) -> None:
    choices = field.metadata["choices"]
    if choices is not None:
        is_choice = isinstance(value, collections.abc.Hashable) and value in choices
        if not is_choice and not _takes(field, value):
            raise ValueError(f"{field.name}={value!r} is not one of {', '.join(map(str, choices))}")
    elif isinstance(field.default, bool):
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{field.name}={value!r} is not True or False")
    elif isinstance(field.default, int):
        if not _is_whole(value):
            raise ValueError(f"{field.name}={value!r} is not a whole number{_hint(value)}")
        _check_limits(field, value, np.asarray(value))
    elif isinstance(field.default, float):
        _validate_number(field, value)
    elif isinstance(field.default, tuple):
        is_item, items = _ITEMS[field.metadata["items"]]
        if not isinstance(value, tuple) or not all(map(is_item, value)):
            raise ValueError(f"{field.name}={value!r} is not a tuple of {items}")
        if field.metadata["items"] is not str:
            _check_limits(field, value, np.asarray(value))
    elif isinstance(field.default, str) and not isinstance(value, str):
        raise ValueError(f"{field.name}={value!r} is not a name")


def _takes(field: "dataclasses.Field[Any]", value: Any) -> bool:
    """Whether a field with choices takes what is none of them."""
    takes = field.metadata.get("takes")
    if takes is not None:
        return takes(field.name, value)
    return "Callable" in str(field.type) and callable(value)


def _hint(value: Any) -> str:
    """How to write a whole number that is of another type."""
    if isinstance(value, bool) or np.ndim(value) != 0:
        return ""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return ""
    is_text = isinstance(value, str | bytes)
    return f" of type int: write {int(number)}" if number.is_integer() and not is_text else ""


def require_whole(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> None:
    """Checks an argument that is part of the program's shape.

    Raises:
        ValueError: it is traced, not a whole number, or out of range.
    """
    if isinstance(value, Tracer):
        raise ValueError(f"{name} changes the program and cannot be traced: give a plain number")
    if not _is_whole(value):
        raise ValueError(f"{name}={value!r} is not a whole number")
    if value < minimum:
        raise ValueError(f"{name}={value} must be at least {minimum}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name}={value} must be at most {maximum}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_ITEMS: dict[type, tuple[Callable[[Any], bool], str]] = {
    int: (_is_whole, "whole numbers"),
    float: (_is_finite, "finite numbers"),
    str: (_is_text, "words"),
}


def _check_limits(
    field: "dataclasses.Field[Any]", value: Any, values: "np.ndarray[Any, Any]"
) -> None:
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    if field.metadata["open_minimum"] and (values <= minimum).any():
        raise ValueError(f"{field.name}={value} must be greater than {minimum:.15g}")
    if (values < minimum).any():
        raise ValueError(f"{field.name}={value} must be at least {minimum:.15g}")
    if (values > maximum).any():
        raise ValueError(f"{field.name}={value} must be at most {maximum:.15g}")


# The device counts in int32: iterations, updates, and the steps of one part of a run.
MAX_STEPS = 2**31 - 1
# The host counts the steps of a whole run; a file keeps whole numbers exactly up to here.
MAX_BUDGET = 2**53


def check_budget(
    config: Any, batch_size: int, batch_name: str, *, counts_per_iteration: int = 1
) -> None:
    """Checks that the device can count what a run with `total_steps` makes it count.

    Args:
        config: settings with a field `total_steps`.
        batch_size: steps of an iteration, or the most of them.
        batch_name: what they are, in words.
        counts_per_iteration: how far an iteration moves the counter that runs fastest, such as
            that of the updates.

    Raises:
        ValueError: it cannot.
    """
    if batch_size > MAX_STEPS:
        raise ValueError(
            f"{batch_name} = {batch_size} are too many: they must stay at most {MAX_STEPS}"
        )
    iterations = -(-config.total_steps // batch_size)
    if iterations * counts_per_iteration > MAX_STEPS:
        counts = f" with {counts_per_iteration} updates or steps each"
        raise ValueError(
            f"total_steps={config.total_steps} are {iterations} iterations"
            f"{counts if counts_per_iteration > 1 else ''}, and at most {MAX_STEPS} can be "
            f"counted: take more than {batch_name} = {batch_size}"
        )
