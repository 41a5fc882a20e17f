"""REINFORCE (Williams 1992, "Simple Statistical Gradient-Following Algorithms").

One gradient step per batch of m whole episodes. With G the credit and b the baseline of each step,
the estimate of the gradient is a mean over episodes of a sum over time,

    1/m sum_i sum_t (G_it - b_it) grad log pi(a_it | s_it)

and each idea that makes it less noisy is a setting of its own. A time limit is part of the task
here: an episode is worth what it gave, and nothing is bootstrapped at its end. An episode whose
mask has no step was cut before its end: nothing is learnt from it, and m does not count it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxrl.environments import require_environment
from jaxrl.learning.optimizers import (
    OptimizerSettings,
    gradient_norm,
    gradient_step,
    make_optimizer,
    scheduled,
)
from jaxrl.loops.whole_episodes import longest_episode, whole_episodes
from jaxrl.ops.baselines import batch_mean_baseline, leave_one_out_baseline, standardize_counted
from jaxrl.ops.policy_losses import score_function_loss
from jaxrl.ops.returns import discounted_returns
from jaxrl.ops.statistics import explained_variance
from jaxrl.ops.value_losses import squared_loss
from jaxrl.policy_gradient._actor import Actor, ActorCriticNetwork, make_actor
from jaxrl.policy_gradient._algorithm import with_policy_actions
from jaxrl.policy_gradient._experience import Experience, evaluate_steps
from jaxrl.policy_gradient._settings import NetworkSettings
from jaxrl.settings import MAX_STEPS, check_budget, number, require_settings, settings, static
from jaxrl.types import (
    Agent,
    Algorithm,
    Carry,
    Environment,
    Episodes,
    Key,
    Metrics,
    Observation,
    Params,
    Policy,
)


@settings
class ReinforceConfig(NetworkSettings, OptimizerSettings):
    """Settings of REINFORCE; the defaults are ours."""

    total_steps: int = static(200_000, minimum=1, maximum=MAX_STEPS)
    """Budget in environment steps, all episodes together."""
    num_episodes: int = static(8, minimum=1)
    """Whole episodes played side by side for each update."""
    discount: float = number(0.99, minimum=0, maximum=1)
    """Gamma, the worth of a reward one step later."""
    credit: str = static("reward_to_go", choices=("total", "reward_to_go"))
    """An action's weight: the episode's whole return, or what came from the action on."""
    discount_time: bool = static(False, needs=("credit", "reward_to_go"))
    """Weigh step t by discount^t: the discounted objective's true gradient; few do it in practice.

    The whole return is discounted from the episode's start as it is.
    """
    baseline: str = static("value", choices=("none", "batch_mean", "leave_one_out", "value"))
    """Subtracted from the weight: nothing, a mean over all or all other episodes, or V(s)."""
    normalize_returns: bool = static(False)
    """Standardise an update's weights, baseline already subtracted; equal ones become 0, a single
    one stays as it is."""
    learning_rate: float = number(3e-3, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    max_gradient_norm: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """The whole gradient is scaled down to this Euclidean norm; None: never."""
    entropy_coefficient: float = number(0.0, minimum=0)
    """Weight of the entropy bonus, which like the returns is summed over time."""
    num_value_steps: int = static(20, minimum=1, needs=("baseline", "value"))
    """Gradient steps of the value baseline per update, after the policy's one."""
    value_learning_rate: float = number(
        3e-3, minimum=0, open_minimum=True, needs=("baseline", "value")
    )
    """Step size of the value baseline's regression, which follows no schedule."""


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


class WeighedEpisodes(NamedTuple):
    """Whole episodes, ready to learn from.

    Attributes:
        experience: leaves [T, m, ...]; `advantage` is each step's weight in the estimate, 0 after
            the episode's end; `target` is its return G; `value` is 0 but for the value baseline.
        mask: bool [T, m], which steps are the episode's.
    """

    experience: Experience
    mask: Array


def weigh_episodes(
    params: Params, episodes: Episodes, *, actor: Actor, config: ReinforceConfig
) -> WeighedEpisodes:
    """Gives each action of whole episodes its weight.

    Args:
        params: the present parameters, for the value baseline.
        episodes: leaves [T, m, ...].
        actor: who acted.
        config: which credit and baseline.

    Returns:
        The episodes and the weight of each step.
    """
    transitions, mask = episodes.transitions, episodes.mask
    experience = Experience(
        observation=transitions.observation,
        action=transitions.action,
        log_probability=transitions.extras.log_probability,
        ended=transitions.terminated | transitions.truncated,
        value=jnp.zeros(mask.shape, jnp.float32),
        advantage=jnp.zeros(mask.shape, jnp.float32),
        target=_returns(episodes, config),
        memory=jax.tree.map(lambda x: x[None], episodes.carry.memory),
    )
    if config.baseline == "value":
        experience = experience._replace(value=evaluate_steps(params, experience, actor)[2])
    weight = experience.target - _baseline(experience, mask, config)
    if config.normalize_returns:
        magnitude = jnp.max(jnp.abs(experience.target), where=mask, initial=0.0)
        weight = standardize_counted(weight, mask, magnitude=magnitude)
    if config.discount_time:
        weight = weight * jnp.power(jnp.float32(config.discount), jnp.arange(len(mask)))[:, None]
    weight = jnp.where(mask, weight, 0.0)
    return WeighedEpisodes(experience=experience._replace(advantage=weight), mask=mask)


