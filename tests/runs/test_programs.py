import dataclasses

import jax
import numpy as np
import pytest
from runs.toy import ToyConfig, specification, toy, toy_environment

from jaxrl.runs import batched
from jaxrl.runs.grouping import Differences
from jaxrl.runs.plan import first_progress, relative_progress
from jaxrl.runs.preparation import check_can_be_evaluated

NOTHING = Differences({}, {})


def construct(config, differences):
    return toy(toy_environment(), dataclasses.replace(config, **differences.settings))


def lowered(config):
    """The program of a chunk as text, which is what the compilation cache looks up."""
    run = dataclasses.replace(specification(), settings=config)
    algorithm = toy(toy_environment(), config)
    chunk = batched.advance_of(construct, algorithm, 2)
    states = batched.state_type(run, construct, NOTHING)
    keys = batched.make_keys(run)
    progress = relative_progress(first_progress(run, algorithm), 0)
    arguments = (config, NOTHING, keys.steps, states, progress, np.int32(0), np.int32(0))
    return jax.jit(chunk).lower(*arguments).as_text()


def test_float_settings_share_one_program_and_others_do_not():
    first = lowered(ToyConfig(learning_rate=0.1))
    assert lowered(ToyConfig(learning_rate=0.7)) == first
    assert lowered(ToyConfig(learning_rate=0.1, sizes=(3, 3))) != first


def test_keys_depend_on_the_number_of_the_seed_only():
    several = batched.make_keys(specification(seeds=3, seed=2**32 - 3))
    alone = batched.make_keys(specification(seeds=1, seed=2**32 - 2))
    for keys, key in zip(several, alone, strict=True):
        assert keys.shape == (3,)
        assert keys[1] == key[0]
    # As `training.train` splits the key of a run.
    expected = jax.random.split(jax.random.key(2**32 - 2), 3)
    assert all(key[0] == other for key, other in zip(alone, expected, strict=True))


def test_states_have_no_weak_types():
    run = specification()
    states = batched.state_type(run, construct, NOTHING)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(states))


def test_no_time_limit_is_found_out_before_training():
    run = specification()
    algorithm = toy(toy_environment(limit=None), run.settings)
    with pytest.raises(ValueError, match="no time limit"):
        check_can_be_evaluated(run, algorithm)
    check_can_be_evaluated(dataclasses.replace(run, evaluation_episodes=0), algorithm)
