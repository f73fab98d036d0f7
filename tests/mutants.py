"""Plant small faults, one at a time, in a copy of the source, and see whether the tests find them.

``python tests/mutants.py --list`` shows the faults, ``--share 1/4`` runs the first of every four, and ``--out FILE``
keeps a table, from which a run that was ended goes on. The Python that runs this needs what the tests need.
"""

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Mutant:
    """A fault: in a function, or a method as ``Class.method``, wherever it is, one text takes the place of another."""

    function: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.function}: {self.old} → {self.new}"


MUTANTS = [
    # inference: what is compiled
    Mutant("expected_topics", "(logs[k] - logs[n_topics])", "(logs[k] + logs[n_topics])"),
    Mutant("mean_signatures", "lam[v, k] * share[k]", "lam[v, k]"),
    Mutant("_fixed_point", "limit = width * atol + rtol *", "limit = width * atol + 0 *"),
    Mutant("_fixed_point", "if gathered or 2 * n_keep <= width", "if 2 * n_keep <= width"),
    Mutant("sufficient_statistics", "total[k] * b[v, k]", "total[k]"),
    Mutant("gradient_step", "+ own_shift)", "- own_shift)"),
    Mutant("digamma", "(2 * x[i] + 5)", "(2 * x[i] + 4)"),
    Mutant("log_double", "(1 / 3 + z", "(1 / 4 + z"),
    Mutant("_log_single", "(THIRD + z", "(FIFTH + z"),
    Mutant("exp", "range(12, 0, -1)", "range(5, 0, -1)"),
    Mutant("sum_log_gamma", "(y - 0.5) * logs[i]", "(y + 0.5) * logs[i]"),
    Mutant("correct_by_neighbours", "s[k] * (before / after)", "s[k]"),
    Mutant("sum_increments", "mean / present[k] + prior", "mean + prior"),
    Mutant("merged_v_log_v", "special.dot(a, logs) + special.dot(b, logs)", "special.dot(a, logs)"),
    Mutant("total_variation", "others[row, k] / other_total", "others[row, k] / total"),
    Mutant("_objective", "spread * w[p] * log_w[p]", "spread * log_w[p]"),
    Mutant("_drop", "w[p] > NEGLIGIBLE", "w[p] >= 0"),
    # inference: effects of batches
    Mutant("most_likely_factors", "counts + c - expected", "counts - expected"),
    Mutant("likelier_strength", "np.log(c / (c + expected))", "np.log(c)"),
    Mutant("BatchEffects.updated", "known[columns], strengths[modality]", "known[columns], strengths[0]"),
    Mutant("Posterior.lam_as_read", "self.lam * self.effects", "self.lam / self.effects"),
    Mutant("Gathered.expected", "self.by_feature * as_common", "self.by_feature"),
    Mutant("_relearned", "np.where(new, factors, effects.factors)", "factors"),
    Mutant("BatchEffects.or_average", "nan=1.0", "nan=np.nan"),
    Mutant("of_columns", "if batch in tables[mod]:", "if True:"),
    Mutant("NewCounts.with_effects", "if one not in known[mod]", "if one in known[mod]"),
    Mutant("Fold.score", "with_learned_effects(fitted)", "fitted"),
    Mutant("as_tables", "pd.DataFrame(np.nan", "pd.DataFrame(1.0"),
    # inference: guides
    Mutant("Guide.order", "linear_sum_assignment(-scores)", "linear_sum_assignment(scores)"),
    Mutant("Guide.hold", "(free - held) * log_beta", "(held - free) * log_beta"),
    Mutant("Guide.begin", "np.where(self.lifts > 0, self.lifts, 1)", "1"),
    Mutant("Guide.pseudocounts", "np.where(self.weights > 0, self.lifts, 0)", "self.lifts"),
    Mutant("Guide.scaled", "self.mean * ratio", "self.mean"),
    Mutant("merged", "counts[alive] - known[alive]", "counts[alive]"),
    Mutant("_lifts_of_shares", "lifts[~in_table] = 1", "lifts[~in_table] = 0"),
    Mutant("Posterior.learned_eta", "free[:, self.guide.n_topics :]", "free"),
    Mutant("guided", "gains > gains[k]", "gains < gains[k]"),
    # inference: what goes on around it
    Mutant("Fit._updated", "rounds + 1", "rounds"),
    Mutant("Fit._updated", "if plan.cold else start", "if plan.explore else start"),
    Mutant("Fit._updated", "Correction) else self._own", "Correction) else now.gamma"),
    Mutant("Fit.iterate", "bound < self.elbo[-1]", "bound < 2 * self.elbo[-1]"),
    Mutant("Fit.iterate", "now.gamma = self._own", "pass"),
    Mutant("Fit.iterate", "momentum.after(now)", "momentum.after(ahead)"),
    Mutant("Fit.iterate", "self.learns_alpha and not plan.explore", "self.learns_alpha"),
    Mutant("Fit.begin_at", "schedule.EXPLORE + 1", "0"),
    Mutant("Fit.begin_at", "other.passes * share", "other.passes"),
    Mutant("begin_from_part", "if begins_from_part(part)", "if False"),
    Mutant("begin_from_part", "finally:\n        corpus.remove_files()", "finally:\n        pass"),
    Mutant("sum_in_pairs", "sums[-1][0] == height", "True"),
    Mutant("rows_of", "table if len(table) == 1 else table[rows]", "table[rows]"),
    Mutant("Cluster.of_blocks", "if not _is_in_files(corpus)", "if False"),
    Mutant("_active_client", "and not client.asynchronous", "and False"),
    Mutant("StoredCounts.sample", "self.edges[1:-1]", "self.edges[1:-1] + 1"),
    Mutant("StoredCounts._columns", "edges - edges[0]", "edges"),
    Mutant("NewCounts.in_rows", "(order[mod] < stop)", "(order[mod] <= stop)"),
    Mutant("in_measured_sets", "corpus.offsets, columns, number[where]", "corpus.offsets, columns, number"),
    Mutant("in_measured_sets", "obs_names[where]", "obs_names"),
    Mutant("_rewritten", "corpus.remove_files()", "pass"),
    Mutant("column", 'x.shape[0], ROWS_AT_ONCE', 'x.shape[0] - 1, ROWS_AT_ONCE'),
    Mutant("pixels", "where=number > 0", "where=number > 1"),
    Mutant("pixels", "image[place] = colours", "image[place[::-1]] = colours"),
    Mutant("Spots.draw", "self.s is None and len(own) > MANY", "len(own) > MANY"),
    Mutant("Fit.smooth", "prior.smoothed(self._own,", "prior.smoothed(self.posterior.gamma,"),
    Mutant("Fit.from_state", 'plain.get("momentum", 1.0)', "1.0"),
    Mutant("Momentum.ahead", "(self.t - 1) / self._next()", "self.t / self._next()"),
    Mutant("Momentum.ahead", "np.maximum(gamma, alpha)", "np.maximum(gamma, 0)"),
    Mutant("Momentum._next", "4 * self.t**2", "self.t**2"),
    Mutant("Fit.rate", "self.drawn / size", "0"),
    Mutant("_are_right", "gain <= MARGIN", "gain <= 1e9 * MARGIN"),
    Mutant("_fast", "iteration in (0, EXPLORE)", "iteration == 0"),
    Mutant("_fast", "momentum=iteration > EXPLORE", "momentum=False"),
    Mutant("proportions_have_settled", "sum(changes[-WINDOW:])", "changes[-1]"),
    Mutant("proportions_have_settled", "refined > WINDOW", "refined > 0"),
    Mutant("batches", "[begun:]", "[:]"),
    Mutant("NeighbourPrior.smoothed", "own + alike @ theta", "own + means @ theta"),
    Mutant("NeighbourPrior._means", "max(1.0, known.sum())", "known.size"),
    Mutant("NeighbourPrior._means", "mutual @ diags_array(known)", "mutual"),
    Mutant("_solved", "own.sum(axis=1) + lent", "own.sum(axis=1)"),
    Mutant("_alike", "roots.T)", "roots.T[:1])"),
    Mutant("Correction.from_points", "np.exp(-np.pi * squared)", "np.exp(-squared)"),
    Mutant("natural_gradient_step", "real(1 - rate)", "real(1)"),
    Mutant("initial_signatures", "priors.symmetric(posterior.alpha) / EXCESS", "priors.symmetric(posterior.alpha)"),
    Mutant("merged", "counts[i] += counts[j]", "counts[i] += 0"),
    Mutant("in_order", "np.argsort(posterior.alpha[n_guided:]", "np.argsort(-posterior.alpha[n_guided:]"),
    Mutant("leave_modality_out", "np.flatnonzero(fold != number)", "np.arange(fold.size)"),
    Mutant("_greatest", "beyond < enough", "beyond < gains[best]"),
    Mutant("_greatest", "gains[best:]", "gains[best + 1:]"),
    Mutant("learned_strength", "STANDARD_ERRORS * best", "0 * best"),
    Mutant("by_frequency", "expected[:, 0] / n_topics", "expected[:, 0]"),
    Mutant("learned_shares", "(gains - gains[0]).T", "gains.T"),
    Mutant("_smallest", "KEPT * rising[-1]", "rising[-1]"),
    Mutant("HeldOut.beside", "argmax(axis=0)", "argmin(axis=0)"),
    Mutant("Posterior.log_likelihood", "(1 - common) * theta", "theta"),
    Mutant("Run._learn_eta", "by_frequency(of.corpus, shares", "by_frequency(self.as_observed(), shares"),
    Mutant("_variances", "squares - 2 * (n", "squares - (n"),
    Mutant("thinned", "part(rows.data - away)", "part(rows.data)"),
    Mutant("fold_in", "np.ones_like(posterior.gamma)", "posterior.gamma"),
    Mutant("Gathered.most_likely", "(self.by_feature + added)", "self.by_feature"),
    Mutant("Posterior.learned_alpha", "self.n_topics * float", "float"),
    Mutant("Posterior.bound", "return observed +", "return 0 * observed +"),
    Mutant("StoredCounts.of", "found[np.argsort(order)]", "found[order]"),
    Mutant("StoredCounts._gathered", "indptr[rows] - edges[:-1]", "indptr[rows]"),
    Mutant("StoredCounts.block", "self.first + i", "i"),
    Mutant("_blocks", "MOST_ROWS - rows", "MOST_ROWS"),
    Mutant("_smallest", "most >= 2**32 or ", ""),
    # model
    Mutant("Starts.over", "fit.elbo[-1] > self.best.elbo[-1]", "fit.elbo[-1] < self.best.elbo[-1]"),
    Mutant("Monitor.ends_after", "iteration % self._every == 0", "iteration % self._every == 1"),
    Mutant("Monitor.__exit__", "signal.signal(signal.SIGINT, self._before)", "signal.getsignal(signal.SIGINT)"),
    Mutant("stability", "[_centred(lam, corpus) for lam", "[[lam[block] for block in corpus.blocks] for lam"),
    Mutant("expected", "values.mul(totals.reindex(values.index), axis=0)", "values"),
    Mutant("eta_of_features", ".reindex(names)", ""),
    Mutant("_of_modality", 'given = _by_name(given, features, name, "features")', "given = given.to_numpy()"),
    Mutant("_named_as_trained", "{mod: parts[mod] for mod in known if mod in parts}", "parts"),
    Mutant("_require_mass", "mass.mean() < FLOOR", "mass.mean() < 0"),
    Mutant("halves", "0.5", "0.4"),
    Mutant("finish", "max(schedules.EXPLORE, run.fit.position)", "run.fit.position"),
    Mutant("Run.smooth", "self.fit.smooth(spatial)", "self.fit.smooth(None)"),
    Mutant("Run._begun", "1 / of.n_topics if running.learns_alpha else of.alpha", "of.alpha"),
    Mutant("recipe", '"inference": "collapsed"', '"inference": "variational"'),
    Mutant("weighted", "(weights == 1).all()", "(weights <= 1).all()"),
    # _data
    Mutant("is_outdated", "!= record[\"id\"] for record", "== record[\"id\"] for record"),
    Mutant("naming_topics", "if names and fit ==", "if fit =="),
    Mutant("note", "if slot not in slots}", "}"),
    Mutant("require_free", "if new in kept", "if False"),
    Mutant("take_back", "np.allclose(*shares)", "True"),
    Mutant("Params.of", "OLDER_NAMES.get(name, name)", "name"),
    Mutant("fingerprint", "(part.indices, np.int64), ", ""),
    Mutant("canonical", "x.sum_duplicates()", "x.sort_indices()"),
    Mutant("_check_values", "x.data < 0", "x.data < -1"),
    Mutant("_reordered", "x.sort_indices()", "x"),
    Mutant("n_features", "table.loc[names].sum()", "table.sum()"),
    Mutant("modality_shares", ".replace(0, np.nan)", ""),
    Mutant("Preparation.apply", "x.data *= x.dtype.type(self.scale)", "x.data *= 1"),
    Mutant("_Source.read", "has[np.argsort(self.places[start + has])]", "has"),
    Mutant("Run.discard_counts", "corpus.remove_files()", "pass"),
    # tl
    Mutant("export_params", "proportions[~empty].max(axis=0) > filter", "proportions[~empty].mean(axis=0) > filter"),
    Mutant("_scores", "/ n - mean**2", "/ n"),
    Mutant("_scores", "/ sd[rows], -limit, limit)", "/ sd[rows], None, limit)"),
    Mutant("dominant", "np.full(len(table), -1)", "np.full(len(table), 0)"),
    Mutant("dominant", "roots.mean(axis=0) if", "0 if"),
    Mutant("_above_the_median", "np.nanmedian(proportions, axis=0)", "0"),
    Mutant("_mean_distance", "np.sqrt(squares / 2)", "np.sqrt(squares)"),
    Mutant("_near", "low - max(0, (ends - starts).max())", "low"),
    Mutant("_of_mean", "/ (n - 1) / n", "/ n / n"),
    Mutant("_prior", "- polygamma(1, d / 2).mean()", ""),
    Mutant("moderated", "d.sum() / 2", "d.sum()"),
    Mutant("_of_median_topic", "own - own.mean()", "own"),
    Mutant("Samples.sides", "np.where(np.isnan(reference), np.nan, group)", "group"),
    Mutant("adjusted", "false_discovery_control(p[tested])", "p[tested]"),
    Mutant("limits", "(1 - level) / 2", "1 - level"),
    Mutant("_npmi", "np.where(both > 0, 0.0, -1.0)", "np.zeros(both.size)"),
    Mutant("_effective_number", "np.exp(entr(shares).sum(axis=-1))", "entr(shares).sum(axis=-1)"),
    Mutant("Pairs.agreement", "(coefficients - chance) / (1 - chance)", "coefficients - chance"),
    Mutant("_next", "around - around.multiply(reached)", "around"),
    Mutant("samples", "known &= sample.codes >= 0", "pass"),
    Mutant("_groups", "present & (groups.codes >= 0)", "(groups.codes >= 0)"),
    Mutant("_shared_out", "counts + PRIOR_COUNTS * beta", "counts + beta"),
    Mutant("Fold.of", "adata[~held_out & adata.obs[PRESENT].to_numpy()]", "adata[adata.obs[PRESENT].to_numpy()]"),
    Mutant("_write", "np.argsort(-sizes, kind", "np.argsort(sizes, kind"),
    Mutant("mixture", "for start in starts])", "for start in starts[:1]])"),
    Mutant("_most_stable", "[enough].max()", "[enough].min()"),
    Mutant("_chosen", "chosen[n_targets >= tmin]", "chosen"),
    Mutant("enrichment", "OWN_BACKGROUND.get(method, {})", "{}"),
    Mutant("_compared", "(rate * (1 - rate)).T", "rate.T"),
    Mutant("_tail", "- found + 1", "- found"),
    Mutant("_bins", "bins * n_bins + within", "bins"),
    # pp
    Mutant("log_ratios", "np.maximum(n_features, 1)", "x.shape[1]"),
    Mutant("idf", "np.maximum(df, 1)) + 1", "np.maximum(df, 1))"),
    Mutant("scale_counts", "Preparation.of(adata).scale * factor", "factor"),
    Mutant("replace_counts", "if not before and", "if"),
    Mutant("_permuted", "rng.choice(rows, n, replace=False)", "rng.choice(rows, n)"),
    Mutant("_annotations", "known.equals(first.loc[known.index])", "True"),
    Mutant("filter_var_knee", "curve.index[: before or 0]", "curve.index[: (before or 1) - 1]"),
    # get
    Mutant("links", "np.searchsorted(column, column) + 1", "np.searchsorted(column, column)"),
    Mutant("profiles", "np.log(shares / shares.mean(axis=0))", "np.log(shares)"),
    Mutant("tidy", "np.arange(1, n_rows + 1)", "np.arange(n_rows)"),
    Mutant("added_share", "/ (len(totals) - 1)", "/ len(totals)"),
    Mutant("Measure._frex", "1 / ranks[0] + 1 / ranks[1]", "2 / ranks[0]"),
    Mutant("_candidates", "values[:, ~chosen]", "values[:, chosen]"),
    Mutant("_least", "min(n_top, scores.shape[1])", "min(n_top, scores.shape[1] - 1)"),
    Mutant("_obs", ".reindex(obs.index)", ".to_numpy()"),
    Mutant("_coordinates", "except KeyError", "except IndexError"),
    # pl
    Mutant("_slices", "SMALLEST_SHARE * shares.sum", "0 * shares.sum"),
    Mutant("_columns", "-n_panels % columns", "n_panels % columns"),
    Mutant("_means", "return means.drop(index=lacking)", "return means"),
    Mutant("_forest", 'table["q"] <= max_q', 'table["p"] <= max_q'),
    Mutant("_trace", "trace / n_counts", "trace"),
    Mutant("_scale", "np.nanpercentile(column, p_top)", "np.nanmax(column)"),
    Mutant("filter_topics", "].max(axis=0)", "].mean(axis=0)"),
    Mutant("Page.finish", "transparent=transparent", "transparent=False"),
    Mutant("_look", "mpl.rcParams.update(before)", "mpl.rcParams.update(look)"),
    Mutant("dominant_topics", "named = [labels[k] for k in seen]", "named = labels[: seen.size]"),
    Mutant("_dots", "probability / probability.max(axis=0)", "probability"),
    Mutant("_paired", "columns[np.argsort(rows)], np", "np.sort(columns), np"),
    Mutant("tissue_image", "pixels.shape[1] / scale", "pixels.shape[1] * scale"),
    Mutant("micrometres", 'SPOT / float(factors["spot', 'float(factors["spot'),
    Mutant("_of_observations", "part.std(axis=0)", "part.std()"),
    # the viewer and the report
    Mutant("_coded", "(values[known] - low) / step", "values[known] / step"),
    Mutant("logarithms", "1 + np.rint((logs", "np.rint((logs"),
    Mutant("Packed.text", "-len(said) % ALIGNED", "0 * len(said)"),
    Mutant("_place", "unit * (length or 1.0)", "unit"),
    Mutant("Content.made_of", "place[order[:FIRST, k]]", "order[:FIRST, k].astype(np.uint32)"),
    Mutant("warnings", "correlation < UNSTABLE", "correlation > UNSTABLE"),
]  # fmt: skip

