"""Checkpoints: the whole state of a run, written in one step and verified when it is read.

A checkpoint is a folder `checkpoints/<environment steps of all members>`: the leaves of the State
in `arrays.npz`, and `manifest.json` with the progress, the lengths of the row files at that moment,
and a digest of every file. It holds data only; the State's types come from the algorithm.
"""

import hashlib
import json
import os
import re
import stat
import types
import warnings
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.runs._reading import (
    ExperimentError,
    Kind,
    is_list_of,
    is_mapping_of,
    is_text,
    is_whole,
    list_folder,
    open_regular,
    parse,
    read_bytes,
    require,
)
from jaxrl.runs.folder import (
    CHECKPOINTS,
    flush_folder,
    remove,
    write_atomically,
    writing,
)
from jaxrl.runs.specification import BUDGETS
from jaxrl.training import Progress
from jaxrl.types import State

_MANIFEST = "manifest.json"
_ARRAYS = "arrays.npz"
_UNFINISHED = ".unfinished"
_NAME = re.compile(r"[0-9]{12,18}")


class Checkpoint(NamedTuple):
    """A run at the end of a chunk.

    Attributes:
        state: the State of all members, leaves [members, ...].
        progress: iterations and steps, shape () or [members], numpy.
        file_sizes: bytes of each row file, by name, when the checkpoint was written.
        file_digests: of what each row file held then, by name; empty where nobody knows.
        left_out: why each newer one could not be used, in words.
    """

    state: State
    progress: Progress
    file_sizes: dict[str, int]
    file_digests: Mapping[str, str] = types.MappingProxyType({})
    left_out: tuple[str, ...] = ()


class _DamagedError(Exception):
    """A checkpoint cannot be used; the message says why."""


