"""Taking over what an earlier run has learnt: fine-tuning, or another task of the same spaces."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.types import State

# The fields of a State that hold what was learnt, and those that hold other States.
LEARNT = (
    "params",
    "target_params",
    "networks",
    "targets",
    "worker_params",
    "queue",
    "statistics",
    "mean",
    "best",
    "current",
    "inner",
    "is_first",
)
_WITHIN = ("agent", "learner", "search", "members")


def take_learned(state: State, earlier: State) -> State:
    """Puts what an earlier State has learnt into a new one.

    That is the parameters of all networks, their targets and the normalisers; the vectors of a
    policy search, and of evosax the whole strategy. Everything else is the new State's: optimisers,
    schedules and their counters, replay, environments, and the deviation of a search.

    Args:
        state: new, as `algorithm.init(key)` makes it.
        earlier: of the same algorithm, or of one whose State holds the same networks in the same
            places; its settings, its optimiser and its task may be others.

    Returns:
        The new State with what was learnt.

    Raises:
        ValueError: nothing of the one has a place in the other, or shapes differ, as with other
            hidden sizes or spaces.

    Example:
        >>> import jax
        >>> import jaxrl
        >>> shorter = jaxrl.ppo(jaxrl.make_env("Pendulum-v1", l=0.5), jaxrl.PPOConfig())
        >>> algorithm = jaxrl.ppo(jaxrl.make_env("Pendulum-v1"), jaxrl.PPOConfig(num_epochs=2))
        >>> earlier = shorter.init(jax.random.key(0))
        >>> state = take_learned(algorithm.init(jax.random.key(1)), earlier)
        >>> bool((state.agent.params["log_std"] == earlier.agent.params["log_std"]).all())
        True
    """
    own, other = learned_parts(state), learned_parts(earlier)
    # A search keeps it elsewhere than an agent does.
    if not {path.partition(".")[0] for path in own} & {path.partition(".")[0] for path in other}:
        raise ValueError(
            f"a {type(earlier).__name__} holds nothing that a {type(state).__name__} can go on "
            "from: take a run of the same algorithm"
        )
    for which, parts, others in (("earlier", other, own), ("new", own, other)):
        missing = [path for path in others if path not in parts]
        if missing:
            raise ValueError(f"the {which} run has no {', '.join(missing)}: {_SAME}")
    return with_learned(state, {path: _checked(own[path], other[path], path) for path in own})


def learned_parts(state: State) -> dict[str, Any]:
    """Returns what a State has learnt, as pytrees by their paths, such as `agent.params`."""
    found: dict[str, Any] = {}
    for name in getattr(state, "_fields", ()):
        value = getattr(state, name)
        if name in LEARNT:
            found[name] = value
        elif name in _WITHIN:
            found |= {f"{name}.{path}": part for path, part in learned_parts(value).items()}
    return found


def with_learned(state: State, parts: Mapping[str, Any]) -> State:
    """Returns a State with other learnt parts.

    Args:
        state: any.
        parts: all that `learned_parts` finds in it, by the same paths.
    """
    changes: dict[str, Any] = {}
    for name in getattr(state, "_fields", ()):
        if name in LEARNT:
            changes[name] = parts[name]
        elif name in _WITHIN:
            start = f"{name}."
            within = {p.removeprefix(start): x for p, x in parts.items() if p.startswith(start)}
            changes[name] = with_learned(getattr(state, name), within)
    return state._replace(**changes) if changes else state


_SAME = "the same algorithm, hidden sizes, normalisers and spaces are needed"


def _checked(own: Any, other: Any, path: str) -> Any:
    """What was learnt, in the types of the new State.

    Raises:
        ValueError: it has another structure or shape.
    """
    described = [
        {jax.tree_util.keystr(at): leaf for at, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (own, other)
    ]
    for at in described[0].keys() ^ described[1].keys():
        where = "the earlier" if at in described[1] else "the new"
        raise ValueError(f"only {where} run has {path}{at}: {_SAME}")
    for at, leaf in described[0].items():
        before = described[1][at]
        if jnp.shape(leaf) != jnp.shape(before):
            raise ValueError(
                f"{path}{at} has shape {jnp.shape(before)} in the earlier run and "
                f"{jnp.shape(leaf)} in the new one: {_SAME}"
            )
    leaves = [jnp.asarray(described[1][at], leaf.dtype) for at, leaf in described[0].items()]
    return jax.tree.unflatten(jax.tree.structure(own), leaves)
