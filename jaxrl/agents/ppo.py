"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347).

The details follow "The 37 Implementation Details of Proximal Policy Optimization" (Huang et al.,
ICLR blog track 2022), except where a time limit cuts an episode off: there the value of the final
observation is bootstrapped, which the reference implementations do not do.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from jaxrl.agents.normalization import normalize_observations, normalize_rewards
from jaxrl.environments import flatten_actions, require_environment
from jaxrl.exploration import (
    Exploration,
    StateDependentGaussian,
    independent_sampling,
    state_dependent_noise,
)
from jaxrl.loops.on_policy import on_policy
from jaxrl.networks import ACTIVATIONS, actor_critic, over_batch
from jaxrl.ops.policy_losses import clipped_surrogate_loss
from jaxrl.ops.returns import gae
from jaxrl.ops.shuffling import random_permutation
from jaxrl.ops.statistics import approximate_kl, clip_fraction, explained_variance
from jaxrl.ops.value_losses import clipped_value_loss, squared_loss
from jaxrl.settings import number, require_scalars, settings, static, validate
from jaxrl.types import (
    Agent,
    Algorithm,
    Box,
    Carry,
    Environment,
    Key,
    Metrics,
    Network,
    Observation,
    Params,
    Policy,
    Rollout,
    Space,
    Transition,
)

# Steps are counted in int32.
MAX_STEPS = 2**31 - 1


@settings
class PPOConfig:
    """Settings of PPO; the defaults are those of CleanRL's `ppo.py` where nothing else is said."""

    total_steps: int = static(500_000, minimum=1, maximum=MAX_STEPS)
    """Budget in environment steps, all environments together."""
    num_envs: int = static(4, minimum=1)
    """Environments stepped side by side."""
    num_steps: int = static(128, minimum=1)
    """Steps of each environment between two updates."""
    num_epochs: int = static(4, minimum=1)
    """Passes over each rollout."""
    num_minibatches: int = static(4, minimum=1)
    """Gradient steps per pass; must divide num_envs * num_steps."""
    learning_rate: float = number(2.5e-4, minimum=0, open_minimum=True)
    """Adam's step size at the start."""
    learning_rate_schedule: str | Callable[[Array], Array] = static(
        "linear", choices=("constant", "linear")
    )
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    adam_epsilon: float = number(1e-5, minimum=0, open_minimum=True)
    """Added to the root of Adam's second moment."""
    discount: float = number(0.99, minimum=0, maximum=1)
    """Gamma, the worth of a reward one step later."""
    gae_lambda: float = number(0.95, minimum=0, maximum=1)
    """Trades bias (0) for variance (1) in the advantage estimate."""
    clip_epsilon: float = number(0.2, minimum=0, open_minimum=True)
    """Width of the surrogate's clip range at the start."""
    clip_schedule: str | Callable[[Array], Array] = static(
        "constant", choices=("constant", "linear")
    )
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    value_clip_epsilon: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """Clips the value's change as well; None (off) is no worse (Andrychowicz et al. 2021)."""
    value_coefficient: float = number(0.5, minimum=0)
    """Weight of the value loss."""
    entropy_coefficient: float = number(0.01, minimum=0)
    """Weight of the entropy bonus."""
    max_gradient_norm: float | None = number(0.5, minimum=0, open_minimum=True, optional=True)
    """The whole gradient is scaled down to this Euclidean norm; None: never."""
    target_kl: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """Ends an iteration's updates when the approximate KL exceeds 1.5 times this; None: never."""
    normalize_advantages: bool = static(True)
    """Standardise the advantages of each minibatch."""
    normalize_observations: bool = static(False)
    """Standardise observations by their running mean and deviation, clipped to 10."""
    normalize_rewards: bool = static(False)
    """Divide rewards by the running deviation of the discounted return, clipped to 10."""
    state_dependent_exploration: bool = static(False)
    """gSDE: noise that depends on the state and lasts for several steps; Box actions only."""
    noise_interval: int = static(8, minimum=1)
    """Steps for which gSDE keeps its noise matrix."""
    initial_log_std: float = number(0.0, minimum=-20.0, maximum=20.0)
    """Logarithm of the standard deviation of Box actions at the start."""
    torso: str = static("auto", choices=("auto", "mlp", "cnn"))
    """Feature extractor; auto takes cnn for [height, width, channels] observations."""
    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    activation: str = static("tanh", choices=tuple(ACTIVATIONS))
    """Elementwise function between layers."""
    shared_torso: bool = static(False)
    """One feature extractor for actor and critic instead of one each."""
    compute_dtype: str = static("float32", choices=("float32", "bfloat16"))
    """Precision of the feature extractors; parameters and output layers stay float32."""


