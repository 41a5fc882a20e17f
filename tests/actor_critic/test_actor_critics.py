"""DDPG, TD3 and SAC on probe environments whose values are known, by hand, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import (
    action_matches_observation,
    constant_reward,
    continuous_target,
    only_one_door,
    vector_of_actions,
)
from tiers import leading

import jaxrl
from jaxrl import registry
from jaxrl.actor_critic import ddpg_agent, sac_agent, td3_agent
from jaxrl.actor_critic._parameter_noise import perturb_policy
from jaxrl.actor_critic.sac import (
    actor_and_temperature_loss,
    soft_target,
    target_entropy,
)
from jaxrl.distributions import Categorical, DiagonalGaussian, TanhGaussian
from jaxrl.environments import mask_actions
from jaxrl.loops.replays import num_updates
from jaxrl.types import Box, Network, Replayed

KEY = jax.random.key(0)
SMALL = {
    "num_envs": 4,
    "random_steps": 100,
    "total_steps": 2000,
    "buffer_size": 400,
    "batch_size": 32,
    "tau": 0.1,
    "num_updates": 4,
    "learning_rate": 5e-3,
    "learning_rate_schedule": "linear",
    "hidden_sizes": (32, 32),
}
BOUNDS = Box(-2.0, 2.0, (1,))


# With networks of one's own.
OWN = {"hidden_sizes": jaxrl.TD3Config().hidden_sizes}


def config_of(name, **changed):
    own = {"actor_learning_rate": None} if name == "ddpg" else {}
    return registry.get(name).settings(**SMALL | own | changed)


def build(name, env, **changed):
    return registry.get(name).build(env, config_of(name, **changed))


def endless(limit=5):
    """Reward 1 for ever whatever is done, cut off every `limit` steps; continuous actions."""
    return constant_reward(limit)._replace(action_space=BOUNDS)


def linear_critic():
    """Q = a + b x + c action, one number each."""

    def init(key, observation, action):
        del key, observation, action
        return jnp.zeros(3)

    def apply(params, observation, action):
        return params[0] + params[1] * observation[0] + params[2] * action[0]

    return Network(init=init, apply=apply)


def linear_policy():
    """action = k x, k the only parameter; within the bounds as it is used here."""

    def init(key, observation):
        del key, observation
        return jnp.zeros(1)

    return Network(init=init, apply=lambda params, observation: params * observation)


@pytest.mark.parametrize(
    ("name", "changed"),
    leading(
        [
            ("ddpg", {"n_step": 3, "noise": "ornstein-uhlenbeck"}),
            ("td3", {"prioritized": True}),
            # With next to no worth of entropy, the soft value is the value.
            ("sac", {"learn_temperature": False, "initial_temperature": 1e-6}),
        ]
    ),
)
def test_a_time_limit_is_no_end(name, changed):
    """1 / (1 - discount), for two discounts in one program."""

    def run(discount):
        algorithm = build(name, endless(), discount=discount, **changed)
        return jaxrl.train(KEY, algorithm).metrics

    metrics = jax.jit(jax.vmap(run))(jnp.array([0.5, 0.8]))
    np.testing.assert_allclose(metrics["q_value"][:, -1], [2.0, 5.0], rtol=0.03)
    if name == "sac":
        # A temperature that is not learnt stays.
        np.testing.assert_allclose(metrics["temperature"], 1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "changed"),
    leading(
        [
            ("sac", {"initial_temperature": 0.1}),
            ("td3", {"normalize_observations": True, "max_gradient_norm": 10.0}),
            ("ddpg", {"noise": "gaussian", "layer_norm": True}),
            ("sac", {"initial_temperature": 0.1, "state_dependent_exploration": True}),
        ],
        2,
    ),
)
def test_the_best_action_is_found(name, changed):
    """-(a - 0.7)^2 of actions of shape [2, 1] between -2 and 2."""
    algorithm = build(name, continuous_target((2, 1)), **changed)
    result = jax.jit(lambda: jaxrl.train(KEY, algorithm, num_evaluations=1))()
    assert float(jnp.min(result.evaluations.returns)) > -0.05
    if "temperature" in result.metrics:
        # The temperature finds the target: of two actions whose half width is 2.
        entropy = np.mean(result.metrics["entropy"][-100:])
        np.testing.assert_allclose(entropy, -2.0 + 2 * np.log(2), atol=0.2)


def test_discrete_sac_looks_before_it_acts_and_finds_its_entropy():
    algorithm = build("sac", action_matches_observation(), target_entropy=0.3)
    result = jax.jit(lambda: jaxrl.train(KEY, algorithm, num_evaluations=1))()
    np.testing.assert_array_equal(result.evaluations.returns, 1.0)
    np.testing.assert_allclose(np.mean(result.metrics["entropy"][-100:]), 0.3, atol=0.08)


def test_discrete_sac_keeps_to_the_masks():
    """A wrong door costs 2: random, drawn and greedy episodes all have the best return."""
    env = mask_actions(only_one_door())
    algorithm = build("sac", env, total_steps=1000)
    result = jax.jit(lambda: jaxrl.train(KEY, algorithm, num_evaluations=1))()
    returns = result.metrics["episode_return"]
    np.testing.assert_array_equal(returns[result.metrics["episodes"] > 0], 8.0)
    np.testing.assert_array_equal(result.evaluations.returns, 8.0)
    assert np.isfinite(result.metrics["q_value"]).all()


def batch_by_hand():
    return Replayed(
        observation=jnp.array([[1.0], [2.0]]),
        action=jnp.array([[0.5], [-1.0]]),
        reward=jnp.array([1.0, 2.0]),
        discount=jnp.array([0.5, 0.0]),
        next_observation=jnp.array([[1.0], [9.0]]),
        weight=jnp.ones(2),
        index=jnp.arange(2),
    )


def agent_by_hand(**changed):
    """Two linear critics, a linear policy and their targets."""
    config = config_of(
        "td3", tau=0.5, policy_delay=2, target_noise=0.0, optimizer="rmsprop", **OWN | changed
    )
    agent = td3_agent(endless(), config, policy=linear_policy(), critic=linear_critic())
    state = agent.init(KEY)
    targets = state.targets._replace(
        actor=jnp.array([1.5]), critics=(jnp.array([4.0, 0.0, 2.0]), jnp.array([3.0, 0.0, 3.0]))
    )
    networks = state.networks._replace(
        critics=(jnp.array([0.0, 1.0, 1.0]), jnp.array([0.0, 2.0, 0.0]))
    )
    return config, agent, state._replace(networks=networks, targets=targets)


def test_the_critics_target_by_hand():
    """At x = 1 the target policy does 1.5, worth 4 + 3 or 3 + 4.5: the least is 7.

    Targets 1 + 0.5 * 7 = 4.5, and 2 where the task ended. The critics say (1.5, 1) and (2, 4):
    errors (3, 1) and (2.5, 2), whose means are (2.75, 1.5).
    """
    _, agent, state = agent_by_hand()
    _, error, metrics = jax.jit(agent.update)(KEY, state, batch_by_hand())
    np.testing.assert_allclose(error, [2.75, 1.5], rtol=1e-6)
    np.testing.assert_allclose(metrics["q_value"], (1.5 + 1 + 2 + 4) / 4, rtol=1e-6)
    loss = 0.5 * (np.mean(np.square([3.0, 1.0])) + np.mean(np.square([2.5, 2.0])))
    np.testing.assert_allclose(metrics["value_loss"], loss, rtol=1e-6)


def test_ddpgs_target_by_hand():
    """At x = 1 the target policy does 1.5, worth 4 + 3 to the target critic: 1 + 0.5 * 7 = 4.5.

    The second step's task ended: 2. The critic says 0, so that the error is the target.
    """
    config = config_of("ddpg", noise="gaussian", hidden_sizes=jaxrl.DDPGConfig().hidden_sizes)
    agent = ddpg_agent(endless(), config, policy=linear_policy(), critic=linear_critic())
    state = agent.init(KEY)
    targets = state.targets._replace(actor=jnp.array([1.5]), critics=(jnp.array([4.0, 0.0, 2.0]),))
    _, error, _ = agent.update(KEY, state._replace(targets=targets), batch_by_hand())
    np.testing.assert_allclose(error, [4.5, 2.0], rtol=1e-6)


def test_the_actor_and_the_targets_wait_for_the_critics():
    """An odd update leaves them as they were; an even one moves all, the targets by half."""
    config, agent, state = agent_by_hand()
    update = jax.jit(agent.update)
    first, _, metrics = update(KEY, state, batch_by_hand())
    assert not np.allclose(first.networks.critics[0], state.networks.critics[0])
    np.testing.assert_array_equal(first.networks.actor, state.networks.actor)
    jax.tree.map(np.testing.assert_array_equal, first.targets, state.targets)
    assert metrics["actor_loss"] == 0.0
    second, _, metrics = update(KEY, first, batch_by_hand())
    # The first critic, as it is after its own step, at the actor's actions: all are 0.
    critic = second.networks.critics[0]
    np.testing.assert_allclose(metrics["actor_loss"], -(critic[0] + 1.5 * critic[1]), rtol=1e-5)
    # It goes up that critic: by RMSprop's first step in the direction of c x.
    rate = config.learning_rate * (1 - 1 / num_updates(config))
    step = np.sign(critic[2]) * rate / np.sqrt(1 - 0.99)
    np.testing.assert_allclose(second.networks.actor, [step], rtol=1e-3)
    halfway = jax.tree.map(lambda x, y: 0.5 * (x + y), second.networks, state.targets)
    jax.tree.map(np.testing.assert_allclose, second.targets, halfway)
    assert second.updates == 2


def test_the_actor_has_a_step_size_of_its_own():
    """RMSprop's first step is the step size by sqrt(1 - 0.99), of whatever gradient."""
    config, agent, state = agent_by_hand(actor_learning_rate=0.02)
    state = state._replace(updates=jnp.int32(1))
    after, _, _ = jax.jit(agent.update)(KEY, state, batch_by_hand())
    left = 1 - 1 / num_updates(config)
    critic = after.networks.critics[0]
    step = np.sign(critic[2]) * 0.02 * left / np.sqrt(1 - 0.99)
    np.testing.assert_allclose(after.networks.actor, [step], rtol=1e-3)
    moved = np.asarray(critic) - state.networks.critics[0]
    np.testing.assert_allclose(np.abs(moved), 5e-3 * left / np.sqrt(1 - 0.99), rtol=1e-3)


