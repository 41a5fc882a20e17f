"""The dense layer's own gradients against those of a plain product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.networks.layers import matmul

SIZES = (1, 3)  # A value's kernel, whose gradient is computed in a way of its own, and any other.


def inputs_of(batch, size):
    key_x, key_kernel = jax.random.split(jax.random.key(0))
    return jax.random.normal(key_x, (*batch, 4)), jax.random.normal(key_kernel, (4, size))


def loss_of(product):
    return lambda x, kernel: jnp.sum(jnp.sin(product(x, kernel)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [(), (5,), (2, 5)])
def test_gradients_are_those_of_a_plain_product(batch, size):
    x, kernel = inputs_of(batch, size)
    ours, plain = (
        jax.jit(jax.grad(loss_of(product), argnums=(0, 1)))(x, kernel)
        for product in (matmul, jnp.matmul)
    )
    for gradient, expected in zip(ours, plain, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_gradients(size):
    x, kernel = inputs_of((5,), size)

    def steepness(product):
        slope = jax.grad(loss_of(product), argnums=1)
        return jax.jit(jax.grad(lambda kernel: jnp.sum(jnp.square(slope(x, kernel)))))(kernel)

    np.testing.assert_allclose(steepness(matmul), steepness(jnp.matmul), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_gradients_side_by_side(size):
    """As for seeds: each has its own kernel."""
    x, kernel = inputs_of((3, 5), size)
    kernels = jnp.stack([kernel, 2 * kernel, -kernel])
    ours, plain = (
        jax.jit(jax.vmap(jax.grad(loss_of(product), argnums=1)))(x, kernels)
        for product in (matmul, jnp.matmul)
    )
    np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)
