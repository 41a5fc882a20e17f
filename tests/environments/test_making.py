"""Names, parameters and data sets."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax import registration
from gymnax.environments.classic_control.cartpole import CartPole

from jaxrl.environments import available_environments, make_env, require_environment
from jaxrl.environments.parameters import replace_parameters
from jaxrl.types import Discrete


def refused(message, *arguments, **parameters):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        make_env(*arguments, **parameters)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CartPole-v2", "did you mean CartPole-v1?"),
        ("cartpole", "did you mean CartPole-v1?"),
        ("Breakout", "did you mean Breakout-MinAtar?"),
        ("qqqqq", "there are CartPole-v1, Pendulum-v1"),
        ("", "there are CartPole-v1"),
    ],
)
def test_unknown_environments(name, hint):
    refused(f"unknown environment {name!r}: {hint}", name)


def test_what_is_no_environment():
    refused("an environment is a name or a gymnax Environment object, not 3", 3)
    refused("CartPole is a class: pass an object of it, such as CartPole()", CartPole)
    refused("CartPole-v1 is a jaxrl environment already", make_env("CartPole-v1"))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("CartPole-v1", {"gravty": 3.0}, "no parameter 'gravty'; did you mean gravity? (it has"),
        ("Catch-bsuite", {"row": 3}, "did you mean rows? (it has rows, columns, max_steps"),
        ("CartPole-v1", {"gravity": "much"}, "gravity='much' is not a number"),
        ("CartPole-v1", {"gravity": None}, "gravity=None is not a number"),
        ("CartPole-v1", {"gravity": float("nan")}, "gravity=nan is not a number"),
        ("CartPole-v1", {"gravity": [1.0, 2.0]}, "gravity has shape (2,), expected ()"),
        ("Acrobot-v1", {"available_torque": [1.0]}, "available_torque has shape (1,), expected (3"),
        ("CartPole-v1", {"max_steps_in_episode": 0}, "must be a whole number, at least 1"),
        ("CartPole-v1", {"max_steps_in_episode": 2.5}, "2.5 is not a whole number"),
        ("CartPole-v1", {"max_steps_in_episode": 10**12}, "must lie between"),
        ("BernoulliBandit-misc", {"max_steps_in_episode": np.inf}, "must be a whole number"),
        ("DeepSea-bsuite", {"deterministic": 3}, "deterministic=3 is not True or False"),
        ("Catch-bsuite", {"rows": 0}, "cannot make Catch-bsuite with rows=0: "),
        ("MetaMaze-misc", {"maze_size": 4}, "cannot make MetaMaze-misc with maze_size=4: "),
        ("FrozenLake-misc", {"map_name": "9x9"}, "map_name must be '4x4' or '8x8'"),
    ],
)
def test_wrong_parameters(name, parameters, message):
    refused(message, name, **parameters)


def test_constructor_arguments():
    assert make_env("FrozenLake-misc", map_name="8x8").max_episode_steps == 200
    environment = make_env("Catch-bsuite", rows=6, max_steps_in_episode=9)
    assert environment.observation_space.shape == (6, 5)
    assert environment.max_episode_steps == 9


def test_user_registered_environments(monkeypatch):
    monkeypatch.setattr(registration, "_registry", dict(registration._registry))
    names = list(registration.registered_envs)
    seen = []

    def factory(**options):
        seen.append(options)
        return CartPole()

    registration.register("Mine-v0", factory)
    try:
        assert "Mine-v0" in available_environments()
        environment = make_env("Mine-v0", gravity=3.0, colour="red")
    finally:
        registration.registered_envs[:] = names
    assert environment.name == "Mine-v0"
    assert seen[-1] == {"colour": "red"}


def one_step(**parameters):
    environment = make_env("CartPole-v1", **parameters)
    state, _ = environment.reset(jax.random.key(0))
    return environment.step(jax.random.key(1), state, jnp.int32(1))[1].observation


def test_a_parameter_can_be_vmapped_with_one_trace():
    num_traces = 0

    def run(gravity, masspole):
        nonlocal num_traces
        num_traces += 1
        return one_step(gravity=gravity, masspole=masspole)

    gravities, masses = jnp.array([9.8, 1.6, 24.8]), jnp.array([0.1, 0.1, 0.9])
    batched = jax.jit(jax.vmap(run))
    together = batched(gravities, masses)
    batched(gravities + 1, masses)
    assert num_traces == 1
    alone = [one_step(gravity=float(g), masspole=float(m)) for g, m in zip(gravities, masses)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5)
    assert len(np.unique(np.asarray(together)[:, 3])) == 3


def test_derived_parameters_follow():
    environment = CartPole()
    params = environment.default_params

    def changed(**changes):
        result = replace_parameters(environment, params, changes, name="CartPole-v1")
        return result.total_mass, result.polemass_length

    assert changed(gravity=3.0) == (params.total_mass, params.polemass_length)
    assert changed(masspole=0.5) == pytest.approx((1.5, 0.25))
    assert changed(masscart=2.0, length=1.0) == pytest.approx((2.1, 0.1))
    assert changed(masspole=0.5, total_mass=9.0) == pytest.approx((9.0, 0.25))


def test_limits():
    assert make_env("CartPole-v1").max_episode_steps == 500
    assert make_env("CartPole-v1", max_steps_in_episode=jnp.int32(50)).max_episode_steps == 50

    def limit_inside_jit(x):
        limit = make_env("CartPole-v1", max_steps_in_episode=50).max_episode_steps
        assert isinstance(limit, int)
        return x + limit

    assert jax.jit(limit_inside_jit)(1) == 51
    doubled = jax.jit(
        lambda limit: 2 * make_env("CartPole-v1", max_steps_in_episode=limit).max_episode_steps
    )
    assert doubled(30) == 60


def test_bounds_are_known_inside_jit():
    def bounds_of(scale):
        space = make_env("Pendulum-v1").action_space
        assert not isinstance(space.high, jax.core.Tracer)
        traced = make_env("Pendulum-v1", max_torque=scale).action_space
        return traced.high

    np.testing.assert_array_equal(jax.jit(bounds_of)(3.0), 3.0)


def test_mnist_without_its_data(monkeypatch):
    def no_network(*_):
        raise OSError("no network")

    monkeypatch.setattr("gymnax.environments.bsuite.mnist.load_mnist.load_mnist", no_network)
    refused("the data of MNISTBandit-bsuite cannot be had (no network): ", "MNISTBandit-bsuite")


def test_mnist_with_its_data(monkeypatch):
    images = np.random.default_rng(0).integers(-128, 128, (20, 28, 28)).astype(np.int8)
    labels = (np.arange(20) % 10).astype(np.uint8)
    monkeypatch.setattr(
        "gymnax.environments.bsuite.mnist.load_mnist.load_mnist",
        lambda: ((images, labels), (images, labels)),
    )
    environment = make_env("MNISTBandit-bsuite", fraction=0.5)
    assert environment.action_space == Discrete(10, jnp.dtype("int32"))
    state, observation = environment.reset(jax.random.key(0))
    assert observation.shape == environment.observation_space.shape == (28, 28)
    assert environment.observation_space.contains(observation)
    next_state, step = environment.step(jax.random.key(1), state, jnp.int32(state.correct_label))
    assert (step.reward, step.terminated) == (1.0, True)
    assert jax.eval_shape(lambda: state) == jax.eval_shape(lambda: next_state)


def test_environment_must_be_made_first():
    require_environment(make_env("CartPole-v1"))
    with pytest.raises(ValueError, match=r"not 'CartPole-v1': make one with jaxrl\.make_env"):
        require_environment("CartPole-v1")