def test_the_critics_gradient_is_clipped_and_the_actors_is_not():
    """With an epsilon that outweighs every moment, a step is the gradient / epsilon."""
    changed = {
        "optimizer_epsilon": 100.0,
        "learning_rate": 1.0,
        "learning_rate_schedule": "constant",
    }
    _, agent, state = agent_by_hand(max_gradient_norm=0.01, **changed)
    state = state._replace(updates=jnp.int32(1))
    after, _, metrics = jax.jit(agent.update)(KEY, state, batch_by_hand())
    assert metrics["gradient_norm"] > 1.0
    steps = jax.tree.map(jnp.subtract, after.networks.critics, state.networks.critics)
    norm = np.linalg.norm(np.concatenate(steps))
    np.testing.assert_allclose(norm, 0.01 / 100, rtol=0.01)
    # -mean of Q(x, k x) = -(a + (b + c k) x): by k it is -1.5 c, with c = 1.
    np.testing.assert_allclose(after.networks.actor, [1.5 / 100], rtol=0.01)


def test_target_smoothing_stays_within_the_bounds():
    """The target policy does 1.5; noise of at most 0.1 half widths of 2 leaves it in 1.3 .. 1.7.

    Clipped noise of 10 deviations is at either end: targets 1 + (4 + 2 a) / 2, of the first critic.
    """
    seen = []
    for clip in (0.1, 5.0):
        noise = {"target_noise": 10.0, "target_noise_clip": clip}
        config = config_of("td3", tau=0.5, num_critics=1, **noise, **OWN)
        agent = td3_agent(endless(), config, policy=linear_policy(), critic=linear_critic())
        state = agent.init(KEY)
        targets = state.targets._replace(
            actor=jnp.array([1.5]), critics=(jnp.array([4.0, 0.0, 2.0]),)
        )
        state = state._replace(targets=targets)
        update = jax.jit(jax.vmap(agent.update, (0, None, None)))
        _, error, _ = update(jax.random.split(KEY, 50), state, batch_by_hand())
        # The critic says 0: the error is the target, 1 + 0.5 (4 + 2 a).
        seen.append(error[:, 0] - 3)
    narrow, wide = np.sort(seen, axis=1)
    assert narrow[0] == pytest.approx(1.3, abs=1e-4)
    assert narrow[-1] == pytest.approx(1.7, abs=1e-4)
    assert wide[0] == pytest.approx(-2.0, abs=1e-4)
    assert wide[-1] == pytest.approx(2.0, abs=1e-4)


