"""Starting from an earlier run: what was learnt is taken over, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import NAMES, build, corridor, task
from tiers import named

import jaxrl
from jaxrl import registry, runs, take_learned
from jaxrl.sweeps import log_uniform, population_based
from jaxrl.transfer import LEARNT

CHEAP = ("ppo", "dqn", "sac", "cem")


def leaves_of(tree):
    return [x for x in jax.tree.leaves(tree) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]


@pytest.mark.parametrize("name", named(NAMES, *CHEAP))
def test_the_policy_is_the_earlier_one_and_the_rest_is_new(name):
    algorithm = build(name)
    trained = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
    fresh = jax.jit(algorithm.init)(jax.random.key(1))
    state = take_learned(fresh, trained)

    @jax.jit
    def actions(state):
        policy = algorithm.policy(state)
        space = algorithm.environment.observation_space
        keys = jax.random.split(jax.random.key(2), 16)
        seen = jax.random.normal(jax.random.key(3), (16, *space.shape))
        return jax.vmap(lambda key, x: policy.act(key, policy.start(key), x)[1])(keys, seen)

    np.testing.assert_array_equal(actions(state), actions(trained))
    # Counters begin anew, and so do schedules.
    assert int(state.steps if hasattr(state, "steps") else 0) == int(
        fresh.steps if hasattr(fresh, "steps") else 0
    )
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    for own, new in zip(jax.tree.leaves(state), jax.tree.leaves(fresh), strict=True):
        assert (own.shape, own.dtype) == (new.shape, new.dtype)


def ppo(**changes):
    small = {"total_steps": 96, "num_envs": 2, "num_steps": 8, "num_minibatches": 2}
    return jaxrl.ppo(corridor(), jaxrl.PPOConfig(**small | {"hidden_sizes": (4,)} | changes))


def trained(algorithm, seed=0):
    return jaxrl.train(jax.random.key(seed), algorithm).state


def test_normalisers_go_over_and_the_optimiser_does_not():
    algorithm = ppo(normalize_observations=True, normalize_rewards=True)
    earlier, fresh = trained(algorithm), algorithm.init(jax.random.key(1))
    state = take_learned(fresh, earlier)
    inner, rewards, observations = [], [], []
    for x in (state, earlier, fresh):
        # Rewards around observations, or the other way round: both have statistics.
        outer = x.agent
        rewards.append(leaves_of(outer.statistics))
        observations.append(leaves_of(outer.agent.statistics))
        inner.append(outer.agent.agent)
    for one, other in ((rewards[0], rewards[1]), (observations[0], observations[1])):
        jax.tree.map(np.testing.assert_array_equal, one, other)
    jax.tree.map(np.testing.assert_array_equal, inner[0].params, inner[1].params)
    jax.tree.map(np.testing.assert_array_equal, inner[0].optimizer, inner[2].optimizer)
    assert int(inner[0].updates) == 0
    assert int(inner[1].updates) > 0


def test_train_begins_with_it():
    """Without any learning of its own, the run ends with the earlier parameters."""
    earlier = trained(ppo())
    # The smallest step that float32 has: nothing moves.
    still = ppo(learning_rate=2e-38, total_steps=16)
    state = jaxrl.train(jax.random.key(5), still, start_from=earlier).state
    jax.tree.map(np.testing.assert_array_equal, state.agent.params, earlier.agent.params)
    alone = jaxrl.train(jax.random.key(5), still).state
    assert any(
        np.any(x != y)
        for x, y in zip(jax.tree.leaves(alone.agent.params), jax.tree.leaves(state.agent.params))
    )


def test_another_task_and_other_settings():
    earlier = trained(ppo())
    config = jaxrl.PPOConfig(
        total_steps=64, num_envs=4, num_steps=8, hidden_sizes=(4,), optimizer="rmsprop"
    )
    algorithm = jaxrl.ppo(corridor(half_width=3, limit=9), config)
    result = jax.jit(lambda key, x: jaxrl.train(key, algorithm, start_from=x))(
        jax.random.key(0), earlier
    )
    assert np.isfinite(leaves_of(result.state.agent.params)[0]).all()


def test_a2c_goes_on_from_ppo():
    small = {"total_steps": 32, "num_envs": 2, "num_steps": 8, "hidden_sizes": (4,)}
    algorithm = jaxrl.a2c(corridor(), jaxrl.A2CConfig(**small))
    earlier = trained(ppo())
    state = take_learned(algorithm.init(jax.random.key(0)), earlier)
    jax.tree.map(np.testing.assert_array_equal, state.agent.params, earlier.agent.params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_sizes": (8,)}, r"has shape \(4,\) in the earlier run and \(8,\) in the new one"),
        ({"hidden_sizes": (4, 4)}, "only the new run has agent.params"),
        ({"normalize_observations": True}, r"the earlier run has no .*agent\.statistics"),
    ],
)
def test_what_does_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.train(jax.random.key(0), ppo(**changes), start_from=ppo().init(jax.random.key(1)))


def test_normalisers_that_would_be_lost():
    """Parameters that were learnt behind a normaliser are worth nothing without it."""
    earlier = ppo(normalize_observations=True).init(jax.random.key(1))
    with pytest.raises(ValueError, match=r"the earlier run has no agent.params"):
        take_learned(ppo().init(jax.random.key(0)), earlier)


def test_states_of_another_kind():
    environment, config = task("cem")
    search = registry.get("cem").build(environment, config).init(jax.random.key(0))
    with pytest.raises(ValueError, match="take a run of the same algorithm"):
        take_learned(ppo().init(jax.random.key(0)), search)
    with pytest.raises(ValueError, match="holds nothing that"):
        take_learned(ppo().init(jax.random.key(0)), {"params": 1})


def test_a_population_goes_on_from_a_population():
    def build_member(settings):
        return ppo(**settings)

    space = {"learning_rate": log_uniform(1e-4, 1e-2)}
    algorithm = population_based(build_member, space, population_size=2, interval=1)
    one, other = (algorithm.init(jax.random.key(seed)) for seed in (0, 1))
    state = take_learned(one, other)
    params = state.members.agent.params
    jax.tree.map(np.testing.assert_array_equal, params, other.members.agent.params)
    np.testing.assert_array_equal(state.settings["learning_rate"], one.settings["learning_rate"])


def test_the_documented_fields_exist():
    """A field that is renamed would be forgotten in silence: every name is some State's."""
    found = set()
    for name in NAMES:
        if name == "evosax":
            pytest.importorskip("evosax")
        pending = [jax.eval_shape(build(name).init, jax.random.key(0))]
        while pending:
            state = pending.pop()
            found |= set(getattr(state, "_fields", ()))
            pending += [getattr(state, field) for field in getattr(state, "_fields", ())]
    assert set(LEARNT) <= found


def test_another_environment_has_the_same_spaces(tmp_path):
    deep_sea = runs.Specification(
        algorithm="ppo",
        environment="DeepSea-bsuite",
        settings=jaxrl.PPOConfig(total_steps=1_000),
        environment_parameters={"size": 8},
    )
    run = runs.Run(
        tmp_path,
        deep_sea,
        jaxrl.ppo(jaxrl.make_env("DeepSea-bsuite", size=8), deep_sea.settings),
        None,
        None,
    )
    assert run.in_environment({"size": 8}).specification == deep_sea
    with pytest.raises(ValueError, match="with size as given, DeepSea-bsuite has other obs"):
        run.in_environment({"size": 10})
