import numpy as np
import pytest

from mtopic.inference import schedule


def test_original_starts_cold_every_time_and_never_stops():
    original = schedule.SCHEDULES["original"]
    assert {original.plan(i, 100) for i in range(50)} == {
        schedule.Plan(cold=True, rounds=100, atol=1e-4, isolated=True)
    }
    assert original.dtype == np.float64
    assert not original.stops


def test_fast_starts_explores_and_refines():
    plan = schedule.SCHEDULES["fast"].plan
    plans = [plan(i, 100) for i in range(2 * schedule.EXPLORE)]
    assert [p.start for p in plans] == [True] + [False] * (2 * schedule.EXPLORE - 1)
    assert [p.explore for p in plans] == [True] * schedule.EXPLORE + [False] * schedule.EXPLORE
    assert [i for i, p in enumerate(plans) if p.cold] == [0, schedule.EXPLORE]
    assert all(plan(i, 7).rounds <= 7 for i in range(30))


def test_what_refines_has_momentum():
    plan = schedule.SCHEDULES["fast"].plan
    plans = [plan(i, 100) for i in range(2 * schedule.EXPLORE)]
    assert [i for i, p in enumerate(plans) if p.momentum] == [*range(schedule.EXPLORE + 1, 2 * schedule.EXPLORE)]
    assert not any(schedule.SCHEDULES["original"].plan(i, 100).momentum for i in range(50))


def test_topics_are_aligned_where_the_refinement_begins():
    plan = schedule.SCHEDULES["fast"].plan
    assert [i for i in range(50) if plan(i, 100).align] == [schedule.EXPLORE]


def test_proportions_settle_by_what_they_moved_over_the_window():
    late, window = schedule.WINDOW + 1, schedule.WINDOW
    rest = [0.5, 0.1, *[4e-3 / window] * window]
    assert schedule.proportions_have_settled(rest, late, 5e-3)
    assert not schedule.proportions_have_settled(rest, late, 3e-3)
    assert not schedule.proportions_have_settled([*rest, 2e-3], late, 5e-3)
    assert schedule.proportions_have_settled([*rest, 2e-3, *rest[-window:]], late, 5e-3)
    assert not schedule.proportions_have_settled(rest, late - 1, 5e-3)
    assert not schedule.proportions_have_settled(rest, late, None)
    assert not schedule.proportions_have_settled([], 0, 5e-3)
    assert not schedule.proportions_have_settled([0.0] * window, late, 0.0)


@pytest.mark.parametrize(("of", "auto"), [("proportions", 3e-3), ("batches", 1e-4)])
@pytest.mark.parametrize("given", ["auto", None, 1e-3, 0])
def test_tolerance(given, of, auto):
    assert schedule.tolerance(given, of) == (auto if given == "auto" else given)


@pytest.mark.parametrize(("of", "such_as"), [("proportions", "0.003"), ("batches", "0.0001")])
@pytest.mark.parametrize("bad", ["loose", -1, float("nan")])
def test_bad_tolerance(bad, of, such_as):
    with pytest.raises(ValueError, match=f"tol={bad!r}: give a number such as {such_as}"):
        schedule.tolerance(bad, of)
