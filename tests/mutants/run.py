"""Runs the tests on every mutant of the table: `make mutants`, or by name, `... run NAME NAME`.

The tree is copied, so that nothing here is touched. First the named tests must pass as things are;
then each mutant, two at a time, must make one of its tests fail.
"""

import argparse
import multiprocessing
import os
import pathlib
import queue
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from mutants.table import MUTANTS, Mutant, stale

ROOT = pathlib.Path(__file__).parent.parent.parent
COPIED = ("jaxrl", "tests", "pyproject.toml", "README.md", "Makefile")
TIMEOUT = 900
AT_A_TIME = 2
# Imported once, before the tests of each mutant start in a process forked from there. None of them
# may start a client of JAX (as gymnax does), whose threads would be missing after the fork.
PRELOADED = ("pytest", "hypothesis", "scipy.stats", "jax", "flax.linen", "optax", "rlax")
# Of a process whose tests ran; one that dies before has another code.
PASSED, FAILED = 100, 101


class Outcome(NamedTuple):
    """What became of one run of tests.

    Attributes:
        verdict: "killed", "SURVIVED" or what else went wrong.
        seconds: it took.
        output: of pytest.
    """

    verdict: str
    seconds: float
    output: str


def run_tests(tree: pathlib.Path, tests: tuple[str, ...], log: pathlib.Path) -> None:
    """The body of a process: runs some tests of a tree, and exits with 100 + pytest's code."""
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    # What does not change from mutant to mutant is compiled once for each tree.
    sys.dont_write_bytecode = False
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        import pytest

        # Assertions are not rewritten: some of what would be is imported already.
        options = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-m", "not learning"]
        code = pytest.main([*options, *tests])
        sys.stdout.flush()
    os._exit(100 + code)


def outcome_of(
    tree: pathlib.Path, tests: tuple[str, ...], log: pathlib.Path
) -> tuple[int | None, float]:
    """The exit code of `run_tests`, None where it took too long, and the seconds."""
    started = time.monotonic()
    process = multiprocessing.get_context("forkserver").Process(
        target=run_tests, args=(tree, tests, log)
    )
    process.start()
    process.join(TIMEOUT)
    if process.is_alive():
        process.kill()
        process.join()
        return None, time.monotonic() - started
    return process.exitcode, time.monotonic() - started


def judge(mutant: Mutant, trees: queue.Queue[pathlib.Path], log: pathlib.Path) -> Outcome:
    """Makes the mutant in one of the trees, runs its tests, and puts things right again."""
    tree = trees.get()
    path = tree / mutant.path
    text = path.read_text()
    path.write_text(text.replace(mutant.original, mutant.replacement))
    try:
        code, seconds = outcome_of(tree, mutant.tests, log)
    finally:
        path.write_text(text)
        trees.put(tree)
    verdicts = {PASSED: "SURVIVED", FAILED: "killed", None: "killed (took too long)"}
    verdict = verdicts.get(code, f"BROKEN: the tests did not run, code {code}")
    return Outcome(verdict, seconds, log.read_text())


def copy_tree(target: pathlib.Path) -> pathlib.Path:
    """What tests need of the project, in a folder of its own."""
    target.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        else:
            shutil.copy2(source, target / name)
    return target


def unmutated_tests_pass(trees: list[pathlib.Path], chosen: list[Mutant]) -> bool:
    """Runs the tests that the chosen mutants name on the library as it is."""
    by_file: dict[str, set[str]] = {}
    for mutant in chosen:
        for test in mutant.tests:
            by_file.setdefault(test.partition("::")[0], set()).add(test)
    print(f"{sum(map(len, by_file.values()))} tests of the library as it is", flush=True)

    def check(number: int) -> bool:
        files = sorted(by_file)[number :: len(trees)]
        tests = tuple(test for file in files for test in sorted(by_file[file]))
        log = trees[number] / "unmutated.log"
        code = outcome_of(trees[number], tests, log)[0] if tests else PASSED
        if code != PASSED:
            print(log.read_text(), f"tests fail as things are, code {code}", sep="\n")
        return code == PASSED

    with ThreadPoolExecutor(len(trees)) as pool:
        return all(list(pool.map(check, range(len(trees)))))


def run(chosen: list[Mutant], *, verbose: bool, skip_unmutated: bool) -> int:
    """Judges the mutants; 0 where all were killed."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        trees = [copy_tree(scratch / f"tree-{number}") for number in range(AT_A_TIME)]
        if not skip_unmutated and not unmutated_tests_pass(trees, chosen):
            return 1
        free: queue.Queue[pathlib.Path] = queue.Queue()
        for tree in trees:
            free.put(tree)
        width = max(len(mutant.name) for mutant in chosen)
        alive = []
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            outcomes = pool.map(lambda m: judge(m, free, scratch / f"{m.name}.log"), chosen)
            for mutant, outcome in zip(chosen, outcomes, strict=True):
                print(f"{mutant.name:{width}}  {outcome.seconds:5.0f} s  {outcome.verdict}")
                if verbose:
                    print(outcome.output)
                sys.stdout.flush()
                if not outcome.verdict.startswith("killed"):
                    alive.append(mutant.name)
    print(f"{len(chosen) - len(alive)} of {len(chosen)} mutants were killed")
    if alive:
        print("not killed:", ", ".join(alive))
    return 1 if alive else 0


def main() -> int:
    names = [mutant.name for mutant in MUTANTS]
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to run; none: all")
    parser.add_argument("--list", action="store_true", help="list the mutants and their tests")
    parser.add_argument("--verbose", action="store_true", help="print what pytest says")
    parser.add_argument(
        "--skip-unmutated", action="store_true", help="trust that the tests pass as things are"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"there is no mutant {', '.join(sorted(unknown))}: see --list")
    chosen = [m for m in MUTANTS if not options.names or m.name in options.names]
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name}: {mutant.path}; {', '.join(mutant.tests)}")
        return 0
    problems = stale(ROOT, chosen)
    if problems:
        print(*problems, sep="\n")
        return 1
    # As tests/conftest.py, which comes too late where JAX is imported before it.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("MPLBACKEND", "agg")
    # JAX warns of every fork; here none of its threads has started by then.
    os.environ["PYTHONWARNINGS"] = "ignore:os.fork() was called:RuntimeWarning"
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOADED))
    return run(chosen, verbose=options.verbose, skip_unmutated=options.skip_unmutated)


if __name__ == "__main__":
    sys.exit(main())
