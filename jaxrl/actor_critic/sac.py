"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), for continuous and discrete actions.

The policy is paid for its entropy: a nat of it is worth alpha, the temperature, which is learnt so
that the entropy comes to a target. A state is worth

    V(s) = E[min_i Q_i(s, a) - alpha log pi(a | s)],  a ~ pi(. | s)

where the continuous form draws one action, and the discrete one, that of Christodoulou (2019,
arXiv:1910.07207), sums over all. A time limit is not a termination: the final observation's value
counts.
"""

import math
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxrl.actor_critic._learner import (
    ActorCriticState,
    Critics,
    Networks,
    critic_step,
    delayed_actor_step,
    init_critics,
    init_state,
    least_value,
)
from jaxrl.actor_critic._networks import (
    check_actions,
    chosen_networks,
    make_critic,
    make_policy,
)
from jaxrl.actor_critic._settings import ActorCriticSettings
from jaxrl.distributions import Categorical
from jaxrl.exploration import (
    Exploration,
    SquashedStateDependentGaussian,
    independent_sampling,
    state_dependent_noise,
)
from jaxrl.loops.replays import check_bounded, check_discrete, check_replay_task, join_replay
from jaxrl.networks import (
    CategoricalHead,
    SquashedGaussianHead,
    apply_to_batch,
    init_network,
    make_q_network,
    output_shapes,
    policy_of,
    policy_with_masks,
    seen_and_mask,
)
from jaxrl.ops.action_values import q_target, soft_value, temperature_loss, value_of
from jaxrl.ops.weighting import weighted
from jaxrl.settings import (
    BOX_ACTIONS,
    default_network,
    number,
    require_settings,
    settings,
    static,
)
from jaxrl.types import (
    Action,
    Algorithm,
    Box,
    Carry,
    Discrete,
    Environment,
    Key,
    Metrics,
    Network,
    Observation,
    Params,
    Policy,
    ReplayAgent,
    Replayed,
    Space,
    StepsBetween,
    Transition,
)

# Of the most that the allowed actions can have (Christodoulou 2019, section 4).
_ENTROPY_SHARE = 0.98

Worth: TypeAlias = tuple[Float[Array, " M"], Float[Array, " M"]]
"""E[min_i Q_i(s, a)] and E[log pi(a | s)] of M states."""


@settings
class SACConfig(ActorCriticSettings):
    """Settings of SAC; the defaults are those of the paper's table 1, but for the replay.

    It keeps 100,000 transitions and not 1,000,000. The temperature's start, which the table leaves
    out, is 1, as in the authors' code.
    """

    learning_rate: float = number(3e-4, minimum=0, open_minimum=True)
    """The critics' step size at the start."""
    num_critics: int = static(2, minimum=1, maximum=100)
    """Critics of which the least counts; 1: no twin."""
    initial_temperature: float = number(1.0, minimum=0, open_minimum=True)
    """Alpha, what a nat of entropy is worth: at the start, or for ever where it is not learnt."""
    learn_temperature: bool = static(True)
    """Let the temperature seek the target entropy."""
    target_entropy: float | None = number(None, optional=True, needs=("learn_temperature", True))
    """In nats, of actions scaled to -1 .. 1; None: minus their number, or .98 log K, with K the
    number of actions that are allowed where there are masks."""
    state_dependent_exploration: bool = static(False, needs=BOX_ACTIONS)
    """Noise that is a function of the state for some steps (gSDE)."""
    noise_interval: int = static(8, minimum=1, needs=("state_dependent_exploration", True))
    """Steps for which that function is kept, and at most until the episode's end."""
    initial_log_std: float = number(
        -3.0, needs=(("state_dependent_exploration", True), default_network("policy"))
    )
    """Logarithm of the deviations at the start."""


class SoftActor(NamedTuple):
    """A policy, and what its entropy is worth.

    One optimiser serves both: Adam and RMSprop treat every number alone.

    Attributes:
        policy: of the network.
        log_temperature: float32 (), log alpha.
    """

    policy: Params
    log_temperature: Float[Array, ""]


