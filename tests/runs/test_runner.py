import dataclasses
import json
import os
import signal
import sys
import threading
import types

import jax
import numpy as np
import pytest
from runs.toy import (
    ToyConfig,
    install,
    same_state,
    share_programs,
    specification,
    toy,
    toy_environment,
)

from jaxrl import training
from jaxrl.runs import (
    ExperimentError,
    checkpoints,
    evaluate_run,
    load,
    logs,
    make_members,
    prepare,
    programs,
    read_evaluations,
    read_metrics,
    resume,
    runner,
    session,
    start,
)
from jaxrl.runs.progress import Display

ROW_FILES = ("metrics.jsonl", "evaluations.jsonl")
# 100 steps of 8 make 13 iterations; rows of 2 iterations make 7 chunks.
NUM_CHUNKS = 7


@pytest.fixture(autouse=True)
def shared_programs(monkeypatch):
    share_programs(monkeypatch.setattr)


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@pytest.fixture(scope="module", params=[False, True], ids=["fixed cost", "varying cost"])
def whole_run(request, tmp_path_factory):
    """A run that nobody stopped."""
    # The fixtures of a function are not there yet for a module's.
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(monkeypatch.setattr, monkeypatch.setitem)
        share_programs(monkeypatch.setattr)
        run = specification(varies=request.param)
        folder = tmp_path_factory.mktemp("whole") / "run"
        outcome = start(run, folder)
        assert outcome.finished
        return run, folder, load(folder)


def assert_same_run(folder, whole_run):
    _, other, expected = whole_run
    for name in ROW_FILES:
        assert (folder / name).read_bytes() == (other / name).read_bytes()
    run = load(folder)
    same_state(run.states, expected.states)
    np.testing.assert_array_equal(run.progress.steps, expected.progress.steps)
    np.testing.assert_array_equal(run.progress.iteration, expected.progress.iteration)


def kill_after(monkeypatch, owner, name, calls):
    """The process ends at the end of the given call of a function."""
    function, count = getattr(owner, name), [0]

    def dying(*arguments, **keywords):
        result = function(*arguments, **keywords)
        count[0] += 1
        if count[0] == calls:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, dying)


MOMENTS = [
    (logs.Logs, "write_metrics", range(1, NUM_CHUNKS + 1)),
    (logs.Logs, "write_evaluation", range(1, 4)),
    (logs.Logs, "flush", (3,)),
    (checkpoints, "_write_arrays", (1, 4)),
    (checkpoints, "write_atomically", (4,)),
    (checkpoints, "save", range(1, NUM_CHUNKS + 1)),
    (session, "cut_back", (1,)),
]


@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [
        # The last one of each kind by default.
        pytest.param(owner, name, calls, marks=() if calls == all_calls[-1] else pytest.mark.full)
        for owner, name, all_calls in MOMENTS
        for calls in all_calls
    ],
)
def test_resume_ends_with_the_same_bytes(whole_run, tmp_path, monkeypatch, owner, name, calls):
    run, _, _ = whole_run
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_after(patch, owner, name, calls)
        with pytest.raises(Killed):
            start(run, folder)
    # A process that dies while it writes leaves half a line.
    for file in ROW_FILES:
        if (folder / file).exists():
            with (folder / file).open("ab") as rows:
                rows.write(b'{"member": 0, "seed": 5, "ste')
    assert resume(folder).finished
    assert_same_run(folder, whole_run)


def test_resume_after_many_kills(whole_run, tmp_path, monkeypatch):
    run, _, _ = whole_run
    folder = tmp_path / "run"
    for owner, name, calls in [(logs.Logs, "write_metrics", 3), (checkpoints, "save", 1)] * 2:
        with monkeypatch.context() as patch:
            kill_after(patch, owner, name, calls)
            with pytest.raises(Killed):
                resume(folder) if folder.exists() else start(run, folder)
    assert resume(folder).finished
    assert_same_run(folder, whole_run)


