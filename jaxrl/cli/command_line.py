"""Finds the command, runs it, and turns what the user got wrong into one line and exit code 2."""

import contextlib
import difflib
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jaxrl.cli.errors import CommandError, one_line
from jaxrl.cli.streams import (
    BROKEN_PIPE,
    give_up_stdout,
    prepare_streams,
    say,
    warnings_in_one_line,
)
from jaxrl.cli.user_modules import import_modules, take_imports

# Each command's module is imported when the command is used: `jaxrl --help` stays quick.
COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("jaxrl.cli.train", "train an algorithm in an environment, several seeds at once"),
    "sweep": ("jaxrl.cli.sweep", "search over settings: many trials, several seeds, few programs"),
    "resume": ("jaxrl.cli.resume", "go on with a run or a sweep that was stopped"),
    "show": ("jaxrl.cli.show", "show the trials of a sweep, the best first, or a preset"),
    "best": ("jaxrl.cli.best", "write the settings of a sweep's best trial as a preset file"),
    "evaluate": ("jaxrl.cli.evaluate", "play episodes with the policies of a run"),
    "plot": ("jaxrl.cli.plot", "draw the learning curves of runs in one figure"),
    "compare": ("jaxrl.cli.compare", "compare what runs reached, over tasks and seeds"),
    "render": ("jaxrl.cli.render", "write an episode of a run as an animated GIF"),
    "list": ("jaxrl.cli.listing", "list algorithms, environments and presets"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: without the program's name; None: the process's own.

    Returns:
        The exit code: 0 for success, 2 for wrong input, 3 for a run in which an agent diverged, 130
        for one that Ctrl-C stopped, 141 where the reader of the output has gone.
    """
    prepare_streams()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings_in_one_line():
            code = _run(arguments)
            # Here, and not when Python exits: what is wrong with the stream is then known.
            sys.stdout.flush()
            return code
    except CommandError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        # While a run trains, the run itself hears Ctrl-C and saves; here nothing had begun.
        say("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as in `jaxrl list | head`.
        give_up_stdout()
        return BROKEN_PIPE
    except OSError as error:
        # A circumstance of the system, and no mistake of the program.
        give_up_stdout()
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {one_line(f'{where}{error.strerror or error}')}")
        return 2
    except SystemExit as stop:
        # Rich's answer to a broken pipe; others end the help.
        if isinstance(stop.__context__, BrokenPipeError):
            return BROKEN_PIPE
        raise


def _run(arguments: list[str]) -> int:
    arguments, imports = take_imports(arguments)
    # Before modules of the user's: JAX must not have been used when processes join.
    with _joined(arguments) as processes:
        import_modules(imports)
        return _run_command(arguments, imports, processes)


def _joined(arguments: list[str]) -> contextlib.AbstractContextManager[Any]:
    if arguments[:1] not in (["sweep"], ["resume"]):
        return contextlib.nullcontext()
    from jaxrl.cli.joining import joined_processes

    return joined_processes(arguments[0], arguments[1:])


def _run_command(arguments: list[str], imports: tuple[str, ...], processes: Any) -> int:
    if not arguments:
        raise CommandError(f"no command was given: {', '.join(COMMANDS)} (see jaxrl --help)")
    command, rest = arguments[0], arguments[1:]
    if command in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    if command == "--version" and rest:
        raise CommandError(f"unexpected argument: {rest[0]} (--version stands alone)")
    if command == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"jaxrl {version('jaxrl')}\n")
        return 0
    if command not in COMMANDS:
        near = difflib.get_close_matches(command.lower(), COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(COMMANDS)}"
        raise CommandError(f"unknown command {command!r}: {hint}")
    run: Callable[..., int] = importlib.import_module(COMMANDS[command][0]).run
    given: dict[str, Any] = {}
    if command in ("train", "sweep"):
        # A run remembers what its algorithm and environment came from.
        given["imports"] = imports
    if command in ("sweep", "resume"):
        given["processes"] = processes
    return run(rest, **given)


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items())
    return f"""\
usage: jaxrl COMMAND ...

Functional reinforcement learning in JAX: a whole training run is one compiled program.

commands:
{commands}

  jaxrl COMMAND --help                     what a command takes
  jaxrl train ppo CartPole-v1 --help       every setting of an algorithm
  jaxrl train ppo CartPole-v1 --seeds 8 --total-steps 100000 --out runs/demo

options:
  -h, --help       show this help
  --version        show the version
  --import MODULE  with any command: import a Python module first, such as one that registers
                   an algorithm or environment of your own; a run remembers its name
  --trust          with any command: import the modules whose names the run remembers
"""
