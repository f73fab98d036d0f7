"""How an iteration's E-step starts and ends, and when a fit has converged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plan:
    """One E-step of at most ``rounds`` rounds: ``cold`` starts every observation at γ = 1, not at its last γ.

    An observation ends sooner when Σ_k|Δγ| < K·atol + rtol·(its counts). With ``explore`` the updates are those of the
    collapsed family, whatever the model's; with ``start``, signatures come from `stochastic.initial_signatures`; with
    ``align``, the posterior is `alignment.aligned` before.
    ``isolated``: the spatial correction takes in observations without neighbours. ``momentum``: the iteration begins
    beyond where the one before ended.
    """

    cold: bool
    rounds: int
    atol: float = 0.0
    rtol: float = 0.0
    explore: bool = False
    start: bool = False
    align: bool = False
    isolated: bool = False
    momentum: bool = False


@dataclass(frozen=True)
class Schedule:
    """The E-steps of a fit."""

    plan: Callable[[int, int], Plan]
    """From the number of the iteration, counted from 0 over all calls, and the cap on rounds, to its E-step."""
    dtype: np.dtype | None
    """Precision of the fit; None leaves it as the model has it."""
    stops: bool
    """Whether a fit may end before its last iteration."""


def _original(iteration: int, max_rounds: int) -> Plan:
    return Plan(cold=True, rounds=max_rounds, atol=1e-4, isolated=True)


EXPLORE = 10
"""Iterations by collapsed updates: after these, topics have parted and the model's own updates refine them."""


def _fast(iteration: int, max_rounds: int) -> Plan:
    """Explore by collapsed updates, under which topics part easily; then refine, under which the bound rises.

    Few rounds from the last state are enough, as signatures move little between iterations. The first iteration of
    either stage begins every observation anew, so that topics can come back to those that had lost them.
    """
    cold = iteration in (0, EXPLORE)
    return Plan(
        cold=cold,
        rounds=min(max_rounds, 20 if cold else 10),
        rtol=1e-3,
        explore=iteration < EXPLORE,
        start=iteration == 0,
        align=iteration == EXPLORE,
        momentum=iteration > EXPLORE,
    )


SCHEDULES = {
    "original": Schedule(_original, np.dtype(np.float64), stops=False),
    "fast": Schedule(_fast, None, stops=True),
}


WINDOW = 20
"""Iterations over which proportions are watched: they may stand still for a few and go on."""
TOLERANCES = {"proportions": 3e-3, "batches": 1e-4}


def tolerance(tol: float | str | None, of: str) -> float | None:
    """The number that ``tol`` stands for, of the ``"proportions"`` or the ``"batches"``."""
    if tol == "auto":
        return TOLERANCES[of]
    if tol is None:
        return None
    if isinstance(tol, str) or not tol >= 0:
        raise ValueError(
            f"tol={tol!r}: give a number such as {TOLERANCES[of]:g}, 'auto', or None to run all iterations"
        )
    return float(tol)


def proportions_have_settled(changes: Sequence[float], refined: int, tol: float | None) -> bool:
    """Whether the last `WINDOW` of the ``refined`` iterations together moved θ by less than ``tol``."""
    return tol is not None and refined > WINDOW and sum(changes[-WINDOW:]) < tol


def batches_have_settled(estimates: Sequence[float], per_epoch: int, tol: float | None) -> bool:
    """Whether the mean of an epoch's estimates differs by less than ``tol`` of itself from the epoch before."""
    if tol is None or len(estimates) < 2 * per_epoch:
        return False
    before, last = np.mean(estimates[-2 * per_epoch : -per_epoch]), np.mean(estimates[-per_epoch:])
    return bool(abs(last - before) < tol * abs(last))