def test_killed_before_the_first_chunk(whole_run, tmp_path, monkeypatch):
    run, _, _ = whole_run
    with monkeypatch.context() as patch:
        kill_after(patch, session.Session, "_slowest_steps", 1)
        patch.setattr(
            session.Session, "__init__", lambda *unused, **named: (_ for _ in ()).throw(Killed)
        )
        with pytest.raises(Killed):
            start(run, tmp_path)
    outcome = resume(tmp_path)
    assert outcome.steps_before == 0
    assert_same_run(tmp_path, whole_run)


def test_damaged_newest_checkpoint(whole_run, tmp_path, monkeypatch):
    run, _, _ = whole_run
    with monkeypatch.context() as patch:
        kill_after(patch, checkpoints, "save", 4)
        with pytest.raises(Killed):
            start(run, tmp_path)
    newest = max((tmp_path / "checkpoints").iterdir())
    (newest / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match=rf"{newest.name} cannot be used: its manifest.json"):
        outcome = resume(tmp_path)
    assert 0 < outcome.steps_before < int(newest.name)
    assert_same_run(tmp_path, whole_run)


def test_lost_rows_are_reported(whole_run, tmp_path, monkeypatch):
    run, _, _ = whole_run
    with monkeypatch.context() as patch:
        kill_after(patch, checkpoints, "save", 4)
        with pytest.raises(Killed):
            start(run, tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"seed": 5, "steps": 1}\n{"see')
    with pytest.warns(UserWarning, match=r"metrics.jsonl has lost rows"):
        resume(tmp_path)
    assert read_metrics(tmp_path)["steps"].shape[0] == 2


def test_finished_run_is_left_alone(whole_run, capsys):
    _, folder, _ = whole_run
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    outcome = resume(folder)
    assert outcome.finished
    assert outcome.steps == outcome.steps_before > 0
    assert outcome.run_seconds == 0
    assert "is finished" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_rows_and_evaluations_come_when_they_are_due(whole_run):
    run, folder, _ = whole_run
    steps = read_metrics(folder)["steps"]
    evaluated = read_evaluations(folder).steps
    if not run.settings.varies:
        np.testing.assert_array_equal(steps, [[16, 32, 48, 64, 80, 96, 104]] * 2)
        # The first chunk that reaches 40, that reaches 80, and the end.
        np.testing.assert_array_equal(evaluated, [[48, 80, 104]] * 2)
    else:
        for seed in range(2):
            # An iteration takes at most 11 steps, so a chunk ends within 11 of its multiple.
            multiples = np.minimum(16 * np.arange(1, steps.shape[1] + 1), 100)
            assert np.all((steps[seed] >= multiples) & (steps[seed] < multiples + 11))
        assert evaluated.shape == (2, 3)
    assert read_evaluations(folder).returns.shape == (2, 3, 3)
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert len(names) == run.keep_checkpoints


def test_member_equals_a_run_of_its_own_and_train(whole_run, tmp_path):
    run, folder, whole = whole_run
    start(dataclasses.replace(run, members=make_members([6])), tmp_path)
    alone = load(tmp_path)
    algorithm = toy(toy_environment(), run.settings)
    trained = jax.jit(lambda key: training.train(key, algorithm))(jax.random.key(6))
    member = jax.tree.map(lambda x: x[1], whole.states)
    for other in (jax.tree.map(lambda x: x[0], alone.states), trained.state):
        np.testing.assert_allclose(member.parameters["w"], other.parameters["w"], rtol=1e-5)
        assert member.key == other.key
        assert member.steps == other.steps
    metrics, own = read_metrics(folder), read_metrics(tmp_path)
    for name, values in metrics.items():
        np.testing.assert_allclose(values[1], own[name][0], rtol=1e-5)
    returns = read_evaluations(folder).returns[1]
    np.testing.assert_allclose(returns, read_evaluations(tmp_path).returns[0], rtol=1e-5)


@pytest.mark.parametrize("whole_run", [False], indirect=True)
def test_rows_are_the_aggregated_metrics_of_train(whole_run):
    run, folder, _ = whole_run
    algorithm = toy(toy_environment(), run.settings)
    metrics = jax.jit(lambda key: training.train(key, algorithm).metrics)(jax.random.key(5))
    loss = np.asarray(metrics["policy_loss"])
    pairs = [loss[i : i + 2].mean() for i in range(0, 13, 2)]
    np.testing.assert_allclose(read_metrics(folder)["policy_loss"][0], pairs, rtol=1e-5)
    episodes = np.asarray(metrics["episodes"])
    assert read_metrics(folder)["episodes"][0].sum() == episodes.sum()


@pytest.mark.parametrize("whole_run", [False], indirect=True)
def test_evaluations_draw_from_the_seed_and_the_step(whole_run):
    run, folder, whole = whole_run
    compiled = programs.Programs(prepare(run), starts_anew=False)
    last = compiled.evaluate(whole.states, whole.progress)
    np.testing.assert_array_equal(
        last.returns, read_evaluations(folder).returns[:, -1].astype(np.float32)
    )
    earlier = compiled.evaluate(whole.states, whole.progress._replace(steps=np.int32(80)))
    assert not np.any(last.returns == earlier.returns)


@pytest.mark.parametrize("whole_run", [False], indirect=True)
def test_evaluate_run_plays_other_episodes_for_another_seed(whole_run):
    _, _, run = whole_run
    first, other = (evaluate_run(run, num_episodes=4, seed=seed) for seed in (1, 2))
    assert first.returns.shape == first.lengths.shape == (2, 4)
    assert np.all(first.lengths == 3)
    assert not np.any(first.returns == other.returns)


def test_wrong_settings_write_nothing(tmp_path):
    folder = tmp_path / "run"
    for run, message in [
        (specification(learning_rate=-1.0), "learning_rate=-1.0 must be at least 0"),
        (specification(environment_parameters={"limit": None}), "no time limit"),
        (dataclasses.replace(specification(), algorithm="ppoo"), "unknown algorithm"),
    ]:
        with pytest.raises(ValueError, match=message):
            start(run, folder)
        assert not folder.exists()


def test_what_fails_while_compiling_leaves_the_folder_free(tmp_path):
    with pytest.raises(ValueError, match="this only shows while tracing"):
        start(specification(bug=True), tmp_path)
    with pytest.raises(ExperimentError, match="is not a run"):
        resume(tmp_path)
    assert start(specification(), tmp_path).finished


def test_an_earlier_run_is_replaced_only_on_request(tmp_path):
    start(specification(), tmp_path)
    rows = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(ExperimentError, match="already holds a run"):
        start(specification(seeds=1), tmp_path)
    assert (tmp_path / "metrics.jsonl").read_bytes() == rows
    start(specification(seeds=1), tmp_path, overwrite=True)
    assert read_metrics(tmp_path)["steps"].shape == (1, 7)
    assert len(load(tmp_path).specification.members) == 1


def test_no_checkpoint_yet(tmp_path, monkeypatch):
    kill_after(monkeypatch, logs.Logs, "write_metrics", 1)
    with pytest.raises(Killed):
        start(specification(), tmp_path)
    with pytest.raises(ExperimentError, match="has no checkpoint yet"):
        load(tmp_path)


def test_no_evaluations_when_none_are_asked_for(tmp_path):
    start(specification(evaluation_episodes=0), tmp_path)
    assert (tmp_path / "evaluations.jsonl").read_bytes() == b""


def test_config_records_the_provenance_and_resume_warns_of_another(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, checkpoints, "save", 2)
        with pytest.raises(Killed):
            start(specification(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["versions"]["jax"] == jax.__version__
    config["versions"]["jax"] = "0.0.1"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match=rf"jax was 0.0.1 and is {jax.__version__}"):
        resume(tmp_path)


def test_checkpoints_by_the_clock(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        checkpoints, "save", lambda *_, total_steps, **__: saved.append(total_steps)
    )
    start(specification(checkpoint_interval=None), tmp_path / "late")
    assert saved == [208]
    saved.clear()
    start(specification(checkpoint_interval=None, checkpoint_minutes=1e-9), tmp_path / "often")
    assert saved == [32, 64, 96, 128, 160, 192, 208]


def press_control_c(monkeypatch, calls):
    """The terminal sends its signal while the given chunk runs in the other thread."""
    write, count = logs.Logs.write_metrics, [0]

    def pressed(*arguments):
        count[0] += 1
        if count[0] == calls:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return write(*arguments)

    monkeypatch.setattr(logs.Logs, "write_metrics", pressed)


def test_control_c_saves_and_says_how_to_go_on(whole_run, tmp_path, monkeypatch, capsys):
    run = dataclasses.replace(whole_run[0], checkpoint_interval=None)
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        press_control_c(patch, 3)
        outcome = start(run, tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler
    assert not outcome.finished
    assert outcome.exit_code == 130
    assert 0 < outcome.steps < whole_run[2].progress.steps.sum() * 2
    assert f"jaxrl resume {tmp_path}" in capsys.readouterr().err
    rest = resume(tmp_path)
    assert rest.exit_code == 0
    assert rest.steps_before == outcome.steps
    assert_same_run(tmp_path, whole_run)


def test_second_control_c_ends_at_once(tmp_path, monkeypatch):
    codes = []

    def end(code):
        codes.append(code)
        raise Killed

    monkeypatch.setattr(os, "_exit", end)
    with session.Interruption(
        on_first=lambda: None, on_second=lambda: codes.append("told")
    ) as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(Killed):
            signal.raise_signal(signal.SIGINT)
    assert codes == ["told", 130]


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(whole_run, tmp_path, monkeypatch):
    run, _, _ = whole_run
    flush, failures = os.fsync, []

    def fail(handle):
        if (tmp_path / "run" / "metrics.jsonl").exists() and not failures:
            failures.append(handle)
            raise OSError(28, "No space left on device")
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(ExperimentError, match=r"cannot write to .*run: No space left"):
            start(run, tmp_path / "run")
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole_run)


def test_missing_wandb_is_one_line_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'pip install "jaxrl\[wandb\]"'):
        start(specification(wandb_project="p"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_wandb_gets_the_mean_and_every_seed(tmp_path, monkeypatch):
    calls = []
    client = types.ModuleType("wandb")
    client.__spec__ = types.SimpleNamespace(name="wandb")
    run = types.SimpleNamespace(
        log=lambda values, step: calls.append((step, values)), finish=lambda: calls.append("end")
    )
    client.init = lambda **keywords: calls.append(keywords) or run
    monkeypatch.setitem(sys.modules, "wandb", client)
    start(specification(wandb_project="p"), tmp_path)
    assert calls[0]["project"] == "p"
    assert calls[0]["config"]["settings"]["learning_rate"] == ToyConfig().learning_rate
    assert calls[-1] == "end"
    step, values = calls[1]
    metrics = read_metrics(tmp_path)
    assert step == 16
    assert values["seed_6/policy_loss"] == metrics["policy_loss"][1, 0]
    assert values["train/policy_loss"] == pytest.approx(metrics["policy_loss"][:, 0].mean())
    assert any("eval/return" in values for _, values in calls[1:-1])


@pytest.mark.parametrize("varies", [False, True])
def test_steps_beyond_int32(tmp_path, monkeypatch, varies):
    """16 iterations of 2^29 steps come to 2^33, whose counters on the device go round twice."""
    monkeypatch.undo()
    install(monkeypatch.setattr, monkeypatch.setitem)
    monkeypatch.setattr(sys.modules[toy.__module__], "STEPS_PER_ITERATION", 2**29)
    run = specification(
        total_steps=2**33,
        varies=varies,
        log_interval=2**29,
        evaluation_interval=2**32,
        checkpoint_interval=2**32,
    )
    outcome = start(run, tmp_path)
    assert outcome.finished
    steps = read_metrics(tmp_path)["steps"]
    if varies:
        # The member that ended first has no rows after that.
        gaps = np.diff(steps, axis=1)
        assert (gaps[np.isfinite(gaps)] > 0).all()
        assert (np.nanmax(steps, axis=1) >= 2**33).all()
    else:
        np.testing.assert_array_equal(steps[0], 2**29 * np.arange(1, 17))
        assert outcome.steps == 2 * 2**33
    evaluations = read_evaluations(tmp_path)
    np.testing.assert_array_equal(evaluations.steps[:, -1], np.nanmax(steps, axis=1))
    assert load(tmp_path).progress.steps.max() >= 2**33


def test_wandb_that_refuses_is_one_line_and_leaves_the_folder_free(tmp_path, monkeypatch):
    def refuse(**_):
        raise RuntimeError("api_key not configured (no-tty).\nRun wandb login")

    client = types.ModuleType("wandb")
    client.__spec__ = types.SimpleNamespace(name="wandb")
    client.init = refuse
    monkeypatch.setitem(sys.modules, "wandb", client)
    with pytest.raises(ExperimentError, match=r"cannot begin: api_key not configured .* login$"):
        start(specification(wandb_project="p"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}
    assert start(specification(), tmp_path).finished


@pytest.mark.parametrize(
    ("name", "then", "said"),
    [
        ("cores", 64, "the number of CPU cores was 64 and is"),
        ("devices", 8, "the number of devices was 8 and is 1"),
        ("xla_flags", "--xla_cpu_use_thunk_runtime", "XLA_FLAGS was --xla_cpu_use_thunk_runtime"),
    ],
)
def test_resume_warns_of_other_circumstances(tmp_path, monkeypatch, name, then, said):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    with monkeypatch.context() as patch:
        kill_after(patch, checkpoints, "save", 2)
        with pytest.raises(Killed):
            start(specification(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {name: then}))
    with pytest.warns(UserWarning, match=f"perhaps not to the same bits: {said}") as warned:
        resume(tmp_path)
    assert len(warned) == 1


def test_many_episodes_are_played_part_by_part(whole_run, monkeypatch):
    _, _, run = whole_run
    once = evaluate_run(run, num_episodes=4)
    monkeypatch.setattr(programs, "_MOST_EPISODES_AT_ONCE", 8)
    np.testing.assert_array_equal(evaluate_run(run, num_episodes=4).returns, once.returns)
    parts = evaluate_run(run, num_episodes=7)
    assert parts.returns.shape == (2, 7)
    # The first part is as before, and the second is of other episodes.
    np.testing.assert_array_equal(parts.returns[:, :4], once.returns)
    assert not np.any(parts.returns[:, 4:] == once.returns[:, :3])


def test_a_run_that_is_told_to_stop_goes_on_to_the_same_bits(tmp_path, whole_run):
    run, _, _ = whole_run
    prepared = prepare(run)
    compiled = programs.Programs(prepared, starts_anew=True)
    asked = []

    def should_stop():
        asked.append(1)
        return len(asked) > 3

    def carry_out(**options):
        return runner.carry_out(prepared, tmp_path, Display(), compiled=compiled, **options)

    outcome = carry_out(should_stop=should_stop)
    assert not outcome.finished
    assert not outcome.interrupted
    assert len(read_metrics(tmp_path)["steps"][0]) == 3
    assert carry_out().finished
    assert_same_run(tmp_path, whole_run)
