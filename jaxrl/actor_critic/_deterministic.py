"""Deterministic policies of continuous actions: what DDPG and TD3 share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.actor_critic._learner import ActorCriticState, Networks, init_critics, init_state
from jaxrl.actor_critic._networks import (
    check_actions,
    chosen_networks,
    make_critic,
    make_policy,
)
from jaxrl.actor_critic._parameter_noise import perturb_policy
from jaxrl.actor_critic._settings import DeterministicSettings
from jaxrl.exploration import Exploration, gaussian_noise, ornstein_uhlenbeck_noise
from jaxrl.loops.replays import check_bounded
from jaxrl.networks import (
    DeterministicHead,
    apply_to_batch,
    init_network,
    policy_of,
    require_array,
)
from jaxrl.types import (
    Box,
    Carry,
    Environment,
    Key,
    Metrics,
    Network,
    Observation,
    Params,
    ReplayAgent,
    Replayed,
    Transition,
)


def deterministic_networks(
    env: Environment,
    config: DeterministicSettings,
    *,
    name: str,
    policy: Network | None,
    critic: Network | None,
) -> tuple[Network, Network]:
    """The policy mu(s) and the critic Q(s, a), the user's or the default ones.

    Args:
        env: with Box actions, vectors between finite bounds.
        config: the settings.
        name: the algorithm's, for errors.
        policy: maps one observation to an action; None: the default one.
        critic: maps one observation and an action to a value; None: the default one.

    Raises:
        ValueError: the actions or a network do not suit the algorithm.
    """
    space = check_bounded(env, name)
    policy, critic = chosen_networks(env, config, policy=policy, critic=critic)
    policy = make_policy(env, config, DeterministicHead(space), policy)
    check_actions(policy, _action, env)
    return policy, make_critic(env, space, config, critic)


def _action(output: Any) -> Array:
    require_array(output, "the action of a deterministic policy")
    return output


def deterministic_policy_loss(
    actor: Params,
    observation: Observation,
    critic_params: Params,
    *,
    policy: Network,
    critic: Network,
) -> Float[Array, ""]:
    """-mean Q(s, mu(s)), down which the actor goes up the critic.

    Args:
        actor: the policy's parameters.
        observation: s, leaves [M, ...].
        critic_params: of the critic, held fixed.
        policy: mu.
        critic: Q.

    Source: Silver et al. (2014), "Deterministic Policy Gradient Algorithms", equation 9.
    """
    action = apply_to_batch(policy, actor, observation)
    return -jnp.mean(apply_to_batch(critic, critic_params, observation, action))


def deterministic_agent(
    env: Environment,
    config: DeterministicSettings,
    update: Callable[
        [Key, ActorCriticState, Replayed], tuple[ActorCriticState, Float[Array, " M"], Metrics]
    ],
    *,
    policy: Network,
    critic: Network,
    num_critics: int,
) -> ReplayAgent:
    """Lets a deterministic policy explore by the noise of the settings, and learn by an update.

    Args:
        env: with Box actions, vectors between finite bounds.
        config: the settings.
        update: as of `ReplayAgent`; the algorithm's own.
        policy: maps one observation to an action.
        critic: maps one observation and an action to a value.
        num_critics: how many critics there are.
    """
    observations, actions = env.observation_space, env.action_space
    assert isinstance(actions, Box)
    exploration = _action_noise(actions, config)

    def init(key: Key) -> ActorCriticState:
        key_actor, key_critics = jax.random.split(key)
        actor = init_network(policy, key_actor, observations)
        critics = init_critics(key_critics, critic, num_critics, observations, actions)
        return init_state(Networks(actor, critics), config, target_actor=True)

    def act(
        key: Key, state: ActorCriticState, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array]:
        return exploration.sample(key, carry, policy.apply(state.networks.actor, observation))

    def observe(key: Key, state: ActorCriticState, transitions: Transition) -> ActorCriticState:
        del key, transitions
        return state

    agent = ReplayAgent(
        init=init,
        start=exploration.start,
        act=act,
        observe=observe,
        update=update,
        policy=lambda state: policy_of(policy, state.networks.actor, lambda action: action),
    )
    if config.noise != "parameter":
        return agent
    return perturb_policy(
        agent,
        actions,
        params_of=lambda state: state.networks.actor,
        with_params=_with_actor,
        deviation=config.noise_scale,
    )


def _action_noise(action_space: Box, config: DeterministicSettings) -> Exploration:
    if config.noise == "ornstein-uhlenbeck":
        return ornstein_uhlenbeck_noise(
            action_space,
            scale=config.noise_scale,
            reversion=config.noise_reversion,
            time_step=config.noise_time_step,
        )
    # Parameter noise acts without any of its own.
    scale = config.noise_scale if config.noise == "gaussian" else 0.0
    return gaussian_noise(action_space, scale=scale)


def _with_actor(state: ActorCriticState, params: Params) -> ActorCriticState:
    return state._replace(networks=state.networks._replace(actor=params))
