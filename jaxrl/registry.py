"""Names of algorithms, and the settings and constructor behind each."""

import dataclasses
import difflib
import re
from collections.abc import Callable
from typing import Any

from jaxrl.actor_critic.ddpg import DDPGConfig, ddpg
from jaxrl.actor_critic.sac import SACConfig, sac
from jaxrl.actor_critic.td3 import TD3Config, td3
from jaxrl.policy_gradient.a2c import A2CConfig, a2c
from jaxrl.policy_gradient.a3c import A3CConfig, a3c
from jaxrl.policy_gradient.impala import IMPALAConfig, impala
from jaxrl.policy_gradient.ppo import PPOConfig, ppo
from jaxrl.policy_gradient.reinforce import ReinforceConfig, reinforce
from jaxrl.policy_gradient.trpo import TRPOConfig, trpo
from jaxrl.q_learning.dqn import DQNConfig, dqn
from jaxrl.q_learning.pqn import PQNConfig, pqn
from jaxrl.search.ars import ARSConfig, ars
from jaxrl.search.cem import CEMConfig, cem
from jaxrl.search.evosax_search import EvosaxConfig, evosax_search
from jaxrl.search.hill_climbing import HillClimbingConfig, hill_climbing
from jaxrl.search.openes import OpenESConfig, openes
from jaxrl.search.simulated_annealing import SimulatedAnnealingConfig, simulated_annealing
from jaxrl.search.steepest_ascent import SteepestAscentConfig, steepest_ascent
from jaxrl.types import Algorithm, Environment


@dataclasses.dataclass(frozen=True)
class Entry:
    """One algorithm as the command line and the run folder know it.

    Attributes:
        name: what users type.
        settings: the settings class; all of its fields have defaults.
        build: (environment, settings object) -> Algorithm.
        description: one line for people.
    """

    name: str
    settings: type
    build: Callable[[Environment, Any], Algorithm]
    description: str


_entries: dict[str, Entry] = {}
_own_names: set[str] = set()


def register(
    name: str,
    settings: type,
    build: Callable[[Environment, Any], Algorithm],
    *,
    description: str = "",
) -> Entry:
    """Makes an algorithm known by a name, so that `jaxrl train NAME ...` finds it.

    Registering a name again replaces it, so that a notebook's cell can run twice; the names that
    come with the library cannot be replaced.

    Args:
        name: lower-case letters, digits, dots, dashes and underscores, beginning with a letter.
        settings: a class made with `jaxrl.settings.settings`, with a field `total_steps`.
        build: (environment, settings object) -> Algorithm.
        description: one line; the first line of `build`'s docstring if it is not given.

    Returns:
        The entry.

    Raises:
        ValueError: the name or the settings class cannot be used.
    """
    if not re.fullmatch(r"[a-z][a-z0-9._-]*", name):
        raise ValueError(
            f"algorithm name {name!r} must be lower-case letters, digits, '.', '-' and '_', "
            "beginning with a letter"
        )
    if name in _own_names:
        raise ValueError(f"{name!r} is an algorithm of the library: choose another name")
    _check_settings(name, settings)
    if not description:
        description = (build.__doc__ or "").strip().partition("\n")[0]
    _entries[name] = Entry(name=name, settings=settings, build=build, description=description)
    return _entries[name]


def register_own(
    name: str, settings: type, build: Callable[[Environment, Any], Algorithm], description: str
) -> None:
    """Registers an algorithm of the library itself, whose name users cannot take."""
    register(name, settings, build, description=description)
    _own_names.add(name)


def get(name: str) -> Entry:
    """The algorithm of that name.

    Raises:
        ValueError: there is none; the message gives the nearest names.
    """
    if name not in _entries:
        near = difflib.get_close_matches(name.lower(), _entries, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names())}"
        raise ValueError(f"unknown algorithm {name!r}: {hint}")
    return _entries[name]


def names() -> list[str]:
    """The names of all algorithms, in alphabetical order."""
    return sorted(_entries)


def _check_settings(name: str, settings: type) -> None:
    if not dataclasses.is_dataclass(settings):
        raise ValueError(
            f"the settings of {name!r} must be a class made with jaxrl.settings.settings"
        )
    fields = {field.name: field for field in dataclasses.fields(settings)}
    if "total_steps" not in fields:
        raise ValueError(f"the settings of {name!r} lack the field total_steps")
    for field in fields.values():
        if field.default is dataclasses.MISSING or "static" not in field.metadata:
            raise ValueError(
                f"the setting {field.name} of {name!r} must be declared as "
                "jaxrl.settings.number(default) or static(default)"
            )


_OWN = (
    ("a2c", A2CConfig, a2c, "Advantage actor-critic (Mnih et al., 2016)."),
    ("a3c", A3CConfig, a3c, "Asynchronous advantage actor-critic (Mnih et al., 2016)."),
    ("ddpg", DDPGConfig, ddpg, "Deep deterministic policy gradient (Lillicrap et al., 2016)."),
    ("dqn", DQNConfig, dqn, "Deep Q-network (Mnih et al., 2015), double, dueling, prioritised."),
    ("impala", IMPALAConfig, impala, "Stale actors with V-trace (Espeholt et al., 2018)."),
    ("ppo", PPOConfig, ppo, "Proximal policy optimisation (Schulman et al., 2017)."),
    ("pqn", PQNConfig, pqn, "Q-learning without replay or targets (Gallici et al., 2024)."),
    ("reinforce", ReinforceConfig, reinforce, "Score-function gradient (Williams, 1992)."),
    ("sac", SACConfig, sac, "Soft actor-critic (Haarnoja et al., 2018), also of discrete actions."),
    ("td3", TD3Config, td3, "Twin delayed deterministic policy gradient (Fujimoto et al., 2018)."),
    ("trpo", TRPOConfig, trpo, "Trust region policy optimisation (Schulman et al., 2015)."),
    ("ars", ARSConfig, ars, "Augmented random search, V1 and V2 (Mania et al., 2018)."),
    ("cem", CEMConfig, cem, "The cross-entropy method on policy parameters (Rubinstein, 1999)."),
    ("evosax", EvosaxConfig, evosax_search, "Any strategy of evosax: CMA-ES, SNES, PGPE, ..."),
    ("hill_climbing", HillClimbingConfig, hill_climbing, "Hill climbing with adaptive noise."),
    ("openes", OpenESConfig, openes, "Evolution strategies (Salimans et al., 2017)."),
    (
        "simulated_annealing",
        SimulatedAnnealingConfig,
        simulated_annealing,
        "Simulated annealing of policy parameters (Kirkpatrick et al., 1983).",
    ),
    (
        "steepest_ascent",
        SteepestAscentConfig,
        steepest_ascent,
        "Hill climbing to the best of several neighbours.",
    ),
)
for _name, _settings, _build, _description in _OWN:
    register_own(_name, _settings, _build, _description)
