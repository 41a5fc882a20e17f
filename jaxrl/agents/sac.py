"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), for continuous and discrete actions.

The discrete form is that of Christodoulou (2019, arXiv:1910.07207): expectations over all actions
where the continuous one draws. Unlike in the reference implementations, a time limit is not a
termination: the final observation's value counts.
"""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.exploration import Exploration, independent_sampling, state_dependent_noise
from jaxrl.networks import CategoricalHead, SquashedGaussianHead
from jaxrl.ops.action_values import value_of
from jaxrl.q_learning.actor_critic import Critics, actor_critic_agent
from jaxrl.q_learning.building import (
    check_bounded,
    check_discrete,
    check_replay_task,
    join_replay,
)
from jaxrl.q_learning.networks import (
    check_actions,
    least_value,
    make_critic,
    make_policy,
    output_shapes,
)
from jaxrl.q_learning.settings import ActorCriticSettings
from jaxrl.q_learning.soft import SoftActions, Worth, soft_rule
from jaxrl.q_learning.values import (
    apply_to_batch,
    init_network,
    make_values_network,
    masked_policy,
)
from jaxrl.settings import number, settings, static
from jaxrl.types import (
    Action,
    Algorithm,
    Box,
    Discrete,
    Environment,
    Key,
    Network,
    Observation,
    Params,
)


@settings
class SACConfig(ActorCriticSettings):
    """Settings of SAC; those of its learning default to the paper's."""

    learning_rate: float = number(3e-4, minimum=0, open_minimum=True)
    """The critics' step size at the start."""
    num_critics: int = static(2, minimum=1, maximum=100)
    """Critics of which the least counts; 1: no twin."""
    initial_temperature: float = number(1.0, minimum=0, open_minimum=True)
    """Alpha, what a nat of entropy is worth: at the start, or for ever where it is not learnt."""
    learn_temperature: bool = static(True)
    """Let the temperature seek the target entropy."""
    target_entropy: float | None = number(None, optional=True)
    """In nats, of actions scaled to -1 .. 1; None: minus their number, or .98 log K."""
    state_dependent_exploration: bool = static(False)
    """Noise that is a function of the state for some steps (gSDE), for Box actions."""
    noise_interval: int = static(8, minimum=1)
    """Steps for which that function is kept, and at most until the episode's end."""
    initial_log_std: float = number(-3.0)
    """Logarithm of the deviations at the start, of state-dependent exploration."""


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
    """
    env = check_replay_task(env, config)
    discrete = isinstance(env.action_space, Discrete)
    actions = (_discrete if discrete else _continuous)(env, config, policy, critic)
    rule = soft_rule(
        actions,
        env.observation_space,
        initial_temperature=config.initial_temperature,
        learn_temperature=config.learn_temperature,
        num_critics=config.num_critics,
    )
    return join_replay(env, actor_critic_agent(rule, config), config)


def _continuous(
    env: Environment, config: SACConfig, policy: Network | None, critic: Network | None
) -> SoftActions:
    """A tanh-Gaussian, and critics of one drawn action."""
    space = check_bounded(env, "SAC")
    head = SquashedGaussianHead(space, config.state_dependent_exploration, config.initial_log_std)
    actor = make_policy(env, config, head, policy)
    check_actions(actor, lambda distribution: distribution.mode(), env)
    values = make_critic(env, space, config, critic)

    def evaluate(key: Key, distribution: Any, critics: Critics, observation: Observation) -> Worth:
        action, log_probability = distribution.sample_and_log_probability(key)
        return least_value(values, critics, observation, action), log_probability

    return SoftActions(
        policy=actor,
        exploration=_exploration(actor, env, config),
        init_critic=lambda key: init_network(values, key, env.observation_space, space),
        predict=lambda params, *inputs: apply_to_batch(values, params, *inputs),
        evaluate=evaluate,
        target_entropy=_scaled_entropy(space, config),
    )


def _discrete(
    env: Environment, config: SACConfig, policy: Network | None, critic: Network | None
) -> SoftActions:
    """A categorical, and critics of all actions."""
    space = check_discrete(env, "SAC")
    if config.state_dependent_exploration:
        raise ValueError(
            f"state_dependent_exploration=True needs Box actions, but those of {env.name} are "
            f"{space}"
        )
    actor = make_policy(env, config, CategoricalHead(space), policy)
    values = make_values_network(env.observation_space, space, config, network=critic)

    def evaluate(key: Key, distribution: Any, critics: Critics, observation: Observation) -> Worth:
        del key
        value = distribution.probabilities() * least_value(values, critics, observation)
        return jnp.sum(value, axis=-1), -distribution.entropy()

    def predict(params: Params, observation: Observation, action: Action) -> Float[Array, " M"]:
        return value_of(apply_to_batch(values, params, observation), action)

    default = 0.98 * math.log(space.num_categories)
    return SoftActions(
        policy=masked_policy(actor, env.observation_space),
        exploration=independent_sampling(),
        init_critic=lambda key: init_network(values, key, env.observation_space),
        predict=predict,
        evaluate=evaluate,
        target_entropy=default if config.target_entropy is None else config.target_entropy,
    )


def _scaled_entropy(space: Box, config: SACConfig) -> Float[Array, ""]:
    """The target of actions as the environment takes them: log of half the width more for each."""
    size = space.shape[0]
    target = -size if config.target_entropy is None else config.target_entropy
    half_width = 0.5 * (jnp.asarray(space.high) - jnp.asarray(space.low))
    return target + jnp.sum(jnp.log(jnp.broadcast_to(half_width, (size,))))


def _exploration(policy: Network, env: Environment, config: SACConfig) -> Exploration:
    if not config.state_dependent_exploration:
        return independent_sampling()
    features = output_shapes(policy, lambda x: x.base.features, env.observation_space)[0]
    return state_dependent_noise(
        features[-1], env.action_space.shape[0], interval=config.noise_interval
    )
