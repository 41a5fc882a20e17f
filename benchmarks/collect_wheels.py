"""Gathers the wheels that `accelerator.py` needs on a bare machine without a network.

    python benchmarks/collect_wheels.py wheels
    python benchmarks/collect_wheels.py wheels --python 3.12 --present flax optax matplotlib

That machine has a jax of its own, and what jax needs. There, in a checkout:

    python -m pip install --no-index --no-deps --target site wheels/jaxrl/*.whl
    python -m pip install --no-index --no-deps --target rejax wheels/rejax/*.whl
    PYTHONPATH=site python benchmarks/accelerator.py --rejax rejax

The versions are those of `constraints.txt`, and of `requirements/rejax.txt` for rejax, which needs
an older gymnax and so a folder of its own.
"""

import argparse
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
# What comes with jax.
PRESENT = ("jax", "jaxlib", "ml-dtypes", "numpy", "opt-einsum", "scipy")
# Flax asks for them, and imports them only where it writes checkpoints itself.
NEVER_IMPORTED = ("orbax-checkpoint", "tensorstore")
PLATFORMS = (
    *(f"manylinux_2_{number}_x86_64" for number in (17, 24, 26, 27, 28, 31, 34)),
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
)
MOST_MEBIBYTES = 60


def needed_by(package: str, present: Iterable[str]) -> set[str]:
    """An installed package's requirements, and theirs, without what is present already."""
    known = {canonicalize_name(name) for name in present}
    found: set[str] = set()
    waiting = [Requirement(package)]
    while waiting:
        requirement = waiting.pop()
        for text in importlib.metadata.requires(requirement.name) or []:
            inner = Requirement(text)
            name = canonicalize_name(inner.name)
            extras = {"", *requirement.extras}
            wanted = inner.marker is None or any(
                inner.marker.evaluate({"extra": extra}) for extra in extras
            )
            if wanted and name not in found | known:
                found.add(name)
                waiting.append(inner)
    return found


def pinned(file: pathlib.Path) -> dict[str, str]:
    """The versions that a file of `name==version` lines asks for, by canonical name."""
    lines = re.findall(r"^([\w.\-]+)==(\S+)$", file.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def wanted_wheels(present: Iterable[str]) -> dict[str, dict[str, str]]:
    """Versions of the packages of each folder."""
    known = {canonicalize_name(name) for name in (*PRESENT, *present)}
    versions = pinned(ROOT / "constraints.txt")
    ours = {name: versions[name] for name in sorted(needed_by("jaxrl", known))}
    of_rejax = pinned(HERE / "requirements" / "rejax.txt")
    theirs = {
        name: version
        for name, version in of_rejax.items()
        if name == "gymnax" or name not in {*ours, *known}
    }
    return {"jaxrl": ours, "rejax": theirs}


def download(versions: dict[str, str], folder: pathlib.Path, python: str) -> None:
    """Fetches wheels of one Python for Linux, without what they need."""
    if not versions:
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
    command += [word for name in PLATFORMS for word in ("--platform", name)]
    names = [f"{name}=={version}" for name, version in versions.items()]
    subprocess.run([*command, "--dest", str(folder), *names], check=True)


def build_own(folder: pathlib.Path) -> None:
    """Makes the wheel of this checkout."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="made anew")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser.add_argument("--python", default=own, help=f"of the other machine; {own} by default")
    parser.add_argument(
        "--present", nargs="*", default=[], metavar="PACKAGE", help="what that machine has already"
    )
    arguments = parser.parse_args()
    if not re.fullmatch(r"3\.(11|12|13)", arguments.python):
        parser.error(f"--python {arguments.python} must be 3.11, 3.12 or 3.13")
    if arguments.folder.exists() and any(arguments.folder.iterdir()):
        others = {path.name for path in arguments.folder.iterdir()} - {"jaxrl", "rejax"}
        if others:
            parser.error(f"{arguments.folder} holds other things: {', '.join(sorted(others))}")
        shutil.rmtree(arguments.folder)
    for name, versions in wanted_wheels((*arguments.present, *NEVER_IMPORTED)).items():
        (arguments.folder / name).mkdir(parents=True)
        download(versions, arguments.folder / name, arguments.python)
    build_own(arguments.folder / "jaxrl")
    sizes = {path.name: path.stat().st_size / 2**20 for path in arguments.folder.rglob("*.whl")}
    total = sum(sizes.values())
    print(f"{len(sizes)} wheels, {total:.1f} MiB, in {arguments.folder}")
    if total > MOST_MEBIBYTES:
        largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:5]
        named = ", ".join(f"{name} ({sizes[name]:.0f} MiB)" for name in largest)
        sys.exit(f"more than {MOST_MEBIBYTES} MiB; what is there already? --present ...: {named}")


if __name__ == "__main__":
    main()
