"""Whatever the user gets wrong: one clear line, exit code 2, and nothing written or changed."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from tiers import leading

from jaxrl.runs import memory

TRAIN = "train ppo CartPole-v1"

# The command, and a piece of what must be said. {run} is a finished run; `files` is a folder that
# is not a run; `damaged`, `strange` and `moved` are runs with a broken config.json, with an unknown
# environment, and with a module that is gone.
CASES = [
    ("", "no command was given"),
    ("trian ppo CartPole-v1", "did you mean train?"),
    ("fly", "known: train, sweep, resume"),
    ("train", "no algorithm was given"),
    ("train ppo", "no environment was given"),
    ("train pppo CartPole-v1", "did you mean ppo?"),
    ("train CartPole-v1 ppo", "unknown algorithm 'CartPole-v1'"),
    ("train ppo CartPol-v1", "did you mean CartPole-v1"),
    ("train ppo Chess", "unknown environment 'Chess'"),
    (f"{TRAIN} extra", "unexpected argument: extra"),
    (f"{TRAIN} -x", "unknown flag -x"),
    (f"{TRAIN} --seedz 3", "did you mean --seed"),
    (f"{TRAIN} --learning-rat 3", "did you mean --learning-rate?"),
    (f"{TRAIN} --seeds", "--seeds needs a value"),
    (f"{TRAIN} --seeds 0", "seeds=0 must be at least 1"),
    (f"{TRAIN} --seeds -3", "seeds=-3 must be at least 1"),
    (f"{TRAIN} --seeds 1.5", "--seeds: '1.5' is not a whole number"),
    (f"{TRAIN} --seeds many", "--seeds: 'many' is not a whole number"),
    (f"{TRAIN} --seeds=", "--seeds: '' is not a whole number"),
    (f"{TRAIN} --seeds 100000 --hidden-sizes 512 512", "GiB"),
    (f"{TRAIN} --seeds 10000000", "a run has at most 100,000"),
    (f"{TRAIN} --seeds 4e9", "a run has at most 100,000"),
    (f"{TRAIN} --seed -1", "seed=-1 must be at least 0"),
    (f"{TRAIN} --seed 4294967296", "at most 4294967295"),
    (f"{TRAIN} --total-steps 0", "total_steps=0 must be at least 1"),
    (f"{TRAIN} --total-steps 1e12", "are 3906250000 iterations, and at most 2147483647"),
    (f"{TRAIN} --total-steps inf", "'inf' is not a whole number"),
    (f"{TRAIN} --num-envs 0", "num_envs=0 must be at least 1"),
    (
        "train dqn CartPole-v1 --no-preset --total-steps 10100 --num-envs 64 --num-steps 10 "
        "--random-steps 10000",
        "random_steps=10000 are 10240 in whole iterations, which must be less than",
    ),
    (f"{TRAIN} --num-minibatches 5", "num_minibatches=5 does not divide"),
    (f"{TRAIN} --num-steps 200000000", "GiB"),
    (f"{TRAIN} --learning-rate -1", "learning_rate=-1.0 must be greater than 0"),
    (f"{TRAIN} --learning-rate nan", "learning_rate=nan is not a number"),
    (f"{TRAIN} --learning-rate fast", "--learning-rate: 'fast' is not a number"),
    (f"{TRAIN} --learning-rate-schedule cosine", "invalid choice 'cosine'"),
    (f"{TRAIN} --discount 1.5", "discount=1.5 must be at most 1"),
    (f"{TRAIN} --target-kl none --gae-lambda none", "--gae-lambda: 'none' is not a number"),
    (f"{TRAIN} --hidden-sizes", "needs at least one whole number, or none"),
    (f"{TRAIN} --hidden-sizes 64 none", "'none' is not a whole number"),
    (f"{TRAIN} --hidden-sizes 64 wide", "'wide' is not a whole number"),
    (f"{TRAIN} --hidden-sizes 64 0", "hidden_sizes=(64, 0) must be at least 1"),
    (f"{TRAIN} --hidden-sizes 100000000000", "must be at most 1048576"),
    (f"{TRAIN} --hidden-sizes 1000000 1000000", "GiB"),
    (f"{TRAIN} --activation step", "invalid choice 'step'"),
    (f"{TRAIN} --normalize-rewards maybe", "unexpected argument: maybe"),
    (f"{TRAIN} --torso cnn", "torso='cnn' needs observations"),
    (f"{TRAIN} --state-dependent-exploration", "needs Box actions"),
    (f"{TRAIN} --env.gravty 3", "did you mean --env.gravity?"),
    (f"{TRAIN} --env.gravity strong", "--env.gravity: 'strong' is not a number"),
    (f"{TRAIN} --env.gravity nan", "gravity=nan"),
    (f"{TRAIN} --env.x-threshold inf", "x_threshold=inf"),
    (f"{TRAIN} --env.max-steps-in-episode 0", "max_steps_in_episode=0"),
    (f"{TRAIN} --env.length 0", "length=0.0 must be greater than 0"),
    (f"{TRAIN} --env.masspole -0.1", "masspole=-0.1 must be greater than 0"),
    (f"{TRAIN} --env.gravity 1e39", "gravity=1e+39 is beyond float32"),
    (f"{TRAIN} --learning-rate 1e39", "learning_rate=1e+39 is beyond float32"),
    (f"{TRAIN} --learning-rate 1e-50", "learning_rate=1e-50 is 0 in float32"),
    (f"{TRAIN} --learning-rate 1e-3 --learning-rate 3e-4", "--learning-rate is given twice"),
    (f"{TRAIN} --learning-rate=1e-3 --learning_rate=3e-4", "--learning-rate is given twice"),
    (f"{TRAIN} --preset --no-preset", "--preset and --no-preset exclude each other"),
    (f"{TRAIN} --seeds ٣", "is not a whole number"),
    (f"{TRAIN} --learning-rate ０.1", "is not a number"),
    (f"{TRAIN} --on-divergence ignore", "invalid choice 'ignore'"),
    (f"{TRAIN} --num-envs 100000000", "num_envs * num_steps = 3200000000 are too many"),
    (f"{TRAIN} --out {'a' * 300}", "the path holds a name of 300 bytes"),
    (f"evaluate {'a' * 300}", "the path holds a name of 300 bytes"),
    ("train ppo DeepSea-bsuite --env.size 1000000000", "GiB"),
    ("--version extra", "unexpected argument: extra"),
    (f"{TRAIN} --log-interval 0", "log_interval=0 must be at least 1"),
    (f"{TRAIN} --evaluation-interval -5", "evaluation_interval=-5 must be at least 1"),
    (f"{TRAIN} --evaluation-episodes -1", "evaluation_episodes=-1 must be at least 0"),
    (f"{TRAIN} --evaluation-episodes 10000000000", "use fewer evaluation_episodes"),
    (f"{TRAIN} --checkpoint-interval 0", "checkpoint_interval=0 must be at least 1"),
    (f"{TRAIN} --checkpoint-minutes 0", "checkpoint_minutes=0.0 must be"),
    (f"{TRAIN} --checkpoint-minutes inf", "checkpoint_minutes=inf must be"),
    (f"{TRAIN} --keep-checkpoints 0", "keep_checkpoints=0 must be at least 1"),
    (f"{TRAIN} --shard hosts", "invalid choice 'hosts'"),
    (f"{TRAIN} --shard", "--shard needs a value"),
    (f"{TRAIN} --shard envs", "shard='envs' does nothing with one device"),
    (f"{TRAIN} --distributed", "unknown flag --distributed"),
    (f"{TRAIN} --out {{run}}", "--overwrite"),
    (f"{TRAIN} --out files", "files is not empty and is not a run"),
    (f"{TRAIN} --out files --overwrite", "files is not empty and is not a run"),
    (f"{TRAIN} --out files/note.txt", "files/note.txt is a file"),
    (f"{TRAIN} --out files/note.txt/run --overwrite", "note.txt is a file"),
    (f"{TRAIN} --import nothing_here", "--import nothing_here: there is no such module"),
    (f"{TRAIN} --import a/module.py", "such as a.module"),
    (f"{TRAIN} --import", "--import needs the name of a Python module"),
    ("train --import quick_algorithm quick CartPole-v1 --sizes 0", "sizes=(0,) must be at least 1"),
    ("resume", "RUN is missing"),
    ("evaluate --env.gravity 15", "RUN is missing"),
    ("render", "RUN is missing"),
    ("resume nowhere", "nowhere is not a run"),
    ("resume files", "files is not a run"),
    ("resume damaged", "damaged/config.json cannot be used"),
    ("resume moved --trust", "--import quick_elsewhere, and there is no such module"),
    ("resume {run}", "run was trained with --import quick_algorithm: give that too, or --trust"),
    ("evaluate {run}", "give that too, or --trust to import what the folder names"),
    ("resume strange --import quick_algorithm", "unknown environment 'Chess'"),
    ("resume {run} other", "unexpected argument: other"),
    ("evaluate nowhere", "nowhere is not a run"),
    ("evaluate strange --import quick_algorithm", "unknown environment 'Chess'"),
    ("evaluate {run} --episodes 0", "episodes=0 must be at least 1"),
    ("evaluate {run} --episodes 1e30", "must be at most"),
    ("evaluate {run} --episodes few", "'few' is not a whole number"),
    ("evaluate {run} --seed -1", "seed=-1 must be at least 0"),
    ("evaluate untrained --import quick_algorithm", "no checkpoint"),
    ("plot", "no run folder was given"),
    ("plot {run} nowhere --import quick_algorithm", "nowhere is not a run"),
    ("plot {run} --import quick_algorithm --out curve", "try curve.png"),
    ("plot {run} --import quick_algorithm --out curve.gif2", "try curve.png"),
    ("plot {run} --import quick_algorithm --out nowhere/curve.png", "cannot write nowhere"),
    ("plot {run} --import quick_algorithm --metric joy", "no metric 'joy'"),
    ("plot {run} --statistic median", "invalid choice 'median'"),
    ("plot untrained --import quick_algorithm", "untrained has no"),
    ("compare", "no run folder was given"),
    ("compare nowhere", "nowhere is not a run"),
    ("compare files", "files is not a run"),
    ("compare damaged", "damaged/config.json cannot be used"),
    ("compare --trust ={run}", "=run: expected a run's folder, or NAME=FOLDER"),
    ("compare --trust a={run} a=nowhere", "nowhere is not a run"),
    ("compare --trust {run} untrained", "run and untrained both have seed 0 of quick on"),
    ("compare --trust a={run} b=strange", "a has no run on Chess, max_steps_in_episode=30, which"),
    ("compare --trust lonely", "quick has one seed on CartPole-v1"),
    ("compare --trust unevaluated", "evaluation_episodes=0: it has no evaluations to compare"),
    ("compare --trust stopped", "stopped has evaluations of 2 of its 3 members"),
    ("compare --trust garbled", "garbled/evaluations.jsonl cannot be used: a line is not a row"),
    ("compare --trust {run} --normalize median", "'median' is neither none, minmax nor a file"),
    ("compare --trust {run} --normalize files", "cannot read files"),
    ("compare --trust {run} --normalize files/note.txt", "files/note.txt is no TOML file"),
    ("compare --trust {run} --normalize acrobot.toml", "no reference returns for CartPole-v1"),
    ("compare --trust {run} --normalize one.toml", "one.toml: CartPole-v1=[500] must be two"),
    ("compare --trust {run} --normalize turned.toml", "the target must be above the lowest return"),
    ("compare --trust {run} --out picture.gif2", "try picture.png"),
    ("compare --trust {run} --jsn", "did you mean --json?"),
    ("render nowhere", "nowhere is not a run"),
    ("render {run} --import quick_algorithm --out film.mp4", "try film.gif"),
    ("render {run} --import quick_algorithm --out nowhere/film.gif", "nowhere does not exist"),
    ("render {run} --import quick_algorithm --seed-index 3", "not one of the run's 0 to 2"),
    ("render {run} --max-steps 0", "max_steps=0 must be at least 1"),
    ("list people", "invalid choice 'people'"),
]


def contents(folder: pathlib.Path) -> dict[str, str]:
    """Every path under a folder, and a digest of each file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in folder.rglob("*")
    }


