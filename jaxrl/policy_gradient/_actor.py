"""How a policy-gradient agent acts: its network, and how actions are drawn from it."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxrl.distributions import Categorical, MultiCategorical
from jaxrl.exploration import (
    Exploration,
    StateDependentGaussian,
    independent_sampling,
    state_dependent_noise,
    warn_of_scale,
)
from jaxrl.networks import (
    actor_critic,
    masking_actions,
    named_network,
    recurrent_actor_critic,
    require_distribution,
    require_network,
    without_masks,
    without_memory,
)
from jaxrl.policy_gradient._settings import NetworkSettings, SharedNetworkSettings
from jaxrl.settings import check_use
from jaxrl.types import (
    Action,
    Carry,
    Discrete,
    Key,
    MaskedSpace,
    MultiDiscrete,
    Network,
    Observation,
    ObservationSpace,
    Params,
    Policy,
    RecurrentNetwork,
    Space,
    zero_element,
)

ActorCriticNetwork: TypeAlias = Network | RecurrentNetwork
"""Maps one observation to (distribution, value), with or without memory."""

# What acting and the losses ask of a distribution.
_METHODS = ("sample", "mode", "log_probability", "entropy")


class ActorCarry(NamedTuple):
    """One environment's actor memory.

    Attributes:
        memory: the network's; () without one.
        noise: the exploration's; () where every action is drawn afresh.
    """

    memory: Any
    noise: Any


class PolicyExtras(NamedTuple):
    """What the actor reports beside its action.

    Attributes:
        log_probability: of the action as drawn, before any clipping to the bounds.
    """

    log_probability: Float[Array, "*batch"]


class Actor(NamedTuple):
    """A policy with a value beside it, and how it acts.

    Attributes:
        network: maps observations to (distribution, value).
        init: (key) -> Params.
        start: (key) -> ActorCarry.
        act: (key, Params, ActorCarry, observation) -> (ActorCarry, action, PolicyExtras).
        policy: (Params) -> Policy, which takes the distribution's mode.
    """

    network: RecurrentNetwork
    init: Callable[[Key], Params]
    start: Callable[[Key], ActorCarry]
    act: Callable[[Key, Params, ActorCarry, Observation], tuple[ActorCarry, Action, PolicyExtras]]
    policy: Callable[[Params], Policy]


def make_actor(
    observation_space: ObservationSpace,
    action_space: Space,
    config: NetworkSettings,
    *,
    network: ActorCriticNetwork | None = None,
) -> Actor:
    """Builds the actor of a policy-gradient agent.

    Args:
        observation_space: of the observations; where they carry masks of actions, the network
            gets what is seen, and only allowed actions are drawn.
        action_space: of the actions.
        config: the settings of the network; those of `SharedNetworkSettings` too if it has them.
        network: maps one observation to (distribution, value), with or without memory; None: the
            default one of `networks`.

    Raises:
        ValueError: the network does not suit the spaces, or leaves a setting without use.
    """
    network = named_network(config.network, network, observation_space, action_space)
    check_use(config, observation_space, action_space, network=network)
    model = _make_model(observation_space, action_space, config, network)
    example = zero_element(observation_space)
    exploration = _exploration(config, model, example, action_space)

    def init(key: Key) -> Params:
        return model.init(key, example)

    def start(key: Key) -> ActorCarry:
        return ActorCarry(memory=model.start(), noise=exploration.start(key))

    def act(
        key: Key, params: Params, carry: ActorCarry, observation: Observation
    ) -> tuple[ActorCarry, Array, PolicyExtras]:
        memory, (distribution, _) = model.apply(params, carry.memory, observation)
        noise, action = exploration.sample(key, carry.noise, distribution)
        extras = PolicyExtras(log_probability=distribution.log_probability(action))
        return ActorCarry(memory=memory, noise=noise), action, extras

    return Actor(network=model, init=init, start=start, act=act, policy=_greedy(model))


def _make_model(
    observation_space: ObservationSpace,
    action_space: Space,
    config: NetworkSettings,
    network: ActorCriticNetwork | None,
) -> RecurrentNetwork:
    """The user's network or the default one, with or without memory, keeping to the masks."""
    has_masks = isinstance(observation_space, MaskedSpace)
    seen = observation_space.space if has_masks else observation_space
    attributes: dict[str, Any] = {
        "torso": config.torso,
        "hidden_sizes": config.hidden_sizes,
        "activation": config.activation,
        "shared_torso": isinstance(config, SharedNetworkSettings) and config.shared_torso,
        "initial_log_std": config.initial_log_std,
        "state_dependent_exploration": config.state_dependent_exploration,
        "compute_dtype": config.compute_dtype,
    }
    if isinstance(config, SharedNetworkSettings) and config.core != "none":
        attributes |= {
            "core": config.core,
            "core_size": config.core_size,
            "shared_core": config.shared_core,
        }
        network = recurrent_actor_critic(seen, action_space, **attributes)
        _warn_of_scale(action_space, config)
    elif network is None:
        _warn_of_scale(action_space, config)
        network = actor_critic(seen, action_space, **attributes)
    else:
        require_network(network, RecurrentNetwork)
    model = without_memory(network) if isinstance(network, Network) else network
    return masking_actions(model) if has_masks else without_masks(model)


