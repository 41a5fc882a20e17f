"""The documentation's examples are run as they stand."""

import doctest
import importlib.util
import pathlib
import re

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl import environments, networks, registry

DOCS = pathlib.Path(__file__).parent.parent / "docs"


def blocks_of(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run(blocks):
    namespace = {"__name__": "example"}
    for block in blocks:
        exec(block, namespace)
    return namespace


@pytest.fixture
def blocks(monkeypatch):
    # What the example registers is forgotten after the test.
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    return blocks_of("new_algorithm.md")


def test_example_is_short(blocks):
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    assert len(blocks) == 4
    assert len(lines) <= 70
    # The parts of an algorithm are found in one room, its settings in another.
    assert sum(line.startswith("from jaxrl") for line in lines) <= 2


@pytest.mark.full
def test_example_learns_cartpole(blocks):
    """A random policy reaches about 22, standing still about 9."""
    namespace = run(blocks)
    assert "plain-actor-critic" in registry.names()
    returns = np.asarray(namespace["result"].evaluations.returns).mean(axis=(1, 2))
    assert returns.shape == (4,)
    assert returns.mean() > 200


def test_a_new_environment_is_learnt(monkeypatch):
    """Doing nothing ends at about -25."""
    monkeypatch.setattr(environments.registry, "_own", dict(environments.registry._own))
    results = run(blocks_of("new_environment.md"))
    assert -5 < results["of_ppo"] < 0
    assert -5 < results["of_cem"] < 0
    # The stronger the thrust, the sooner the craft is at rest.
    assert (np.diff(results["of_thrusts"]) > 0).all()


def test_the_page_of_networks_is_true(monkeypatch):
    monkeypatch.setattr(environments.registry, "_own", dict(environments.registry._own))
    monkeypatch.setattr(networks.registry, "_networks", {})
    blocks = blocks_of("new_network.md")
    stacked = run(blocks[:2])
    assert stacked["algorithm"].steps_per_iteration
    assert jaxrl.make_env("stacked-pong", num_frames=3).observation_space.shape == (30, 40, 9)
    results = run(blocks)
    assert networks.available_networks() == ["default", "gated"]
    given, by_name = (
        jax.tree.map(lambda x: x.shape, jax.eval_shape(algorithm.init, jax.random.key(0)))
        for algorithm in (results["algorithm"], results["by_name"])
    )
    assert given == by_name


@pytest.mark.full
def test_the_page_of_population_based_training_is_true(monkeypatch, tmp_path):
    """A random policy reaches about 22; 40,960 steps of a member with a good rate suffice."""
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.chdir(tmp_path)
    results = run(blocks_of("population_based_training.md"))
    assert results["algorithm"].total_steps == 8 * 40_960
    assert float(results["result"].evaluations.returns.mean()) > 300
    assert 1e-4 < results["found"]["learning_rate"] < 3e-2
    assert (tmp_path / "lineage.png").is_file()


@pytest.mark.full
def test_the_page_of_finance_is_true(capsys):
    results = run(blocks_of("finance.md"))
    assert results["least"] == pytest.approx(911_227 + 364_129, rel=1e-5)
    costs = results["costs"]
    expected = {"Almgren-Chriss": 1.2754e6, "TWAP": 1.7455e6, "all at once": 2.5625e6}
    assert costs == {name: pytest.approx(cost, rel=0.02) for name, cost in expected.items()}
    assert (np.abs(results["excess"]) < 0.06).all()
    objectives = results["objectives"]
    assert max(objectives, key=objectives.get) == "optimum"
    assert objectives["continuous optimum"] > objectives["Avellaneda-Stoikov"]
    assert objectives["Avellaneda-Stoikov"] > objectives["symmetric"]
    assert capsys.readouterr().out.count("Sharpe") == 3


def test_the_page_of_statistics_is_true(capsys):
    results = run(blocks_of("statistics.md"))
    iqm, low, high = map(float, capsys.readouterr().out.split())
    assert low < iqm < high
    assert iqm == pytest.approx(0.7, abs=0.1)
    assert (np.diff(results["profile"].centre) <= 0).all()
    # Scores whose means differ by one deviation: Phi(1 / sqrt(2)) = 0.76.
    assert results["better"].centre == pytest.approx(0.76, abs=0.1)
    assert results["better"].low > 0.5


@pytest.mark.parametrize("algorithm", registry.names())
def test_every_constructor_has_an_example_that_runs(algorithm):
    """It builds the algorithm, from nothing but an import, and trains nothing."""
    if algorithm == "evosax":
        pytest.importorskip("evosax")
    constructor = registry.get(algorithm).build
    (found,) = doctest.DocTestFinder(recurse=False).find(
        constructor, constructor.__name__, globs={}
    )
    source = "".join(example.source for example in found.examples)
    assert f"algorithm = jaxrl.{constructor.__name__}(env, config)" in source
    assert "train" not in source
    results = doctest.DocTestRunner().run(found)
    assert results.attempted >= 5
    assert results.failed == 0


@pytest.fixture
def reference():
    path = DOCS / "write_reference.py"
    specification = importlib.util.spec_from_file_location("write_reference", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_page_of_settings_is_that_of_the_code(reference):
    """`python docs/write_reference.py` writes it again."""
    assert "\n".join(reference.settings_section()) in reference.PAGE.read_text(encoding="utf-8")


@pytest.mark.full
def test_the_page_of_metrics_is_that_of_the_code(reference):
    assert reference.page() == reference.PAGE.read_text(encoding="utf-8")


@pytest.mark.full
def test_the_page_of_sweeps(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    best = run(blocks_of("sweeps.md"))["best"]
    assert best["status"] == "complete"
    assert len(best["returns"]) == 2
