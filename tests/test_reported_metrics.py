"""What an environment reports of its own: the value at an episode's end, averaged over episodes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import NAMES, corridor, task
from tiers import named

import jaxrl
from jaxrl import cli, environments, registry, runs

SMALL = {"total_steps": 64, "num_envs": 2, "num_steps": 16, "hidden_sizes": (4,)}


def reporting(environment, **entries):
    """The environment, which reports where the walk ended: at which end, and that doubled."""
    inner = environment.step

    def step(key, state, action):
        state, time_step = inner(key, state, action)
        position = state[0]
        info = {
            "success": position >= 2.0,
            "distance": jnp.abs(position),
            "unreported": jnp.zeros(3),
        }
        return state, time_step._replace(info={**time_step.info, **info, **entries})

    return environment._replace(step=step, metrics=("success", "distance"))


@pytest.mark.parametrize("name", named(NAMES, "ppo", "dqn", "reinforce", "cem", "a3c"))
def test_every_algorithm_reports_them(name):
    environment, config = task(name)
    if environment.name != "corridor":
        environment = corridor(continuous=True)
    algorithm = registry.get(name).build(reporting(environment), config)
    result = jax.jit(lambda key: jaxrl.train(key, algorithm, num_evaluations=1))(jax.random.key(0))
    metrics = jax.device_get(result.metrics)
    known = metrics["episodes"] > 0
    assert known.any()
    success, distance = metrics["episode_success"], metrics["episode_distance"]
    assert (np.isnan(success) | known).all()
    assert ((success[known] >= 0) & (success[known] <= 1)).all()
    assert (distance[known] <= 2.5).all()
    assert "episode_unreported" not in metrics
    reported = result.evaluations.reported
    ended = np.asarray(result.evaluations.lengths) > 0
    assert np.isin(np.asarray(reported["success"])[ended], (0.0, 1.0)).all()


def test_the_mean_is_over_episodes_at_their_ends():
    """A walk to the right alone: it ends at 2 after two steps, or at a limit of three before it."""
    environment = reporting(corridor(half_width=2, limit=6))
    policy = jaxrl.types.Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(1)))
    played = jaxrl.evaluate(jax.random.key(0), environment, policy, num_episodes=3)
    np.testing.assert_array_equal(played.lengths, [2, 2, 2])
    np.testing.assert_array_equal(played.reported["success"], [1, 1, 1])
    np.testing.assert_array_equal(played.reported["distance"], [2, 2, 2])
    left = jaxrl.types.Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(0)))
    played = jaxrl.evaluate(jax.random.key(0), environment, left, num_episodes=2)
    np.testing.assert_array_equal(played.reported["success"], [0, 0])


def test_the_builder_takes_their_names():
    inner = reporting(corridor())
    fields = {name: x for name, x in inner._asdict().items() if name != "metrics"}
    built = jaxrl.environments.build_environment(**fields, metrics=("success",))
    policy = jaxrl.types.Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(1)))
    played = jaxrl.evaluate(jax.random.key(0), built, policy, num_episodes=2)
    np.testing.assert_array_equal(played.reported["success"], [1, 1])


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (("succes",), "reports the metric 'succes', and its info has"),
        (("unreported",), r"whose shape is \(3,\): it must be one number"),
    ],
)
@pytest.mark.parametrize("name", ["ppo", "cem"])
def test_metrics_that_cannot_be(name, metrics, message):
    environment = reporting(corridor())._replace(metrics=metrics)
    _, config = task(name)
    algorithm = registry.get(name).build(environment, config)
    with pytest.raises(ValueError, match=message):
        jaxrl.train(jax.random.key(0), algorithm)


def test_a_run_writes_and_shows_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(environments.registry, "_own", dict(environments.registry._own))
    jaxrl.register_environment("reporting-corridor", lambda: reporting(corridor()))
    run = runs.Specification(
        algorithm="ppo",
        environment="reporting-corridor",
        settings=jaxrl.PPOConfig(num_minibatches=1, **SMALL),
        members=runs.make_members(range(2)),
        evaluation_episodes=4,
    )
    folder = tmp_path / "run"
    runs.start(run, folder)
    assert set(runs.read_metrics(folder)) >= {"episode_success", "episode_distance"}
    row = json.loads((folder / "evaluations.jsonl").read_text().splitlines()[-1])
    assert len(row["episode_success"]) == 4
    capsys.readouterr()
    assert cli.main(["evaluate", str(folder), "--episodes", "8", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert 0 <= answer["episode_success"] <= 1
    assert cli.main(["evaluate", str(folder), "--episodes", "8"]) == 0
    assert f"success: {answer['episode_success']:.4g}, the mean" in capsys.readouterr().out


@pytest.mark.parametrize("name", named(NAMES, "ppo", "dqn", "cem"))
def test_every_algorithm_has_a_policy_that_explores(name):
    """Its actions differ from key to key, where those of the other policy do not."""
    environment, config = task(name)
    algorithm = registry.get(name).build(environment, config)
    state = algorithm.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 64)
    observation = jnp.zeros(environment.observation_space.shape)

    def actions(policy):
        def act(key):
            key_start, key_act = jax.random.split(key)
            return policy.act(key_act, policy.start(key_start), observation)[1]

        return np.unique(np.asarray(jax.jit(jax.vmap(act))(keys)), axis=0)

    assert len(actions(algorithm.policy(state))) == 1
    is_search = hasattr(state, "search") and not getattr(config, "stochastic_policy", False)
    # A search varies parameters, not actions.
    assert (len(actions(algorithm.behavior(state))) > 1) != is_search


def test_evaluation_that_explores(tmp_path, capsys):
    run = runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=jaxrl.PPOConfig(num_minibatches=1, **SMALL),
    )
    runs.start(run, tmp_path / "run")
    capsys.readouterr()
    answers = []
    for flags in ([], ["--sample"]):
        assert cli.main(["evaluate", str(tmp_path / "run"), "--json", *flags]) == 0
        answers.append(json.loads(capsys.readouterr().out)["returns"][0])
    assert answers[0] != answers[1]
