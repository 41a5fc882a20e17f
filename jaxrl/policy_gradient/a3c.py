"""Asynchronous advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783).

The gradient is A2C's; the loop differs (`loops/asynchronous.py`). What asynchrony means on an
accelerator, and what it does not buy there, is in docs/asynchrony.md.
"""

from functools import partial

from jaxrl.learning.optimizers import LearnerState
from jaxrl.loops.asynchronous import asynchronous
from jaxrl.loops.worlds import resets_of
from jaxrl.policy_gradient._actor import ActorCriticNetwork
from jaxrl.policy_gradient._algorithm import init_learner, prepare_task
from jaxrl.policy_gradient.a2c import AdvantageActorCriticSettings, a2c_gradient, apply_gradient
from jaxrl.settings import require_settings, settings, static
from jaxrl.types import Algorithm, Environment, GradientAgent, Key, Metrics, Params, Rollout


@settings
class A3CConfig(AdvantageActorCriticSettings):
    """Settings of A3C; observations and rewards are not normalised, for nobody sees them all."""

    num_workers: int = static(16, minimum=1)
    """Learners, each with its own copy of the parameters and its own environments."""
    num_envs: int = static(1, minimum=1)
    """Environments of each worker."""

    @property
    def num_updates(self) -> int:
        """How many gradients are applied in a run: one per worker in each iteration."""
        steps_per_iteration = self.num_workers * self.num_envs * self.num_steps
        return -(-self.total_steps // steps_per_iteration) * self.num_workers


def a3c(
    env: Environment, config: A3CConfig, *, network: ActorCriticNetwork | None = None
) -> Algorithm:
    """Builds A3C for an environment.

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
        >>> config = jaxrl.A3CConfig(num_workers=4, num_envs=2, num_steps=20)
        >>> algorithm = jaxrl.a3c(env, config)
        >>> algorithm.steps_per_iteration
        160
    """
    require_settings(config, A3CConfig)
    env, actor, optimizer = prepare_task(
        env, config, A3CConfig, network=network, num_workers=config.num_workers
    )

    def gradient(key: Key, params: Params, rollout: Rollout) -> tuple[Params, Metrics]:
        del key
        return a2c_gradient(params, rollout, actor=actor, config=config)

    def apply(state: LearnerState, gradient: Params) -> tuple[LearnerState, Metrics]:
        return apply_gradient(
            state, gradient, optimizer=optimizer, config=config, num_workers=config.num_workers
        )

    worker = GradientAgent(
        init=partial(init_learner, actor=actor, optimizer=optimizer),
        params=lambda state: state.params,
        start=actor.start,
        act=actor.act,
        gradient=gradient,
        apply=apply,
        policy=actor.policy,
    )
    return asynchronous(
        env,
        worker,
        num_workers=config.num_workers,
        num_envs=config.num_envs,
        num_steps=config.num_steps,
        total_steps=config.total_steps,
        resets=resets_of(config),
    )
