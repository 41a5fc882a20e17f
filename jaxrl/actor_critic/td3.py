"""Twin delayed deterministic policy gradients (Fujimoto et al. 2018, arXiv:1802.09477).

DDPG with three changes: the least of two critics says what a successor is worth, the actor and the
targets wait for the critics, and noise on the target policy's action smooths the critics.
"""

import jax
import jax.numpy as jnp
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
    least_value,
)
from jaxrl.actor_critic._settings import DeterministicSettings
from jaxrl.loops.replays import check_bounded, check_replay_task, join_replay
from jaxrl.networks import apply_to_batch
from jaxrl.ops.action_values import q_target, smoothed_action
from jaxrl.settings import MAX_STEPS, number, require_settings, settings, static, unless
from jaxrl.types import (
    Algorithm,
    Box,
    Environment,
    Key,
    Metrics,
    Network,
    Params,
    ReplayAgent,
    Replayed,
)


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

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("Pendulum-v1")
        >>> config = jaxrl.TD3Config(num_envs=2, num_steps=4, num_updates=8)
        >>> algorithm = jaxrl.td3(env, config)
        >>> algorithm.steps_per_iteration
        8
    """
    env = check_replay_task(env, config, TD3Config)
    return join_replay(env, td3_agent(env, config, policy=policy, critic=critic), config)


def td3_agent(
    env: Environment,
    config: TD3Config,
    *,
    policy: Network | None = None,
    critic: Network | None = None,
) -> ReplayAgent:
    """Builds TD3's learning rule, to be joined to a replay; arguments as for `td3`."""
    require_settings(config, TD3Config)
    space = check_bounded(env, "TD3")
    policy, critic = deterministic_networks(env, config, name="TD3", policy=policy, critic=critic)

    def update(
        key: Key, state: ActorCriticState, batch: Replayed
    ) -> tuple[ActorCriticState, Float[Array, " M"], Metrics]:
        key_noise, _ = jax.random.split(key)
        target = td3_target(
            key_noise,
            state.targets,
            batch,
            config,
            policy=policy,
            critic=critic,
            action_space=space,
        )
        state, error, metrics = critic_step(state, critic, batch, target, config)

        def loss(actor: Params) -> tuple[Float[Array, ""], Metrics]:
            critic_params = state.networks.critics[0]
            return deterministic_policy_loss(
                actor, batch.observation, critic_params, policy=policy, critic=critic
            ), {}

        state = delayed_actor_step(state, loss, config)
        return state, error, metrics | state.actor_metrics

    return deterministic_agent(
        env, config, update, policy=policy, critic=critic, num_critics=config.num_critics
    )


def td3_target(
    key: Key,
    targets: Networks,
    batch: Replayed,
    config: TD3Config,
    *,
    policy: Network,
    critic: Network,
    action_space: Box,
) -> Float[Array, " M"]:
    """What Q(s, a) should be: the rewards until the successor s', and its value by the targets.

        y = R + gamma^n min_i Q'_i(s', clip(mu'(s') + clip(epsilon, -c, c), low, high))
        epsilon ~ N(0, target_noise^2), c = target_noise_clip, in half the width of the bounds

    R is the discounted sum of the n rewards; where the task terminated y = R. The key is consumed.

    Source: Fujimoto et al. (2018, arXiv:1802.09477), algorithm 1.
    """
    action = apply_to_batch(policy, targets.actor, batch.next_observation)
    noise = config.target_noise * jax.random.normal(key, action.shape, jnp.float32)
    low, high = map(jnp.asarray, action_space.bounds())
    action = smoothed_action(action, noise, noise_clip=config.target_noise_clip, low=low, high=high)
    next_value = least_value(critic, targets.critics, batch.next_observation, action)
    return q_target(batch.reward, batch.discount, next_value)