class PPOState(NamedTuple):
    """What PPO learns.

    Attributes:
        params: of the actor-critic.
        optimizer: optax's state.
        updates: int32 (), rollouts learnt from.
    """

    params: Params
    optimizer: optax.OptState
    updates: Int[Array, ""]


class PPOExtras(NamedTuple):
    """What the actor reports beside its action.

    Attributes:
        log_probability: of the action as drawn, before any clipping to the bounds.
    """

    log_probability: Float[Array, "*batch"]


class Minibatch(NamedTuple):
    """What one gradient step reads, leaves [M, ...]."""

    observation: Observation
    action: Array
    log_probability: Array
    value: Array
    advantage: Array
    target: Array


def ppo(env: Environment, config: PPOConfig, *, network: Network | None = None) -> Algorithm:
    """Builds PPO for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value); None: `networks.actor_critic`.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    require_environment(env)
    validate(config)
    require_scalars(config)
    _validate_together(env, config)
    env = flatten_actions(env)
    agent = ppo_agent(env.observation_space, env.action_space, config, network=network)
    if config.normalize_observations:
        agent = normalize_observations(agent, env.observation_space)
    if config.normalize_rewards:
        agent = normalize_rewards(agent, num_envs=config.num_envs, discount=config.discount)
    return on_policy(
        env,
        agent,
        num_envs=config.num_envs,
        num_steps=config.num_steps,
        total_steps=config.total_steps,
    )


def ppo_agent(
    observation_space: Space,
    action_space: Space,
    config: PPOConfig,
    *,
    network: Network | None = None,
) -> Agent:
    """Builds PPO's learning rule, to be joined to a loop; arguments as for `ppo`."""
    if network is None:
        network = actor_critic(
            observation_space,
            action_space,
            torso=config.torso,
            hidden_sizes=config.hidden_sizes,
            activation=config.activation,
            shared_torso=config.shared_torso,
            initial_log_std=config.initial_log_std,
            state_dependent_exploration=config.state_dependent_exploration,
            compute_dtype=config.compute_dtype,
        )
    example = jax.eval_shape(observation_space.sample, jax.random.key(0))
    exploration = _exploration(config, network, example, action_space)
    optimizer = optax.scale_by_adam(eps=config.adam_epsilon)
    if config.max_gradient_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optimizer)
    # On one flat vector: many small arrays cost more in operations than in arithmetic.
    optimizer = optax.flatten(optimizer)

    def init(key: Key) -> PPOState:
        params = network.init(key, jnp.zeros(example.shape, example.dtype))
        return PPOState(params=params, optimizer=optimizer.init(params), updates=jnp.int32(0))

    def act(
        key: Key, state: PPOState, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array, PPOExtras]:
        distribution, _ = network.apply(state.params, observation)
        carry, action = exploration.sample(key, carry, distribution)
        return carry, action, PPOExtras(log_probability=distribution.log_probability(action))

    def policy(state: PPOState) -> Policy:
        def act_greedily(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Array]:
            del key
            distribution, _ = network.apply(state.params, observation)
            return carry, distribution.mode()

        return Policy(start=independent_sampling().start, act=act_greedily)

    def update(key: Key, state: PPOState, batch: Rollout) -> tuple[PPOState, Metrics]:
        return _update(key, state, batch, config=config, network=network, optimizer=optimizer)

    return Agent(init=init, start=exploration.start, act=act, update=update, policy=policy)


