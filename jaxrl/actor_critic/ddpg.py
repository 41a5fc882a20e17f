"""Deep deterministic policy gradients (Lillicrap et al. 2016, arXiv:1509.02971).

The critic learns what an action is worth, the actor goes up the critic, and slow copies of both say
what a successor is worth. A time limit is not a termination: the final observation's value counts.
"""

from jaxtyping import Array, Float

from jaxrl.actor_critic._deterministic import (
    deterministic_agent,
    deterministic_networks,
    deterministic_policy_loss,
)
from jaxrl.actor_critic._learner import (
    ActorCriticState,
    Networks,
    critic_step,
    delayed_actor_step,
)
from jaxrl.actor_critic._settings import DeterministicSettings
from jaxrl.loops.replays import check_replay_task, join_replay
from jaxrl.networks import apply_to_batch
from jaxrl.ops.action_values import q_target
from jaxrl.settings import number, require_settings, settings, static
from jaxrl.types import (
    Algorithm,
    Environment,
    Key,
    Metrics,
    Network,
    Params,
    ReplayAgent,
    Replayed,
)


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

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("Pendulum-v1")
        >>> config = jaxrl.DDPGConfig(num_envs=2, num_steps=4, noise="gaussian")
        >>> algorithm = jaxrl.ddpg(env, config)
        >>> algorithm.steps_per_iteration
        8
    """
    env = check_replay_task(env, config, DDPGConfig)
    return join_replay(env, ddpg_agent(env, config, policy=policy, critic=critic), config)


def ddpg_agent(
    env: Environment,
    config: DDPGConfig,
    *,
    policy: Network | None = None,
    critic: Network | None = None,
) -> ReplayAgent:
    """Builds DDPG's learning rule, to be joined to a replay; arguments as for `ddpg`."""
    require_settings(config, DDPGConfig)
    policy, critic = deterministic_networks(env, config, name="DDPG", policy=policy, critic=critic)

    def update(
        key: Key, state: ActorCriticState, batch: Replayed
    ) -> tuple[ActorCriticState, Float[Array, " M"], Metrics]:
        del key
        target = ddpg_target(state.targets, batch, policy=policy, critic=critic)
        state, error, metrics = critic_step(state, critic, batch, target, config)

        def loss(actor: Params) -> tuple[Float[Array, ""], Metrics]:
            critic_params = state.networks.critics[0]
            return deterministic_policy_loss(
                actor, batch.observation, critic_params, policy=policy, critic=critic
            ), {}

        state = delayed_actor_step(state, loss, config)
        return state, error, metrics | state.actor_metrics

    return deterministic_agent(env, config, update, policy=policy, critic=critic, num_critics=1)


def ddpg_target(
    targets: Networks, batch: Replayed, *, policy: Network, critic: Network
) -> Float[Array, " M"]:
    """What Q(s, a) should be: the rewards until the successor s', and its value by the targets.

        y = R + gamma^n Q'(s', mu'(s'))

    R is the discounted sum of the n rewards; where the task terminated y = R.

    Source: Lillicrap et al. (2016, arXiv:1509.02971), algorithm 1.
    """
    action = apply_to_batch(policy, targets.actor, batch.next_observation)
    next_value = apply_to_batch(critic, targets.critics[0], batch.next_observation, action)
    return q_target(batch.reward, batch.discount, next_value)
