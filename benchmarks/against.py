"""Speed of the working tree beside that of another commit, in pairs.

    python benchmarks/against.py HEAD~1
    python benchmarks/against.py v0.1.0 --suite ppo sac dqn --pairs 9

Each side has its own process; for each pair both train once right after one another, the order
alternating, so that whatever slows the machine slows both. A ratio above 1 means that the working
tree is faster. Nothing is written.
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import tempfile
from collections.abc import Iterator

from suites import SUITES
from throughput import COMPILATIONS, Configuration
from worker_process import Worker

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIGURATIONS = {"ppo": ("4x128x1", "64x128x1", "1024x32x1"), "a2c": ("16x5x1",)}


@contextlib.contextmanager
def checked_out(revision: str) -> Iterator[pathlib.Path]:
    """A folder with the files of a commit, for as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", revision, "jaxrl"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield pathlib.Path(folder)


def compare(name: str, size: str, other: pathlib.Path, pairs: int) -> float:
    """Times one configuration of a suite on both sides, and prints a line; the median ratio."""
    configuration = Configuration.parse(size)
    sources = {"tree": ROOT, "commit": other}
    with contextlib.ExitStack() as stack:
        workers = {
            side: stack.enter_context(Worker("ours", paths=[source]))
            for side, source in sources.items()
        }
        settings = configuration.settings(SUITES[name], "ours")
        for worker in workers.values():
            worker.ask("prepare", settings=settings)
        builds: dict[str, list[float]] = {side: [] for side in workers}
        for _ in range(COMPILATIONS):
            for side, worker in workers.items():
                builds[side].append(sum(worker.ask("compile").values()))
        for worker in workers.values():
            worker.ask("run")
        ratios = []
        for pair in range(pairs):
            order = ("tree", "commit") if pair % 2 == 0 else ("commit", "tree")
            seconds = {side: workers[side].ask("run")["seconds"] for side in order}
            ratios.append(seconds["commit"] / seconds["tree"])
    build = {side: statistics.median(times) for side, times in builds.items()}
    ratio = statistics.median(ratios)
    print(
        f"{name:>8} {size:>10}  ratio {ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        f"  trace + compile {build['tree']:.2f} s, the commit's {build['commit']:.2f} s",
        flush=True,
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="a commit, as git names it")
    parser.add_argument(
        "--suite", nargs="+", default=["ppo", "sac", "dqn", "cem"], choices=list(SUITES)
    )
    parser.add_argument("--pairs", type=int, default=9)
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error(f"--pairs {arguments.pairs} must be at least 1")
    known = ["git", "rev-parse", "--verify", "--quiet", f"{arguments.revision}^{{commit}}"]
    if subprocess.run(known, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
        parser.error(f"{arguments.revision} is no commit of this repository")
    with checked_out(arguments.revision) as folder:
        for name in arguments.suite:
            for size in CONFIGURATIONS.get(name, SUITES[name].configurations):
                compare(name, size, folder, arguments.pairs)


if __name__ == "__main__":
    main()
