"""How much of the return's variance each setting explains: functional ANOVA, by Optuna."""

import importlib.util
from collections.abc import Sequence
from typing import Any

from jaxrl.sweeps.specification import Sweep

# A forest on fewer trials says nothing.
FEWEST_TRIALS = 8


def why_no_importance(rows: Sequence[dict[str, Any]]) -> str | None:
    """Returns why the importance of settings cannot be told, in words; None: it can.

    Args:
        rows: of the table of trials.
    """
    needed = {"optuna": "optuna", "scikit-learn": "sklearn"}
    missing = [name for name, module in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        return f'it needs {" and ".join(missing)}: pip install "jaxrl[sweeps]"'
    means = [row["mean"] for row in _complete(rows)]
    if len(means) < FEWEST_TRIALS:
        return f"it needs {FEWEST_TRIALS} complete trials, and there are {len(means)}"
    if len(set(means)) == 1:
        return "all trials have the same return"
    return None


def importance_of_settings(sweep: Sweep, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Returns the share of the return's variance that each setting explains on its own.

    A random forest is fitted to the mean returns of the complete trials, and its variance over the
    whole space is split: functional ANOVA (Hutter, Hoos and Leyton-Brown 2014), as Optuna's
    `FanovaImportanceEvaluator` computes it. What settings do only together is in no share, so that
    they sum to at most 1.

    Args:
        sweep: the search.
        rows: of its table of trials.

    Returns:
        The shares by the names of the space, the largest first.

    Raises:
        ValueError: Optuna or scikit-learn is not installed, or the trials are too few or equal.
    """
    reason = why_no_importance(rows)
    if reason is not None:
        raise ValueError(f"no importance of settings: {reason}")
    import optuna

    from jaxrl.sweeps.optuna_distributions import distribution_of, parameter_of

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="maximize")
        distributions = {name: distribution_of(values) for name, values in sweep.space.items()}
        for row in sorted(_complete(rows), key=lambda row: row["trial"]):
            given = row["values"]
            params = {name: parameter_of(x, given[name]) for name, x in sweep.space.items()}
            study.add_trial(
                optuna.trial.create_trial(
                    params=params, distributions=distributions, value=row["mean"]
                )
            )
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = evaluator.evaluate(study, params=list(sweep.space))
    finally:
        optuna.logging.set_verbosity(verbosity)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _complete(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trials that were trained to the end: scores of an earlier rung are of another budget."""
    return [row for row in rows if row["status"] == "complete" and row["mean"] is not None]
