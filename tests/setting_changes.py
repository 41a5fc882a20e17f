"""For every setting of every algorithm: two values of it, and what it acts together with.

A setting that is not named here is changed by itself: a flag is turned, a name becomes each other
one, a number is halved or doubled. What it declares to need is set too. One that changes nothing
then is either not wired, or needs a line in `TOGETHER` (what else makes it show) or in `VALUES`
(between which two values a run as small as these can tell).
"""

import dataclasses

import jax
import numpy as np
from setting_needs import meeting
from small_runs import SMALL, TOTAL_STEPS, corridor

from jaxrl import registry
from jaxrl.networks import (
    CategoricalHead,
    DeterministicHead,
    SquashedGaussianHead,
    actor_critic,
    critic,
    policy_network,
    policy_of_head,
    q_network,
    register_network,
)
from jaxrl.settings import validate
from jaxrl.types import Box

ENVIRONMENTS = {
    "discrete": corridor(),
    "continuous": corridor(continuous=True),
    "image": corridor(shape=(3, 3, 1)),
    "continuous image": corridor(continuous=True, shape=(3, 3, 1)),
}

TOGETHER = {
    "min_temperature": {"temperature_decay": 0.01},
    "min_noise_scale": {"noise_decay": 0.01, "noise_shrink": 0.01, "noise_scale": 0.1},
    "max_noise_scale": {"noise_growth": 100.0, "min_noise_scale": 0.001, "noise_scale": 0.01},
    "tau": {"target_period": 1},
    "target_noise_clip": {"target_noise": 10.0},
    "epsilon_end": {"epsilon_fraction": 0.2},
    "resets": {"num_envs": 4},
    "reset_ratio": {"num_envs": 4},
    "temperature_decay": {"temperature": 100.0, "min_temperature": 1e-9},
}
OTHER = {"hidden_sizes": (3,)}
register_network("other-actor-critic", lambda seen, actions: actor_critic(seen, actions, **OTHER))
register_network("other-q-network", lambda seen, actions: q_network(seen, actions, **OTHER))
register_network("other-search", lambda seen, actions: policy_network(seen, actions, **OTHER))
register_network(
    "other-critic",
    lambda seen, actions: (critic if isinstance(actions, Box) else q_network)(
        seen, actions, **OTHER
    ),
)
register_network(
    "other-deterministic",
    lambda seen, actions: policy_of_head(seen, DeterministicHead(actions), **OTHER),
)
register_network(
    "other-stochastic",
    lambda seen, actions: policy_of_head(
        seen,
        (SquashedGaussianHead if isinstance(actions, Box) else CategoricalHead)(actions),
        **OTHER,
    ),
)

VALUES = {
    "critic": ("default", "other-critic"),
    "policy": ("default", "other-deterministic"),
    ("sac", "policy"): ("default", "other-stochastic"),
    "network": ("default", "other-search"),
    "total_steps": (TOTAL_STEPS, 2 * TOTAL_STEPS),
    "strategy": ("Sep_CMA_ES", "SNES"),
    ("cem", "initial_log_std"): (-4.0, 4.0),
    ("simulated_annealing", "initial_log_std"): (-2.0, 2.0),
    ("hill_climbing", "noise_shrink"): (0.5, 0.01),
    "min_noise_scale": (0.001, 0.5),
    "torso": ("mlp", "cnn"),
    "reset_ratio": (2, 4),
    "sequence_length": (0, 4),
    "action_layer": (0, 1),
    "max_gradient_norm": (0.01, 0.001),
    "actor_learning_rate": (1e-3, 1e-2),
    "value_clip_epsilon": (0.1, 0.001),
    "target_kl": (1.0, 1e-8),
    "target_entropy": (0.3, 0.6),
    "max_kl": (0.01, 1.0),
    "clip_rho": (10.0, 0.1),
    "clip_c": (10.0, 0.1),
    "clip_policy_gradient_rho": (10.0, 0.1),
    "clip_epsilon": (0.2, 1e-3),
    "initial_scale": (1.0, 0.5),
    "max_noise_scale": (2.0, 0.01),
    "optimizer_epsilon": (1e-5, 1e-2),
    "epsilon_start": (1.0, 0.0),
    "epsilon_end": (0.9, 0.0),
    "epsilon_fraction": (1.0, 0.01),
    "temperature": (100.0, 1e-3),
    "temperature_decay": (1.0, 1e-9),
    "min_temperature": (100.0, 1e-3),
    "elite_fraction": (0.25, 1.0),
    "top_fraction": (0.5, 1.0),
    "weight_decay": (0.0, 0.1),
    ("evosax", "learning_rate"): (0.1, 0.01),
}
# The noise shrinks where a candidate was better, which takes more than a few of them.
TOGETHER["hill_climbing", "noise_shrink"] = {"total_steps": 2_000}
for _name in ("hill_climbing", "steepest_ascent"):
    TOGETHER[_name, "min_noise_scale"] = TOGETHER["min_noise_scale"] | {"total_steps": 2_000}
