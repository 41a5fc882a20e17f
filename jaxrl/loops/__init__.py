"""Loops join a learning rule to an environment and give an `Algorithm`."""

from jaxrl.loops.asynchronous import AsynchronousState, asynchronous
from jaxrl.loops.episodes import play_population
from jaxrl.loops.finished_episodes import FinishedEpisodes
from jaxrl.loops.off_policy import OffPolicyState, off_policy
from jaxrl.loops.on_policy import OnPolicyState, on_policy
from jaxrl.loops.population import PopulationState, VectorPolicy, population, vector_policy
from jaxrl.loops.replays import (
    ReplaySettings,
    check_bounded,
    check_discrete,
    check_replay_task,
    join_replay,
    num_updates,
)
from jaxrl.loops.rollouts import (
    RolloutSettings,
    check_rollout_task,
    check_shares,
    join_rollouts,
    num_rollouts,
)
from jaxrl.loops.whole_episodes import (
    WholeEpisodesState,
    longest_episode,
    play_episodes,
    whole_episodes,
)
from jaxrl.loops.worlds import (
    EVERY_STEP,
    Resets,
    Worlds,
    act_without_extras,
    collect,
    start_world,
    start_worlds,
    step_world,
)

__all__ = [
    "EVERY_STEP",
    "AsynchronousState",
    "FinishedEpisodes",
    "OffPolicyState",
    "OnPolicyState",
    "PopulationState",
    "ReplaySettings",
    "Resets",
    "RolloutSettings",
    "VectorPolicy",
    "WholeEpisodesState",
    "Worlds",
    "act_without_extras",
    "asynchronous",
    "check_bounded",
    "check_discrete",
    "check_replay_task",
    "check_rollout_task",
    "check_shares",
    "collect",
    "join_replay",
    "join_rollouts",
    "longest_episode",
    "num_rollouts",
    "num_updates",
    "off_policy",
    "on_policy",
    "play_episodes",
    "play_population",
    "population",
    "start_world",
    "start_worlds",
    "step_world",
    "vector_policy",
    "whole_episodes",
]
