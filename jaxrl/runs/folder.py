"""The files of a run, the lock that keeps a second process out, and what may be overwritten."""

import contextlib
import errno
import importlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from jaxrl.runs._reading import ExperimentError, read_json

T = TypeVar("T")

CONFIG = "config.json"
METRICS = "metrics.jsonl"
EVALUATIONS = "evaluations.jsonl"
DIVERGENCES = "divergences.jsonl"
CHECKPOINTS = "checkpoints"
BEST = "best"
TENSORBOARD = "tensorboard"
WANDB = "wandb"

LOCK = ".lock"
# A run's files have names of their own behind the folder's.
_LONGEST_NAME, _LONGEST_PATH = 255, 3800
_PARTIAL = ".partial"
# What overwriting removes: the files that runs write, and nothing else that lies beside them.
_WRITTEN_BY_RUNS = (
    METRICS,
    EVALUATIONS,
    DIVERGENCES,
    CHECKPOINTS,
    BEST,
    TENSORBOARD,
    "learning_curve.png",
    WANDB,
)


@contextlib.contextmanager
def locked(folder: Path, *, name: str = LOCK) -> Generator[None]:
    """Holds a lock of a run folder, which is made if it does not exist.

    The operating system releases the lock when the process ends, however it ends.

    Args:
        folder: of the run.
        name: of the lock's file.

    Raises:
        ExperimentError: another process holds it, or the folder cannot be written.
    """
    check_path(folder)
    locks = _file_locks()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(folder / name, flags, 0o644)
    except (FileExistsError, NotADirectoryError):
        raise ExperimentError(f"{folder} cannot be a run folder: a file is in the way") from None
    except OSError as error:
        reason = "its .lock is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise ExperimentError(f"cannot write to {folder}: {reason}") from None
    try:
        _refuse_links(folder)
        try:
            locks.flock(handle, locks.LOCK_EX | locks.LOCK_NB)
        except BlockingIOError:
            raise ExperimentError(f"another process is working on {folder}") from None
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of this file; False where there is no such file."""
    locks = _file_locks()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared: two that look at once do not see one another.
        locks.flock(handle, locks.LOCK_SH | locks.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _file_locks() -> Any:
    """Python's module of file locks, imported here since the rest of the library does without it.

    Raises:
        ExperimentError: the system has none.
    """
    try:
        return importlib.import_module("fcntl")
    except ImportError:
        raise ExperimentError("run folders need the file locks of Linux or macOS") from None


def read_own_file(folder: str | Path, name: str, build: Callable[[Any], T], *, kind: str) -> T:
    """Reads the file that says what a folder is.

    Args:
        folder: of a run, or of what else keeps such a file.
        name: of the file, which holds JSON.
        build: from its content to what it describes; raises ValueError.
        kind: of the folder, for messages.

    Raises:
        ExperimentError: there is no such file, or it is damaged.
    """
    path = Path(folder) / name
    try:
        return build(read_json(path))
    except (FileNotFoundError, NotADirectoryError):
        raise ExperimentError(f"{folder} is not a {kind}: it has no {name}") from None
    except ExperimentError:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ExperimentError(f"{path} cannot be used: {error}") from None


def check_path(path: str | Path) -> None:
    """Checks that a path can be one, and can be printed in one line.

    Raises:
        ExperimentError: a part of it is too long, or it holds what is no text.
    """
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ExperimentError(f"the path {text!a} is not UTF-8: choose another name") from None
    if not text.isprintable():
        raise ExperimentError(f"the path {text!r} holds a line break or the like: choose another")
    longest = max(Path(text).parts, key=_num_bytes, default="")
    if _num_bytes(longest) > _LONGEST_NAME:
        raise ExperimentError(
            f"the path holds a name of {_num_bytes(longest)} bytes, {longest[:20]}..., and systems "
            f"allow {_LONGEST_NAME}: choose a shorter one"
        )
    if _num_bytes(text) > _LONGEST_PATH:
        raise ExperimentError(
            f"the path {text[:40]}... has {_num_bytes(text)} bytes, and a run's may have "
            f"{_LONGEST_PATH}: choose a shorter one"
        )


def _num_bytes(text: str) -> int:
    return len(os.fsencode(text))


def check_new(folder: Path, *, overwrite: bool) -> None:
    """Checks that a new run may be made in a folder, and changes nothing.

    Raises:
        ExperimentError: it cannot be made or written, or it is not free.
    """
    check_path(folder)
    present = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not present.is_dir():
        raise ExperimentError(f"{folder} cannot be a run folder: {present} is a file")
    if not os.access(present, os.W_OK | os.X_OK):
        raise ExperimentError(f"cannot write to {folder}: no permission in {present}")
    check_free(folder, overwrite=overwrite)


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Checks that a new run may be written to a folder, and changes nothing.

    Raises:
        ExperimentError: it holds something that is not ours to remove, or nobody allowed it.
    """
    if not folder.is_dir() or _is_empty(folder):
        return
    if not _looks_like_a_run(folder):
        raise ExperimentError(f"{folder} is not empty and is not a run: choose another folder")
    if not overwrite:
        raise ExperimentError(
            f"{folder} already holds a run: choose another folder, go on with it "
            f"(jaxrl resume {folder}) or replace it (--overwrite)"
        )


