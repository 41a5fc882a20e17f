"""The seams of the library: what an environment, a network, an agent and an algorithm are.

Every seam is a NamedTuple of pure functions, built the way an optax optimiser is built. Functions
that act on one environment are unbatched; loops vmap them. This module imports nothing of ours.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

Key: TypeAlias = Array
"""A typed random key (`jax.random.key`), shape (). A function that takes one consumes it."""

PyTree: TypeAlias = Any
Params: TypeAlias = PyTree
Observation: TypeAlias = PyTree
Action: TypeAlias = Array
EnvState: TypeAlias = PyTree
Carry: TypeAlias = PyTree
AgentState: TypeAlias = Any
SearchState: TypeAlias = Any
State: TypeAlias = Any
Metrics: TypeAlias = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0 .. num_categories - 1."""

    num_categories: int
    dtype: Any = jnp.int32

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def sample(self, key: Key) -> Array:
        """Draws one element uniformly, shape ()."""
        return jax.random.randint(key, (), 0, self.num_categories, self.dtype)

    def contains(self, x: Array) -> Bool[Array, ""]:
        """Whether `x` lies in the space."""
        return jnp.logical_and(x >= 0, x < self.num_categories)


@dataclasses.dataclass(frozen=True)
class MultiDiscrete:
    """A vector of independent integers, the i-th in 0 .. num_categories[i] - 1."""

    num_categories: tuple[int, ...]
    dtype: Any = jnp.int32

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.num_categories),)

    def sample(self, key: Key) -> Array:
        """Draws one element uniformly, shape (len(num_categories),)."""
        # In a narrow type, the number of categories may be one too many.
        upper = jnp.asarray(self.num_categories, jnp.int32)
        return jax.random.randint(key, self.shape, 0, upper, self.dtype)

    def contains(self, x: Array) -> Bool[Array, ""]:
        """Whether `x` lies in the space."""
        return jnp.all(jnp.logical_and(x >= 0, x < jnp.asarray(self.num_categories)))


