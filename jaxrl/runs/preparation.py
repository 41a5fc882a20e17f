"""All that can be judged of a run before anything is written or compiled."""

import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl.runs import batched
from jaxrl.runs.charts import check_wandb_is_installed
from jaxrl.runs.construction import (
    Constructor,
    build,
    check_differences,
    check_environment,
    constructor,
)
from jaxrl.runs.devices import ALL, layout_of
from jaxrl.runs.grouping import Differences, differences_of
from jaxrl.runs.memory import check_memory, largest_array, num_bytes
from jaxrl.runs.plan import (
    Chunks,
    check_counts,
    first_progress,
    plan_chunks,
    relative_progress,
)
from jaxrl.runs.specification import Specification, to_json
from jaxrl.transfer import learned_parts
from jaxrl.types import Algorithm

_FEWER = "use fewer seeds or other members, environments, steps per iteration or hidden units"


class Prepared(NamedTuple):
    """A run that was judged, and traced: what is left to do is to compile it.

    Attributes:
        specification: the run.
        algorithm: of the first member, for what all members share.
        chunks: how the run is cut.
        state_type: shapes and dtypes of the State of all members.
        settings: the run's, as the programs take them.
        differences: what members set for themselves, as the programs take it.
        init: traced, not compiled; so are the others.
        advance: one chunk.
        evaluate: None where no evaluations are asked for.
        trace_seconds: spent on tracing.
    """

    specification: Specification
    algorithm: Algorithm
    chunks: Chunks
    state_type: Any
    settings: Any
    differences: Differences
    init: Any
    advance: Any
    evaluate: Any
    trace_seconds: float


def prepare(specification: Specification) -> Prepared:
    """Builds a run, traces its programs and weighs their memory; compiles and writes nothing.

    Args:
        specification: the run.

    Returns:
        What `start` takes in the specification's place.

    Raises:
        ValueError: the run cannot be carried out: a setting, a parameter or a member is wrong, an
            episode might never end, or the device has less memory than is needed.
    """
    to_json(specification)
    if specification.wandb_project is not None:
        check_wandb_is_installed()
    check_environment(specification)
    # First, so that what is wrong with one member is said of it.
    check_differences(specification)
    algorithm = build(specification)
    check_can_be_evaluated(specification, algorithm)
    began = time.perf_counter()
    construct = constructor(specification)
    settings, differences = batched.shared_settings(specification), differences_of(specification)
    states = batched.state_type(specification, construct, differences)
    _check_states(specification, algorithm, states)
    chunks = plan_chunks(specification, algorithm)
    init, advance, evaluate = _trace(
        specification, algorithm, construct, chunks, (settings, differences), states
    )
    largest = max(map(largest_array, (init.jaxpr.jaxpr, advance.jaxpr.jaxpr)))
    check_memory(largest // _num_shares(specification), _FEWER)
    check_counts(algorithm)
    return Prepared(
        specification=specification,
        algorithm=algorithm,
        chunks=chunks,
        state_type=states,
        settings=settings,
        differences=differences,
        init=init,
        advance=advance,
        evaluate=evaluate,
        trace_seconds=time.perf_counter() - began,
    )


def with_members(prepared: Prepared, specification: Specification) -> Prepared:
    """Prepares a run that differs from a prepared one in the values of its members only.

    Args:
        prepared: whose traced programs serve both.
        specification: with as many members, whose differences have the same names.
    """
    differences = differences_of(specification)
    before, after = (jax.tree.map(np.shape, x) for x in (prepared.differences, differences))
    if before != after or len(specification.members) != len(prepared.specification.members):
        raise ValueError("the members differ in number or in what they set: prepare the run")
    return prepared._replace(specification=specification, differences=differences)


def check_can_be_evaluated(specification: Specification, algorithm: Algorithm) -> None:
    """Finds out before training, not after it, that episodes might never end.

    Raises:
        ValueError: evaluations are asked for and the environment has no time limit.
    """
    if specification.evaluation_episodes and algorithm.environment.max_episode_steps is None:
        raise ValueError(
            f"{specification.environment} has no time limit, so an episode might never end: "
            "use evaluation_episodes=0"
        )


def _check_states(specification: Specification, algorithm: Algorithm, states: Any) -> None:
    if specification.keep_best and not learned_parts(states):
        raise ValueError(
            f"keep_best=True: the State of {specification.algorithm} says by none of its fields "
            "what it has learnt (jaxrl.take_learned)"
        )
    check_memory(num_bytes(states) // _num_shares(specification), _FEWER)
    _, observation = jax.eval_shape(algorithm.environment.reset, jax.random.key(0))
    episodes = len(specification.members) * specification.evaluation_episodes
    check_memory(episodes * num_bytes(observation), "use fewer evaluation_episodes")


def _num_shares(specification: Specification) -> int:
    """Into how many shares one array may be cut, each on a device of its own."""
    return len(jax.local_devices()) if specification.shard == "envs" else 1


def _trace(
    specification: Specification,
    algorithm: Algorithm,
    construct: Constructor,
    chunks: Chunks,
    floats: tuple[Any, Differences],
    states: Any,
) -> tuple[Any, Any, Any]:
    keys = jax.eval_shape(lambda: batched.make_keys(specification).init)
    count = len(specification.members)
    progress = relative_progress(first_progress(specification, algorithm), 0)
    layout = layout_of(specification, states)
    each = layout.each
    counted = ALL if algorithm.steps_per_iteration is not None else each
    with layout.tracing():
        # The state is donated: a chunk updates it in place.
        advance = layout.jit(
            batched.advance_of(construct, algorithm, chunks.num_iterations),
            arguments=(ALL, each, each, layout.states, counted, ALL, ALL),
            results=(layout.states, counted, each),
            donate=3,
        ).trace(*floats, keys, states, progress, np.int32(0), np.int32(0))
        init = layout.jit(
            batched.init_of(construct), arguments=(ALL, each, each), results=layout.states
        ).trace(*floats, keys)
    if not specification.evaluation_episodes:
        return init, advance, None
    evaluate = layout.jit_evaluation(
        batched.evaluate_of(construct, specification.evaluation_episodes)
    )
    return init, advance, evaluate.trace(*floats, keys, states, np.zeros(count, np.uint32))
