"""The user's own gymnax environments: what works, and what is told when they break the protocol."""

import re
from dataclasses import dataclass
from typing import Any

import flax.struct
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces
from gymnax.environments.environment import Environment as GymnaxEnvironment
from gymnax.environments.environment import EnvParams, EnvState

from jaxrl.environments import from_gymnax, make_env, reads_key
from jaxrl.types import Box, Discrete, MultiDiscrete


@flax.struct.dataclass
class WalkState(EnvState):
    place: Any


@flax.struct.dataclass
class WalkParams(EnvParams):
    stride: float = 1.0
    max_steps_in_episode: int = 3


class Walk(GymnaxEnvironment):
    """Walks up by `stride` for each 1 in the action; terminates above 5."""

    first_time: Any = 0
    first_place: Any = 0.0
    action = spaces.Discrete(2)

    @property
    def default_params(self):
        return WalkParams()

    def reset_env(self, key, params):
        state = WalkState(time=self.first_time, place=self.first_place)
        return self.observe_place(state), state

    def step_env(self, key, state, action, params):
        place = state.place + params.stride * sum(jax.tree.leaves(action))
        state = WalkState(time=state.time + 1, place=place)
        return self.observe_place(state), state, place, place > 5, {"place": place}

    def observe_place(self, state):
        return jnp.array([state.place], jnp.float32)

    def action_space(self, params):
        return self.action

    def observation_space(self, params):
        return spaces.Box(-jnp.inf, jnp.inf, (1,))


def start(environment):
    state, _ = environment.reset(jax.random.key(0))
    return state


def take(environment, action, key=None):
    """The outcome of one action after a reset."""
    key = jax.random.key(1) if key is None else key
    return environment.step(key, start(environment), jnp.asarray(action))


def test_a_class_of_the_users_own():
    environment = make_env(Walk(), stride=2.0)
    assert environment.name == "Walk"
    assert environment.max_episode_steps == 3
    state = start(environment)
    seen = []
    for action in (1, 0, 1):
        state, step = jax.jit(environment.step)(jax.random.key(1), state, jnp.asarray(action))
        seen += step.observation.tolist()
        assert step.reward == step.info["place"] == step.observation[0]
        assert step.truncated == (len(seen) == 3)
        assert not step.terminated
    assert seen == [2.0, 2.0, 4.0]


def test_both_ends_at_once():
    environment = make_env(Walk(), stride=6.0, max_steps_in_episode=1)
    _, step = take(environment, 1)
    assert step.terminated
    assert step.truncated


def test_types_that_change_at_the_first_step_are_settled():
    class Careless(Walk):
        first_time = np.float32(0)
        first_place = 0

    environment = make_env(Careless())
    state = start(environment)
    after, _ = take(environment, 1)
    assert jax.eval_shape(lambda: state) == jax.eval_shape(lambda: after)
    assert state.place.dtype == jnp.float32


def test_several_discrete_actions():
    class Several(Walk):
        action = spaces.Tuple((spaces.Discrete(2), spaces.Discrete(4)))

    environment = make_env(Several())
    assert environment.action_space == MultiDiscrete((2, 4))
    _, step = take(environment, jnp.array([1, 3]))
    assert step.reward == 4.0


def test_an_own_step_is_respected():
    class OwnStep(Walk):
        def step(self, key, state, action, params=None):
            *values, info = super().step(key, state, action, params)
            return *values, {**info, "own": jnp.float32(7)}

    environment = make_env(OwnStep(), max_steps_in_episode=1)
    _, step = take(environment, 1)
    assert step.info.keys() == {"own", "place"}
    # It has reset, but what is seen is the successor.
    assert step.truncated
    assert step.observation[0] == 1.0


def test_an_own_reset_starts_episodes():
    class OwnReset(Walk):
        def reset(self, key, params=None):
            observation, state = super().reset(key, params)
            return observation + 3, state.replace(place=jnp.float32(3))

    _, observation = make_env(OwnReset()).reset(jax.random.key(0))
    assert observation[0] == 3.0


def test_whether_a_step_draws_is_found_out():
    class Drawn(Walk):
        def reset_env(self, key, params):
            state = WalkState(time=0, place=jax.random.uniform(key))
            return self.observe_place(state), state

    class NoisyStep(Drawn):
        def step_env(self, key, state, action, params):
            observation, state, reward, terminated, info = super().step_env(
                key, state, action, params
            )
            return observation, state, reward + jax.random.normal(key), terminated, info

    assert not reads_key(make_env(Drawn()))
    assert reads_key(make_env(NoisyStep()))


def test_gradients_flow_through_a_transition():
    def final_place(stride):
        environment = make_env(Walk(), stride=stride)
        return take(environment, 1)[1].observation[0]

    assert jax.grad(final_place)(2.0) == 1.0


def test_actions_are_cast_and_checked():
    environment = make_env("Pendulum-v1")
    with pytest.raises(ValueError, match=re.escape("has shape (1,), not (3,)")):
        take(environment, jnp.zeros(3))
    mountain_car = make_env("MountainCar-v0")
    small = take(mountain_car, jnp.uint8(0))
    usual = take(mountain_car, 0)
    assert (small[1].observation == usual[1].observation).all()


