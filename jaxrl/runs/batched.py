"""The programs of a run, as functions of all of its members at once: initialise, advance, evaluate.

Float settings are arguments of the programs, not constants in them, so that the compilation cache
serves every value of them: scalars where the members share them, [members] where they differ.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt

from jaxrl import training
from jaxrl.runs.construction import Constructor
from jaxrl.runs.grouping import Differences
from jaxrl.runs.learnt import LEARNT_IS_FINITE, learnt_is_finite
from jaxrl.runs.lots import in_lots
from jaxrl.runs.rows import aggregate
from jaxrl.runs.specification import Specification
from jaxrl.settings import MAX_STEPS
from jaxrl.types import Algorithm, Key, Metrics, State


class Keys(NamedTuple):
    """The random keys of the members, each of shape [members]; split as `training.train` does.

    Attributes:
        init: for `Algorithm.init`.
        steps: iteration i draws from `fold_in(steps, i)`.
        evaluation: an evaluation draws from `fold_in(evaluation, environment steps)`.
    """

    init: Key
    steps: Key
    evaluation: Key


def make_keys(specification: Specification) -> Keys:
    """Derives the keys of every member, which depend on its seed only."""
    seeds = np.array([member.seed for member in specification.members], np.uint32)
    split = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed), 3))(seeds)
    return Keys(init=split[:, 0], steps=split[:, 1], evaluation=split[:, 2])


def shared_settings(specification: Specification) -> Any:
    """Returns the run's settings as the programs take them."""
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        # As arguments of a program, plain numbers would have 64 bits.
        return jax.tree.map(np.float32, specification.settings)
    return specification.settings


def init_of(construct: Constructor) -> Callable[[Any, Differences, Key], State]:
    """Makes the program (settings, differences, keys [members]) -> State [members]."""

    def init(settings: Any, differences: Differences, keys: Key) -> State:
        states = jax.vmap(lambda own, key: construct(settings, own).init(key))(differences, keys)
        # A weak type does not survive a checkpoint and would change the program of a resumed run.
        return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), states)

    return init


def advance_of(
    construct: Constructor, algorithm: Algorithm, num_iterations: int
) -> Callable[..., Any]:
    """Makes the program of one chunk.

    Args:
        construct: of any member's algorithm.
        algorithm: of one of them, for what they share.
        num_iterations: the most iterations of a chunk.

    Returns:
        (settings, differences, keys, states, progress, base, until) -> (states, progress, row of
        metrics [members] and whether what was learnt is finite); all steps are counted from `base`,
        in int32.
    """
    # A progress that all members share must stay unbatched, or the loop pays for a select per one.
    axis = None if algorithm.steps_per_iteration is not None else 0

    def advance(
        settings: Any,
        differences: Differences,
        keys: Key,
        states: State,
        progress: training.Progress,
        base: Int[Array, ""],
        until: Int[Array, ""],
    ) -> tuple[State, training.Progress, Metrics]:
        def advance_one(own: Differences, key: Key, state: State, progress: Any) -> Any:
            return training.advance(
                key,
                _counting_from(base, construct(settings, own)),
                state,
                progress,
                num_rows=num_iterations,
                until_steps=until,
            )

        def advance_lot(states: State, given: Any) -> tuple[State, Any]:
            own, keys, own_progress = given
            before = progress if axis is None else own_progress
            states, after, metrics = jax.vmap(
                advance_one, in_axes=(0, 0, 0, axis), out_axes=(0, axis, 0)
            )(own, keys, states, before)
            used = after.iteration - before.iteration
            row = jax.vmap(aggregate, in_axes=(0, axis))(metrics, used)
            row |= {LEARNT_IS_FINITE: jax.vmap(learnt_is_finite)(states)}
            if axis is None:
                after = jax.tree.map(lambda x: jnp.broadcast_to(x, keys.shape + x.shape), after)
            return states, (after, row)

        own_progress = None if axis is None else progress
        states, (after, row) = in_lots(advance_lot, states, (differences, keys, own_progress))
        if axis is None:
            after = jax.tree.map(lambda x: x[0], after)
        return states, after, row

    return advance


def evaluate_of(
    construct: Constructor, num_episodes: int, *, explores: bool = False
) -> Callable[..., training.Evaluation]:
    """Makes the program that plays `num_episodes` with each member's policy.

    Args:
        construct: of any member's algorithm.
        num_episodes: of each member.
        explores: whether it is the policy that explores, which the algorithm must have.

    Returns:
        (settings, differences, keys, states, steps uint32 [members]) -> Evaluation [members].
    """

    def evaluate(
        settings: Any,
        differences: Differences,
        keys: Key,
        states: State,
        steps: UInt[Array, " members"],
    ) -> training.Evaluation:
        def evaluate_one(
            own: Differences, key: Key, state: State, steps: UInt[Array, ""]
        ) -> training.Evaluation:
            algorithm = construct(settings, own)
            policy = algorithm.behavior if explores else algorithm.policy
            assert policy is not None
            return training.evaluate(
                jax.random.fold_in(key, steps),
                algorithm.environment,
                policy(state),
                num_episodes=num_episodes,
            )

        def evaluate_lot(_: tuple[()], given: Any) -> tuple[tuple[()], training.Evaluation]:
            return (), jax.vmap(evaluate_one)(*given)

        return in_lots(evaluate_lot, (), (differences, keys, states, steps))[1]

    return evaluate


def state_type(specification: Specification, construct: Constructor, own: Differences) -> Any:
    """Returns the shapes and dtypes of the State of all members; nothing is compiled."""
    keys = jax.eval_shape(lambda: make_keys(specification).init)
    return jax.eval_shape(init_of(construct), shared_settings(specification), own, keys)


def _counting_from(base: Int[Array, ""], algorithm: Algorithm) -> Algorithm:
    """The same algorithm, its steps counted from `base`.

    Its own counter may have gone round beyond 2^31; in int32, the difference is right all the same.
    """

    def step(key: Key, state: State) -> tuple[State, Metrics]:
        state, row = algorithm.step(key, state)
        return state, row | {"steps": jnp.asarray(row["steps"], jnp.int32) - base}

    bound = min(algorithm.max_iterations, MAX_STEPS)
    return algorithm._replace(step=step, max_iterations=bound)
