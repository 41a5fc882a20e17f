"""REINFORCE (Williams 1992, "Simple Statistical Gradient-Following Algorithms").

One gradient step per batch of whole episodes: the mean over episodes of the sum over time of
credit times score, each idea that makes it less noisy a setting of its own. A time limit is part
of the task here: an episode is worth what it gave, and nothing is bootstrapped at its end.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxrl.environments import require_environment
from jaxrl.learning.optimizers import (
    OptimizerSettings,
    as_metric,
    gradient_norm,
    gradient_step,
    make_optimizer,
    scheduled,
)
from jaxrl.loops.whole_episodes import longest_episode, whole_episodes
from jaxrl.ops.statistics import explained_variance
from jaxrl.policy_gradient._actor import Actor, make_actor
from jaxrl.policy_gradient._settings import NetworkSettings, WholeEpisodeSettings
from jaxrl.policy_gradient._task import with_actions_of
from jaxrl.policy_gradient._whole_episodes import (
    WeighedEpisodes,
    check_credit,
    score_and_entropy_loss,
    value_regression_loss,
    weigh_episodes,
)
from jaxrl.settings import check_budget, number, require_settings, settings, static
from jaxrl.types import (
    Agent,
    Algorithm,
    Carry,
    Environment,
    Episodes,
    Key,
    Metrics,
    Network,
    Observation,
    Params,
    RecurrentNetwork,
)


@settings
class ReinforceConfig(NetworkSettings, OptimizerSettings, WholeEpisodeSettings):
    """Settings of REINFORCE; the defaults are ours."""

    learning_rate: float = number(3e-3, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    max_gradient_norm: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """The whole gradient is scaled down to this Euclidean norm; None: never."""
    entropy_coefficient: float = number(0.0, minimum=0)
    """Weight of the entropy bonus, which like the returns is summed over time."""
    num_value_steps: int = static(20, minimum=1)
    """With the value baseline: its gradient steps per update, after the policy's one."""
    value_learning_rate: float = number(3e-3, minimum=0, open_minimum=True)
    """With the value baseline: the step size of its regression, which follows no schedule."""


class ReinforceState(NamedTuple):
    """What REINFORCE learns.

    Attributes:
        params: of the network, policy and value.
        optimizer: optax's state of the policy's steps.
        value_optimizer: optax's state of the value's steps; () without the value baseline.
        updates: int32 (), batches learnt from.
        steps: int32 (), environment steps learnt from, over which the learning rate is annealed.
    """

    params: Params
    optimizer: optax.OptState
    value_optimizer: optax.OptState
    updates: Int[Array, ""]
    steps: Int[Array, ""]


def reinforce(
    env: Environment, config: ReinforceConfig, *, network: Network | RecurrentNetwork | None = None
) -> Algorithm:
    """Builds REINFORCE for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions, and a time limit that is a plain number.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value); None: `networks.actor_critic`.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = require_environment(env)
    require_settings(config, ReinforceConfig)
    batch_size = config.num_episodes * longest_episode(env)
    check_budget(config, batch_size, "num_episodes * the time limit")
    check_credit(config)
    env = with_actions_of(env, config)
    actor = make_actor(env.observation_space, env.action_space, config, network=network)
    agent = reinforce_agent(actor, config)
    return whole_episodes(
        env, agent, num_episodes=config.num_episodes, total_steps=config.total_steps
    )


def reinforce_agent(actor: Actor, config: ReinforceConfig) -> Agent:
    """Builds the learning rule, to be joined to a loop of whole episodes."""
    require_settings(config, ReinforceConfig)
    optimizer = make_optimizer(config)

    def init(key: Key) -> ReinforceState:
        params = actor.init(key)
        return ReinforceState(
            params=params,
            optimizer=optimizer.init(params),
            value_optimizer=optimizer.init(params) if config.baseline == "value" else (),
            updates=jnp.int32(0),
            steps=jnp.int32(0),
        )

    def act(key: Key, state: ReinforceState, carry: Carry, observation: Observation) -> Any:
        return actor.act(key, state.params, carry, observation)

    def update(key: Key, state: ReinforceState, batch: Episodes) -> tuple[ReinforceState, Metrics]:
        del key
        return _update(state, batch, config=config, actor=actor, optimizer=optimizer)

    return Agent(
        init=init,
        start=actor.start,
        act=act,
        update=update,
        policy=lambda state: actor.policy(state.params),
    )


def _update(
    state: ReinforceState,
    episodes: Episodes,
    *,
    config: ReinforceConfig,
    actor: Actor,
    optimizer: optax.GradientTransformation,
) -> tuple[ReinforceState, Metrics]:
    """One step of the policy, then the regression of the value on the same returns."""
    schedule = config.learning_rate_schedule
    # How many updates a run has is not known before, how many steps is.
    done = state.updates if callable(schedule) else state.steps
    learning_rate = scheduled(config.learning_rate, schedule, done, config.total_steps)
    batch = weigh_episodes(state.params, episodes, actor=actor, config=config)
    gradient, metrics = jax.grad(score_and_entropy_loss, has_aux=True)(
        state.params, batch, actor=actor, entropy_coefficient=config.entropy_coefficient
    )
    metrics["gradient_norm"] = gradient_norm(gradient)
    metrics["learning_rate"] = as_metric(learning_rate)
    params, optimizer_state = gradient_step(
        optimizer, state.params, state.optimizer, gradient, learning_rate
    )
    value_optimizer = state.value_optimizer
    if config.baseline == "value":
        experience = batch.experience
        metrics["explained_variance"] = explained_variance(
            experience.value, experience.target, counted=batch.mask
        )
        params, value_optimizer, metrics["value_loss"] = _fit_value(
            params, value_optimizer, batch, config=config, actor=actor, optimizer=optimizer
        )
    steps = state.steps + jnp.sum(batch.mask, dtype=jnp.int32)
    state = ReinforceState(params, optimizer_state, value_optimizer, state.updates + 1, steps)
    return state, metrics


def _fit_value(
    params: Params,
    optimizer_state: optax.OptState,
    batch: WeighedEpisodes,
    *,
    config: ReinforceConfig,
    actor: Actor,
    optimizer: optax.GradientTransformation,
) -> tuple[Params, optax.OptState, Float[Array, ""]]:
    """Takes the value's steps; returns the mean of the losses before each, too."""
    loss_and_gradient = jax.value_and_grad(value_regression_loss)

    def fit(carry: Any, _: None) -> Any:
        params, optimizer_state = carry
        loss, gradient = loss_and_gradient(params, batch, actor=actor)
        rate = config.value_learning_rate
        return gradient_step(optimizer, params, optimizer_state, gradient, rate), loss

    carry = (params, optimizer_state)
    carry, losses = jax.lax.scan(fit, carry, length=config.num_value_steps)
    return (*carry, jnp.mean(losses))