def sac(
    env: Environment,
    config: SACConfig,
    *,
    policy: Network | None = None,
    critic: Network | None = None,
) -> Algorithm:
    """Builds SAC for an environment.

    Args:
        env: with Box actions between finite bounds, or Discrete ones.
        config: the settings; the floats among them may be traced.
        policy: maps one observation to a distribution over actions; None: the default one.
        critic: maps one observation and an action to a value, or, of Discrete actions, one
            observation to the values of all; None: the default one.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("Pendulum-v1")
        >>> config = jaxrl.SACConfig(num_envs=2, num_steps=4, target_entropy=-1.0)
        >>> algorithm = jaxrl.sac(env, config)
        >>> algorithm.steps_per_iteration
        8
    """
    env = check_replay_task(env, config, SACConfig)
    agent = sac_agent(env, config, policy=policy, critic=critic)
    # The entropies of the steps before an n-step successor are part of the return.
    return join_replay(env, agent, config, with_steps_between=True)


def sac_agent(
    env: Environment,
    config: SACConfig,
    *,
    policy: Network | None = None,
    critic: Network | None = None,
) -> ReplayAgent:
    """Builds SAC's learning rule, to be joined to a replay; arguments as for `sac`."""
    require_settings(config, SACConfig)
    observations, actions = env.observation_space, env.action_space
    policy, critic = chosen_networks(env, config, policy=policy, critic=critic)
    is_discrete = isinstance(actions, Discrete)
    make_networks = _discrete_networks if is_discrete else _continuous_networks
    policy, critic = make_networks(env, config, policy, critic)
    taken = _value_of_taken_action(critic) if is_discrete else critic
    exploration = _exploration(policy, env, config)

    def init(key: Key) -> ActorCriticState:
        key_actor, key_critics = jax.random.split(key)
        log_temperature = jnp.log(jnp.float32(config.initial_temperature))
        actor = SoftActor(init_network(policy, key_actor, observations), log_temperature)
        critics = init_critics(key_critics, taken, config.num_critics, observations, actions)
        networks, names = Networks(actor, critics), ("entropy", "temperature")
        return init_state(networks, config, target_actor=False, actor_metrics=names)

    def act(
        key: Key, state: ActorCriticState, carry: Carry, observation: Observation
    ) -> tuple[Carry, Action]:
        distribution = policy.apply(state.networks.actor.policy, observation)
        return exploration.sample(key, carry, distribution)

    def observe(key: Key, state: ActorCriticState, transitions: Transition) -> ActorCriticState:
        del key, transitions
        return state

    def update(
        key: Key, state: ActorCriticState, batch: Replayed
    ) -> tuple[ActorCriticState, Float[Array, " M"], Metrics]:
        key_target, key_actor = jax.random.split(key)
        target = soft_target(key_target, state, batch, policy=policy, critic=critic)
        state, error, metrics = critic_step(state, taken, batch, target, config)
        loss = partial(
            actor_and_temperature_loss,
            key=key_actor,
            critics=state.networks.critics,
            observation=batch.observation,
            config=config,
            policy=policy,
            critic=critic,
            action_space=actions,
        )
        state = delayed_actor_step(state, loss, config)
        return state, error, metrics | state.actor_metrics

    def greedy(state: ActorCriticState) -> Policy:
        return policy_of(policy, state.networks.actor.policy, lambda x: x.mode())

    return ReplayAgent(init, exploration.start, act, observe, update, greedy)


def soft_target(
    key: Key, state: ActorCriticState, batch: Replayed, *, policy: Network, critic: Network
) -> Float[Array, " M"]:
    """What Q(s, a) should be: the rewards until the successor s', and its soft value.

        y = R + sum_k gamma^k alpha H(pi(. | s_k)) + gamma^n V'(s'),  k = 1 .. n - 1
        V'(s') = E[min_i Q'_i(s', a)] - alpha E[log pi(a | s')],  a ~ pi(. | s')

    Q'_i are the target critics, pi and alpha those that learn, and R the discounted sum of the n
    rewards. The entropies H of the n - 1 states s_k between the step and its successor are part of
    the return as the rewards are; they are those of the present policy, which is what the critics
    are to value. Where the task terminated, y ends there. The key is consumed.

    Source: Haarnoja et al. (2018, arXiv:1812.05905), equations 2 and 3.
    """
    key_value, key_entropy = jax.random.split(key) if batch.between is not None else (key, key)
    actor: SoftActor = state.networks.actor
    alpha = jnp.exp(actor.log_temperature)
    distribution = apply_to_batch(policy, actor.policy, batch.next_observation)
    value, log_probability = _expectations(
        key_value, distribution, batch.next_observation, state.targets.critics, critic
    )
    reward = batch.reward
    if batch.between is not None:
        reward = reward + _worth_of_entropy(key_entropy, actor, batch.between, policy)
    next_value = soft_value(value, log_probability, temperature=alpha)
    return q_target(reward, batch.discount, next_value)


