"""The matrix products of SAC's update and nothing else: what no implementation can do without.

The networks are linear and have no biases; there is no environment, no replay, no random number and
no optimiser. Each update's products are those of the losses that SAC differentiates: the policy and
two critics at the successors, two critics and their gradients, and the policy's gradient through
both critics. The weights move a little, so that no product is the same twice.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from compiled import compiled_program
from protocol import Program, serve

OBSERVATION_SIZE = 3
ACTION_SIZE = 1
NUM_CRITICS = 2


def prepare(settings: dict[str, Any]) -> Program:
    """As many updates as SAC makes in the same number of steps."""
    if settings["environment"] != "Pendulum-v1" or settings["algorithm"] != "sac":
        raise ValueError("these are the products of SAC in Pendulum-v1")
    hidden = settings["hidden_sizes"]
    batch_size = settings["batch_size"]
    num_updates = settings["total_steps"] - settings["random_steps"]

    def train(key: jax.Array) -> Any:
        key_weights, key_batch = jax.random.split(key)
        sizes = [(OBSERVATION_SIZE, *hidden, 2 * ACTION_SIZE)]
        sizes += [(OBSERVATION_SIZE + ACTION_SIZE, *hidden, 1)] * NUM_CRITICS
        keys = jax.random.split(key_weights, len(sizes))
        weights = [layers(key, size) for key, size in zip(keys, sizes, strict=True)]
        seen, after = jax.random.normal(key_batch, (2, batch_size, OBSERVATION_SIZE))
        action = jnp.ones((batch_size, ACTION_SIZE))

        def update(weights: Any, unused: None) -> tuple[Any, None]:
            del unused
            gradient = products(weights, seen, after, action)
            return jax.tree.map(lambda w, g: w - 1e-6 * g, weights, gradient), None

        return jax.lax.scan(update, weights, None, num_updates)[0]

    return compiled_program(train, num_seeds=1, steps=settings["total_steps"])


def products(weights: Any, seen: jax.Array, after: jax.Array, action: jax.Array) -> Any:
    """The gradients of the linear networks."""
    policy, *critics = weights
    target = sum(values(critics, after, act(policy, after)))

    def critic_loss(critics: Any) -> jax.Array:
        return sum(jnp.mean(jnp.square(value - target)) for value in values(critics, seen, action))

    def actor_loss(policy: Any) -> jax.Array:
        return jnp.mean(jnp.minimum(*values(critics, seen, act(policy, seen))))

    return [jax.grad(actor_loss)(policy), *jax.grad(critic_loss)(critics)]


def act(policy: Any, observation: jax.Array) -> jax.Array:
    """The policy's two outputs, added up."""
    return jnp.sum(linear(policy, observation), axis=-1, keepdims=True)


def values(critics: Any, observation: jax.Array, action: jax.Array) -> list[jax.Array]:
    """Each critic's value."""
    x = jnp.concatenate((observation, action), axis=-1)
    return [linear(critic, x)[:, 0] for critic in critics]


def linear(weights: Any, x: jax.Array) -> jax.Array:
    """One product after another."""
    for weight in weights:
        x = x @ weight
    return x


def layers(key: jax.Array, sizes: tuple[int, ...]) -> list[jax.Array]:
    """Weights of a network."""
    shapes = list(itertools.pairwise(sizes))
    keys = jax.random.split(key, len(shapes))
    return [jax.random.normal(k, x) / x[0] ** 0.5 for k, x in zip(keys, shapes, strict=True)]


if __name__ == "__main__":
    serve(prepare, ("jax",))
