"""Running normalisation as wrappers from agent to agent.

Those of an `Agent` apply the statistics that were in force when the rollout was acted, and update
them after the agent has learnt from it: so the policy that the learner evaluates is the one that
acted, and the first minibatch of an update has a probability ratio of one. That of a `ReplayAgent`
keeps raw observations in the replay and applies the newest statistics whenever they are used.

Numbers that are not finite, or beyond 1e18, are left out of the statistics, and counted in the
metrics `observations_left_out` and `rewards_left_out` of each iteration. The agent gets the clipped
value in their place, and 0 for nan: the mean observation, or no reward.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.learning.observation_statistics import (
    ObservationStatistics,
    count_left_out,
    has_moments,
    init_observed,
    normalize_observed,
    update_observed,
)
from jaxrl.ops.statistics import (
    RunningStatistics,
    init_statistics,
    is_usable,
    scale,
    update_statistics,
)
from jaxrl.settings import settings, static
from jaxrl.types import (
    Agent,
    AgentState,
    Carry,
    Environment,
    Key,
    MaskedObservation,
    MaskedSpace,
    Metrics,
    Observation,
    ObservationSpace,
    Policy,
    ReplayAgent,
    Replayed,
    Rollout,
    SpaceTree,
    Transition,
)


@settings
class ObservationNormalizationSettings:
    """Whether an agent sees standardised observations."""

    normalize_observations: bool = static(False)
    """Standardise observations by their running mean and deviation, clipped to 10."""


@settings
class NormalizationSettings(ObservationNormalizationSettings):
    """Settings of what an agent that learns from rollouts sees standardised."""

    normalize_rewards: bool = static(False)
    """Divide rewards by the running deviation of the discounted return, clipped to 10."""


class NormalizedObservations(NamedTuple):
    """An agent's state beside the statistics of its observations.

    Attributes:
        agent: the wrapped agent's state.
        statistics: of observations.
    """

    agent: AgentState
    statistics: ObservationStatistics


class NormalizedReplay(NamedTuple):
    """A replay agent's state beside the statistics of its observations.

    Attributes:
        agent: the wrapped agent's state.
        statistics: of observations.
        left_out: float32 (), entries of the latest observations that the statistics leave out.
    """

    agent: AgentState
    statistics: ObservationStatistics
    left_out: Float[Array, ""]


class NormalizedRewards(NamedTuple):
    """An agent's state beside the statistics of its discounted returns.

    Attributes:
        agent: the wrapped agent's state.
        statistics: of the discounted return so far, scalars.
        discounted_return: [B], of the episode under way in each environment.
    """

    agent: AgentState
    statistics: RunningStatistics
    discounted_return: Float[Array, " B"]


def normalize_observations(
    agent: Agent, observation_space: ObservationSpace, *, clip: float = 10.0
) -> Agent:
    """Standardises what an agent sees by the running mean and standard deviation.

    Args:
        agent: takes float observations.
        observation_space: a Box or a pytree of spaces, whose Boxes of floats are standardised;
            masks of actions stay as they are.
        clip: bound on the standardised values.

    Raises:
        ValueError: the observations are not a Box, and no part of them is one of floats.
    """
    space = _standardizable(observation_space)

    def scaled(state: NormalizedObservations, observation: Observation) -> Observation:
        return _standardized(state.statistics, observation, clip)

    def init(key: Key) -> NormalizedObservations:
        return NormalizedObservations(agent=agent.init(key), statistics=init_observed(space))

    def act(
        key: Key, state: NormalizedObservations, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array, Any]:
        return agent.act(key, state.agent, carry, scaled(state, observation))

    def update(
        key: Key, state: NormalizedObservations, batch: Rollout
    ) -> tuple[NormalizedObservations, Metrics]:
        transitions = batch.transitions
        seen = transitions._replace(
            observation=scaled(state, transitions.observation),
            next_observation=scaled(state, transitions.next_observation),
        )
        agent_state, metrics = agent.update(key, state.agent, batch._replace(transitions=seen))
        observation = _seen(transitions.observation)
        statistics = update_observed(state.statistics, observation)
        metrics = metrics | {"observations_left_out": count_left_out(statistics, observation)}
        return NormalizedObservations(agent=agent_state, statistics=statistics), metrics

    def policy(state: NormalizedObservations) -> Policy:
        return _policy_of_scaled(agent.policy(state.agent), state.statistics, clip)

    return Agent(init=init, start=agent.start, act=act, update=update, policy=policy)


def normalize_replayed_observations(
    agent: ReplayAgent, observation_space: ObservationSpace, *, clip: float = 10.0
) -> ReplayAgent:
    """Standardises what an agent sees and replays by the running mean and standard deviation.

    The statistics are of every step that was collected, each once, random ones among them.

    Args:
        agent: takes float observations.
        observation_space: a Box or a pytree of spaces, whose Boxes of floats are standardised;
            masks of actions stay as they are.
        clip: bound on the standardised values.

    Raises:
        ValueError: the observations are not a Box, and no part of them is one of floats.
    """
    space = _standardizable(observation_space)

    def init(key: Key) -> NormalizedReplay:
        return NormalizedReplay(
            agent=agent.init(key), statistics=init_observed(space), left_out=jnp.float32(0)
        )

    def act(
        key: Key, state: NormalizedReplay, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array]:
        return agent.act(
            key, state.agent, carry, _standardized(state.statistics, observation, clip)
        )

    def observe(key: Key, state: NormalizedReplay, transitions: Transition) -> NormalizedReplay:
        observation = _seen(transitions.observation)
        statistics = update_observed(state.statistics, observation)
        seen = transitions._replace(
            observation=_standardized(statistics, transitions.observation, clip),
            next_observation=_standardized(statistics, transitions.next_observation, clip),
        )
        return NormalizedReplay(
            agent=agent.observe(key, state.agent, seen),
            statistics=statistics,
            left_out=count_left_out(statistics, observation),
        )

    def update(
        key: Key, state: NormalizedReplay, batch: Replayed
    ) -> tuple[NormalizedReplay, Array, Metrics]:
        seen = _standardized_batch(state.statistics, batch, clip)
        agent_state, error, metrics = agent.update(key, state.agent, seen)
        metrics = metrics | {"observations_left_out": state.left_out}
        return state._replace(agent=agent_state), error, metrics

    def policy(state: NormalizedReplay) -> Policy:
        return _policy_of_scaled(agent.policy(state.agent), state.statistics, clip)

    return ReplayAgent(
        init=init, start=agent.start, act=act, observe=observe, update=update, policy=policy
    )


def check_normalization(env: Environment) -> None:
    """Checks that an environment's observations have a mean and a deviation.

    Raises:
        ValueError: they are not a Box, and no part of them is one of floats.
    """
    space = env.observation_space
    seen = space.space if isinstance(space, MaskedSpace) else space
    if not has_moments(seen):
        raise ValueError(
            "normalize_observations=True needs Box observations, but the observations of "
            f"{env.name} are {seen}"
        )


def _standardizable(space: ObservationSpace) -> SpaceTree:
    seen = space.space if isinstance(space, MaskedSpace) else space
    if not has_moments(seen):
        raise ValueError(f"observation normalisation needs Box observations, got {seen}")
    return seen


def _seen(observation: Observation) -> Observation:
    """The observation without the mask of the actions."""
    return observation.observation if isinstance(observation, MaskedObservation) else observation


def _num_left_out(x: Array) -> Float[Array, ""]:
    """Number of values that the statistics leave out."""
    return jnp.sum(~is_usable(x), dtype=jnp.float32)


def _standardized(
    statistics: ObservationStatistics, observation: Observation, clip: float
) -> Observation:
    if isinstance(observation, MaskedObservation):
        seen = _standardized(statistics, observation.observation, clip)
        return observation._replace(observation=seen)
    return normalize_observed(statistics, observation, clip=clip)


def _standardized_batch(
    statistics: ObservationStatistics, batch: Replayed, clip: float
) -> Replayed:
    """Replayed steps with all that was seen standardised."""
    seen = batch._replace(
        observation=_standardized(statistics, batch.observation, clip),
        next_observation=_standardized(statistics, batch.next_observation, clip),
    )
    if batch.between is None:
        return seen
    between = _standardized(statistics, batch.between.observation, clip)
    return seen._replace(between=batch.between._replace(observation=between))


def _policy_of_scaled(inner: Policy, statistics: ObservationStatistics, clip: float) -> Policy:
    """The policy that sees standardised observations."""

    def act(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Array]:
        return inner.act(key, carry, _standardized(statistics, observation, clip))

    return Policy(start=inner.start, act=act)


def normalize_rewards(agent: Agent, *, num_envs: int, discount: Any, clip: float = 10.0) -> Agent:
    """Divides rewards by the running standard deviation of the discounted return.

    The return that is tracked is R_t = r_t + discount * R_(t-1), starting over at each episode, as
    in Engstrom et al. 2020 ("Implementation Matters in Deep Policy Gradients"). Reported returns
    are not touched.

    Args:
        agent: learns from rollouts of `num_envs` environments.
        num_envs: B.
        discount: the agent's.
        clip: bound on the scaled rewards.
    """

    def init(key: Key) -> NormalizedRewards:
        return NormalizedRewards(
            agent=agent.init(key),
            statistics=init_statistics(()),
            discounted_return=jnp.zeros(num_envs, jnp.float32),
        )

    def act(
        key: Key, state: NormalizedRewards, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array, Any]:
        return agent.act(key, state.agent, carry, observation)

    def update(
        key: Key, state: NormalizedRewards, batch: Rollout
    ) -> tuple[NormalizedRewards, Metrics]:
        transitions = batch.transitions
        # The mean is not subtracted: that would change which behaviour is best.
        scaled = scale(state.statistics, transitions.reward, clip=clip)
        seen = batch._replace(transitions=transitions._replace(reward=scaled))
        agent_state, metrics = agent.update(key, state.agent, seen)

        # A reward that is left out would stay in the return for a hundred steps.
        usable = is_usable(transitions.reward)
        rewards = jnp.where(usable, transitions.reward, 0.0)

        def accumulate(running: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
            reward, ended = step
            running = reward + discount * running
            return jnp.where(ended, 0.0, running), running

        ended = transitions.terminated | transitions.truncated
        running, returns = jax.lax.scan(accumulate, state.discounted_return, (rewards, ended))
        state = NormalizedRewards(
            agent=agent_state,
            statistics=update_statistics(state.statistics, returns),
            discounted_return=running,
        )
        return state, metrics | {"rewards_left_out": _num_left_out(transitions.reward)}

    def policy(state: NormalizedRewards) -> Policy:
        return agent.policy(state.agent)

    return Agent(init=init, start=agent.start, act=act, update=update, policy=policy)
