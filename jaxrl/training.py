"""Train and evaluate as pure functions: jit them, vmap them over keys and settings, shard them.

Where there is nothing to report, as in rows that were not needed, metrics are nan; minus infinity
where `jax_debug_nans` stops at every nan (`jaxrl.ops.missing`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxrl.environments import (
    clip_actions,
    flatten_actions,
    record_episode_statistics,
    require_environment,
)
from jaxrl.keys import scan_keys, typed_key
from jaxrl.loops.finished_episodes import reported_of
from jaxrl.loops.worlds import act_without_extras, start_world, step_world
from jaxrl.ops.missing import is_missing, missing_value
from jaxrl.settings import MAX_STEPS, require_whole
from jaxrl.transfer import take_learned
from jaxrl.types import Algorithm, Environment, Key, Metrics, Policy, State

# Where the cost of an iteration varies, metrics are put in place so many rows at a time.
_ROWS_OF_A_BLOCK = 64
# Metrics that are numbers of something, of which a row over several iterations has no mean.
_COUNTS = ("steps", "episodes")


class Progress(NamedTuple):
    """Progress of a run.

    Attributes:
        iteration: int32 (), iterations done.
        steps: int32 (), environment steps taken.
    """

    iteration: Any
    steps: Any


class Evaluation(NamedTuple):
    """Whole episodes of one policy.

    An episode that overruns the environment's `max_episode_steps` is cut there, and of a part of an
    episode nothing is reported: its return is nan and its length 0.

    Attributes:
        returns: [episodes], the undiscounted sum of the task's own rewards.
        lengths: [episodes], in environment steps.
        reported: by name, [episodes], what the environment reports as its `metrics`, as it was
            where the episode ended; nan where it was cut.
    """

    returns: Float[Array, "*runs episodes"]
    lengths: Int[Array, "*runs episodes"]
    reported: dict[str, Float[Array, "*runs episodes"]] = {}  # noqa: RUF012 - never written into.


class TrainResult(NamedTuple):
    """Result of a training run.

    Attributes:
        state: the algorithm's final State; `algorithm.policy(state)` acts with it.
        metrics: by name, [iterations], or [rows] where fewer rows were asked for; rows that were
            not needed are nan, or -1 for counts.
        evaluations: leaves [num_evaluations, episodes], evenly spaced, the last after training;
            None if none were asked for.
    """

    state: State
    metrics: Metrics
    evaluations: Evaluation | None


def train(
    key: Key,
    algorithm: Algorithm,
    *,
    num_evaluations: int = 0,
    evaluation_episodes: int = 32,
    start_from: State | None = None,
    callback: Callable[[dict[str, np.ndarray]], Any] | None = None,
    callback_interval: int = 1,
    metric_rows: int | None = None,
) -> TrainResult:
    """Runs an algorithm for the fewest iterations that reach `algorithm.total_steps`.

    Args:
        key: consumed; one of `jax.random.PRNGKey` is taken too.
        algorithm: as its constructor made it, such as `jaxrl.ppo(env, config)`.
        num_evaluations: how often to evaluate the non-exploring policy, evenly spaced over the
            budget, the last time at its end.
        evaluation_episodes: episodes of each evaluation.
        start_from: a State of an earlier run, what is learnt of which this one begins with, as
            `take_learned` says; None: nothing.
        callback: called on the host while the program runs, with a row of metrics as NumPy scalars;
            for a logger. Rows may come out of order: their `steps` say where they belong. Under
            vmap it is called for every run. None: the program is what it is without.
        callback_interval: iterations between two rows.
        metric_rows: the most rows of metrics, for which a long run then has no more room than for
            as many: each row is of equally many iterations, whose mean it is, with their last
            `steps` and the sum of their `episodes`. None: a row per iteration.

    Returns:
        The final state, the rows of metrics, and the evaluations.

    Raises:
        ValueError: the key or the algorithm is none, a count is out of range, the budget cannot be
            counted in int32, the environment has no time limit to evaluate under, or the earlier
            State does not fit.
    """
    _require_algorithm(algorithm, key)
    _require_countable(algorithm)
    key = typed_key(key)
    require_whole("num_evaluations", num_evaluations, minimum=0)
    require_whole("evaluation_episodes", evaluation_episodes, minimum=min(1, num_evaluations))
    report = _report_to(callback, callback_interval)
    key_init, key_steps, key_evaluation = jax.random.split(key, 3)
    state = algorithm.init(key_init)
    if start_from is not None:
        state = take_learned(state, start_from)
    progress = Progress(iteration=jnp.int32(0), steps=jnp.int32(algorithm.first_steps))
    rows, iterate = _rows_and_loop(key_steps, algorithm, state, metric_rows, report)
    run = (state, progress, rows)
    if num_evaluations == 0:
        state, _, rows = iterate(run=run, until_steps=algorithm.total_steps)
        return TrainResult(state=state, metrics=_metrics_of(rows), evaluations=None)
    keys = jax.random.split(key_evaluation, num_evaluations)
    return _train_in_parts(keys, algorithm, iterate, run, num_episodes=evaluation_episodes)


def _rows_and_loop(
    key: Key,
    algorithm: Algorithm,
    state: State,
    metric_rows: int | None,
    report: Callable[[Any, Any, Metrics], None] | None,
) -> tuple[Any, Callable[..., Any]]:
    """Rows with nothing in them, one per iteration or so many, and the loop that fills them."""
    step = _traced_once(algorithm)
    if metric_rows is None:
        rows: Any = _unused_rows(step, key, state, algorithm.max_iterations)
        return rows, partial(_iterate, key, algorithm, step, first_iteration=0, report=report)
    require_whole("metric_rows", metric_rows, minimum=1)
    each = -(-algorithm.max_iterations // metric_rows)
    rows = _no_sums(step, key, state, -(-algorithm.max_iterations // each))
    loop = partial(_iterate_and_sum, key, algorithm, step, iterations_per_row=each, report=report)
    return rows, loop


def _train_in_parts(
    keys: Key,
    algorithm: Algorithm,
    iterate: Callable[..., Any],
    run: tuple[State, Progress, Any],
    *,
    num_episodes: int,
) -> TrainResult:
    """Trains as many equal parts of the budget as there are keys, with an evaluation after each."""

    def train_and_evaluate(run: Any, inputs: Any) -> Any:
        until_steps, key_episodes = inputs
        run = iterate(run=run, until_steps=until_steps)
        policy = algorithm.policy(run[0])
        return run, evaluate(key_episodes, algorithm.environment, policy, num_episodes=num_episodes)

    # Ceilings, so that the last part ends exactly where the budget does.
    parts = range(1, len(keys) + 1)
    ends = [-(-algorithm.total_steps * part // len(keys)) for part in parts]
    inputs = (jnp.asarray(ends, jnp.int32), keys)
    (state, _, rows), evaluations = scan_keys(train_and_evaluate, run, inputs)
    return TrainResult(state=state, metrics=_metrics_of(rows), evaluations=evaluations)


def advance(
    key: Key,
    algorithm: Algorithm,
    state: State,
    progress: Progress,
    *,
    num_rows: int,
    until_steps: Any,
) -> tuple[State, Progress, Metrics]:
    """Takes up to `num_rows` more iterations, as far as a number of environment steps.

    Iteration i draws from `fold_in(key, i)`, so the result does not depend on where a run is cut.

    Args:
        key: the key of all iterations of the run; the same one for every call.
        algorithm: whose `step` is taken.
        state: where the run stands.
        progress: how far it has come.
        num_rows: the most iterations to take; static.
        until_steps: stop when this many steps have been taken since the run's start; may be traced.

    Returns:
        The state, the progress, and rows of metrics [num_rows], those not used nan (-1 for counts).
    """
    _require_algorithm(algorithm, key)
    key = typed_key(key)
    _require_progress(progress)
    require_whole("num_rows", num_rows, minimum=1)
    step = _traced_once(algorithm)
    rows = _unused_rows(step, key, state, num_rows)
    run = (state, progress, rows)
    first = progress.iteration
    return _iterate(key, algorithm, step, run, first_iteration=first, until_steps=until_steps)


def evaluate(
    key: Key, environment: Environment, policy: Policy, *, num_episodes: int
) -> Evaluation:
    """Plays exactly `num_episodes` whole episodes with a policy, side by side.

    Args:
        key: consumed.
        environment: the task; Box actions are clipped to its bounds.
        policy: whose actions are taken, as `algorithm.policy(state)` gives it.
        num_episodes: how many; each runs to its own end.

    Returns:
        Returns and lengths, [num_episodes]; nan and 0 of what overruns `max_episode_steps`.

    Raises:
        ValueError: an argument is not what it should be, episodes might never end, or the policy's
            actions are not the environment's.
    """
    key = typed_key(key)
    environment = require_environment(environment)
    _require_policy(policy)
    require_whole("num_episodes", num_episodes, minimum=1)
    _require_time_limit(environment)
    # A policy may give vectors where the environment's own actions have another shape.
    environment = record_episode_statistics(flatten_actions(clip_actions(environment)))
    key_reset, key_start, key_loop = jax.random.split(key, 3)
    begin = partial(start_world, environment=environment, start=policy.start)
    worlds = jax.vmap(begin)(*_keys_of_both(key_reset, key_start, num_episodes))
    act = partial(
        step_world, environment=environment, act=act_without_extras(policy.act, environment)
    )

    def unfinished(carry: Any) -> Any:
        time, _, finished, _ = carry
        # The second bound keeps a task that overruns its own limit from running for ever.
        return ~jnp.all(finished) & (time < environment.max_episode_steps)

    def play(carry: Any) -> Any:
        time, worlds, finished, result = carry
        key_act, key_env = jax.random.split(jax.random.fold_in(key_loop, time))
        keys = _keys_of_both(key_act, key_env, num_episodes)
        worlds, transition, info = jax.vmap(act)(*keys, worlds)
        # Taken where an episode ends and nowhere else: a part of one is not taken for the whole.
        ends = (transition.terminated | transition.truncated) & ~finished
        result = Evaluation(
            returns=jnp.where(ends, info["episode_return"], result.returns),
            lengths=jnp.where(ends, info["episode_length"], result.lengths),
            reported={
                name: jnp.where(ends, value, result.reported[name])
                for name, value in jax.vmap(partial(reported_of, environment))(info).items()
            },
        )
        return time + 1, worlds, finished | ends, result

    blank = _nothing_ended(environment, num_episodes)
    start = (jnp.int32(0), worlds, jnp.zeros(num_episodes, bool), blank)
    return jax.lax.while_loop(unfinished, play, start)[-1]


def _nothing_ended(environment: Environment, num_episodes: int) -> Evaluation:
    unknown = jnp.full(num_episodes, missing_value(), jnp.float32)
    return Evaluation(
        returns=unknown,
        lengths=jnp.zeros(num_episodes, jnp.int32),
        reported=dict.fromkeys(environment.metrics, unknown),
    )


def _keys_of_both(one: Key, other: Key, count: int) -> tuple[Key, Key]:
    return jax.random.split(one, count), jax.random.split(other, count)


def _require_algorithm(algorithm: Any, key: Any) -> None:
    """Refuses what is no algorithm, and arguments in the wrong order."""
    if isinstance(algorithm, Algorithm):
        return
    if isinstance(key, Algorithm):
        raise ValueError("the key comes first: train(key, algorithm), advance(key, algorithm, ...)")
    given = algorithm.__name__ if callable(algorithm) else type(algorithm).__name__
    raise ValueError(f"an algorithm is needed, such as jaxrl.ppo(env, config), not {given}")


def _require_countable(algorithm: Algorithm) -> None:
    """Refuses a budget beyond int32, in which one program counts its steps."""
    most = algorithm.total_steps + (algorithm.steps_per_iteration or 0)
    if most > MAX_STEPS:
        raise ValueError(
            f"total_steps={algorithm.total_steps} cannot be counted in one program, whose most is "
            f"{MAX_STEPS}: jaxrl.runs.start and `jaxrl train` count on the host"
        )


def _require_time_limit(environment: Environment) -> None:
    if environment.max_episode_steps is None:
        raise ValueError(
            f"{environment.name} has no time limit, so an episode might never end: "
            "wrap it, as in time_limit(env, max_steps=1000)"
        )


def _require_progress(progress: Any) -> None:
    if not isinstance(progress, Progress):
        raise ValueError(
            f"progress is a jaxrl.Progress(iteration, steps), not {type(progress).__name__}"
        )


def _require_policy(policy: Any) -> None:
    if not isinstance(policy, Policy):
        hint = ": algorithm.policy(state) gives one" if isinstance(policy, Algorithm) else ""
        raise ValueError(f"a jaxrl Policy is needed, not {type(policy).__name__}{hint}")


def _report_to(
    callback: Callable[[dict[str, np.ndarray]], Any] | None, interval: int
) -> Callable[[Any, Any, Metrics], None] | None:
    """Makes what reports a row to the host: (iteration, whether the run goes on, row)."""
    require_whole("callback_interval", interval, minimum=1)
    if callback is None:
        if interval != 1:
            raise ValueError(f"callback_interval={interval} needs a callback: it would do nothing")
        return None
    if not callable(callback):
        raise ValueError(f"callback={callback!r} must be a function of a row of metrics")

    def receive(due: Any, row: dict[str, Any]) -> None:
        # Under vmap a batched condition does not keep the call from happening.
        if due:
            callback({name: np.asarray(value) for name, value in row.items()})

    def report(iteration: Any, goes_on: Any, row: Metrics) -> None:
        due = goes_on & ((iteration + 1) % interval == 0)
        jax.lax.cond(due, lambda: jax.debug.callback(receive, due, row), lambda: None)

    return report


def _traced_once(algorithm: Algorithm) -> Any:
    """The step, traced once for its rows' types and for the loop; `inline` compiles nothing."""
    return jax.jit(algorithm.step, inline=True)


