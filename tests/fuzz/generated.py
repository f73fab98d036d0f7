"""Generated data, and what has to hold of whatever is given to a public function."""

import hashlib
import os
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse

import mtopic as mt

TIMES = float(os.environ.get("MTOPIC_FUZZ", "1"))
PLANNED: dict[str, int] = {}
SOURCE = Path(mt.__file__).parent

Dense = NDArray[Any]


def _unsorted(x: Dense) -> sparse.csr_matrix:
    """Rows whose entries stand in descending order."""
    made = sparse.csr_matrix(x)
    order = np.lexsort((-made.indices, np.repeat(np.arange(len(x)), np.diff(made.indptr))))
    return sparse.csr_matrix((made.data[order], made.indices[order], made.indptr), shape=x.shape)


def _twice(x: Dense) -> sparse.csr_matrix:
    """Every entry beside a zero in the same place."""
    made = sparse.csr_matrix(x)
    values = np.column_stack([made.data, np.zeros_like(made.data)]).ravel()
    return sparse.csr_matrix((values, np.repeat(made.indices, 2), 2 * made.indptr), shape=x.shape)


def _zeros(x: Dense) -> sparse.csr_matrix:
    """Every value with an entry, zeros too."""
    n_obs, n_vars = x.shape
    columns, starts = np.tile(np.arange(n_vars), n_obs), n_vars * np.arange(n_obs + 1)
    return sparse.csr_matrix((x.ravel(), columns, starts), shape=x.shape)


def _wide(x: Dense) -> sparse.csr_array:
    """Indices of 64 bits."""
    made = sparse.csr_array(x)
    made.indices, made.indptr = made.indices.astype(np.int64), made.indptr.astype(np.int64)
    return made


def _read_only(x: Dense) -> sparse.csr_matrix:
    """As memory maps and processes of joblib give it."""
    made = sparse.csr_matrix(x)
    for part in (made.data, made.indices, made.indptr):
        part.flags.writeable = False
    return made


def _strided(x: Dense) -> Dense:
    """Every second column of a wider array."""
    return np.repeat(x, 2, axis=1)[:, ::2]


FORMS: dict[str, Callable[[Dense], Any]] = {
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc_matrix": sparse.csc_matrix,
    "csc_array": sparse.csc_array,
    "dense": np.array,
    "Fortran": np.asfortranarray,
    "strided": _strided,
    "unsorted": _unsorted,
    "twice": _twice,
    "zeros": _zeros,
    "wide": _wide,
    "read-only": _read_only,
}
DTYPES = {
    **dict.fromkeys(["int8", "uint8"], 100),
    **dict.fromkeys(["int16", "uint16", "float16"], 1e4),
    **dict.fromkeys(["int32", "uint32", "int64", "uint64", "float32", "float64", "longdouble", ">f4", ">i8"], 1e7),
    "bool": 1,
}
NAMES: dict[str, Callable[[str, int], str]] = {
    "plain": lambda kind, number: f"{kind}_{number}",
    "numbers": lambda kind, number: str(number),
    "unicode": lambda kind, number: f"{kind} β{number} ✓",
    "slashes": lambda kind, number: f"{kind}/{number}/",
    "one empty": lambda kind, number: f"{kind}{number}" if number else "",
    "colons": lambda kind, number: f"{kind}:\n{number}",
}
MODALITIES = {
    "plain": ["rna", "atac", "prot", "x", "X"],
    "numbers": ["0", "1", "2", "3", "4"],
    "unicode": ["RNÄ", "β", "✓", " ", "🧬"],
    "slashes": ["a/b", "a", "b", "/", "c/"],
    "one empty": ["", "rna", "a", "b", "c"],
    "colons": ["a:b", "a", "b:", ":", "c"],
}


DENSE_ONLY = ("float16", ">f4", ">i8")  # SciPy has no sparse matrices of these


@dataclass(frozen=True)
class Part:
    """A modality."""

    form: str = "csr_matrix"
    dtype: str = "float32"
    n_vars: int = 8
    depth: float = 100.0

    def laid_out(self, x: Dense) -> Any:
        """Counts in the form of this modality."""
        is_dense = self.form in ("dense", "Fortran", "strided") or self.dtype not in DENSE_ONLY
        return FORMS[self.form if is_dense else "dense"](x)


