"""Deep Q-networks (Mnih et al. 2015) with the improvements of Hessel et al. (2018).

Each is a setting: double (van Hasselt et al. 2016), dueling (Wang et al. 2016), prioritised
(Schaul et al. 2016), n-step returns. A time limit is not a termination: the final observation's
value counts.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxrl.exploration import epsilon_greedy
from jaxrl.learning.optimizers import (
    ConstantOptimizerSettings,
    as_metric,
    gradient_norm,
    gradient_step,
    learning_rate_at,
    make_optimizer,
)
from jaxrl.loops.replays import (
    ReplaySettings,
    check_discrete,
    check_replay_task,
    join_replay,
    num_updates,
)
from jaxrl.networks import (
    apply_to_batch,
    greedy_policy,
    init_network,
    make_q_network,
    named_network,
    seen_and_mask,
)
from jaxrl.ops.action_values import double_q_value, q_target, value_of
from jaxrl.ops.target_updates import periodic_update
from jaxrl.ops.value_losses import huber_loss, squared_loss
from jaxrl.q_learning._settings import ActionValueSettings, EpsilonSettings, epsilon_after
from jaxrl.settings import MAX_STEPS, check_use, number, require_settings, settings, static
from jaxrl.types import (
    Algorithm,
    Carry,
    Environment,
    Key,
    Metrics,
    Network,
    Observation,
    Params,
    ReplayAgent,
    Replayed,
    Transition,
)


@settings
class DQNConfig(EpsilonSettings, ActionValueSettings, ConstantOptimizerSettings, ReplaySettings):
    """Settings of DQN; the defaults are those of CleanRL's `dqn.py`, with three exceptions.

    The budget is 100,000 steps and not 500,000, the replay keeps 100,000 transitions and not
    10,000, and `double` is on, which CleanRL does not have.
    """

    num_steps: int = static(10, minimum=1)
    """Steps of each environment in an iteration."""
    random_steps: int = static(10_000, minimum=0)
    """Environment steps with random actions before the first update."""
    batch_size: int = static(128, minimum=1, maximum=2**24)
    """Transitions of each update."""
    learning_rate: float = number(2.5e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    tau: float = number(1.0, minimum=0, maximum=1, open_minimum=True)
    """Share of the learning network in each change of its target; 1 copies it."""
    target_period: int = static(50, minimum=1, maximum=MAX_STEPS)
    """Updates between two changes of the target."""
    double: bool = static(True)
    """The learning network chooses the action whose value the target network gives."""
    loss: str = static("squared", choices=("huber", "squared"))
    """Of the error; huber, linear beyond 1, suits values of the size of clipped rewards only."""


class DQNState(NamedTuple):
    """What DQN learns.

    Attributes:
        params: of the network.
        target_params: that say what a successor is worth.
        optimizer: optax's state.
        updates: int32 (), updates made.
        rollouts: int32 (), rollouts of num_envs * num_steps observed, of random steps too.
    """

    params: Params
    target_params: Params
    optimizer: optax.OptState
    updates: Int[Array, ""]
    rollouts: Int[Array, ""]


def dqn(env: Environment, config: DQNConfig, *, network: Network | None = None) -> Algorithm:
    """Builds DQN for an environment.

    Args:
        env: with Discrete actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to the values of the actions; None: the default one.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.DQNConfig(num_envs=4, num_steps=8, dueling=True, prioritized=True)
        >>> algorithm = jaxrl.dqn(env, config)
        >>> algorithm.steps_per_iteration
        32
    """
    env = check_replay_task(env, config, DQNConfig)
    return join_replay(env, dqn_agent(env, config, network=network), config)


def dqn_agent(
    env: Environment, config: DQNConfig, *, network: Network | None = None
) -> ReplayAgent:
    """Builds DQN's learning rule, to be joined to a replay; arguments as for `dqn`."""
    require_settings(config, DQNConfig)
    action_space = check_discrete(env, "DQN")
    network = named_network(config.network, network, env.observation_space, action_space)
    check_use(config, env.observation_space, action_space, network=network)
    network = make_q_network(
        env.observation_space,
        action_space,
        config,
        network=network,
        dueling=config.dueling,
    )
    optimizer = make_optimizer(config)

    def init(key: Key) -> DQNState:
        params = init_network(network, key, env.observation_space)
        return DQNState(
            params=params,
            target_params=params,
            optimizer=optimizer.init(params),
            updates=jnp.int32(0),
            rollouts=jnp.int32(0),
        )

    def act(
        key: Key, state: DQNState, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array]:
        values = network.apply(state.params, observation)
        mask = seen_and_mask(observation)[1]
        epsilon = epsilon_after(state.rollouts, config)
        return carry, epsilon_greedy(key, values, epsilon, mask=mask)

    def observe(key: Key, state: DQNState, transitions: Transition) -> DQNState:
        del key, transitions
        return state._replace(rollouts=state.rollouts + 1)

    def update(key: Key, state: DQNState, batch: Replayed) -> tuple[DQNState, Array, Metrics]:
        del key
        return _update(state, batch, config=config, network=network, optimizer=optimizer)

    return ReplayAgent(
        init=init,
        start=lambda key: (),
        act=act,
        observe=observe,
        update=update,
        policy=lambda state: greedy_policy(network, state.params),
    )


