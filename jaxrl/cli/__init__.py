"""The command line: `jaxrl train | resume | evaluate | plot | render | list`."""

from jaxrl.cli.command_line import main

__all__ = ["main"]
