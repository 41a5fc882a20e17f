"""How many environment steps a run may take."""

from typing import Any

# Steps are counted in int32.
MAX_STEPS = 2**31 - 1


def check_budget(config: Any, batch_size: int, batch_name: str) -> None:
    """Checks that steps can be counted to the end of the iteration that reaches the budget.

    Raises:
        ValueError: they cannot; an iteration takes up to `batch_size` steps, called `batch_name`.
    """
    if config.total_steps + batch_size > MAX_STEPS:
        raise ValueError(
            f"total_steps={config.total_steps} and {batch_name} = {batch_size} are too "
            f"many: together they must stay at most {MAX_STEPS}"
        )