def dqn_target(
    state: DQNState, batch: Replayed, *, network: Network, double: bool
) -> Float[Array, " M"]:
    """What Q(s, a) should be: the rewards until the successor s', and the value of its best action.

        y = R + gamma^n Q'(s', a'),  a' = argmax_a Q'(s', a), or argmax_a Q(s', a) with `double`

    Q' is the target network and Q the one that learns. R is the discounted sum of the n rewards;
    where the task terminated there is no successor, and y = R.

    Source: Mnih et al. (2015), equation 2; van Hasselt et al. (2016, arXiv:1509.06461), equation 4.
    """
    next_values = apply_to_batch(network, state.target_params, batch.next_observation)
    if double:
        online = apply_to_batch(network, state.params, batch.next_observation)
        next_value = double_q_value(online, next_values)
    else:
        next_value = jnp.max(next_values, axis=-1)
    return q_target(batch.reward, batch.discount, next_value)


def dqn_loss(
    params: Params, batch: Replayed, target: Float[Array, " M"], *, network: Network, loss: str
) -> tuple[Float[Array, ""], Float[Array, " M"]]:
    """The mean over the batch of w l(Q(s, a) - y), l(e) = e^2 / 2, or Huber's loss.

    The weights w are 1, or those of a prioritised replay.

    Returns:
        The loss, and Q(s, a) of each transition.
    """
    q_value = value_of(apply_to_batch(network, params, batch.observation), batch.action)
    loss_of = squared_loss if loss == "squared" else huber_loss
    return loss_of(q_value, target, weight=batch.weight), q_value


def _update(
    state: DQNState,
    batch: Replayed,
    *,
    config: DQNConfig,
    network: Network,
    optimizer: optax.GradientTransformation,
) -> tuple[DQNState, Array, Metrics]:
    """A gradient step towards the targets, and the target network's."""
    target = dqn_target(state, batch, network=network, double=config.double)
    loss_and_gradient = jax.value_and_grad(dqn_loss, has_aux=True)
    (loss, q_value), gradient = loss_and_gradient(
        state.params, batch, target, network=network, loss=config.loss
    )
    learning_rate = learning_rate_at(
        config, state.updates, num_updates(config), updates_per_iteration=config.num_updates
    )
    params, optimizer_state = gradient_step(
        optimizer, state.params, state.optimizer, gradient, learning_rate
    )
    updates = state.updates + 1
    target_params = periodic_update(
        params,
        state.target_params,
        update=updates,
        period=config.target_period,
        tau=config.tau,
    )
    metrics = {
        "value_loss": loss,
        "q_value": jnp.mean(q_value),
        "gradient_norm": gradient_norm(gradient),
        "learning_rate": as_metric(learning_rate),
        "epsilon": epsilon_after(state.rollouts, config),
    }
    state = state._replace(
        params=params, target_params=target_params, optimizer=optimizer_state, updates=updates
    )
    return state, jnp.abs(q_value - target), metrics