def _unused_rows(step: Any, key: Key, state: State, num_rows: int) -> Metrics:
    """Rows [num_rows] of nan, or of -1 for counts."""

    def unused(x: Any) -> Array:
        filler = missing_value() if jnp.issubdtype(x.dtype, jnp.floating) else -1
        return jnp.full(num_rows, filler, x.dtype)

    return jax.tree.map(unused, jax.eval_shape(step, key, state)[1])


def _iterate(
    key: Key,
    algorithm: Algorithm,
    step: Any,
    run: tuple[State, Progress, Metrics],
    *,
    first_iteration: Any,
    until_steps: Any,
    report: Callable[[Any, Any, Metrics], None] | None = None,
) -> tuple[State, Progress, Metrics]:
    """Takes iterations as long as there are rows, of which the first is `first_iteration`'s."""
    until_steps = jnp.asarray(until_steps, jnp.int32)
    if algorithm.steps_per_iteration is None and _num_rows(run) > _ROWS_OF_A_BLOCK:
        return _iterate_in_blocks(
            key,
            algorithm,
            step,
            run,
            first_iteration=first_iteration,
            until_steps=until_steps,
            report=report,
        )

    unfinished = _unfinished(algorithm, first_iteration=first_iteration, until_steps=until_steps)

    def iterate(run: Any) -> Any:
        state, progress, metrics = run
        state, row = step(jax.random.fold_in(key, progress.iteration), state)
        if report is not None:
            report(progress.iteration, unfinished(run), row)
        index = progress.iteration - first_iteration
        metrics = jax.tree.map(
            lambda rows, value: jax.lax.dynamic_update_index_in_dim(rows, value, index, 0),
            metrics,
            row,
        )
        steps = row["steps"]
        if algorithm.steps_per_iteration is not None:
            # Counted from the iteration, which vmap leaves unbatched: a batched condition would
            # make the loop pay for a select over the whole state.
            steps = progress.steps + algorithm.steps_per_iteration
        progress = Progress(iteration=progress.iteration + 1, steps=jnp.asarray(steps, jnp.int32))
        return state, progress, metrics

    return jax.lax.while_loop(unfinished, iterate, run)