def _update(
    key: Key,
    state: PPOState,
    rollout: Rollout,
    *,
    config: PPOConfig,
    network: Network,
    optimizer: optax.GradientTransformation,
) -> tuple[PPOState, Metrics]:
    """Advantages once, then `num_epochs` passes of `num_minibatches` gradient steps."""
    num_updates = -(-config.total_steps // (config.num_envs * config.num_steps))
    learning_rate = config.learning_rate * _schedule(
        config.learning_rate_schedule, state.updates, num_updates
    )
    clip_epsilon = config.clip_epsilon * _schedule(config.clip_schedule, state.updates, num_updates)
    batch = _prepare(state.params, rollout, config=config, network=network)
    batch_size = batch.advantage.size
    gradient_of = jax.value_and_grad(_loss, has_aux=True)

    def gradient_step(carry: Any, index: Array) -> Any:
        params, optimizer_state, stopped = carry
        minibatch = jax.tree.map(lambda x: x[index], batch)
        (_, metrics), gradient = gradient_of(
            params, minibatch, clip_epsilon, config=config, network=network
        )
        metrics["gradient_norm"] = optax.tree.norm(ravel_pytree(gradient)[0])
        change, new_optimizer_state = optimizer.update(gradient, optimizer_state)
        new_params = jax.tree.map(lambda p, c: p - learning_rate * c, params, change)
        new = (new_params, new_optimizer_state)
        if config.target_kl is not None:
            stopped = stopped | (metrics["approximate_kl"] > 1.5 * config.target_kl)
            new = jax.tree.map(
                lambda old, new: jnp.where(stopped, old, new), (params, optimizer_state), new
            )
        return (*new, stopped), metrics

    def epoch(carry: Any, key_shuffle: Key) -> Any:
        order = random_permutation(key_shuffle, batch_size)
        return jax.lax.scan(gradient_step, carry, order.reshape(config.num_minibatches, -1))

    carry = (state.params, state.optimizer, jnp.array(False))
    keys = jax.random.split(key, config.num_epochs)
    (params, optimizer_state, _), metrics = jax.lax.scan(epoch, carry, keys)
    metrics = jax.tree.map(jnp.mean, metrics)
    metrics["explained_variance"] = explained_variance(batch.value, batch.target)
    metrics["learning_rate"] = jnp.asarray(learning_rate, jnp.float32)
    metrics["clip_epsilon"] = jnp.asarray(clip_epsilon, jnp.float32)
    state = PPOState(params=params, optimizer=optimizer_state, updates=state.updates + 1)
    return state, metrics


def _prepare(params: Params, rollout: Rollout, *, config: PPOConfig, network: Network) -> Minibatch:
    """Values, advantages and value targets of a rollout [T, B], flattened to [T * B, ...]."""
    transitions: Transition = rollout.transitions

    values_of = over_batch(network, lambda params, x: network.apply(params, x)[1])
    shape = transitions.reward.shape

    def flat(x: Array) -> Array:
        return x.reshape(-1, *x.shape[2:])

    # Both in one pass, which compiles once.
    observations = (flat(transitions.observation), flat(transitions.final_observation))
    values = values_of(params, jnp.concatenate(observations))
    value, next_value = values.reshape(2, *shape)
    advantage_of = jax.vmap(
        lambda *arrays: gae(*arrays, discount=config.discount, gae_lambda=config.gae_lambda),
        in_axes=1,
        out_axes=1,
    )
    advantage = advantage_of(
        transitions.reward,
        value,
        next_value,
        transitions.terminated,
        transitions.truncated,
    )
    batch = Minibatch(
        observation=transitions.observation,
        action=transitions.action,
        log_probability=transitions.extras.log_probability,
        value=value,
        advantage=advantage,
        target=advantage + value,
    )
    return jax.tree.map(flat, batch)


def _loss(
    params: Params,
    batch: Minibatch,
    clip_epsilon: Array | float,
    *,
    config: PPOConfig,
    network: Network,
) -> tuple[Float[Array, ""], Metrics]:
    """The clipped surrogate, the value loss and the entropy bonus (equation 9)."""

    def examine(
        params: Params, observation: Observation, action: Array
    ) -> tuple[Array, Array, Array]:
        distribution, value = network.apply(params, observation)
        return distribution.log_probability(action), distribution.entropy(), value

    log_probability, entropy, value = over_batch(network, examine)(
        params, batch.observation, batch.action
    )
    log_ratio = log_probability - batch.log_probability
    chex.assert_equal_shape([log_ratio, entropy, value, batch.advantage])
    advantage = batch.advantage
    if config.normalize_advantages:
        advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
    policy_loss = clipped_surrogate_loss(log_ratio, advantage, clip_epsilon=clip_epsilon)
    if config.value_clip_epsilon is None:
        value_loss = squared_loss(value, batch.target)
    else:
        value_loss = clipped_value_loss(
            value, batch.value, batch.target, clip_epsilon=config.value_clip_epsilon
        )
    mean_entropy = jnp.mean(entropy)
    loss = (
        policy_loss
        + config.value_coefficient * value_loss
        - config.entropy_coefficient * mean_entropy
    )
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": mean_entropy,
        "approximate_kl": approximate_kl(log_ratio),
        "clip_fraction": clip_fraction(log_ratio, clip_epsilon),
    }
    return loss, metrics


