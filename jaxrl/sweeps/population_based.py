"""Population-based training (Jaderberg et al. 2017, arXiv:1711.09846), as an algorithm.

A population of members trains side by side, each with settings of its own. After every `interval`
iterations, members that do badly copy better ones (exploitation) and vary the settings that they
got (exploration). Here all members do so at once, and not each in its own time; and no setting
leaves the range that it was drawn from.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxrl.keys import taking_any_key
from jaxrl.ops.missing import known_mean, missing_value
from jaxrl.settings import MAX_BUDGET, MAX_STEPS, require_whole
from jaxrl.sweeps.spaces import Range
from jaxrl.types import Algorithm, Environment, Key, Metrics, Policy, State

Settings: TypeAlias = dict[str, Any]
"""The settings in which members differ, by name; of one member shape (), of all [P]."""
BuildMember: TypeAlias = Callable[[Settings], Algorithm]

EXPLOITATIONS = ("truncation", "pairwise")
EXPLORATIONS = ("perturb", "resample", "both")


class Lineage(NamedTuple):
    """Who descends from whom; a generation lasts from one exploitation to the next.

    G is the most generations that the budget allows; what has not come yet is -1, or nan.

    Attributes:
        steps: int32 [G], environment steps of the whole population when the generation began.
        parents: int32 [G, P], the member of the generation before that each one goes on from: a
            member that copied nobody is its own parent.
        settings: by name, float32 [G, P], as trained with in the generation.
        scores: float32 [G, P], at the end of the generation; nan of a member without any.
    """

    steps: Int[Array, "*runs G"]
    parents: Int[Array, "*runs G P"]
    settings: dict[str, Float[Array, "*runs G P"]]
    scores: Float[Array, "*runs G P"]


class PopulationBasedState(NamedTuple):
    """Everything that population-based training needs to go on.

    Attributes:
        members: the State of every member, leaves [P, ...].
        settings: by name, float32 [P], with which the members train now.
        scores: float32 [P], the mean return of the episodes that ended in the generation; before
            one did, what the member was worth before; nan where none ever did.
        return_sum: float32 [P], of the episodes that ended in the generation.
        episodes: int32 [P], how many they were.
        member_steps: int32 [P], what each member counts as its environment steps.
        iteration: int32 (), iterations done.
        steps: int32 (), environment steps of all members together.
        lineage: of all generations so far.
    """

    members: State
    settings: Settings
    scores: Float[Array, "*runs P"]
    return_sum: Float[Array, "*runs P"]
    episodes: Int[Array, "*runs P"]
    member_steps: Int[Array, "*runs P"]
    iteration: Int[Array, "*runs"]
    steps: Int[Array, "*runs"]
    lineage: Lineage


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Evolution:
    """How a population changes; fields as the arguments of `population_based`."""

    space: dict[str, Range]
    size: int
    interval: int
    exploitation: str
    fraction: float
    exploration: str
    factors: tuple[float, ...]
    resample_probability: float


def population_based(
    build: BuildMember,
    space: Mapping[str, Range],
    *,
    population_size: int,
    interval: int,
    total_steps: int | None = None,
    exploitation: str = "truncation",
    fraction: float | None = None,
    exploration: str = "perturb",
    factors: tuple[float, ...] | None = None,
    resample_probability: float | None = None,
    environment: Environment | None = None,
) -> Algorithm:
    """Builds population-based training of any algorithm; steps are those of all members together.

    The policy is that of the member with the best score. A copy is of everything, optimiser, replay
    and environments included: it goes on in the middle of an episode, with other random numbers.

    Args:
        build: (settings by name, each a float of shape ()) -> a member; called with traced values.
        space: what each setting is drawn from at the start, and may not leave later.
        population_size: P, at least 2.
        interval: iterations of a generation, at the end of which members copy and vary.
        total_steps: of all members together; None: the sum of their own, which schedules run over.
        exploitation: "truncation": the lowest `fraction` of the members each copy one of as many
            highest ones, drawn uniformly; "pairwise": each copies a random other if it is better.
        fraction: of truncation, above 0 and at most 0.5; None: 0.2.
        exploration: of a copied setting; "perturb": multiplied by one of `factors`; "resample":
            drawn anew with `resample_probability`, else kept; "both": anew or multiplied.
        factors: drawn uniformly; None: (0.8, 1.2).
        resample_probability: from 0 to 1; None: 0.25.
        environment: that the policy is evaluated in; None: the members' own, which is that of the
            lowest settings where `build` makes different ones.

    Raises:
        ValueError: an argument is not what it should be, or would do nothing.

    Example:
        >>> import jaxrl
        >>> from jaxrl.sweeps import log_uniform, population_based
        >>> env = jaxrl.make_env("Acrobot-v1")
        >>> def build(settings):
        ...     return jaxrl.ppo(env, jaxrl.PPOConfig(total_steps=100_000, **settings))
        >>> space = {"learning_rate": log_uniform(1e-5, 1e-1)}
        >>> population_based(build, space, population_size=8, interval=10).total_steps
        800000
    """
    evolution = _checked_evolution(
        space=space,
        size=population_size,
        interval=interval,
        exploitation=exploitation,
        fraction=fraction,
        exploration=exploration,
        factors=factors,
        resample_probability=resample_probability,
    )
    example = _example_member(build, evolution.space, environment)
    return _population_of(build, example, evolution, total_steps)


def best_member(state: PopulationBasedState) -> Int[Array, ""]:
    """The index of the member with the best score: of equals the first; 0 where none has any."""
    return jnp.argmax(_rankable(state.scores))


def _population_of(
    build: BuildMember, example: Algorithm, evolution: _Evolution, total_steps: int | None
) -> Algorithm:
    """Joins members to an algorithm; `example` is one of them."""
    size, cost = evolution.size, example.steps_per_iteration
    total_steps, max_iterations = _budget(example, evolution, total_steps)
    num_generations = 1 + (max_iterations - 1) // evolution.interval

    def init(key: Key) -> PopulationBasedState:
        return _start(key, build, evolution, num_generations, first_steps=example.first_steps)

    def step(key: Key, state: PopulationBasedState) -> tuple[PopulationBasedState, Metrics]:
        return _iteration(key, state, build, evolution, num_generations)

    def policy(state: PopulationBasedState) -> Policy:
        best = best_member(state)
        settings, member = jax.tree.map(lambda x: x[best], (state.settings, state.members))
        return build(settings).policy(member)

    def behavior(state: PopulationBasedState) -> Policy:
        best = best_member(state)
        settings, member = jax.tree.map(lambda x: x[best], (state.settings, state.members))
        explores = build(settings).behavior
        assert explores is not None
        return explores(member)

    algorithm = Algorithm(
        init=init,
        step=step,
        policy=policy,
        environment=example.environment,
        total_steps=total_steps,
        steps_per_iteration=None if cost is None else size * cost,
        max_iterations=max_iterations,
        first_steps=size * example.first_steps,
        behavior=behavior if example.behavior is not None else None,
    )
    return taking_any_key(algorithm)


def _start(
    key: Key, build: BuildMember, evolution: _Evolution, num_generations: int, *, first_steps: int
) -> PopulationBasedState:
    """Draws settings and makes the members; each took `first_steps` of its own."""
    size = evolution.size
    key_settings, key_members = jax.random.split(key)
    settings = _draw(key_settings, evolution.space, size)
    keys = jax.random.split(key_members, size)
    members = jax.vmap(lambda own, key: build(own).init(key))(settings, keys)
    steps = jnp.int32(first_steps) * size
    return PopulationBasedState(
        members=members,
        settings=settings,
        scores=jnp.full(size, missing_value(), jnp.float32),
        return_sum=jnp.zeros(size, jnp.float32),
        episodes=jnp.zeros(size, jnp.int32),
        member_steps=jnp.full(size, first_steps, jnp.int32),
        iteration=jnp.int32(0),
        steps=steps,
        lineage=_beginning(settings, steps, num_generations),
    )


def _iteration(
    key: Key,
    state: PopulationBasedState,
    build: BuildMember,
    evolution: _Evolution,
    num_generations: int,
) -> tuple[PopulationBasedState, Metrics]:
    """One iteration of every member; then, at the end of a generation, the next one is made."""
    key_members, key_evolution = jax.random.split(key)
    keys = jax.random.split(key_members, evolution.size)
    members, rows = jax.vmap(lambda own, key, member: build(own).step(key, member))(
        state.settings, keys, state.members
    )
    state = _with_scores(state._replace(members=members), rows)
    metrics = _metrics_of_population(state, rows)
    ended = state.iteration % evolution.interval == 0
    # Of the iteration, which `vmap` over keys leaves unbatched: so it stays a condition.
    state = jax.lax.cond(
        ended & (_generation(state, evolution) < num_generations),
        lambda key, state: _next_generation(key, state, evolution),
        lambda key, state: state,
        key_evolution,
        state,
    )
    return state, metrics


def _with_scores(state: PopulationBasedState, rows: Metrics) -> PopulationBasedState:
    """The state after an iteration, whose rows of metrics are [P]."""
    missing = {"steps", "episodes", "episode_return"} - rows.keys()
    if missing:
        raise ValueError(
            f"members are compared by the returns of their episodes, but their metrics lack "
            f"{' and '.join(sorted(missing))}"
        )
    count = rows["episodes"]
    returns = jnp.where(count > 0, rows["episode_return"], 0.0)
    return_sum, episodes = state.return_sum + returns * count, state.episodes + count
    mean = return_sum / jnp.maximum(episodes, 1)
    # A copy counts the steps of its parent, which it did not take itself: differences are added.
    taken = jnp.sum(rows["steps"] - state.member_steps, dtype=jnp.int32)
    return state._replace(
        scores=jnp.where(episodes > 0, mean, state.scores),
        return_sum=return_sum,
        episodes=episodes,
        member_steps=rows["steps"],
        iteration=state.iteration + 1,
        steps=state.steps + taken,
    )


def _metrics_of_population(state: PopulationBasedState, rows: Metrics) -> Metrics:
    """Sums of counts, and means over the members, or over episodes where it is of them."""
    best = jnp.max(_rankable(state.scores))
    known = jnp.any(jnp.isfinite(state.scores))
    metrics = {
        "steps": state.steps,
        "episodes": jnp.sum(rows["episodes"], dtype=jnp.int32),
        "best_return": jnp.where(known, best, missing_value()),
    }
    for name in sorted(rows.keys() - metrics.keys()):
        values = rows[name].astype(jnp.float32)
        of_episodes = name.startswith("episode_")
        weights = rows["episodes"] if of_episodes else jnp.ones_like(values)
        metrics[name] = known_mean(values, weights.astype(jnp.float32))
    return metrics


def _next_generation(
    key: Key, state: PopulationBasedState, evolution: _Evolution
) -> PopulationBasedState:
    """Lets members copy better ones and vary what they copied."""
    key_parents, key_settings = jax.random.split(key)
    if evolution.exploitation == "truncation":
        parents = truncation_parents(key_parents, state.scores, fraction=evolution.fraction)
    else:
        parents = pairwise_parents(key_parents, state.scores)
    members, settings, scores, member_steps = jax.tree.map(
        lambda x: x[parents], (state.members, state.settings, state.scores, state.member_steps)
    )
    copied = parents != jnp.arange(evolution.size)
    settings = _explore(key_settings, settings, copied, evolution)
    number, lineage = _generation(state, evolution), state.lineage
    lineage = Lineage(
        steps=lineage.steps.at[number].set(state.steps),
        parents=lineage.parents.at[number].set(parents),
        settings={
            name: values.at[number].set(settings[name]) for name, values in lineage.settings.items()
        },
        scores=lineage.scores.at[number - 1].set(state.scores),
    )
    return state._replace(
        members=members,
        settings=settings,
        scores=scores,
        return_sum=jnp.zeros_like(state.return_sum),
        episodes=jnp.zeros_like(state.episodes),
        member_steps=member_steps,
        lineage=lineage,
    )


def truncation_parents(
    key: Key, scores: Float[Array, " P"], *, fraction: float
) -> Int[Array, " P"]:
    """Truncation selection: each of the lowest copies one of as many highest, drawn uniformly.

    As many are floor(fraction * P), at least 1. Members without a score are lowest, and no parents.

    Args:
        key: consumed.
        scores: the higher the better; what is not finite is no score.
        fraction: of the members, at most 0.5.

    Returns:
        The parent of each member: itself, unless it copies.

    Source: Jaderberg et al. (2017), section 4.1.1.
    """
    size = scores.shape[0]
    count = _truncated(size, fraction)
    known = jnp.isfinite(scores)
    order = jnp.argsort(_rankable(scores), stable=True)
    place = jnp.zeros(size, jnp.int32).at[order].set(jnp.arange(size, dtype=jnp.int32))
    num_parents = jnp.clip(jnp.sum(known), 1, count)
    drawn = order[size - 1 - jax.random.randint(key, (size,), 0, num_parents)]
    return jnp.where((place < count) & jnp.any(known), drawn, jnp.arange(size)).astype(jnp.int32)


def pairwise_parents(key: Key, scores: Float[Array, " P"]) -> Int[Array, " P"]:
    """Binary tournaments: each member draws another one, and copies it if that one is better.

    Args:
        key: consumed.
        scores: the higher the better; what is not finite is none, and worse than any.

    Returns:
        The parent of each member: itself, unless it copies.

    Source: Jaderberg et al. (2017), section 4.1.1.
    """
    size = scores.shape[0]
    own, ranked = jnp.arange(size), _rankable(scores)
    other = (own + jax.random.randint(key, (size,), 1, size)) % size
    return jnp.where(ranked[other] > ranked, other, own).astype(jnp.int32)


def _explore(
    key: Key, settings: Settings, copied: Bool[Array, " P"], evolution: _Evolution
) -> Settings:
    """Varies each setting of the members that copied, by itself; none leaves its range."""
    varied = {}
    for own, (name, distribution) in zip(
        jax.random.split(key, len(settings)), evolution.space.items(), strict=True
    ):
        key_factor, key_chance, key_draw = jax.random.split(own, 3)
        values, shape = settings[name], copied.shape
        new = values
        if evolution.exploration != "resample":
            factors = jnp.asarray(evolution.factors, jnp.float32)
            new = distribution.clip(values * jax.random.choice(key_factor, factors, shape))
        if evolution.exploration != "perturb":
            again = jax.random.bernoulli(key_chance, evolution.resample_probability, shape)
            new = jnp.where(again, distribution.sample(key_draw, shape), new)
        varied[name] = jnp.where(copied, new, values)
    return varied


def _draw(key: Key, space: Mapping[str, Range], size: int) -> Settings:
    keys = jax.random.split(key, len(space))
    return {
        name: distribution.sample(own, (size,))
        for own, (name, distribution) in zip(keys, space.items(), strict=True)
    }


def _beginning(settings: Settings, steps: Int[Array, ""], num_generations: int) -> Lineage:
    """The lineage of the first generation, with room for the others."""
    (size,) = next(iter(settings.values())).shape
    blank = jnp.full((num_generations, size), missing_value(), jnp.float32)
    nobody = jnp.full((num_generations, size), -1, jnp.int32)
    return Lineage(
        steps=jnp.full(num_generations, -1, jnp.int32).at[0].set(steps),
        parents=nobody.at[0].set(jnp.arange(size)),
        settings={name: blank.at[0].set(values) for name, values in settings.items()},
        scores=blank,
    )


def _generation(state: PopulationBasedState, evolution: _Evolution) -> Int[Array, ""]:
    """The number of the generation that the next iteration belongs to."""
    return state.iteration // evolution.interval


def _rankable(scores: Float[Array, " P"]) -> Float[Array, " P"]:
    """Minus infinity for what is no finite number, so that it never wins."""
    return jnp.where(jnp.isfinite(scores), scores, -jnp.inf)


def _truncated(size: int, fraction: float) -> int:
    """How many members truncation replaces; the least tolerance is for products such as 5 * 0.2."""
    return max(1, int(fraction * size + 1e-6))


def _budget(example: Algorithm, evolution: _Evolution, total_steps: int | None) -> tuple[int, int]:
    """The budget of all members together, and the most iterations that it takes.

    Raises:
        ValueError: it is no budget, or over before a generation is.
    """
    size = evolution.size
    if total_steps is None:
        total_steps = size * example.total_steps
    require_whole("total_steps", total_steps, minimum=1, maximum=MAX_BUDGET)
    left = max(total_steps - size * example.first_steps, 0)
    if example.steps_per_iteration is not None:
        iterations = -(-left // (size * example.steps_per_iteration))
    else:
        # An iteration of a member takes at least total_steps / max_iterations of its own.
        iterations = -(-left * example.max_iterations // (size * example.total_steps))
    if iterations <= evolution.interval:
        raise ValueError(
            f"interval={evolution.interval} must be less than the {iterations} iterations that "
            f"{size} members take for total_steps={total_steps}: nobody would copy"
        )
    if iterations > MAX_STEPS:
        raise ValueError(
            f"total_steps={total_steps} are {iterations} iterations, and at most {MAX_STEPS} can "
            "be counted"
        )
    return total_steps, iterations


def _example_member(
    build: BuildMember,
    space: Mapping[str, Range],
    environment: Environment | None,
) -> Algorithm:
    """The member with the lowest settings; that the highest can be built too is checked.

    Args:
        build: makes one.
        space: whose ends are tried.
        environment: in the place of the member's; None: its own.

    Raises:
        ValueError: either cannot, and why.
    """
    if not callable(build):
        raise ValueError(
            f"build must be a function from settings by name to an algorithm, not {build!r}"
        )
    members = []
    for end in (-np.inf, np.inf):
        # Values that are known within somebody's jit too, so that they are checked.
        with jax.ensure_compile_time_eval():
            settings = {name: float(distribution.clip(end)) for name, distribution in space.items()}
        try:
            member: Any = build(settings)
        except ValueError as error:
            raise ValueError(f"build({settings}): {error}") from error
        if not isinstance(member, Algorithm):
            raise ValueError(
                f"build must return an algorithm, such as jaxrl.ppo(env, config), not "
                f"{type(member).__name__}"
            )
        members.append(member)
    lowest = members[0]
    return lowest if environment is None else lowest._replace(environment=environment)


def _checked_evolution(
    *,
    space: Any,
    size: Any,
    interval: Any,
    exploitation: Any,
    fraction: Any,
    exploration: Any,
    factors: Any,
    resample_probability: Any,
) -> _Evolution:
    """Checks the arguments of `population_based` that are not of its members."""
    require_whole("population_size", size, minimum=2, maximum=MAX_STEPS)
    require_whole("interval", interval, minimum=1, maximum=MAX_STEPS)
    _require_choice("exploitation", exploitation, EXPLOITATIONS)
    _require_choice("exploration", exploration, EXPLORATIONS)
    needs = (
        ("fraction", fraction, "exploitation='truncation'", exploitation == "truncation"),
        ("factors", factors, "exploration='perturb' or 'both'", exploration != "resample"),
        (
            "resample_probability",
            resample_probability,
            "exploration='resample' or 'both'",
            exploration != "perturb",
        ),
    )
    for name, value, need, is_met in needs:
        if value is not None and not is_met:
            raise ValueError(f"{name}={value!r} needs {need}: it would do nothing")
    fraction = 0.2 if fraction is None else fraction
    if not _is_number(fraction) or not 0 < fraction <= 0.5:
        raise ValueError(f"fraction={fraction!r} must be a number above 0, and at most 0.5")
    probability = 0.25 if resample_probability is None else resample_probability
    if not _is_number(probability) or not 0 <= probability <= 1:
        raise ValueError(f"resample_probability={probability!r} must be a number from 0 to 1")
    return _Evolution(
        space=_checked_space(space),
        size=int(size),
        interval=int(interval),
        exploitation=exploitation,
        fraction=float(fraction),
        exploration=exploration,
        factors=_checked_factors((0.8, 1.2) if factors is None else factors),
        resample_probability=float(probability),
    )


def _checked_space(space: Any) -> dict[str, Range]:
    """The space in the order of its names, as a tree of JAX has it."""
    if not isinstance(space, Mapping) or not space:
        raise ValueError(
            f"space={space!r} must map names to distributions, as in "
            "{'learning_rate': log_uniform(1e-5, 1e-1)}"
        )
    for name, distribution in space.items():
        if not isinstance(name, str):
            raise ValueError(f"space: {name!r} is not a name")
        if not isinstance(distribution, Range) or distribution.whole:
            raise ValueError(
                f"space: {name}={distribution!r} must be uniform(low, high) or "
                "log_uniform(low, high): members differ in floats only"
            )
    return {name: space[name] for name in sorted(space)}


def _checked_factors(factors: Any) -> tuple[float, ...]:
    is_sequence = isinstance(factors, tuple | list) and len(factors) > 0
    if not is_sequence or not all(_is_number(x) and 0 < x < np.inf for x in factors):
        raise ValueError(f"factors={factors!r} must be positive numbers, such as (0.8, 1.2)")
    if all(x == 1 for x in factors):
        raise ValueError(f"factors={factors!r} would do nothing: give others than 1")
    return tuple(float(x) for x in factors)


def _require_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(choices)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
