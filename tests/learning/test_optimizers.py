"""Optimisers by name and of optax's; schedules, and the unit that each algorithm counts in."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from probe_environments import action_matches_observation, continuous_target
from tiers import leading, named

import jaxrl
from jaxrl import registry
from jaxrl.learning.optimizers import (
    OptimizerSettings,
    direction_of,
    gradient_step,
    make_optimizer,
    scheduled,
)
from jaxrl.runs.specification import Specification, to_json
from jaxrl.settings import validate


@pytest.mark.parametrize(
    ("update", "left"), [(0, 1.0), (25, 0.75), (100, 0.0), (150, 0.0), (2**31 - 1, 0.0)]
)
def test_linear_schedules_end_at_zero_and_stay_there(update, left):
    assert float(scheduled(0.5, "linear", jnp.int32(update), 100)) == pytest.approx(0.5 * left)
    assert scheduled(0.5, "constant", jnp.int32(update), 100) == 0.5


def test_a_function_counts_iterations_and_never_turns_a_setting_negative():
    def schedule(iteration):
        return 2.0 - iteration

    values = [
        float(scheduled(0.5, schedule, jnp.int32(i), 100, updates_per_iteration=3))
        for i in range(12)
    ]
    np.testing.assert_allclose(values, np.repeat([1.0, 0.5, 0.0, 0.0], 3))


HALVING = optax.exponential_decay(1.0, transition_steps=1, decay_rate=0.5)
REPLAY = {
    "total_steps": 20,
    "num_envs": 2,
    "num_steps": 2,
    "random_steps": 4,
    "batch_size": 4,
    "hidden_sizes": (4,),
}
ROLLOUT = {"total_steps": 16, "num_envs": 2, "num_steps": 2, "hidden_sizes": (4,)}
CASES = {
    "dqn": (jaxrl.dqn, jaxrl.DQNConfig, REPLAY | {"num_updates": 3}),
    "sac": (jaxrl.sac, jaxrl.SACConfig, REPLAY | {"num_updates": 3}),
    "td3": (jaxrl.td3, jaxrl.TD3Config, REPLAY | {"num_updates": 3}),
    "ddpg": (jaxrl.ddpg, jaxrl.DDPGConfig, REPLAY | {"num_updates": 3}),
    "a2c": (jaxrl.a2c, jaxrl.A2CConfig, ROLLOUT),
    "a3c": (jaxrl.a3c, jaxrl.A3CConfig, ROLLOUT | {"num_envs": 1, "num_workers": 2}),
    "impala": (jaxrl.impala, jaxrl.IMPALAConfig, ROLLOUT),
    "ppo": (jaxrl.ppo, jaxrl.PPOConfig, ROLLOUT | {"num_minibatches": 2}),
    "pqn": (jaxrl.pqn, jaxrl.PQNConfig, ROLLOUT | {"num_minibatches": 2}),
    "trpo": (jaxrl.trpo, jaxrl.TRPOConfig, ROLLOUT | {"num_minibatches": 2}),
}


@pytest.mark.parametrize("name", named(CASES, "dqn", "ppo", "a3c"))
def test_a_function_is_a_factor_per_iteration_in_every_loop(name):
    """All updates of an iteration have one factor, whatever their number."""
    build, settings, small = CASES[name]
    env = continuous_target() if name in ("td3", "ddpg") else action_matches_observation()
    config = settings(learning_rate=0.1, learning_rate_schedule=HALVING, **small)
    metrics = jax.jit(lambda key: jaxrl.train(key, build(env, config)))(jax.random.key(0)).metrics
    np.testing.assert_allclose(metrics["learning_rate"], 0.1 * 0.5 ** np.arange(4), rtol=1e-6)


def test_a_finished_run_that_goes_on_changes_nothing():
    env = action_matches_observation()
    config = jaxrl.PPOConfig(clip_schedule="linear", **CASES["ppo"][2])
    algorithm = jaxrl.ppo(env, config)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0)).state
    beyond, metrics = jax.jit(algorithm.step)(jax.random.key(1), state)
    jax.tree.map(np.testing.assert_array_equal, beyond.agent.params, state.agent.params)
    assert metrics["learning_rate"] == 0.0
    assert metrics["clip_epsilon"] == 0.0
    assert beyond.steps == state.steps + 4


# Every algorithm that has an optimiser, in a world that suits it.
EPISODES = {"total_steps": 16, "num_episodes": 2, "num_value_steps": 2, "hidden_sizes": (4,)}
GRADIENTS = CASES | {"reinforce": (jaxrl.reinforce, jaxrl.ReinforceConfig, EPISODES)}
SEARCHES = {
    "openes": (jaxrl.openes, jaxrl.OpenESConfig, {"total_steps": 16, "population_size": 4}),
    "ars": (jaxrl.ars, jaxrl.ARSConfig, {"total_steps": 16, "num_directions": 2}),
}


def trained(name, **changes):
    """The final state's numbers and the metrics of a short run."""
    build, settings, small = (GRADIENTS | SEARCHES)[name]
    env = continuous_target() if name in ("td3", "ddpg") else action_matches_observation()
    algorithm = build(env, settings(**small | changes))
    result = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0))
    leaves = [x for x in jax.tree.leaves(result.state) if jnp.issubdtype(x.dtype, jnp.floating)]
    return leaves, result.metrics


