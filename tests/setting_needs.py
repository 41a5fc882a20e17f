"""For every need of a setting: other settings that meet it, and others that do not.

A need is known by its text. One of another setting's value meets itself, and is not in the table.
"""

import ast
import dataclasses

import optax

from jaxrl import registry

# Settings that meet the need, and settings that do not.
TABLE = {
    "an optimizer that is a name": ({}, {"optimizer": optax.scale_by_adam()}),
    "hidden_sizes other than ()": ({"hidden_sizes": (4,)}, {"hidden_sizes": ()}),
    "num_steps other than 1": ({"num_steps": 8}, {"num_steps": 1}),
    "priority_exponent other than 0.0": ({}, {"priority_exponent": 0.0}),
    "target_noise other than 0.0": ({}, {"target_noise": 0.0}),
    "line_search_steps other than 1": ({"line_search_steps": 2}, {"line_search_steps": 1}),
    "num_directions other than 1": ({"num_directions": 2}, {"num_directions": 1}),
    "more than one gradient step per rollout": (
        {"num_minibatches": 2},
        {"num_minibatches": 1, "num_epochs": 1},
    ),
    "an epsilon_end other than epsilon_start": ({}, {"epsilon_start": 0.5, "epsilon_end": 0.5}),
    "hidden_sizes or a convolution": ({}, {"hidden_sizes": (), "torso": "mlp"}),
    # Known with the environment or the networks only.
    "the default network": ({}, None),
    "Box actions": ({}, None),
    "core='gru' or core='lstm', or a network of one's own with memory": ({"core": "gru"}, None),
}

# Of names and flags, a value that is none of those that are needed.
OTHERS = {
    "core": "none",
    "noise": "gaussian",
    "credit": "total",
    "baseline": "none",
    "prioritized": False,
    "resets": "cached",
    "learn_temperature": False,
    "state_dependent_exploration": False,
    "adaptive_noise": False,
    "stochastic_policy": False,
}


def met_and_unmet(need):
    """Settings that meet a need, and settings that do not, or None where none decide it alone."""
    if need.text in TABLE:
        return TABLE[need.text]
    (field,) = need.fields
    value = need.text.split(" or ")[0].removeprefix(f"{field}=")
    return {field: ast.literal_eval(value)}, {field: OTHERS[field]}


def needs_of(name, field):
    """The needs of a field of a registered algorithm."""
    fields = {f.name: f for f in dataclasses.fields(registry.get(name).settings)}
    return fields[field].metadata.get("needs") or ()


def meeting(name, field):
    """Settings that meet all needs of a field of a registered algorithm."""
    met = {}
    for need in needs_of(name, field):
        met |= met_and_unmet(need)[0]
    return met