def discrete_batch(reward, discount):
    """Three equal steps."""
    return Replayed(
        observation=jnp.ones((3, 1)),
        action=jnp.zeros(3, jnp.int32),
        reward=jnp.full(3, reward),
        discount=jnp.full(3, discount),
        next_observation=jnp.ones((3, 1)),
        weight=jnp.ones(3),
        index=jnp.arange(3),
    )


def test_sac_is_paid_for_entropy_by_hand():
    """Discrete: V = sum p (min Q - alpha log p), the actor's loss its negative, at alpha = 2."""
    env = action_matches_observation()
    config = config_of("sac", initial_temperature=2.0, target_entropy=0.4, **OWN)
    logits, values = (
        jnp.log(jnp.array([0.25, 0.75])),
        (jnp.array([1.0, 5.0]), jnp.array([3.0, 2.0])),
    )

    policy = Network(
        init=lambda key, x: logits, apply=lambda params, x: Categorical(params + 0 * x[0])
    )
    critic = Network(init=lambda key, x: jnp.zeros(2), apply=lambda params, x: params + 0 * x[0])
    state = sac_agent(env, config, policy=policy, critic=critic).init(KEY)
    actor = state.networks.actor
    np.testing.assert_array_equal(actor.policy, logits)
    np.testing.assert_allclose(actor.log_temperature, np.log(2), rtol=1e-6)
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    value = 0.25 * 1 + 0.75 * 2 + 2 * entropy
    batch = discrete_batch(reward=0.0, discount=1.0)
    state = state._replace(targets=state.targets._replace(critics=values))
    target = soft_target(KEY, state, batch, policy=policy, critic=critic)
    np.testing.assert_allclose(target, [value] * 3, rtol=1e-6)

    def loss_of(actor):
        return actor_and_temperature_loss(
            actor,
            key=KEY,
            critics=values,
            observation=batch.observation,
            config=config,
            policy=policy,
            critic=critic,
            action_space=env.action_space,
        )

    loss, metrics = loss_of(actor)
    np.testing.assert_allclose(loss, -value + np.log(2) * (entropy - 0.4), rtol=1e-5)
    np.testing.assert_allclose(metrics["entropy"], entropy, rtol=1e-6)
    np.testing.assert_allclose(metrics["temperature"], 2.0, rtol=1e-6)
    gradient = jax.grad(lambda actor: loss_of(actor)[0])(actor)
    # More entropy than its target: the temperature falls.
    np.testing.assert_allclose(gradient.log_temperature, entropy - 0.4, rtol=1e-5)
    # d/dlogit_i of sum p (Q - alpha log p), downhill: -p_i (Q_i - alpha log p_i - V).
    p, q = np.array([0.25, 0.75]), np.array([1.0, 2.0])
    np.testing.assert_allclose(gradient.policy, -p * (q - 2 * np.log(p) - value), rtol=1e-5)


