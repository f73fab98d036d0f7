"""Models that are saved, loaded and fitted further."""

import os
import pickle
import re
import shutil
import stat

import h5py
import numpy as np
import pytest

import mtopic as mt
from mtopic.inference.schedule import EXPLORE
from mtopic.model import file as _model_file

COLLAPSED = {"inference": "collapsed", "alpha": "auto", "eta": "auto", "modality_weights": "auto"}
SPATIAL = {"spatial_key": "spatial", "n_neighbors": 6}
KINDS = {
    "variational": ("MTM", {}, "fast"),
    "double": ("MTM", {"dtype": "float64"}, "fast"),
    "original": ("MTM", {}, "original"),
    "collapsed": ("MTM", COLLAPSED, "fast"),
    "collapsed double": ("MTM", {**COLLAPSED, "dtype": "float64"}, "fast"),
    "prior": ("sMTM", SPATIAL, "fast"),
    "prior double": (
        "sMTM",
        {**SPATIAL, "dtype": "float64", "strength": 0.3, "modality_weights": {"rna": 0.5}},
        "fast",
    ),
    "correction": ("sMTM", {"spatial_key": "spatial", "radius": 0.1}, "original"),
}


def make(kind, data, n_iter=0, **options):
    model_class, arguments, schedule = KINDS[kind]
    model = getattr(mt.tl, model_class)(data, n_topics=4, n_jobs=1, verbose=False, **arguments, **options)
    return go_on(kind, model, n_iter)


def go_on(kind, model, n_iter):
    if n_iter:
        model.VI(n_iter, schedule=KINDS[kind][2], tol=None)
    return model


def assert_same(a, b):
    assert type(a) is type(b)
    assert vars(a).keys() == vars(b).keys()
    assert (a.elbo, a.passes, a.converged, a.fitted, repr(a)) == (b.elbo, b.passes, b.converged, b.fitted, repr(b))
    assert (a.params(), a.modality_weights, a.seed) == (b.params(), b.modality_weights, b.seed)
    assert (a.modalities, a.n_counts, a.n_jobs, a.verbose) == (b.modalities, b.n_counts, b.n_jobs, b.verbose)
    assert list(a.barcodes) == list(b.barcodes)
    for mod in a.modalities:
        assert list(a.features[mod]) == list(b.features[mod])
        assert a.lambda_[mod].dtype == b.lambda_[mod].dtype
        np.testing.assert_array_equal(a.lambda_[mod], b.lambda_[mod])
    assert a.gamma.dtype == b.gamma.dtype
    np.testing.assert_array_equal(a.gamma, b.gamma)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.h5"


@pytest.fixture
def prepared(tissue):
    """Counts that were scaled, with the raw ones beside them."""
    mt.pp.scale_counts(tissue, 5000)
    return tissue


