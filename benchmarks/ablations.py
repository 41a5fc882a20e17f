"""What single ideas buy, measured over seeds, as data and as pictures.

    python benchmarks/ablations.py                           # all of them
    python benchmarks/ablations.py --only gradient-variance
    python benchmarks/ablations.py --draw                    # the pictures again, from the data

Each study is a file in `benchmarks/studies/` with two functions: `measure(num_seeds)` returns what
goes into `benchmarks/results/ablations-NAME.json`, and `draw(results)` makes the figure of
`docs/ablations/NAME.png` from it. The findings are in `docs/ablations.md`.
"""

import argparse
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import matplotlib
from machine import describe_machine
from studies import asynchrony, bias_and_variance, gradient_variance, policy_cliff

import jaxrl

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PICTURES = ROOT / "docs" / "ablations"


class Study(NamedTuple):
    """One ablation.

    Attributes:
        measure: (num_seeds) -> results that JSON can hold.
        draw: (results) -> a matplotlib figure.
        num_seeds: independent runs behind every interval.
    """

    measure: Callable[[int], dict[str, Any]]
    draw: Callable[[dict[str, Any]], Any]
    num_seeds: int = 20


STUDIES = {
    "gradient-variance": Study(gradient_variance.measure, gradient_variance.draw),
    "policy-cliff": Study(policy_cliff.measure, policy_cliff.draw),
    "bias-and-variance": Study(bias_and_variance.measure, bias_and_variance.draw),
    "asynchrony": Study(asynchrony.measure, asynchrony.draw),
}


def results_file(name: str) -> pathlib.Path:
    return RESULTS / f"ablations-{name}.json"


def run(name: str, num_seeds: int) -> None:
    """Measures one study and writes its file."""
    start = time.perf_counter()
    results = STUDIES[name].measure(num_seeds)
    seconds = time.perf_counter() - start
    facts = {
        "study": name,
        "num_seeds": num_seeds,
        "seconds": seconds,
        "device": jax.devices()[0].device_kind,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    results_file(name).write_text(json.dumps(facts | {"results": results}, indent=1) + "\n")
    print(f"{name}: {num_seeds} seeds in {seconds:.0f} s", flush=True)


def draw(name: str) -> None:
    """Draws one study from its file."""
    figure = STUDIES[name].draw(json.loads(results_file(name).read_text())["results"])
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / f"{name}.png", dpi=120, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(STUDIES), choices=list(STUDIES))
    parser.add_argument("--seeds", type=int, help="instead of each study's own number; at least 2")
    parser.add_argument("--draw", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    if arguments.seeds is not None and arguments.seeds < 2:
        parser.error(f"--seeds {arguments.seeds} must be at least 2, for an interval")
    matplotlib.use("agg")
    for name in arguments.only:
        if not arguments.draw:
            run(name, arguments.seeds or STUDIES[name].num_seeds)
        draw(name)


if __name__ == "__main__":
    main()
