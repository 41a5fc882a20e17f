"""Processes that share a sweep: which of them this is, and whether all are still there.

`jax.distributed` brings them together, as SLURM or Open MPI started them or as they are told. Each
lets a child process do that, which ends before anyone trains: agents exchange nothing, and JAX
aborts a process whose coordinator or companions are gone. From then on they meet at the files of
the sweep's folder. Each holds a lock there, which the operating system releases when the process
ends, however it ends.
"""

import contextlib
import importlib
import multiprocessing
import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax

from jaxrl.runs import ExperimentError
from jaxrl.runs.folder import LOCK, is_locked, locked, writing

T = TypeVar("T")

_SECONDS_TO_JOIN = 300
_SECONDS_BETWEEN_LOOKS = 0.2
_MOST_PROCESSES = 10_000
_FOLDER_IS_OPEN = "jaxrl/folder"
# Where process 0 tells the others who does what: like a lock, it means nothing later.
DEAL = f"{LOCK}-deal.json"


class Processes:
    """The processes of a sweep, as one of them sees them.

    Attributes:
        index: of this process, from 0 on.
        count: how many there are.
    """

    def __init__(self, folder: Path, index: int = 0, count: int = 1) -> None:
        """Takes what `alone` or `joined` found out.

        Args:
            folder: of the sweep, whose locks are held.
            index: of this process.
            count: of all.
        """
        self.index = index
        self.count = count
        self._folder = folder
        self._looked_at = 0.0

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once: sweep.json, the table, the winner."""
        return self.index == 0

    @property
    def on_this_host(self) -> int:
        """How many of the processes share this host, and its memory."""
        if self.count == 1:
            return 1
        hosts = [_lock_of(self._folder, i).read_text(encoding="utf-8") for i in range(self.count)]
        return hosts.count(hosts[self.index])

    def share_of(self, items: Sequence[T], *, turn: int = 0) -> tuple[T, ...]:
        """Returns what is this process's when items are dealt out one by one.

        Args:
            items: to be shared, the same in all processes.
            turn: the process that gets the first one, counted on from 0 and round.
        """
        return tuple(items[(self.index - turn) % self.count :: self.count])

    def lost(self) -> int | None:
        """Returns the first process that has ended; None: all are still there."""
        others = (i for i in range(self.count) if i != self.index)
        return next((i for i in others if not is_locked(_lock_of(self._folder, i))), None)

    def has_lost_one(self) -> bool:
        """Whether a process has ended, to be asked often: it looks once a second."""
        if self.count == 1 or time.monotonic() - self._looked_at < 1.0:
            return False
        self._looked_at = time.monotonic()
        return self.lost() is not None

    def check_all_are_there(self) -> None:
        """Raises ExperimentError if a process has ended before the sweep has."""
        self._complain(self.lost())

    def wait_for(self, look: Callable[[], T | None]) -> T:
        """Waits until another process has left something in the folder.

        Args:
            look: returns it, or None while it is not there.

        Raises:
            ExperimentError: it is not there and a process has ended.
        """
        while True:
            # Before looking: a process that has done all that is waited for may end.
            lost = self.lost()
            found = look()
            if found is not None:
                return found
            self._complain(lost)
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _complain(self, lost: int | None) -> None:
        if lost is not None:
            raise ExperimentError(
                f"process {lost} of {self.count} has ended, and so does process {self.index}; what "
                f"was saved goes on with: jaxrl resume {self._folder}"
            )


@contextlib.contextmanager
def alone(folder: Path) -> Generator[Processes]:
    """Holds the folder of a sweep for one process.

    Raises:
        ExperimentError: another process works in it, or it cannot be written.
    """
    with locked(folder):
        left = [path for path in folder.iterdir() if re.fullmatch(rf"{LOCK}-\d{{5}}", path.name)]
        if any(map(is_locked, left)):
            raise ExperimentError(f"another process is working on {folder}")
        with writing(folder):
            for path in (*left, folder / DEAL):
                path.unlink(missing_ok=True)
        yield Processes(folder)


@contextlib.contextmanager
def joined(
    folder: str | Path,
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout: int = _SECONDS_TO_JOIN,
) -> Generator[Processes]:
    """Joins the processes of a sweep, and holds its folder for all of them.

    All call it with the same folder, before they use JAX in any other way, and then `start` or
    `resume` with what it gives. Each uses the devices that it sees itself: under SLURM and Open MPI
    one GPU each, elsewhere all of its host unless `CUDA_VISIBLE_DEVICES` says otherwise.

    Args:
        folder: of the sweep, on a file system that all processes share, locks included.
        coordinator: HOST:PORT where process 0 listens while they join; None: as SLURM or Open MPI
            have it.
        num_processes: how many there are; None: the same.
        process_id: of this one, from 0 on; None: the same.
        timeout: seconds to wait for the others.

    Raises:
        ExperimentError: they do not come together, or the folder cannot be used.
        ValueError: an address, a number or the place of this process cannot be.

    Example:
        with sweeps.joined(
            "sweeps/demo", coordinator="node1:12345", num_processes=2, process_id=0
        ) as processes:
            sweeps.resume("sweeps/demo", processes=processes)
    """
    check_joining(coordinator, num_processes, process_id)
    folder = Path(folder)
    with contextlib.ExitStack() as held:
        with _meeting(coordinator, num_processes, process_id, timeout) as meeting:
            index, count, devices = meeting.hear()
            problem = _take_folder(held, folder) if index == 0 else ""
            # Every process hears whether process 0 could.
            meeting.say(problem)
            problem = meeting.hear() or _take_lock(held, folder, index)
            # The last to come here lets all go on: each holds its lock.
            meeting.say("ready")
            meeting.hear()
        if problem:
            raise ExperimentError(problem)
        for other in range(count):
            if not _lock_of(folder, other).is_file():
                raise ExperimentError(
                    f"process {other} of {count} did not come to {folder}, or has another folder "
                    "of that name: all processes must see the same files"
                )
        if devices is not None:
            for name in ("jax_cuda_visible_devices", "jax_rocm_visible_devices"):
                jax.config.update(name, devices)
        yield Processes(folder, index, count)


def check_joining(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Checks what a process is told of the others.

    Raises:
        ValueError: naming what cannot be, or what is missing beside what is given.
    """
    given = {
        "coordinator": coordinator,
        "num_processes": num_processes,
        "process_id": process_id,
    }
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise ValueError(
            f"{missing[0]} is missing: give coordinator, num_processes and process_id, or none of "
            "them under SLURM and Open MPI"
        )
    if coordinator is None or num_processes is None or process_id is None:
        return
    match = re.fullmatch(r"([^\s:]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})", coordinator)
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise ValueError(f"coordinator={coordinator!r} is no address: write HOST:PORT")
    if not 1 <= num_processes <= _MOST_PROCESSES:
        raise ValueError(
            f"num_processes={num_processes} must be at least 1 and at most {_MOST_PROCESSES}"
        )
    if not 0 <= process_id < num_processes:
        raise ValueError(
            f"process_id={process_id} must be at least 0 and less than "
            f"num_processes={num_processes}"
        )


