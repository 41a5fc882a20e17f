"""Population-based training: who copies whom, what is copied and varied, and what is kept."""

import doctest

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from probe_environments import continuous_target
from small_runs import corridor
from tiers import leading

import jaxrl
from jaxrl.runs import checkpoints
from jaxrl.sweeps import best_member, log_uniform, population_based, uniform
from jaxrl.sweeps.population_based import pairwise_parents, truncation_parents
from jaxrl.training import Progress, advance, train
from jaxrl.types import Algorithm, Policy

KEYS = jax.random.split(jax.random.key(0), 400)


@pytest.fixture
def as_users_run_it(monkeypatch):
    """Without the checks of annotations that other tests run under: users have none."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def iterated(change, score, *, start, total_steps=40, cost=None, environment=None):
    """An algorithm whose State is (array, steps).

    change: (array) -> the array of the next iteration; score: (array) -> (episodes, return).
    An iteration takes one step, or `cost` of them, which then is not known beforehand.
    """

    def step(key, state):
        del key
        value, steps = change(state[0]), state[1] + (1 if cost is None else cost)
        episodes, episode_return = score(value)
        row = {"steps": steps, "episodes": episodes, "episode_return": episode_return}
        return (value, steps), row | {"value": jnp.sum(value)}

    return Algorithm(
        init=lambda key: (jnp.asarray(start, jnp.float32), jnp.int32(0)),
        step=step,
        policy=lambda state: Policy(lambda key: (), lambda key, carry, observation: ((), state[0])),
        environment=environment or corridor(),
        total_steps=total_steps,
        steps_per_iteration=1 if cost is None else None,
        max_iterations=total_steps,
    )


def climber(settings):
    """It climbs by its rate; its return is where it stands."""
    return iterated(lambda x: x + settings["rate"], lambda x: (jnp.int32(1), x), start=0.0)


CLIMB = {"rate": uniform(0.0, 1.0)}


def test_truncation_replaces_the_lowest_by_the_highest():
    scores = jnp.array([3.0, 9.0, jnp.nan, 5.0, 1.0, 8.0, 4.0, 7.0, 6.0, 2.0])
    choose = jax.vmap(lambda key: truncation_parents(key, scores, fraction=0.3))
    parents = np.asarray(choose(KEYS))
    lowest, highest = [2, 4, 9], [1, 5, 7]
    others = np.setdiff1d(np.arange(10), lowest)
    np.testing.assert_array_equal(parents[:, others], np.tile(others, (400, 1)))
    for member in lowest:
        # Drawn uniformly: 133 of 400 each, with a deviation of 9.
        counts = np.bincount(parents[:, member], minlength=10)
        assert counts[highest].sum() == 400
        assert (np.abs(counts[highest] - 133) < 40).all()


@pytest.mark.parametrize(
    ("size", "fraction", "count"),
    leading([(10, 0.3, 3), (2, 0.2, 1), (5, 0.2, 1), (7, 0.5, 3), (4, 0.5, 2)]),
)
def test_truncation_counts(size, fraction, count):
    scores = jnp.arange(size, dtype=jnp.float32)
    parents = np.asarray(truncation_parents(KEYS[0], scores, fraction=fraction))
    assert (parents != np.arange(size)).sum() == count
    assert (parents[:count] >= size - count).all()


def test_in_a_tournament_the_better_one_is_copied():
    scores = jnp.array([2.0, jnp.nan, 3.0, jnp.inf, 1.0])
    parents = np.asarray(jax.vmap(lambda key: pairwise_parents(key, scores))(KEYS))
    better = {0: {2}, 1: {0, 2, 4}, 2: set(), 3: {0, 2, 4}, 4: {0, 2}}
    for member, winners in better.items():
        counts = np.bincount(parents[:, member], minlength=5)
        assert set(np.flatnonzero(counts)) == winners | {member}
        # Each of the four others is met in a quarter of the tournaments: 100, deviation 9.
        assert all(abs(counts[winner] - 100) < 40 for winner in winners)


@pytest.mark.parametrize(
    "choose",
    [pairwise_parents, lambda key, scores: truncation_parents(key, scores, fraction=0.5)],
)
def test_what_is_no_number_never_wins(choose):
    nothing = jnp.array([jnp.nan, jnp.inf, -jnp.inf, jnp.nan])
    parents = jax.vmap(lambda key: choose(key, nothing))(KEYS)
    np.testing.assert_array_equal(parents, np.tile(np.arange(4), (400, 1)))
    one = nothing.at[1].set(-1e30)
    parents = np.asarray(jax.vmap(lambda key: choose(key, one))(KEYS))
    assert ((parents == 1) | (parents == np.arange(4))).all()
    assert (parents[:, [0, 2]] == 1).any()


@pytest.mark.parametrize(
    ("exploitation", "exploration"),
    leading(
        [
            ("truncation", "perturb"),
            ("pairwise", "both"),
            ("truncation", "resample"),
            ("pairwise", "perturb"),
        ],
        2,
    ),
)
def test_the_lineage_tells_where_everybody_stands(exploitation, exploration):
    """A member stands at the sum of what its ancestors climbed, each in its generation."""
    algorithm = population_based(
        climber,
        CLIMB,
        population_size=6,
        interval=7,
        exploitation=exploitation,
        exploration=exploration,
    )
    result = jax.jit(lambda key: train(key, algorithm))(KEYS[0])
    state, lineage = jax.device_get((result.state, result.state.lineage))
    rates = lineage.settings["rate"]
    lengths = [7, 7, 7, 7, 7, 5]
    np.testing.assert_array_equal(lineage.steps, 6 * np.arange(0, 42, 7))
    np.testing.assert_array_equal(rates[-1], state.settings["rate"])
    assert len(np.unique(rates[0])) == 6
    height = np.zeros(6)
    for generation, length in enumerate(lengths):
        height = height[lineage.parents[generation]]
        copied = lineage.parents[generation] != np.arange(6)
        assert copied.any() == (generation > 0)
        if generation:
            kept = rates[generation - 1][lineage.parents[generation]]
            assert (rates[generation] == kept)[~copied].all()
            if exploration == "perturb":
                varied = (rates[generation] / kept)[copied]
                limited = rates[generation][copied] == 1.0
                assert (np.isclose(varied, 0.8) | np.isclose(varied, 1.2) | limited).all()
        # The mean of what it reached in each iteration of the generation.
        climbed = rates[generation] * (length + 1) / 2
        if generation < 5:
            np.testing.assert_allclose(lineage.scores[generation], height + climbed, rtol=1e-5)
        height = height + rates[generation] * length
    np.testing.assert_allclose(state.members[0], height, rtol=1e-5)
    np.testing.assert_array_equal(state.members[1], np.full(6, 40))
    assert int(best_member(result.state)) == np.argmax(state.scores)
    played = algorithm.policy(result.state).act(None, (), None)[1]
    assert float(played) == state.members[0][np.argmax(state.scores)]


def test_metrics_are_of_all_members():
    algorithm = population_based(climber, CLIMB, population_size=5, interval=8)
    result = jax.jit(lambda key: train(key, algorithm))(KEYS[1])
    rows, rates = jax.device_get((result.metrics, result.state.lineage.settings["rate"]))
    assert algorithm.total_steps == 200
    assert set(rows) == {"steps", "episodes", "episode_return", "best_return", "value"}
    np.testing.assert_array_equal(rows["steps"], 5 * np.arange(1, 41))
    np.testing.assert_array_equal(rows["episodes"], np.full(40, 5))
    first = np.arange(1, 9)
    np.testing.assert_allclose(rows["episode_return"][:8], first * rates[0].mean(), rtol=1e-5)
    np.testing.assert_allclose(rows["value"], rows["episode_return"], rtol=1e-6)
    # The score is the mean since the generation's start.
    np.testing.assert_allclose(rows["best_return"][:8], rates[0].max() * (first + 1) / 2, rtol=1e-5)


def test_a_score_is_the_mean_over_episodes_and_kept_where_none_ended():
    """Iterations 1, 2, 4 and 5 end 1, 2, 4 and 5 episodes; after the fifth none ends."""

    def build(settings):
        def score(x):
            ended = (x != 3) & (x < 6)
            returns = jnp.where(ended, settings["worth"] * x, jnp.nan)
            return jnp.where(ended, jnp.int32(x), 0), returns

        return iterated(lambda x: x + 1, score, start=0.0, total_steps=8)

    space = {"worth": uniform(1.0, 2.0)}
    algorithm = population_based(
        build,
        space,
        population_size=2,
        interval=5,
        exploration="resample",
        resample_probability=0.0,
    )
    result = jax.jit(lambda key: train(key, algorithm))(KEYS[2])
    lineage, rows = jax.device_get((result.state.lineage, result.metrics))
    worth = lineage.settings["worth"][0]
    mean = (1 + 4 + 16 + 25) / 12
    np.testing.assert_allclose(lineage.scores[0], worth * mean, rtol=1e-6)
    # Both are the better one now, with its settings and its score, and no episode has ended since.
    np.testing.assert_allclose(result.state.scores, np.full(2, worth.max() * mean), rtol=1e-6)
    np.testing.assert_array_equal(result.state.settings["worth"], np.full(2, worth.max()))
    assert np.isnan(rows["episode_return"][[2, 5, 6, 7]]).all()
    np.testing.assert_array_equal(rows["episodes"], [2, 4, 0, 8, 10, 0, 0, 0])


@pytest.mark.full
def test_members_that_diverge_are_replaced():
    def build(settings):
        def change(x):
            return jnp.where(settings["rate"] > 0.5, jnp.nan, x + 1)

        return iterated(change, lambda x: (jnp.int32(1), x), start=0.0, total_steps=30)

    algorithm = population_based(
        build, CLIMB, population_size=8, interval=5, fraction=0.5, factors=(0.9, 1.0)
    )
    result = jax.jit(jax.vmap(lambda key: train(key, algorithm)))(KEYS[:20])
    scores = np.asarray(result.state.lineage.scores)[:, :-1]
    assert np.isnan(scores[:, 0]).any()
    assert np.isnan(scores[:, 0]).all(axis=1).sum() == 0
    assert np.isfinite(scores[:, -1]).all()
    assert np.isfinite(result.state.members[0]).all()
    assert np.isfinite(result.metrics["best_return"]).all()


def test_iterations_that_vary_are_counted_once():
    """A copy reports the steps of its parent, which the population did not take twice."""

    def build(settings):
        cost = jnp.int32(1 + jnp.floor(4 * settings["rate"]))
        climb = iterated(lambda x: x + settings["rate"], lambda x: (1, x), start=0.0, cost=cost)
        return climb._replace(total_steps=60, max_iterations=60)

    algorithm = population_based(build, CLIMB, population_size=4, interval=3, exploration="both")
    result = jax.jit(lambda key: train(key, algorithm))(KEYS[3])
    lineage, steps = jax.device_get((result.state.lineage, result.metrics["steps"]))
    used = steps >= 0
    assert steps[used][-1] >= 240 > steps[used][-2]
    cost = (1 + np.floor(4 * lineage.settings["rate"])).sum(axis=1)
    begun = lineage.steps >= 0
    np.testing.assert_array_equal(np.diff(lineage.steps[begun]), 3 * cost[begun][:-1])
    assert (lineage.parents[begun] != np.arange(4)).any()


@pytest.mark.full
def test_exploration_draws_what_it_says():
    def explored(exploration, **given):
        algorithm = population_based(
            climber,
            {"rate": uniform(0.0, 1.0)},
            population_size=1000,
            interval=39,
            fraction=0.5,
            exploration=exploration,
            **given,
        )
        lineage = jax.jit(lambda key: train(key, algorithm))(KEYS[4]).state.lineage
        parents, rates = np.asarray(lineage.parents[1]), np.asarray(lineage.settings["rate"])
        copied = parents != np.arange(1000)
        assert copied.sum() == 500
        return rates[1][copied], rates[0][parents][copied]

    new, old = explored("perturb", factors=(0.5, 1.5))
    # The parents are the upper half, so that a rise of a half often ends at the bound.
    halved, limited = np.isclose(new, 0.5 * old), new == 1.0
    assert (halved | np.isclose(new, 1.5 * old) | limited).all()
    assert 200 < halved.sum() < 300
    assert limited[~halved].mean() > 0.4
    new, old = explored("resample", resample_probability=0.4)
    drawn = new != old
    assert 140 < drawn.sum() < 260
    assert new[drawn].min() < 0.1 < 0.4 < new[drawn].mean() < 0.6
    new, old = explored("both", resample_probability=0.4, factors=(0.5,))
    assert 240 < np.isclose(new, 0.5 * old).sum() < 360


def quadratic(settings):
    """The toy of the paper's figure 2: 1.2 - |theta|^2, climbed by a surrogate's gradient."""
    slope = jnp.stack([settings["first"], settings["second"]])
    return iterated(
        lambda theta: theta - 0.02 * 2 * slope * theta,
        lambda theta: (jnp.int32(1), 1.2 - jnp.sum(jnp.square(theta))),
        start=[0.9, 0.9],
        total_steps=400,
    )


def test_the_toy_of_the_paper():
    """Two workers that begin where grid search stays: each climbs along one axis only."""
    space = {"first": uniform(0.0, 1.0), "second": uniform(0.0, 1.0)}
    algorithm = population_based(
        quadratic,
        space,
        population_size=2,
        interval=10,
        exploration="both",
    )
    start = {"first": jnp.array([1.0, 0.0]), "second": jnp.array([0.0, 1.0])}

    def best_of_grid(key):
        search = jax.vmap(lambda settings: train(key, quadratic(settings)).metrics)(start)
        return jnp.max(search["episode_return"])

    def best_of_population(key):
        state = algorithm.init(key)._replace(settings=start)
        progress = Progress(jnp.int32(0), jnp.int32(0))
        _, _, rows = advance(key, algorithm, state, progress, num_rows=400, until_steps=800)
        return rows["best_return"][-1]

    assert 0.38 < float(jax.jit(best_of_grid)(KEYS[0])) < 0.5
    best = jax.jit(jax.vmap(best_of_population))(KEYS[:50])
    assert float(jnp.min(best)) > 1.18, best


@pytest.mark.full
def test_the_condition_stays_one_under_vmap_over_keys():
    algorithm = population_based(climber, CLIMB, population_size=3, interval=4)
    together = jax.vmap(lambda key: train(key, algorithm))
    assert "cond[" in str(jax.make_jaxpr(together)(KEYS[:2]))
    result = jax.jit(together)(KEYS[:3])
    alone = jax.jit(lambda key: train(key, algorithm))(KEYS[1])
    for some, one in zip(jax.tree.leaves(result), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(some[1], one, rtol=1e-6)


@pytest.mark.full
def test_a_healthy_run_passes_where_nan_stops_programs():
    with jax.debug_nans(True):
        algorithm = population_based(climber, CLIMB, population_size=3, interval=4)
        result = jax.jit(lambda key: train(key, algorithm))(KEYS[0])
    assert np.isfinite(result.metrics["best_return"]).all()


def ppo_member(settings):
    config = jaxrl.PPOConfig(
        total_steps=96, num_envs=2, num_steps=8, num_minibatches=2, hidden_sizes=(4,), **settings
    )
    return jaxrl.ppo(corridor(), config)


def a2c_member(settings):
    settings = dict(settings)
    limit = 4.0 + settings.pop("env.half_width")
    environment = corridor(half_width=limit)
    config = jaxrl.A2CConfig(total_steps=96, num_envs=2, num_steps=8, hidden_sizes=(4,), **settings)
    return jaxrl.a2c(environment, config)


def sac_member(settings):
    config = jaxrl.SACConfig(
        total_steps=72,
        random_steps=8,
        num_steps=8,
        batch_size=4,
        buffer_size=64,
        hidden_sizes=(4,),
        **settings,
    )
    return jaxrl.sac(continuous_target(), config)


MEMBERS = {
    "climber": (climber, CLIMB),
    "ppo": (ppo_member, {"learning_rate": log_uniform(1e-4, 1e-2)}),
    "a2c": (
        a2c_member,
        {"learning_rate": log_uniform(1e-4, 1e-2), "env.half_width": uniform(0.0, 2.0)},
    ),
    "sac": (
        sac_member,
        {"learning_rate": log_uniform(1e-4, 1e-2), "discount": uniform(0.9, 0.99)},
    ),
}


@pytest.mark.parametrize("name", leading(MEMBERS))
def test_resumed_to_the_same_bits(name, tmp_path):
    build, space = MEMBERS[name]
    algorithm = population_based(
        build, space, population_size=3, interval=2, exploitation="pairwise"
    )
    total, first = algorithm.max_iterations, algorithm.first_steps
    key = KEYS[7]

    @jax.jit
    def go_on(state, progress, until):
        # As many rows for every part, so that it is one program.
        return advance(key, algorithm, state, progress, num_rows=total, until_steps=until)

    start = jax.jit(algorithm.init)(key)
    # Weak types do not survive a file.
    start = jax.tree.map(lambda x: x if is_key(x) else jnp.asarray(x, x.dtype), start)
    beginning = Progress(jnp.int32(0), jnp.int32(first))
    whole, _, rows = go_on(start, beginning, algorithm.total_steps)
    stop = first + 3 * algorithm.steps_per_iteration
    state, progress, some = go_on(start, beginning, stop)
    saved = checkpoints.Checkpoint(state, progress, file_sizes={})
    checkpoints.save(tmp_path, saved, total_steps=stop, keep=1)
    loaded = checkpoints.load_newest(tmp_path, jax.eval_shape(lambda: state))
    state, _, others = go_on(loaded.state, loaded.progress, algorithm.total_steps)
    for resumed, expected in zip(jax.tree.leaves(state), jax.tree.leaves(whole), strict=True):
        if is_key(resumed):
            resumed, expected = jax.random.key_data(resumed), jax.random.key_data(expected)
        np.testing.assert_array_equal(resumed, expected)
    for column, values in rows.items():
        resumed = np.concatenate([some[column][:3], others[column][: total - 3]])
        np.testing.assert_array_equal(resumed, values)
    lineage = whole.lineage
    assert (lineage.parents != np.arange(3)).any()
    assert (lineage.steps >= 0).all()
    assert rows["steps"][-1] == algorithm.total_steps
    # The members' schedules begin at their own settings.
    if name == "ppo":
        rates = np.asarray(lineage.settings["learning_rate"][0])
        np.testing.assert_allclose(rows["learning_rate"][0], rates.mean(), rtol=1e-6)
        np.testing.assert_allclose(rows["learning_rate"][1], rates.mean() * 5 / 6, rtol=1e-6)


def is_key(x):
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def test_the_policy_is_evaluated_in_the_task_that_is_given():
    given = corridor(half_width=3)
    settings = {"population_size": 2, "interval": 3}
    assert population_based(climber, CLIMB, **settings, environment=given).environment is given

    def build(settings):
        return climber(settings)._replace(environment=corridor(half_width=settings["rate"]))

    assert population_based(build, CLIMB, **settings).environment.name == "corridor"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"population_size": 1}, "population_size=1 must be at least 2"),
        ({"population_size": 2.0}, "population_size=2.0 is not a whole number"),
        ({"interval": 0}, "interval=0 must be at least 1"),
        ({"interval": 40}, "interval=40 must be less than the 40 iterations"),
        ({"total_steps": 0}, "total_steps=0 must be at least 1"),
        ({"total_steps": 2**60}, "total_steps=1152921504606846976 must be at most"),
        ({"total_steps": 2**40}, "iterations, and at most 2147483647 can be counted"),
        ({"exploitation": "best"}, "exploitation='best' is not one of truncation, pairwise"),
        ({"exploration": "none"}, "exploration='none' is not one of perturb, resample, both"),
        ({"fraction": 0.6}, "fraction=0.6 must be a number above 0, and at most 0.5"),
        ({"fraction": 0}, "fraction=0 must be a number above 0"),
        (
            {"fraction": 0.3, "exploitation": "pairwise"},
            "fraction=0.3 needs exploitation='truncation': it would do nothing",
        ),
        (
            {"resample_probability": 0.3},
            "resample_probability=0.3 needs exploration='resample' or 'both'",
        ),
        (
            {"resample_probability": 1.3, "exploration": "both"},
            "resample_probability=1.3 must be a number from 0 to 1",
        ),
        (
            {"factors": (0.5, 2.0), "exploration": "resample"},
            "needs exploration='perturb' or 'both'",
        ),
        ({"factors": (0.5, 0.0)}, r"factors=\(0.5, 0.0\) must be positive numbers"),
        ({"factors": 1.2}, "factors=1.2 must be positive numbers"),
        ({"factors": (1.0,)}, "would do nothing: give others than 1"),
        ({"space": {}}, "space={} must map names to distributions"),
        ({"space": {"rate": (0, 1)}}, r"rate=\(0, 1\) must be uniform\(low, high\)"),
        ({"space": {1: uniform(0, 1)}}, "space: 1 is not a name"),
        ({"build": 3}, "build must be a function"),
        ({"build": lambda settings: 3}, "build must return an algorithm, .*, not int"),
        (
            {"build": ppo_member, "space": {"learning_rate": uniform(0.0, 1.0)}},
            r"build\(\{'learning_rate': 0.0\}\): learning_rate=0.0 must be greater than 0",
        ),
        (
            {"build": ppo_member, "space": {"discount": uniform(0.5, 1.5)}},
            r"build\(\{'discount': 1.5\}\): discount=1.5 must be at most 1",
        ),
    ],
)
@pytest.mark.usefixtures("as_users_run_it")
def test_wrong_arguments_are_refused(changes, message):
    given = {"build": climber, "space": CLIMB, "population_size": 2, "interval": 5, **changes}
    with pytest.raises(ValueError, match=message):
        population_based(given.pop("build"), given.pop("space"), **given)


def test_members_without_returns_are_refused():
    def build(settings):
        member = climber(settings)

        def step(key, state):
            state, row = member.step(key, state)
            return state, {"steps": row["steps"]}

        return member._replace(step=step)

    algorithm = population_based(build, CLIMB, population_size=2, interval=5)
    with pytest.raises(ValueError, match="metrics lack episode_return and episodes"):
        jax.eval_shape(lambda: train(KEYS[0], algorithm))


@pytest.mark.parametrize(
    ("make", "bounds", "message"),
    [
        (uniform, (1.0, 1.0), "the range 1..1 is empty"),
        (uniform, (float("nan"), 1.0), "low=nan must be finite"),
        (uniform, (0.0, "1"), "high='1' is not a number"),
        (log_uniform, (0.0, 1.0), "low=0 must be greater than 0"),
    ],
)
@pytest.mark.usefixtures("as_users_run_it")
def test_wrong_bounds_are_refused(make, bounds, message):
    with pytest.raises(ValueError, match=message):
        make(*bounds)


@pytest.mark.parametrize("function", [population_based])
def test_examples_run(function):
    (found,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__, globs={})
    results = doctest.DocTestRunner().run(found)
    assert results.attempted >= 2
    assert results.failed == 0


def test_logarithms_are_uniform_within_the_bounds():
    drawn = np.asarray(log_uniform(1e-5, 1e-1).sample(KEYS[0], (4000,)))
    assert drawn.min() >= np.float32(1e-5)
    assert drawn.max() <= np.float32(1e-1)
    counts, _ = np.histogram(np.log10(drawn), bins=[-5, -4, -3, -2, -1])
    # A thousand each, with a deviation of 27.
    assert (np.abs(counts - 1000) < 120).all()
