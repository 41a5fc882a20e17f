"""The command line; `command_line.COMMANDS` lists its commands."""

from jaxrl.cli.command_line import main

__all__ = ["main"]