def _worth_of_entropy(
    key: Key, actor: SoftActor, between: StepsBetween, policy: Network
) -> Float[Array, " M"]:
    """sum_k gamma^k alpha H(pi(. | s_k)) of the steps between a step and its successor."""
    observation = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), between.observation)
    distribution = apply_to_batch(policy, actor.policy, observation)
    worth = -jnp.exp(actor.log_temperature) * _log_probability(key, distribution)
    return jnp.sum(weighted(between.discount, worth.reshape(between.discount.shape)), axis=1)


def actor_and_temperature_loss(
    actor: SoftActor,
    *,
    key: Key,
    critics: Critics,
    observation: Observation,
    config: SACConfig,
    policy: Network,
    critic: Network,
    action_space: Space,
) -> tuple[Float[Array, ""], Metrics]:
    """The losses of the actor and, where it is learnt, of the temperature, added up.

        actor:        mean[alpha E[log pi(a | s)] - E[min_i Q_i(s, a)]],  a ~ pi(. | s)
        temperature:  -mean[log alpha (E[log pi(a | s)] + target entropy)]

    The first has no gradient by alpha and the second none by pi. So the actor goes up V(s), and
    alpha grows where the entropy is less than its target. The key is consumed.

    Source: Haarnoja et al. (2018, arXiv:1812.05905), equations 7 and 18.
    """
    distribution = apply_to_batch(policy, actor.policy, observation)
    value, log_probability = _expectations(key, distribution, observation, critics, critic)
    alpha = jax.lax.stop_gradient(jnp.exp(actor.log_temperature))
    loss = -jnp.mean(soft_value(value, log_probability, temperature=alpha))
    if config.learn_temperature:
        loss += temperature_loss(
            actor.log_temperature,
            jax.lax.stop_gradient(log_probability),
            target_entropy=target_entropy(observation, action_space, config),
        )
    return loss, {"entropy": -jnp.mean(log_probability), "temperature": alpha}


def _expectations(
    key: Key, distribution: Any, observation: Observation, critics: Critics, critic: Network
) -> Worth:
    """E[min_i Q_i(s, a)] and E[log pi(a | s)] under the policy's distributions."""
    if isinstance(distribution, Categorical):
        return _over_all_actions(distribution, observation, critics, critic)
    return _of_a_drawn_action(key, distribution, observation, critics, critic)


def _of_a_drawn_action(
    key: Key, distribution: Any, observation: Observation, critics: Critics, critic: Network
) -> Worth:
    """Continuous actions: min_i Q_i(s, a) and log pi(a | s) of one a ~ pi(. | s)."""
    action, log_probability = distribution.sample_and_log_probability(key)
    return least_value(critic, critics, observation, action), log_probability


def _over_all_actions(
    distribution: Categorical, observation: Observation, critics: Critics, critic: Network
) -> Worth:
    """Discrete actions: sum_a pi(a | s) min_i Q_i(s, a) and sum_a pi(a | s) log pi(a | s)."""
    value = distribution.probabilities() * least_value(critic, critics, observation)
    return jnp.sum(value, axis=-1), -distribution.entropy()


def _log_probability(key: Key, distribution: Any) -> Float[Array, " M"]:
    """E[log pi(a | s)]: of one drawn action, or, of discrete ones, of all."""
    if isinstance(distribution, Categorical):
        return -distribution.entropy()
    return distribution.sample_and_log_probability(key)[1]


def target_entropy(
    observation: Observation, action_space: Space, config: SACConfig
) -> Float[Array, " *#M"] | float:
    """The entropy that the temperature seeks, in nats of actions as the environment takes them.

    Args:
        observation: leaves [M, ...].
        action_space: a Box of vectors with finite bounds, or Discrete.
        config: the settings.

    Returns:
        One for all states, or, where there are masks, [M].
    """
    if isinstance(action_space, Discrete):
        return _discrete_target_entropy(observation, action_space, config.target_entropy)
    assert isinstance(action_space, Box)
    return _continuous_target_entropy(action_space, config.target_entropy)


