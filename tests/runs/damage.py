"""Damages every file of a run in every way, and goes on with it: `python damage.py FOLDER [SHARE]`.

Each case must be found, with one line, or be harmless: the run ends with the bytes of one that
nobody touched. Nothing may hang, crash, be taken in silence, or be written outside of the folder.
Prints one JSON line per case.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import warnings

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from runs import toy

from jaxrl.runs import (
    ExperimentError,
    checkpoints,
    evaluate_run,
    load,
    read_evaluations,
    read_metrics,
    resume,
    start,
)

SECONDS = 60
ROWS = ("metrics.jsonl", "evaluations.jsonl")


def flip(path, chance, _):
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def overwrite(path, chance, _):
    """Several bytes in a row, the length as before."""
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    piece = chance.randbytes(min(8, len(data) - place))
    data[place : place + len(piece)] = piece
    path.write_bytes(data)


def other_digit(path, chance, _):
    """Another digit in the place of one, where there is any: what still reads well."""
    data = bytearray(path.read_bytes())
    places = [place for place, byte in enumerate(data) if byte in b"123456789"]
    place = chance.choice(places or [0])
    data[place] = ord("1") + (data[place] - ord("0")) % 9
    path.write_bytes(data)


def cut(path, chance, _):
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data))])


def empty(path, _, __):
    path.write_bytes(b"")


def lengthen(path, chance, _):
    with path.open("ab") as file:
        file.write(chance.randbytes(20) + b"\n")


def nest(path, _, __):
    path.write_bytes(b"[" * 100_000 + b"\n")


def no_object(path, _, __):
    path.write_bytes(b"null\n")


def swap(path, chance, others):
    other = chance.choice([x for x in others if x != path])
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


def lose(path, _, __):
    path.unlink()


def replace_by_a_folder(path, _, __):
    path.unlink()
    path.mkdir()


def replace_by_a_link(path, _, __):
    """To a file elsewhere with the same content, which must stay as it is."""
    target = pathlib.Path(os.environ["JAXRL_ELSEWHERE"]) / "target"
    shutil.copy(path, target)
    path.unlink()
    path.symlink_to(target)


def replace_by_a_circle(path, _, __):
    path.unlink()
    path.symlink_to(path.name)


def replace_by_a_fifo(path, _, __):
    path.unlink()
    os.mkfifo(path)


# How often each is done to each file.
WAYS = [
    *[flip] * 7,
    *[overwrite] * 4,
    *[other_digit] * 4,
    *[cut] * 4,
    empty,
    lengthen,
    nest,
    no_object,
    swap,
    lose,
    replace_by_a_folder,
    replace_by_a_link,
    replace_by_a_circle,
    replace_by_a_fifo,
]


class KilledError(BaseException):
    """Stands for the end of the process."""


def make_run(folder, patch):
    """A run in the middle: three checkpoints, rows behind the last, an evaluation."""
    save, count = checkpoints.save, [0]

    def saving(*arguments, **keywords):
        count[0] += 1
        if count[0] == 4:
            raise KilledError
        save(*arguments, **keywords)

    patch(checkpoints, "save", saving)
    with contextlib.suppress(KilledError):
        start(toy.specification(), folder)
    patch(checkpoints, "save", save)


def digest(folder):
    """Of the final states and the rows."""
    run = load(folder)
    leaves = [np.asarray(x).tobytes() for x in (run.states.parameters["w"], run.states.target)]
    rows = [(folder / name).read_bytes() for name in ROWS]
    return hashlib.sha256(b"".join([*leaves, *rows])).hexdigest()


def use(folder):
    """All that anybody does with a run; what it says, line by line."""
    said = []

    def attempt(function, *arguments, **keywords):
        try:
            return function(*arguments, **keywords)
        except ExperimentError as error:
            said.append(str(error))
            return None

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        run = attempt(load, folder)
        if run is not None:
            evaluate_run(run, num_episodes=2)
        attempt(read_metrics, folder)
        attempt(read_evaluations, folder)
        outcome = attempt(resume, folder)
    said += [str(warning.message) for warning in warned]
    return outcome, said


def hang(*_):
    raise TimeoutError


def judge(folder, expected):
    """One of found, harmless, and what must not be: silent, crashed, hung, several lines."""
    signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        outcome, said = use(folder)
    except TimeoutError:
        return "hung", []
    except Exception as error:
        return f"crashed: {type(error).__name__}: {error}", []
    finally:
        signal.alarm(0)
    if any(not line.isprintable() for line in said):
        return "several lines", said
    if outcome is not None and outcome.finished and digest(folder) == expected:
        return ("found" if said else "harmless"), said
    return ("found" if said else "silent"), said


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def cases(folder, share, chance):
    """(file's name, way) of a share of all cases, in a random order."""
    names = [str(path.relative_to(folder)) for path in files_of(folder)]
    pairs = [
        (name, way)
        for name in names
        for way in WAYS
        if (folder / name).stat().st_size or way not in (flip, overwrite, other_digit, cut)
    ]
    chance.shuffle(pairs)
    return pairs[: max(1, round(share * len(pairs)))]


def main(base, share=1.0, patch=setattr):
    chance = random.Random(0)
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    os.environ["JAXRL_ELSEWHERE"] = str(elsewhere)
    make_run(base / "run", patch)
    shutil.copytree(base / "run", base / "whole")
    assert resume(base / "whole").finished
    expected = digest(base / "whole")
    verdicts = []
    for name, way in cases(base / "run", share, chance):
        folder = base / "case"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(base / "run", folder)
        way(folder / name, chance, files_of(folder))
        before = {path: path.read_bytes() for path in elsewhere.iterdir()}
        verdict, said = judge(folder, expected)
        if {path: path.read_bytes() for path in elsewhere.iterdir()} != before:
            verdict = "wrote elsewhere"
        verdicts.append({"file": name, "way": way.__name__, "verdict": verdict, "said": said})
    return verdicts


if __name__ == "__main__":
    toy.install()
    toy.share_programs()
    found = main(pathlib.Path(sys.argv[1]), *map(float, sys.argv[2:]))
    for case in found:
        print(json.dumps(case))
    counts = {}
    for case in found:
        counts[case["verdict"]] = counts.get(case["verdict"], 0) + 1
    print(json.dumps(counts))
