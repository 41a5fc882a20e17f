"""The compiled programs of a run: initialise, advance by one chunk, evaluate; seeds are vmapped.

Float settings are arguments of the programs, not constants in them, so that the compilation cache
serves every value of them. The state is donated: a chunk updates it in place.
"""

import concurrent.futures
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int

from jaxrl import training
from jaxrl.ops.missing import with_nan
from jaxrl.runs.plan import (
    end_of_chunk,
    first_progress,
    plan_chunks,
    steps_by_seed,
)
from jaxrl.runs.rows import aggregate
from jaxrl.runs.specification import Specification, build
from jaxrl.types import Algorithm, Key, Metrics, State

Constructor = Callable[[Any], Algorithm]


class Keys(NamedTuple):
    """The random keys of the seeds, each of shape [seeds]; split as `training.train` does.

    Attributes:
        init: for `Algorithm.init`.
        steps: iteration i draws from `fold_in(steps, i)`.
        evaluation: an evaluation draws from `fold_in(evaluation, environment steps)`.
    """

    init: Key
    steps: Key
    evaluation: Key


class Programs:
    """A specification, compiled.

    Attributes:
        algorithm: built from the concrete settings.
        keys: of every seed.
        chunks: how the run is cut.
        state_type: shapes and dtypes of the State of all seeds.
        compile_seconds: spent on tracing and compiling.
    """

    def __init__(self, specification: Specification, *, starts_anew: bool) -> None:
        """Builds the algorithm and compiles what the run needs, side by side.

        Args:
            specification: the run.
            starts_anew: whether `init` will be called.

        Raises:
            ValueError: a setting is wrong, or there is no time limit to evaluate under.
        """
        self._specification = specification
        self._config = specification.settings
        if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
            # As arguments of a program, plain numbers would have 64 bits.
            self._config = jax.tree.map(np.float32, self._config)
        constructor = build(specification)
        self.algorithm = constructor(self._config)
        check_can_be_evaluated(specification, self.algorithm)
        self.keys = make_keys(specification)
        self.chunks = plan_chunks(specification, self.algorithm)
        progress = first_progress(specification, self.algorithm)
        began = time.perf_counter()
        self.state_type = state_type(specification, self.algorithm)
        with concurrent.futures.ThreadPoolExecutor() as compilers:

            def compiled(function: Callable[..., Any], *arguments: Any, donate: Any = ()) -> Any:
                traced = jax.jit(function, donate_argnums=donate).lower(self._config, *arguments)
                return compilers.submit(traced.compile)

            advance = compiled(
                _advance(constructor, self.algorithm, self.chunks.num_iterations),
                *(self.keys.steps, self.state_type, progress, np.int32(0)),
                donate=2,
            )
            init = compiled(_init(constructor), self.keys.init) if starts_anew else None
            evaluate = None
            if specification.evaluation_episodes:
                evaluate = compiled(
                    _evaluate(constructor, specification.evaluation_episodes),
                    *(self.keys.evaluation, self.state_type),
                    steps_by_seed(specification, progress),
                )
        self._advance = advance.result()
        self._init = init.result() if init is not None else None
        self._evaluate = evaluate.result() if evaluate is not None else None
        self.compile_seconds = time.perf_counter() - began

    def init(self) -> State:
        """The State of all seeds at the start of a run."""
        if self._init is None:
            raise ValueError("compiled for a run that does not start anew")
        return self._init(self._config, self.keys.init)

    def advance(
        self, state: State, progress: training.Progress
    ) -> tuple[State, training.Progress, dict[str, np.ndarray]]:
        """Runs one chunk; the given State is donated. Waits for the result.

        Returns:
            The State; the progress and one row of metrics, by name [seeds], as numpy arrays.
        """
        until = np.int32(end_of_chunk(self.chunks, self.algorithm, progress))
        state, progress, row = self._advance(self._config, self.keys.steps, state, progress, until)
        progress, row = jax.device_get((progress, row))
        return state, progress, with_nan(row)

    def evaluate(self, state: State, progress: training.Progress) -> training.Evaluation:
        """Plays the specification's evaluation episodes: numpy arrays [seeds, episodes]."""
        if self._evaluate is None:
            raise ValueError("evaluation_episodes=0: there is no evaluation")
        steps = steps_by_seed(self._specification, progress)
        played = self._evaluate(self._config, self.keys.evaluation, state, steps)
        return with_nan(jax.device_get(played))


