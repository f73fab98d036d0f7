import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import mtopic as mt


@pytest.fixture
def scored(mdata):
    values = np.random.default_rng(0).normal(0, 2, (60, 4))
    columns = [f"topic_{k + 1}" for k in range(4)]
    mdata["rna"].obsm["zscores"] = pd.DataFrame(values, index=mdata.obs_names, columns=columns)
    return mdata


def test_panels(scored, fingerprint):
    before = fingerprint(scored)
    axes = mt.pl.zscores(scored, "rna", "coords", show=False)
    assert fingerprint(scored) == before
    assert [ax.get_title() for ax in axes] == ["topic_1", "topic_2", "topic_3", "topic_4"]
    for ax, (_, values) in zip(axes, scored["rna"].obsm["zscores"].items(), strict=True):
        (spots,) = ax.collections
        np.testing.assert_allclose(np.sort(spots.get_array()), np.sort(values))
        assert spots.get_clim() == pytest.approx((values.min(), values.max()))
        assert spots.get_cmap().name == "viridis"
        assert (np.diff(spots.get_array()) >= 0).all(), "the highest lie on top"


def test_limits_and_diverging_colours(scored):
    axes = mt.pl.zscores(scored, "rna", "coords", cmap="RdBu_r", vmin=-3, vmax=3, show=False)
    assert {ax.collections[0].get_clim() for ax in axes} == {(-3.0, 3.0)}
    assert axes[0].collections[0].get_cmap().name == "RdBu_r"


def test_observations_of_other_modalities_are_grey(scored):
    part = scored["rna"][:40].copy()
    rest = scored.copy()
    rest.mod["rna"] = part
    rest.update()
    axes = mt.pl.zscores(rest, "rna", "coords", show=False)
    assert np.isnan(np.ma.filled(axes[0].collections[0].get_array().astype(float), np.nan)).sum() == 20


def test_errors(scored):
    with pytest.raises(KeyError, match=r"mtopic\.tl\.zscores writes it"):
        mt.pl.zscores(scored, "atac", "coords")
    with pytest.raises(ValueError, match="say which modality"):
        mt.pl.zscores(scored, x="coords")
    assert plt.get_fignums() == []