@dataclasses.dataclass(frozen=True, eq=False)
class Box:
    """Arrays of one shape between two bounds; a bound is a number, or an array or a list of them.

    Bounds broadcast to the shape. They may be traced (they can depend on an environment parameter);
    shape and dtype are static. Boxes are equal where their elements are; traced bounds are equal to
    themselves only.
    """

    low: Any
    high: Any
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        # A frozen dataclass sets its own fields this way too.
        for name in ("low", "high"):
            object.__setattr__(self, name, self._as_bound(name))
        if _is_traced(self.low, self.high):
            return
        if np.any(np.asarray(self.low) > np.asarray(self.high)):
            raise ValueError(f"low={self.low} must be at most high={self.high}")

    def _as_bound(self, name: str) -> Any:
        """A bound as a number or an array, in the elements' type where these are floats."""
        bound = getattr(self, name)
        bound = bound.item() if isinstance(bound, np.generic) else bound
        if isinstance(bound, list | tuple):
            leaves = jax.tree.leaves(bound)
            bound = jnp.asarray(bound) if _is_traced(*leaves) else np.asarray(bound)
        if isinstance(bound, np.ndarray) and jnp.issubdtype(self.dtype, jnp.floating):
            bound = bound.astype(self.dtype)
        try:
            fits = np.broadcast_shapes(np.shape(bound), self.shape) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"{name} has shape {np.shape(bound)}, which does not broadcast to {self.shape}"
            )
        return bound

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Box):
            return NotImplemented
        if self.shape != other.shape or jnp.dtype(self.dtype) != jnp.dtype(other.dtype):
            return False
        bounds = ((self.low, other.low), (self.high, other.high))
        return all(
            one is two or (not _is_traced(one, two) and bool(np.all(np.equal(one, two))))
            for one, two in bounds
        )

    def __hash__(self) -> int:
        return hash((self.shape, jnp.dtype(self.dtype)))

    def bounds(self) -> tuple[Any, Any]:
        """Low and high as arrays of the box's shape, of its type where that is a float.

        They are NumPy's where nothing is traced, so that also inside `jit` they have values.
        """
        floating = jnp.issubdtype(self.dtype, jnp.floating)
        dtype = self.dtype if floating else jnp.float32

        def full(bound: Any) -> Any:
            library = jnp if _is_traced(bound) else np
            return library.broadcast_to(library.asarray(bound, dtype), self.shape)

        return full(self.low), full(self.high)

    def sample(self, key: Key) -> Array:
        """Draws one element: uniform where both bounds are usable, standard normal elsewhere.

        Of whole numbers, all between the bounds, both included, are as likely; where a bound is
        infinite, the normal number is rounded.
        """
        if self.dtype == jnp.bool_:
            return jax.random.bernoulli(key, shape=self.shape)
        key_uniform, key_normal = jax.random.split(key)
        if jnp.issubdtype(self.dtype, jnp.integer):
            return self._sample_whole(key_uniform, key_normal)
        low = jnp.broadcast_to(jnp.asarray(self.low, jnp.float32), self.shape)
        high = jnp.broadcast_to(jnp.asarray(self.high, jnp.float32), self.shape)
        bounded = jnp.isfinite(high - low)
        uniform = jax.random.uniform(key_uniform, self.shape, jnp.float32)
        scaled = jnp.where(bounded, low, 0.0) + uniform * jnp.where(bounded, high - low, 1.0)
        unbounded = jnp.clip(jax.random.normal(key_normal, self.shape, jnp.float32), low, high)
        return jnp.where(bounded, scaled, unbounded).astype(self.dtype)

    def _sample_whole(self, key_uniform: Key, key_normal: Key) -> Array:
        dtype = jax.dtypes.canonicalize_dtype(self.dtype)
        low, high = _whole(self.low, dtype, up=True), _whole(self.high, dtype, up=False)
        if not _is_traced(low, high) and np.any(np.asarray(low) > np.asarray(high)):
            raise ValueError(f"there is no whole number between {self.low} and {self.high}")
        low, high = (jnp.broadcast_to(jnp.asarray(x), self.shape) for x in (low, high))
        bounded = jnp.asarray(_is_finite(self.low) & _is_finite(self.high))
        normal = jnp.round(jax.random.normal(key_normal, self.shape, jnp.float32))
        least = float(jnp.iinfo(dtype).min)
        unbounded = jnp.clip(jnp.maximum(normal, least).astype(dtype), low, high)
        return jnp.where(bounded, _uniform_whole(key_uniform, low, high), unbounded)

    def contains(self, x: Array) -> Bool[Array, ""]:
        """Whether `x` lies in the space."""
        return jnp.all(jnp.logical_and(x >= self.low, x <= self.high))

    def is_bounded(self) -> bool:
        """Whether it is of finite width on all sides; traced bounds are taken to be."""
        if _is_traced(self.low, self.high):
            return True
        width = np.asarray(self.high, np.float64) - np.asarray(self.low, np.float64)
        # Beyond, the width is infinite in the arithmetic of float32.
        return bool((width <= np.finfo(np.float32).max).all())


def _is_traced(*values: Any) -> bool:
    return any(isinstance(value, Tracer) for value in values)


def _is_finite(bound: Any) -> Any:
    return (jnp if _is_traced(bound) else np).isfinite(bound)


def _whole(bound: Any, dtype: Any, *, up: bool) -> Any:
    """The nearest whole number within a bound, in an integer type; NumPy's if it is not traced."""
    info, traced = jnp.iinfo(dtype), _is_traced(bound)
    bound = bound if traced else np.asarray(bound)
    if not jnp.issubdtype(bound.dtype, jnp.inexact):
        bound = bound.astype(np.int32) if bound.dtype == jnp.bool_ else bound
        own = jnp.iinfo(bound.dtype)
        return bound.clip(max(own.min, info.min), min(own.max, info.max)).astype(dtype)
    library = jnp if traced else np
    bound = bound if traced else bound.astype(np.float64)
    bound = library.ceil(bound) if up else library.floor(bound)
    # As a float, the greatest number may be rounded to one more, which has no integer.
    inside = library.where((bound > info.min) & (bound < info.max), bound, 0).astype(dtype)
    outside = library.where(bound >= info.max, info.max, info.min).astype(dtype)
    return library.where((bound > info.min) & (bound < info.max), inside, outside)


