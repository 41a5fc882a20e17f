"""The algorithm that compiles in no time, in a process that may kill itself after a block.

The environment variable JAXRL_TEST_DIES says after how many blocks; JAX sees nothing of it.
"""

import os
import signal

import quick_algorithm

from jaxrl.sweeps import execution

assert quick_algorithm

_write_block = execution.write_block
_left = [int(os.environ.get("JAXRL_TEST_DIES", "0"))]


def _write_or_die(*arguments):
    _write_block(*arguments)
    _left[0] -= 1
    if _left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


execution.write_block = _write_or_die
