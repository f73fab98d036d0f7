import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

COLUMNS, ROWS, PITCH = 10, 6, 10.0
N_OBS, N_TOPICS = COLUMNS * ROWS, 4


def square_grid(columns, rows, pitch=PITCH):
    """Coordinates of a grid of spots, row after row."""
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    return pitch * np.column_stack([x.ravel(), y.ravel()]).astype(float)


def tissue(points, n_topics, seed=0):
    """An AnnData with topics at the points."""
    proportions = np.random.default_rng(seed).dirichlet(np.full(n_topics, 0.3), len(points))
    names = [f"spot_{d}" for d in range(len(points))]
    adata = AnnData(np.ones((len(points), 2), np.float32), obs=pd.DataFrame(index=names))
    columns = [f"topic_{k + 1}" for k in range(n_topics)]
    adata.obsm["topics"] = pd.DataFrame(proportions, index=names, columns=columns)
    adata.obsm["coords"] = pd.DataFrame(points, index=names, columns=["x", "y"])
    return adata


def modality(names, features, seed):
    rng = np.random.default_rng(seed)
    adata = AnnData(np.ones((len(names), len(features)), np.float32), obs=pd.DataFrame(index=names))
    adata.var_names = features
    weights = rng.gamma(0.3, 5, (len(features), N_TOPICS)) + 0.01
    adata.varm["signatures"] = pd.DataFrame(
        weights, index=adata.var_names, columns=[f"topic_{k + 1}" for k in range(N_TOPICS)]
    )
    return adata


@pytest.fixture
def mdata():
    """60 spots on a square grid, 4 topics, two modalities with signatures, the trace of a fit."""
    grid = tissue(square_grid(COLUMNS, ROWS), N_TOPICS)
    parts = {
        "rna": modality(grid.obs_names, [f"gene{v}" for v in range(20)], 1),
        "atac": modality(grid.obs_names, [f"chr{v + 1}:100000{v:03d}-100000{v + 500:03d}" for v in range(12)], 2),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData(parts)
    mdata.obsm["topics"] = grid.obsm["topics"]
    mdata.obsm["coords"] = grid.obsm["coords"]
    mdata.obsm["spatial"] = 3 + 2 * square_grid(COLUMNS, ROWS)
    mdata.uns["mtopic"] = {"elbo": np.array([-900.0, -400.0, -300.0, -290.0])}
    return mdata


@pytest.fixture
def adata(mdata):
    """The same as one modality."""
    adata = mdata["rna"].copy()
    for key in ("topics", "coords", "spatial"):
        adata.obsm[key] = mdata.obsm[key].copy()
    adata.uns["mtopic"] = dict(mdata.uns["mtopic"])
    return adata
