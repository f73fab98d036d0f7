"""What takes long shows a bar, which changes no bit of the result, and none where none is wanted."""

import pytest

import mtopic as mt
from mtopic import _progress

RUNS = {
    "uncertainty": lambda data, new, **how: mt.tl.uncertainty(data, **how),
    "signature_uncertainty": lambda data, new, **how: mt.tl.signature_uncertainty(data, **how),
    "compare_topics": lambda data, new, **how: mt.tl.compare_topics(data, "state", "ill", sample_key="donor", **how),
    "transform": lambda data, new, **how: mt.tl.transform(data, new, **how),
    "perplexity": lambda data, new, **how: new.uns.update(perplexity=mt.tl.perplexity(data, new, **how)),
    "modality_agreement": lambda data, new, **how: mt.tl.modality_agreement(data, **how),
    "spatial_domains": lambda data, new, **how: mt.tl.spatial_domains(
        data, candidates=(2, 3), n_runs=2, n_init=1, **how
    ),
}


@pytest.fixture(scope="module")
def fitted():
    data = mt.datasets.simulate(120, 3, modalities={"rna": 40, "atac": 60})
    data.obs["donor"] = [f"donor_{d % 8}" for d in range(120)]
    data.obs["state"] = ["ill" if d % 8 < 4 else "well" for d in range(120)]
    mt.tl.topic_model(data, 3, spatial_key="spatial", n_iter=5, verbose=False)
    return data


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RUNS)
def test_a_bar(fitted, name, monkeypatch, capsys, fingerprint):
    monkeypatch.setattr(_progress, "DELAY", 0)
    results, said = [], []
    for verbose in (False, True):
        data, new = fitted.copy(), mt.datasets.simulate(50, 3, modalities={"rna": 40, "atac": 60}, rng=1)
        RUNS[name](data, new, n_jobs=1, verbose=verbose)
        results.append((fingerprint(data), fingerprint(new)))
        said.append(capsys.readouterr())
    assert results[0] == results[1]
    assert said[0] == ("", "")
    assert "100%" in said[1].err or name == "modality_agreement" and "row" in said[1].err


def test_a_bar_of_what_is_learned_before_a_fit(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "DELAY", 0)
    data = mt.datasets.simulate(120, 3, modalities={"rna": 40, "atac": 60})
    mt.tl.sMTM(data, 3, n_neighbors=6, spatial_key="spatial").VI(1)
    assert "weights and strength" in capsys.readouterr().err
    mt.tl.sMTM(data, 3, n_neighbors=6, spatial_key="spatial", verbose=False).VI(1)
    assert not capsys.readouterr().err
