"""Compiled programs kept on the disk, so that a second process does not compile them again."""

import os
from pathlib import Path
from typing import Any

import jax


def enable_compilation_cache() -> Path | None:
    """Turns on JAX's persistent compilation cache in the user's cache directory.

    The directory is `$XDG_CACHE_HOME/jaxrl` or `~/.cache/jaxrl`. A directory that is already
    configured (`JAX_COMPILATION_CACHE_DIR`) stays. A global setting of JAX: for programs such as
    the command line, not for libraries.

    Returns:
        The directory, or None where it cannot be written and the cache stays off.
    """
    options: Any = jax.config  # its attributes are made as jax is imported
    configured = options.jax_compilation_cache_dir
    if configured:
        return Path(configured)
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        directory = (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "jaxrl"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        # In a container there may be no home, nor a user whose it could be.
        return None
    if not os.access(directory, os.W_OK | os.X_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return directory
