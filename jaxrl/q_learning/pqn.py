"""Parallelised Q-network (Gallici et al. 2024, arXiv:2407.04811).

Q-learning without a replay and without a target network: many environments side by side make the
data diverse enough, and layer normalisation keeps bootstrapping stable. Targets are Q(lambda)
returns of each rollout. Unlike in the authors' code, a time limit is not a termination: the final
observation's value counts.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxrl.exploration import epsilon_greedy
from jaxrl.learning.minibatches import over_minibatches
from jaxrl.learning.normalization import NormalizationSettings
from jaxrl.learning.optimizers import (
    OPTIMIZERS,
    LearnerState,
    Optimizer,
    OptimizerSettings,
    as_metric,
    gradient_norm,
    gradient_step,
    learning_rate_at,
    make_optimizer,
)
from jaxrl.loops.replays import check_discrete
from jaxrl.loops.rollouts import (
    RolloutSettings,
    check_rollout_task,
    check_shares,
    join_rollouts,
    num_rollouts,
)
from jaxrl.networks import (
    apply_to_batch,
    greedy_policy,
    init_network,
    make_q_network,
    named_network,
    seen_and_mask,
)
from jaxrl.ops.action_values import value_of
from jaxrl.ops.returns import lambda_returns
from jaxrl.ops.statistics import explained_variance
from jaxrl.ops.successors import successor_values
from jaxrl.ops.value_losses import squared_loss
from jaxrl.q_learning._settings import ActionValueSettings, EpsilonSettings, epsilon_after
from jaxrl.settings import check_use, number, require_settings, settings, static, unless
from jaxrl.types import (
    Action,
    Agent,
    Algorithm,
    Carry,
    Environment,
    Key,
    Metrics,
    Network,
    Observation,
    Params,
    Rollout,
    Transition,
)


@settings
class PQNConfig(
    EpsilonSettings, ActionValueSettings, NormalizationSettings, OptimizerSettings, RolloutSettings
):
    """Settings of PQN; the defaults are the authors' `pqn_minatar.yaml`'s, with one exception.

    The budget is 500,000 steps and not 10,000,000.
    """

    num_envs: int = static(128, minimum=1)
    """Environments stepped side by side."""
    num_steps: int = static(32, minimum=1)
    """Steps of each environment between two updates."""
    trace_decay: float = number(0.65, minimum=0, maximum=1, needs=unless("num_steps", 1))
    """Lambda: trades bias (0) for variance (1) in the returns; 1: up to num_steps rewards."""
    num_epochs: int = static(2, minimum=1)
    """Passes over each rollout."""
    num_minibatches: int = static(32, minimum=1)
    """Gradient steps per pass; must divide num_envs * num_steps."""
    learning_rate: float = number(5e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    optimizer: Optimizer = static("radam", choices=OPTIMIZERS)
    """adam, radam (Liu et al. 2020), rmsprop with decay .99 (Mnih et al. 2016), or one of optax's
    that leaves the step size to the learning rate: optax.scale_by_lion(), or the function
    optax.lion."""
    optimizer_epsilon: float = number(1e-8, minimum=0, open_minimum=True)
    """Added to the root of the optimiser's second moment."""
    max_gradient_norm: float | None = number(10.0, minimum=0, open_minimum=True, optional=True)
    """The whole gradient is scaled down to this Euclidean norm; None: never."""
    hidden_sizes: tuple[int, ...] = static((128,), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    layer_norm: bool = static(True)
    """Normalise each layer before its activation (Ba et al. 2016)."""
    epsilon_fraction: float = number(0.1, minimum=0, maximum=1, open_minimum=True)
    """Share of the budget over which the probability of a random action falls."""


def pqn(env: Environment, config: PQNConfig, *, network: Network | None = None) -> Algorithm:
    """Builds PQN for an environment.

    Args:
        env: with Discrete actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to the values of the actions; None: the default one.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.PQNConfig(num_envs=32, num_steps=32, trace_decay=0.9)
        >>> algorithm = jaxrl.pqn(env, config)
        >>> algorithm.steps_per_iteration
        1024
    """
    env = check_rollout_task(env, config, PQNConfig)
    size = config.num_envs * config.num_steps
    check_shares(config.num_minibatches, size, f"num_envs * num_steps = {size}")
    return join_rollouts(env, pqn_agent(env, config, network=network), config)


def pqn_agent(env: Environment, config: PQNConfig, *, network: Network | None = None) -> Agent:
    """Builds PQN's learning rule, to be joined to a loop; arguments as for `pqn`."""
    require_settings(config, PQNConfig)
    observation_space, action_space = env.observation_space, check_discrete(env, "PQN")
    network = named_network(config.network, network, observation_space, action_space)
    check_use(config, observation_space, action_space, network=network)
    network = make_q_network(
        observation_space, action_space, config, network=network, dueling=config.dueling
    )
    optimizer = make_optimizer(config)

    def init(key: Key) -> LearnerState:
        params = init_network(network, key, observation_space)
        return LearnerState(params, optimizer.init(params), updates=jnp.int32(0))

    def act(
        key: Key, state: LearnerState, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array, Array]:
        values = network.apply(state.params, observation)
        mask = seen_and_mask(observation)[1]
        action = epsilon_greedy(key, values, epsilon_after(state.updates, config), mask=mask)
        # The value of the observation, which the returns need, is known here already.
        return carry, action, jnp.max(values)

    def update(key: Key, state: LearnerState, batch: Rollout) -> tuple[LearnerState, Metrics]:
        return _update(key, state, batch, config=config, network=network, optimizer=optimizer)

    return Agent(
        init=init,
        start=lambda key: (),
        act=act,
        update=update,
        policy=lambda state: greedy_policy(network, state.params),
    )


def q_lambda_returns(
    transitions: Transition,
    value: Float[Array, "T B"],
    params: Params,
    *,
    network: Network,
    discount: Float[Array, ""] | float,
    trace_decay: Float[Array, ""] | float,
) -> Float[Array, "T B"]:
    """What Q(s_t, a_t) should be: lambda-returns that bootstrap from the best action.

        G_t = r_t + gamma ((1 - lambda) max_a Q(s_{t+1}, a) + lambda G_{t+1})

    Random actions do not cut the returns: this is Peng's Q(lambda), not Watkins'. Where the task
    terminated G_t = r_t; at a time limit and at the rollout's end G_t = r_t + gamma max_a Q(s', a)
    of the true successor s'.

    Args:
        transitions: a rollout, leaves [T, B, ...].
        value: max_a Q(s_t, a), with the same parameters.
        params: that acted.
        network: the Q-network, as `make_q_network` makes it.
        discount: gamma.
        trace_decay: lambda, in [0, 1].

    Returns:
        The returns.

    Source: Gallici et al. (2024, arXiv:2407.04811), algorithm 1; Peng and Williams (1994).
    """

    def value_of_final(rows: slice) -> Float[Array, "S B"]:
        final = jax.tree.map(
            lambda x: x[rows].reshape(-1, *x.shape[2:]), transitions.next_observation
        )
        highest = jnp.max(apply_to_batch(network, params, final), axis=-1)
        return highest.reshape(-1, value.shape[1])

    terminated, truncated = transitions.terminated, transitions.truncated
    next_value = successor_values(value, terminated, truncated, value_of_final=value_of_final)
    returns = partial(lambda_returns, discount=discount, lambda_=trace_decay)
    return jax.vmap(returns, in_axes=1, out_axes=1)(
        transitions.reward, next_value, terminated, truncated
    )


def _loss(
    params: Params,
    observation: Observation,
    action: Action,
    target: Float[Array, " M"],
    *,
    network: Network,
) -> tuple[Float[Array, ""], Float[Array, " M"]]:
    """Half the mean of (Q(s, a) - G)^2; and Q(s, a) of each step."""
    q_value = value_of(apply_to_batch(network, params, observation), action)
    return squared_loss(q_value, target), q_value


def _update(
    key: Key,
    state: LearnerState,
    rollout: Rollout,
    *,
    config: PQNConfig,
    network: Network,
    optimizer: optax.GradientTransformation,
) -> tuple[LearnerState, Metrics]:
    """Targets once, then `num_epochs` passes of `num_minibatches` gradient steps."""
    transitions = rollout.transitions
    target = q_lambda_returns(
        transitions,
        transitions.extras,
        state.params,
        network=network,
        discount=config.discount,
        trace_decay=config.trace_decay,
    )
    observation, action, target, value = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]),
        (transitions.observation, transitions.action, target, transitions.extras),
    )
    learning_rate = learning_rate_at(config, state.updates, num_rollouts(config))
    loss_and_gradient = jax.value_and_grad(partial(_loss, network=network), has_aux=True)

    def learn(
        carry: tuple[Params, Any], index: Int[Array, " M"]
    ) -> tuple[tuple[Params, Any], Metrics]:
        params, optimizer_state = carry
        seen = jax.tree.map(lambda x: x[index], observation)
        (loss, q_value), gradient = loss_and_gradient(params, seen, action[index], target[index])
        metrics = {
            "value_loss": loss,
            "q_value": jnp.mean(q_value),
            "gradient_norm": gradient_norm(gradient),
        }
        return gradient_step(optimizer, params, optimizer_state, gradient, learning_rate), metrics

    (params, optimizer_state), metrics = over_minibatches(
        key,
        learn,
        (state.params, state.optimizer),
        size=target.shape[0],
        num_epochs=config.num_epochs,
        num_minibatches=config.num_minibatches,
    )
    metrics["explained_variance"] = explained_variance(value, target)
    metrics["learning_rate"] = as_metric(learning_rate)
    metrics["epsilon"] = epsilon_after(state.updates, config)
    return LearnerState(params, optimizer_state, state.updates + 1), metrics
