import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

import mtopic as mt


@pytest.fixture
def tables():
    rng = np.random.default_rng(3)
    names = [f"spot_{d}" for d in range(40)]
    first = pd.DataFrame(rng.normal(size=(40, 3)), index=names, columns=["a", "b", "c"])
    second = pd.DataFrame(rng.normal(size=(40, 5)) + first[["a"]].to_numpy(), index=names, columns=list("vwxyz"))
    return first, second


def drawn(ax):
    (image,) = ax.images
    return np.ma.filled(image.get_array(), np.nan)


def expected(first, second):
    return np.corrcoef(np.asarray(first).T, np.asarray(second).T)[: first.shape[1], first.shape[1] :]


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_correlations_of_columns(tables):
    first, second = tables
    ax = mt.pl.corr_heatmap(first, second)
    np.testing.assert_allclose(drawn(ax), expected(first, second))
    assert tick_labels(ax.yaxis) == ["a", "b", "c"] and tick_labels(ax.xaxis) == list("vwxyz")
    assert ax.images[0].get_cmap().name == "bwr"


def test_dataframes_are_aligned_by_name(tables):
    first, second = tables
    shuffled = second.sample(frac=1, random_state=0)
    np.testing.assert_allclose(drawn(mt.pl.corr_heatmap(first, shuffled)), expected(first, second))
    some = shuffled.iloc[:25]
    ax = mt.pl.corr_heatmap(first, some)
    np.testing.assert_allclose(drawn(ax), expected(first.loc[some.index], some))


def test_arrays_are_taken_by_position(tables):
    first, second = tables
    for one, other in ((first.to_numpy(), second.to_numpy()), (first.to_numpy(), second), (first, second.to_numpy())):
        np.testing.assert_allclose(drawn(mt.pl.corr_heatmap(one, other)), expected(first, second))
    assert tick_labels(mt.pl.corr_heatmap(first.to_numpy(), second).yaxis) == ["1", "2", "3"]
    whole = np.arange(12).reshape(4, 3) ** 2
    np.testing.assert_allclose(drawn(mt.pl.corr_heatmap(whole, whole)), expected(whole, whole))


def test_perfect_correlations_stay_within_one(tables):
    first, _ = tables
    values = drawn(mt.pl.corr_heatmap(first, -1e6 * first))
    assert np.abs(values).max() <= 1
    np.testing.assert_allclose(np.diag(values), -1)


def test_constant_and_missing_columns_are_grey_without_a_warning(tables):
    first, second = tables
    first["b"] = 0.1
    second.iloc[4, 2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = mt.pl.corr_heatmap(first, second)
        ax.figure.canvas.draw()
    values = drawn(ax)
    assert np.isnan(values[1]).all() and np.isnan(values[:, 2]).all() and np.isfinite(values).sum() == 8
    rgba = ax.images[0].to_rgba(ax.images[0].get_array())
    np.testing.assert_allclose(rgba[1], [to_rgba("lightgrey")] * 5, atol=0.01)


def test_scale_is_symmetric(tables):
    def limits(**given):
        return mt.pl.corr_heatmap(*tables, **given).images[0].get_clim()

    values = expected(*tables)
    assert limits() == (-1, 1)
    assert limits(vmax=0.4) == (-0.4, 0.4)
    assert limits(vmin=-0.3) == (-0.3, 0.3)
    assert limits(vmin=-0.3, vmax=0.8) == (-0.3, 0.8)
    assert limits(vmax="p90") == pytest.approx((-np.percentile(values, 90), np.percentile(values, 90)))


def test_labels_and_colour_bar(tables):
    ax = mt.pl.corr_heatmap(*tables, "topics", "z-scores")
    assert ax.get_ylabel() == "topics" and ax.get_xlabel() == "z-scores"
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == "Pearson correlation" and bar.get_ylim() == (-1, 1)


@pytest.mark.parametrize("n_columns", [50, 400])
def test_names_of_many_columns_do_not_touch(n_columns):
    rng = np.random.default_rng(0)
    columns = [f"topic_{k + 1}" for k in range(n_columns)]
    table = pd.DataFrame(rng.normal(size=(20, n_columns)), columns=columns)
    ax = mt.pl.corr_heatmap(table, table)
    ax.figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert tick_labels(axis) == [columns[round(place)] for place in axis.get_ticklocs()]
        assert 20 < len(boxes) <= n_columns
        assert not any(one.overlaps(other) for one, other in zip(boxes, boxes[1:], strict=False))
        assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes)


def test_original_order_of_arguments(tables, tmp_path):
    ax = mt.pl.corr_heatmap(*tables, "one", "two", "PiYG", 6, (5, 4), True, tmp_path / "corr.png")
    assert ax.images[0].get_cmap().name == "PiYG" and ax.yaxis.label.get_fontsize() == 6
    assert tuple(ax.figure.get_size_inches()) == (5, 4)
    assert plt.imread(tmp_path / "corr.png").shape[:2] == (1200, 1500)


def test_axes_of_the_caller(tables):
    fig, ax = plt.subplots()
    assert mt.pl.corr_heatmap(*tables, ax=ax) is ax
    assert mt.pl.corr_heatmap(*tables, ax=ax, return_fig=True) is fig


def test_tables_that_do_not_go_together(tables):
    first, second = tables
    with pytest.raises(ValueError, match="arr1 has 40 rows and arr2 has 39"):
        mt.pl.corr_heatmap(first.to_numpy(), second.to_numpy()[1:])
    with pytest.raises(ValueError, match="0 rows in common"):
        mt.pl.corr_heatmap(first, second.set_axis([f"cell_{d}" for d in range(40)]))
    with pytest.raises(ValueError, match="arr2 has rows of the same name, such as 'spot_0'"):
        mt.pl.corr_heatmap(first, pd.concat([second, second.iloc[:1]]))
    with pytest.raises(ValueError, match=r"arr2 has shape \(40,\)"):
        mt.pl.corr_heatmap(first, second["v"].to_numpy())
    with pytest.raises(ValueError, match="arr1 has no columns"):
        mt.pl.corr_heatmap(first.iloc[:, :0], second)


def test_pairs_on_the_diagonal(tables):
    first = tables[0]
    second = first[["c", "a", "b"]] + 0.1 * tables[1][["v", "w", "x"]].to_numpy()
    second.insert(0, "other", tables[1]["z"])
    ax = mt.pl.corr_heatmap(first, second, diagonal=True, show=False)
    assert tick_labels(ax.xaxis) == ["a", "b", "c", "other"]
    assert (drawn(ax)[:, :3].argmax(axis=1) == [0, 1, 2]).all()
    assert ax.get_aspect() == "auto"
    assert mt.pl.corr_heatmap(first, first, show=False).get_aspect() == 1
