"""IMPALA (Espeholt et al. 2018, arXiv:1802.01561): actors behind the learner, corrected by V-trace.

The architecture's essence is kept and its machinery is not: the actors' parameters are those of
`lag` updates ago, always, so that a run is repeatable, and V-trace makes up for the difference.
With `lag` 0 and no limits it is A2C.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxrl.learning.normalization import NormalizationSettings
from jaxrl.loops.rollouts import join_rollouts, num_rollouts
from jaxrl.ops.returns import vtrace
from jaxrl.policy_gradient._actor import make_actor
from jaxrl.policy_gradient._experience import Estimator
from jaxrl.policy_gradient._gradient_agent import actor_critic_agent, in_one_update
from jaxrl.policy_gradient._task import check_task
from jaxrl.policy_gradient.a2c import AdvantageActorCriticSettings
from jaxrl.settings import number, settings, static
from jaxrl.types import (
    Agent,
    Algorithm,
    Carry,
    Environment,
    GradientAgent,
    Key,
    Metrics,
    Network,
    Observation,
    Params,
    Policy,
    RecurrentNetwork,
    Rollout,
)


@settings
class IMPALAConfig(AdvantageActorCriticSettings, NormalizationSettings):
    """Settings of IMPALA; the rollouts are as long as in the paper, the rest is as for A2C."""

    num_steps: int = static(20, minimum=1)
    """Steps of each environment between two updates."""
    lag: int = static(4, minimum=0, maximum=10_000)
    """Updates by which the actors are behind the learner; each keeps a copy of the parameters."""
    clip_rho: float | None = number(1.0, minimum=0, open_minimum=True, optional=True)
    """V-trace's largest weight of an error: it fixes which policy is valued; None: no limit."""
    clip_c: float | None = number(1.0, minimum=0, open_minimum=True, optional=True)
    """V-trace's largest weight in passing errors back; None: no limit."""
    clip_policy_gradient_rho: float | None = number(
        1.0, minimum=0, open_minimum=True, optional=True
    )
    """Largest importance weight of an advantage; None: no limit."""


class IMPALAState(NamedTuple):
    """The learner, and what the actors will act with.

    Attributes:
        learner: the learning rule's state.
        queue: leaves [lag, ...]: the learner's parameters before its last updates, oldest first.
    """

    learner: Any
    queue: Params


def impala(
    env: Environment, config: IMPALAConfig, *, network: Network | RecurrentNetwork | None = None
) -> Algorithm:
    """Builds IMPALA for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value); None: `networks.actor_critic`.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = check_task(env, config, IMPALAConfig)
    actor = make_actor(env.observation_space, env.action_space, config, network=network)
    estimator = vtrace_estimator(config)
    rule = actor_critic_agent(actor, estimator, config, num_updates=num_rollouts(config))
    return join_rollouts(env, acting_behind(rule, lag=config.lag), config)


def vtrace_estimator(config: IMPALAConfig) -> Estimator:
    """V-trace's advantages and value targets."""
    clips = (config.clip_rho, config.clip_c, config.clip_policy_gradient_rho)
    clip_rho, clip_c, clip_policy_gradient_rho = (math.inf if x is None else x for x in clips)

    def estimate(log_ratio: Array, *step: Array) -> tuple[Array, Array]:
        estimates = vtrace(
            log_ratio,
            *step,
            discount=config.discount,
            lambda_=config.gae_lambda,
            clip_rho=clip_rho,
            clip_c=clip_c,
            clip_policy_gradient_rho=clip_policy_gradient_rho,
        )
        return estimates.advantage, estimates.value_target

    return estimate


def acting_behind(rule: GradientAgent, *, lag: int) -> Agent:
    """The agent that acts with the parameters of `lag` updates ago, and learns with the newest."""
    learner = in_one_update(rule)

    def init(key: Key) -> IMPALAState:
        state = learner.init(key)
        copies = jax.tree.map(lambda x: jnp.broadcast_to(x, (lag, *x.shape)), rule.params(state))
        return IMPALAState(learner=state, queue=copies)

    def act(key: Key, state: IMPALAState, carry: Carry, observation: Observation) -> Any:
        newest = rule.params(state.learner)
        params = jax.tree.map(lambda x: x[0], state.queue) if lag else newest
        return rule.act(key, params, carry, observation)

    def update(key: Key, state: IMPALAState, batch: Rollout) -> tuple[IMPALAState, Metrics]:
        newest = rule.params(state.learner)
        queue = jax.tree.map(
            lambda old, new: jnp.concatenate((old, new[None]))[1:], state.queue, newest
        )
        learner_state, metrics = learner.update(key, state.learner, batch)
        return IMPALAState(learner=learner_state, queue=queue), metrics

    def policy(state: IMPALAState) -> Policy:
        return learner.policy(state.learner)

    return Agent(init=init, start=rule.start, act=act, update=update, policy=policy)
