"""Scores over tasks and seeds: aggregates, performance profiles, probability of improvement.

Scores are an array [seeds, tasks], or a mapping from each task to the scores of its seeds, of which
one task may have more than another. Tasks are fixed; seeds are drawn.

Source: Agarwal et al., 2021, "Deep RL at the edge of the statistical precipice".
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxrl.reports.intervals import NUM_RESAMPLES, Interval, bootstrap_interval, mean_interval

Scores = np.ndarray | Mapping[Any, Any]


class Aggregates(NamedTuple):
    """Scores over tasks and seeds as single numbers, each with its 95 % interval.

    Attributes:
        iqm: the interquartile mean: that of the middle half of all runs, of every task and seed.
        median: over tasks, of the means over seeds.
        mean: over tasks, of the means over seeds.
        optimality_gap: how far runs stay below the target; what lies above it does not count.
    """

    iqm: Interval
    median: Interval
    mean: Interval
    optimality_gap: Interval


def aggregate_scores(
    scores: Scores, *, target: float = 1.0, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> Aggregates:
    """Interquartile mean, median, mean and optimality gap of scores, with 95 % intervals.

        IQM             the mean of all runs without the lowest and the highest floor(N / 4) of N
        median, mean    over tasks, of mean_t = the mean over the seeds of task t
        optimality gap  target - mean over tasks and seeds of min(score, target)

    The mean has Student's t interval for fixed tasks (Welch and Satterthwaite's degrees of
    freedom), the others the percentile bootstrap's, which draws seeds within each task. Where tasks
    have different numbers of seeds, every task weighs the same: a run of a task with n_t seeds
    counts 1 / n_t, in the IQM too, which drops the same share of the weight at either end.

    Args:
        scores: [seeds, tasks], or by task; of a task with one seed the ends are nan.
        target: from where on a score is as good as can be (gamma).
        num_resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: no scores, scores that are not finite or of a wrong shape, or a target that is
            not finite.

    Source: Agarwal et al., 2021, section 4.3.

    Example:
        >>> import numpy as np
        >>> from jaxrl.reports import aggregate_scores
        >>> aggregates = aggregate_scores(np.array([[0.0, 0.5], [0.2, 0.9], [0.1, 0.4]]))
        >>> print(f"{aggregates.mean.centre:.2f}, {aggregates.optimality_gap.centre:.2f}")
        0.35, 0.65
    """
    samples = list(_by_task("scores", scores).values())
    if not np.isfinite(target):
        raise ValueError(f"target={target} must be finite")

    def statistics(drawn: Sequence[Any]) -> Any:
        means = np.stack([np.mean(task, axis=-1) for task in drawn], axis=-1)
        reached = [np.mean(np.minimum(task, target), axis=-1) for task in drawn]
        return np.stack(
            [
                _interquartile_mean(drawn),
                np.median(means, axis=-1),
                target - np.mean(reached, axis=0),
            ]
        )

    found = bootstrap_interval(samples, statistics, num_resamples=num_resamples, seed=seed)
    iqm, median, gap = (Interval(*ends) for ends in zip(*found, strict=True))
    return Aggregates(iqm, median, mean_interval(samples), gap)


def performance_profile(
    scores: Scores,
    thresholds: Sequence[float] | np.ndarray,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The share of runs whose score is above each threshold, with pointwise 95 % intervals.

        F(tau) = mean over tasks of the mean over seeds of [score > tau]

    Args:
        scores: [seeds, tasks], or by task; of a task with one seed the ends are nan.
        thresholds: tau, [thresholds], in any order.
        num_resamples: of the bootstrap, which draws seeds within each task.
        seed: of the bootstrap.

    Returns:
        The share and both ends, each [thresholds].

    Raises:
        ValueError: no scores, scores that are not finite or of a wrong shape, or thresholds that
            are no row of numbers.

    Source: Agarwal et al., 2021, section 4.2, run-score distributions.

    Example:
        >>> import numpy as np
        >>> from jaxrl.reports import performance_profile
        >>> scores = np.array([[0.1, 0.6], [0.3, 0.9]])
        >>> performance_profile(scores, np.array([0.0, 0.2, 0.8])).centre.tolist()
        [1.0, 0.75, 0.25]
    """
    samples = list(_by_task("scores", scores).values())
    thresholds = np.asarray(thresholds, dtype=float)
    if thresholds.ndim != 1 or not thresholds.size or np.isnan(thresholds).any():
        raise ValueError(f"thresholds={thresholds} must be a row of at least one number")
    order = np.argsort(thresholds)
    # How many thresholds a run is above: all of them that lie below its score.
    passed = [np.searchsorted(thresholds[order], task) for task in samples]

    def shares(drawn: Sequence[Any]) -> Any:
        found = np.mean([_shares_above(task, thresholds.size) for task in drawn], axis=0)
        return np.moveaxis(found[..., np.argsort(order)], -1, 0)

    return bootstrap_interval(passed, shares, num_resamples=num_resamples, seed=seed)


