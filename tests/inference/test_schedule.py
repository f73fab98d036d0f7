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


def test_a_descent_begins_with_the_refinement_and_ends():
    plan = schedule.SCHEDULES["fast"].plan
    descent = [plan(i, 100).descent for i in range(schedule.EXPLORE, schedule.EXPLORE + schedule.DESCEND + 5)]
    np.testing.assert_allclose(descent[: schedule.DESCEND + 1], np.linspace(1, 0, schedule.DESCEND + 1), atol=1e-12)
    assert descent[schedule.DESCEND :] == [0.0] * 5
    assert {schedule.SCHEDULES["original"].plan(i, 100).descent for i in range(50)} == {0.0}


def test_convergence_looks_at_the_change_over_the_window():
    late = schedule.WINDOW
    flat = [-100.0] * (late + 1)
    rising = list(np.linspace(-120, -100, late + 1))
    assert schedule.bound_has_settled(flat, late, 1e-5)
    assert not schedule.bound_has_settled(rising, late, 1e-5)
    assert not schedule.bound_has_settled(flat, late - 1, 1e-5)
    assert not schedule.bound_has_settled(flat, late, None)
    assert not schedule.bound_has_settled(flat[: schedule.WINDOW], late, 1e-5)


def test_proportions_settle_after_two_windows_and_the_descent():
    late = 2 * schedule.WINDOW + 1
    assert late > schedule.DESCEND
    changes = [0.5, 0.1, 4e-3]
    assert schedule.proportions_have_settled(changes, late, 5e-3)
    assert not schedule.proportions_have_settled(changes, late, 3e-3)
    assert not schedule.proportions_have_settled([*changes, 6e-3], late, 5e-3)
    assert not schedule.proportions_have_settled(changes, late - 1, 5e-3)
    assert not schedule.proportions_have_settled(changes, late, None)
    assert not schedule.proportions_have_settled([], 0, 5e-3)
    assert not schedule.proportions_have_settled([0.0], late, 0.0)


@pytest.mark.parametrize(("of", "auto"), [("bound", 1e-5), ("proportions", 5e-3)])
@pytest.mark.parametrize("given", ["auto", None, 1e-3, 0])
def test_tolerance(given, of, auto):
    assert schedule.tolerance(given, of) == (auto if given == "auto" else given)


@pytest.mark.parametrize(("of", "such_as"), [("bound", "1e-05"), ("proportions", "0.005")])
@pytest.mark.parametrize("bad", ["loose", -1, float("nan")])
def test_bad_tolerance(bad, of, such_as):
    with pytest.raises(ValueError, match=f"tol={bad!r}: give a number such as {such_as}"):
        schedule.tolerance(bad, of)