def assert_same(one, other):
    for x, y in zip(jax.tree.leaves(one[1]), jax.tree.leaves(other[1]), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    # An optimiser of one's own keeps its state in the parameters' shapes, and not in one vector.
    sums = [sum(float(jnp.sum(jnp.abs(x))) for x in leaves) for leaves, _ in (one, other)]
    np.testing.assert_allclose(*sums, rtol=1e-5)


@pytest.mark.parametrize("name", named(GRADIENTS, "ppo", "dqn"))
def test_a_direction_of_optax_is_the_named_optimizer(name):
    own = trained(name, optimizer=optax.scale_by_adam(eps=1e-3), learning_rate=0.1)
    assert_same(own, trained(name, optimizer="adam", optimizer_epsilon=1e-3, learning_rate=0.1))


@pytest.mark.parametrize("name", leading(["ppo", "sac"]))
def test_a_function_from_a_rate_to_an_optimizer_is_the_named_one(name):
    own = trained(name, optimizer=functools.partial(optax.adam, eps=1e-3), learning_rate=0.1)
    assert_same(own, trained(name, optimizer="adam", optimizer_epsilon=1e-3, learning_rate=0.1))


@pytest.mark.parametrize("name", leading(SEARCHES))
@pytest.mark.parametrize(
    ("named", "own"),
    [
        ("adam", optax.adam),
        ("momentum", functools.partial(optax.sgd, momentum=0.9)),
        ("rmsprop", optax.scale_by_rms()),
        ("sgd", optax.sgd),
    ],
)
def test_the_optimizers_of_a_search_are_those_of_optax(name, named, own):
    changes = {"learning_rate": 0.1, "learning_rate_decay": 0.5}
    assert_same(trained(name, optimizer=named, **changes), trained(name, optimizer=own, **changes))


def steps(config, gradients, params):
    """The parameters after each of some gradients."""
    optimizer = make_optimizer(config)
    state = optimizer.init(params)
    for gradient in gradients:
        params, state = gradient_step(optimizer, params, state, gradient, config.learning_rate)
        yield params


def test_the_learning_rate_and_the_largest_norm_apply_to_any_optimizer():
    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([[3.0]])}
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    config = OptimizerSettings(learning_rate=0.5, max_gradient_norm=1.0, optimizer=optax.identity())
    (after,) = steps(config, [gradient], params)
    # The norm of 5 comes down to 1, and half of that is taken off.
    np.testing.assert_allclose(after["a"], [1.0 - 0.3, 2.0], rtol=1e-6)
    np.testing.assert_allclose(after["b"], [[3.0 - 0.4]], rtol=1e-6)


def test_an_optimizer_of_ones_own_sees_the_parameters_and_their_shapes():
    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([[3.0]])}
    zeros = jax.tree.map(jnp.zeros_like, params)
    decay = functools.partial(optax.add_decayed_weights, mask={"a": True, "b": False})
    config = OptimizerSettings(learning_rate=0.5, optimizer=decay(0.1))
    (after,) = steps(config, [zeros], params)
    np.testing.assert_allclose(after["a"], [0.95, 1.9], rtol=1e-6)
    np.testing.assert_allclose(after["b"], [[3.0]])


def test_steps_are_taken_as_they_are_at_a_rate_of_one():
    """As the module says; the reference is optax alone."""
    params = jnp.array([1.0, -2.0])
    gradients = [jnp.array([0.5, 1.0]), jnp.array([-1.0, 0.2])]
    config = OptimizerSettings(
        learning_rate=1.0, max_gradient_norm=None, optimizer=lambda rate: optax.adam(1e-3)
    )
    reference, state = optax.adam(1e-3), optax.adam(1e-3).init(params)
    expected = params
    for gradient, after in zip(gradients, steps(config, gradients, params), strict=True):
        change, state = reference.update(gradient, state)
        expected = optax.apply_updates(expected, change)
        np.testing.assert_allclose(after, expected, rtol=1e-6)


def test_learning_rates_side_by_side_share_one_program():
    own = optax.scale_by_adam()
    traces = []

    @jax.jit
    @jax.vmap
    def run(config):
        traces.append(1)
        build = CASES["ppo"][0]
        return jaxrl.train(jax.random.key(0), build(action_matches_observation(), config)).metrics

    for rates in ([0.1, 0.01], [0.2, 0.02]):
        config = jaxrl.PPOConfig(optimizer=own, **CASES["ppo"][2])
        config = jax.tree.map(lambda x: jnp.full(2, x, jnp.float32), config)
        rate = jnp.array(rates, jnp.float32)
        metrics = run(jaxrl.PPOConfig(**vars(config) | {"learning_rate": rate}))
        np.testing.assert_allclose(metrics["learning_rate"][:, 0], rates, rtol=1e-6)
    assert len(traces) == 1