def make_keys(specification: Specification) -> Keys:
    """Derives the keys of every seed; those of member i depend on seed + i only."""
    seeds = np.arange(specification.seeds, dtype=np.uint32) + np.uint32(specification.seed)
    split = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed), 3))(seeds)
    return Keys(init=split[:, 0], steps=split[:, 1], evaluation=split[:, 2])


def state_type(specification: Specification, algorithm: Algorithm) -> Any:
    """The shapes and dtypes of the State of all seeds; nothing is compiled."""
    keys = jax.eval_shape(lambda: make_keys(specification).init)
    return jax.eval_shape(_init(lambda _: algorithm), None, keys)


def check_can_be_evaluated(specification: Specification, algorithm: Algorithm) -> None:
    """Finds out before training, not after it, that episodes might never end.

    Raises:
        ValueError: evaluations are asked for and the environment has no time limit.
    """
    if specification.evaluation_episodes and algorithm.environment.max_episode_steps is None:
        raise ValueError(
            f"{specification.environment} has no time limit, so an episode might never end: "
            "use evaluation_episodes=0"
        )


def evaluate_states(
    algorithm: Algorithm, keys: Key, states: State, *, num_episodes: int
) -> training.Evaluation:
    """Plays whole episodes with the policy of every seed.

    Args:
        algorithm: whose policies are played.
        keys: [seeds], consumed.
        states: of all seeds.
        num_episodes: per seed.

    Returns:
        Returns and lengths as numpy arrays, [seeds, num_episodes].
    """
    steps = np.zeros(keys.shape, np.int32)
    program = jax.jit(_evaluate(lambda _: algorithm, num_episodes))
    return with_nan(jax.device_get(program(None, keys, states, steps)))


def _init(constructor: Constructor) -> Callable[[Any, Key], State]:
    def init(config: Any, keys: Key) -> State:
        states = jax.vmap(constructor(config).init)(keys)
        # A weak type does not survive a checkpoint and would change the program of a resumed run.
        return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), states)

    return init


def _advance(
    constructor: Constructor, algorithm: Algorithm, num_iterations: int
) -> Callable[..., Any]:
    # A progress that all seeds share must stay unbatched, or the loop pays for a select per seed.
    axis = None if algorithm.steps_per_iteration is not None else 0

    def advance(
        config: Any, keys: Key, states: State, progress: training.Progress, until: Int[Array, ""]
    ) -> tuple[State, training.Progress, Metrics]:
        chunk = functools.partial(
            training.advance,
            algorithm=constructor(config),
            num_rows=num_iterations,
            until_steps=until,
        )
        states, after, metrics = jax.vmap(
            lambda key, state, progress: chunk(key, state=state, progress=progress),
            in_axes=(0, 0, axis),
            out_axes=(0, axis, 0),
        )(keys, states, progress)
        used = after.iteration - progress.iteration
        return states, after, jax.vmap(aggregate, in_axes=(0, axis))(metrics, used)

    return advance


def _evaluate(
    constructor: Constructor, num_episodes: int
) -> Callable[[Any, Key, State, Array], training.Evaluation]:
    def evaluate(config: Any, keys: Key, states: State, steps: Array) -> training.Evaluation:
        algorithm = constructor(config)

        def evaluate_one(key: Key, state: State, steps: Array) -> training.Evaluation:
            return training.evaluate(
                jax.random.fold_in(key, steps),
                algorithm.environment,
                algorithm.policy(state),
                num_episodes=num_episodes,
            )

        return jax.vmap(evaluate_one)(keys, states, steps)

    return evaluate
