"""Two players of one game, trained in turns, as one pure function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.keys import typed_key
from jaxrl.settings import MAX_STEPS
from jaxrl.training import Progress, advance
from jaxrl.types import Algorithm, Key, Metrics, Policy, State


class AlternationResult(NamedTuple):
    """Result of training two players in turns.

    Attributes:
        first: the first player's final State, of which its algorithm's `policy` makes a policy.
        second: the second player's.
        first_metrics: by name, [rounds, iterations of a round]; rows that were not needed are nan,
            or -1 for counts.
        second_metrics: the same of the second player.
    """

    first: State
    second: State
    first_metrics: Metrics
    second_metrics: Metrics


def alternate(
    key: Key,
    first: Callable[[Policy], Algorithm],
    second: Callable[[Policy], Algorithm],
    *,
    opening: Policy,
    num_rounds: Any,
) -> AlternationResult:
    """Trains two players in turns, each against the other's latest policy, which does not explore.

    In each round, one after the other goes on where it stood, for an equal share of its
    `total_steps`. Any two algorithms will do. Pure: jit it, or vmap it over keys.

    Args:
        key: consumed.
        first: (the second player's policy) -> the first player's algorithm.
        second: (the first player's policy) -> the second player's algorithm.
        opening: a policy of the first player, which only settles how the second one begins.
        num_rounds: how many; static, at least 1.

    Returns:
        Both final states, and the rows of metrics.

    Raises:
        ValueError: an argument is not what it should be, or a budget exceeds int32.

    Example:
        >>> import jax, jaxrl, jaxrl.environments.finance as finance
        >>> config = jaxrl.PPOConfig(total_steps=64, num_envs=1, num_steps=16)
        >>> def dealer(opponent):
        ...     given = {"opponent": "policy", "opponent_policy": opponent}
        ...     return jaxrl.ppo(finance.market_making(**given), config)
        >>> def adversary(maker):
        ...     given = {"market_maker": "policy", "market_maker_policy": maker}
        ...     return jaxrl.ppo(finance.market_making_adversary(**given), config)
        >>> opening = finance.quote_policy(finance.symmetric_quotes())
        >>> def train(key):
        ...     return jaxrl.alternate(key, dealer, adversary, opening=opening, num_rounds=2)
        >>> result = jax.jit(train)(jax.random.key(0))
        >>> learned = adversary(opening).policy(result.second)
        >>> policy = dealer(learned).policy(result.first)
    """
    _require(num_rounds, opening)
    keys = jax.random.split(typed_key(key), 5)
    stand_in = second(opening)
    one = first(stand_in.policy(stand_in.init(keys[0])))
    first_state = one.init(keys[1])
    other = second(one.policy(first_state))

    def play_round(carry: Any, index: Any) -> tuple[Any, Any]:
        first_run, second_run = carry
        against_second = first(other.policy(second_run[0]))
        first_run, rows = _part(keys[3], against_second, first_run, index, num_rounds)
        against_first = second(one.policy(first_run[0]))
        second_run, other_rows = _part(keys[4], against_first, second_run, index, num_rounds)
        return (first_run, second_run), (rows, other_rows)

    runs = ((first_state, _beginning(one)), (other.init(keys[2]), _beginning(other)))
    runs, rows = jax.lax.scan(play_round, runs, jnp.arange(num_rounds))
    return AlternationResult(runs[0][0], runs[1][0], *rows)


def _part(
    key: Key, algorithm: Algorithm, run: tuple[State, Progress], index: Any, num_rounds: int
) -> tuple[tuple[State, Progress], Metrics]:
    """One round's part of a run's budget."""
    share = -(-algorithm.total_steps // num_rounds)
    cost = algorithm.steps_per_iteration
    num_rows = algorithm.max_iterations if cost is None else -(-share // cost)
    state, progress, rows = advance(
        key,
        algorithm,
        run[0],
        run[1],
        num_rows=num_rows,
        until_steps=jnp.minimum(share * (index + 1), algorithm.total_steps),
    )
    return (state, progress), rows


def _beginning(algorithm: Algorithm) -> Progress:
    if algorithm.total_steps + (algorithm.steps_per_iteration or 0) > MAX_STEPS:
        raise ValueError(
            f"total_steps={algorithm.total_steps} cannot be counted in one program, whose most is "
            f"{MAX_STEPS}"
        )
    return Progress(iteration=jnp.int32(0), steps=jnp.int32(algorithm.first_steps))


def _require(num_rounds: Any, opening: Any) -> None:
    whole = isinstance(num_rounds, int | np.integer) and not isinstance(num_rounds, bool)
    if not whole or num_rounds < 1:
        raise ValueError(f"num_rounds={num_rounds!r} must be a whole number, at least 1")
    if not isinstance(opening, Policy):
        raise ValueError(f"opening must be a jaxrl Policy, not {type(opening).__name__}")