# The tests that a fault of a room may concern, beside those of the name of its module, in the order of their runs.
FITS = ["tests/tl/test_mtm.py", "tests/tl/test_smtm.py", "tests/tl/test_svi.py", "tests/tl/test_priors.py"]
AFTER_FITS = [
    "tests/tl/test_starts.py", "tests/tl/test_checkpoints.py", "tests/tl/test_load_model.py",
    "tests/tl/test_modality_weights.py", "tests/tl/test_mosaic.py", "tests/tl/test_export_params.py",
    "tests/tl/test_transform.py", "tests/tl/test_uncertainty.py",
]  # fmt: skip
CONCERNED = {
    "inference": ["tests/inference", "tests/tl/test_feature_associations.py", *FITS, *AFTER_FITS],
    "model": ["tests/model", *AFTER_FITS, *FITS, "tests/tl"],
    "_data": [
        "tests/test_inputs.py",
        "tests/_data",
        "tests/test_earlier_versions.py",
        "tests/pp",
        "tests/get",
        "tests/view/test_view.py",
        "tests/tl/test_rename_topics.py",
        *AFTER_FITS,
    ],
    "tl": ["tests/tl", "tests/test_written_and_read.py"],
    "pp": ["tests/pp", "tests/test_inputs.py", "tests/tl/test_transform.py", "tests/tl/test_mosaic.py"],
    "get": ["tests/get", "tests/interop"],
    "pl": ["tests/pl"],
    "_view": ["tests/view"],
    "_report": ["tests/test_report.py"],
}


