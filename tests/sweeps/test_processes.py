"""Processes that share a sweep: who trains what, who is lost, and one table in the end."""

import concurrent.futures
import contextlib
import itertools
import json

import pytest
from runs import toy

from jaxrl import runs, sweeps
from jaxrl.runs.folder import locked
from jaxrl.sweeps import dealing, execution, processes
from jaxrl.sweeps.processes import Processes, alone, check_joining

SPACE = {"learning_rate": [0.1, 0.2, 0.4], "env.wind": [0.0, 2.0]}


def make(space=SPACE, **options):
    base = toy.specification(
        total_steps=80, members=runs.make_members(range(2)), checkpoint_minutes=None
    )
    return sweeps.make_sweep(base, space, sampler="grid", **options)


def join(folder, count):
    """All processes of a sweep, in this one, and what ends each: locks are of open files."""
    ends = [contextlib.ExitStack() for _ in range(count)]
    ends[0].enter_context(alone(folder))
    for index, end in enumerate(ends):
        name = f".lock-{index:05d}"
        end.enter_context(locked(folder, name=name))
        (folder / name).write_text("host")
    return [(Processes(folder, index, count), end) for index, end in enumerate(ends)]


def run_all(count, folder, function):
    """Calls function(processes) for each, side by side; returns what they return or raise."""

    def work(one, end):
        with end:
            return function(one)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(work, *one) for one in join(folder, count)]
        return [call.exception() or call.result() for call in calls]


def table(folder):
    return (folder / "trials.jsonl").read_bytes()


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    return tmp_path_factory.mktemp("one") / "sweep"


@pytest.fixture
def sweep(by_one):
    """A sweep of two rungs, which one process has run."""
    search = make(halving=3, rungs=2)
    if not by_one.exists():
        sweeps.start(search, by_one)
    return search


def test_processes_in_threads_come_to_the_table_of_one(tmp_path, sweep, by_one):
    folder = tmp_path / "sweep"
    outcomes = run_all(2, folder, lambda one: sweeps.start(sweep, folder, processes=one))
    assert [outcome.finished for outcome in outcomes] == [True, True]
    assert table(folder) == table(by_one)
    names = {path.name for path in (folder / "blocks").iterdir() if path.is_dir()}
    assert {"rung0-group000-part0-000", "rung0-group000-part1-000"} <= names
    # Nothing is left to do, for one process or three.
    assert sweeps.resume(folder).run_seconds == 0
    outcomes = run_all(3, folder, lambda one: sweeps.resume(folder, processes=one))
    assert [outcome.run_seconds for outcome in outcomes] == [0, 0, 0]
    assert table(folder) == table(by_one)


