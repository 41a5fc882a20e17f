import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import flatten_observation, make_env, mask_actions, time_limit
from jaxrl.types import Box, MaskedObservation, MaskedSpace, MultiDiscrete


def with_masks(environment):
    """Allows the action that is the number of steps taken, in `info`."""

    def step(key, state, action):
        state, time_step = environment.step(key, state, action)
        mask = jnp.arange(10) == time_step.info["kept"]
        return state, time_step._replace(info=time_step.info | {"action_mask": mask})

    return environment._replace(step=step)


def allowed(masks):
    """The only allowed category of each step; -1 where all ten are."""
    counts = np.asarray(masks).sum(axis=-1)
    assert set(counts) <= {1, 10}
    return np.where(counts == 10, -1, np.argmax(masks, axis=-1)).tolist()


def test_masks_of_the_info_are_about_the_successor(counting_environment, play):
    """Episodes of 4 steps: the last step's mask is the end's; the fresh start allows everything."""
    environment = mask_actions(with_masks(counting_environment(length=4)))
    assert environment.observation_space == MaskedSpace(Box(-jnp.inf, jnp.inf, (3,)), 10)
    seen, steps = play(environment, [0] * 6)
    assert isinstance(seen, MaskedObservation)
    assert seen.action_mask.dtype == bool
    assert allowed(seen.action_mask) == [-1, 1, 2, 3, -1, 1, 2]
    assert allowed(steps.observation.action_mask) == [1, 2, 3, 4, 1, 2]
    np.testing.assert_array_equal(seen.observation[:, 1], [0, 1, 2, 3, 0, 1, 2])
    np.testing.assert_array_equal(steps.observation.observation[:, 1], [1, 2, 3, 4, 1, 2])


def test_the_first_mask_can_be_given(counting_environment, play):
    environment = mask_actions(
        with_masks(counting_environment(length=2)),
        first_mask_of=lambda observation: jnp.arange(10) == 7 + observation[1],
    )
    seen, _ = play(environment, [0] * 3)
    assert allowed(seen.action_mask) == [7, 1, 7, 1]


def test_masks_of_a_function(counting_environment, play):
    """It is asked everywhere: at starts, within episodes, at ends. Numbers do as well as truth."""
    environment = mask_actions(
        counting_environment(length=2), lambda x: (jnp.arange(10) == x[1]).astype(jnp.int32)
    )
    seen, steps = play(environment, [0] * 3)
    assert allowed(seen.action_mask) == [0, 1, 0, 1]
    assert allowed(steps.observation.action_mask) == [1, 2, 1]


def test_a_time_limit_around_it_starts_with_the_first_mask(counting_environment, play):
    environment = time_limit(mask_actions(with_masks(counting_environment(length=9))), max_steps=2)
    seen, _ = play(environment, [0] * 3)
    assert allowed(seen.action_mask) == [-1, 1, -1, 1]


def test_masks_of_several_factors(counting_environment):
    environment = counting_environment(action_space=MultiDiscrete((2, 3)))
    masked = mask_actions(environment, lambda x: jnp.array([True, False, True, True, False]))
    assert masked.observation_space.num_categories == 5
    sample = masked.observation_space.sample(jax.random.key(0))
    assert sample.observation.shape == (3,)
    assert sample.action_mask.shape == (5,)
    assert masked.observation_space.contains(sample)


def test_what_cannot_be_masked_is_named(counting_environment):
    environment = counting_environment()
    with pytest.raises(ValueError, match=r'no info\["action_mask"\] \(info has kept\)'):
        mask_actions(environment)
    with pytest.raises(ValueError, match=r"has shape \(10,\), .* this one has shape \(4,\)"):
        mask_actions(environment, lambda x: jnp.ones(4))
    with pytest.raises(ValueError, match="actions of Pendulum-v1 are a Box"):
        mask_actions(make_env("Pendulum-v1"), lambda x: jnp.ones(1))
    everything = lambda x: jnp.ones(10)  # noqa: E731
    masked = mask_actions(environment, everything)
    with pytest.raises(ValueError, match="carry masks of actions, which have no place"):
        mask_actions(masked, everything)
    with pytest.raises(ValueError, match="leave first_mask_of out"):
        mask_actions(environment, everything, first_mask_of=everything)
    with pytest.raises(ValueError, match="are MaskedSpace, not a Box"):
        flatten_observation(masked)