def test_parameter_noise_is_a_setting():
    algorithm = build("ddpg", endless(), noise="parameter", noise_scale=0.3)
    state = jax.eval_shape(algorithm.init, KEY)
    sizes = [x.size for x in jax.tree.leaves(state.agent.agent.networks.actor)]
    # Each of the four environments has noise for all of the policy's parameters.
    assert sum(x.size for x in jax.tree.leaves(state.worlds.carry.noise)) == 4 * sum(sizes)
    _, metrics = jax.eval_shape(algorithm.step, KEY, state)
    assert {"parameter_noise", "action_deviation"} <= set(metrics)


def test_parameter_noise_is_an_episodes_and_its_scale_adapts():
    config = config_of("ddpg", noise="gaussian", noise_scale=0.0)
    env = endless()
    plain = ddpg_agent(env, config, policy=linear_policy())
    agent = perturb_policy(
        plain,
        BOUNDS,
        params_of=lambda state: state.networks.actor,
        with_params=lambda state, params: state._replace(
            networks=state.networks._replace(actor=params)
        ),
        deviation=0.25,
    )
    state = agent.init(KEY)
    carry = agent.start(jax.random.key(1))
    assert carry.noise.shape == (1,)
    # The policy's parameter is 0: the action is scale * noise * x, at every step of an episode.
    for observation in (jnp.ones(1), jnp.full(1, 2.0)):
        carry, action = agent.act(KEY, state, carry, observation)
        np.testing.assert_allclose(action, 0.25 * carry.noise * observation, rtol=1e-6)
    assert not np.allclose(agent.start(jax.random.key(2)).noise, carry.noise)
    # Without exploration there is no noise.
    np.testing.assert_array_equal(agent.policy(state).act(KEY, (), jnp.ones(1))[1], [0.0])

    @jax.jit
    def adapted(state):
        def update(i, state):
            return agent.update(jax.random.key(i), state, batch_by_hand())[0]

        return jax.lax.fori_loop(0, 300, update, state)

    # Two observations, 1 and 2, and half a width of 2: noise of scale s moves actions by
    # |n| s sqrt(2.5) / 2. Its median is 0.25 at s = 0.47.
    scales = [float(adapted(state._replace(scale=jnp.float32(s))).scale) for s in (0.05, 5.0)]
    assert all(0.3 < scale < 0.7 for scale in scales)


