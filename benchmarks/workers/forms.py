"""Pieces that were written for the CPU, and with `--plain` the plain form of each.

A program's `steps` are repetitions, all agents together.
"""

import argparse
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from compiled import compiled_program
from protocol import Program, serve

from jaxrl.distributions import Categorical
from jaxrl.networks.initialization import orthogonal
from jaxrl.networks.layers import matmul
from jaxrl.ops.shuffling import random_permutation
from jaxrl.replay.sum_tree import find, init_sum_tree, set_weights

REPEATS = 64
BATCH = 1_024
WIDTH = 64
Form = Callable[[jax.Array], Any]


def shuffle(key: jax.Array, *, plain: bool) -> Any:
    """An order of a rollout."""
    return jax.random.permutation(key, 8 * BATCH) if plain else random_permutation(key, 8 * BATCH)


def categorical(key: jax.Array, *, plain: bool) -> Any:
    """The gradient of the log-probabilities of actions."""
    logits = jax.random.normal(key, (BATCH, 4))
    action = jax.random.randint(key, (BATCH,), 0, 4)

    def total(logits: jax.Array) -> jax.Array:
        if not plain:
            return jnp.sum(Categorical(logits).log_probability(action))
        return jnp.sum(jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=-1))

    return jax.grad(total)(logits)


def initial_weights(key: jax.Array, *, plain: bool) -> Any:
    """Orthogonal weights of a layer."""
    initializer = nn.initializers.orthogonal(1.0) if plain else orthogonal(1.0)
    return initializer(key, (WIDTH, WIDTH), jnp.float32)


def kernel(key: jax.Array, *, plain: bool) -> Any:
    """The gradient of two layers."""
    inputs = jax.random.normal(key, (BATCH, WIDTH))
    weights = list(jax.random.normal(key, (2, WIDTH, WIDTH)) / WIDTH**0.5)
    product = jnp.matmul if plain else matmul

    def total(weights: list[jax.Array]) -> jax.Array:
        hidden = inputs
        for weight in weights:
            hidden = jnp.tanh(product(hidden, weight))
        return jnp.sum(hidden)

    return jax.grad(total)(weights)


def critics(key: jax.Array, *, plain: bool) -> Any:
    """The gradient of two critics' losses, as a batch of two in the plain form."""
    inputs = jax.random.normal(key, (BATCH, WIDTH))
    pair = jax.random.normal(key, (2, WIDTH, WIDTH)) / WIDTH**0.5

    def loss(weight: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(jnp.tanh(matmul(inputs, weight))))

    if plain:
        return jax.grad(lambda pair: jnp.sum(jax.vmap(loss)(pair)))(pair)
    return jax.grad(lambda pair: sum(map(loss, pair), jnp.float32(0.0)))(tuple(pair))


def sum_tree(key: jax.Array, *, plain: bool) -> Any:
    """A batch drawn from 2^15 priorities, by running sums of all of them in the plain form."""
    priorities = jax.random.uniform(key, (2**15,))
    mass = jax.random.uniform(key, (BATCH // 4,)) * jnp.sum(priorities)
    if plain:
        return jnp.searchsorted(jnp.cumsum(priorities), mass)
    index = jnp.arange(BATCH // 4)
    tree = init_sum_tree(priorities.size)
    tree = set_weights(tree, index, priorities[: BATCH // 4])
    return find(tree, mass)


FORMS: dict[str, Callable[..., Any]] = {
    "shuffle": shuffle,
    "categorical": categorical,
    "orthogonal": initial_weights,
    "kernel": kernel,
    "critics": critics,
    "sum_tree": sum_tree,
}


def repeated(form: Form) -> Form:
    """Runs a form again and again, each time with another key."""

    def run(key: jax.Array) -> Any:
        # Part of each result goes on, so that none is left out.
        def turn(carry: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
            parts = [jnp.sum(x).astype(jnp.float32) for x in jax.tree.leaves(form(key))]
            return carry + sum(parts), None

        return jax.lax.scan(turn, jnp.float32(0.0), jax.random.split(key, REPEATS))[0]

    return run


def preparing(*, plain: bool) -> Callable[[dict[str, Any]], Program]:
    """How a request becomes a program."""

    def prepare(settings: dict[str, Any]) -> Program:
        form = FORMS[settings["form"]]
        seeds = settings["num_seeds"]
        run = repeated(lambda key: form(key, plain=plain))
        return compiled_program(run, num_seeds=seeds, steps=REPEATS * seeds)

    return prepare


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain", action="store_true")
    serve(preparing(plain=parser.parse_args().plain), ("jaxrl", "jax"))