def _iterate_in_blocks(
    key: Key,
    algorithm: Algorithm,
    step: Any,
    run: tuple[State, Progress, Metrics],
    *,
    first_iteration: Any,
    until_steps: Any,
    report: Callable[[Any, Any, Metrics], None] | None,
) -> tuple[State, Progress, Metrics]:
    """As `_iterate`, where the cost of an iteration varies.

    Under vmap the loop's condition is batched, and every turn pays for a select over all that it
    carries. So the inner loop carries few rows, which the outer one puts in their place.
    """
    num_rows = _num_rows(run)
    places = jnp.arange(_ROWS_OF_A_BLOCK)

    unfinished = _unfinished(algorithm, first_iteration=first_iteration, until_steps=until_steps)

    def block(run: Any) -> Any:
        state, progress, metrics = run
        index = progress.iteration - first_iteration
        limit = first_iteration + num_rows
        rows = _unused_rows(step, key, state, _ROWS_OF_A_BLOCK)
        few = algorithm._replace(max_iterations=jnp.minimum(limit, algorithm.max_iterations))
        state, progress, rows = _iterate(
            key,
            few,
            step,
            (state, progress, rows),
            first_iteration=progress.iteration,
            until_steps=until_steps,
            report=report,
        )
        # Rows of a last block that is not full lie beyond the end, or are those of later turns.
        metrics = jax.tree.map(
            lambda all_rows, some: all_rows.at[index + places].set(some, mode="drop"), metrics, rows
        )
        return state, progress, metrics

    return jax.lax.while_loop(unfinished, block, run)


