"""What SAC's policy and critics are for continuous and for discrete actions."""

import math
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxrl.actor_critic._learner import Critics
from jaxrl.actor_critic._networks import check_actions, least_value, make_critic, make_policy
from jaxrl.actor_critic._settings import SoftSettings
from jaxrl.actor_critic._soft import SoftActions, Worth
from jaxrl.distributions import Categorical
from jaxrl.exploration import (
    Exploration,
    SquashedStateDependentGaussian,
    independent_sampling,
    state_dependent_noise,
)
from jaxrl.loops.replays import check_bounded, check_discrete
from jaxrl.networks import CategoricalHead, SquashedGaussianHead
from jaxrl.networks.applying import apply_to_batch, init_network, output_shapes
from jaxrl.networks.masked_values import make_values_network, masked_policy, seen_and_mask
from jaxrl.ops.action_values import value_of
from jaxrl.types import (
    Action,
    Box,
    Discrete,
    Environment,
    Key,
    Network,
    Observation,
    Params,
    Space,
)

# Of the most that the allowed actions can have (Christodoulou 2019, section 4).
_ENTROPY_SHARE = 0.98


def continuous_actions(
    env: Environment, config: SoftSettings, policy: Network | None, critic: Network | None
) -> SoftActions:
    """A tanh-Gaussian, and critics of one drawn action."""
    space = check_bounded(env, "SAC")
    _check_target_entropy(config, space.shape[0] * math.log(2), space)
    head = SquashedGaussianHead(space, config.state_dependent_exploration, config.initial_log_std)
    actor = make_policy(env, config, head, policy)
    check_actions(actor, _mode, env)
    values = make_critic(env, space, config, critic)

    target_entropy = _scaled_entropy(space, config)

    def evaluate(key: Key, distribution: Any, critics: Critics, observation: Observation) -> Worth:
        action, log_probability = distribution.sample_and_log_probability(key)
        return least_value(values, critics, observation, action), log_probability

    return SoftActions(
        policy=actor,
        exploration=_exploration(actor, env, config),
        init_critic=lambda key: init_network(values, key, env.observation_space, space),
        predict=lambda params, *inputs: apply_to_batch(values, params, *inputs),
        evaluate=evaluate,
        log_probability=lambda key, distribution: distribution.sample_and_log_probability(key)[1],
        target_entropy=lambda observation: target_entropy,
    )


def discrete_actions(
    env: Environment, config: SoftSettings, policy: Network | None, critic: Network | None
) -> SoftActions:
    """A categorical, and critics of all actions."""
    space = check_discrete(env, "SAC")
    _check_target_entropy(config, math.log(space.num_categories), space)
    actor = make_policy(env, config, CategoricalHead(space), policy)
    actor = masked_policy(actor, env.observation_space)
    if output_shapes(actor, _probabilities, env.observation_space) != [(space.num_categories,)]:
        raise ValueError(f"the policy network's distribution is not over {space}")
    values = make_values_network(env.observation_space, space, config, network=critic)

    def evaluate(key: Key, distribution: Any, critics: Critics, observation: Observation) -> Worth:
        del key
        value = distribution.probabilities() * least_value(values, critics, observation)
        return jnp.sum(value, axis=-1), -distribution.entropy()

    def predict(params: Params, observation: Observation, action: Action) -> Float[Array, " M"]:
        return value_of(apply_to_batch(values, params, observation), action)

    return SoftActions(
        policy=actor,
        exploration=independent_sampling(),
        init_critic=lambda key: init_network(values, key, env.observation_space),
        predict=predict,
        evaluate=evaluate,
        log_probability=lambda key, distribution: -distribution.entropy(),
        target_entropy=partial(_reachable_entropy, space=space, wanted=config.target_entropy),
    )


def _reachable_entropy(
    observation: Observation, *, space: Discrete, wanted: Any
) -> Float[Array, " *#M"] | float:
    """The target of discrete actions: where a mask allows few, no more than they can have."""
    mask = seen_and_mask(observation)[1]
    if mask is None:
        return _ENTROPY_SHARE * math.log(space.num_categories) if wanted is None else wanted
    allowed = jnp.sum(mask, axis=-1, dtype=jnp.int32)
    # Where nothing is allowed, the policy draws from all.
    allowed = jnp.where(allowed == 0, space.num_categories, allowed)
    most = _ENTROPY_SHARE * jnp.log(allowed.astype(jnp.float32))
    return most if wanted is None else jnp.minimum(wanted, most)


def _check_target_entropy(config: SoftSettings, most: float, space: Space) -> None:
    """Refuses a target that no policy reaches: the temperature would rise for ever."""
    target = config.target_entropy
    if target is None or isinstance(target, Tracer) or not config.learn_temperature:
        return
    if target >= most:
        raise ValueError(
            f"target_entropy={target} cannot be reached: the entropy of {space} is less than "
            f"{most:.4g} nats"
        )


def _scaled_entropy(space: Box, config: SoftSettings) -> Float[Array, ""]:
    """The target of actions as the environment takes them: log of half the width more for each.

    Dimensions whose bounds are equal have no entropy, and do not count.
    """
    low, high = space.bounds()
    free = high > low
    target = -jnp.sum(free) if config.target_entropy is None else config.target_entropy
    log_half_width = jnp.log(0.5 * jnp.where(free, high - low, 1.0))
    return target + jnp.sum(jnp.where(free, log_half_width, 0.0))


def _exploration(policy: Network, env: Environment, config: SoftSettings) -> Exploration:
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
