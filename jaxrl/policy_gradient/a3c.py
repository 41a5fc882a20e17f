"""Asynchronous advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783).

The learning rule is A2C's; the loop differs (`loops/asynchronous.py`). What asynchrony means on an
accelerator, and what it does not buy there, is in docs/asynchrony.md.
"""

from jaxrl.loops.asynchronous import asynchronous
from jaxrl.policy_gradient._actor import make_actor
from jaxrl.policy_gradient._experience import gae_estimator
from jaxrl.policy_gradient._gradient_agent import actor_critic_agent
from jaxrl.policy_gradient._task import check_task
from jaxrl.policy_gradient.a2c import AdvantageActorCriticSettings
from jaxrl.settings import require_settings, settings, static
from jaxrl.types import Algorithm, Environment, Network, RecurrentNetwork


@settings
class A3CConfig(AdvantageActorCriticSettings):
    """Settings of A3C; observations and rewards are not normalised, for nobody sees them all."""

    num_workers: int = static(16, minimum=1)
    """Learners, each with its own copy of the parameters and its own environments."""
    num_envs: int = static(1, minimum=1)
    """Environments of each worker."""


def a3c(
    env: Environment, config: A3CConfig, *, network: Network | RecurrentNetwork | None = None
) -> Algorithm:
    """Builds A3C for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value); None: `networks.actor_critic`.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    require_settings(config, A3CConfig)
    env = check_task(env, config, A3CConfig, num_workers=config.num_workers)
    actor = make_actor(env.observation_space, env.action_space, config, network=network)
    # Annealing goes by applied gradients, of which an iteration has one per worker.
    steps_per_iteration = config.num_workers * config.num_envs * config.num_steps
    iterations = -(-config.total_steps // steps_per_iteration)
    rule = actor_critic_agent(
        actor,
        gae_estimator(config),
        config,
        num_updates=iterations * config.num_workers,
        updates_per_iteration=config.num_workers,
    )
    return asynchronous(
        env,
        rule,
        num_workers=config.num_workers,
        num_envs=config.num_envs,
        num_steps=config.num_steps,
        total_steps=config.total_steps,
    )