class _Sums(NamedTuple):
    """Rows of metrics in the making, each over several iterations.

    Attributes:
        counts: int32 [rows], by `steps` (the last) and `episodes` (their sum); -1 before there is
            one.
        sums: float32 [rows], of the other metrics, by name.
        weights: float32 [rows], of what is in the sums.
    """

    counts: dict[str, Array]
    sums: dict[str, Array]
    weights: dict[str, Array]


def _no_sums(step: Any, key: Key, state: State, num_rows: int) -> _Sums:
    names = jax.eval_shape(step, key, state)[1].keys()
    counts = {name: jnp.full(num_rows, -1, jnp.int32) for name in names if name in _COUNTS}
    zeros = {name: jnp.zeros(num_rows, jnp.float32) for name in names if name not in _COUNTS}
    return _Sums(counts=counts, sums=zeros, weights=zeros)


def _metrics_of(rows: Any) -> Metrics:
    """The metrics of rows that may be sums: their means, missing where nothing was reported."""
    if not isinstance(rows, _Sums):
        return rows
    missing = missing_value()
    means = {
        name: jnp.where(weight > 0, rows.sums[name] / jnp.where(weight > 0, weight, 1.0), missing)
        for name, weight in rows.weights.items()
    }
    return rows.counts | means


def _iterate_and_sum(
    key: Key,
    algorithm: Algorithm,
    step: Any,
    run: tuple[State, Progress, _Sums],
    *,
    iterations_per_row: int,
    until_steps: Any,
    report: Callable[[Any, Any, Metrics], None] | None,
) -> tuple[State, Progress, _Sums]:
    """As `_iterate`, with room for a few iterations at a time, which are added to their row."""
    until_steps = jnp.asarray(until_steps, jnp.int32)
    places = jnp.arange(_ROWS_OF_A_BLOCK)

    def unfinished(run: Any) -> Any:
        _, progress, _ = run
        return (progress.steps < until_steps) & (progress.iteration < algorithm.max_iterations)

    def block(run: Any) -> Any:
        state, progress, sums = run
        first = progress.iteration
        rows = _unused_rows(step, key, state, _ROWS_OF_A_BLOCK)
        state, progress, rows = _iterate(
            key,
            algorithm,
            step,
            (state, progress, rows),
            first_iteration=first,
            until_steps=until_steps,
            report=report,
        )
        used = places < progress.iteration - first
        return state, progress, _added(sums, rows, used, (first + places) // iterations_per_row)

    return jax.lax.while_loop(unfinished, block, run)


def _added(sums: _Sums, rows: Metrics, used: Array, row: Array) -> _Sums:
    """Adds the rows of some iterations to the sums of the row that each is in."""
    counts = dict(sums.counts)
    if "steps" in counts:
        counts["steps"] = counts["steps"].at[row].max(jnp.where(used, rows["steps"], -1))
    if "episodes" in counts:
        # From the first on, there is a number.
        present = counts["episodes"].at[row].max(jnp.where(used, 0, -1), mode="drop")
        counts["episodes"] = present.at[row].add(jnp.where(used, rows["episodes"], 0), mode="drop")
    totals, weights = dict(sums.sums), dict(sums.weights)
    for name in totals:
        values, weight = rows[name].astype(jnp.float32), used.astype(jnp.float32)
        if name.startswith("episode_") and "episodes" in rows:
            weight = jnp.where(used, rows["episodes"], 0).astype(jnp.float32)
        weight = jnp.where(is_missing(values), 0.0, weight)
        product = jnp.where(weight > 0, values * weight, 0.0)
        totals[name] = totals[name].at[row].add(product, mode="drop")
        weights[name] = weights[name].at[row].add(weight, mode="drop")
    return _Sums(counts=counts, sums=totals, weights=weights)


def _unfinished(
    algorithm: Algorithm, *, first_iteration: Any, until_steps: Any
) -> Callable[[tuple[State, Progress, Metrics]], Any]:
    """Whether a run has a row left, steps to take and iterations to take them in."""

    def unfinished(run: tuple[State, Progress, Metrics]) -> Any:
        _, progress, _ = run
        has_row = progress.iteration - first_iteration < _num_rows(run)
        wanted = has_row & (progress.steps < until_steps)
        return wanted & (progress.iteration < algorithm.max_iterations)

    return unfinished


def _num_rows(run: tuple[State, Progress, Metrics]) -> int:
    return jax.tree.leaves(run[2])[0].shape[0]
