"""The benchmark of an accelerator: its arithmetic, and a dry run of every stage."""

import importlib
import itertools
import json
import pathlib
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pytest
from tiers import lengthy

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"
STAGES = ("ceilings", "ppo", "rejax", "kernels", "checks", "replay", "minatar", "precision")
STAGES += ("population", "forms")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    """Imports a benchmark's module as it is when it runs as a script."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(BENCHMARKS / "workers"))
    return importlib.import_module


def compiled(function, *arguments):
    traced = jax.jit(function).trace(*arguments)
    return traced.jaxpr.jaxpr, traced.lower().compile()


def chain(length: int):
    """So many products of 64 by 64, one after another."""

    def run(x):
        def turn(x, _):
            return jnp.tanh(x @ x), None

        return jax.lax.scan(turn, x, None, length)[0]

    return run


class TestCosts:
    def test_without_loops_the_bytes_are_the_compilers(self, load) -> None:
        def plain(x, y):
            return jnp.sum(jnp.sin(x) @ y, axis=0), y[3:5]

        _, program = compiled(plain, jnp.ones((128, 64)), jnp.ones((64, 256)))
        expected = program.cost_analysis()["bytes accessed"]
        assert load("costs").program_cost(program.as_text()).bytes == pytest.approx(expected, 0.02)

    def test_the_body_of_a_loop_counts_as_often_as_it_runs(self, load) -> None:
        costs = load("costs")
        once, often = (
            costs.program_cost(compiled(chain(length), jnp.ones((64, 64)))[1].as_text())
            for length in (10, 90)
        )
        # What one turn needs: two matrices read and written, at the least.
        turn = (often.bytes - once.bytes) / 80
        assert 2 * 64 * 64 * 4 <= turn <= 8 * 64 * 64 * 4
        assert [trips for trips, _ in often.loops] == [90]
        assert often.is_whole
        launches = often.loops[0][1]
        assert often.launches - once.launches == 80 * launches

    def test_operations_are_those_of_the_products(self, load) -> None:
        costs = load("costs")
        jaxpr, _ = compiled(chain(7), jnp.ones((64, 64)))
        assert costs.operations(jaxpr) == 7 * 2 * 64**3
        # A rectangular one, and a batch of them.
        jaxpr, _ = compiled(jax.vmap(jnp.matmul), jnp.ones((3, 5, 7)), jnp.ones((3, 7, 2)))
        assert costs.operations(jaxpr) == 3 * 2 * 5 * 7 * 2
        # 4 images, 9 by 9, 2 channels to 6 by a window of 3 by 3 inside the image.
        images, window = jnp.ones((4, 9, 9, 2)), jnp.ones((3, 3, 2, 6))

        def convolve(images, window):
            return jax.lax.conv_general_dilated(
                images, window, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        jaxpr, _ = compiled(convolve, images, window)
        assert costs.operations(jaxpr) == 2 * (4 * 7 * 7 * 6) * (3 * 3 * 2)

    def test_an_iteration_is_a_turn_of_the_outermost_loop(self, load) -> None:
        costs = load("costs")

        def train(x, count):
            return jax.lax.while_loop(
                lambda c: c[1] < count, lambda c: (chain(5)(c[0]), c[1] + 1), (x, 0)
            )

        jaxpr, program = compiled(train, jnp.ones((64, 64)), 3)
        assert costs.iteration_operations(jaxpr) == 5 * 2 * 64**3
        cost = costs.iteration_cost(program.as_text())
        assert cost.is_whole
        assert 5 in [trips for trips, _ in cost.loops]

    def test_a_loop_that_ends_when_it_ends_has_no_known_cost(self, load) -> None:
        costs = load("costs")

        def train(x, count):
            def iterate(carry):
                x, done = carry
                x = jax.lax.while_loop(lambda x: jnp.sum(x) > 0, lambda x: x @ x - 1, x)
                return x, done + 1

            return jax.lax.while_loop(lambda c: c[1] < count, iterate, (x, 0))

        jaxpr, program = compiled(train, jnp.ones((64, 64)), 3)
        assert costs.iteration_operations(jaxpr) is None
        assert not costs.iteration_cost(program.as_text()).is_whole

    def test_a_slice_within_a_fusion_is_all_that_is_read(self, load) -> None:
        def pick(table, index):
            return jnp.sin(jax.lax.dynamic_slice(table, (index, 0), (1, 64)))

        _, program = compiled(pick, jnp.ones((10_000, 64)), 3)
        assert load("costs").program_cost(program.as_text()).bytes < 64 * 4 * 10

    @pytest.mark.parametrize(
        ("shape", "size"),
        [("f32[64,3]{1,0}", 768), ("pred[]", 1), ("(s32[], bf16[2,2]{1,0})", 12), ("u8[0]", 0)],
    )
    def test_sizes_of_shapes(self, load, shape: str, size: int) -> None:
        assert load("costs").size_of(shape) == size


def test_a_trace_counts_what_a_run_launches(load) -> None:
    _, program = compiled(chain(20), jnp.ones((64, 64)))
    x = jnp.ones((64, 64))
    seen = load("kernels").launched(lambda: jax.block_until_ready(program(x)))
    expected = load("costs").program_cost(program.as_text()).launches
    # The counters of the loop are launches too, of the CPU's runtime.
    assert 20 <= seen["launches"] <= 2 * expected
    assert seen["busy_seconds"] > 0
    assert seen["costliest"][0]["seconds"] >= seen["costliest"][-1]["seconds"]
    # The products, or what they were fused into.
    assert any(kernel["launches"] == 20 for kernel in seen["costliest"])


class TestStages:
    def test_every_label_is_a_rows_own(self, load) -> None:
        stages = load("stages")
        for stage in (*stages.stages(), *stages.on_the_cpu()):
            labels = [row.label for row in stage.rows]
            assert len(set(labels)) == len(labels)

    def test_sizes_are_whole_iterations(self, load) -> None:
        stages = load("stages")
        every = (stages.stages(), stages.on_the_cpu(), stages.tiny(stages.stages()))
        for stage in itertools.chain(*every):
            for row in stage.rows:
                if row.worker != "ours":
                    continue
                settings = row.settings
                assert stages.iterations_of(settings) >= 1
                batch = settings["num_envs"] * settings["num_steps"]
                assert batch % settings.get("num_minibatches", 1) == 0

    def test_updates_are_those_of_all_agents(self, load) -> None:
        stages = load("stages")
        first = stages.ppo(4, 128, 3, 10 * 4 * 128)
        assert stages.updates_of(first.settings) == 3 * 10 * 4 * 4
        dqn = next(row for row in stages.replay() if row.label.startswith("DQN"))
        assert stages.updates_of(dqn.settings) == 4_000 - 100
        assert stages.updates_of(stages.population()[0].settings) is None

    def test_the_tiny_ones_keep_every_stage(self, load) -> None:
        stages = load("stages")
        shrunk = stages.tiny(stages.stages())
        names = [stage.name for stage in stages.stages()]
        assert [stage.name for stage in shrunk] == names
        assert [stage.name for stage in stages.on_the_cpu()] == names
        assert all(stage.rows for stage in shrunk)


class TestTable:
    @pytest.fixture
    def row(self) -> dict:
        settings = {"num_seeds": 2, "total_steps": 100, "num_steps": 10, "num_envs": 1}
        costs = {
            "memory": {"peak": None, "program": 2**21},
            "bytes_per_iteration": 10.0,
            "operations_per_iteration": 50.0,
            "launches_per_iteration": 7,
            "loops_of_iteration": [[10, 3], [4, 1], [10, 2]],
        }
        ours = {"seconds": 2.0, "steps_per_second": 100.0, "trace_seconds": 1.0}
        return {
            "label": "PPO",
            "worker": "ours",
            "beside": None,
            "settings": settings,
            "of_steps": 1_000,
            "iterations": 10,
            "updates": 40,
            "ours": ours | {"compile_seconds": 3.0, "costs": costs},
        }

    def test_the_roofline_is_the_larger_of_two_times(self, load, row: dict) -> None:
        share = load("accelerator_table").roofline_share
        # 10 bytes at 100 a second, 50 operations at 1,000 a second, of .2 s an iteration.
        assert share(row, {"copy": 100.0, "float32": 1_000.0}) == pytest.approx(0.1 / 0.2)
        assert share(row, {"copy": 1_000.0, "float32": 500.0}) == pytest.approx(0.1 / 0.2)
        assert share(row, {"copy": 100.0}) is None

    def test_a_line_has_what_was_measured(self, load, row: dict) -> None:
        line = load("accelerator_table").training_line(row, {})
        assert "20 s for 1,000, extrapolated" in line
        assert "| 100 | 20 |" in line
        assert "2 MiB" in line

    def test_launches_of_a_step_are_those_of_all_loops_of_its_length(self, load, row) -> None:
        table = load("accelerator_table")
        assert table.launches_of_loop(row["ours"]["costs"], 10) == 5
        assert table.launches_of_loop(row["ours"]["costs"], 1) == 0


def test_what_fails_is_a_row_too(load, tmp_path: pathlib.Path) -> None:
    """A worker that dies costs its row, and no other."""
    accelerator, stages = load("accelerator"), load("stages")
    plan = accelerator.Plan(time.monotonic() + 600, 2, accelerator.import_paths(), None, tiny=True)
    record = accelerator.Record(tmp_path, {"tiny": True})
    good = stages.Row("good", "ceilings", {"kind": "copy", "size": 4_096})
    bad = stages.Row("bad", "ceilings", {"kind": "float99", "size": 8})
    accelerator.run_stage(stages.Stage("ceilings", (bad, good)), plan, record)
    rows = {row["label"]: row for row in json.loads(record.file.read_text())["rows"]}
    assert "ceilings ended" in rows["bad"]["failed"]
    assert rows["good"]["ceilings"]["steps_per_second"] > 0


def test_ours_is_measured_where_only_the_peer_fails(load, tmp_path: pathlib.Path) -> None:
    accelerator, stages = load("accelerator"), load("stages")
    (tmp_path / "rejax").mkdir()
    (tmp_path / "rejax" / "__init__.py").write_text("raise ImportError('not for this jax')\n")
    paths = accelerator.import_paths()
    plan = accelerator.Plan(time.monotonic() + 600, 2, paths, tmp_path, tiny=True)
    record = accelerator.Record(tmp_path / "out", {"tiny": True})
    row = stages.Row("copy", "ceilings", {"kind": "copy", "size": 4_096}, beside="rejax")
    accelerator.run_stage(stages.Stage("ceilings", (row,)), plan, record)
    (measured,) = json.loads(record.file.read_text())["rows"]
    assert measured["peer_failed"] == "the worker rejax ended with 1"
    assert measured["ceilings"]["steps_per_second"] > 0


def test_what_has_no_time_left_is_said(load, tmp_path: pathlib.Path) -> None:
    accelerator, stages = load("accelerator"), load("stages")
    plan = accelerator.Plan(0.0, 2, (), None, tiny=True)
    record = accelerator.Record(tmp_path, {"tiny": True})
    accelerator.run_stage(stages.Stage("ppo", (stages.ppo(4, 128, 1, 512),)), plan, record)
    accelerator.run_checks(plan, record)
    content = json.loads(record.file.read_text())
    assert content["rows"][0]["left_out"] == "no time was left"
    assert "Not measured: PPO CartPole" in load("accelerator_table").table(content)


def test_one_row_cannot_take_the_time_of_all(load) -> None:
    accelerator = load("accelerator")
    plan = accelerator.Plan(time.monotonic() + 420, 2, (), None, tiny=False)
    assert plan.seconds_of_request() == accelerator.MOST_SECONDS < 420 / 2
    over = plan._replace(deadline=time.monotonic() - 1)
    assert over.seconds_of_request() == accelerator.LEAST_SECONDS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "--minutes 0 must be positive"),
        (["--stages", "pp"], "invalid choice: 'pp'"),
        (["--rejax", "nowhere"], "nowhere has no rejax in it"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str) -> None:
    command = [sys.executable, BENCHMARKS / "accelerator.py", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert answer.returncode == 2
    assert message in answer.stderr


def test_a_dry_run_leaves_the_results_alone() -> None:
    command = [sys.executable, BENCHMARKS / "accelerator.py", "--tiny", "--minutes", "0.0001"]
    command += ["--stages", "ceilings"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    written = pathlib.Path(answer.stdout.rpartition("written to ")[2].strip())
    assert written.is_file()
    assert BENCHMARKS not in written.parents


@pytest.mark.full
@pytest.mark.parametrize("stage", lengthy(STAGES, "ceilings", "ppo", "rejax", "population"))
def test_a_dry_run(stage: str, tmp_path: pathlib.Path) -> None:
    command = [sys.executable, BENCHMARKS / "accelerator.py", "--tiny", "--minutes", "30"]
    command += ["--stages", stage, "--out", tmp_path]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=1_800, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (file,) = tmp_path.glob("accelerator-*.json")
    content = json.loads(file.read_text())
    measured = [row for row in content["rows"] if row["worker"] in row]
    assert len(measured) == len(content["rows"])
    assert len(measured) + len(content["checks"]) > 0
    assert all(check["passed"] for check in content["checks"])
    for row in measured:
        assert row[row["worker"]]["steps_per_second"] > 0
        if row["worker"] == "ours":
            assert row["ours"]["costs"]["memory"]["program"] > 0


def test_a_dry_run_of_every_stage_is_tested(load) -> None:
    assert set(STAGES) == {stage.name for stage in load("stages").stages()} | {"checks"}


class TestWheels:
    def test_what_is_present_is_not_gathered(self, load) -> None:
        wanted_wheels = load("collect_wheels").wanted_wheels
        wheels = wanted_wheels(("flax", "matplotlib"))
        assert {"gymnax", "six", "tyro", "tensorboardx", "optax"} <= wheels["jaxrl"].keys()
        assert {"jax", "jaxlib", "numpy", "flax", "matplotlib"}.isdisjoint(wheels["jaxrl"])
        assert wheels["jaxrl"]["gymnax"] == "1.0.1"
        assert {"gymnax": "0.0.9", "rejax": "0.1.3"}.items() <= wheels["rejax"].items()
        assert {"jax", "flax", "optax"}.isdisjoint(wheels["rejax"])

    def test_all_have_a_version(self, load) -> None:
        for versions in load("collect_wheels").wanted_wheels(()).values():
            assert all(version[0].isdigit() for version in versions.values())
