"""From a task and its settings to who acts in it, and from an update to an algorithm."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxrl.environments import flatten_actions, rescale_actions
from jaxrl.learning.optimizers import LearnerState, make_optimizer
from jaxrl.loops.rollouts import check_rollout_task, check_shares, join_rollouts
from jaxrl.policy_gradient._actor import Actor, ActorCriticNetwork, PolicyExtras, make_actor
from jaxrl.policy_gradient._settings import (
    NetworkSettings,
    OnPolicySettings,
    PolicyGradientSettings,
    SharedNetworkSettings,
)
from jaxrl.types import (
    Agent,
    Algorithm,
    Box,
    Carry,
    Environment,
    Key,
    Metrics,
    Observation,
    Policy,
    Rollout,
)


def prepare_task(
    env: Environment,
    config: PolicyGradientSettings,
    kind: type,
    *,
    network: ActorCriticNetwork | None = None,
    num_workers: int = 1,
) -> tuple[Environment, Actor, optax.GradientTransformation]:
    """Checks a task and its settings, before anything is traced, and builds what acts and learns.

    Args:
        env: the task.
        config: the settings.
        kind: the class of settings that the algorithm takes.
        network: maps one observation to (distribution, value); None: the default one.
        num_workers: who have `num_envs` environments each.

    Returns:
        The environment with the actions that the policy chooses: vectors where it has a Box of
        them, from -1 to 1 where that was asked for; the actor; and the optimiser.

    Raises:
        ValueError: a setting is wrong or does not suit the environment or the network.
    """
    env = check_rollout_task(env, config, kind, num_workers=num_workers)
    env = with_policy_actions(env, config)
    actor = make_actor(env.observation_space, env.action_space, config, network=network)
    _sequences_per_environment(config, actor)
    return env, actor, make_optimizer(config)


def with_policy_actions(env: Environment, config: NetworkSettings) -> Environment:
    """The environment with the actions that a policy of these settings chooses.

    Raises:
        ValueError: the scaling of the settings does not suit the actions.
    """
    space = env.action_space
    if config.rescale_actions and not (isinstance(space, Box) and space.is_bounded()):
        raise ValueError(
            "rescale_actions=True needs Box actions with finite bounds, but the actions of "
            f"{env.name} are {space}"
        )
    env = flatten_actions(env)
    return rescale_actions(env) if config.rescale_actions else env


def init_learner(key: Key, actor: Actor, optimizer: optax.GradientTransformation) -> LearnerState:
    """Fresh parameters; the key is consumed."""
    params = actor.init(key)
    return LearnerState(params=params, optimizer=optimizer.init(params), updates=jnp.int32(0))


def on_policy_algorithm(
    env: Environment,
    config: OnPolicySettings,
    actor: Actor,
    optimizer: optax.GradientTransformation,
    update: Callable[[Key, LearnerState, Rollout], tuple[LearnerState, Metrics]],
    *,
    num_minibatches: int = 1,
) -> Algorithm:
    """Joins an actor and what it learns by to the on-policy loop.

    Args:
        env: as `prepare_task` gives it; the actor and the optimiser too.
        config: the settings.
        actor: acts with the newest parameters.
        optimizer: whose state is in the `LearnerState`.
        update: (key, LearnerState, Rollout) -> (LearnerState, Metrics).
        num_minibatches: that `update` shares a rollout's sequences out to.

    Raises:
        ValueError: they cannot be shared out evenly.
    """
    _check_minibatches(config, actor, num_minibatches)

    def init(key: Key) -> LearnerState:
        return init_learner(key, actor, optimizer)

    def act(
        key: Key, state: LearnerState, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array, PolicyExtras]:
        return actor.act(key, state.params, carry, observation)

    def policy(state: LearnerState) -> Policy:
        return actor.policy(state.params)

    agent = Agent(init=init, start=actor.start, act=act, update=update, policy=policy)
    return join_rollouts(env, agent, config)


def _sequences_per_environment(config: PolicyGradientSettings, actor: Actor) -> int:
    """Into how many sequences an environment's rollout is cut: of single steps without a memory.

    Raises:
        ValueError: `sequence_length` does not divide the rollout.
    """
    has_memory = bool(jax.tree.leaves(jax.eval_shape(actor.network.start)))
    length = config.sequence_length if isinstance(config, SharedNetworkSettings) else 0
    if length and config.num_steps % length:
        raise ValueError(f"sequence_length={length} does not divide num_steps={config.num_steps}")
    if not has_memory:
        return config.num_steps
    return config.num_steps // length if length else 1


def _check_minibatches(config: PolicyGradientSettings, actor: Actor, num_minibatches: int) -> None:
    """Minibatches are of steps, or of whole sequences where the network has a memory.

    Raises:
        ValueError: they cannot be shared out evenly.
    """
    per_environment = _sequences_per_environment(config, actor)
    number_of = config.num_envs * per_environment
    if per_environment == config.num_steps:
        product = f"num_envs * num_steps = {number_of}"
    elif per_environment > 1:
        product = f"num_envs * num_steps / sequence_length = {number_of}"
    else:
        product = f"num_envs = {number_of} (a network with memory learns from whole rollouts)"
    check_shares(num_minibatches, number_of, product)