def _uniform_whole(key: Key, low: Array, high: Array) -> Array:
    """Draws from low .. high, both included, whatever lies between."""
    dtype = low.dtype
    if jnp.iinfo(dtype).bits > 32:
        beyond = jnp.minimum(high, jnp.iinfo(dtype).max - 1) + 1
        return jax.random.randint(key, low.shape, low, beyond, dtype)
    wide = jnp.int32 if jnp.issubdtype(dtype, jnp.signedinteger) else jnp.uint32
    start, end = (jax.lax.bitcast_convert_type(x.astype(wide), jnp.uint32) for x in (low, high))
    count = end - start + 1  # 0 for all 2^32.
    bits = jax.random.bits(key, low.shape, jnp.uint32)
    # floor(bits count / 2^32), by halves of 16 bits.
    upper, lower = bits >> 16, bits & 0xFFFF
    most, least = count >> 16, count & 0xFFFF
    middle = upper * least + (lower * least >> 16)
    other = lower * most + (middle & 0xFFFF)
    offset = upper * most + (middle >> 16) + (other >> 16)
    number = start + jnp.where(count == 0, bits, offset)
    return jax.lax.bitcast_convert_type(number, wide).astype(dtype)


Space: TypeAlias = Discrete | MultiDiscrete | Box


class MaskedObservation(NamedTuple):
    """What is seen, and which actions are allowed.

    Attributes:
        observation: what is seen; all that a network gets.
        action_mask: bool [K], whether each category of the action is allowed; of MultiDiscrete
            actions, the categories of all factors behind one another.
    """

    observation: Observation
    action_mask: Bool[Array, "*batch K"]


@dataclasses.dataclass(frozen=True)
class MaskedSpace:
    """Observations with the mask of the allowed actions beside them.

    Attributes:
        space: of what is seen.
        num_categories: K, the length of the mask.
    """

    space: Space
    num_categories: int

    def sample(self, key: Key) -> MaskedObservation:
        """Draws what is seen uniformly; every action is allowed."""
        return MaskedObservation(self.space.sample(key), jnp.ones(self.num_categories, bool))

    def contains(self, x: MaskedObservation) -> Bool[Array, ""]:
        """Whether what is seen lies in its space."""
        return self.space.contains(x.observation)


ObservationSpace: TypeAlias = Space | MaskedSpace


class TimeStep(NamedTuple):
    """One environment's answer to one action.

    Attributes:
        observation: what the next action is chosen from; already reset if the episode ended.
        reward: float32, shape ().
        terminated: bool, shape (); the task ended, so the future is worth nothing.
        truncated: bool, shape (); cut off by a limit, so the future is worth V(final_observation).
            Where both are set, terminated wins.
        final_observation: the successor before any reset; equals `observation` within an episode.
        info: further arrays by name. `task_reward` is the reward before any scaling or clipping:
            a wrapper that changes `reward` keeps it there, and reported returns are sums of it.
    """

    observation: Observation
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    final_observation: Observation
    info: dict[str, Any]


class Environment(NamedTuple):
    """A task, one instance: no batch axis.

    Attributes:
        name: for people and for presets.
        observation_space: of `observation`.
        action_space: of `action`.
        reset: (key) -> (EnvState, observation).
        step: (key, EnvState, action) -> (EnvState, TimeStep); resets by itself at an episode's end.
        max_episode_steps: no episode is longer; may be traced. None: no limit is known.
    """

    name: str
    observation_space: ObservationSpace
    action_space: Space
    reset: Callable[[Key], tuple[EnvState, Observation]]
    step: Callable[[Key, EnvState, Action], tuple[EnvState, TimeStep]]
    max_episode_steps: Any = None


class Network(NamedTuple):
    """Any library's module, as two functions; per example.

    Attributes:
        init: (key, *inputs) -> Params.
        apply: (Params, *inputs) -> output.
        batched: whether `apply` also takes inputs with leading batch axes, so that learners need
            not vmap it (`networks.over_batch`).
    """

    init: Callable[..., Params]
    apply: Callable[..., Any]
    batched: bool = False


class RecurrentNetwork(NamedTuple):
    """A network with memory.

    Attributes:
        init: (key, observation) -> Params.
        start: () -> Memory, at an episode's start; no batch axis.
        apply: (Params, Memory, observation) -> (Memory, output): one step of one environment.
        unroll: (Params, Memory [B], observation [T, B], ended [T, B]) -> (Memory [T, B],
            output [T, B]): the same steps of B environments, each starting over after `ended`. The
            memories are those after each step, before any start.
    """

    init: Callable[..., Params]
    start: Callable[[], Any]
    apply: Callable[[Params, Any, Observation], tuple[Any, Any]]
    unroll: Callable[[Params, Any, Observation, Array], tuple[Any, Any]]


