"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), for continuous and discrete actions.

The discrete form is that of Christodoulou (2019, arXiv:1910.07207): expectations over all actions
where the continuous one draws. A time limit is not a termination: the final observation's value
counts.
"""

from jaxrl.actor_critic._learner import actor_critic_agent
from jaxrl.actor_critic._settings import SoftSettings
from jaxrl.actor_critic._soft import soft_rule
from jaxrl.actor_critic._soft_actions import continuous_actions, discrete_actions
from jaxrl.loops.replays import check_replay_task, join_replay
from jaxrl.settings import check_use, number, settings
from jaxrl.types import Algorithm, Discrete, Environment, Network


@settings
class SACConfig(SoftSettings):
    """Settings of SAC; the defaults are those of the paper's table 1, but for the replay.

    It keeps 100,000 transitions and not 1,000,000. The temperature's start, which the table leaves
    out, is 1, as in the authors' code.
    """

    learning_rate: float = number(3e-4, minimum=0, open_minimum=True)
    """The critics' step size at the start."""


def sac(
    env: Environment,
    config: SACConfig,
    *,
    policy: Network | None = None,
    critic: Network | None = None,
) -> Algorithm:
    """Builds SAC for an environment.

    Args:
        env: with Box actions between finite bounds, or Discrete ones.
        config: the settings; the floats among them may be traced.
        policy: maps one observation to a distribution over actions; None: the default one.
        critic: maps one observation and an action to a value, or, of Discrete actions, one
            observation to the values of all; None: the default one.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = check_replay_task(env, config, SACConfig)
    check_use(config, env.observation_space, env.action_space, policy=policy, critic=critic)
    discrete = isinstance(env.action_space, Discrete)
    actions = (discrete_actions if discrete else continuous_actions)(env, config, policy, critic)
    rule = soft_rule(
        actions,
        env.observation_space,
        initial_temperature=config.initial_temperature,
        learn_temperature=config.learn_temperature,
        num_critics=config.num_critics,
    )
    # The entropies of the steps before an n-step successor are part of the return.
    return join_replay(env, actor_critic_agent(rule, config), config, with_steps_between=True)