class _Meeting:
    """The child process that meets those of the other processes, as its parent sees it."""

    def __init__(self, connection: Any, timeout: int) -> None:
        self._connection = connection
        self._timeout = timeout

    def say(self, word: str) -> None:
        with contextlib.suppress(OSError):
            self._connection.send(word)

    def hear(self) -> Any:
        """The child's next answer; raises ExperimentError if it has a problem or is gone."""
        try:
            problem, answer = self._connection.recv()
        except (EOFError, OSError):
            raise ExperimentError(
                f"not all processes came together within {self._timeout} seconds"
            ) from None
        if problem is not None:
            raise ExperimentError(problem)
        return answer


@contextlib.contextmanager
def _meeting(
    coordinator: str | None, num_processes: int | None, process_id: int | None, timeout: int
) -> Generator[_Meeting]:
    """Starts the child, and ends it."""
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe()
    told = (coordinator, num_processes, process_id, timeout)
    child = forking.Process(target=_meet, args=(ours, theirs, *told), daemon=True)
    with warnings.catch_warnings():
        # JAX has been imported and not used: no thread of it runs.
        warnings.simplefilter("ignore")
        child.start()
    theirs.close()
    try:
        yield _Meeting(ours, timeout)
    finally:
        ours.close()
        child.join(5)
        child.kill()
        child.join()


def _meet(
    parent: Any,
    connection: Any,
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    timeout: int,
) -> None:
    """Meets the children of the other processes; each step is answered by (problem, answer)."""
    parent.close()
    # If JAX aborts this process, its parent says so in one line.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # Not every system has it; where several processes run, there is.
    resource = importlib.import_module("resource")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        jax.distributed.initialize(
            coordinator, num_processes, process_id, initialization_timeout=timeout
        )
    except ValueError:
        problem = "there is no SLURM or Open MPI that says who the processes are: give the "
        problem += "coordinator (HOST:PORT), num_processes and process_id"
        connection.send((problem, None))
        return
    except RuntimeError as error:
        connection.send((f"the processes cannot join: {' '.join(str(error).split())}", None))
        return
    # Nothing public says which process this is before its devices are made, and those of all.
    from jax._src import distributed

    state = distributed.global_state
    client: Any = state.client
    options: Any = jax.config
    devices = options.read("jax_cuda_visible_devices")
    own = None if devices == "all" else devices
    connection.send((None, (state.process_id, state.num_processes, own)))
    problem = connection.recv()
    if state.process_id == 0:
        client.key_value_set(_FOLDER_IS_OPEN, problem)
    problem = client.blocking_key_value_get(_FOLDER_IS_OPEN, timeout * 1000)
    connection.send((None, problem))
    connection.recv()
    # Waits for all of them.
    jax.distributed.shutdown()
    connection.send((None, ""))


def _take_folder(held: contextlib.ExitStack, folder: Path) -> str:
    """Holds the folder for all processes; returns what is wrong, or nothing."""
    try:
        held.enter_context(alone(folder))
    except ExperimentError as error:
        return str(error)
    return ""


def _take_lock(held: contextlib.ExitStack, folder: Path, index: int) -> str:
    """Holds the lock of this process; returns what is wrong, or nothing."""
    own = _lock_of(folder, index)
    try:
        held.enter_context(locked(folder, name=own.name))
        with writing(folder):
            own.write_text(socket.gethostname(), encoding="utf-8")
    except ExperimentError as error:
        return str(error)
    return ""


def _lock_of(folder: Path, index: int) -> Path:
    return folder / f"{LOCK}-{index:05d}"