def spoil_evaluations(folder):
    """Runs that cannot be compared, and references that do not fit."""
    for name in ("lonely", "unevaluated", "stopped", "garbled"):
        shutil.copytree(folder / "run", folder / name)
    config = json.loads((folder / "run" / "config.json").read_text())
    changes = {"lonely": {"members": [{"seed": 0}]}, "unevaluated": {"evaluation_episodes": 0}}
    for name, change in changes.items():
        (folder / name / "config.json").write_text(json.dumps(config | change))
    rows = (folder / "run" / "evaluations.jsonl").read_text().splitlines(keepends=True)
    for name, count in {"lonely": 1, "stopped": 2}.items():
        (folder / name / "evaluations.jsonl").write_text("".join(rows[:count]))
    (folder / "garbled" / "evaluations.jsonl").write_text("nothing\n")
    references = {"acrobot": "Acrobot-v1 = [-500, -60]", "one": "CartPole-v1 = [500]"}
    for name, text in (references | {"turned": "CartPole-v1 = [500, 9]"}).items():
        (folder / f"{name}.toml").write_text(text)


@pytest.fixture(scope="module")
def workplace(finished_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "files").mkdir()
    (folder / "files" / "note.txt").write_text("keep me")
    for name in ("run", "damaged", "strange", "untrained", "moved"):
        shutil.copytree(finished_run, folder / name)
    (folder / "damaged" / "config.json").write_text('{"algorithm": ')
    config = folder / "strange" / "config.json"
    config.write_text(config.read_text().replace("CartPole-v1", "Chess"))
    config = folder / "moved" / "config.json"
    config.write_text(config.read_text().replace("quick_algorithm", "quick_elsewhere"))
    spoil_evaluations(folder)
    shutil.rmtree(folder / "untrained" / "checkpoints")
    (folder / "untrained" / "metrics.jsonl").unlink()
    return folder


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line or "nothing" for line, _ in CASES])
def test_bad_input_gets_one_clear_line(line, expected, workplace, command, monkeypatch):
    monkeypatch.chdir(workplace)
    # What is too large must not depend on the machine.
    monkeypatch.setattr(memory, "device_memory", lambda: 2**34)
    before = contents(workplace)
    answer = command(*line.format(run="run").split())
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("jaxrl: error: ")
    assert answer.err.count("\n") == 1
    assert answer.err.endswith("\n")
    assert expected in answer.err
    assert contents(workplace) == before


def test_a_folder_without_permission_is_refused(command, tmp_path, monkeypatch):
    # Root may write everywhere, so the answer of the system is replaced.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    answer = command(*TRAIN.split(), "--out", str(tmp_path / "run"))
    assert answer.code == 2
    assert "no permission" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_of_the_program_keeps_its_traceback(command, tmp_path):
    flags = ["--crash", "--out", str(tmp_path / "run")]
    with pytest.raises(RuntimeError, match="a mistake in the program"):
        command("train", "--import", "quick_algorithm", "quick", "CartPole-v1", *flags)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_inside_the_users_module_keeps_its_traceback(command, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        command("list", "--import", "broken_module")


@pytest.mark.parametrize("line", leading(["train ppo CartPol-v1", "resume nowhere"]))
def test_bad_input_in_a_process_of_its_own(line, tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "jaxrl", *line.split()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("jaxrl: error: ")
    assert list(tmp_path.iterdir()) == []