@pytest.mark.parametrize("done", [0, 7, EXPLORE + 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_is_the_one_that_was_saved_and_goes_on_to_the_same_bits(prepared, path, kind, done):
    whole = make(kind, prepared, done)
    whole.save(path)
    again = mt.tl.load_model(path, prepared)
    assert_same(again, whole)
    for model in (whole, again):
        go_on(kind, model, 5)
    assert_same(again, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_without_data_a_model_exports_and_can_be_saved_again(prepared, path, fingerprint, kind):
    model = make(kind, prepared, 3)
    model.save(path)
    without = mt.tl.load_model(path)
    assert_same(without, model)
    copies = [prepared.copy() for _ in range(2)]
    for each, copy in zip((model, without), copies, strict=True):
        mt.tl.export_params(each, copy)
    assert fingerprint(copies[0]) == fingerprint(copies[1])
    without.save(path)
    assert_same(go_on(kind, mt.tl.load_model(path, prepared), 2), go_on(kind, model, 2))


def test_going_on_needs_the_data(tissue, path):
    make("variational", tissue, 2).save(path)
    model = mt.tl.load_model(path)
    for fit in (model.VI, model.SVI):
        with pytest.raises(ValueError, match=r"loaded without its data: mtopic\.tl\.load_model\(path, data\)"):
            fit(2)
    assert len(model.elbo) == 2


@pytest.mark.parametrize("kind", ["collapsed", "prior"])
def test_the_order_of_the_data_does_not_matter(prepared, path, kind):
    from mudata import MuData

    model = make(kind, prepared, 3)
    model.save(path)
    rng = np.random.default_rng(0)
    names = rng.permutation(prepared.obs_names)
    parts = {
        mod: prepared[mod][names, rng.permutation(prepared[mod].var_names)].copy() for mod in reversed(model.modalities)
    }
    again = mt.tl.load_model(path, MuData(parts))
    assert_same(go_on(kind, again, 9), go_on(kind, model, 9))


def test_data_that_were_written_and_read_and_one_modality(tissue, tmp_path, path):
    from anndata import read_h5ad

    adata = tissue["rna"].copy()
    model = make("variational", adata, 3)
    model.save(path)
    adata.write_h5ad(tmp_path / "rna.h5ad")
    assert_same(
        go_on("variational", mt.tl.load_model(path, read_h5ad(tmp_path / "rna.h5ad")), 2),
        go_on("variational", model, 2),
    )
    adata.X = adata.X.toarray()
    assert len(go_on("variational", mt.tl.load_model(path, adata), 2).elbo) == 5


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["snareseq_small", "cite_pbmc1k_small"])
def test_real_data(real_mudata, tmp_path, path, stem):
    """A model of real cells, saved, and fitted further to data that were written and read."""
    mdata = real_mudata(stem)
    model = make("collapsed", mdata, 3)
    model.save(path)
    mdata.write(tmp_path / "cells.h5mu")
    again = mt.tl.load_model(path, mt.read.h5mu(tmp_path / "cells.h5mu"))
    assert_same(again, model)
    assert_same(go_on("collapsed", again, 3), go_on("collapsed", model, 3))


def test_other_data(prepared, path):
    make("variational", prepared, 2).save(path)
    other = prepared.copy()
    other["atac"].X.data[17] += 1
    with pytest.raises(ValueError, match="the counts .* are not those that the model was fitted to: give the data"):
        mt.tl.load_model(path, other)
    with pytest.raises(ValueError, match="1 observations of the data are not in the model|0 observations of the data"):
        mt.tl.load_model(path, prepared[:100].copy())
    with pytest.raises(ValueError, match=r"fitted to modalities \['rna', 'atac'\], the data has \['X'\]"):
        mt.tl.load_model(path, prepared["rna"])
    with pytest.raises(TypeError, match="expected an AnnData or a MuData"):
        mt.tl.load_model(path, prepared["rna"].X)


@pytest.mark.parametrize("kind", ["collapsed", "prior"])
def test_raw_counts_matter_as_long_as_something_is_to_be_learned_from_them(prepared, path, kind):
    other = prepared.copy()
    other["rna"].layers["counts"].data[5] += 1
    model = make(kind, prepared)
    model.save(path)
    with pytest.raises(ValueError, match=r"layers\['counts'\] does not hold the counts"):
        mt.tl.load_model(path, other)
    go_on(kind, model, 2).save(path)
    assert_same(go_on(kind, mt.tl.load_model(path, other), 2), go_on(kind, model, 2))


def test_a_model_that_was_fitted_by_both_schedules(prepared, path):
    model = make("correction", prepared, 3)
    model.save(path)
    again = mt.tl.load_model(path, prepared)
    for each in (model, again):
        each.VI(4, tol=None)
    assert_same(again, model)
    assert model.strength is not None


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_generators(tissue, path, bits):
    model = mt.tl.MTM(tissue, 4, seed=np.random.Generator(bits(5)), verbose=False)
    model.SVI(4, 31)
    model.save(path)
    again = mt.tl.load_model(path, tissue)
    for each in (model, again):
        each.SVI(3, 31)
        each.VI(3, tol=None)
    np.testing.assert_array_equal(again.gamma, model.gamma)
    assert again.elbo == model.elbo
    assert again.params() == model.params()


@pytest.mark.parametrize("options", [{"bandwidth": np.inf}, {"library_key": "section"}, {"neighbors_key": "spatial"}])
def test_graphs(path, options):
    import squidpy as sq
    from scipy.sparse import csr_array

    mdata = mt.datasets.simulate(200, 4, modalities={"rna": 60}, n_sections=2)
    if "neighbors_key" in options:
        adata = mdata["rna"]
        adata.obsm["spatial"] = mdata.obsm["spatial"]
        sq.gr.spatial_neighbors_knn(adata, n_neighs=5)
    else:
        options = {**options, "n_neighbors": 4}
    model = mt.tl.sMTM(mdata, 4, spatial_key="spatial", strength=1, verbose=False, **options)
    model.VI(2)
    model.save(path)
    again = mt.tl.load_model(path)
    for name in ("connectivities", "distances"):
        saved, loaded = (csr_array(getattr(each.graph, name)) for each in (model, again))
        assert (saved != loaded).nnz == 0
        assert saved.dtype == loaded.dtype
    assert again.graph.params.keys() == model.graph.params.keys()
    for key, value in model.graph.params.items():
        np.testing.assert_array_equal(again.graph.params[key], value)
    assert again.params() == model.params()


def test_nothing_is_pickled(tissue, path):
    make("prior", tissue, 2).save(path)
    with h5py.File(path) as file:
        kinds = set()
        file.visititems(lambda name, item: kinds.add(item.dtype.kind) if isinstance(item, h5py.Dataset) else None)
        text = [
            item for item in (file["settings"], file["barcodes"]) if h5py.check_string_dtype(item.dtype) is not None
        ]
    assert kinds == {"f", "i", "O"}  # the last are text
    assert len(text) == 2


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model's file, not to be changed."""
    folder = tmp_path_factory.mktemp("saved")
    mdata = mt.datasets.simulate(60, 3, modalities={"rna": 20, "atac": 30})
    model = mt.tl.sMTM(mdata, 3, n_neighbors=4, spatial_key="spatial", strength=1, verbose=False)
    model.VI(3)
    model.save(folder / "model.h5")
    return folder / "model.h5"


@pytest.mark.parametrize("part", [0, 1e-6, 0.003, 0.01, 0.5, 0.99, -1])
def test_files_cut_short(saved, path, part):
    whole = saved.read_bytes()
    path.write_bytes(whole[: int(part * len(whole)) if part >= 0 else -1])
    with pytest.raises(ValueError, match="was cut short or changed since it was written: load an earlier copy"):
        mt.tl.load_model(path)


def cut(whole, rng):
    return whole[: rng.integers(len(whole))]


def flipped(whole, place, rng):
    changed = bytearray(whole)
    changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def anywhere(whole, rng):
    return flipped(whole, rng.integers(len(whole)), rng)


def before_the_contents(whole, rng):
    """In the block before the rest, or in HDF5's superblock and the headers behind it."""
    return flipped(whole, rng.integers(2048), rng)


def in_an_attribute(whole, rng):
    name = (b"schema_version", b"by_column")[rng.integers(2)]
    places = [found.start() for found in re.finditer(name, whole)]
    return flipped(whole, rng.choice(places) + rng.integers(-16, len(name) + 64), rng)


def another_sector(whole, rng):
    """A sector of the disk is another one's, or was never written."""
    here, there = 512 * rng.integers(len(whole) // 512, size=2)
    sector = whole[there : there + 512] if rng.integers(2) else bytes(512)
    return whole[:here] + sector + whole[here + 512 :]


DAMAGE = [cut, anywhere, before_the_contents, in_an_attribute, another_sector]


def forbid_pickle(monkeypatch):
    """From here on, as kernels that numba has cached are pickled."""

    def refused(*arguments, **options):
        raise AssertionError("a file is unpickled")

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refused)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["prior", pytest.param("collapsed", marks=pytest.mark.weekly)])
def test_no_damaged_file_is_taken_for_another_model(path, monkeypatch, kind, damage):
    """50 files of each kind of damage."""
    data = mt.datasets.simulate(60, 3, modalities={"rna": 20, "atac": 30})
    model = make(kind, data, 3)
    model.save(path)
    forbid_pickle(monkeypatch)
    assert_same(mt.tl.load_model(path, data), model)
    whole, rng = path.read_bytes(), np.random.default_rng(3)
    for _ in range(50):
        changed = damage(whole, rng)
        path.write_bytes(changed)
        if changed == whole:  # a sector of zeros that held zeros
            assert_same(mt.tl.load_model(path, data), model)
            continue
        with pytest.raises(ValueError, match="was cut short or changed|is not a model that model.save wrote"):
            mt.tl.load_model(path)


def test_files_with_more_at_the_end(saved, path):
    path.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="was cut short or changed"):
        mt.tl.load_model(path)


