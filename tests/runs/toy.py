"""An algorithm of a few array operations, so that whole runs take milliseconds."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import environments, registry
from jaxrl.runs import Specification, make_members, programs, runner
from jaxrl.runs.charts import check_wandb_is_installed
from jaxrl.runs.preparation import prepare
from jaxrl.settings import number, settings, static, validate
from jaxrl.types import Algorithm, Box, Environment, Policy, TimeStep

STEPS_PER_ITERATION = 8


@settings
class ToyConfig:
    total_steps: int = static(100, minimum=1)
    learning_rate: float = number(0.1, minimum=0)
    bound: float | None = number(None, optional=True)
    sizes: tuple[int, ...] = static((2, 3))
    varies: bool = static(False)
    bug: bool = static(False)


class ToyState(NamedTuple):
    """One leaf of every kind that a checkpoint must keep."""

    key: Any
    parameters: dict[str, jax.Array]
    target: jax.Array
    half: jax.Array
    flags: jax.Array
    nothing: jax.Array
    steps: jax.Array


def toy_environment(limit=3, wind=0.0):
    """Episodes of `limit` steps; the return is the sum of the actions and the wind."""

    def reset(key):
        del key
        return jnp.int32(0), jnp.zeros(1)

    def step(key, state, action):
        del key
        ended = state + 1 >= limit
        return state + 1, TimeStep(jnp.zeros(1), action[0] + wind, jnp.array(False), ended, {})

    space = Box(-jnp.inf, jnp.inf, (1,))
    return Environment("toy", space, space, reset, step, max_episode_steps=limit)


def toy(environment, config):
    validate(config)

    def init(key):
        weights = jax.random.normal(key, config.sizes)
        return ToyState(
            key=key,
            parameters={"w": weights, "b": jnp.zeros(3)},
            target=weights,
            half=jnp.full(4, 1.5, jnp.bfloat16),
            flags=jnp.array([True, False]),
            nothing=jnp.zeros((0, 2)),
            # A weak type: it does not survive a checkpoint.
            steps=jnp.asarray(0),
        )

    def step(key, state):
        if config.bug:
            raise ValueError("this only shows while tracing")
        key_noise, key_cost, key_episodes = jax.random.split(key, 3)
        noise = jax.random.normal(key_noise, config.sizes)
        weights = state.parameters["w"] * 0.9 + config.learning_rate * noise
        cost = STEPS_PER_ITERATION
        if config.varies:
            cost = jax.random.randint(key_cost, (), 1, 12) * (STEPS_PER_ITERATION // 8)
        episodes = jax.random.randint(key_episodes, (), 0, 3)
        steps = state.steps + cost
        mean = jnp.mean(weights)
        state = state._replace(
            key=jax.random.fold_in(state.key, 1),
            parameters={"w": weights, "b": state.parameters["b"] + mean},
            target=0.5 * (state.target + weights),
            half=state.half * 0.99,
            steps=steps,
        )
        metrics = {
            "steps": steps,
            "episodes": episodes,
            "episode_return": jnp.where(episodes > 0, mean, jnp.nan),
            "episode_length": jnp.where(episodes > 0, 3.0, jnp.nan),
            "policy_loss": jnp.sum(jnp.square(weights)),
        }
        return state, metrics

    def policy(state):
        def act(key, memory, observation):
            del observation
            return memory, jnp.mean(state.parameters["w"])[None] + jax.random.normal(key, (1,))

        return Policy(start=lambda key: (), act=act)

    cost = None if config.varies else STEPS_PER_ITERATION
    bound = config.total_steps if config.varies else -(-config.total_steps // STEPS_PER_ITERATION)
    return Algorithm(init, step, policy, environment, config.total_steps, cost, bound)


def install(set_attribute=setattr, set_item=dict.__setitem__):
    """Makes `toy` an algorithm and an environment, by a pytest monkeypatch or for good."""
    entry = registry.Entry("toy", ToyConfig, toy, "for tests")
    set_item(registry._entries, "toy", entry)
    set_attribute(
        environments, "make_env", lambda name, **parameters: toy_environment(**parameters)
    )
    parameters = environments.signature_parameters(toy_environment)
    set_attribute(environments, "parameters_of", lambda name: parameters)


_prepared: dict[str, Any] = {}
_compiled: dict[int, Any] = {}


def share_programs(set_attribute=setattr):
    """Traces and compiles each program once for all; by a pytest monkeypatch or for good."""
    compiled = programs.Programs

    def prepared(specification):
        run = dataclasses.replace(
            specification,
            checkpoint_interval=None,
            checkpoint_minutes=None,
            evaluation_interval=None,
            wandb_project=None,
        )
        if specification.wandb_project is not None:
            check_wandb_is_installed()
        if repr(run) not in _prepared:
            _prepared[repr(run)] = prepare(run)
        return _prepared[repr(run)]._replace(specification=specification)

    def shared(prepared, *, starts_anew):
        del starts_anew
        # Traced once for all of them.
        name = id(prepared.advance)
        if name not in _compiled:
            # What is traced is kept, or another one could come to lie in its place.
            _compiled[name] = prepared.advance, compiled(prepared, starts_anew=True)
        return _compiled[name][1]

    set_attribute(runner, "prepare", prepared)
    set_attribute(programs, "Programs", shared)


def specification(**changes):
    """A run of 13 iterations in 7 chunks: 2 seeds, an evaluation and a checkpoint in between."""
    first, count = changes.pop("seed", 5), changes.pop("seeds", 2)
    config = {name: changes.pop(name) for name in list(changes) if hasattr(ToyConfig, name)}
    values = {
        "algorithm": "toy",
        "environment": "toy",
        "members": make_members(range(first, first + count)),
        "log_interval": 16,
        "evaluation_interval": 40,
        "evaluation_episodes": 3,
        "checkpoint_interval": 16,
    }
    return Specification(settings=ToyConfig(**config), **(values | changes))


def same_state(state, other):
    """Asserts equal types and equal bits."""
    assert jax.tree.structure(state) == jax.tree.structure(other)
    for leaf, expected in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        assert leaf.dtype == expected.dtype
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf, expected = jax.random.key_data(leaf), jax.random.key_data(expected)
        assert leaf.shape == expected.shape
        assert np.asarray(leaf).tobytes() == np.asarray(expected).tobytes()
