import numpy as np
import pytest
from runs.toy import ToyConfig, specification, toy, toy_environment

from jaxrl.runs.plan import (
    Chunks,
    all_steps,
    check_counts,
    end_of_chunk,
    first_progress,
    is_finished,
    plan_chunks,
    progress_after,
    relative_progress,
    slowest_steps,
    steps_of_members,
)
from jaxrl.training import Progress


def algorithm(**settings):
    return toy(toy_environment(), ToyConfig(**settings))


@pytest.mark.parametrize(
    ("log_interval", "total_steps", "iterations"),
    [
        (16, 1000, 2),
        (17, 1000, 3),
        (1, 1000, 1),
        # More than the whole run: 125 iterations of 8 steps.
        (10**6, 1000, 125),
        # A two-hundredth of 16,000 is 80 steps.
        (None, 16_000, 10),
        (None, 10, 1),
    ],
)
def test_iterations_of_a_chunk(log_interval, total_steps, iterations):
    run = specification(log_interval=log_interval)
    assert plan_chunks(run, algorithm(total_steps=total_steps)) == Chunks(iterations, None)


def test_chunks_where_the_cost_varies():
    run = specification(log_interval=30)
    assert plan_chunks(run, algorithm(total_steps=1000, varies=True)) == Chunks(1000, 30)
    long = algorithm(total_steps=10**6, varies=True)
    assert plan_chunks(run, long).num_iterations == 4096


def progress_of(iteration, steps):
    return Progress(iteration=np.int32(iteration), steps=np.int32(steps))


def test_counting_where_all_seeds_go_together():
    fixed, run = algorithm(total_steps=20), specification(seeds=3)
    assert first_progress(run, fixed).steps.shape == ()
    progress = progress_of(2, 16)
    assert not is_finished(fixed, progress)
    assert slowest_steps(fixed, progress) == 16
    assert all_steps(run, progress) == 48
    np.testing.assert_array_equal(steps_of_members(run, progress), [16, 16, 16])
    assert is_finished(fixed, progress_of(3, 24))
    assert end_of_chunk(Chunks(2, None), fixed, progress) == 20


def test_counting_where_the_cost_varies():
    varying, run = algorithm(total_steps=100, varies=True), specification(seeds=3)
    assert first_progress(run, varying).steps.shape == (3,)
    # The first seed is finished, the second has run out of iterations, the third goes on.
    progress = progress_of([30, 100, 20], [104, 90, 59])
    assert not is_finished(varying, progress)
    assert slowest_steps(varying, progress) == 59
    assert end_of_chunk(Chunks(5, 30), varying, progress) == 60
    assert end_of_chunk(Chunks(5, 30), varying, progress_of([1, 1, 1], [95, 95, 91])) == 100
    # At a multiple the next one is meant, or a run would stand still.
    assert end_of_chunk(Chunks(5, 30), varying, progress_of([9, 9, 9], [60, 70, 80])) == 90
    done = progress_of([30, 100, 20], [104, 90, 100])
    assert is_finished(varying, done)
    assert slowest_steps(varying, done) == 100


def test_billions_of_steps_do_not_overflow():
    run = specification(seeds=4)
    assert all_steps(run, progress_of(1, 2**31 - 1)) == 4 * (2**31 - 1)


BEYOND = 2**33


def test_the_device_counts_from_the_slowest_member():
    varying = algorithm(total_steps=2**40, varies=True)
    before = Progress(iteration=np.int32([5, 7]), steps=np.int64([BEYOND + 3, BEYOND]))
    relative = relative_progress(before, BEYOND)
    assert relative.steps.dtype == np.int32
    np.testing.assert_array_equal(relative.steps, [3, 0])
    # The first member goes on by 10 steps; the second has stopped.
    counted = Progress(iteration=np.int32([6, 7]), steps=np.int32([13, 99]))
    after = progress_after(varying, before, counted, BEYOND)
    np.testing.assert_array_equal(after.steps, [BEYOND + 13, BEYOND])
    # What is beyond int32 is as far beyond every limit.
    far = relative_progress(Progress(iteration=np.int32([1]), steps=np.int64([2**40])), 0)
    np.testing.assert_array_equal(far.steps, [2**31 - 1])


def test_steps_follow_from_iterations_where_all_members_go_together():
    fixed = algorithm(total_steps=2**40)
    counted = Progress(iteration=np.int32(2**30), steps=np.int32(-5))
    after = progress_after(fixed, progress_of(0, 0), counted, 0)
    assert after.steps == 8 * 2**30
    assert slowest_steps(fixed, after) == 8 * 2**30
    assert end_of_chunk(Chunks(2, None), fixed, after) == 2**40


def test_what_cannot_be_counted_is_refused():
    check_counts(algorithm(total_steps=8 * (2**31 - 1)))
    with pytest.raises(ValueError, match="are 2147483648 iterations, and at most 2147483647"):
        check_counts(algorithm(total_steps=8 * 2**31))
    large = algorithm()._replace(steps_per_iteration=2**30 + 1)
    with pytest.raises(ValueError, match="an iteration takes 1073741825 steps"):
        check_counts(large)