class Policy(NamedTuple):
    """What to do, one environment at a time, with the parameters inside.

    Attributes:
        start: (key) -> Carry, the memory at an episode's start.
        act: (key, Carry, observation) -> (Carry, action).
    """

    start: Callable[[Key], Carry]
    act: Callable[[Key, Carry, Observation], tuple[Carry, Action]]


class Transition(NamedTuple):
    """What a learner reads of one step; in a rollout every leaf has leading axes [T, B].

    Attributes:
        observation: what the action was chosen from.
        action: as the policy drew it, before the environment's door clips or scales it.
        reward: the (possibly scaled) reward that followed.
        terminated: see `TimeStep`.
        truncated: see `TimeStep`.
        final_observation: the successor before any reset.
        extras: what `Agent.act` reported beside the action, such as its log-probability.
    """

    observation: Observation
    action: Action
    reward: Array
    terminated: Array
    truncated: Array
    final_observation: Observation
    extras: PyTree


class Rollout(NamedTuple):
    """What an on-policy agent learns from.

    Attributes:
        transitions: leaves [T, B, ...]: T steps of B environments.
        carry: leaves [B, ...]: the actors' memory before the first step.
    """

    transitions: Transition
    carry: Carry


class Episodes(NamedTuple):
    """What an agent learns from whole episodes: each from its reset on, padded to one length.

    Attributes:
        transitions: leaves [T, m, ...]; T is the longest that an episode can be. After its end an
            episode repeats its first step, so that whatever is computed there is nothing unusual.
            `final_observation` is (): a whole episode is not bootstrapped.
        mask: bool [T, m], which steps are the episode's, up to and including its last; none of an
            episode that had not ended after T steps.
        carry: leaves [m, ...]: the actors' memory before the first step.
    """

    transitions: Transition
    mask: Array
    carry: Carry


class StepsBetween(NamedTuple):
    """The steps after a replayed step and before its successor, of a replay of n steps.

    Attributes:
        observation: leaves [M, n - 1, ...], what their actions were chosen from; anything where the
            discount is 0.
        discount: float32 [M, n - 1], gamma to the number of steps after the replayed one; 0 where
            the episode had ended.
    """

    observation: Observation
    discount: Float[Array, "M K"]


class Replayed(NamedTuple):
    """M steps of the past; what follows a step is n steps later, or fewer where an episode ended.

    Attributes:
        observation: leaves [M, ...], what the action was chosen from.
        action: [M, ...], as the policy drew it.
        reward: float32 [M], the discounted sum of the rewards until the successor.
        discount: float32 [M], of the successor's value; 0 where the task terminated, and not where
            a limit cut the episode off.
        next_observation: leaves [M, ...], the successor, before any reset; anything where the task
            terminated.
        weight: float32 [M], of the step in the loss; 1 where all are as likely to be sampled.
        index: int32 [M], by which `Replay.prioritize` knows the step.
        between: the steps before the successor; None where there are none, or nobody asked.
    """

    observation: Observation
    action: Action
    reward: Float[Array, " M"]
    discount: Float[Array, " M"]
    next_observation: Observation
    weight: Float[Array, " M"]
    index: Int[Array, " M"]  # pyright: ignore[reportIncompatibleMethodOverride]
    between: StepsBetween | None = None


class Replay(NamedTuple):
    """Steps of the past, to be learnt from again.

    Attributes:
        init: () -> ReplayState, of nothing.
        add: (ReplayState, Transition [T, B]) -> ReplayState; what is oldest makes room.
        sample: (key, ReplayState) -> Replayed [M]; meaningless before `can_sample`.
        can_sample: (ReplayState) -> bool, shape ().
        prioritize: (ReplayState, index [M], error [M]) -> ReplayState, after learning.
    """

    init: Callable[[], Any]
    add: Callable[[Any, Transition], Any]
    sample: Callable[[Key, Any], Replayed]
    can_sample: Callable[[Any], Array]
    prioritize: Callable[[Any, Array, Array], Any]


