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


def test_convergence_looks_at_the_change_over_the_window():
    late = schedule.WINDOW
    flat = [-100.0] * (late + 1)
    rising = list(np.linspace(-120, -100, late + 1))
    assert schedule.has_converged(flat, late, 1e-5)
    assert not schedule.has_converged(rising, late, 1e-5)
    assert not schedule.has_converged(flat, late - 1, 1e-5)
    assert not schedule.has_converged(flat, late, None)
    assert not schedule.has_converged(flat[: schedule.WINDOW], late, 1e-5)


@pytest.mark.parametrize(("given", "meant"), [("auto", 1e-5), (None, None), (1e-3, 1e-3), (0, 0.0)])
def test_tolerance(given, meant):
    assert schedule.tolerance(given) == meant


@pytest.mark.parametrize("bad", ["loose", -1, float("nan")])
def test_bad_tolerance(bad):
    with pytest.raises(ValueError, match="tol="):
        schedule.tolerance(bad)
