"""The package as a whole: what importing it costs, what it offers, and how its functions are called."""

import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from anndata import AnnData

import mtopic

PARTS = ("read", "pp", "tl", "pl", "get", "datasets")
PUBLIC = {
    f"{part}.{name}": getattr(getattr(mtopic, part), name) for part in PARTS for name in getattr(mtopic, part).__all__
} | {"report": mtopic.report, "view": mtopic.view}

# Calls of the original program that have to keep working. Its marker sizes and radius are numbers; None takes them from
# the data. Its colour map of maps is dark where there is little.
ORIGINAL: dict[str, Callable[..., Any]] = {
    "pp.tfidf": lambda mdata, mod, copy=False: ...,
    "pp.clr": lambda mdata, mod, copy=False: ...,
    "pp.scale_counts": lambda mdata, counts_per_cell=10000, copy=False: ...,
    "tl.MTM": lambda mdata, n_topics=20, seed=2291, n_jobs=10, verbose=True: ...,
    "tl.MTM.VI": lambda self, n_iter=20, max_iter_d=100: ...,
    "tl.MTM.SVI": lambda self, n_batches=100, batch_size=100, tau=1.0, kappa=0.75, max_iter_d=100: ...,
    "tl.sMTM": lambda mdata, n_topics=20, radius=0.05, n_neighbors=None, seed=2291, spatial_key="coords", verbose=True,
        n_jobs=10: ...,
    "tl.sMTM.VI": lambda self, n_iter=20, max_iter_d=100: ...,
    "tl.export_params": lambda model, mdata, prefix=None, filter_topics=True, filter_threshold=0.01, normalize=True:
        ...,
    "tl.zscores": lambda mdata, raw_data_path, signatures="signatures", mod=None, n_top=10, thr=5, out_key="zscores":
        ...,
    "tl.umap": lambda mdata, x="topics", umap="umap", n_components=2, min_dist=0.1, n_neighbors=20, seed=2291,
        n_jobs=10: ...,
"pp.permute": lambda mdata, subset=None, seed=2291, copy=False, sparse_mode=False: ...,
    "pp.filter_var_knee": lambda path, model, knee_sensitivity=5: ...,
    "pp.filter_var_list": lambda path, var: ...,
    "pp.feature_associations_data": lambda mdata, mod_list, normalize=True: ...,
    "tl.select_n_topics": lambda mdata, Ks=(5, 20, 40, 60, 80, 100): ...,
    "tl.feature_associations": lambda A, A_var, B, B_var, mask=None, n_epochs=10000, lambda_reg=1e-4,
        lambda_entropy=1e-3, lambda_spread=0.05, temperature=0.2, normalize=True, seed=1898, n_threads=10: ...,
    "pl.zscores": lambda mdata, mod, x, zscores="zscores", cmap=None, marker=".", s=None, fontsize=10, figsize=None,
        transparent=False, save=None: ...,
    "pl.filter_topics": lambda model, s=50, figsize=(8, 6), fontsize=10, transparent=False, save=None: ...,
    "pl.filter_var_knee": lambda model, mod, knee_sensitivities=(1, 2, 5, 10), s=20, figsize=(8, 6), fontsize=10,
        annotate_features=False, show_frac=1, log_scale=True, transparent=False, save=None: ...,
    "pl.feature_activity": lambda mdata, x, features, cmap="magma_r", marker=".", s=None, p_top=99, fontsize=10,
        figsize=None, transparent=False, save=None: ...,
    "pl.scatter_pie": lambda mdata, topics="topics", x="coords", radius=None, xrange=(0, 1), yrange=(0, 1),
        figsize=(10, 10), palette=None, legend_markersize=10, legend_ncol=1, transparent=False, save=None: ...,
    "pl.select_n_topics": lambda mdata: ...,
    "pl.topics": lambda mdata, x, topics="topics", cmap="magma_r", marker=".", s=None, vmax=None, fontsize=10,
        figsize=None, transparent=False, save=None: ...,
    "pl.dominant_topics": lambda mdata, x, topics="topics", palette=None, annotation=None, title=None, marker=".",
        s=None, fontsize=10, markerscale=1, legend=True, legend_ncol=1, figsize=(7, 5), random_state=2291,
        transparent=False, save=None: ...,
    "pl.signatures": lambda mdata, mod, signatures="signatures", n_top=30, cmap="viridis", figsize=None, fontsize=8,
        transparent=False, save=None: ...,
    "pl.corr_heatmap": lambda arr1, arr2, label1=None, label2=None, cmap="bwr", fontsize=8, figsize=(8, 6),
        transparent=False, save=None: ...,
}  # fmt: skip
OWN = [name for name in PUBLIC if name.split(".")[0] in ("pp", "tl", "pl", "get") and name not in ORIGINAL]


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """All public functions and classes, and the public methods of these."""
    for name, thing in PUBLIC.items():
        yield name, thing
        if inspect.isclass(thing):
            for method, function in inspect.getmembers(thing, inspect.isfunction):
                if not method.startswith("_"):
                    yield f"{name}.{method}", function