def change_config(folder: Path, changes: dict[str, Any]) -> None:
    """Puts other values into config.json, in one step; what else it holds stays.

    Args:
        folder: of the run, locked.
        changes: by the names that stand there.
    """
    config = {**read_json(folder / CONFIG), **changes}
    with writing(folder):
        write_atomically(folder / CONFIG, json.dumps(config, indent=2, allow_nan=False) + "\n")


def create(folder: Path, config: dict[str, Any]) -> None:
    """Clears what an earlier run wrote and writes config.json; the folder is locked and free.

    config.json is replaced last and in one step: at any moment the folder holds a whole run, the
    earlier one or this one, or nothing.
    """
    text = json.dumps(config, indent=2, allow_nan=False) + "\n"
    with writing(folder):
        for name in _WRITTEN_BY_RUNS:
            remove(folder / name)
        write_atomically(folder / CONFIG, text)


def clear(folder: Path) -> None:
    """Removes all that a run has written: the folder, which is locked, is free again."""
    with writing(folder):
        for name in (CONFIG, *_WRITTEN_BY_RUNS):
            remove(folder / name)


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Replaces a file in one step: a reader finds the former text or all of the new one."""
    partial = path.with_name(path.name + _PARTIAL)
    remove(partial)
    with partial.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    flush_folder(path.parent)


def open_to_append(path: Path) -> BinaryIO:
    """Opens a file behind what it holds, and makes it where there is none.

    Raises:
        OSError: it is a symbolic link, or no regular file.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"{path.name} is no regular file")
    return os.fdopen(handle, "ab")


def flush_folder(folder: Path) -> None:
    """Makes the names in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def writing(folder: Path) -> Generator[None]:
    """Turns the operating system's refusals into one line for people.

    Raises:
        ExperimentError: the disk is full, the folder is read-only, or the like.
    """
    try:
        yield
    except OSError as error:
        raise ExperimentError(f"cannot write to {folder}: {error.strerror or error}") from error


def _refuse_links(folder: Path) -> None:
    """Refuses a folder with a link in it, through which a run might write to elsewhere."""
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if os.path.islink(os.path.join(parent, name)):
                path = Path(parent).relative_to(folder) / name
                raise ExperimentError(
                    f"{folder} cannot be used: its {str(path)!r} is a symbolic link, and nothing "
                    "is written through one"
                )
        # Its client makes links of its own, and writes there itself.
        folders[:] = [name for name in folders if (Path(parent), name) != (folder, "wandb")]


def _is_empty(folder: Path) -> bool:
    # A process killed before it wrote config.json leaves no more than these.
    names = {path.name for path in folder.iterdir()}
    return all(name.startswith(LOCK) or name == CONFIG + _PARTIAL for name in names)


def _looks_like_a_run(folder: Path) -> bool:
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and {"algorithm", "environment", "settings"} <= config.keys()
