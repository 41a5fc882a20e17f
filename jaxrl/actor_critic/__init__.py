"""Actor-critics that learn from a replay: actors that go up a learnt value of their actions.

For an algorithm of one's own there are the settings that all have, and the two steps of an update:
`critic_step` towards its target, `delayed_actor_step` down its loss.
"""

from jaxrl.actor_critic._learner import (
    ActorCriticState,
    Networks,
    critic_step,
    delayed_actor_step,
    init_critics,
    init_state,
    least_value,
)
from jaxrl.actor_critic._settings import ActorCriticSettings, DeterministicSettings
from jaxrl.actor_critic.ddpg import DDPGConfig, ddpg, ddpg_agent, ddpg_target
from jaxrl.actor_critic.sac import (
    SACConfig,
    SoftActor,
    actor_and_temperature_loss,
    sac,
    sac_agent,
    soft_target,
)
from jaxrl.actor_critic.td3 import TD3Config, td3, td3_agent, td3_target

__all__ = [
    "ActorCriticSettings",
    "ActorCriticState",
    "DDPGConfig",
    "DeterministicSettings",
    "Networks",
    "SACConfig",
    "SoftActor",
    "TD3Config",
    "actor_and_temperature_loss",
    "critic_step",
    "ddpg",
    "ddpg_agent",
    "ddpg_target",
    "delayed_actor_step",
    "init_critics",
    "init_state",
    "least_value",
    "sac",
    "sac_agent",
    "soft_target",
    "td3",
    "td3_agent",
    "td3_target",
]
