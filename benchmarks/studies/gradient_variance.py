"""How noisy is one REINFORCE estimate, setting by setting, at fixed parameters?

Every setting sees the same episodes. For each seed there are two policies on CartPole (with its
limit at 200 steps): one as initialised, one trained for a while. For each, `NUM_ESTIMATES` batches
of `NUM_EPISODES` episodes are played, and every setting estimates the gradient from each batch.

- The variance is the trace of the estimates' covariance. It is compared within a seed with that of
  the plainest setting, for the settings that estimate the same gradient in the same units.
- The alignment is the cosine between one estimate and the gradient. It has no units, so it can be
  compared across all settings. The gradient is the mean of estimates from other batches.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import jaxrl
from jaxrl.environments import clip_actions, record_episode_statistics
from jaxrl.learning.optimizers import gradient_step, make_optimizer
from jaxrl.loops.whole_episodes import play_episodes
from jaxrl.policy_gradient import make_actor
from jaxrl.policy_gradient.reinforce import (
    score_and_entropy_loss,
    value_regression_loss,
    weigh_episodes,
)
from studies.intervals import errors_of, interval

LIMIT = 200
NUM_EPISODES = 8
NUM_ESTIMATES = 64
HALF_TRAINED_STEPS = 8_000
# The learned baselines are fitted to episodes of their own, long enough to be as good as they get.
CRITIC_EPISODES, CRITIC_STEPS = 64, 300


class Setting(NamedTuple):
    """One way to estimate the gradient."""

    credit: str
    baseline: str
    normalize_returns: bool = False
    discount: float = 1.0
    discount_time: bool = False

    @property
    def label(self) -> str:
        """For the picture and the file."""
        parts = [self.credit, self.baseline]
        parts += ["normalised"] * self.normalize_returns
        parts += [f"discount {self.discount:g}"] * (self.discount != 1.0)
        parts += ["discounted time"] * self.discount_time
        return ", ".join(part.replace("_", " ") for part in parts)

    @property
    def config(self) -> jaxrl.ReinforceConfig:
        return jaxrl.ReinforceConfig(num_episodes=NUM_EPISODES, **self._asdict())


PLAIN = Setting("total", "none")
BEST = Setting("reward_to_go", "value")
BASELINES = ("none", "batch_mean", "leave_one_out", "value")
SAME_UNITS = [Setting(c, b) for c in ("total", "reward_to_go") for b in BASELINES]
DISCOUNTED = [
    Setting("reward_to_go", "none", discount=0.99),
    Setting("reward_to_go", "value", discount=0.99),
    Setting("reward_to_go", "value", discount=0.99, discount_time=True),
]
SETTINGS = (
    SAME_UNITS + [setting._replace(normalize_returns=True) for setting in SAME_UNITS] + DISCOUNTED
)

ENVIRONMENT = jaxrl.make_env("CartPole-v1", max_steps_in_episode=LIMIT)
ACTOR = make_actor(ENVIRONMENT.observation_space, ENVIRONMENT.action_space, jaxrl.ReinforceConfig())


def measure(num_seeds: int) -> dict[str, Any]:
    """Measures both policies of every seed."""
    policies = {}
    for name, parameters in (("as initialised", ACTOR.init), ("half-trained", half_trained)):
        program = jax.jit(lambda key, parameters=parameters: estimates_of_one_seed(key, parameters))
        rows = []
        for seed in range(num_seeds):
            key = jax.random.key(seed)
            estimates, reference, mean_return = (np.asarray(x, np.float64) for x in program(key))
            rows.append(summarise(estimates, reference) | {"mean_return": float(mean_return)})
        policies[name] = {
            "mean_return": interval([row["mean_return"] for row in rows]),
            "variance_ratio": {
                setting.label: interval([row["variance"][i] for row in rows], logarithmic=True)
                for i, setting in enumerate(SAME_UNITS)
            },
            "alignment": {
                setting.label: interval([row["alignment"][i] for row in rows])
                for i, setting in enumerate(SETTINGS)
            },
        }
    return {
        "environment": f"CartPole-v1 with a limit of {LIMIT} steps",
        "episodes_per_estimate": NUM_EPISODES,
        "estimates_per_seed": NUM_ESTIMATES,
        "policies": policies,
    }


def half_trained(key: jax.Array) -> Any:
    """Parameters after `HALF_TRAINED_STEPS` steps of the defaults, with a constant step size."""
    config = jaxrl.ReinforceConfig(
        total_steps=HALF_TRAINED_STEPS, learning_rate_schedule="constant"
    )
    return jaxrl.train(key, jaxrl.reinforce(ENVIRONMENT, config)).state.agent.params


def estimates_of_one_seed(key: jax.Array, parameters: Any) -> tuple[Any, Any, Any]:
    """Estimates [N, settings, parameters], the gradient [parameters], and the mean return."""
    key_parameters, key_critic, key_reference, key_estimates = jax.random.split(key, 4)
    params = parameters(key_parameters)
    critics = fit_critics(key_critic, params)

    def estimate(key: jax.Array) -> tuple[Any, Any]:
        episodes, episode_return = play(key, params, NUM_EPISODES)
        return gradients(critics, episodes, SETTINGS), episode_return

    def reference(key: jax.Array) -> Any:
        return gradients(critics, play(key, params, NUM_EPISODES)[0], [BEST])[0]

    keys = jax.random.split(key_estimates, NUM_ESTIMATES)
    estimates, returns = jax.lax.map(estimate, keys)
    others = jax.lax.map(reference, jax.random.split(key_reference, 4 * NUM_ESTIMATES))
    return estimates, others.mean(axis=0), returns.mean()


def play(key: jax.Array, params: Any, num_episodes: int) -> tuple[Any, Any]:
    """Episodes of the policy as it explores, and their mean return."""
    episodes, _ = play_episodes(
        key,
        record_episode_statistics(clip_actions(ENVIRONMENT)),
        lambda key, carry, observation: ACTOR.act(key, params, carry, observation),
        ACTOR.start,
        num_episodes=num_episodes,
        max_steps=LIMIT,
    )
    total = jnp.sum(episodes.transitions.reward, where=episodes.mask)
    return episodes, total / num_episodes


def fit_critics(key: jax.Array, params: Any) -> dict[tuple[str, float], Any]:
    """For each credit and discount, the same policy with a value fitted to those returns."""
    episodes, _ = play(key, params, CRITIC_EPISODES)
    optimizer = make_optimizer(jaxrl.ReinforceConfig())

    def fit(credit: str, discount: float) -> Any:
        config = Setting(credit, "value", discount=discount).config
        batch = weigh_episodes(params, episodes, actor=ACTOR, config=config)

        def learn(carry: Any, _: None) -> Any:
            gradient = jax.grad(value_regression_loss)(carry[0], batch, actor=ACTOR)
            return gradient_step(optimizer, *carry, gradient, 3e-3), None

        return jax.lax.scan(learn, (params, optimizer.init(params)), length=CRITIC_STEPS)[0][0]

    kinds = {(setting.credit, setting.discount) for setting in SETTINGS}
    return {kind: fit(*kind) for kind in sorted(kinds)}


def gradients(critics: Any, episodes: Any, settings: list[Setting]) -> Any:
    """Each setting's estimate from the same episodes, flat: [settings, parameters]."""

    def weighed(setting: Setting) -> Any:
        params = critics[setting.credit, setting.discount]
        return weigh_episodes(params, episodes, actor=ACTOR, config=setting.config)

    batches = [weighed(setting) for setting in settings]
    weights = jnp.stack([batch.experience.advantage for batch in batches])
    # The policies of all critics are the same.
    params = next(iter(critics.values()))

    def gradient(weight: Any) -> Any:
        experience = batches[0].experience._replace(advantage=weight)
        batch = batches[0]._replace(experience=experience)
        loss = jax.grad(score_and_entropy_loss, has_aux=True)
        return -ravel_pytree(loss(params, batch, actor=ACTOR, entropy_coefficient=0.0)[0])[0]

    return jax.vmap(gradient)(weights)


