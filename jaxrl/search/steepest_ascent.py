"""Steepest-ascent hill climbing: look at several neighbours, and move to the best of them."""

from jaxrl.search._policy_search import policy_search
from jaxrl.search.hill_climbing import ClimbingConfig, climbing_strategy
from jaxrl.settings import require_settings, settings, static
from jaxrl.types import Algorithm, Environment, Network, Strategy


@settings
class SteepestAscentConfig(ClimbingConfig):
    """Settings of steepest-ascent hill climbing."""

    num_neighbors: int = static(8, minimum=1)
    """Neighbours of the best parameters that are compared in an iteration."""


def steepest_ascent(
    env: Environment, config: SteepestAscentConfig, *, network: Network | None = None
) -> Algorithm:
    """Builds steepest ascent for an environment; arguments and errors as for `policy_search`.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.SteepestAscentConfig(num_neighbors=16)
        >>> algorithm = jaxrl.steepest_ascent(env, config)
        >>> algorithm.total_steps
        100000
    """
    return policy_search(env, steepest_ascent_strategy(config), config, network=network)


def steepest_ascent_strategy(config: SteepestAscentConfig) -> Strategy:
    """Builds steepest ascent for any function of a vector."""
    require_settings(config, SteepestAscentConfig)
    return climbing_strategy(config, num_neighbors=config.num_neighbors)
