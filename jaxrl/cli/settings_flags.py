"""Flags of an algorithm's settings and of an environment's parameters."""

import ast
import collections.abc
import dataclasses
import functools
import inspect
import operator
import textwrap
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from jaxrl.environments import Parameter
from jaxrl.settings import describe_needs

# What the help shows together. A setting that is not listed is the algorithm's own.
GROUPS = {
    "collection": (
        *("total_steps", "num_envs", "num_steps", "num_workers", "num_episodes", "lag"),
        *("random_steps", "num_updates", "discount", "resets", "reset_ratio"),
        *("episodes_per_candidate", "common_random_numbers"),
    ),
    "memory": (
        *("buffer_size", "batch_size", "n_step", "prioritized", "priority_exponent"),
        "importance_exponent",
    ),
    "network": (
        *("torso", "hidden_sizes", "activation", "compute_dtype", "layer_norm", "network"),
        *("policy", "critic", "num_critics", "action_layer", "dueling", "use_bias"),
        *("shared_torso", "core", "core_size", "shared_core", "sequence_length"),
        *("rescale_actions", "squash_actions", "initial_scale"),
    ),
    "optimiser": (
        *("learning_rate", "learning_rate_schedule", "learning_rate_decay"),
        *("actor_learning_rate", "value_learning_rate", "optimizer", "optimizer_epsilon"),
        *("max_gradient_norm", "weight_decay", "num_epochs", "num_minibatches"),
        *("num_value_epochs", "num_value_steps"),
    ),
    "exploration": (
        *("epsilon_start", "epsilon_end", "epsilon_fraction", "noise", "noise_scale"),
        *("noise_reversion", "noise_time_step", "noise_decay", "min_noise_scale"),
        *("adaptive_noise", "noise_shrink", "noise_growth", "max_noise_scale"),
        *("state_dependent_exploration", "noise_interval", "initial_log_std"),
        *("initial_temperature", "learn_temperature", "target_entropy", "stochastic_policy"),
    ),
    "normalisation": ("normalize_observations", "normalize_rewards"),
}
OWN_GROUP = "algorithm"


def settings_arguments(settings: type, defaults: Any) -> type:
    """A dataclass for the parser with a dataclass per group of settings, whose fields are flags.

    Args:
        settings: the algorithm's settings class.
        defaults: a settings object, whose values are the flags' defaults.
    """
    meanings = field_meanings(settings)
    kinds = setting_kinds(settings)
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    groups: dict[str, list[Any]] = {group: [] for group in (*GROUPS, OWN_GROUP)}
    for field in dataclasses.fields(settings):
        meaning = f"{meanings.get(field.name, '')} {describe_needs(field)}".strip()
        kind = Annotated[kinds[field.name], tyro.conf.arg(help=meaning)]
        value = dataclasses.field(default=getattr(defaults, field.name))
        groups[group_of.get(field.name, OWN_GROUP)].append((field.name, kind, value))
    made = {
        group: dataclasses.make_dataclass(group, fields, frozen=True)
        for group, fields in groups.items()
        if fields
    }
    return dataclasses.make_dataclass(
        "settings",
        [
            (group, Annotated[kind, tyro.conf.OmitArgPrefixes], dataclasses.field(default=kind()))
            for group, kind in made.items()
        ],
        frozen=True,
    )


def setting_kinds(settings: type) -> dict[str, Any]:
    """The type of what is typed for each setting, by its name."""
    hints = get_type_hints(settings)
    return {
        field.name: _flag_type(field, hints[field.name]) for field in dataclasses.fields(settings)
    }


def settings_of(values: Any) -> dict[str, Any]:
    """The settings by name, from a value of the class that `settings_arguments` makes."""
    return {name: value for group in vars(values).values() for name, value in vars(group).items()}


def parameter_arguments(parameters: Mapping[str, Parameter]) -> type:
    """A dataclass for the parser with one field per parameter that can be typed."""
    fields = [
        (name, kind if default is not None else kind | None, dataclasses.field(default=default))
        for name, (given, default) in parameters.items()
        if (kind := given or _numbers(default)) is not None
    ]
    return dataclasses.make_dataclass("environment", fields, frozen=True)


def _numbers(default: Any) -> Any:
    """The type of several numbers behind one flag, where the default is such a tuple."""
    is_tuple = isinstance(default, tuple) and default
    return tuple[float, ...] if is_tuple and all(type(x) is float for x in default) else None


def field_meanings(settings: type) -> dict[str, str]:
    """The string that follows each field in a class's source, by field.

    A class that was typed into an interpreter has no source, and no meanings.
    """
    meanings: dict[str, str] = {}
    for cls in reversed(settings.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
        except (OSError, TypeError, SyntaxError):
            continue
        definition = tree.body[0]
        if not isinstance(definition, ast.ClassDef):
            continue
        for field, after in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                meaning = after.value if isinstance(after, ast.Expr) else None
                if isinstance(meaning, ast.Constant) and isinstance(meaning.value, str):
                    meanings[field.target.id] = inspect.cleandoc(meaning.value)
    return meanings


def _flag_type(field: "dataclasses.Field[Any]", hint: Any) -> Any:
    """The type of what is typed: functions and arrays have no place on a command line."""
    if not field.metadata["static"]:
        return float | None if field.metadata["optional"] else float
    if field.metadata["choices"] is not None:
        return Literal[tuple(field.metadata["choices"])]
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = [kind for kind in members if get_origin(kind) is not collections.abc.Callable]
    return functools.reduce(operator.or_, kinds)