@pytest.mark.parametrize("name", ["ddpg", "td3", "sac"])
def test_unsuitable_tasks_are_refused(name):
    title = name.upper()
    unbounded = endless()._replace(action_space=Box(-np.inf, np.inf, (1,)))
    with pytest.raises(ValueError, match=f"{title} needs actions between finite bounds.*-inf"):
        build(name, unbounded)
    with pytest.raises(ValueError, match=f"{title} needs (Box|Discrete|actions)"):
        build(name, vector_of_actions())
    if name != "sac":
        with pytest.raises(ValueError, match=f"{title} needs Box actions, but the actions of cons"):
            build(name, constant_reward(5))
    fixed = endless()._replace(action_space=Box([1.0, 2.0], [1.0, 2.0], (2,)))
    with pytest.raises(ValueError, match=f"{title} has nothing to choose"):
        build(name, fixed)


@pytest.mark.parametrize("name", ["ddpg", "td3", "sac"])
def test_unsuitable_bounds_are_refused_inside_jit_too(name):
    """Bounds that the environment is made with there, and of actions that are no vectors."""

    @jax.jit
    def check(key):
        for space in (Box(-1.0, [[1.0, np.inf]], (1, 2)), Box(-np.inf, np.inf, ())):
            with pytest.raises(ValueError, match="needs actions between finite bounds"):
                build(name, endless()._replace(action_space=space))
        return key

    check(KEY)


@pytest.mark.parametrize(
    ("name", "changed"),
    leading(
        [
            ("ddpg", {}),
            ("ddpg", {"noise": "parameter"}),
            ("td3", {"noise": "ornstein-uhlenbeck"}),
            ("sac", {}),
            ("sac", {"state_dependent_exploration": True}),
        ]
    ),
)
def test_a_dimension_with_equal_bounds_is_as_if_it_were_not_there(name, changed):
    """Everything stays finite, and the only action there is taken."""
    fixed = Box([-2.0, 1.0], [2.0, 1.0], (2,))
    env = endless()._replace(action_space=fixed)
    small = {"total_steps": 60, "random_steps": 20, "num_updates": 1, "hidden_sizes": (8,)}
    algorithm = build(name, env, **small | changed)
    result = jax.jit(lambda key: jaxrl.train(key, algorithm))(KEY)
    learnt = result.state.agent
    assert all(
        np.isfinite(x).all()
        for x in jax.tree.leaves(learnt)
        if jnp.issubdtype(x.dtype, jnp.inexact)
    )
    ring = result.state.replay
    np.testing.assert_array_equal(ring.action[: ring.time, :, 1], 1.0)
    for metric in ("value_loss", "actor_loss", "entropy", "temperature", "action_deviation"):
        assert np.isfinite(result.metrics.get(metric, 0.0)).all()


