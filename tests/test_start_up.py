"""`import jaxrl` brings in nothing slow that only some users need."""

import json
import subprocess
import sys

import pytest

SLOW_TO_IMPORT = [
    "gymnax",
    "gymnasium",
    "matplotlib",
    "orbax",
    "rich",
    "scipy.stats",
    "seaborn",
    "tensorboardX",
    "tyro",
]


@pytest.fixture(scope="module")
def modules() -> dict[str, list[str]]:
    """What is loaded after jax, flax and optax, and what after jaxrl too, in a fresh process."""
    program = (
        "import json, sys\n"
        "import jax, flax.linen, optax\n"
        "before = sorted(sys.modules)\n"
        "import jaxrl\n"
        "print(json.dumps({'before': before, 'after': sorted(sys.modules)}))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout)


@pytest.mark.parametrize("module", SLOW_TO_IMPORT)
def test_import_stays_light(modules: dict[str, list[str]], module: str) -> None:
    # flax itself imports some of these; only what jaxrl adds counts.
    assert module not in set(modules["after"]) - set(modules["before"])


def test_the_package_was_imported(modules: dict[str, list[str]]) -> None:
    assert "jaxrl" in modules["after"]


def test_a_system_without_posix_modules_trains_but_keeps_no_folders(tmp_path) -> None:
    """As on Windows: only run folders and joined processes need them."""
    program = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('fcntl', 'resource', 'termios', 'pwd', 'grp'))\n"
        "import jaxrl, jaxrl.sweeps, jaxrl.runs, jaxrl.cli\n"
        "s = jaxrl.CEMConfig(total_steps=512)\n"
        "run = jaxrl.runs.Specification(algorithm='cem', environment='CartPole-v1', settings=s)\n"
        "try:\n"
        "    jaxrl.runs.start(run, sys.argv[1])\n"
        "except jaxrl.runs.ExperimentError as error:\n"
        "    print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "run folders need the file locks of Linux or macOS\n"