def test_other_files(tissue, tmp_path, path):
    path.write_text("topics\n" * 300)
    with pytest.raises(ValueError, match=r"is not a model that model\.save wrote$"):
        mt.tl.load_model(path)
    tissue["rna"].write_h5ad(tmp_path / "rna.h5ad")
    with pytest.raises(ValueError, match=r"is not a model that model\.save wrote: mtopic\.read\.h5mu"):
        mt.tl.load_model(tmp_path / "rna.h5ad")
    with pytest.raises(ValueError, match="is a folder"):
        mt.tl.load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file 'modle\.h5' in .*; did you mean 'model\.h5'"):
        mt.tl.load_model(tmp_path / "modle.h5")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        mt.tl.load_model(tmp_path / "nowhere" / "model.h5")


@pytest.mark.parametrize("version", [0, 2])
def test_other_schema_versions(tissue, path, monkeypatch, version):
    model = make("variational", tissue, 1)
    monkeypatch.setattr(_model_file, "SCHEMA", version)
    model.save(path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=f"schema version {version}, and this mtopic reads version 1: load it with"):
        mt.tl.load_model(path)


def parts_of(file):
    names = []
    with h5py.File(file) as opened:
        opened.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def test_files_that_lack_a_part(saved, path):
    for name in parts_of(saved):
        shutil.copy(saved, path)
        with h5py.File(path, "r+") as file:
            del file[name]
        with pytest.raises(ValueError, match="was cut short or changed"):
            mt.tl.load_model(path)
        _model_file._seal(path)  # as a writer would that left it out
        if name == "graph/distances/data":
            continue
        with pytest.raises(ValueError, match="does not hold a whole model"):
            mt.tl.load_model(path)


