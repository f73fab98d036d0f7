"""Which number of topics held-out scores speak for."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mtopic._cross_validation import GOOD_FIT, verdict

NUMBERS = st.lists(st.integers(2, 100), min_size=1, max_size=7, unique=True)
SHAPES = {
    "rises": lambda K: -6 + 1.5 * (1 - np.exp(-K / 15)),
    "rises and falls": lambda K: -6 + 1.5 * (1 - np.exp(-K / 8)) - 0.01 * K,
    "falls": lambda K: -5 - 0.01 * K,
    "is flat": lambda K: np.full(len(K), -5.0),
    "jumps": lambda K: -5 + np.where(np.argsort(np.argsort(K)) % 2, 0.3, -0.3),
}


def scores(numbers, shape, noise, n_folds, seed):
    K, rng = np.array(sorted(numbers)), np.random.default_rng(seed)
    values = SHAPES[shape](K)[:, None] + rng.normal(0, 0.2, n_folds) + rng.normal(0, noise, (len(K), n_folds))
    rows = [
        {"K": k, "CV": str(fold), "total": values[i, fold]} for i, k in enumerate(K) for fold in range(n_folds)
    ]  # fmt: skip
    return K, values, pd.DataFrame(rows)


@given(
    NUMBERS, st.sampled_from(list(SHAPES)), st.sampled_from([1e-4, 0.02, 0.3]), st.integers(2, 6), st.integers(0, 99)
)
def test_numbers_that_were_tried_and_score_well(numbers, shape, noise, n_folds, seed):
    K, values, results = scores(numbers, shape, noise, n_folds, seed)
    found = verdict(results, dict.fromkeys(K, 1.0), 0.05)
    assert {found["recommended"], found["plateau"]} <= set(K)
    assert (found["one_se_K"], found["best_K"]) == (found["recommended"], found["plateau"])
    worse = values[list(K).index(found["recommended"])] - values[list(K).index(found["plateau"])]
    assert worse.mean() <= worse.std(ddof=1) / np.sqrt(n_folds) + 1e-12
    assert np.isfinite(found["params"]).all() == (found["r2"] >= GOOD_FIT)
    assert np.isfinite(found["params"]).all() or found["plateau"] == found["recommended"]


def test_where_the_curve_is_flat():
    """60 scores as well as 80; the slope falls to half of the first by K = 16, and to 1 % by K = 75."""
    K, _, results = scores([5, 10, 20, 40, 60, 80], "rises", 0.1, 4, 0)
    half, flat = (verdict(results, dict.fromkeys(K, 1.0), threshold) for threshold in (0.5, 0.01))
    assert half["r2"] == flat["r2"] > GOOD_FIT
    assert (half["plateau"], flat["plateau"]) == (60, 80)
