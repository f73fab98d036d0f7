"""How many forms of each kernel a process compiles, and that bits do not depend on what was compiled before."""

import os
import subprocess
import sys

import pytest

WORKFLOW = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
import mtopic as mt
from mtopic.inference import backend

counts = {}

run = backend.Backend.run

def listed(self, kernel, work, *args, **options):
    run(self, kernel, work, *args, **options)
    counts[kernel.__name__] = len(kernel.signatures)

backend.Backend.run = listed
dtype = sys.argv[1]
def data():
    made = mt.datasets.simulate(n_obs=120, n_topics=3, modalities={"rna": 40, "atac": 60})
    for adata in made.mod.values():  # as other programs may leave them
        adata.X = adata.X.tocsr()
        adata.X.indices, adata.X.indptr = adata.X.indices.astype(np.int64), adata.X.indptr.astype(np.int64)
        adata.X.data.flags.writeable = False
    return made
auto = {"alpha": "auto", "eta": "auto", "modality_weights": "auto"}
spatial = {"spatial_key": "spatial", "n_neighbors": 6}
for kind, options, schedules in (
    (mt.tl.MTM, {}, ("fast", "original")),
    (mt.tl.MTM, {"inference": "collapsed", **auto}, ("fast",)),
    (mt.tl.sMTM, {**spatial, **auto}, ("fast",)),
    (mt.tl.sMTM, spatial, ("original",)),
):
    for schedule in schedules:
        mdata = data()
        model = kind(mdata, 3, n_jobs=2, verbose=False, dtype=dtype, **options)
        model.VI(12, schedule=schedule)
        if kind is mt.tl.MTM:
            model.SVI(6, 30, schedule=schedule) if not (auto.keys() & options.keys()) or schedule == "fast" else None
        mt.tl.export_params(model, mdata)
mt.tl.uncertainty(mdata)
mt.tl.signature_uncertainty(mdata)
mt.tl.modality_agreement(mdata)
mt.tl.transform(model, data())
mdata.obs["donor"], mdata.obs["ill"] = [f"d{d % 4}" for d in range(120)], [str(d % 4 < 2) for d in range(120)]
mt.tl.compare_topics(mdata, "ill", "True", sample_key="donor", reference="False")
parts = mt.pp.feature_associations_data(mdata, mod_list=["rna", "atac"])
(a, a_var), (b, b_var) = parts["rna"], parts["atac"]
mt.tl.feature_associations(a, a_var, b, b_var, n_epochs=20)
first, second = data()[:60].copy(), data()[60:].copy()
second.obs_names = [f"other_{name}" for name in second.obs_names]
both = mt.pp.concat({"a": first["rna"][:, :30].copy(), "b": data()["rna"][60:, 10:].copy()}, label="batch")
mt.tl.MTM(both, 3, n_jobs=2, verbose=False, dtype=dtype, batch_key="batch").VI(12)
print(*(f"{name}={number}" for name, number in counts.items()))
"""

ORDERS = """
import sys
import numpy as np
from scipy.sparse import csr_array
from mtopic.inference.backend import Backend

rng, backend = np.random.default_rng(0), Backend()
x = csr_array(rng.poisson(0.3, (60, 90)).astype(np.float32))
gamma, lam = (rng.gamma(1, 2, (n, 11)).astype(np.float32) + np.float32(0.01) for n in x.shape)
prior, totals = np.full((1, 11), 0.1, np.float32), np.ones(60)
padded = [np.pad(v / v.max(axis=1, keepdims=True), ((0, 0), (0, 5))) for v in (gamma, lam)]
t, b = (np.where(np.arange(16) < 11, v, 0) for v in padded)
calls = {
    "e_step": lambda: backend.e_step(x, b, prior, np.ones_like(gamma), 20, 0.0, 1e-3)[0],
    "topics": lambda: np.column_stack(backend.topics(gamma, prior, totals)),
    "signatures": lambda: backend.signatures(lam, [slice(0, 90)], of_means=False),
    "statistics": lambda: np.column_stack(backend.statistics(x.tocsc(), t, b, 11)),
    "log_likelihood": lambda: backend.log_likelihood(x, t, b),
    "log_gamma": lambda: backend.sum("log_gamma", lam),
    "v_log_v": lambda: backend.sum("v_log_v", lam),
    "merged": lambda: backend.merged(np.array([[0, 1], [3, 5]]), np.ascontiguousarray(lam.T)),
}
found = {name: np.asarray(calls[name]()).tobytes().hex() for name in list(calls)[:: int(sys.argv[1])]}
print([found[name] for name in calls])
"""


def in_a_process(script, *arguments, **environment):
    environment = os.environ | environment
    done = subprocess.run([sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.weekly)])
def test_no_kernel_has_more_than_two_forms(dtype):
    """A form is a combination of types that a kernel was compiled for, or loaded from the cache in, by one process.

    Counts that come with other indices, or not writable, are brought into one form. Two are left to a kernel where
    tables are made in double precision whatever the model's.
    """
    forms = dict(pair.split("=") for pair in in_a_process(WORKFLOW, dtype).splitlines()[-1].split())
    assert len(forms) > 20
    assert not {name: number for name, number in forms.items() if int(number) > 2}


@pytest.mark.slow
def test_bits_do_not_depend_on_what_was_compiled_or_loaded_before(tmp_path, monkeypatch, capsys):
    """Nor on the order: what other tests have loaded was compiled in the order of their fits, this one backward."""
    anew = {"NUMBA_CACHE_DIR": str(tmp_path)}
    monkeypatch.setattr("sys.argv", ["", "1"])
    exec(ORDERS, {})
    here = capsys.readouterr().out
    found = [here, in_a_process(ORDERS, "-1", **anew), in_a_process(ORDERS, "1", **anew)]
    assert len({*found}) == 1
