"""Population-based training by its name, with words where `population_based` takes objects."""

import ast
import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxrl import registry
from jaxrl.environments import require_environment
from jaxrl.presets import preset_settings
from jaxrl.settings import require_settings, settings, static
from jaxrl.sweeps.population_based import (
    EXPLOITATIONS,
    EXPLORATIONS,
    Settings,
    population_based,
)
from jaxrl.sweeps.spaces import Range, parse_space
from jaxrl.types import Algorithm, Environment

_TRUTH = {"true": True, "false": False}


@settings
class PBTConfig:
    """Settings of population-based training of any algorithm; see `population_based`."""

    total_steps: int = static(1_000_000, minimum=1)
    """Budget in environment steps, of all members together."""
    member_algorithm: str = static("ppo")
    """What a member is: the name of an algorithm."""
    member_settings: tuple[str, ...] = static((), items=str)
    """What all members share, as NAME=VALUE, beside the preset for the environment."""
    space: tuple[str, ...] = static(("learning_rate=log:1e-5..1e-1",), items=str)
    """What the members differ in, as NAME=LOW..HIGH or NAME=log:LOW..HIGH."""
    population_size: int = static(8, minimum=2)
    """Members."""
    interval: int = static(10, minimum=1)
    """Iterations of a member between two times that members copy one another."""
    exploitation: str = static("truncation", choices=EXPLOITATIONS)
    """truncation: the lowest copy the highest; pairwise: each copies a random other if better."""
    fraction: float = static(0.2, needs=("exploitation", "truncation"))
    """Share of the members that copy, above 0 and at most 0.5."""
    exploration: str = static("perturb", choices=EXPLORATIONS)
    """How copied settings vary: multiplied by a factor, drawn anew, or one of both."""
    factors: tuple[float, ...] = static(
        (0.8, 1.2), items=float, needs=("exploration", "perturb", "both")
    )
    """One of them multiplies a copied setting."""
    resample_probability: float = static(
        0.25, minimum=0.0, maximum=1.0, needs=("exploration", "resample", "both")
    )
    """Probability that a copied setting is drawn anew."""


def pbt(environment: Environment, config: PBTConfig) -> Algorithm:
    """Builds population-based training of a registered algorithm (Jaderberg et al., 2017).

    A member starts from the preset of its algorithm for the environment, where there is one; its
    budget is its share of `total_steps`. The policy is that of the best member.

    Args:
        environment: of all members.
        config: the population, and what its members are.

    Raises:
        ValueError: a setting of the population or of its members is wrong.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("Acrobot-v1")
        >>> config = jaxrl.PBTConfig(total_steps=1_000_000, space=("learning_rate=log:1e-5..1e-1",))
        >>> algorithm = jaxrl.pbt(env, config)
        >>> algorithm.total_steps
        1000000
    """
    environment = require_environment(environment)
    require_settings(config, PBTConfig)
    entry = registry.get(config.member_algorithm)
    if entry.settings is PBTConfig:
        raise ValueError(f"member_algorithm={entry.name!r}: a population's members are no others")
    shared = _shared_settings(environment, config)
    names = [field.name for field in dataclasses.fields(shared) if not field.metadata["static"]]
    space = {}
    for name, word in _pairs("space", config.space):
        if name not in names:
            raise ValueError(
                f"space: {name!r} is no number of {entry.name}: it has {', '.join(names)}"
            )
        space[name] = _read_range(name, word)

    def build(own: Settings) -> Algorithm:
        return entry.build(environment, dataclasses.replace(shared, **own))

    return population_based(
        build,
        space,
        population_size=config.population_size,
        interval=config.interval,
        total_steps=config.total_steps,
        exploitation=config.exploitation,
        fraction=config.fraction if config.exploitation == "truncation" else None,
        exploration=config.exploration,
        factors=config.factors if config.exploration != "resample" else None,
        resample_probability=(
            config.resample_probability if config.exploration != "perturb" else None
        ),
    )


def _shared_settings(environment: Environment, config: PBTConfig) -> Any:
    """The settings of a member before it has any of its own."""
    pairs = _pairs("member_settings", config.member_settings)
    given = {name: _read_value(word) for name, word in pairs}
    for field in dataclasses.fields(registry.get(config.member_algorithm).settings):
        # One layer is a list of layers, too.
        if isinstance(field.default, tuple) and isinstance(given.get(field.name), int):
            given[field.name] = (given[field.name],)
    searched = {name for name, _ in _pairs("space", config.space)}
    for name in given:
        if name == "total_steps":
            raise ValueError(
                "member_settings: the budget of a member is its share of the population's "
                "total_steps"
            )
        if name in searched:
            raise ValueError(f"member_settings: {name} is in the space, too")
    steps = max(config.total_steps // config.population_size, 1)
    try:
        return preset_settings(
            config.member_algorithm, environment.name, total_steps=steps, **given
        )
    except ValueError as error:
        raise ValueError(f"member_settings: {error}") from None


def _pairs(field: str, words: Sequence[str]) -> list[tuple[str, str]]:
    """The names and values of words such as `learning_rate=log:1e-5..1e-1`."""
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip().replace("-", "_")
        if not (equals and name and value):
            raise ValueError(f"{field}: {word!r} must be NAME=VALUE")
        if name in dict(pairs):
            raise ValueError(f"{field}: {name} is given twice")
        pairs.append((name, value.strip()))
    return pairs


def _read_range(name: str, word: str) -> Range:
    try:
        found = parse_space(word, str, whole=False)
    except ValueError as error:
        raise ValueError(f"space: {name}: {error}") from None
    if not isinstance(found, Range):
        raise ValueError(f"space: {name}={word} must be a range, such as 0.8..1.0")
    return found


def _read_value(word: str) -> Any:
    """A number, a list of them such as 64x64, a flag, or else a name."""
    if word.lower() in _TRUTH:
        return _TRUTH[word.lower()]
    parts = word.split("x")
    if len(parts) > 1 and all(part.isdecimal() for part in parts):
        return tuple(map(int, parts))
    try:
        return ast.literal_eval(word)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return word


registry.register_own(
    "pbt", PBTConfig, pbt, "Population-based training of any of these (Jaderberg et al., 2017)."
)