def _warn_of_scale(action_space: Space, config: NetworkSettings) -> None:
    """Warns where the default network's first actions do not suit the bounds."""
    if isinstance(config.initial_log_std, Tracer):
        return
    # numpy's, for within somebody's jit one of jax's would be traced.
    deviation = np.exp(config.initial_log_std)
    if config.state_dependent_exploration and config.hidden_sizes:
        # The noise is a sum over the features, each of about one unit at most.
        deviation = deviation * math.sqrt(config.hidden_sizes[-1])
    warn_of_scale(
        action_space,
        deviation,
        "it will stand at a bound, or try little of what it could do. With finite bounds, "
        "rescale_actions=True scales its actions from -1 .. 1 to them, as "
        "jaxrl.environments.rescale_actions(env) does",
    )


def _greedy(network: RecurrentNetwork) -> Callable[[Params], Policy]:
    """The policy that takes the distribution's mode."""

    def policy(params: Params) -> Policy:
        def start(key: Key) -> Carry:
            del key
            return network.start()

        def act(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Array]:
            del key
            carry, (distribution, _) = network.apply(params, carry, observation)
            return carry, distribution.mode()

        return Policy(start=start, act=act)

    return policy


def _exploration(
    config: NetworkSettings, network: RecurrentNetwork, example: Any, action_space: Space
) -> Exploration:
    """Checks what the network returns and picks the way to draw actions from it."""

    def examine(key: Key, observation: Observation) -> Any:
        params = network.init(key, observation)
        _, output = network.apply(params, network.start(), observation)
        if not isinstance(output, tuple) or len(output) != 2 or _shape(output[1]) != ():
            raise ValueError(
                "a network for an actor-critic maps one observation to (distribution, value) with "
                "a value of shape (), but this one returns shapes "
                f"{jax.tree.map(jnp.shape, output)}"
            )
        require_distribution(output[0], *_METHODS)
        _check_categories(output[0], action_space)
        action = output[0].mode()
        return action, output[0].log_probability(action), _features(output[0], config)

    action, log_probability, features = jax.eval_shape(examine, jax.random.key(0), example)
    if action.shape != action_space.shape:
        raise ValueError(
            f"the network's distribution is over actions of shape {action.shape}, "
            f"but those of the environment have shape {action_space.shape}"
        )
    if log_probability.shape != ():
        raise ValueError(
            "the log_probability of one action is one number of shape (), but that of the "
            f"network's distribution has shape {log_probability.shape}"
        )
    if not config.state_dependent_exploration:
        return independent_sampling()
    return state_dependent_noise(
        features.shape[-1], action.shape[-1], interval=config.noise_interval
    )


def _shape(value: Any) -> tuple[int, ...] | None:
    """Of an array of numbers; None of anything else."""
    return jnp.shape(value) if isinstance(value, jax.Array | float) else None


def _features(distribution: Any, config: NetworkSettings) -> Any:
    """What gSDE's noise is a function of."""
    if not config.state_dependent_exploration:
        return ()
    if not isinstance(distribution, StateDependentGaussian):
        raise ValueError(
            "state_dependent_exploration=True needs a network that returns a "
            f"StateDependentGaussian, not a {type(distribution).__name__}"
        )
    return distribution.features


def _check_categories(distribution: Any, space: Space) -> None:
    """Actions of a Discrete space have no shape that would give a wrong number of logits away."""
    if isinstance(distribution, Categorical) and isinstance(space, Discrete):
        found, wanted = distribution.logits.shape[-1], space.num_categories
    elif isinstance(distribution, MultiCategorical) and isinstance(space, MultiDiscrete):
        found, wanted = distribution.num_categories, space.num_categories
    else:
        return
    if found != wanted:
        raise ValueError(
            f"the network's distribution has {found} categories, "
            f"but the environment's actions have {wanted}"
        )