# evosax's default strategy has no optimiser.
TOGETHER["evosax", "learning_rate"] = {"strategy": "Open_ES"}

# A network of one's own takes the place of those that the sizes are of.
for _name in ("a2c", "a3c", "impala", "ppo", "reinforce", "trpo", "dqn", "pqn"):
    _kind = "other-q-network" if _name in ("dqn", "pqn") else "other-actor-critic"
    VALUES[_name, "network"] = ("default", _kind)
    TOGETHER[_name, "network"] = {"hidden_sizes": registry.get(_name).settings().hidden_sizes}


def look_up(table, name, field, default):
    return table.get((name, field), table.get(field, default))


def fields(name):
    return dataclasses.fields(registry.get(name).settings)


def field_of(name, field):
    return next(f for f in fields(name) if f.name == field)


def base_settings(name, field):
    """Small settings with what the field acts together with."""
    known = {f.name for f in fields(name)}
    together = {k: v for k, v in look_up(TOGETHER, name, field, {}).items() if k in known}
    together = meeting(name, field) | together
    return {"total_steps": TOTAL_STEPS} | SMALL.get(name, {}) | together


def candidates(name, field):
    """Values of a setting, of which the first is where it starts from."""
    declared = field_of(name, field)
    value = base_settings(name, field).get(field, declared.default)
    pair = look_up(VALUES, name, field, None)
    choices = declared.metadata.get("choices")
    if pair is not None:
        return pair
    if choices is not None:
        return tuple(dict.fromkeys((value, *choices)))
    if isinstance(value, bool):
        return value, not value
    if isinstance(value, tuple):
        return value, (*value, 5)
    if isinstance(value, float) or not declared.metadata["static"]:
        return value, 0.5 * value if value else 0.5
    return tuple(dict.fromkeys((value, 2 * value, value + 1)))


def make(name, field, value):
    """The settings with one value of a field; None where the declaration does not allow it."""
    config = registry.get(name).settings(**base_settings(name, field) | {field: value})
    try:
        validate(config)
    except ValueError:
        return None
    return config


def build(name, environment, config):
    """The algorithm, or None where the settings do not suit the environment."""
    try:
        return registry.get(name).build(ENVIRONMENTS[environment], config)
    except ValueError:
        return None


def advice(name, field):
    tried = candidates(name, field)
    return (
        f"{field} of {name} changes nothing between {' and '.join(map(repr, tried))} "
        f"with {base_settings(name, field)}. Is it wired? If it does nothing without another "
        "setting, declare that it needs it, beside the field; if it shows with another one only, "
        "add that to TOGETHER in tests/setting_changes.py; if a run of "
        f"{TOTAL_STEPS} steps cannot tell these values apart, add two others to VALUES."
    )


def learnt(state):
    """What differs where something else was learnt or seen: arrays, and no single numbers.

    Some states have a copy of a setting among them, which says nothing of whether it acts.
    """
    leaves = [x for x in jax.tree.leaves(state) if not is_key(x)]
    return [np.asarray(x) for x in leaves if np.ndim(x) > 0]


def is_key(x):
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
