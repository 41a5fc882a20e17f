"""What is drawn with one key has numbers of its own in each row and in each dimension."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.actor_critic import td3_agent
from jaxrl.distributions import DiagonalGaussian, TanhGaussian
from jaxrl.exploration import gaussian_noise, ornstein_uhlenbeck_noise, state_dependent_noise
from jaxrl.search.ars import ARSConfig, ars_strategy
from jaxrl.search.cem import CEMConfig, cem_strategy
from jaxrl.search.hill_climbing import HillClimbingConfig, hill_climbing_strategy
from jaxrl.search.openes import OpenESConfig, openes_strategy
from jaxrl.search.simulated_annealing import SimulatedAnnealingConfig, simulated_annealing_strategy
from jaxrl.search.steepest_ascent import SteepestAscentConfig, steepest_ascent_strategy
from jaxrl.types import Box, Environment, Network, Replayed

KEY = jax.random.key(0)
BOUNDS = Box(-10.0, 10.0, (3,))
ZEROS = jnp.zeros((4, 3))


def asked(strategy, first=0, last=None):
    """Candidates around 0; of mirrored ones half, and of a climber without the best itself."""
    return strategy.ask(KEY, strategy.init(jnp.zeros(3)))[1][first:last]


def noise_of(exploration):
    return exploration.sample(KEY, exploration.start(KEY), jnp.zeros(3))[1]


def smoothing():
    """The targets of 5 equal steps, whose next action is 0 but for the smoothing noise."""
    env = Environment("nothing", Box(-1.0, 1.0, (1,)), BOUNDS, None, None)
    policy = Network(lambda key, x: jnp.zeros(()), lambda params, x: params * jnp.ones(3))
    critic = Network(lambda key, x, a: jnp.zeros(()), lambda params, x, a: params + jnp.sum(a))
    config = jaxrl.TD3Config(total_steps=10, random_steps=0, num_critics=1)
    agent = td3_agent(env, config, policy=policy, critic=critic)
    batch = Replayed(
        observation=jnp.zeros((5, 1)),
        action=jnp.zeros((5, 3)),
        reward=jnp.full(5, 100.0),
        discount=jnp.ones(5),
        next_observation=jnp.zeros((5, 1)),
        weight=jnp.ones(5),
        index=jnp.arange(5),
    )
    return agent.update(KEY, agent.init(KEY), batch)[1]


DRAWS = {
    "gaussian": lambda: DiagonalGaussian(ZEROS, jnp.zeros(3)).sample(KEY),
    "tanh-gaussian": lambda: TanhGaussian(ZEROS, jnp.zeros(3), -1.0, 1.0).sample(KEY),
    "bounded box": lambda: BOUNDS.sample(KEY),
    "endless box": lambda: Box(-jnp.inf, jnp.inf, (3,)).sample(KEY),
    "gaussian noise": lambda: noise_of(gaussian_noise(BOUNDS, scale=0.1)),
    "noise with inertia": lambda: noise_of(ornstein_uhlenbeck_noise(BOUNDS, scale=0.1)),
    "noise matrix": lambda: state_dependent_noise(4, 3, interval=2).start(KEY).noise,
    "target smoothing": smoothing,
    "ars": lambda: asked(ars_strategy(ARSConfig()), last=8),
    "cem": lambda: asked(cem_strategy(CEMConfig())),
    "hill climbing": lambda: asked(hill_climbing_strategy(HillClimbingConfig()), first=1),
    "openes": lambda: asked(openes_strategy(OpenESConfig()), last=50),
    "simulated annealing": lambda: asked(
        simulated_annealing_strategy(SimulatedAnnealingConfig(num_neighbors=4)), first=1
    ),
    "steepest ascent": lambda: asked(steepest_ascent_strategy(SteepestAscentConfig()), first=1),
}


@pytest.mark.parametrize("name", DRAWS)
def test_no_number_comes_twice(name):
    drawn = np.asarray(DRAWS[name]())
    assert drawn.size > 2
    assert np.unique(drawn).size == drawn.size
