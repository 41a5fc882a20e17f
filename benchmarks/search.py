"""Searches over settings: what their winners are worth. PPO on Pendulum, 100,000 steps an agent.

    python benchmarks/search.py                          # all parts, some 20 minutes on two cores
    python benchmarks/search.py --parts adaptive         # TPE beside random only
    python benchmarks/search.py --tiny --out /tmp/x.json

The part `winners` searches learning rate, discount, GAE's lambda, entropy coefficient and epochs
with 64 random trials, once with the whole budget and once with halving. The part `adaptive` repeats
a smaller search with TPE and with random trials, and keeps the best score after each batch. What
counts of each search is its winner's return with seeds that it was not chosen on, the same for all,
beside that of the preset. The result is `benchmarks/results/search.json`; a part that was not run
keeps what it holds.
"""

import argparse
import dataclasses
import json
import pathlib
import tempfile
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from intervals import interval_of
from machine import describe_machine

import jaxrl
from jaxrl import runs, sweeps
from jaxrl.presets import preset_settings

RESULT = pathlib.Path(__file__).resolve().parent / "results" / "search.json"
ENVIRONMENT = "Pendulum-v1"
SPACE: dict[str, Any] = {
    "learning_rate": sweeps.log_uniform(1e-4, 1e-2),
    "discount": sweeps.uniform(0.9, 0.999),
    "gae_lambda": sweeps.uniform(0.8, 1.0),
    "entropy_coefficient": sweeps.uniform(0.0, 0.02),
    "num_epochs": sweeps.choice(4, 10, 20),
}
EPISODES = 50
# No search is seeded with these.
FIRST_FRESH_SEED = 1_000


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is trained.

    Attributes:
        steps: environment steps of an agent.
        trials: of a search of the part `winners`.
        seeds: of a trial there.
        fresh_seeds: of a winner.
        repetitions: searches of each kind of the part `adaptive`.
        adaptive_trials: of each of them, with one seed each.
        batch: trials at a time.
    """

    steps: int = 100_000
    trials: int = 64
    seeds: int = 4
    fresh_seeds: int = 10
    repetitions: int = 10
    adaptive_trials: int = 32
    batch: int = 8


TINY = Sizes(
    steps=3_200, trials=6, seeds=2, fresh_seeds=2, repetitions=2, adaptive_trials=12, batch=4
)


class Search:
    """Sweeps of one size, in a folder of their own."""

    def __init__(self, sizes: Sizes, folder: pathlib.Path) -> None:
        self.sizes = sizes
        self._folder = folder
        self._settings = preset_settings("ppo", ENVIRONMENT, total_steps=sizes.steps)

    def base(self, seeds: range) -> runs.Specification:
        return runs.Specification(
            algorithm="ppo",
            environment=ENVIRONMENT,
            settings=self._settings,
            members=runs.make_members(seeds),
            evaluation_episodes=EPISODES,
            checkpoint_minutes=None,
            keep_checkpoints=1,
        )

    @property
    def preset(self) -> dict[str, Any]:
        """The preset's values of what is searched."""
        return {name: getattr(self._settings, name) for name in SPACE}

    def run(self, sweep: sweeps.Sweep, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of a sweep in the order of its trials, and what it cost."""
        folder = self._folder / name
        outcome = sweeps.start(sweep, folder)
        rows = sweeps.trial_rows(sweeps.read_sweep(folder), folder)
        cost = {
            "steps": sum(row["steps"] for row in rows) * len(sweep.seeds),
            "compile_seconds": outcome.compile_seconds,
            "run_seconds": outcome.run_seconds,
        }
        return rows, cost

    def fresh(self, trials: list[dict[str, Any]], name: str) -> np.ndarray:
        """The returns of trials with fresh seeds, [trials, seeds]."""
        first = FIRST_FRESH_SEED
        seeds = range(first, first + self.sizes.fresh_seeds)
        # A sweep has no trial twice; two searches may have the same winner.
        different = list({json.dumps(trial): trial for trial in trials}.values())
        rows, _ = self.run(sweeps.Sweep(base=self.base(seeds), space=SPACE, trials=different), name)
        returns = {json.dumps(row["values"]): row["returns"] for row in rows}
        return np.array([returns[json.dumps(trial)] for trial in trials], float)


def measure_winners(search: Search) -> dict[str, Any]:
    """Random search with the whole budget and with halving, beside the preset."""
    sizes = search.sizes
    found, winners = {}, [search.preset]
    for name, options in {"random": {}, "halving": {"halving": 3, "rungs": 3}}.items():
        sweep = sweeps.make_sweep(
            search.base(range(sizes.seeds)), SPACE, trials=sizes.trials, **options
        )
        rows, cost = search.run(sweep, name)
        best = sweeps.sorted_rows(rows)[0]
        found[name] = cost | {"winner": best["values"], "score": best["mean"]}
        winners.append(best["values"])
    returns = search.fresh(winners, "winners")
    found["preset"] = {"winner": search.preset}
    for name, own in zip(("preset", "random", "halving"), returns, strict=True):
        found[name]["returns"] = own.tolist()
        found[name]["mean_return"] = interval_of(own)
    # The seeds are the same, and so is their luck.
    for name in ("random", "halving"):
        own = np.array(found[name]["returns"]) - np.array(found["preset"]["returns"])
        found[name]["beside_preset"] = interval_of(own)
    difference = np.array(found["halving"]["returns"]) - np.array(found["random"]["returns"])
    found["halving"]["beside_random"] = interval_of(difference)
    found["halving"]["share_of_steps"] = found["halving"]["steps"] / found["random"]["steps"]
    return found


def measure_adaptive(search: Search) -> dict[str, Any]:
    """TPE beside random trials: the best score after each batch, and what the winners are worth."""
    sizes = search.sizes
    base, count = search.base(range(1)), sizes.adaptive_trials
    tables: dict[str, list[list[dict[str, Any]]]] = {"tpe": [], "random": []}
    costs = {"tpe": {"steps": 0, "compile_seconds": 0.0, "run_seconds": 0.0}}
    drawn = []
    for repetition in range(sizes.repetitions):
        sweep = sweeps.make_sweep(
            base,
            SPACE,
            trials=count,
            sampler="tpe",
            sampler_seed=repetition,
            batch=sizes.batch,
        )
        rows, cost = search.run(sweep, f"tpe-{repetition}")
        tables["tpe"].append(rows)
        costs["tpe"] = {name: costs["tpe"][name] + value for name, value in cost.items()}
        seed = sizes.repetitions + repetition
        drawn += sweeps.make_sweep(base, SPACE, trials=count, sampler_seed=seed).trials
    # Random trials need not wait for one another: all repetitions train side by side.
    rows, costs["random"] = search.run(
        sweeps.Sweep(base=base, space=SPACE, trials=drawn), "random-together"
    )
    tables["random"] = [rows[first : first + count] for first in range(0, len(rows), count)]
    winners = [sweeps.sorted_rows(own)[0]["values"] for name in tables for own in tables[name]]
    returns = search.fresh(winners, "adaptive-winners").mean(axis=1)
    found: dict[str, Any] = {}
    for place, name in enumerate(tables):
        best = np.array([best_so_far(own, sizes.batch) for own in tables[name]])
        own = returns[place * sizes.repetitions :][: sizes.repetitions]
        found[name] = costs[name] | {
            "best_so_far": best.tolist(),
            "mean_best_so_far": [interval_of(column) for column in best.T],
            "winners_returns": own.tolist(),
            "mean_return": interval_of(own),
        }
    scores = [np.array(found[name]["best_so_far"])[:, -1] for name in ("tpe", "random")]
    found["difference_of_last_best"] = unpaired_interval(*scores)
    found["difference_of_returns"] = unpaired_interval(
        *(np.array(found[name]["winners_returns"]) for name in ("tpe", "random"))
    )
    return found


def best_so_far(rows: list[dict[str, Any]], batch: int) -> list[float]:
    """The best score of a search after each of its batches; a trial without one counts as none."""
    scores = [-np.inf if row["mean"] is None else row["mean"] for row in rows]
    best = np.maximum.accumulate(scores)
    ends = [*range(batch - 1, len(rows) - 1, batch), len(rows) - 1]
    return [float(best[end]) for end in ends]


def unpaired_interval(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """The difference of two means with Welch's 95 % interval."""
    from scipy import stats

    found: Any = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    centre = float(ours.mean() - theirs.mean())
    return {"centre": centre, "low": float(found.low), "high": float(found.high)}


PARTS = {"winners": measure_winners, "adaptive": measure_adaptive}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    for field in dataclasses.fields(Sizes):
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=int, help=f"{field.default} if it is not given")
    parser.add_argument("--tiny", action="store_true", help="a dry run in a minute")
    parser.add_argument("--out", type=pathlib.Path, default=RESULT)
    arguments = parser.parse_args()
    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(Sizes)
        if getattr(arguments, field.name) is not None
    }
    sizes = dataclasses.replace(TINY if arguments.tiny else Sizes(), **given)
    runs.enable_compilation_cache()
    content = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    for part in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            found = PARTS[part](Search(sizes, pathlib.Path(folder)))
        content[part] = {
            "sizes": dataclasses.asdict(sizes),
            "environment": ENVIRONMENT,
            "space": {name: str(values) for name, values in SPACE.items()},
            "results": found,
            "device": jax.devices()[0].device_kind,
            "versions": {
                "jaxrl": jaxrl.__version__,
                "jax": jax.__version__,
                "optuna": version("optuna"),
            },
            "machine": describe_machine(),
        }
        arguments.out.write_text(json.dumps(content, indent=1) + "\n")
        print(json.dumps({part: summary_of(found)}), flush=True)


def summary_of(found: dict[str, Any]) -> dict[str, Any]:
    """The intervals and costs, without the single numbers."""
    left_out = ("returns", "winners_returns", "best_so_far", "winner")
    return {
        name: {key: x for key, x in own.items() if key not in left_out}
        for name, own in found.items()
    }


if __name__ == "__main__":
    main()