@pytest.mark.full
@pytest.mark.parametrize("count", [1, 3])
def test_what_one_process_left_undone_is_done_by_others(
    tmp_path, monkeypatch, sweep, by_one, count
):
    """The second of two processes dies in its first block; one or three go on."""
    folder = tmp_path / "sweep"
    carry_out = execution.carry_out

    def dying(prepared, run, *arguments, **options):
        if "part1" in run.name:
            raise KeyboardInterrupt
        return carry_out(prepared, run, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(execution, "carry_out", dying)
        left, killed = run_all(2, folder, lambda one: sweeps.start(sweep, folder, processes=one))
    assert isinstance(killed, KeyboardInterrupt)
    assert isinstance(left, runs.ExperimentError)
    assert str(left) == (
        "process 1 of 2 has ended, and so does process 0; what was saved goes on with: jaxrl "
        f"resume {folder}"
    )
    if count == 1:
        assert sweeps.resume(folder).finished
    else:
        outcomes = run_all(count, folder, lambda one: sweeps.resume(folder, processes=one))
        assert all(outcome.finished for outcome in outcomes)
    assert table(folder) == table(by_one)


def test_another_sweep_in_one_process_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(execution._Execution, "run", lambda self: None)
    folder = tmp_path / "sweep"

    def work(one):
        space = {"env.wind": [0.0, 1.0 + one.index]}
        return sweeps.start(make(space), folder, processes=one)

    _, other = run_all(2, folder, work)
    assert "process 1 was given another sweep than process 0" in str(other)


@pytest.mark.full
def test_one_process_trains_the_winner_again(tmp_path):
    folder, sweep = tmp_path / "sweep", make({"env.wind": [0.0, 5.0, 1.0]}, validation_seeds=3)
    outcomes = run_all(2, folder, lambda one: sweeps.start(sweep, folder, processes=one))
    assert [outcome.finished for outcome in outcomes] == [True, True]
    assert sweeps.read_block(folder, sweeps.VALIDATION).trials == (1,)
    sweeps.start(sweep, tmp_path / "one")
    result = "validation-result.json"
    assert (folder / result).read_bytes() == (tmp_path / "one" / result).read_bytes()


@pytest.mark.full
def test_a_group_that_fails_in_one_process_is_known_to_all(tmp_path, monkeypatch):
    fit = execution.fit

    def failing(group, *arguments, **options):
        if group.base.settings.sizes == (2, 3) and 0 in group.trials:
            raise ValueError("no memory")
        return fit(group, *arguments, **options)

    monkeypatch.setattr(execution, "fit", failing)
    folder, sweep = tmp_path / "sweep", make({"sizes": [(2, 3), (4, 3)], "env.wind": [0.0, 1.0]})
    outcomes = run_all(2, folder, lambda one: sweeps.start(sweep, folder, processes=one))
    assert {outcome.failed for outcome in outcomes} == {("group 1 of 2: no memory",)}
    assert [outcome.exit_code for outcome in outcomes] == [1, 1]
    rows = [json.loads(line) for line in table(folder).splitlines()]
    assert [row["status"] for row in rows].count("failed") == 1
    # Not tried again, and nothing else is either.
    assert sweeps.resume(folder).failed == ("group 1 of 2: no memory",)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("number", [0, 1, 4, 7])
def test_shares_are_a_partition(tmp_path, count, number):
    items = list(range(number))
    for turn in range(4):
        shares = [
            Processes(tmp_path, index, count).share_of(items, turn=turn) for index in range(count)
        ]
        assert sorted(itertools.chain(*shares)) == items
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    # Groups of one trial each go round.
    first = [Processes(tmp_path, 0, count).share_of([0], turn=turn) for turn in range(count)]
    assert first.count((0,)) == 1


def test_parts_of_several_starts_never_overlap(tmp_path):
    """Two processes, of which one cut its part; then three of which two did; then one."""
    sweep = make({"learning_rate": [0.1 * (i + 1) for i in range(11)]})
    (group,) = sweeps.plan(sweep)
    folder = tmp_path
    cut = []
    for count, cutting in [(2, [1]), (3, [0, 2]), (1, [0])]:
        together = [Processes(folder, index, count) for index in range(count)]
        deal = dealing.open_deal(folder, together[0])
        alive = set(group.trials)
        parts = [
            list(dealing.parts_of(folder, 0, [group], alive, deal=deal, processes=one))
            for one in together
        ]
        new = [part for own in parts for part in own if part.blocks is None]
        assert len({part.stem for part in new}) == len(new)
        assert sorted(cut + [trial for part in new for trial in part.group.trials]) == list(alive)
        # Each block that was begun has one owner.
        owned = [part.name_of(i) for own in parts for part in own for i in part.own or ()]
        assert sorted(owned) == sorted(deal.owners)
        for part in new:
            if any(part in parts[index] for index in cutting):
                trials = part.group.trials
                blocks = [trials[:2], trials[2:]] if trials[2:] else [trials]
                dealing.write_cut(folder, part, blocks)
                cut += trials
    assert sorted(cut) == list(group.trials)


def test_a_folder_is_held_by_one_sweep(tmp_path):
    ends = [end for _, end in join(tmp_path, 2)]
    with (
        ends[0],
        ends[1],
        pytest.raises(runs.ExperimentError, match="another process is working on"),
    ):
        sweeps.start(make({"env.wind": [0.0, 1.0]}), tmp_path)
    # Also where only the second of two processes is still at work.
    with (
        locked(tmp_path, name=".lock-00001"),
        pytest.raises(runs.ExperimentError, match="another process is working on"),
        alone(tmp_path),
    ):
        pass
    with alone(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_who_is_lost(tmp_path):
    first = Processes(tmp_path, 0, 3)
    with locked(tmp_path, name=".lock-00001"):
        with locked(tmp_path, name=".lock-00002"):
            assert first.lost() is None
            first.check_all_are_there()
        assert first.lost() == 2
        with pytest.raises(runs.ExperimentError, match="process 2 of 3 has ended"):
            first.wait_for(lambda: None)
        # What is there counts, although whoever left it has gone.
        assert first.wait_for(lambda: 7) == 7
    assert Processes(tmp_path, 0, 1).lost() is None


def test_memory_is_shared_by_the_processes_of_a_host(tmp_path, monkeypatch):
    for index, host in enumerate(["one", "two", "one"]):
        (tmp_path / f".lock-{index:05d}").write_text(host)
    counts = [Processes(tmp_path, index, 3).on_this_host for index in range(3)]
    assert counts == [2, 1, 2]
    assert Processes(tmp_path / "nowhere").on_this_host == 1
    monkeypatch.setattr("jaxrl.sweeps.compiled_groups.free_memory", lambda: 1000)
    assert execution.default_memory(2) == 350


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("node1", 2, 0), "coordinator='node1' is no address: write HOST:PORT"),
        (("node1:", 2, 0), "is no address"),
        ((":1234", 2, 0), "is no address"),
        (("node1:0", 2, 0), "is no address"),
        (("node1:70000", 2, 0), "is no address"),
        (("http://node1:1234", 2, 0), "is no address"),
        (("node1:1234", 0, 0), "num_processes=0 must be at least 1"),
        (("node1:1234", 1_000_000, 0), "at most 10000"),
        (("node1:1234", 2, 2), "process_id=2 must be at least 0 and less than num_processes=2"),
        (("node1:1234", 2, -1), "process_id=-1 must be at least 0"),
        (("node1:1234", None, 0), "num_processes is missing"),
        (("node1:1234", 2, None), "process_id is missing"),
        ((None, 2, 0), "coordinator is missing"),
    ],
)
def test_what_a_process_is_told_wrongly(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        check_joining(*arguments)
    coordinator, num_processes, process_id = arguments
    joining = processes.joined(
        tmp_path / "sweep",
        coordinator=coordinator,
        num_processes=num_processes,
        process_id=process_id,
    )
    with pytest.raises(ValueError, match=message), joining:
        pass
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("address", ["localhost:1234", "10.0.0.1:65535", "[::1]:1"])
def test_addresses(address):
    check_joining(address, 2, 1)
    check_joining(None, None, None)
