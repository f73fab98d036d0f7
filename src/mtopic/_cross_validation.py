"""The curve of held-out scores over the number of topics, and which number it speaks for."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeWarning, curve_fit


def saturating(K: ArrayLike, top: float, rise: float, scale: float, first: float) -> NDArray[np.float64]:
    """``top`` − ``rise`` · exp(−(K − ``first``) / ``scale``)."""
    return np.asarray(top - rise * np.exp(-(np.asarray(K, dtype=np.float64) - first) / scale))


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean score of each K, and its standard error over the folds, of the difference to the best K.

    Folds differ more from each other than numbers of topics do. What varies between folds for all K alike says nothing
    about K.
    """
    folds = results[results["CV"] != "total"].pivot(index="K", columns="CV", values="total").astype(np.float64)
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


def one_standard_error(scores: pd.DataFrame) -> int:
    """The smallest K that is not worse than the best by more than one standard error of the difference."""
    within = scores["difference"] >= -scores["difference_se"].fillna(0)
    return int(scores.index[within][0])


def plateau(scores: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """The saturating curve through the means, and the K where its slope falls to a share of that at the smallest K."""
    K, means = scores.index.to_numpy(dtype=np.float64), scores["mean"].to_numpy()
    best, rise = float(means.max()), float(means.max() - means[0])
    if len(K) < 3 or rise <= 0:
        return {"params": np.full(4, np.nan), "r2": np.nan, "best_K": int(K[means.argmax()])}
    finest = (K[1] - K[0]) / 3  # a steeper rise than 95 % between the first two numbers cannot be told from the scores
    start = (best, rise, max(finest, (K[-1] - K[0]) / 4))
    bounds = ([-np.inf, 0, finest], [np.inf, np.inf, 100 * K[-1]])

    def curve(x: NDArray[np.float64], top: float, rise: float, scale: float) -> NDArray[np.float64]:
        return saturating(x, top, rise, scale, K[0])

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # of the covariance, which nobody reads
            (top, rise, scale), _ = curve_fit(curve, K, means, start, bounds=bounds, maxfev=10_000)
    except RuntimeError:
        return {"params": np.full(4, np.nan), "r2": np.nan, "best_K": int(K[means.argmax()])}
    left = float(((means - curve(K, top, rise, scale)) ** 2).sum())
    where = np.clip(K[0] - scale * np.log(threshold), K[0], K[-1])
    return {
        "params": np.array([top, rise, scale, K[0]]),
        "r2": 1 - left / float(((means - means.mean()) ** 2).sum()),
        "best_K": int(round(where)),
    }
