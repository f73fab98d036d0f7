import numpy as np
import pytest

import mtopic as mt


@pytest.fixture(scope="session")
def fitted():
    """A tissue with two modalities and all that a fit leaves in it; not to be changed."""
    mdata = mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300, tissue="sharp")
    mt.tl.topic_model(mdata, 4, spatial_key="spatial", strength=1, n_iter=15, n_jobs=1, verbose=False)
    mt.tl.dominant_topics(mdata)
    return mdata


@pytest.fixture(scope="session")
def rna(fitted):
    """Its RNA as an AnnData with the same topics; not to be changed."""
    adata = fitted["rna"].copy()
    adata.obs["region"], adata.obs["topic"] = fitted.obs["region"], fitted.obs["topic"]
    for key in ("spatial", "topics"):
        adata.obsm[key] = fitted.obsm[key].copy()
    return adata


@pytest.fixture
def mdata(fitted):
    return fitted.copy()


@pytest.fixture
def adata(rna):
    return rna.copy()


@pytest.fixture
def drawn():
    """The values of the points in Axes, as ranked by place."""

    def of(axes):
        points = next(c for c in axes.collections if c.get_array() is not None and len(c.get_array()) > 1)
        return np.sort(np.asarray(points.get_array(), dtype=float))

    return of