def test_spaces_say_what_observations_are():
    assert make_env("Catch-bsuite").observation_space.dtype == jnp.float32
    assert make_env("FourRooms-misc").observation_space.dtype == jnp.int32
    assert make_env("FrozenLake-misc").observation_space == Discrete(16, jnp.dtype("int32"))

    class Numbered(Walk):
        def observe_place(self, state):
            return jnp.asarray(state.place, jnp.uint8)

        def observation_space(self, params):
            return spaces.Discrete(9)

    environment = make_env(Numbered())
    assert environment.observation_space == Discrete(9, jnp.dtype("uint8"))
    assert take(environment, 1)[1].observation.dtype == jnp.uint8


@pytest.mark.parametrize("game", ["Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders"])
def test_minatar_gives_truth_values(game):
    environment = make_env(f"{game}-MinAtar")
    key = jax.random.key(0)
    state, observation = jax.eval_shape(environment.reset, key)
    step = jax.eval_shape(environment.step, key, state, jnp.int32(0))[1]
    seen = environment.observation_space, observation, step.observation
    assert [x.dtype for x in seen] == [bool] * 3


def test_minatars_truth_values_are_gymnaxs_numbers():
    theirs, params = gymnax.make("Breakout-MinAtar")
    environment = make_env("Breakout-MinAtar")

    @jax.jit
    def look(key):
        return environment.reset(key)[1], theirs.reset(key, params)[0]

    observation, expected = look(jax.random.key(0))
    np.testing.assert_array_equal(observation.astype(float), expected)
    assert 0 < expected.mean() < 1


def test_both_truth_values_are_sampled():
    draws = Box(0, 1, (200,), jnp.bool_).sample(jax.random.key(0))
    assert draws.dtype == bool
    assert 0.4 < draws.mean() < 0.6


def test_params_without_a_limit():
    @flax.struct.dataclass
    class Endless:
        stride: float = 1.0

    class EndlessWalk(Walk):
        @property
        def default_params(self):
            return Endless()

        def is_truncated(self, state, params):
            return jnp.array(False)

    assert make_env(EndlessWalk()).max_episode_steps is None
    assert from_gymnax(EndlessWalk(), Endless(stride=2.0), name="walk").name == "walk"


class FiveValues(Walk):
    def step(self, key, state, action, params=None):
        return self.step_env(key, state, action, params)


class SixValuesInside(Walk):
    def step_env(self, key, state, action, params):
        *values, info = super().step_env(key, state, action, params)
        return *values, False, info


class NoFinalObservation(Walk):
    def step(self, key, state, action, params=None):
        *values, _ = super().step(key, state, action, params)
        return *values, {}


class NoParams(Walk):
    @property
    def default_params(self):
        return None


class VectorReward(Walk):
    def step_env(self, key, state, action, params):
        observation, state, reward, *rest = super().step_env(key, state, action, params)
        return observation, state, reward[None], *rest


class DictActions(Walk):
    action = spaces.Dict({"left": spaces.Discrete(2)})


class DictObservations(Walk):
    def observation_space(self, params):
        return spaces.Dict({"place": spaces.Box(0, 1, (1,))})


class WrongObservationShape(Walk):
    def observation_space(self, params):
        return spaces.Box(0, 1, (2,))


class CountFromParameter(Walk):
    def action_space(self, params):
        # gymnax's own constructor would fail on a traced count before we could say why.
        space = spaces.Discrete(2)
        space.n = params.stride
        return space


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (FiveValues, "the step of FiveValues returns 5 values, but gymnax 1.x expects 6: observ"),
        (SixValuesInside, "the step_env of SixValuesInside returns 6 values"),
        (NoFinalObservation, 'info["final_observation"]'),
        (NoParams, "the default_params of NoParams are None"),
        (
            VectorReward,
            "the reward of VectorReward is float32[1], but it must be a real number of shape ()",
        ),
        (DictActions, "the action space of DictActions is a Dict"),
        (DictObservations, "the observation space of DictObservations is a Dict"),
        (WrongObservationShape, "has shape (2,), but its observations have (1,)"),
    ],
)
def test_broken_protocols(kind, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_env(kind())


def test_a_state_that_changes_its_shape():
    class Growing(Walk):
        def step_env(self, key, state, action, params):
            observation, state, *rest = super().step_env(key, state, action, params)
            return observation, state.replace(place=state.place[None]), *rest

    with pytest.raises(ValueError, match=r"place float32\[\].* to .*place float32\[1\]"):
        make_env(Growing())


def test_a_count_that_is_traced():
    with pytest.raises(ValueError, match="must be known before tracing"):
        jax.jit(lambda stride: make_env(CountFromParameter(), stride=stride).name)(2.0)


def test_what_only_looks_like_an_environment():
    @dataclass
    class Other:
        name: str = "other"

    with pytest.raises(ValueError, match="a gymnax Environment object, not"):
        make_env(Other())
