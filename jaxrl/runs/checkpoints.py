"""Checkpoints: the whole state of a run, written in one step and verified when it is read.

A checkpoint is a folder `checkpoints/<environment steps of all members>`: the leaves of the State
as orbax stores arrays, and `manifest.json` with the progress, the lengths of the row files at that
moment, and a digest of every file. It holds data only; the State's types come from the algorithm.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.runs.folder import (
    CHECKPOINTS,
    ExperimentError,
    flush_folder,
    remove,
    write_atomically,
    writing,
)
from jaxrl.training import Progress
from jaxrl.types import State

_MANIFEST = "manifest.json"
_ARRAYS = "arrays"
_UNFINISHED = ".unfinished"


class Checkpoint(NamedTuple):
    """A run at the end of a chunk.

    Attributes:
        state: the State of all members, leaves [members, ...].
        progress: iterations and steps, shape () or [members], numpy.
        file_sizes: bytes of each row file, by name, when the checkpoint was written.
    """

    state: State
    progress: Progress
    file_sizes: dict[str, int]


class _DamagedError(Exception):
    """A checkpoint cannot be used; the message says why."""


def save(folder: Path, checkpoint: Checkpoint, *, total_steps: int, keep: int) -> None:
    """Writes a checkpoint and removes all but the newest ones.

    Args:
        folder: of the run.
        checkpoint: what to write.
        total_steps: environment steps of all members; names the checkpoint.
        keep: how many of the newest stay.

    Raises:
        ExperimentError: the disk is full or read-only.
    """
    parent = folder / CHECKPOINTS
    target = parent / f"{total_steps:012d}"
    unfinished = parent / _UNFINISHED
    with writing(folder):
        parent.mkdir(exist_ok=True)
        remove(unfinished)
        unfinished.mkdir()
        _write_arrays(unfinished / _ARRAYS, _to_arrays(checkpoint.state))
        manifest = {
            "iteration": np.asarray(checkpoint.progress.iteration).tolist(),
            "steps": np.asarray(checkpoint.progress.steps).tolist(),
            "file_sizes": checkpoint.file_sizes,
            "leaves": _describe(checkpoint.state),
            "keys": _key_implementations(checkpoint.state),
            "sha256": {name: _digest(unfinished / name) for name in _files(unfinished)},
        }
        text = json.dumps({"content": manifest, "sha256": _content_digest(manifest)}, indent=1)
        write_atomically(unfinished / _MANIFEST, text)
        remove(target)
        unfinished.replace(target)
        flush_folder(parent)
        for old in _names(folder)[keep:]:
            shutil.rmtree(parent / old)


def load_newest(folder: Path, state_type: Any) -> Checkpoint | None:
    """Reads the newest checkpoint that is whole; warns of each newer one that is not.

    Args:
        folder: of the run.
        state_type: the State that the algorithm makes, as shapes and dtypes.

    Returns:
        The checkpoint, or None if none was ever finished.

    Raises:
        ExperimentError: there are checkpoints and none can be used.
    """
    names = _names(folder)
    reason = ""
    for name in names:
        path = folder / CHECKPOINTS / name
        try:
            checkpoint = _load(path, state_type)
        except (_DamagedError, OSError) as error:
            reason = f"checkpoint {path} cannot be used: {error}"
            warnings.warn(reason, stacklevel=2)
        else:
            return checkpoint
    if names:
        raise ExperimentError(f"no checkpoint of {folder} can be used; the oldest: {reason}")
    return None


def _names(folder: Path) -> list[str]:
    """The finished checkpoints, the newest first."""
    parent = folder / CHECKPOINTS
    names = [path.name for path in parent.iterdir()] if parent.is_dir() else []
    return sorted((name for name in names if name.isdigit()), key=int, reverse=True)


def _load(path: Path, state_type: Any) -> Checkpoint:
    manifest = _read_manifest(path)
    _verify_files(path, manifest["sha256"])
    if manifest["leaves"] != _describe(state_type):
        raise _DamagedError("it was written by another version of the algorithm or its settings")
    state = _from_arrays(_read_arrays(path / _ARRAYS), state_type, manifest["keys"])
    progress = Progress(
        iteration=np.asarray(manifest["iteration"], np.int32),
        steps=np.asarray(manifest["steps"], np.int64),
    )
    return Checkpoint(state=state, progress=progress, file_sizes=manifest["file_sizes"])


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["sha256"] == _content_digest(manifest["content"]):
            return manifest["content"]
    except OSError:
        raise _DamagedError(f"its {_MANIFEST} cannot be read") from None
    except (ValueError, TypeError, LookupError):
        pass
    raise _DamagedError(f"its {_MANIFEST} is damaged")


def _content_digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _verify_files(path: Path, digests: dict[str, str]) -> None:
    missing = digests.keys() - set(_files(path))
    if missing:
        raise _DamagedError(f"{min(missing)} is missing")
    for name, digest in digests.items():
        if _digest(path / name) != digest:
            raise _DamagedError(f"{name} is damaged")


def _files(path: Path) -> list[str]:
    files = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    return sorted(name for name in files if name != _MANIFEST)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(state: Any) -> list[list[Any]]:
    """Path, dtype and shape of every leaf: what must agree before arrays are put back."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return [
        [jax.tree_util.keystr(path), str(leaf.dtype), list(leaf.shape)] for path, leaf in leaves
    ]


def _to_arrays(state: State) -> dict[str, np.ndarray]:
    leaves = [jax.random.key_data(x) if _is_key(x) else x for x in jax.tree.leaves(state)]
    # Orbax refuses arrays without elements; their shapes are in the manifest.
    return {_name(i): x for i, x in enumerate(jax.device_get(leaves)) if x.size}


def _key_implementations(state: State) -> dict[str, str]:
    leaves = enumerate(jax.tree.leaves(state))
    return {_name(i): str(jax.random.key_impl(x)) for i, x in leaves if _is_key(x)}


def _from_arrays(
    arrays: dict[str, np.ndarray], state_type: Any, key_implementations: dict[str, str]
) -> State:
    leaves, structure = jax.tree.flatten(state_type)

    def restore(name: str, leaf: Any) -> Any:
        if not leaf.size:
            return jnp.zeros(leaf.shape, leaf.dtype)
        # A copy: the state is donated, and memory that numpy owns cannot be.
        array = jnp.array(arrays[name], copy=True)
        if name in key_implementations:
            return jax.random.wrap_key_data(array, impl=key_implementations[name])
        return array

    return jax.tree.unflatten(structure, [restore(_name(i), x) for i, x in enumerate(leaves)])


def _name(index: int) -> str:
    return f"leaf_{index:05d}"


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with _array_files() as files:
        files.save(path.absolute(), arrays)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with _array_files() as files:
        try:
            return files.restore(path.absolute())
        except Exception as error:  # Orbax documents none in particular.
            raise _DamagedError(f"its arrays cannot be read ({type(error).__name__})") from error


def _array_files() -> Any:
    # Orbax takes a while to import, and only a run that saves or loads needs it.
    import orbax.checkpoint as orbax

    # It reports every step of its work; what a user must know is said by this module.
    logging.getLogger("absl").setLevel(logging.ERROR)
    return contextlib.closing(orbax.Checkpointer(orbax.PyTreeCheckpointHandler()))