def _returns(episodes: Episodes, config: ReinforceConfig) -> Float[Array, "T m"]:
    """Each step's credit; what stands after an episode's end means nothing."""
    transitions = episodes.transitions

    def to_go(reward: Array, terminated: Array, truncated: Array) -> Array:
        # No value beyond a time limit: the episode is the whole task.
        beyond = jnp.zeros_like(reward)
        return discounted_returns(reward, beyond, terminated, truncated, discount=config.discount)

    columns = (transitions.reward, transitions.terminated, transitions.truncated)
    returns = jax.vmap(to_go, in_axes=1, out_axes=1)(*columns)
    if config.credit == "total":
        return jnp.broadcast_to(returns[0], returns.shape)
    return returns


def _baseline(experience: Experience, mask: Array, config: ReinforceConfig) -> Float[Array, "T m"]:
    """What each step's credit is compared with."""
    # A whole return counts at all times, a reward to go while its episode runs.
    whole = jnp.broadcast_to(jnp.any(mask, axis=0), mask.shape)
    counted = whole if config.credit == "total" else mask
    if config.baseline == "batch_mean":
        return batch_mean_baseline(experience.target, counted)
    if config.baseline == "leave_one_out":
        return leave_one_out_baseline(experience.target, counted)
    # V(s), or 0 where there is no baseline.
    return experience.value


def score_and_entropy_loss(
    params: Params, batch: WeighedEpisodes, *, actor: Actor, entropy_coefficient: Array | float
) -> tuple[Float[Array, ""], Metrics]:
    """The loss whose gradient is minus the estimate, less the entropy bonus.

        -1/m sum_i sum_t (weight_it log pi(a_it | s_it) + entropy_coefficient H(pi(. | s_it)))

    Entropies are summed like the terms of the estimate, so that their exchange rate with returns
    does not depend on how long episodes are.

    Args:
        params: what is differentiated.
        batch: the steps and their weights.
        actor: whose network is evaluated.
        entropy_coefficient: of the bonus.

    Returns:
        The loss, and its parts as metrics; the entropy is the mean over steps.
    """
    distribution, log_probability, _ = evaluate_steps(params, batch.experience, actor)
    num_times, num_lanes = batch.mask.shape
    num_episodes = jnp.sum(jnp.any(batch.mask, axis=0), dtype=jnp.float32)
    num_episodes = jnp.maximum(num_episodes, 1.0)
    # A mean over all T places of all lanes; those that are no episode's step have no weight.
    mean = score_function_loss(log_probability, batch.experience.advantage)
    policy_loss = num_times * mean * (num_lanes / num_episodes)
    entropy = jnp.sum(distribution.entropy(), where=batch.mask)
    loss = policy_loss - entropy_coefficient * entropy / num_episodes
    return loss, {"policy_loss": policy_loss, "entropy": entropy / jnp.sum(batch.mask)}


def value_regression_loss(
    params: Params, batch: WeighedEpisodes, *, actor: Actor
) -> Float[Array, ""]:
    """Half the squared distance of the values to the returns, a mean over the episodes' steps.

    Args:
        params: what is differentiated.
        batch: the steps and their returns.
        actor: whose network is evaluated.

    Returns:
        The loss.
    """
    _, _, value = evaluate_steps(params, batch.experience, actor)
    prediction, target = jax.tree.map(
        lambda x: jnp.where(batch.mask, x, 0.0), (value, batch.experience.target)
    )
    return squared_loss(prediction, target) * batch.mask.size / jnp.maximum(jnp.sum(batch.mask), 1)


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
    metrics["learning_rate"] = jnp.float32(learning_rate)
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


def reinforce(
    env: Environment, config: ReinforceConfig, *, network: ActorCriticNetwork | None = None
) -> Algorithm:
    """Builds REINFORCE for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions, and a time limit that is a plain number.
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
        >>> config = jaxrl.ReinforceConfig(num_episodes=8, baseline="leave_one_out")
        >>> algorithm = jaxrl.reinforce(env, config)
        >>> algorithm.total_steps
        200000
    """
    env = require_environment(env)
    require_settings(config, ReinforceConfig)
    batch_size = config.num_episodes * longest_episode(env)
    check_budget(config, batch_size, "num_episodes * the time limit")
    _check_credit(config)
    env = with_policy_actions(env, config)
    actor = make_actor(env.observation_space, env.action_space, config, network=network)
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
        return _update(state, batch, actor=actor, optimizer=optimizer, config=config)

    def policy(state: ReinforceState) -> Policy:
        return actor.policy(state.params)

    agent = Agent(init=init, start=actor.start, act=act, update=update, policy=policy)
    return whole_episodes(
        env, agent, num_episodes=config.num_episodes, total_steps=config.total_steps
    )


def _check_credit(config: ReinforceConfig) -> None:
    """Refuses combinations of settings that cannot do what they say.

    Raises:
        ValueError: naming both settings.
    """
    if (
        config.normalize_returns
        and config.credit == "total"
        and config.baseline == "none"
        and config.num_episodes < 2
    ):
        raise ValueError(
            "normalize_returns=True compares weights with each other, and with credit='total' and "
            "baseline='none' those of one episode are all the same: num_episodes="
            f"{config.num_episodes} must be at least 2"
        )
    if config.baseline in ("batch_mean", "leave_one_out") and config.num_episodes < 2:
        raise ValueError(
            f"baseline={config.baseline!r} compares episodes with each other: num_episodes="
            f"{config.num_episodes} must be at least 2"
        )