def save(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    total_steps: int,
    keep: int,
    run: Mapping[str, str] | None = None,
    read_back: bool = False,
) -> None:
    """Writes a checkpoint and removes all but the newest ones.

    Args:
        folder: of the run.
        checkpoint: what to write.
        total_steps: environment steps of all members; names the checkpoint.
        keep: how many of the newest stay.
        run: digests of what makes the run what it is, as `fingerprint` gives them.
        read_back: read the arrays again before the older checkpoints are removed, and compare.

    Raises:
        ExperimentError: the disk is full or read-only, or does not give back what was written.
    """
    parent = folder / CHECKPOINTS
    target = parent / _name_of(total_steps)
    unfinished = parent / _UNFINISHED
    with writing(folder):
        parent.mkdir(exist_ok=True)
        remove(unfinished)
        unfinished.mkdir()
        arrays = _to_arrays(checkpoint.state)
        _write_arrays(unfinished / _ARRAYS, arrays)
        if read_back:
            _compare(unfinished / _ARRAYS, arrays)
        manifest = {
            "iteration": np.asarray(checkpoint.progress.iteration).tolist(),
            "steps": np.asarray(checkpoint.progress.steps).tolist(),
            "total_steps": total_steps,
            "run": dict(run or {}),
            "file_sizes": checkpoint.file_sizes,
            "file_digests": dict(checkpoint.file_digests),
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
            remove(parent / old)


def load_newest(
    folder: Path, state_type: Any, *, run: Mapping[str, str] | None = None
) -> Checkpoint | None:
    """Reads the newest checkpoint that is whole; warns of each newer one that is not.

    Args:
        folder: of the run.
        state_type: the State that the algorithm makes, as shapes and dtypes.
        run: digests of what makes the run what it is; None: any run's are taken.

    Returns:
        The checkpoint, or None if none was ever finished.

    Raises:
        ExperimentError: there are checkpoints and none can be used, or the newest is another run's.
    """
    names = _names(folder)
    reasons: list[str] = []
    for name in names:
        path = folder / CHECKPOINTS / name
        try:
            checkpoint = _load(path, state_type, run)
        except (_DamagedError, OSError) as error:
            reasons.append(f"checkpoint {path} cannot be used: {error}")
            warnings.warn(reasons[-1], stacklevel=2)
        else:
            return checkpoint._replace(left_out=tuple(reasons))
    if names:
        raise ExperimentError(f"no checkpoint of {folder} can be used; the oldest: {reasons[-1]}")
    return None


def _names(folder: Path) -> list[str]:
    """The finished checkpoints, the newest first."""
    names = [name for name in list_folder(folder / CHECKPOINTS) if _NAME.fullmatch(name)]
    return sorted(names, key=int, reverse=True)


def _name_of(total_steps: int) -> str:
    return f"{total_steps:012d}"


def _load(path: Path, state_type: Any, run: Mapping[str, str] | None) -> Checkpoint:
    manifest = _read_manifest(path)
    _check_run(path, manifest["run"], run)
    _verify_files(path, manifest["sha256"])
    leaves = jax.tree.leaves(state_type)
    members = leaves[0].shape[:1] if leaves else ()
    if manifest["leaves"] != _describe(state_type):
        raise _DamagedError("it was written by another version of the algorithm or its settings")
    progress = Progress(
        iteration=np.asarray(manifest["iteration"], np.int32),
        steps=np.asarray(manifest["steps"], np.int64),
    )
    if progress.iteration.shape not in ((), members) or progress.steps.shape not in ((), members):
        raise _DamagedError(f"its {_MANIFEST} counts for another number of members")
    expected = {_name(i): _data_type(leaf) for i, leaf in enumerate(leaves)}
    arrays = _read_arrays(path / _ARRAYS, expected)
    return Checkpoint(
        state=_from_arrays(arrays, state_type, manifest["keys"]),
        progress=progress,
        file_sizes=manifest["file_sizes"],
        file_digests=manifest["file_digests"],
    )


def _check_run(path: Path, written: Mapping[str, str], run: Mapping[str, str] | None) -> None:
    """Refuses to go on from the State of another run; one from before this was noted is taken."""
    present = run or {}
    changed = [
        name
        for name in present
        if written.get(name, present[name]) != present[name]
        # More steps than it was written with is what a run may go on to.
        and not (name == BUDGETS and present[name].startswith(f"{written[name]},"))
    ]
    if changed:
        raise ExperimentError(
            f"{path.parent.parent} is not the run that its checkpoint {path.name} was written by: "
            f"{' and '.join(changed)} in its config.json have changed since"
        )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        raise _DamagedError(error.strerror or "it cannot be read") from None
    if stat.S_ISLNK(mode):
        raise _DamagedError("it is a symbolic link")
    try:
        manifest = parse(read_bytes(path / _MANIFEST))
    except (FileNotFoundError, NotADirectoryError):
        raise _DamagedError(f"its {_MANIFEST} cannot be read") from None
    except ExperimentError as error:
        raise _DamagedError(f"its {_MANIFEST} cannot be read ({error})") from None
    except ValueError:
        raise _DamagedError(f"its {_MANIFEST} is damaged") from None
    try:
        content: Any = require(manifest, {"content": _is_object, "sha256": is_text})["content"]
        if manifest["sha256"] != _content_digest(content):
            raise ValueError("its digest is another")
        # Checkpoints from before these were noted go without.
        content = {"run": {}, "file_digests": {}, "total_steps": int(path.name), **content}
        require(content, _MANIFEST_KINDS)
        if _name_of(content["total_steps"]) != path.name:
            raise ValueError("it is of another checkpoint")
    except (ValueError, RecursionError) as error:
        raise _DamagedError(f"its {_MANIFEST} is damaged: {error}") from None
    return content


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_count(value: Any) -> bool:
    return is_whole(value) or is_list_of(is_whole)(value)


def _is_iteration(value: Any) -> bool:
    small = partial(is_whole, most=2**31 - 1)
    return small(value) or is_list_of(small)(value)


_MANIFEST_KINDS: dict[str, Kind] = {
    "iteration": _is_iteration,
    "steps": _is_count,
    "total_steps": is_whole,
    "run": is_mapping_of(is_text),
    "file_sizes": is_mapping_of(is_whole),
    "file_digests": is_mapping_of(is_text),
    "leaves": lambda value: isinstance(value, list),
    "keys": is_mapping_of(is_text),
    "sha256": is_mapping_of(is_text),
}


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
    """The regular files of a checkpoint but its manifest; anything else in it is an error."""
    found: list[str] = []
    for parent, folders, files in os.walk(path):
        for name in [*folders, *files]:
            own = Path(parent) / name
            mode = os.lstat(own).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise _DamagedError(f"{own.relative_to(path)} is no regular file")
        found += [(Path(parent) / name).relative_to(path).as_posix() for name in files]
    return sorted(name for name in found if name != _MANIFEST)


def _digest(path: Path) -> str:
    with open_regular(path) as file:
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
    return {_name(i): x for i, x in enumerate(jax.device_get(leaves))}


def _key_implementations(state: State) -> dict[str, str]:
    leaves = enumerate(jax.tree.leaves(state))
    return {_name(i): str(jax.random.key_impl(x)) for i, x in leaves if _is_key(x)}


def _from_arrays(
    arrays: dict[str, np.ndarray], state_type: Any, key_implementations: dict[str, str]
) -> State:
    leaves, structure = jax.tree.flatten(state_type)

    def restored(name: str) -> Any:
        # A copy: the state is donated, and memory that numpy owns cannot be.
        array = jnp.array(arrays[name], copy=True)
        if name in key_implementations:
            return jax.random.wrap_key_data(array, impl=key_implementations[name])
        return array

    try:
        return jax.tree.unflatten(structure, [restored(_name(i)) for i in range(len(leaves))])
    except (KeyError, TypeError, ValueError) as error:
        raise _DamagedError(f"its arrays are not those of the State ({error})") from None


def _data_type(leaf: Any) -> Any:
    """Shape and dtype of a leaf as it is stored: a random key as the numbers in it."""
    return jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf


def _name(index: int) -> str:
    return f"leaf_{index:05d}"


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("xb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def _compare(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Reads arrays that were just written; raises ExperimentError if others come back."""
    try:
        present = _read_arrays(path, arrays)
        is_same = present.keys() == arrays.keys() and all(
            np.asarray(present[name]).tobytes() == np.asarray(x).tobytes()
            for name, x in arrays.items()
        )
    except _DamagedError:
        is_same = False
    if not is_same:
        raise ExperimentError(
            f"{path.parent.parent.parent} does not give back the checkpoint that was written to "
            "it: choose another folder or disk"
        )


def _read_arrays(path: Path, types: Mapping[str, Any]) -> dict[str, np.ndarray]:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in types):
                raise _DamagedError("its arrays are not those of the State")
            return {name: _read_array(archive, name, types[name]) for name in types}
    except FileNotFoundError:
        if path.with_suffix("").is_dir():
            raise _DamagedError("an earlier version of jaxrl wrote it, with orbax") from None
        raise _DamagedError(f"{_ARRAYS} is missing") from None
    except (_DamagedError, OSError):
        raise
    except Exception as error:  # Whatever a damaged archive makes of its reader.
        raise _DamagedError(f"its arrays cannot be read ({type(error).__name__})") from error


def _read_array(archive: zipfile.ZipFile, name: str, leaf: Any) -> np.ndarray:
    """Reads one array, after a look at what is announced: nothing larger than expected is made."""
    expected = np.dtype(leaf.dtype)
    with archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, announced = np.lib.format.read_array_header_1_0(file)
        same_type = (announced.kind, announced.itemsize) == (expected.kind, expected.itemsize)
        if shape != tuple(leaf.shape) or not same_type:
            raise _DamagedError("its arrays are not those of the State")
        file.seek(0)
        # Of a type that numpy has not, such as bfloat16, the file holds the bytes.
        return np.lib.format.read_array(file, allow_pickle=False).view(expected)
