"""Several starts of one fit, of which the one with the highest bound is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mtopic.inference import Array, Corpus, Fit, State

PLAIN = ("seeds", "kept", "converged", "passes")


@dataclass
class Starts:
    """The starts that are over, and those still to come."""

    seeds: list[int]
    """Of all starts; the fit that runs is the one after those that are over."""
    best: Fit | None = None
    """The best that is over."""
    kept: int = 0
    """Its number."""
    converged: bool = False
    """Whether it ended by its stopping rule."""
    passes: float = 0.0
    """Work of all that are over."""
    lam: list[Array] = field(default_factory=list)
    """λ of all that are over."""

    @property
    def number(self) -> int:
        """Of the start that runs, from 0."""
        return len(self.lam)

    @property
    def others(self) -> list[Array]:
        """λ of those that are over and not kept."""
        return [lam for number, lam in enumerate(self.lam) if number != self.kept]

    def over(self, fit: Fit, converged: bool, cut_short: bool) -> Fit:
        """Take note of a start that is over, unless it was cut short and is not the best; return the best."""
        self.passes += fit.passes
        if self.best is None or fit.elbo[-1] > self.best.elbo[-1]:
            self.best, self.kept, self.converged, cut_short = fit, self.number, converged, False
        if not cut_short:
            self.lam.append(fit.posterior.lam)
        return self.best

    def state(self) -> State:
        """All but the counts, for `from_state`."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in PLAIN}
        arrays = {f"starts/{number}": lam for number, lam in enumerate(self.lam)}
        if self.best is not None:
            plain["best"], of_best = self.best.state()
            arrays |= {f"starts/best/{name}": values for name, values in of_best.items() if name != "lambda"}
        return plain, arrays

    @classmethod
    def from_state(cls, corpus: Corpus, plain: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """The starts with this `state`."""
        starts = cls(**{name: plain[name] for name in PLAIN})
        while f"starts/{starts.number}" in arrays:
            starts.lam.append(arrays[f"starts/{starts.number}"])
        if "best" in plain:
            head = "starts/best/"
            of_best = {name.removeprefix(head): values for name, values in arrays.items() if name.startswith(head)}
            starts.best = Fit.from_state(corpus, plain["best"], {**of_best, "lambda": starts.lam[starts.kept]})
        return starts
