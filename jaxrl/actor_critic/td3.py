"""Twin delayed deterministic policy gradients (Fujimoto et al. 2018, arXiv:1802.09477).

DDPG with three changes: the least of two critics says what a successor is worth, the actor and the
targets wait for the critics, and noise on the target policy's action smooths the critics.
"""

from jaxrl.actor_critic._deterministic import (
    DeterministicSettings,
    TargetSmoothing,
    deterministic_agent,
)
from jaxrl.loops.replays import check_replay_task, join_replay
from jaxrl.settings import MAX_STEPS, number, settings, static, unless
from jaxrl.types import Algorithm, Environment, Network


@settings
class TD3Config(DeterministicSettings):
    """Settings of TD3; the defaults are those of the authors' code, with three exceptions.

    The budget is 100,000 steps and not 1,000,000, of which 1,000 and not 25,000 are random, and the
    replay keeps 100,000 transitions and not 1,000,000.
    """

    learning_rate: float = number(3e-4, minimum=0, open_minimum=True)
    """The critics' step size at the start."""
    policy_delay: int = static(2, minimum=1, maximum=MAX_STEPS)
    """Updates of the critics for each of the actor and of the targets."""
    num_critics: int = static(2, minimum=1, maximum=100)
    """Critics of which the least counts; 1: no twin."""
    target_noise: float = number(0.2, minimum=0)
    """Deviation of the noise on the target policy's action, in half the width of the bounds."""
    target_noise_clip: float = number(0.5, minimum=0, needs=unless("target_noise", 0.0))
    """The most that this noise displaces the action, of the same unit."""


def td3(
    env: Environment,
    config: TD3Config,
    *,
    policy: Network | None = None,
    critic: Network | None = None,
) -> Algorithm:
    """Builds TD3 for an environment.

    Args:
        env: with Box actions between finite bounds.
        config: the settings; the floats among them may be traced.
        policy: maps one observation to an action; None: the default one.
        critic: maps one observation and an action to a value; None: the default one.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = check_replay_task(env, config, TD3Config)
    agent = deterministic_agent(
        env,
        config,
        name="TD3",
        num_critics=config.num_critics,
        smoothing=TargetSmoothing(config.target_noise, config.target_noise_clip),
        policy=policy,
        critic=critic,
    )
    return join_replay(env, agent, config)
