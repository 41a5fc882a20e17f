"""What every test runs under: one thread for each worker, and every shape annotation checked."""

import os
import pathlib
import signal
from collections.abc import Iterator

# Two test workers on two cores: each worker's compiled programs stay on one thread, or the pools
# fight. Most tests compile for longer than they compute, so that the compiler's last optimisations
# cost more than they bring, and the emitters of fused loops most of all: without them PPO's program
# compiles in a third of the time. Read when JAX starts its CPU client, so set before its import.
for _flag in (
    "--xla_cpu_multi_thread_eigen=false",
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
):
    if _flag.partition("=")[0] not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_flag}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")

# A shell that starts the tests behind itself has them ignore Ctrl-C, which some of them press.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import jax  # noqa: E402
import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

# Tests compile the same small programs again and again, in either worker and in each tier. What a
# worker reads while the other writes is compiled (the warning is ignored in pyproject.toml). The
# command line leaves a cache that is configured as it is.
PROGRAMS = pathlib.Path(__file__).parent.parent / ".pytest_cache" / "programs"
jax.config.update("jax_compilation_cache_dir", str(PROGRAMS))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)

# The command line has no arrays, but a function inside a function for each of its many flags, and
# checks are put around such a function anew each time that it is made.
LIBRARY = pathlib.Path(__file__).parent.parent / "jaxrl"
CHECKED = [f"jaxrl.{path.stem}" for path in sorted(LIBRARY.iterdir()) if path.stem != "cli"]
install_import_hook(CHECKED, "shape_checking.check")

OPERATIONS = pathlib.Path(__file__).parent / "ops"


@pytest.fixture(autouse=True, scope="module")
def no_hoard() -> Iterator[None]:
    """Compiled programs are of little use to the next file, and gigabytes in all."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def no_silent_broadcasting(request: pytest.FixtureRequest) -> Iterator[None]:
    """In `ops/`, arrays of different rank meet only where the code says so.

    Elsewhere the code of other libraries runs too, some of which relies on it.
    """
    if OPERATIONS not in request.path.parents:
        yield
        return
    with jax.numpy_rank_promotion("raise"):
        yield
