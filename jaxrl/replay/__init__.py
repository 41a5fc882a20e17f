"""Replay: the steps of the past, kept in little memory to be learnt from again."""

from jaxrl.replay.prioritized import PrioritizedState, prioritized_replay
from jaxrl.replay.ring import Ring, RingStorage, ring_storage
from jaxrl.replay.uniform import uniform_replay

__all__ = [
    "PrioritizedState",
    "Ring",
    "RingStorage",
    "prioritized_replay",
    "ring_storage",
    "uniform_replay",
]
