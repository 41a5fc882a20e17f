"""What every test runs under: one thread for each worker, and every shape annotation checked."""

import os
import pathlib
from collections.abc import Iterator

# Two test workers on two cores: each worker's compiled programs stay on one thread, or the pools
# fight. Read when JAX starts its CPU client, so it is set before anything can import JAX.
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
if _ONE_THREAD not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_ONE_THREAD}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")

import jax  # noqa: E402
import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("jaxrl", "shape_checking.check")

OPERATIONS = pathlib.Path(__file__).parent / "ops"


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
