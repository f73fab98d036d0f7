"""What all tests share: the real data, figures that need no screen, and quick starts of fits."""

import gc
import hashlib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

os.environ["MPLBACKEND"] = "Agg"

# The same cases in every run, unless more than all of them are asked for.
settings.register_profile(
    "mtopic",
    derandomize=float(os.environ.get("MTOPIC_FUZZ", "1")) <= 1,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("mtopic")

NO_DATA = "real data not found: set MTOPIC_SHARED to the folder that has data/ and reference/"


@pytest.fixture
def log_level() -> Iterator[Callable[[str], None]]:
    """Sets from which level on mtopic tells something; afterwards it is as it was."""
    logger = logging.getLogger("mtopic")
    before = logger.level
    yield logger.setLevel
    logger.setLevel(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with ``data/`` and ``reference/``: MTOPIC_SHARED, or ``shared`` beside the repository."""
    named = os.environ.get("MTOPIC_SHARED")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared"
    if (folder / "data").is_dir() and (folder / "reference").is_dir():
        return folder
    if named:
        pytest.fail(f"MTOPIC_SHARED={named} has no data/ and reference/")
    pytest.skip(NO_DATA)


@pytest.fixture(scope="session")
def real_mudata(shared: Path) -> "Callable[[str], MuData]":
    """Read a real MuData by the stem of its file, anew for each call."""
    from mudata import read_h5mu

    def read(stem: str) -> "MuData":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return read_h5mu(shared / "data" / f"{stem}.h5mu")

    return read


@pytest.fixture(scope="session")
def real_anndata(shared: Path) -> "Callable[[str], AnnData]":
    """Read a real AnnData by the stem of its file, anew for each call."""
    from anndata import read_h5ad

    def read(stem: str) -> "AnnData":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return read_h5ad(shared / "data" / f"{stem}.h5ad")

    return read


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], dict[str, np.ndarray]]:
    """Read a trajectory of the original by the stem of its file."""

    def read(stem: str) -> dict[str, np.ndarray]:
        with np.load(shared / "reference" / f"{stem}.npz") as file:
            return dict(file)

    return read


@pytest.fixture
def fingerprint() -> Callable[[Any], str]:
    """All that an object holds, matrices and tables to the bit, as a text to be compared."""

    def of(value: Any) -> str:
        if hasattr(value, "tocsr"):
            value = value.tocsr()
            return repr([of(part) for part in (value.data, value.indices, value.indptr)])
        if hasattr(value, "obs_names"):
            slots = [value.obs, value.var, *(dict(getattr(value, slot)) for slot in ("obsm", "varm", "obsp", "uns"))]
            inner = dict(value.mod) if hasattr(value, "mod") else {"X": value.X, **value.layers}
            return repr([of(part) for part in (*slots, inner)])
        if hasattr(value, "to_csv"):
            return str(value.to_csv())
        if isinstance(value, np.ndarray):
            return f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
        if isinstance(value, dict):
            return repr({key: of(part) for key, part in value.items()})
        return repr(value)

    return of


class QuickStart:
    """The start of a fit from at most so many batches, which few observations do not need more of."""

    batches = 4
    whole = False

    def __init__(self, start: Callable[..., Any]) -> None:
        self._start, self._signature = start, inspect.signature(start)

    def __call__(self, *args: Any, **options: Any) -> Any:
        given = self._signature.bind(*args, **options)
        given.apply_defaults()
        if not QuickStart.whole:
            given.arguments["steps"] = min(given.arguments["steps"], self.batches)
        return self._start(*given.args, **given.kwargs)


@pytest.fixture(scope="session", autouse=True)
def _quick_start() -> Iterator[None]:
    """In place of the start wherever it is called from."""
    import mtopic.inference

    modules = [import_module(found.name) for found in walk_packages(mtopic.inference.__path__, "mtopic.inference.")]
    start = QuickStart(import_module("mtopic.inference.stochastic").initial_signatures)
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            if hasattr(module, "initial_signatures"):
                patch.setattr(module, "initial_signatures", start)
        yield


def pytest_collection_finish() -> None:
    """Look for garbage less often, and not among what was imported: that takes a twentieth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Function) -> None:
    """Fits of tests marked ``whole_start``, and of those on data that tell how good a fit is, start from all batches.

    So do those that a fixture of a module or of the session makes for such a test.
    """
    made_for_that = {"large_tissue", "real_mudata", "real_anndata"}
    QuickStart.whole = bool(item.get_closest_marker("whole_start") or made_for_that & {*item.fixturenames})


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests the missing data has cost, and how many cases were generated."""
    passed = terminalreporter.stats.get("passed", [])
    if cases := sum(number for report in passed for name, number in report.user_properties if name == "cases"):
        terminalreporter.write_line(f"cases generated: {cases:,}")
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_DATA in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"tests skipped: {len(skipped)}, for want of the data ({NO_DATA})", yellow=True)
