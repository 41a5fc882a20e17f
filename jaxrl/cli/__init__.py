"""The command line: `jaxrl train | resume | evaluate | plot | compare | render | list`."""

from jaxrl.cli.command_line import main

__all__ = ["main"]
