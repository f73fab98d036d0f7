"""The curve of held-out scores over the number of topics, and which number it speaks for."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeWarning, curve_fit

GOOD_FIT = 0.9
"""The least r² at which a curve is taken for that of the scores. Scores that rise and level off have .95 and more."""


def verdict(results: pd.DataFrame, stability: Mapping[int, float], threshold: float) -> dict[str, Any]:
    """Scores by K, the recommended K, and the one from which on the curve is flat, also under their older names."""
    scores = summary(results)
    scores["stability"] = pd.Series(stability)
    recommended, curve = one_standard_error(scores), saturating_curve(scores)
    flat = plateau(results, recommended, curve["params"], threshold)
    chosen = {"recommended": recommended, "plateau": flat, "one_se_K": recommended, "best_K": flat}
    return {**chosen, **curve, "scores": scores}


def saturating(K: ArrayLike, top: float, rise: float, scale: float, first: float) -> NDArray[np.float64]:
    """``top`` − ``rise`` · exp(−(K − ``first``) / ``scale``)."""
    return np.asarray(top - rise * np.exp(-(np.asarray(K, dtype=np.float64) - first) / scale))


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean score of each K, and its standard error over the folds, of the difference to the best K.

    Folds differ more from each other than numbers of topics do. What varies between folds for all K alike says nothing
    about K.
    """
    folds = by_fold(results)
    means = folds.mean(axis=1)
    difference = folds.sub(folds.loc[means.idxmax()], axis="columns")
    return pd.DataFrame(
        {
            "mean": means,
            "se": folds.sem(axis=1),
            "difference": difference.mean(axis=1),
            "difference_se": difference.sem(axis=1),
        }
    )


def by_fold(results: pd.DataFrame) -> pd.DataFrame:
    """Scores, K × folds."""
    return results[results["CV"] != "total"].pivot(index="K", columns="CV", values="total").astype(np.float64)


def one_standard_error(scores: pd.DataFrame) -> int:
    """The smallest K that is not worse than the best by more than one standard error of the difference."""
    within = scores["difference"] >= -scores["difference_se"].fillna(0)
    return int(scores.index[within][0])


def plateau(results: pd.DataFrame, recommended: int, params: NDArray[np.float64], threshold: float) -> int:
    """The first K tried where the curve's slope has fallen to a share of that at the smallest K.

    It is one that is not worse than the recommended K by more than the standard error of their difference; without a
    curve the recommended K itself.
    """
    _, _, scale, first = params
    if not np.isfinite(scale):
        return recommended
    folds = by_fold(results)
    difference = folds.sub(folds.loc[recommended], axis="columns")
    good = folds.index[difference.mean(axis=1) >= -difference.sem(axis=1).fillna(0)]
    flat = good[good >= first - scale * np.log(threshold)]
    return int(flat[0] if len(flat) else good[-1])


def saturating_curve(scores: pd.DataFrame) -> dict[str, Any]:
    """The parameters of the curve through the means and its r²; not numbers where there is no such curve."""
    K, means = scores.index.to_numpy(dtype=np.float64), scores["mean"].to_numpy()
    best, rise = float(means.max()), float(means.max() - means[0])
    none = np.full(4, np.nan)
    if len(K) < 3 or rise <= 0:
        return {"params": none, "r2": np.nan}
    finest = (K[1] - K[0]) / 3  # a steeper rise than 95 % between the first two numbers cannot be told from the scores
    start = (best, rise, max(finest, (K[-1] - K[0]) / 4))
    bounds = ([-np.inf, 0, finest], [np.inf, np.inf, 100 * K[-1]])

    def curve(x: NDArray[np.float64], top: float, rise: float, scale: float) -> NDArray[np.float64]:
        return saturating(x, top, rise, scale, K[0])

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # of the covariance, which nobody reads
            found, _ = curve_fit(curve, K, means, start, bounds=bounds, maxfev=10_000)
    except RuntimeError:
        return {"params": none, "r2": np.nan}
    left = float(((means - curve(K, *found)) ** 2).sum())
    r2 = 1 - left / float(((means - means.mean()) ** 2).sum())
    return {"params": np.array([*found, K[0]]) if r2 >= GOOD_FIT else none, "r2": r2}
