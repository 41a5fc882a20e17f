"""What a user gives as a network is one, or is named."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.networks import from_flax, over_batch, require_network, without_memory
from jaxrl.types import Network, RecurrentNetwork

MODULE = nn.Dense(3)


def test_networks_pass():
    network = from_flax(MODULE)
    require_network(network)
    require_network(without_memory(network), RecurrentNetwork)


@pytest.mark.parametrize("network", [MODULE, jnp.tanh, None])
def test_what_is_no_network_is_named(network):
    with pytest.raises(ValueError, match=r"is no Network: of a flax module, jaxrl.networks.from"):
        require_network(network)


def test_a_memory_is_refused_where_none_is_taken():
    with pytest.raises(ValueError, match="network=RecurrentNetwork"):
        require_network(without_memory(from_flax(MODULE)))


@pytest.mark.parametrize("batched", [False, True])
def test_a_function_of_one_example_takes_a_batch(batched):
    network = Network(MODULE.init, MODULE.apply, batched=batched)
    x = jnp.arange(8.0).reshape(4, 2)
    params = network.init(jax.random.key(0), x[0])
    together = over_batch(network, network.apply)(params, x)
    np.testing.assert_allclose(together[2], network.apply(params, x[2]), rtol=1e-6)