def _shares_above(passed: Any, num_thresholds: int) -> Any:
    """From how many thresholds each run passed, [..., seeds], to shares, [..., thresholds]."""
    *leading, num_seeds = passed.shape
    rows = passed.reshape(-1, num_seeds)
    cells = rows + np.arange(len(rows))[:, None] * (num_thresholds + 1)
    counts = np.bincount(cells.ravel(), minlength=len(rows) * (num_thresholds + 1))
    counts = counts.reshape(*leading, num_thresholds + 1)
    # A run is above threshold k if it passed more than k of them.
    return counts[..., :0:-1].cumsum(axis=-1)[..., ::-1] / num_seeds


def probability_of_improvement(
    scores: Scores, others: Scores, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> Interval:
    """The probability that a run of the first scores better than one of the second.

        mean over tasks of U_t / (n_t m_t),   U_t = sum_ij [x_i > y_j] + [x_i = y_j] / 2

    where U is Mann and Whitney's statistic of the n runs x and the m runs y of a task.

    Args:
        scores: x, [seeds, tasks] or by task.
        others: y, of the same tasks; the numbers of seeds may differ.
        num_resamples: of the bootstrap, which draws seeds within each task, of both sides.
        seed: of the bootstrap.

    Returns:
        The probability with its 95 % interval; of a task with one seed the ends are nan.

    Raises:
        ValueError: no scores, scores that are not finite or of a wrong shape, or tasks that only
            one of the two has.

    Source: Agarwal et al., 2021, section 4.3.

    Example:
        >>> import numpy as np
        >>> from jaxrl.reports import probability_of_improvement
        >>> ours, theirs = {"a": [1.0, 2.0]}, {"a": [0.0, 2.0, 3.0]}
        >>> float(probability_of_improvement(ours, theirs).centre) * 6
        2.5
    """
    ours, theirs = _by_task("scores", scores), _by_task("others", others)
    if ours.keys() != theirs.keys():
        only = sorted(str(task) for task in ours.keys() ^ theirs.keys())
        raise ValueError(f"scores and others must have the same tasks: only one has {only[0]}")
    samples = [*ours.values(), *(theirs[task] for task in ours)]

    def probability(drawn: Sequence[Any]) -> Any:
        pairs = zip(drawn[: len(ours)], drawn[len(ours) :], strict=True)
        return np.mean([_share_won(x, y) for x, y in pairs], axis=0)

    return bootstrap_interval(samples, probability, num_resamples=num_resamples, seed=seed)


def _share_won(x: Any, y: Any) -> Any:
    """U / (n m), by ranks: their sum over x is U + n (n + 1) / 2, with ties at their mean rank."""
    from scipy import stats

    n, m = x.shape[-1], y.shape[-1]
    ranks = stats.rankdata(np.concatenate([x, y], axis=-1), axis=-1)
    return (np.sum(ranks[..., :n], axis=-1) - n * (n + 1) / 2) / (n * m)


def _interquartile_mean(drawn: Sequence[Any]) -> Any:
    """The trimmed mean of all runs, in which every task weighs the same; [...]."""
    from scipy import stats

    runs = np.concatenate(list(drawn), axis=-1)
    counts = [task.shape[-1] for task in drawn]
    if len(set(counts)) == 1:
        return stats.trim_mean(runs, 0.25, axis=-1)
    weights = np.repeat(1 / np.array(counts), counts) / len(counts)
    order = np.argsort(runs, axis=-1)
    ends = np.cumsum(weights[order], axis=-1)
    # As `trim_mean` drops whole runs, so does this where all weigh the same.
    dropped = runs.shape[-1] // 4 / runs.shape[-1]
    kept = np.diff(np.clip(ends, dropped, 1 - dropped), prepend=dropped, axis=-1)
    return np.sum(np.take_along_axis(runs, order, axis=-1) * kept, axis=-1) / (1 - 2 * dropped)


def _by_task(name: str, scores: Scores) -> dict[Any, Float[np.ndarray, " seeds"]]:
    """The scores of each task's seeds; a task of an array is its column."""
    if isinstance(scores, Mapping):
        tasks = {task: np.asarray(values, dtype=float) for task, values in scores.items()}
        shape = "numbers for each task"
    else:
        table = np.asarray(scores, dtype=float)
        if table.ndim != 2:
            raise ValueError(f"{name} has shape {table.shape}: it must be [seeds, tasks]")
        tasks = dict(enumerate(table.T))
        shape = "[seeds, tasks]"
    if not tasks or any(values.ndim != 1 or values.size == 0 for values in tasks.values()):
        raise ValueError(f"{name} must be {shape}, with at least one seed and one task")
    for task, values in tasks.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: those of task {task} are not all finite: {values.tolist()}")
    return tasks