def test_settings_with_an_optimizer_are_compared_and_hashed():
    own = optax.scale_by_adam()
    one, other = (jaxrl.PPOConfig(optimizer=own) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != jaxrl.PPOConfig(optimizer=optax.scale_by_adam())
    assert one != jaxrl.PPOConfig()


@pytest.mark.parametrize("name", ["ppo", "sac", "openes"])
@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (3, "optimizer=3 is not one of adam"),
        ("adamw", "optimizer='adamw' is not one of adam"),
        ((1, 2), r"optimizer=\(1, 2\) is not one of adam"),
        (optax.adam(1e-3), "optimizer gives steps down the gradient, and not a direction"),
        (lambda rate: optax.scale_by_adam(), "optimizer gives steps down the gradient"),
        (len, r"optimizer=<built-in function len> takes no learning rate: "),
        (lambda rate: rate, "optimizer=.* is to give an optax optimiser .*, and not a float"),
        (optax.scale_by_adam, "optimizer gives steps that are no numbers"),
    ],
)
def test_wrong_optimizers_are_named(name, optimizer, message):
    with pytest.raises(ValueError, match=message):
        validate(registry.get(name).settings(optimizer=optimizer))


def test_one_for_certain_parameters_is_looked_at_when_they_are_there():
    labels = {"a": "down", "b": "none"}
    transforms = {"down": optax.sgd(0.1), "none": optax.set_to_zero()}
    optimizer = optax.multi_transform(transforms, labels)
    validate(OptimizerSettings(optimizer=optimizer))
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match="optimizer gives steps down the gradient"):
        make_optimizer(OptimizerSettings(optimizer=optimizer)).init(params)
    direction = direction_of(lambda rate: optimizer)
    change, _ = direction.update(params, direction.init(params))
    np.testing.assert_allclose(change["a"], [0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("name", GRADIENTS)
def test_an_epsilon_is_for_named_optimizers(name):
    settings = GRADIENTS[name][1]
    with pytest.raises(ValueError, match=r"optimizer_epsilon=0.5 needs an optimizer that is a"):
        validate(settings(optimizer=optax.adam, optimizer_epsilon=0.5))


@pytest.mark.parametrize(
    ("name", "field", "schedule", "length"),
    leading(
        [
            ("ppo", "learning_rate_schedule", "learning_rate", 4),
            ("ppo", "clip_schedule", "clip_epsilon", 4),
            ("a2c", "learning_rate_schedule", "learning_rate", 4),
            ("dqn", "learning_rate_schedule", "learning_rate", 4),
            ("sac", "learning_rate_schedule", "learning_rate", 4),
            ("pqn", "learning_rate_schedule", "learning_rate", 4),
        ],
        2,
    ),
)
def test_a_schedule_of_optax_is_the_named_one(name, field, schedule, length):
    # The name counts updates, and the function iterations.
    one = {"num_updates": 1} if name in ("dqn", "sac") else {}
    named = trained(name, **{field: "linear"}, **one)
    assert_same(named, trained(name, **{field: optax.linear_schedule(1.0, 0.0, length)}, **one))
    np.testing.assert_allclose(
        named[1][schedule] / named[1][schedule][0], 1 - np.arange(4) / length, rtol=1e-5
    )


@pytest.mark.parametrize("field", ["learning_rate_schedule", "clip_schedule"])
@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (0.5, "=0.5 is not one of constant, linear"),
        ("cosine", "='cosine' is not one of constant, linear"),
        (lambda iteration: jnp.ones(2), r"it maps the iteration to float32\[2\], and not to one"),
        (lambda iteration: "x", "is no schedule, a function from the iteration to a factor"),
        (lambda: 1.0, "is no schedule, a function from the iteration to a factor"),
        (optax.adam(1e-3), "is not one of constant, linear"),
    ],
)
def test_wrong_schedules_are_named(field, schedule, message):
    with pytest.raises(ValueError, match=f"{field}.*{message}"):
        validate(jaxrl.PPOConfig(**{field: schedule}))


@pytest.mark.parametrize("value", [optax.scale_by_adam(), optax.adam])
def test_a_run_folder_refuses_an_optimizer_that_is_no_name(value):
    config = jaxrl.PPOConfig(optimizer=value)
    specification = Specification(algorithm="ppo", environment="CartPole-v1", settings=config)
    with pytest.raises(ValueError, match=r"settings.optimizer=.* cannot be written to config.json"):
        to_json(specification)