@dataclass(frozen=True)
class Place:
    """Where a fault is planted: a file of the package, and a stretch of its text."""

    path: Path
    start: int
    stop: int


def functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, with that of its class, first and last line of each function."""

    def within(node: ast.AST, of: str) -> Iterator[tuple[str, int, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                yield f"{of}{child.name}", child.lineno, child.end_lineno or child.lineno
            yield from within(child, f"{child.name}." if isinstance(child, ast.ClassDef) else "")

    yield from within(ast.parse(text), "")


def find(mutant: Mutant, package: Path) -> Place:
    """The one place that a fault can mean; it is an error if there is none, or if there are several."""
    found = []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if mutant.old not in text:
            continue
        ends = [0, *(match.end() for match in re.finditer("\n", text)), len(text)]
        for name, first, last in functions(text):
            start, stop = ends[first - 1], ends[min(last, len(ends) - 1)]
            if name == mutant.function:
                found += [
                    Place(path, start + match.start(), start + match.end())
                    for match in re.finditer(re.escape(mutant.old), text[start:stop])
                ]
    if len(found) != 1:
        raise SystemExit(f"{mutant}: found in {len(found)} places of {package}, not in one: bring it up to date")
    return found[0]


def concerned(path: Path, package: Path) -> list[list[str]]:
    """The tests of a module, in groups that are run one after the other: those of its name, and those of its room."""
    module = path.relative_to(package)
    room, name = module.parts[0], module.stem.strip("_")
    own = sorted((ROOT / "tests").rglob(f"test_{name}.py"), key=lambda test: room not in test.parts)
    first = [str(test.relative_to(ROOT)) for test in own]
    then = [test for test in CONCERNED.get(room, ["tests"]) if (ROOT / test).exists()]
    groups = [first, then[:1], then[1:]]
    return [list(dict.fromkeys(group)) for group in groups if group]


def is_compiled(path: Path) -> bool:
    """Whether a module is of kernels, which are compiled into each other, so all anew where one has changed."""
    return "kernels" in path.parts


class Laboratory:
    """A copy of the source in which faults are planted, and the caches that go with it."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.package, self._source, self._caches = folder / "src" / "mtopic", source, folder / "caches"
        shutil.rmtree(self.package, ignore_errors=True)
        shutil.copytree(source, self.package, ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, mutant: Mutant, suite: str | None) -> tuple[str, float]:
        """The test that fails for a fault, or ``missed``, and seconds."""
        place = find(mutant, self.package)
        original, began = self._source / place.path.relative_to(self.package), time.monotonic()
        text = place.path.read_text(encoding="utf-8")
        place.path.write_text(text[: place.start] + mutant.new + text[place.stop :], encoding="utf-8")
        try:
            return self._failed(place.path, suite), time.monotonic() - began
        finally:
            shutil.copy2(original, place.path)  # with its time, by which the caches know it again

    def _failed(self, path: Path, suite: str | None) -> str:
        pytest = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
        groups = concerned(path, self.package)
        commands = [pytest + group for group in groups] if suite is None else [shlex.split(suite)]
        if not is_compiled(path):
            return self._first_of(commands, self._caches)
        if suite is None:
            found = self._first_of(commands[:2], self._caches, NUMBA_DISABLE_JIT="1")
            if found != "missed":
                return found
        with tempfile.TemporaryDirectory() as cache:
            return self._first_of(commands, Path(cache))

    def _first_of(self, commands: list[list[str]], cache: Path, **variables: str) -> str:
        found = (self._first_failure(command, cache, **variables) for command in commands)
        return next((test for test in found if test != "missed"), "missed")

    def _first_failure(self, command: list[str], cache: Path, **variables: str) -> str:
        paths = [str(self.package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NUMBA_CACHE_DIR": str(cache), **variables}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.MULTILINE)
        if done.returncode in (0, 5):  # 5: of these tests, none is chosen
            return "missed"
        if failed is None:
            raise SystemExit(
                f"{shlex.join(command)} ended with {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return failed[1]


def chosen(share: str, only: str | None) -> list[Mutant]:
    """Every n-th fault from the m-th on for a share of m/n, among those with a text in their names."""
    number, of = map(int, share.split("/"))
    if not 1 <= number <= of:
        raise SystemExit(f"--share {share}: give 1/n to n/n")
    return [mutant for mutant in MUTANTS[number - 1 :: of] if only is None or only in str(mutant)]


def known(table: Path | None) -> dict[str, str]:
    """What an earlier run has written."""
    if table is None or not table.exists():
        return {}
    return dict(line.split("\t")[:2] for line in table.read_text(encoding="utf-8").splitlines())


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="show the faults and where they are planted")
    parser.add_argument("--share", default="1/1", help="the m-th of every n faults, as m/n")
    parser.add_argument("--only", help="faults that have this text in them")
    parser.add_argument(
        "--suite",
        help="a command in place of the tests that a fault concerns; it names a test that failed as pytest does",
    )
    parser.add_argument(
        "--out", type=Path, help="a table to go on with: fault, test that caught it or 'missed', seconds"
    )
    parser.add_argument("--source", type=Path, default=ROOT / "src" / "mtopic", help="the package")
    parser.add_argument("--folder", type=Path, help="where the copy and the caches are kept")
    return parser.parse_args()


def main() -> int:
    """Print a table; 1 if a fault was missed."""
    given = arguments()
    mutants, before = chosen(given.share, given.only), known(given.out)
    for mutant in mutants:
        place = find(mutant, given.source)
        if given.list:
            print(f"{place.path.relative_to(given.source)}: {mutant}")
    if given.list:
        return 0
    with tempfile.TemporaryDirectory() as spare:
        laboratory = Laboratory(given.source.resolve(), given.folder or Path(spare))
        for mutant in mutants:
            if str(mutant) in before:
                continue
            caught_by, seconds = laboratory.run(mutant, given.suite)
            before[str(mutant)] = caught_by
            line = f"{mutant}\t{caught_by}\t{seconds:.0f}"
            print(line, flush=True)
            if given.out is not None:
                with given.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
    missed = [mutant for mutant in mutants if before[str(mutant)] == "missed"]
    print(f"{len(mutants) - len(missed)} of {len(mutants)} faults caught")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
