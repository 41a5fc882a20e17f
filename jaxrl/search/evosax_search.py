"""Any strategy of the evosax library (CMA-ES, SNES, PGPE, ...) as a strategy of policy search.

evosax minimises and calls its objects' methods; here fitness is maximised, so that it is negated on
the way in. A strategy that keeps a population, and wants it evaluated before it begins, is begun
with the first candidates that it is told.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from jaxrl.ops.fitness import finite_fitness
from jaxrl.search._checking import checked
from jaxrl.search._policy_search import PolicySearchConfig, policy_search
from jaxrl.settings import number, require_settings, settings, static
from jaxrl.types import Algorithm, Environment, Key, Metrics, Network, Strategy

# What evosax's strategies call the width of the first candidates.
_WIDTHS = ("std_init", "radius_max")


@settings
class EvosaxConfig(PolicySearchConfig):
    """Settings of a strategy from evosax."""

    strategy: str = static("Sep_CMA_ES")
    """evosax's name for it, such as CMA_ES, SNES, PGPE, Open_ES, PSO or DifferentialEvolution."""
    population_size: int = static(32, minimum=2)
    """Candidates of an iteration."""
    noise_scale: float = number(0.5, minimum=0, open_minimum=True)
    """Standard deviation of the first candidates; needs a strategy that has such a parameter."""
    learning_rate: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """Of Adam, in a strategy with an optimiser; None: the strategy's own default."""
    recommend_best: bool = static(False)
    """The solution is the best candidate so far, and not the mean of a strategy that has one."""


class EvosaxState(NamedTuple):
    """State of the search.

    Attributes:
        inner: evosax's own state.
        start: [D], where the search started.
        is_first: bool (), whether nothing was told yet.
    """

    inner: Any
    start: Float[Array, " D"]
    is_first: Bool[Array, ""]


class Evosax(NamedTuple):
    """An object of evosax's with its parameters.

    Attributes:
        algorithm: made for flat vectors of D numbers.
        params: evosax's parameters of it.
        has_population: whether its `init` takes an evaluated population instead of a mean.
        has_width: whether the deviation of the first candidates can be set.
    """

    algorithm: Any
    params: Any
    has_population: bool
    has_width: bool


def evosax_search(
    env: Environment, config: EvosaxConfig, *, network: Network | None = None
) -> Algorithm:
    """Builds a policy search by an evosax strategy; arguments and errors as `policy_search`.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.EvosaxConfig(strategy="CMA_ES", population_size=32)
        >>> algorithm = jaxrl.evosax_search(env, config)
        >>> algorithm.total_steps
        100000
    """
    return policy_search(env, evosax_strategy(config), config, network=network)


def evosax_strategy(config: EvosaxConfig) -> Strategy:
    """Builds an evosax strategy for any function of a vector.

    Raises:
        ValueError: evosax is missing or has no such strategy, or a setting does not suit it.
    """
    require_settings(config, EvosaxConfig)
    make = _maker(config)
    # What is wrong is known now, before anything is traced.
    _require_use(config, make(2))

    def init(vector: Float[Array, " D"]) -> EvosaxState:
        evosax = make(vector.size)
        # Its numbers are drawn anew below; until then the state only has the right shape.
        key = jax.random.key(0)
        if evosax.has_population:
            population = jnp.broadcast_to(vector, (config.population_size, vector.size))
            fitness = jnp.zeros(config.population_size, jnp.float32)
            inner = _theirs(evosax.algorithm.init, key, population, fitness, evosax.params)
        else:
            inner = _theirs(evosax.algorithm.init, key, vector, evosax.params)
        inner = jax.tree.map(_settled, inner)
        return EvosaxState(inner=inner, start=vector, is_first=jnp.asarray(True))

    def ask(key: Key, state: EvosaxState) -> tuple[EvosaxState, Float[Array, "N D"]]:
        evosax = make(state.start.size)
        key_ask, key_first = jax.random.split(key)
        candidates, inner = _theirs(evosax.algorithm.ask, key_ask, state.inner, evosax.params)
        state = state._replace(inner=_like(state.inner, inner))
        candidates = candidates.astype(jnp.float32)
        if not evosax.has_population:
            return state, candidates
        noise = jax.random.normal(key_first, candidates.shape, jnp.float32)
        first = state.start[None] + config.noise_scale * noise
        return state, jnp.where(state.is_first, first, candidates)

    def tell(
        key: Key, state: EvosaxState, candidates: Float[Array, "N D"], fitness: Float[Array, " N"]
    ) -> tuple[EvosaxState, Metrics]:
        evosax = make(state.start.size)
        key_tell, key_first = jax.random.split(key)
        cost = -finite_fitness(fitness)
        arguments = (key_tell, candidates, cost, state.inner, evosax.params)
        inner = _like(state.inner, _theirs(evosax.algorithm.tell, *arguments)[0])
        if evosax.has_population:
            begun = _theirs(evosax.algorithm.init, key_first, candidates, cost, evosax.params)
            inner = _choose(state.is_first, _like(state.inner, begun), inner)
        told = EvosaxState(inner=inner, start=state.start, is_first=jnp.asarray(False))
        # Where all candidates failed, nothing was told.
        state = _choose(jnp.any(fitness > -jnp.inf), told, state)
        return state, {"best_fitness": jnp.asarray(-state.inner.best_fitness, jnp.float32)}

    def solution(state: EvosaxState) -> Float[Array, " D"]:
        evosax = make(state.start.size)
        if evosax.has_population or config.recommend_best:
            return jnp.where(state.is_first, state.start, state.inner.best_solution)
        return state.inner.mean

    search = (_precise(function) for function in (init, ask, tell, solution))
    return checked(Strategy(*search, population_size=config.population_size))


