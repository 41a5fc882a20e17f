"""Deterministic policies of continuous actions: what DDPG and TD3 share."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.actor_critic._learner import (
    ActorCriticState,
    Critics,
    Rule,
    actor_critic_agent,
)
from jaxrl.actor_critic._networks import check_actions, least_value, make_critic, make_policy
from jaxrl.actor_critic._parameter_noise import perturb_policy
from jaxrl.actor_critic._settings import ActionNoiseSettings, ActorCriticSettings
from jaxrl.exploration import Exploration, gaussian_noise, ornstein_uhlenbeck_noise
from jaxrl.loops.replays import check_bounded
from jaxrl.networks import DeterministicHead, require_array
from jaxrl.networks.applying import apply_to_batch, init_network, policy_of
from jaxrl.ops.action_values import smoothed_action
from jaxrl.settings import check_use, settings
from jaxrl.types import (
    Box,
    Carry,
    Environment,
    Key,
    Metrics,
    Network,
    Observation,
    ObservationSpace,
    Params,
    ReplayAgent,
)


@settings
class DeterministicSettings(ActionNoiseSettings, ActorCriticSettings):
    """What DDPG and TD3 have in common."""


class TargetSmoothing(NamedTuple):
    """Noise on the target policy's actions (Fujimoto et al. 2018, section 5.3).

    Attributes:
        noise: its deviation, in half the width of the bounds.
        noise_clip: the most that it displaces an action, of the same unit.
    """

    noise: Any
    noise_clip: Any


def deterministic_agent(
    env: Environment,
    config: DeterministicSettings,
    *,
    name: str,
    num_critics: int,
    smoothing: TargetSmoothing | None = None,
    policy: Network | None = None,
    critic: Network | None = None,
) -> ReplayAgent:
    """Builds the learning rule of an actor that goes up the first critic.

        V(s') = min_i Q_i(s', mu(s') + smoothing noise), of the targets

    Args:
        env: with Box actions, vectors between finite bounds.
        config: the settings.
        name: the algorithm's, for errors.
        num_critics: of which the least counts.
        smoothing: of the target policy's actions; None: they are taken as they are.
        policy: maps one observation to an action; None: the default one.
        critic: maps one observation and an action to a value; None: the default one.

    Raises:
        ValueError: a network does not suit the environment.
    """
    space = check_bounded(env, name)
    check_use(config, env.observation_space, space, policy=policy, critic=critic)
    actor = make_policy(env, config, DeterministicHead(space), policy)
    check_actions(actor, _action, env)
    values = make_critic(env, space, config, critic)
    rule = _rule(env.observation_space, space, actor, values, config, smoothing, num_critics)
    agent = actor_critic_agent(rule, config)
    if config.noise != "parameter":
        return agent
    return perturb_policy(
        agent,
        space,
        params_of=lambda state: state.networks.actor,
        with_params=_with_actor,
        deviation=config.noise_scale,
    )


def _action(output: Any) -> Array:
    require_array(output, "the action of a deterministic policy")
    return output


def _rule(
    observation_space: ObservationSpace,
    action_space: Box,
    actor: Network,
    values: Network,
    config: DeterministicSettings,
    smoothing: TargetSmoothing | None,
    num_critics: int,
) -> Rule:
    exploration = _action_noise(action_space, config)

    def next_value(
        key: Key, params: Params, critics: Critics, observation: Observation
    ) -> Float[Array, " M"]:
        action = apply_to_batch(actor, params, observation)
        if smoothing is not None:
            action = _smoothed(key, action, smoothing, action_space)
        return least_value(values, critics, observation, action)

    def actor_loss(
        key: Key, params: Params, critics: Critics, observation: Observation
    ) -> tuple[Array, Metrics]:
        del key
        action = apply_to_batch(actor, params, observation)
        return -jnp.mean(apply_to_batch(values, critics[0], observation, action)), {}

    def act(
        key: Key, params: Params, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array]:
        return exploration.sample(key, carry, actor.apply(params, observation))

    return Rule(
        init_actor=lambda key: init_network(actor, key, observation_space),
        init_critic=lambda key: init_network(values, key, observation_space, action_space),
        predict=lambda params, *inputs: apply_to_batch(values, params, *inputs),
        next_value=next_value,
        entropy_bonus=None,
        actor_loss=actor_loss,
        actor_metrics=(),
        start=exploration.start,
        act=act,
        policy=lambda params: policy_of(actor, params, lambda action: action),
        num_critics=num_critics,
        target_actor=True,
    )


def _smoothed(key: Key, action: Array, smoothing: TargetSmoothing, space: Box) -> Array:
    noise = smoothing.noise * jax.random.normal(key, action.shape, jnp.float32)
    low, high = map(jnp.asarray, space.bounds())
    return smoothed_action(action, noise, noise_clip=smoothing.noise_clip, low=low, high=high)


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
