"""The display of a sweep: one count of steps over all of its blocks."""

from jaxrl.runs.progress import Display


class SweepDisplay(Display):
    """Reports the progress of the whole sweep while its blocks report their own."""

    def __init__(self, *, total_steps: int) -> None:
        """Begins at nothing.

        Args:
            total_steps: environment steps of all members of all blocks.
        """
        super().__init__()
        self._done_before = 0
        self._sweep_steps = total_steps

    def add_done(self, steps: int) -> None:
        """Counts the steps of a block that has ended."""
        self._done_before += steps

    def begin(self, *, done: int, total: int) -> None:
        """Starts to measure a block: `done` of its steps are behind us."""
        super().begin(
            done=self._done_before + done, total=max(self._sweep_steps, self._done_before + total)
        )

    def update(self, *, done: int, episode_return: float | None) -> None:
        """Shows the steps done of all, their rate, the last mean return and the time left."""
        super().update(done=self._done_before + done, episode_return=episode_return)
