"""Settings and construction that all policy searches share."""

from typing import Any

import jax
from jax.core import Tracer
from jaxtyping import Array

from jaxrl.environments import flatten_actions, require_environment, unmasked_space
from jaxrl.exploration import warn_of_scale
from jaxrl.learning.normalization import check_normalization
from jaxrl.loops.population import population, vector_policy
from jaxrl.networks import (
    ACTIVATIONS,
    named_network,
    policy_network,
    require_distribution,
    require_network,
)
from jaxrl.settings import (
    BOX_ACTIONS,
    MAX_BUDGET,
    check_budget,
    check_use,
    default_network,
    number,
    require_settings,
    settings,
    static,
    unless,
)
from jaxrl.types import Algorithm, Environment, Key, Network, Strategy, sample_element

_ADVICE = (
    "it will stand at a bound, or try little of what it could do. With finite bounds, "
    "squash_actions=True maps its actions onto them"
)


_DEFAULT = default_network()


@settings
class PolicySearchConfig:
    """Settings that every policy search has beside those of its method."""

    total_steps: int = static(100_000, minimum=1, maximum=MAX_BUDGET)
    """Budget in environment steps, all episodes together."""
    episodes_per_candidate: int = static(1, minimum=1)
    """Whole episodes from which a candidate's fitness is the mean return."""
    common_random_numbers: bool = static(True)
    """All candidates of an iteration meet the same starts and chances."""
    normalize_observations: bool = static(False)
    """Standardise observations by what the whole population saw so far, clipped to 10."""
    stochastic_policy: bool = static(False)
    """Candidates draw their actions instead of taking the mode; evaluation takes the mode."""
    network: str = static("default")
    """default, or the name under which register_network knows a network of one's own."""
    hidden_sizes: tuple[int, ...] = static((), minimum=1, maximum=2**20, needs=_DEFAULT)
    """Widths of the policy's hidden layers; none: a linear policy."""
    activation: str = static(
        "tanh", choices=tuple(ACTIVATIONS), needs=(_DEFAULT, unless("hidden_sizes", ()))
    )
    """Elementwise function between layers."""
    use_bias: bool = static(True, needs=_DEFAULT)
    """Layers add a bias; where observations are centred, the search is easier without."""
    squash_actions: bool = static(False, needs=(_DEFAULT, BOX_ACTIONS))
    """Tanh onto the bounds of Box actions, instead of clipping to them."""
    initial_log_std: float = number(
        0.0,
        minimum=-20.0,
        maximum=20.0,
        needs=(_DEFAULT, ("stochastic_policy", True), BOX_ACTIONS),
    )
    """Where the logarithm of the deviation of the actions starts."""
    initial_scale: float = number(1.0, minimum=0)
    """Factor of the network's initial parameters; 0 starts from zero."""


def policy_search(
    env: Environment, strategy: Strategy, config: PolicySearchConfig, *, network: Network | None
) -> Algorithm:
    """Joins a strategy to an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions and a time limit.
        strategy: the method.
        config: the settings; the floats among them may be traced.
        network: maps one observation to a distribution over actions; None: `policy_network`.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = require_environment(env)
    require_settings(config, PolicySearchConfig)
    _validate_together(env, strategy, config)
    env = flatten_actions(env)
    observation_space = unmasked_space(env)
    network = named_network(config.network, network, observation_space, env.action_space)
    check_use(config, observation_space, env.action_space, network=network)
    if network is None:
        if not config.squash_actions:
            warn_of_scale(env.action_space, 1.0, _ADVICE)
        network = policy_network(
            observation_space,
            env.action_space,
            hidden_sizes=config.hidden_sizes,
            activation=config.activation,
            use_bias=config.use_bias,
            squash_actions=config.squash_actions,
            is_stochastic=config.stochastic_policy,
            initial_log_std=config.initial_log_std,
        )
    require_network(network)
    _check_network(env, network, config)
    policy = vector_policy(
        network,
        observation_space,
        is_stochastic=config.stochastic_policy,
        scale=config.initial_scale,
    )
    return population(
        env,
        strategy,
        policy,
        total_steps=config.total_steps,
        episodes_per_candidate=config.episodes_per_candidate,
        common_random_numbers=config.common_random_numbers,
        normalize_observations=config.normalize_observations,
    )


def _check_network(env: Environment, network: Network, config: PolicySearchConfig) -> None:
    """Refuses a network that does not map one observation to a distribution over the actions."""
    methods = ("mode", "sample") if config.stochastic_policy else ("mode",)

    def examine(key: Key) -> Array:
        key_observation, key_init = jax.random.split(key)
        observation = sample_element(unmasked_space(env), key_observation)
        distribution = network.apply(network.init(key_init, observation), observation)
        require_distribution(distribution, *methods)
        return distribution.mode()

    shape = jax.eval_shape(examine, jax.random.key(0)).shape
    if shape != env.action_space.shape:
        raise ValueError(
            f"the network's distribution is over actions of shape {shape}, but those of {env.name} "
            f"have shape {env.action_space.shape}"
        )


def _validate_together(env: Environment, strategy: Strategy, config: PolicySearchConfig) -> None:
    """Checks what no field can say alone."""
    if config.normalize_observations:
        check_normalization(env)
    longest: Any = env.max_episode_steps
    if longest is None or isinstance(longest, Tracer):
        return
    episodes = strategy.population_size * config.episodes_per_candidate
    most_steps = episodes * int(longest)
    check_budget(config, most_steps, f"an iteration's {episodes} episodes of {longest} steps")