@dataclass(frozen=True)
class Case:
    """What data are like; the numbers follow from the seed."""

    seed: int
    n_obs: int
    parts: tuple[Part, ...]
    names: str = "plain"
    overlap: str = "all"
    shuffled: bool = False
    empty: int = 0
    alike: bool = False
    whole: bool = True
    wrapped: bool = True
    view: bool = False

    @property
    def mods(self) -> list[str]:
        """Names of the modalities."""
        return MODALITIES[self.names][: len(self.parts)] if self.wrapped else ["X"]

    @property
    def obs_names(self) -> list[str]:
        return [NAMES[self.names]("cell", d) for d in range(self.n_obs)]

    def counts(self) -> list[Dense]:
        """Of each modality, all observations × features, in its dtype."""
        rng = np.random.default_rng(self.seed)
        return [self._counts_of(part, rng) for part in self.parts]

    def _counts_of(self, part: Part, rng: np.random.Generator) -> Dense:
        rates = rng.gamma(0.5, 1, (self.n_obs, part.n_vars)) + 1e-3
        depth = min(part.depth, DTYPES[part.dtype] / 2)
        x = rng.poisson(depth * rates / rates.sum(axis=1, keepdims=True)).astype(np.float64)
        x[rng.integers(self.n_obs, size=self.empty)] = 0
        x[:, rng.integers(part.n_vars, size=self.empty)] = 0
        if self.alike:
            x[:] = x[0]
        if not self.whole and np.dtype(part.dtype).kind == "f":
            x *= 0.37
        return x.astype(part.dtype)

    def members(self) -> list[NDArray[np.intp]]:
        """The observations of each modality, in its order; every one has one at least."""
        rng, every = np.random.default_rng(self.seed + 1), np.arange(self.n_obs)
        n_parts = len(self.parts)
        if self.overlap == "none" and self.n_obs >= n_parts:
            found = np.array_split(every, n_parts)
        elif self.overlap == "some":
            found = [np.flatnonzero(rng.random(self.n_obs) < 0.6) for _ in range(n_parts)]
            found = [rows if rows.size else every for rows in found]
        else:
            found = [every] * n_parts
        return [rng.permutation(rows) if self.shuffled else rows for rows in found]

    def present(self) -> list[Dense]:
        """Of each modality, its own observations × features, with a count at least."""
        found = [(x[rows], rows) for x, rows in zip(self.counts(), self.members(), strict=True)]
        for x, rows in found:
            x[rows.argmin(), 0] += not x.any()
        return [x for x, _ in found]

    def build(self, *, plain: bool = False) -> AnnData | MuData:
        """The data as the case says, or, plain, with the same counts as CSR of double precision, none of it a view."""
        if self.view and not plain:
            return self._seen()
        made = {}
        for mod, part, x, rows in zip(self.mods, self.parts, self.present(), self.members(), strict=True):
            x = x.astype(np.float64) if plain else x
            obs = pd.DataFrame(index=[self.obs_names[row] for row in rows])
            var = pd.DataFrame(index=[NAMES[self.names](mod, v) for v in range(part.n_vars)])
            made[mod] = AnnData(sparse.csr_matrix(x) if plain else part.laid_out(x), obs=obs, var=var)
        return MuData(made) if self.wrapped else made["X"]

    def _seen(self) -> AnnData | MuData:
        whole = replace(self, view=False).build()
        return whole[np.arange(whole.n_obs)]


PARTS = st.builds(
    Part,
    form=st.sampled_from(list(FORMS)),
    dtype=st.sampled_from(list(DTYPES)),
    n_vars=st.integers(1, 12),
    depth=st.sampled_from([100.0, 1.0, 1e4, 1e7]),
)


