"""What every registered algorithm promises: `train`, vmap and the run folder need no special case.

An algorithm that is registered later is tested here without a line of its own. One that needs
smaller settings than its defaults, to be quick, gets them in `small_runs.SMALL`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import NAMES, TOTAL_STEPS, build, task
from tiers import named

from jaxrl import environments, train
from jaxrl import runs as run_folders
from jaxrl.runs import checkpoints, load


def assert_close(state, other):
    """Equal types and shapes, equal whole numbers, and floats within rounding."""
    assert jax.tree.structure(state) == jax.tree.structure(other)
    for leaf, expected in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        assert leaf.dtype == expected.dtype
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf, expected = jax.random.key_data(leaf), jax.random.key_data(expected)
        leaf, expected = np.asarray(leaf), np.asarray(expected)
        if np.issubdtype(leaf.dtype, np.floating):
            np.testing.assert_allclose(leaf, expected, rtol=1e-3, atol=1e-4)
        else:
            np.testing.assert_array_equal(leaf, expected)


@pytest.fixture(scope="module")
def runs():
    """Each algorithm's settings as arguments of one program of 64 seeds; compiled once each."""

    @functools.cache
    def of(name):
        traces = []

        @jax.jit
        def run(config, keys):
            traces.append(name)
            return jax.vmap(lambda key: train(key, build(name, config)))(keys)

        return run, traces

    return of


@pytest.mark.parametrize("name", NAMES)
def test_one_program_for_all_values_of_the_floats(runs, name):
    run, traces = runs(name)
    _, config = task(name)
    keys = jax.random.split(jax.random.key(0), 64)
    results = [run(jax.tree.map(lambda x, f=f: f * x, config), keys) for f in (1.0, 0.99)]
    assert len(traces) == 1
    # What was given is what is used.
    leaves = [jax.tree.leaves(result.state) for result in results]
    assert any(np.any(np.asarray(x) != np.asarray(y)) for x, y in zip(*leaves) if not is_key(x))


def is_key(x):
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


@pytest.mark.parametrize("name", named(NAMES, "ppo", "a3c", "reinforce", "dqn", "ddpg", "cem"))
def test_a_seed_among_many_is_the_seed_alone(runs, name):
    run, _ = runs(name)
    _, config = task(name)
    keys = jax.random.split(jax.random.key(0), 64)
    # As in the other test, so that it is the same program.
    together = run(jax.tree.map(lambda x: 1.0 * x, config), keys)
    alone = jax.jit(lambda key: train(key, build(name)))(keys[37])
    assert_close(jax.tree.map(lambda x: x[37], together), alone)


@pytest.mark.parametrize("name", NAMES)
def test_the_fewest_iterations_that_reach_the_budget(runs, name):
    run, _ = runs(name)
    _, config = task(name)
    keys = jax.random.split(jax.random.key(0), 64)
    metrics = run(jax.tree.map(lambda x: 1.0 * x, config), keys).metrics
    algorithm = build(name)
    assert algorithm.total_steps == TOTAL_STEPS
    for steps in np.asarray(metrics["steps"]):
        assert steps.shape == (algorithm.max_iterations,)
        taken = steps[steps >= 0]
        assert (np.diff(taken) > 0).all()
        assert taken[-1] >= TOTAL_STEPS
        assert (taken[:-1] < TOTAL_STEPS).all()
        assert (steps[len(taken) :] == -1).all()
        if algorithm.steps_per_iteration is not None:
            assert (
                np.diff(taken, prepend=algorithm.first_steps) == algorithm.steps_per_iteration
            ).all()
    for name, values in metrics.items():
        assert np.shape(values) == np.shape(metrics["steps"]), name


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@pytest.mark.parametrize("name", named(NAMES, "ppo", "a3c", "reinforce", "dqn", "ddpg", "cem"))
def test_resume_ends_with_the_same_bits(name, tmp_path, monkeypatch):
    environment, config = task(name)
    monkeypatch.setattr(environments, "make_env", lambda *_, **__: environment)
    run = run_folders.Specification(
        algorithm=name,
        environment="probe",
        settings=config,
        members=run_folders.make_members(range(2)),
        log_interval=40,
        evaluation_episodes=0,
        checkpoint_interval=40,
    )
    # The same program both times: what is compiled is not what is tested here.
    prepared = run_folders.prepare(run)
    compiled = run_folders.programs.Programs(prepared, starts_anew=True)
    monkeypatch.setattr(run_folders.runner, "prepare", lambda _: prepared)
    monkeypatch.setattr(run_folders.programs, "Programs", lambda *_, **__: compiled)
    assert run_folders.start(run, tmp_path / "whole").finished
    save = checkpoints.save

    def save_and_die(*arguments, **keywords):
        save(*arguments, **keywords)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save_and_die)
        with pytest.raises(Killed):
            run_folders.start(run, tmp_path / "killed")
    assert run_folders.resume(tmp_path / "killed").finished
    whole, killed = load(tmp_path / "whole"), load(tmp_path / "killed")
    for leaf, other in zip(jax.tree.leaves(whole.states), jax.tree.leaves(killed.states)):
        if is_key(leaf):
            leaf, other = jax.random.key_data(leaf), jax.random.key_data(other)
        assert np.asarray(leaf).tobytes() == np.asarray(other).tobytes()
    rows = [(tmp_path / kind / "metrics.jsonl").read_bytes() for kind in ("whole", "killed")]
    assert rows[0] == rows[1]
