"""Momentum: an iteration begins beyond where the one before ended, in the direction of its last move."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .backend import Array
from .posterior import Posterior
from .priors import by_row


@dataclass(frozen=True)
class Momentum:
    """How far beyond (Nesterov 1983): (t − 1) / t' of the last move, t' = (1 + √(1 + 4 t²)) / 2 and t = 1 at first.

    γ and λ are natural parameters of the posterior, and are moved as they are.
    """

    t: float = 1.0
    before: tuple[Array, Array] | None = None
    """γ and λ at the end of the iteration before the last; None where nothing has moved yet."""

    def ahead(self, now: Posterior) -> Posterior:
        """Where the next iteration begins; nothing falls below its prior."""
        if self.before is None or self.t == 1:
            return now
        share = now.corpus.dtype.type((self.t - 1) / self._next())
        gamma, lam = (
            table + share * (table - old) for table, old in zip((now.gamma, now.lam), self.before, strict=True)
        )
        alpha, eta = np.asarray(now.alpha, gamma.dtype), by_row(now.prior_of_signatures(), lam.dtype)
        gamma, lam = np.maximum(gamma, alpha), np.maximum(lam, eta)
        if now.guide is not None:
            now.guide.hold_all(lam, now.corpus.blocks)
        return replace(now, gamma=gamma, lam=lam)

    def after(self, last: Posterior) -> Self:
        """The momentum after an iteration that began at ``last``."""
        return replace(self, t=self._next(), before=(last.gamma, last.lam))

    def astype(self, dtype: np.dtype) -> Self:
        """The same in another precision."""
        before = self.before and (self.before[0].astype(dtype, copy=False), self.before[1].astype(dtype, copy=False))
        return replace(self, before=before)

    def _next(self) -> float:
        return float((1 + np.sqrt(1 + 4 * self.t**2)) / 2)
