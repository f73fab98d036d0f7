import pytest


@pytest.fixture(autouse=True)
def _no_embedding(monkeypatch):
    """In place of UMAP, which every process compiles anew; where its result is written is the same."""
    monkeypatch.setattr(
        "mtopic.tl._umap._embedded", lambda values, n_neighbors, metric, n_components, *_: values[:, :n_components]
    )
