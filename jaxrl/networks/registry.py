"""Names of networks of the user's own, for settings, run folders and the command line."""

import difflib
import re
from collections.abc import Callable
from typing import Any

from jaxrl.networks.applying import seen_space
from jaxrl.types import Network, ObservationSpace, RecurrentNetwork, Space

DEFAULT = "default"
"""The name that stands for the default network of an algorithm, or for one given from Python."""

_networks: dict[str, Callable[..., Any]] = {}


def register_network(name: str, build: Callable[[Any, Any], Network | RecurrentNetwork]) -> None:
    """Makes a network known by a name, for the settings `network`, `policy` and `critic`.

    `jaxrl train ppo CartPole-v1 --import my_networks --network mine` finds it. A run keeps the name
    among its settings and the module among its imports, so that it is resumed, evaluated and
    rendered with the same network. Registering a name again replaces it, so that a notebook's cell
    can run twice.

    Args:
        name: letters, digits, dots, dashes and underscores, other than "default".
        build: (observation space, action space) -> network. The observation space is that of what
            the network sees, without masks of actions, and may be nested; the action space is the
            one that the policy chooses from: vectors where the environment has a Box. What the
            network returns is what the algorithm's argument of that name takes.

    Raises:
        ValueError: the name cannot be used.

    Example:
        >>> import jaxrl
        >>> from jaxrl.networks import actor_critic
        >>> def wide(observation_space, action_space):
        ...     return actor_critic(observation_space, action_space, hidden_sizes=(512,))
        >>> jaxrl.register_network("wide", wide)
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> algorithm = jaxrl.ppo(env, jaxrl.PPOConfig(network="wide"))
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"network name {name!r} must be letters, digits, '.', '-' and '_'")
    if name == DEFAULT:
        raise ValueError(
            f"{name!r} is the name of the algorithms' own networks: choose another name"
        )
    _networks[name] = build


def available_networks() -> list[str]:
    """The names that settings can have: "default", and those registered, in alphabetical order."""
    return [DEFAULT, *sorted(_networks)]


def named_network(
    name: str,
    given: Any,
    observation_space: ObservationSpace,
    action_space: Space,
    *,
    argument: str = "network",
) -> Any:
    """The network that a setting or an argument of the same name chooses.

    Args:
        name: the setting, one of `available_networks()`.
        given: the constructor's argument; None: nothing.
        observation_space: of the observations, with or without masks of actions.
        action_space: of the actions that are chosen.
        argument: what both are called.

    Returns:
        What was given, the registered network, or None for the default one.

    Raises:
        ValueError: there is no network of that name, another is given, or what was registered makes
            something else.
    """
    if name == DEFAULT:
        return given
    if given is not None:
        raise ValueError(
            f"{argument}={name!r} among the settings would do nothing: another network is given as "
            f"the argument {argument}"
        )
    if name not in _networks:
        near = difflib.get_close_matches(name, available_networks(), n=3)
        known = ", ".join(available_networks())
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {known}"
        raise ValueError(
            f"unknown network {argument}={name!r}: {hint}; one of your own is known once the "
            "module that registers it is imported, on the command line with --import MODULE"
        )
    made = _networks[name](seen_space(observation_space), action_space)
    if not isinstance(made, Network | RecurrentNetwork):
        raise ValueError(
            f"what was registered as {name!r} makes a {type(made).__name__}, but it must make a "
            "Network or a RecurrentNetwork: of a flax module, jaxrl.networks.from_flax(module) "
            "makes one"
        )
    return made
