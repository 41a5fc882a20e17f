"""The advantage actor-critic's learning rule: one gradient of one loss per rollout.

A2C, A3C and IMPALA differ in who acts with which parameters, and in the advantage estimator.
"""

from typing import Any

import jax

from jaxrl.learning.optimizers import (
    LearnerState,
    as_metric,
    gradient_norm,
    gradient_step,
    learning_rate_at,
    make_optimizer,
)
from jaxrl.ops.statistics import explained_variance
from jaxrl.policy_gradient._actor import Actor
from jaxrl.policy_gradient._experience import Estimator, prepare
from jaxrl.policy_gradient._learner import init_learner
from jaxrl.policy_gradient._losses import actor_critic_loss, standardize
from jaxrl.policy_gradient._task import sequences_per_environment
from jaxrl.types import (
    Agent,
    Carry,
    GradientAgent,
    Key,
    Metrics,
    Observation,
    Params,
    Policy,
    Rollout,
)


def actor_critic_agent(
    actor: Actor,
    estimator: Estimator,
    config: Any,
    *,
    num_updates: int,
    updates_per_iteration: int = 1,
) -> GradientAgent:
    """Builds the learning rule.

    Args:
        actor: who acts.
        estimator: of advantages and value targets.
        config: settings with the fields of `agents.a2c.AdvantageActorCriticSettings`.
        num_updates: gradients applied in a whole run, over which the learning rate is annealed.
        updates_per_iteration: gradients applied in one iteration.

    Returns:
        The rule; its state is a `LearnerState`.
    """
    sequences_per_environment(config, actor)
    optimizer = make_optimizer(config)

    def init(key: Key) -> LearnerState:
        return init_learner(key, actor, optimizer)

    def gradient(key: Key, params: Params, batch: Rollout) -> tuple[Params, Metrics]:
        del key
        experience = prepare(params, batch, actor, estimator, config.sequence_length)
        if config.normalize_advantages:
            experience = experience._replace(advantage=standardize(experience.advantage))
        loss = jax.value_and_grad(actor_critic_loss, has_aux=True)
        (_, metrics), gradient = loss(params, experience, actor=actor, config=config)
        metrics["gradient_norm"] = gradient_norm(gradient)
        metrics["explained_variance"] = explained_variance(experience.value, experience.target)
        return gradient, metrics

    def apply(state: LearnerState, gradient: Params) -> tuple[LearnerState, Metrics]:
        learning_rate = learning_rate_at(
            config, state.updates, num_updates, updates_per_iteration=updates_per_iteration
        )
        params, optimizer_state = gradient_step(
            optimizer, state.params, state.optimizer, gradient, learning_rate
        )
        state = LearnerState(params, optimizer_state, state.updates + 1)
        return state, {"learning_rate": as_metric(learning_rate)}

    return GradientAgent(
        init=init,
        params=lambda state: state.params,
        start=actor.start,
        act=actor.act,
        gradient=gradient,
        apply=apply,
        policy=actor.policy,
    )


def in_one_update(agent: GradientAgent) -> Agent:
    """The agent that applies each gradient to the parameters that it is of."""

    def act(key: Key, state: Any, carry: Carry, observation: Observation) -> Any:
        return agent.act(key, agent.params(state), carry, observation)

    def update(key: Key, state: Any, batch: Any) -> tuple[Any, Metrics]:
        gradient, metrics = agent.gradient(key, agent.params(state), batch)
        state, applied = agent.apply(state, gradient)
        return state, metrics | applied

    def policy(state: Any) -> Policy:
        return agent.policy(agent.params(state))

    return Agent(init=agent.init, start=agent.start, act=act, update=update, policy=policy)