def _precise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Sums over a population by matrix products, in whatever precision the networks compute."""

    def precise(*arguments: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return function(*arguments)

    return precise


def _choose(condition: Bool[Array, ""], one: Any, other: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), one, other)


def _theirs(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of evosax's, in which arrays of different rank meet."""
    with jax.numpy_rank_promotion("allow"):
        return function(*arguments)


def _settled(x: Any) -> Array:
    """Takes a number's weak type off, which no loop keeps, and the digits that x64 gives it."""
    x = jnp.asarray(x)
    single = {"float64": jnp.float32, "int64": jnp.int32}.get(str(x.dtype), x.dtype)
    return jax.lax.convert_element_type(x, single)


def _like(old: Any, new: Any) -> Any:
    """Gives a state the types of another, so that a loop can carry it."""
    return jax.tree.map(lambda x, y: jnp.asarray(y, x.dtype), old, new)


def _maker(config: EvosaxConfig) -> Callable[[int], Evosax]:
    """A function of D: evosax's objects may hold arrays of the trace that they are made in."""
    try:
        known: dict[str, Any] = importlib.import_module("evosax.algorithms").algorithms
    except ImportError:
        raise ValueError(
            'evosax is not installed: pip install "jaxrl[evosax]" (or pip install evosax)'
        ) from None
    known = {name: made for name, made in known.items() if not _needs_more(made)}
    if config.strategy not in known:
        near = difflib.get_close_matches(config.strategy, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}"
        raise ValueError(
            f"strategy={config.strategy!r} is not one of evosax's for one population: {hint}"
        )
    constructor = known[config.strategy]
    accepted = inspect.signature(constructor).parameters
    if config.learning_rate is not None and "optimizer" not in accepted:
        raise ValueError(
            f"learning_rate={config.learning_rate} has no use: {config.strategy} has no optimiser"
        )

    def make(num_dimensions: int) -> Evosax:
        return _make(constructor, set(accepted), config, num_dimensions)

    return make


def _require_use(config: EvosaxConfig, evosax: Evosax) -> None:
    """Refuses what is set without any use in the strategy.

    Raises:
        ValueError: naming the setting.
    """
    if config.recommend_best and evosax.has_population:
        raise ValueError(
            f"recommend_best=True would do nothing: {config.strategy} has no mean to recommend, "
            "and its solution is the best candidate as it is"
        )
    default = EvosaxConfig.noise_scale
    is_changed = not isinstance(config.noise_scale, Tracer) and config.noise_scale != default
    if is_changed and not evosax.has_width:
        raise ValueError(
            f"noise_scale={config.noise_scale} would do nothing: {config.strategy} has no such "
            "parameter"
        )


def _needs_more(constructor: Any) -> bool:
    """Whether there is no making it of one population's size and a vector, as with SV_CMA_ES."""
    parameters = inspect.signature(constructor).parameters.items()
    empty = inspect.Parameter.empty
    required = {name for name, parameter in parameters if parameter.default is empty}
    return not required <= {"population_size", "solution", "sampling_fn"}


def _make(
    constructor: Any, accepted: set[str], config: EvosaxConfig, num_dimensions: int
) -> Evosax:
    """One object of evosax's, with the settings where it takes them."""
    arguments: dict[str, Any] = {}
    if "std_schedule" in accepted:
        arguments["std_schedule"] = optax.constant_schedule(config.noise_scale)
    if config.learning_rate is not None:
        arguments["optimizer"] = optax.adam(config.learning_rate)
    if "sampling_fn" in accepted:
        arguments["sampling_fn"] = lambda key: (
            config.noise_scale * jax.random.normal(key, (num_dimensions,), jnp.float32)
        )
    try:
        # Some read numbers off their arrays, which within somebody's jit must not be traced then.
        with jax.ensure_compile_time_eval():
            solution = jnp.zeros(num_dimensions, jnp.float32)
            algorithm = constructor(
                population_size=config.population_size, solution=solution, **arguments
            )
            params = algorithm.default_params
    except (AssertionError, TypeError, ValueError) as error:
        raise ValueError(
            f"evosax's {config.strategy} cannot be made with "
            f"population_size={config.population_size}: {error}"
        ) from error
    fields = getattr(params, "__dataclass_fields__", {})
    widths = {name: config.noise_scale for name in _WIDTHS if name in fields}
    has_population = "fitness" in inspect.signature(algorithm.init).parameters
    has_width = bool(widths) or has_population or bool({"std_schedule", "sampling_fn"} & accepted)
    return Evosax(algorithm, params.replace(**widths), has_population, has_width)