class Agent(NamedTuple):
    """A learning rule; knows nothing of environments or replay. `act` is per environment.

    Attributes:
        init: (key) -> AgentState.
        start: (key) -> Carry, one environment's actor memory at an episode's start:
            () | a recurrent state | an exploration noise.
        act: (key, AgentState, Carry, observation) -> (Carry, action, extras); explores.
        update: (key, AgentState, batch) -> (AgentState, Metrics).
        policy: (AgentState) -> Policy, which does not explore.
    """

    init: Callable[[Key], AgentState]
    start: Callable[[Key], Carry]
    act: Callable[[Key, AgentState, Carry, Observation], tuple[Carry, Action, PyTree]]
    update: Callable[[Key, AgentState, Any], tuple[AgentState, Metrics]]
    policy: Callable[[AgentState], Policy]


class ReplayAgent(NamedTuple):
    """A learning rule for steps of the past; knows nothing of environments or of their storage.

    Attributes:
        init: (key) -> AgentState.
        start: (key) -> Carry, as in `Agent`.
        act: (key, AgentState, Carry, observation) -> (Carry, action); explores.
        observe: (key, AgentState, Transition [T, B]) -> AgentState: what has just been collected,
            each step once; for statistics and schedules.
        update: (key, AgentState, Replayed [M]) -> (AgentState, error [M], Metrics); the errors are
            what prioritised replay goes by.
        policy: (AgentState) -> Policy, which does not explore.
    """

    init: Callable[[Key], AgentState]
    start: Callable[[Key], Carry]
    act: Callable[[Key, AgentState, Carry, Observation], tuple[Carry, Action]]
    observe: Callable[[Key, AgentState, Transition], AgentState]
    update: Callable[[Key, AgentState, Replayed], tuple[AgentState, Array, Metrics]]
    policy: Callable[[AgentState], Policy]


class GradientAgent(NamedTuple):
    """An agent whose update is one gradient step, in two halves.

    The halves may happen at different times and with different parameters: an asynchronous worker's
    gradient is of its own copy, and is applied to the shared state.

    Attributes:
        init: (key) -> AgentState.
        params: (AgentState) -> Params, all that acting and gradients read of the state.
        start: (key) -> Carry, as in `Agent`.
        act: (key, Params, Carry, observation) -> (Carry, action, extras), as in `Agent`.
        gradient: (key, Params, batch) -> (gradient, Metrics).
        apply: (AgentState, gradient) -> (AgentState, Metrics).
        policy: (Params) -> Policy, which does not explore.
    """

    init: Callable[[Key], AgentState]
    params: Callable[[AgentState], Params]
    start: Callable[[Key], Carry]
    act: Callable[[Key, Params, Carry, Observation], tuple[Carry, Action, PyTree]]
    gradient: Callable[[Key, Params, Any], tuple[Params, Metrics]]
    apply: Callable[[AgentState, Params], tuple[AgentState, Metrics]]
    policy: Callable[[Params], Policy]


class Strategy(NamedTuple):
    """A black-box search for a vector of D numbers that is worth much; knows nothing of tasks.

    Fitness is a return: the higher the better. A candidate whose fitness is nan has failed.

    Attributes:
        init: (vector [D]) -> SearchState, from where the search starts.
        ask: (key, SearchState) -> (SearchState, candidates [N, D]), to be evaluated.
        tell: (key, SearchState, candidates [N, D], fitness [N]) -> (SearchState, Metrics).
        solution: (SearchState) -> vector [D], what the search recommends so far.
        population_size: N.
    """

    init: Callable[[Array], SearchState]
    ask: Callable[[Key, SearchState], tuple[SearchState, Array]]
    tell: Callable[[Key, SearchState, Array, Array], tuple[SearchState, Metrics]]
    solution: Callable[[SearchState], Array]
    population_size: int


class Algorithm(NamedTuple):
    """What every method is to train, sweep and experiment.

    Attributes:
        init: (key) -> State: everything needed to go on (parameters, optimiser, environments).
        step: (key, State) -> (State, Metrics): one iteration: interact, then learn.
            `Metrics["steps"]` counts the environment steps taken since `init`.
        policy: (State) -> Policy, which does not explore.
        environment: the task that the policy is evaluated in.
        total_steps: the budget, in environment steps.
        steps_per_iteration: what one `step` takes; None: it varies.
        max_iterations: the number of iterations, or their bound where the cost varies.
        first_steps: environment steps that `init` takes, of the budget.
    """

    init: Callable[[Key], State]
    step: Callable[[Key, State], tuple[State, Metrics]]
    policy: Callable[[State], Policy]
    environment: Environment
    total_steps: int
    steps_per_iteration: int | None
    max_iterations: int
    first_steps: int = 0
