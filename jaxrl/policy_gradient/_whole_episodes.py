"""The score-function estimate from whole episodes: credit, baselines, and the losses.

With G the credit and b the baseline of each step, the estimate is a mean over m episodes of a sum
over time,

    1/m sum_i sum_t (G_it - b_it) grad log pi(a_it | s_it)

An episode whose mask has no step was cut before its end: nothing is learnt from it, and m does not
count it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.ops.baselines import (
    batch_mean_baseline,
    leave_one_out_baseline,
    standardize_counted,
)
from jaxrl.ops.policy_losses import score_function_loss
from jaxrl.ops.returns import discounted_returns
from jaxrl.ops.value_losses import squared_loss
from jaxrl.policy_gradient._actor import Actor
from jaxrl.policy_gradient._experience import Experience
from jaxrl.policy_gradient._losses import evaluate_steps
from jaxrl.policy_gradient._settings import WholeEpisodeSettings
from jaxrl.types import Episodes, Metrics, Params


class WeighedEpisodes(NamedTuple):
    """Whole episodes, ready to learn from.

    Attributes:
        experience: leaves [T, m, ...]; `advantage` is each step's weight in the estimate, 0 after
            the episode's end; `target` is its return G; `value` is 0 but for the value baseline.
        mask: bool [T, m], which steps are the episode's.
    """

    experience: Experience
    mask: Array


def check_credit(config: WholeEpisodeSettings) -> None:
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


def weigh_episodes(
    params: Params, episodes: Episodes, *, actor: Actor, config: WholeEpisodeSettings
) -> WeighedEpisodes:
    """Gives each action of whole episodes its weight.

    Args:
        params: the present parameters, for the value baseline.
        episodes: leaves [T, m, ...].
        actor: who acted.
        config: which credit and baseline.
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
        memory=episodes.carry.memory,
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
    """Half the squared distance of the values to the returns, a mean over the episodes' steps."""
    value = evaluate_steps(params, batch.experience, actor)[2]
    prediction, target = jax.tree.map(
        lambda x: jnp.where(batch.mask, x, 0.0), (value, batch.experience.target)
    )
    return squared_loss(prediction, target) * batch.mask.size / jnp.maximum(jnp.sum(batch.mask), 1)


def _returns(episodes: Episodes, config: WholeEpisodeSettings) -> Float[Array, "T m"]:
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


def _baseline(
    experience: Experience, mask: Array, config: WholeEpisodeSettings
) -> Float[Array, "T m"]:
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
