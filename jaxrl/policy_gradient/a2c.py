"""Advantage actor-critic, the synchronous form of A3C (Mnih et al. 2016, arXiv:1602.01783).

One gradient of the whole rollout per update. With `gae_lambda` 1 the advantages are the paper's:
returns of up to `num_steps` rewards, bootstrapped with the value, less the value.
"""

from jaxrl.learning.normalization import NormalizationSettings
from jaxrl.learning.optimizers import OPTIMIZERS, Optimizer, OptimizerSettings, Schedule
from jaxrl.loops.rollouts import join_rollouts, num_rollouts
from jaxrl.policy_gradient._actor import make_actor
from jaxrl.policy_gradient._experience import gae_estimator
from jaxrl.policy_gradient._gradient_agent import actor_critic_agent, in_one_update
from jaxrl.policy_gradient._settings import (
    MemorySettings,
    NetworkSettings,
    OnPolicySettings,
    ValueAndEntropySettings,
)
from jaxrl.policy_gradient._task import check_task
from jaxrl.settings import number, settings, static
from jaxrl.types import Algorithm, Environment, Network, RecurrentNetwork


@settings
class AdvantageActorCriticSettings(
    MemorySettings, NetworkSettings, ValueAndEntropySettings, OptimizerSettings, OnPolicySettings
):
    """What A2C, A3C and IMPALA have in common; the defaults are those of Stable-Baselines3's A2C.

    Mnih et al. 2016 have as many actors and steps, and the same optimiser, discount and decay, but
    draw learning rates at random, anneal them to zero, and weigh the entropy by 0.01.
    """

    num_envs: int = static(16, minimum=1)
    """Environments stepped side by side."""
    num_steps: int = static(5, minimum=1)
    """Steps of each environment between two updates."""
    gae_lambda: float = number(1.0, minimum=0, maximum=1)
    """Trades bias (0) for variance (1) in the advantage; 1: returns of up to num_steps rewards."""
    learning_rate: float = number(7e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    learning_rate_schedule: Schedule = static("constant", choices=("constant", "linear"))
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    optimizer: Optimizer = static("rmsprop", choices=OPTIMIZERS)
    """adam, radam (Liu et al. 2020), rmsprop with decay .99 (Mnih et al. 2016), or one of optax's
    that leaves the step size to the learning rate: optax.scale_by_lion(), or the function
    optax.lion."""
    entropy_coefficient: float = number(0.0, minimum=0)
    """Weight of the entropy bonus."""
    normalize_advantages: bool = static(False)
    """Standardise the advantages of each gradient's batch; a single one stays as it is."""


@settings
class A2CConfig(AdvantageActorCriticSettings, NormalizationSettings):
    """Settings of A2C."""


def a2c(
    env: Environment, config: A2CConfig, *, network: Network | RecurrentNetwork | None = None
) -> Algorithm:
    """Builds A2C for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value), with or without memory; None: the
            default one of `networks`.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = check_task(env, config, A2CConfig)
    actor = make_actor(env.observation_space, env.action_space, config, network=network)
    estimator = gae_estimator(config)
    rule = actor_critic_agent(actor, estimator, config, num_updates=num_rollouts(config))
    return join_rollouts(env, in_one_update(rule), config)