@pytest.mark.parametrize(
    ("old", "new"), [('"sMTM"', '"LDA"'), ('"PCG64"', '"system"'), ('"n_topics": 3', '"n_topics": 4'), ("{", "")]
)
def test_files_with_other_settings(saved, path, old, new):
    shutil.copy(saved, path)
    with h5py.File(path, "r+") as file:
        settings = file["settings"].asstr()[()]
        assert old in settings
        del file["settings"]
        file["settings"] = settings.replace(old, new, 1)
    _model_file._seal(path)
    with pytest.raises(ValueError, match="does not hold a whole model"):
        mt.tl.load_model(path)


@pytest.mark.parametrize("where", ["os.fsync", "os.replace", "h5py.Group.create_dataset"])
def test_a_save_that_fails_leaves_the_earlier_file(tissue, path, monkeypatch, where):
    model = make("variational", tissue, 2)
    model.save(path)
    before = path.read_bytes()
    model.VI(2, tol=None)

    def fails(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(where, fails)
    with pytest.raises(OSError, match="no space left"):
        model.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    model.save(path)
    assert len(mt.tl.load_model(path).elbo) == 4


def test_a_file_system_on_which_folders_cannot_be_flushed(tissue, path, monkeypatch):
    flush = os.fsync

    def fails_for_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError("invalid argument")
        flush(descriptor)

    monkeypatch.setattr("os.fsync", fails_for_folders)
    model = make("variational", tissue, 1)
    model.save(path)
    assert_same(mt.tl.load_model(path), model)


def test_places_that_cannot_be_written(tissue, tmp_path):
    model = make("variational", tissue, 1)
    with pytest.raises(FileNotFoundError, match=re.escape(f"there is no folder '{tmp_path / 'nowhere'}'")):
        model.save(tmp_path / "nowhere" / "model.h5")
    with pytest.raises(ValueError, match="is a folder"):
        model.save(tmp_path)


def test_a_link_stays_a_link(tissue, tmp_path, path):
    (tmp_path / "link.h5").symlink_to(path)
    make("variational", tissue, 1).save(str(tmp_path / "link.h5"))
    assert (tmp_path / "link.h5").is_symlink()
    assert len(mt.tl.load_model(path).elbo) == 1