def _schedule(
    schedule: str | Callable[[Array], Array], iteration: Array, num_iterations: int
) -> Any:
    """The factor that a schedule gives before the iteration's updates."""
    if callable(schedule):
        return schedule(iteration)
    return 1.0 - iteration / num_iterations if schedule == "linear" else 1.0


def _exploration(
    config: PPOConfig, network: Network, example: Any, action_space: Space
) -> Exploration:
    """Checks what the network returns and picks the way to draw actions from it."""

    def examine(key: Key, observation: Observation) -> Any:
        output = network.apply(network.init(key, observation), observation)
        if not isinstance(output, tuple) or len(output) != 2 or jnp.shape(output[1]) != ():
            raise ValueError(
                "a network for PPO maps one observation to (distribution, value) with a value of "
                f"shape (), but this one returns shapes {jax.tree.map(jnp.shape, output)}"
            )
        distribution = output[0]
        if not config.state_dependent_exploration:
            return distribution.mode(), ()
        if not isinstance(distribution, StateDependentGaussian):
            raise ValueError(
                "state_dependent_exploration=True needs a network that returns a "
                f"StateDependentGaussian, not a {type(distribution).__name__}"
            )
        return distribution.mode(), distribution.features

    action, features = jax.eval_shape(examine, jax.random.key(0), example)
    if action.shape != action_space.shape:
        raise ValueError(
            f"the network's distribution is over actions of shape {action.shape}, "
            f"but those of the environment have shape {action_space.shape}"
        )
    if not config.state_dependent_exploration:
        return independent_sampling()
    return state_dependent_noise(
        features.shape[-1], action.shape[-1], interval=config.noise_interval
    )


def _validate_together(env: Environment, config: PPOConfig) -> None:
    """Checks what no field can say alone."""
    batch_size = config.num_envs * config.num_steps
    product = f"num_envs * num_steps = {batch_size}"
    if config.total_steps + batch_size > MAX_STEPS:
        raise ValueError(
            f"total_steps={config.total_steps} and {product} are too many: "
            f"together they must stay at most {MAX_STEPS}"
        )
    if batch_size % config.num_minibatches:
        raise ValueError(f"num_minibatches={config.num_minibatches} does not divide {product}")
    if config.state_dependent_exploration and not isinstance(env.action_space, Box):
        raise ValueError(
            "state_dependent_exploration=True needs Box actions, but the actions of "
            f"{env.name} are {env.action_space}"
        )
    if config.normalize_observations and not isinstance(env.observation_space, Box):
        raise ValueError(
            "normalize_observations=True needs Box observations, but the observations of "
            f"{env.name} are {env.observation_space}"
        )
