"""The networks of DDPG, TD3 and SAC: the default ones, or the user's, checked."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
from jaxtyping import Array

from jaxrl.actor_critic._settings import ActorCriticSettings
from jaxrl.networks import (
    critic,
    named_network,
    output_shapes,
    policy_of_head,
    refuse_masks,
    require_array,
    require_network,
    seen_space,
    torso_attributes,
)
from jaxrl.settings import check_use
from jaxrl.types import Box, Environment, MaskedSpace, Network, Observation, Params


def chosen_networks(
    env: Environment,
    config: ActorCriticSettings,
    *,
    policy: Network | None,
    critic: Network | None,
) -> tuple[Network | None, Network | None]:
    """The networks of the user's own, by an argument or by a name; None: the default one.

    Raises:
        ValueError: there is no network of a name, or it leaves a setting without use.
    """
    spaces = env.observation_space, env.action_space
    policy = named_network(config.policy, policy, *spaces, argument="policy")
    critic = named_network(config.critic, critic, *spaces, argument="critic")
    check_use(config, *spaces, policy=policy, critic=critic)
    return policy, critic


def make_policy(
    env: Environment,
    config: ActorCriticSettings,
    head: nn.Module,
    network: Network | None,
) -> Network:
    """The user's policy, or the default one that ends in a head.

    Raises:
        ValueError: it is no `Network`.
    """
    if network is None:
        network = policy_of_head(
            seen_space(env.observation_space),
            head,
            **torso_attributes(config),
        )
    require_network(network)
    has_masks = isinstance(env.observation_space, MaskedSpace)
    return network if has_masks else _without_masks(network)


def _without_masks(network: Network) -> Network:
    """The network, which now refuses observations with masks that it would not keep to."""

    def apply(params: Params, observation: Observation) -> Any:
        refuse_masks(observation)
        return network.apply(params, observation)

    return network._replace(apply=apply)


def make_critic(
    env: Environment, action_space: Box, config: ActorCriticSettings, network: Network | None
) -> Network:
    """The user's critic of continuous actions, or the default one.

    Raises:
        ValueError: it does not give one value, or there is no layer for the action to enter.
    """
    if network is None:
        if config.action_layer > len(config.hidden_sizes):
            raise ValueError(
                f"action_layer={config.action_layer} is none of the {len(config.hidden_sizes)} "
                f"layers of hidden_sizes={config.hidden_sizes}: the last one is its output, "
                f"{len(config.hidden_sizes)}"
            )
        network = critic(
            seen_space(env.observation_space),
            action_space,
            action_layer=config.action_layer,
            **torso_attributes(config),
        )
    require_network(network)
    shapes = output_shapes(network, _value, env.observation_space, action_space)
    if shapes != [()]:
        raise ValueError(
            "a critic maps one observation and one action to a value of shape (), but this one "
            f"returns {', '.join(map(str, shapes))}"
        )
    return network


def _value(output: Any) -> Array:
    require_array(output, "the value of a critic")
    return output


def check_actions(network: Network, mode: Callable[[Any], Any], env: Environment) -> None:
    """Checks that a policy's actions have the environment's shape.

    Args:
        network: the policy.
        mode: from its output to an action.
        env: the environment.

    Raises:
        ValueError: they have not.
    """
    shapes = output_shapes(network, mode, env.observation_space)
    if shapes != [env.action_space.shape]:
        raise ValueError(
            f"the policy network's actions have shape {', '.join(map(str, shapes))}, "
            f"but those of the environment have shape {env.action_space.shape}"
        )