@st.composite
def cases(draw: st.DrawFn, /, most: int = 40, least: int = 1, **fixed: Any) -> Case:
    """Data that are allowed."""
    parts = draw(st.lists(PARTS, min_size=1, max_size=5))
    options: dict[str, st.SearchStrategy[Any]] = {
        "names": st.sampled_from(list(NAMES)),
        "overlap": st.sampled_from(["all", "some", "none"]),
        "shuffled": st.booleans(),
        "empty": st.sampled_from([0, 0, 1, 3]),
        "alike": st.sampled_from([False, False, False, True]),
        "whole": st.sampled_from([True, True, False]),
        "view": st.sampled_from([False, False, False, True]),
    }
    drawn = {name: draw(strategy) for name, strategy in options.items() if name not in fixed}
    wrapped = len(parts) > 1 or draw(st.booleans())
    n_obs = draw(st.integers(least, most))
    return Case(draw(st.integers(0, 2**20)), n_obs, tuple(parts), wrapped=wrapped, **drawn, **fixed)


def fuzz(n_cases: int, **strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test on so many cases, the same in every run; with MTOPIC_FUZZ=n on n times as many, new ones each time."""
    wanted = max(1, round(n_cases * TIMES))

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        PLANNED[test.__name__] = n_cases

        def run(record_property: Callable[[str, object], None]) -> None:
            ran = 0

            @settings(max_examples=wanted)
            @given(**strategies)
            def counted(**drawn: Any) -> None:
                nonlocal ran
                ran += 1
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    test(**drawn)

            counted()
            record_property("cases", ran)
            assert ran >= wanted

        run.__name__, run.__module__ = test.__name__, test.__module__
        return run

    return decorate


def content(value: Any) -> Any:
    """All that an object holds, types and the order in memory too, to be compared."""
    if isinstance(value, AnnData | MuData):
        slots = ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")
        held = {slot: content(getattr(value, slot)) for slot in slots}
        inner = value.mod if isinstance(value, MuData) else {"X": value.X, "layers": value.layers}
        return {**held, "inner": content(dict(inner)), "names": [list(value.obs_names), list(value.var_names)]}
    if isinstance(value, Mapping):
        return {key: content(part) for key, part in value.items()}
    if sparse.issparse(value):
        return type(value).__name__, value.shape, [content(getattr(value, p)) for p in ("data", "indices", "indptr")]
    if isinstance(value, pd.DataFrame):
        return [(name, content(value[name])) for name in value], list(value.index), value.index.dtype
    if isinstance(value, pd.Series):
        return str(value.dtype), repr(list(value))
    if isinstance(value, np.ndarray):
        whole = np.ascontiguousarray(value, dtype=np.float64 if value.dtype == np.longdouble else None)  # has padding
        return value.dtype.str, value.shape, value.strides, hashlib.sha256(whole.tobytes()).hexdigest()
    return repr(value)


def attempt(function: Callable[..., Any], data: AnnData | MuData, *args: Any, said: str = "", **options: Any) -> bool:
    """Whether a call succeeded; if not, its error has to be one of the package's own, and the data as before."""
    before = content(data)
    try:
        function(data, *args, **options)
    except (ValueError, KeyError, TypeError) as error:
        require_own(error, said)
        assert content(data) == before
        return False
    return True


def require_own(error: Exception, said: str = "") -> None:
    """An error is raised by this package and names what is wrong, not by something that it calls."""
    if str(error).startswith("unhashable type"):  # of a list or dict where a name is wanted
        return
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert Path(last.filename).is_relative_to(SOURCE), f"{type(error).__name__} from {last.filename}: {error}"
    assert len(str(error)) > 20
    assert said in str(error), f"{said!r} is not in {error}"


def parts_of(data: AnnData | MuData) -> dict[str, AnnData]:
    """Modalities by name."""
    return dict(data.mod) if isinstance(data, MuData) else {"X": data}


def first_of(data: AnnData | MuData) -> str:
    """Name of the first modality."""
    return next(iter(parts_of(data)))


def require_finite(model: "mt.tl.MTM | mt.tl.sMTM") -> None:
    """All that a model has found is a number, and positive where it is a concentration."""
    for values in (model.gamma, *model.lambda_.values()):
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert np.isfinite(model.elbo).all()