def _continuous_target_entropy(
    space: Box, wanted: Float[Array, ""] | float | None
) -> Float[Array, ""]:
    """That of actions scaled to -1 .. 1, and the log of half the width more for each dimension.

    Dimensions whose bounds are equal have no entropy, and do not count.
    """
    low, high = space.bounds()
    free = high > low
    target = -jnp.sum(free) if wanted is None else wanted
    log_half_width = jnp.log(0.5 * jnp.where(free, high - low, 1.0))
    return target + jnp.sum(jnp.where(free, log_half_width, 0.0))


def _discrete_target_entropy(
    observation: Observation, space: Discrete, wanted: Float[Array, ""] | float | None
) -> Float[Array, " *#M"] | float:
    """The wanted one; where a mask allows few actions, no more than these can have."""
    mask = seen_and_mask(observation)[1]
    if mask is None:
        return _ENTROPY_SHARE * math.log(space.num_categories) if wanted is None else wanted
    allowed = jnp.sum(mask, axis=-1, dtype=jnp.int32)
    # Where nothing is allowed, the policy draws from all.
    allowed = jnp.where(allowed == 0, space.num_categories, allowed)
    most = _ENTROPY_SHARE * jnp.log(allowed.astype(jnp.float32))
    return most if wanted is None else jnp.minimum(wanted, most)


def _check_target_entropy(config: SACConfig, most: float, space: Space) -> None:
    """Refuses a target that no policy reaches: the temperature would rise for ever."""
    target = config.target_entropy
    if target is None or isinstance(target, Tracer):
        return
    if target >= most:
        raise ValueError(
            f"target_entropy={target} cannot be reached: the entropy of {space} is less than "
            f"{most:.4g} nats"
        )


def _continuous_networks(
    env: Environment, config: SACConfig, policy: Network | None, critic: Network | None
) -> tuple[Network, Network]:
    """A tanh-Gaussian, and a critic of one action."""
    space = check_bounded(env, "SAC")
    _check_target_entropy(config, space.shape[0] * math.log(2), space)
    head = SquashedGaussianHead(space, config.state_dependent_exploration, config.initial_log_std)
    policy = make_policy(env, config, head, policy)
    check_actions(policy, _mode, env)
    return policy, make_critic(env, space, config, critic)


def _discrete_networks(
    env: Environment, config: SACConfig, policy: Network | None, critic: Network | None
) -> tuple[Network, Network]:
    """A categorical, and a critic of all actions."""
    space = check_discrete(env, "SAC")
    _check_target_entropy(config, math.log(space.num_categories), space)
    policy = make_policy(env, config, CategoricalHead(space), policy)
    policy = policy_with_masks(policy, env.observation_space)
    if output_shapes(policy, _probabilities, env.observation_space) != [(space.num_categories,)]:
        raise ValueError(f"the policy network's distribution is not over {space}")
    return policy, make_q_network(env.observation_space, space, config, network=critic)


def _value_of_taken_action(critic: Network) -> Network:
    """The critic of an observation and one action, from the critic of all discrete actions."""

    def init(key: Key, observation: Observation, action: Action) -> Params:
        del action
        return critic.init(key, observation)

    def apply(params: Params, observation: Observation, action: Action) -> Float[Array, "*batch"]:
        return value_of(critic.apply(params, observation), action)

    return Network(init=init, apply=apply, batched=critic.batched)


def _exploration(policy: Network, env: Environment, config: SACConfig) -> Exploration:
    if not config.state_dependent_exploration:
        return independent_sampling()
    features = output_shapes(policy, _features, env.observation_space)[0]
    return state_dependent_noise(
        features[-1], env.action_space.shape[0], interval=config.noise_interval
    )


def _mode(distribution: Any) -> Array:
    if not hasattr(distribution, "sample_and_log_probability"):
        raise ValueError(
            "SAC's policy network returns a distribution that can sample_and_log_probability, "
            f"such as TanhGaussian, not a {type(distribution).__name__}"
        )
    return distribution.mode()


def _features(distribution: Any) -> Array:
    if not isinstance(distribution, SquashedStateDependentGaussian):
        raise ValueError(
            "state_dependent_exploration=True needs a policy network that returns a "
            f"SquashedStateDependentGaussian, not a {type(distribution).__name__}"
        )
    return distribution.base.features


def _probabilities(distribution: Any) -> Array:
    if not isinstance(distribution, Categorical):
        raise ValueError(
            "SAC's policy network of Discrete actions returns a Categorical, "
            f"not a {type(distribution).__name__}"
        )
    return distribution.probabilities()
