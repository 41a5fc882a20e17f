"""Deep deterministic policy gradients (Lillicrap et al. 2016, arXiv:1509.02971).

A time limit is not a termination: the final observation's value counts.
"""

from jaxrl.actor_critic._deterministic import DeterministicSettings, deterministic_agent
from jaxrl.loops.replays import check_replay_task, join_replay
from jaxrl.settings import number, settings, static
from jaxrl.types import Algorithm, Environment, Network


@settings
class DDPGConfig(DeterministicSettings):
    """Settings of DDPG; the defaults are those of the paper's section 7, with three exceptions.

    The critic's weights do not decay (there by 0.01), no layer is normalised over its batch, and
    the replay keeps 100,000 transitions and not 1,000,000.
    """

    batch_size: int = static(64, minimum=1, maximum=2**24)
    """Transitions of each update."""
    actor_learning_rate: float | None = number(1e-4, minimum=0, open_minimum=True, optional=True)
    """The actor's step size at the start; None: the critic's."""
    tau: float = number(0.001, minimum=0, maximum=1, open_minimum=True)
    """Share of the learning network in each change of its target; 1 copies it."""
    hidden_sizes: tuple[int, ...] = static((400, 300), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    action_layer: int = static(1, minimum=0)
    """The critic's dense layer that the action enters; 0: the first, beside the observation."""
    noise: str = static(
        "ornstein-uhlenbeck", choices=("gaussian", "ornstein-uhlenbeck", "parameter")
    )
    """Added to the actions, afresh or with inertia, or to the policy's parameters."""
    noise_scale: float = number(0.2, minimum=0)
    """Of an action's deviation, in half the width of the bounds; of ornstein-uhlenbeck, sigma."""


def ddpg(
    env: Environment,
    config: DDPGConfig,
    *,
    policy: Network | None = None,
    critic: Network | None = None,
) -> Algorithm:
    """Builds DDPG for an environment.

    Args:
        env: with Box actions between finite bounds.
        config: the settings; the floats among them may be traced.
        policy: maps one observation to an action; None: the default one.
        critic: maps one observation and an action to a value; None: the default one.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = check_replay_task(env, config, DDPGConfig)
    agent = deterministic_agent(
        env, config, name="DDPG", num_critics=1, policy=policy, critic=critic
    )
    return join_replay(env, agent, config)
