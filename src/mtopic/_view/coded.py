"""Numbers and categories as the whole numbers that the page draws."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packed import Packed

BYTE, SHORT = np.dtype(np.uint8), np.dtype(np.uint16)
SMALLEST_SHARE = 1e-12


def largest(kind: np.dtype) -> int:
    """The largest code of a value: the page needs two more, and the last of all says that there is none."""
    return int(np.iinfo(kind).max) - 2


def numbers(
    packed: Packed,
    name: str,
    values: NDArray[np.floating],
    kind: np.dtype,
    low: float | None = None,
) -> dict[str, Any]:
    """Numbers as steps from the lowest, or as given, to the highest; NaN is none."""
    known = values[np.isfinite(values)]
    first = float(known.min(initial=np.inf)) if low is None else low
    last = float(known.max(initial=-np.inf))
    first, last = (first, last) if first <= last else (0.0, 0.0)
    return _coded(packed, name, values, kind, first, (last - first) / largest(kind) or 1.0)


def counts(packed: Packed, name: str, values: NDArray[np.floating]) -> dict[str, Any]:
    """Numbers as they are, if they are whole, not negative and not too large; else as `numbers`."""
    known = values[np.isfinite(values)]
    highest = known.max(initial=0)
    if (known % 1).any() or highest > largest(SHORT) or known.min(initial=0) < 0:
        return numbers(packed, name, values, SHORT, low=min(0.0, float(known.min(initial=0))))
    return _coded(packed, name, values, BYTE if highest <= largest(BYTE) else SHORT, 0.0, 1.0)


def _coded(
    packed: Packed, name: str, values: NDArray[np.floating], kind: np.dtype, low: float, step: float
) -> dict[str, Any]:
    missing = int(np.iinfo(kind).max)
    whole = np.full(len(values), missing, kind)
    known = np.isfinite(values)
    whole[known] = np.clip(np.rint((values[known] - low) / step), 0, largest(kind))
    said = {"name": name, "kind": "number", "low": low, "step": step, "missing": missing}
    return said | {"values": packed.add(whole)}


def categories(
    packed: Packed, name: str, codes: NDArray[np.integer], labels: Sequence[str], colours: Sequence[str]
) -> dict[str, Any]:
    """Codes of labels; -1 is none."""
    kind = BYTE if len(labels) <= largest(BYTE) else SHORT
    missing = int(np.iinfo(kind).max)
    said = {"name": name, "kind": "category", "labels": list(labels), "colours": list(colours), "missing": missing}
    return said | {"values": packed.add(np.where(codes < 0, missing, codes.astype(np.int64)).astype(kind))}


def logarithms(packed: Packed, shares: NDArray[np.float64]) -> dict[str, Any]:
    """Shares, features × topics, by topic, as steps of their logarithms; 0 is none."""
    logs = np.log(np.maximum(shares, SMALLEST_SHARE))
    low = float(logs.min(initial=0))
    step = float(logs.max(initial=low) - low) / largest(SHORT) or 1.0
    whole = np.where(shares > 0, 1 + np.rint((logs - low) / step), 0).astype(SHORT)
    return {"shares": packed.add(whole.T), "low": low, "step": step}