def summarise(estimates: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """Variances relative to the plainest setting's, and mean cosines with the reference."""
    variance = estimates.var(axis=0, ddof=1).sum(axis=-1)
    norms = np.linalg.norm(estimates, axis=-1) * np.linalg.norm(reference)
    cosine = (estimates @ reference) / np.maximum(norms, 1e-12)
    plain = variance[SETTINGS.index(PLAIN)]
    return {"variance": variance[: len(SAME_UNITS)] / plain, "alignment": cosine.mean(axis=0)}


def draw(results: dict[str, Any]) -> Any:
    """Bars with intervals: variance and alignment, for both policies."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, 2, figsize=(13, 6.5), width_ratios=(1, 1.2), layout="constrained"
    )
    panels = (
        ("variance_ratio", "variance of one estimate, relative to total, none"),
        ("alignment", "cosine of one estimate with the gradient"),
    )
    for axis, (quantity, title) in zip(axes, panels, strict=True):
        for offset, (name, policy) in zip((-0.2, 0.2), results["policies"].items(), strict=True):
            rows = policy[quantity]
            means, errors = errors_of(list(rows.values()))
            places = np.arange(len(rows)) + offset
            label = f"{name} (return {policy['mean_return']['mean']:.0f})"
            axis.barh(places, means, height=0.38, xerr=errors, capsize=2, label=label)
        axis.set_yticks(np.arange(len(rows)), list(rows))
        axis.invert_yaxis()
        axis.set_title(title)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_xscale("log")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
