"""Makes one virtual environment per peer, from the pinned files in `requirements/`.

    python benchmarks/make_environments.py            # all of them
    python benchmarks/make_environments.py rejax sbx

An environment is made once, and again when its requirements change.
"""

import argparse
import hashlib
import pathlib
import shutil
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements"
ENVIRONMENTS = HERE / "environments"
PEERS = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))


def python_of(peer: str) -> pathlib.Path:
    """The interpreter of a peer's environment."""
    return ENVIRONMENTS / peer / "bin" / "python"


def is_ready(peer: str) -> bool:
    """Whether the environment was made from the requirements as they are now."""
    stamp = ENVIRONMENTS / peer / "requirements.sha256"
    return stamp.is_file() and stamp.read_text() == fingerprint(peer)


def fingerprint(peer: str) -> str:
    """What the requirements and the Python of an environment amount to."""
    requirements = (REQUIREMENTS / f"{peer}.txt").read_bytes()
    return hashlib.sha256(requirements + sys.version.encode()).hexdigest()


def make(peer: str) -> None:
    """Makes a peer's environment, unless it is ready."""
    if is_ready(peer):
        return
    folder = ENVIRONMENTS / peer
    if folder.exists():
        shutil.rmtree(folder)
    print(f"making the environment of {peer}", flush=True)
    venv.create(folder, with_pip=True)
    install = [str(python_of(peer)), "-m", "pip", "install", "--quiet", "--requirement"]
    subprocess.run([*install, str(REQUIREMENTS / f"{peer}.txt")], check=True)
    (folder / "requirements.sha256").write_text(fingerprint(peer))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}")
    peers = parser.parse_args().peers or PEERS
    for peer in peers:
        if peer not in PEERS:
            parser.error(f"unknown peer {peer!r}: the peers are {', '.join(PEERS)}")
    for peer in peers:
        make(peer)


if __name__ == "__main__":
    main()
