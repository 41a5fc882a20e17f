"""IMPALA (Espeholt et al. 2018, arXiv:1802.01561): actors behind the learner, corrected by V-trace.

The architecture's essence is kept and its machinery is not: the actors' parameters are those of
`lag` updates ago, always, so that a run is repeatable, and V-trace makes up for the difference.
With `lag` 0 and no limits it is A2C.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl.learning.optimizers import LearnerState
from jaxrl.loops.rollouts import join_rollouts
from jaxrl.ops.returns import vtrace
from jaxrl.policy_gradient._actor import Actor, ActorCriticNetwork
from jaxrl.policy_gradient._algorithm import init_learner, prepare_task
from jaxrl.policy_gradient._experience import as_sequences, evaluate_rollout
from jaxrl.policy_gradient._settings import OnPolicySettings
from jaxrl.policy_gradient.a2c import (
    AdvantageActorCriticSettings,
    advantage_actor_critic_gradient,
    apply_gradient,
)
from jaxrl.settings import number, settings, static
from jaxrl.types import (
    Agent,
    Algorithm,
    Carry,
    Environment,
    Key,
    Metrics,
    Observation,
    Params,
    Policy,
    Rollout,
)


@settings
class IMPALAConfig(AdvantageActorCriticSettings, OnPolicySettings):
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
        learner: the newest parameters, and what they are learnt with.
        queue: leaves [lag, ...]: the parameters before the last updates, oldest first.
    """

    learner: LearnerState
    queue: Params


def _gradient(
    params: Params, rollout: Rollout, *, actor: Actor, config: IMPALAConfig
) -> tuple[Params, Metrics]:
    """The gradient of A2C's loss, with V-trace's advantages and value targets."""
    steps, evaluated = rollout.transitions, evaluate_rollout(params, rollout, actor)
    clips = (config.clip_rho, config.clip_c, config.clip_policy_gradient_rho)
    clip_rho, clip_c, clip_policy_gradient_rho = (math.inf if x is None else x for x in clips)
    estimate = partial(
        vtrace,
        discount=config.discount,
        lambda_=config.gae_lambda,
        clip_rho=clip_rho,
        clip_c=clip_c,
        clip_policy_gradient_rho=clip_policy_gradient_rho,
    )
    estimates = jax.vmap(estimate, in_axes=1, out_axes=1)(
        evaluated.log_probability - steps.extras.log_probability,
        steps.reward,
        evaluated.value,
        evaluated.next_value,
        steps.terminated,
        steps.truncated,
    )
    batch = as_sequences(
        rollout,
        evaluated,
        advantage=estimates.advantage,
        target=estimates.value_target,
        actor=actor,
        length=config.sequence_length,
    )
    return advantage_actor_critic_gradient(params, batch, actor=actor, config=config)


def impala_agent(
    actor: Actor, optimizer: optax.GradientTransformation, config: IMPALAConfig
) -> Agent:
    """Builds the agent that acts with the parameters of `lag` updates ago, and learns the newest.

    Args:
        actor: who acts.
        optimizer: of the settings.
        config: the settings.

    Returns:
        The agent; its state is an `IMPALAState`.
    """
    lag = config.lag

    def init(key: Key) -> IMPALAState:
        learner = init_learner(key, actor, optimizer)
        copies = jax.tree.map(lambda x: jnp.broadcast_to(x, (lag, *x.shape)), learner.params)
        return IMPALAState(learner=learner, queue=copies)

    def act(key: Key, state: IMPALAState, carry: Carry, observation: Observation) -> Any:
        newest = state.learner.params
        params = jax.tree.map(lambda x: x[0], state.queue) if lag else newest
        return actor.act(key, params, carry, observation)

    def update(key: Key, state: IMPALAState, rollout: Rollout) -> tuple[IMPALAState, Metrics]:
        del key
        newest = state.learner.params
        queue = jax.tree.map(
            lambda old, new: jnp.concatenate((old, new[None]))[1:], state.queue, newest
        )
        gradient, metrics = _gradient(newest, rollout, actor=actor, config=config)
        learner, applied = apply_gradient(
            state.learner, gradient, optimizer=optimizer, config=config
        )
        return IMPALAState(learner=learner, queue=queue), metrics | applied

    def policy(state: IMPALAState) -> Policy:
        return actor.policy(state.learner.params)

    return Agent(init=init, start=actor.start, act=act, update=update, policy=policy)


def impala(
    env: Environment, config: IMPALAConfig, *, network: ActorCriticNetwork | None = None
) -> Algorithm:
    """Builds IMPALA for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value), with or without memory; None: the
            default one of `networks`.

    Returns:
        The algorithm, to be trained.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.IMPALAConfig(num_envs=16, num_steps=20, lag=2)
        >>> algorithm = jaxrl.impala(env, config)
        >>> algorithm.steps_per_iteration
        320
    """
    env, actor, optimizer = prepare_task(env, config, IMPALAConfig, network=network)
    agent = impala_agent(actor, optimizer, config)
    return join_rollouts(env, agent, config)