@pytest.mark.parametrize("dimensions", [1, 3])
def test_the_target_entropy_counts_what_is_free(dimensions):
    low = jnp.array([-1.0, 5.0, 0.0, -2.0])[:dimensions]
    high = jnp.array([3.0, 5.0, 0.0, -2.0])[:dimensions]
    env = endless()._replace(action_space=Box(low, high, (dimensions,)))
    for given, expected in ((None, -1 + np.log(2)), (-3.0, -3 + np.log(2))):
        config = config_of("sac", target_entropy=given)
        target = target_entropy(jnp.zeros((2, 1)), env.action_space, config)
        np.testing.assert_allclose(target, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("ddpg", {"action_layer": 3}, "action_layer=3 is none of the"),
        ("ddpg", {"noise": "pink"}, "noise='pink' is not one of gaussian"),
        ("ddpg", {"noise_scale": -1.0}, "noise_scale=-1.0 must be at least 0"),
        ("td3", {"policy_delay": 0}, "policy_delay=0 must be at least 1"),
        ("td3", {"num_critics": 0}, "num_critics=0 must be at least 1"),
        ("sac", {"initial_temperature": 0.0}, "initial_temperature=0.0 must be greater than 0"),
        ("sac", {"tau": 0.0}, "tau=0.0 must be greater than 0"),
        ("sac", {"noise_interval": 0}, "noise_interval=0 must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(name, changed, message):
    with pytest.raises(ValueError, match=message):
        build(name, continuous_target(), **changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"state_dependent_exploration": True}, "=True needs Box actions"),
        ({"action_layer": 1}, "action_layer=1 needs Box actions, but the actions are Disc"),
    ],
)
def test_settings_for_continuous_actions_only(changed, message):
    with pytest.raises(ValueError, match=message):
        build("sac", constant_reward(5), **changed)


def network_returning(output):
    """A network without parameters."""
    return Network(init=lambda key, *inputs: jnp.zeros(()), apply=lambda params, *inputs: output)


@pytest.mark.parametrize(
    ("name", "changed", "networks", "message"),
    [
        ("ddpg", {}, {"policy": jnp.zeros(3)}, r"actions have shape \(3,\), but.*shape \(1,\)"),
        ("td3", {}, {"critic": jnp.zeros(2)}, r"value of shape \(\), but this one returns \(2,\)"),
        ("sac", {}, {"policy": jnp.zeros(1)}, "sample_and_log_probability"),
        (
            "sac",
            {},
            {"policy": DiagonalGaussian(jnp.zeros(1), jnp.zeros(1))},
            "such as TanhGaussian, not a DiagonalGaussian",
        ),
        (
            "sac",
            {"state_dependent_exploration": True},
            {"policy": TanhGaussian(jnp.zeros(1), jnp.zeros(1), -1.0, 1.0)},
            "needs a policy network that returns a SquashedStateDependentGaussian",
        ),
    ],
)
def test_unsuitable_networks_are_refused(name, changed, networks, message):
    networks = {kind: network_returning(output) for kind, output in networks.items()}
    with pytest.raises(ValueError, match=message):
        registry.get(name).build(continuous_target(), config_of(name, **changed), **networks)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Categorical(jnp.zeros(3)), "distribution is not over Discrete"),
        (jnp.zeros(2), "Discrete actions returns a Categorical, not a"),
    ],
)
def test_unsuitable_networks_of_discrete_actions_are_refused(policy, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.sac(constant_reward(5), config_of("sac"), policy=network_returning(policy))


def test_the_users_networks_are_what_learns():
    """Any library's module: here two functions each."""
    sizes = jaxrl.DDPGConfig().hidden_sizes
    config = config_of("ddpg", total_steps=104, noise="gaussian", hidden_sizes=sizes)
    algorithm = jaxrl.ddpg(endless(), config, policy=linear_policy(), critic=linear_critic())
    state = jax.eval_shape(algorithm.init, KEY)
    assert state.agent.networks.actor.shape == (1,)
    assert [x.shape for x in state.agent.networks.critics] == [(3,)]


def test_continuous_actions_have_a_target_of_their_own_width():
    env = endless()._replace(action_space=Box(jnp.array([-1.0, 0.0]), jnp.array([1.0, 4.0]), (2,)))
    config = config_of("sac")
    target = target_entropy(jnp.zeros((3, 1)), env.action_space, config)
    np.testing.assert_allclose(target, -2 + np.log(1) + np.log(2), rtol=1e-6)
    agent = sac_agent(env, config)
    keys = jax.random.split(KEY, 100)
    state = agent.init(KEY)
    _, action = jax.vmap(agent.act, (0, None, None, None))(keys, state, (), jnp.zeros(1))
    assert (action >= jnp.array([-1.0, 0.0])).all()
    assert (action <= jnp.array([1.0, 4.0])).all()
