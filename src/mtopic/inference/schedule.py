"""How an iteration's E-step starts and ends, and when a fit has converged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plan:
    """One E-step: ``cold`` starts every observation at γ = 1 and not at its last γ; it ends after ``rounds`` at the latest.

    An observation ends sooner when Σ_k|Δγ| < K·atol + rtol·(its counts). With ``epoch``, stochastic updates from every
    observation once come before it. ``isolated``: the spatial correction takes in observations without neighbours.
    """

    cold: bool
    rounds: int
    atol: float = 0.0
    rtol: float = 0.0
    epoch: bool = False
    isolated: bool = False


@dataclass(frozen=True)
class Schedule:
    """The E-steps of a fit.

    Parameters
    ----------
    plan
        From the number of the iteration, counted from 0 over all calls, and the cap on rounds, to its E-step.
    dtype
        Precision of the fit; None leaves it as the model has it.
    stops
        Whether a fit may end before its last iteration.
    """

    plan: Callable[[int, int], Plan]
    dtype: np.dtype | None
    stops: bool


def _original(iteration: int, max_rounds: int) -> Plan:
    return Plan(cold=True, rounds=max_rounds, atol=1e-4, isolated=True)


EXPLORE = 20


def _fast(iteration: int, max_rounds: int) -> Plan:
    """A stochastic epoch; then explore from cold starts, in which topics come back to observations that had lost them.

    Then refine by few rounds from the last state: exact coordinate ascent, under which the bound never falls.
    """
    if iteration < EXPLORE:
        return Plan(cold=True, rounds=max_rounds, rtol=3e-3, epoch=iteration == 0)
    return Plan(cold=False, rounds=min(max_rounds, 10), rtol=1e-3)


SCHEDULES = {
    "original": Schedule(_original, np.dtype(np.float64), stops=False),
    "fast": Schedule(_fast, None, stops=True),
}


WINDOW = 10


def tolerance(tol: float | str | None) -> float | None:
    """The number that ``tol`` stands for."""
    if tol == "auto":
        return 1e-5
    if tol is None:
        return None
    if isinstance(tol, str) or not tol >= 0:
        raise ValueError(f"tol={tol!r}: give a share of the bound such as 1e-5, 'auto', or None to run all iterations")
    return float(tol)


def has_converged(elbo: Sequence[float], refined: int, tol: float | None) -> bool:
    """Whether the bound changed by less than ``tol`` of itself over `WINDOW` of the ``refined`` last iterations."""
    if tol is None or refined < WINDOW or len(elbo) <= WINDOW:
        return False
    return bool(abs(elbo[-1] - elbo[-1 - WINDOW]) < tol * abs(elbo[-1]))
