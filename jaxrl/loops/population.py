"""The population loop: play whole episodes with every candidate of a search, then tell it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from jaxrl.environments import clip_actions, unmasked_space
from jaxrl.keys import taking_any_key
from jaxrl.learning.observation_statistics import (
    ObservationStatistics,
    init_observed,
    merge_observed,
    sums_left_out,
)
from jaxrl.loops.episode_counts import PlayedEpisodes, episode_metrics, normalized
from jaxrl.loops.episodes import Act, play_population
from jaxrl.networks import refuse_masks
from jaxrl.types import (
    Action,
    Algorithm,
    Carry,
    Environment,
    Key,
    Metrics,
    Network,
    Observation,
    Params,
    Policy,
    SearchState,
    SpaceTree,
    Strategy,
    zero_element,
)


class PopulationState(NamedTuple):
    """Everything a policy search needs to go on; between iterations no episode is under way.

    Attributes:
        search: the strategy's state.
        statistics: of the observations seen; None where they are not normalised.
        steps: int32 (), environment steps taken.
    """

    search: SearchState
    statistics: ObservationStatistics | None
    steps: Int[Array, ""]


class VectorPolicy(NamedTuple):
    """A network whose parameters are one vector.

    Attributes:
        init: (key) -> vector [D].
        unravel: (vector [D]) -> Params.
        act: (key, Params, observation) -> action, of a candidate.
        act_greedily: (Params, observation) -> action, the mode.
    """

    init: Callable[[Key], Float[Array, " D"]]
    unravel: Callable[[Array], Params]
    act: Act
    act_greedily: Callable[[Params, Observation], Action]


def population(
    environment: Environment,
    strategy: Strategy,
    policy: VectorPolicy,
    *,
    total_steps: int,
    episodes_per_candidate: int = 1,
    common_random_numbers: bool = True,
    normalize_observations: bool = False,
) -> Algorithm:
    """Builds the algorithm that lets a strategy search for the parameters of a policy.

    Args:
        environment: the task; Box actions are clipped. To overrun its time limit is a failure.
        strategy: proposes vectors of parameters, and is told the mean return of each.
        policy: what the vectors are parameters of; the recommended one is evaluated greedily.
        total_steps: the budget; the fewest iterations that reach it are taken.
        episodes_per_candidate: whole episodes from which a candidate's fitness is the mean.
        common_random_numbers: the i-th episodes of all candidates of an iteration start alike and
            meet the same chances, so that they are compared like with like.
        normalize_observations: standardise them by all that was seen before the iteration.

    Raises:
        ValueError: the environment has no time limit, or there are no episodes to play.
    """
    _require_time_limit(environment)
    if episodes_per_candidate < 1:
        raise ValueError(f"episodes_per_candidate={episodes_per_candidate} must be at least 1")
    door = clip_actions(environment)

    def init(key: Key) -> PopulationState:
        search = strategy.init(policy.init(key))
        space = unmasked_space(environment)
        statistics = init_observed(space) if normalize_observations else None
        return PopulationState(search=search, statistics=statistics, steps=jnp.int32(0))

    def play(key: Key, state: PopulationState, candidates: Float[Array, "N D"]) -> PlayedEpisodes:
        return play_population(
            key,
            door,
            policy.act,
            jax.vmap(policy.unravel)(candidates),
            num_episodes=episodes_per_candidate,
            common_random_numbers=common_random_numbers,
            statistics=state.statistics,
        )

    # The shortest episode takes one step.
    fewest_steps = strategy.population_size * episodes_per_candidate
    algorithm = Algorithm(
        init=init,
        step=lambda key, state: _iteration(key, state, strategy, play, door.max_episode_steps),
        policy=lambda state: _recommended(policy, strategy, state),
        environment=environment,
        total_steps=total_steps,
        steps_per_iteration=None,
        max_iterations=-(-total_steps // fewest_steps),
        behavior=lambda state: _candidate(policy, strategy, state),
    )
    return taking_any_key(algorithm)


def _iteration(
    key: Key,
    state: PopulationState,
    strategy: Strategy,
    play: Callable[[Key, PopulationState, Array], PlayedEpisodes],
    limit: Any,
) -> tuple[PopulationState, Metrics]:
    """Asks for candidates, plays with them, and tells what they were worth."""
    key_ask, key_play, key_tell = jax.random.split(key, 3)
    search, candidates = strategy.ask(key_ask, state.search)
    played = play(key_play, state, candidates)
    fitness = jnp.mean(played.fitness, axis=1)
    search, search_metrics = strategy.tell(key_tell, search, candidates, fitness)
    # An episode without a length was played up to the limit, and cut there.
    taken = jnp.sum(jnp.where(played.lengths > 0, played.lengths, limit), dtype=jnp.int32)
    steps = state.steps + taken
    metrics = {"steps": steps} | episode_metrics(played) | search_metrics
    statistics, sums = state.statistics, played.observations
    if statistics is not None and sums is not None:
        statistics = merge_observed(statistics, sums)
        metrics["observations_left_out"] = sums_left_out(sums, taken.astype(jnp.float32))
    return PopulationState(search=search, statistics=statistics, steps=steps), metrics


def vector_policy(
    network: Network, observation_space: SpaceTree, *, is_stochastic: bool = False, scale: Any = 1.0
) -> VectorPolicy:
    """Ravels the parameters of a network into one vector.

    Args:
        network: maps one observation to a distribution over actions.
        observation_space: of the observation.
        is_stochastic: candidates draw their actions; otherwise they take the mode.
        scale: factor of the network's initial parameters.
    """
    observation = zero_element(observation_space)
    structure = jax.eval_shape(network.init, jax.random.key(0), observation)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), structure)
    flat, unravel_exactly = ravel_pytree(zeros)

    def unravel(vector: Array) -> Params:
        return unravel_exactly(vector.astype(flat.dtype))

    def init(key: Key) -> Float[Array, " D"]:
        return scale * ravel_pytree(network.init(key, observation))[0]

    def act_greedily(params: Params, observation: Observation) -> Action:
        refuse_masks(observation)
        return network.apply(params, observation).mode()

    def act(key: Key, params: Params, observation: Observation) -> Action:
        if not is_stochastic:
            return act_greedily(params, observation)
        return network.apply(params, observation).sample(key)

    return VectorPolicy(init=init, unravel=unravel, act=act, act_greedily=act_greedily)


def _recommended(policy: VectorPolicy, strategy: Strategy, state: PopulationState) -> Policy:
    params = policy.unravel(strategy.solution(state.search))

    def act(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Action]:
        del key
        return carry, policy.act_greedily(params, normalized(state.statistics, observation))

    def start(key: Key) -> Carry:
        del key
        return ()

    return Policy(start=start, act=act)


def _candidate(policy: VectorPolicy, strategy: Strategy, state: PopulationState) -> Policy:
    """The recommended parameters, acting as candidates do."""
    params = policy.unravel(strategy.solution(state.search))

    def act(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Action]:
        return carry, policy.act(key, params, normalized(state.statistics, observation))

    return Policy(start=lambda key: (), act=act)


def _require_time_limit(environment: Environment) -> None:
    if environment.max_episode_steps is None:
        raise ValueError(
            f"{environment.name} has no time limit, so an episode of a candidate might never end: "
            "wrap it, as in time_limit(env, max_steps=1000)"
        )