CALLABLES = dict(callables())


def positional(function: Callable[..., Any]) -> dict[str, Any]:
    """Names and defaults of the parameters that may be given by position."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a new interpreter has loaded after a statement."""
    script = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_version_is_that_of_the_installed_package():
    assert mtopic.__version__ == version("mtopic")


def test_names_of_the_package():
    assert dir(mtopic) == sorted([*PARTS, "__version__", "report", "view"])
    for part in PARTS:
        assert inspect.ismodule(getattr(mtopic, part))


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'mtopic' has no attribute 'plot'"):
        mtopic.plot  # noqa: B018


def test_import_loads_nothing_heavy():
    loaded = loaded_by("import mtopic")
    assert "mtopic" in loaded
    assert not loaded & {
        "squidpy",
        "muon",
        "scanpy",
        "umap",
        "matplotlib",
        "numba",
        "anndata",
        "mudata",
        "pandas",
        "numpy",
    }


def test_parts_but_plotting_load_no_other_analysis_package():
    loaded = loaded_by("from mtopic import datasets, get, pp, read, tl\ntl.MTM, pp.tfidf, get.topics")
    assert "mudata" in loaded
    assert not loaded & {"squidpy", "muon", "scanpy", "umap", "kneed", "pooch"}


@pytest.mark.parametrize("name", ORIGINAL)
def test_calls_of_the_original_keep_their_order_and_defaults(name):
    theirs, ours = positional(ORIGINAL[name]), positional(CALLABLES[name])
    assert list(ours) == list(theirs)
    for parameter, default in theirs.items():
        if default is not inspect.Parameter.empty:
            assert ours[parameter] == default, parameter


@pytest.mark.parametrize("name", OWN)
def test_own_functions_follow_the_convention_of_scanpy(name):
    """The data first, three positional parameters at most, ``copy`` by keyword only."""
    parameters = inspect.signature(PUBLIC[name]).parameters
    by_position = positional(PUBLIC[name])
    assert next(iter(by_position)) in ("data", "model_or_data", "model_or_reference") or name == "tl.load_model"
    assert len(by_position) <= 3
    assert "copy" not in by_position
    if "copy" in parameters:
        assert parameters["copy"].default is False
        assert parameters["copy"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", PUBLIC)
def test_what_has_a_copy_returns_none_or_the_copy(name):
    signature = inspect.signature(PUBLIC[name])
    returns = typing.get_args(signature.return_annotation)
    assert ("copy" in signature.parameters) == (type(None) in returns and AnnData in returns)


@pytest.mark.parametrize("part", PARTS)
def test_no_public_name_is_left_out_of_all(part):
    module = getattr(mtopic, part)
    own = {
        name
        for name, thing in vars(module).items()
        if callable(thing) and not name.startswith("_") and thing.__module__.startswith(module.__name__)
    }
    assert own == set(module.__all__)


@pytest.mark.parametrize("name", CALLABLES)
def test_documentation_begins_with_one_line(name):
    first, *rest = (CALLABLES[name].__doc__ or "").split("\n")
    assert first == first.strip() != ""
    assert not rest or not rest[0].strip()


@pytest.mark.parametrize("name", CALLABLES)
def test_all_is_typed(name):
    function = CALLABLES[name]
    signature = inspect.signature(function.__init__ if inspect.isclass(function) else function)
    assert signature.return_annotation is not signature.empty
    for parameter in signature.parameters.values():
        assert parameter.name == "self" or parameter.annotation is not parameter.empty, parameter.name


@pytest.mark.parametrize("name", CALLABLES)
def test_all_is_documented(name):
    """Every parameter is described, and there is an example wherever there is a parameter."""
    text = inspect.getdoc(CALLABLES[name])
    assert text
    parameters = set(inspect.signature(CALLABLES[name]).parameters) - {"self"}
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    described = re.findall(r"^(\w.*)$", section[1], flags=re.MULTILINE) if section else []
    assert {name for line in described for name in line.split(", ")} == parameters
    assert not parameters or "\n>>> " in text


def test_api_page_lists_every_public_name():
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    listed = []
    for block in page.split(".. currentmodule:: mtopic.")[1:]:
        part, _, rest = block.partition("\n")
        listed += [f"{part}.{name}" for name in re.findall(r"^   (\w+)$", rest.partition("```")[0], flags=re.MULTILINE)]
    assert sorted([*listed, "report", "view"]) == sorted(PUBLIC)
    assert re.search(r"currentmodule:: mtopic\n.*?^   report$", page, flags=re.DOTALL | re.MULTILINE)
