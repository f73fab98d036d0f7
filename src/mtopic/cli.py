"""The command ``mtopic``."""

import argparse
import io
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from anndata import AnnData

from . import __version__
from ._data.slots import modalities
from ._files import access, read
from ._lazily import opened

DEMO = """Written to {out}/, look first at the top:
  topics.png                   how much of each topic every spot has
  dominant_topics.png          the topic that dominates in every spot
  signatures_rna.png, _atac    the genes and the peaks that make up each topic
  corr_rna.png, _atac          topics beside the z-scores of their markers: the diagonal should be red
  convergence.png              the objective of the fit, which levels off
  trained.h5mu                 the data with all results, for mtopic.read.h5mu

All of it on one page:         mtopic report {trained} -o {report}
To look at it in a browser:    mtopic view {trained} -o {view}
Your own data:                 mtopic fit IN.h5mu -o OUT.h5mu --n-topics 20 --spatial-key spatial"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; bad input is one line on standard error and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what the console has no sign for
    arguments = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _one_line
            arguments.run(arguments)
    except (KeyError, ValueError, TypeError, OSError) as error:
        said = error.args[0] if isinstance(error, KeyError) else error
        print("mtopic: error:", " ".join(str(said).split()), file=sys.stderr)
        return 2
    return 0


def _one_line(message: Warning | str, *_: object, **__: object) -> None:
    print("mtopic: warning:", " ".join(str(message).split()), file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtopic", description="Spatial multimodal topic models for omics.")
    parser.add_argument("--version", action="version", version=f"mtopic {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="simulate a tissue, find its topics and draw them", description=_demo.__doc__
    )
    demo.add_argument(
        "--out", type=Path, default=Path("mtopic-demo"), help="folder for the results (default: %(default)s)"
    )
    demo.set_defaults(run=_demo)

    fit = commands.add_parser("fit", help="fit topics to a h5mu or h5ad file", description=_fit.__doc__)
    fit.add_argument("input", type=Path, metavar="IN.h5mu", help="MuData, or AnnData (h5ad), with raw counts")
    fit.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT.h5mu", help="where to write it with topics"
    )
    fit.add_argument("--n-topics", type=int, default=20, help="number of topics (default: %(default)s)")
    fit.add_argument(
        "--prepare", action="append", default=[], metavar="MOD=HOW", type=_preparation,
        help="prepare a modality by tfidf or clr (an AnnData's is X) and scale all to the same total, as the original "
        "program; may be repeated. Without it raw counts are fitted",
    )  # fmt: skip
    fit.add_argument(
        "--spatial-key", help="coordinates in obsm; fits the spatial model (default with --radius: coords)"
    )
    fit.add_argument(
        "--radius", type=float, help="neighbours within this share of the tissue's longer side; spatial model"
    )
    fit.add_argument("--n-neighbors", type=int, help="this many nearest neighbours; spatial model")
    fit.add_argument("--library-key", help="section of each observation, a column of obs; spatial model")
    fit.add_argument(
        "--modality-weights",
        choices=["auto", "equal"],
        help="worth of a modality's counts (default: auto, equal with --prepare)",
    )
    fit.add_argument("--batch-key", help="batch of each observation, a column of obs; effects of batches are learned")
    fit.add_argument("--strength", type=float, help="weight of the neighbours (default: learned); spatial model")
    fit.add_argument(
        "--scratch", type=Path, metavar="DIR",
        help="folder for a working copy of the counts, which are then never all in memory; IN may be a Zarr store, and "
        "OUT has no counts",
    )  # fmt: skip
    fit.add_argument("--n-iter", type=int, default=500, help="iterations at most (default: %(default)s)")
    fit.add_argument("--seed", type=int, default=2291, help="seed of the initial signatures (default: %(default)s)")
    fit.add_argument("--n-jobs", type=int, default=-1, help="threads (default: all cores)")
    fit.add_argument("--quiet", action="store_true", help="show no progress")
    fit.set_defaults(run=_fit)

    report = commands.add_parser("report", help="write a page about a fit", description=_report.__doc__)
    report.add_argument("input", type=Path, metavar="TRAINED.h5mu", help="MuData, or AnnData (h5ad), with topics")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="REPORT.html", help="the page to write")
    report.add_argument("--title", help="heading of the page (default: the name of the file)")
    report.add_argument(
        "--x", metavar="KEY", help="coordinates in obsm (default: coords, spatial or umap, whichever is there)"
    )
    report.add_argument(
        "--groupby", action="append", metavar="COLUMN",
        help="column of obs, or MOD:COLUMN, to show the composition by; may be repeated "
        "(default: all categorical ones)",
    )  # fmt: skip
    report.add_argument("--n-top", type=int, default=10, help="features of each topic (default: %(default)s)")
    report.add_argument(
        "--by", default="FREX", metavar="MEASURE",
        help="what ranks features: FREX, exclusivity, lift, divergence or probability (default: %(default)s)",
    )  # fmt: skip
    report.add_argument("--viewer", action="store_true", help="have the page of mtopic view inside")
    report.set_defaults(run=_report)

    view = commands.add_parser("view", help="write a page to look at topics on", description=_view.__doc__)
    view.add_argument("input", type=Path, metavar="TRAINED.h5mu", help="MuData, or AnnData (h5ad), with topics")
    view.add_argument("-o", "--output", type=Path, required=True, metavar="VIEW.html", help="the page to write")
    view.add_argument("--title", help="heading of the page (default: the name of the file)")
    view.add_argument(
        "--x", action="append", metavar="KEY",
        help="coordinates in obsm; may be repeated (default: a tissue's and an embedding's, as they are there)",
    )  # fmt: skip
    view.add_argument(
        "--feature", action="append", dest="features", metavar="FEATURE",
        help="feature whose counts are shown, or MOD:FEATURE; may be repeated (default: the first five of each topic)",
    )  # fmt: skip
    view.add_argument(
        "--column", action="append", dest="columns", metavar="COLUMN",
        help="column of obs, or MOD:COLUMN; may be repeated (default: all groups and numbers)",
    )  # fmt: skip
    view.add_argument("--library-key", help="section of each observation, a column of obs (default: that of the fit)")
    view.set_defaults(run=_view)
    return parser


def _preparation(text: str) -> tuple[str, str]:
    mod, _, how = text.partition("=")
    if not mod or how not in ("tfidf", "clr"):
        raise argparse.ArgumentTypeError(f"{text!r}: give MOD=tfidf or MOD=clr")
    return mod, how


def _demo(arguments: argparse.Namespace) -> None:
    """Simulate a spatial RNA + ATAC tissue with known topics, run the whole workflow and write data and figures."""
    import matplotlib

    matplotlib.use("Agg")
    from . import datasets, pl, pp, tl

    out: Path = arguments.out
    with access(out, "written"):
        out.mkdir(parents=True, exist_ok=True)
    n_topics = 10
    print("Simulating a tissue: 2,000 spots with counts of 600 genes and 1,200 peaks, drawn from 10 known topics …")
    mdata = datasets.simulate(2000, n_topics, modalities={"rna": 600, "atac": 1200})
    for mod in mdata.mod:
        pp.tfidf(mdata, mod=mod)
    pp.scale_counts(mdata)
    print("Fitting a spatial topic model, which does not know them (the first run compiles for some seconds) …")
    model = tl.sMTM(mdata, n_topics=n_topics, radius=0.04, spatial_key="spatial", n_jobs=-1)
    model.VI(n_iter=200)
    tl.export_params(model, mdata)

    print(f"{model}\nDrawing …")
    pl.topics(mdata, x="spatial", save=out / "topics.png")
    pl.dominant_topics(mdata, x="spatial", save=out / "dominant_topics.png")
    pl.convergence(model, save=out / "convergence.png")
    for mod in mdata.mod:
        pl.signatures(mdata, mod=mod, n_top=15, save=out / f"signatures_{mod}.png")
        tl.zscores(mdata, mod=mod, across="observations", by="FREX")
        pl.corr_heatmap(
            mdata.obsm["topics"], mdata[mod].obsm["zscores"], "topics", f"{mod} z-scores", save=out / f"corr_{mod}.png"
        )
    _write_whole(mdata.write, out / "trained.h5mu")
    correlation = datasets.recovery(mdata)["correlation"]
    print(
        f"Known topics that came back: mean correlation {correlation.mean():.3f}, lowest {correlation.min():.3f} "
        "(1 is perfect).\n"
    )
    trained, report, view = (shlex.quote(str(out / name)) for name in ("trained.h5mu", "report.html", "view.html"))
    print(DEMO.format(out=out, trained=trained, report=report, view=view))


def _fit(arguments: argparse.Namespace) -> None:
    """Fit topics to a h5mu or h5ad file and write it with topics, signatures and, for the spatial model, the graph."""
    from . import pp, tl
    from .tl._topic_model import model_of_raw_counts

    _require_writable(arguments.output)
    mdata = read(arguments.input) if arguments.scratch is None else opened(arguments.input)
    what, own, other = ("AnnData", ".h5ad", ".h5mu") if isinstance(mdata, AnnData) else ("MuData", ".h5mu", ".h5ad")
    if arguments.output.suffix == other:
        raise ValueError(f"{arguments.output}: the {what} of {arguments.input} is written, whose files are named {own}")
    if arguments.prepare and arguments.scratch is not None:
        raise ValueError("--prepare is for counts in memory: leave it out, or leave out --scratch")
    for mod, how in arguments.prepare:
        getattr(pp, how)(mdata, mod=mod, batch_key=arguments.batch_key)
    if arguments.prepare:
        pp.scale_counts(mdata)
    names = ("spatial_key", "radius", "n_neighbors", "library_key", "strength")
    where = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    options = {"seed": arguments.seed, "n_jobs": arguments.n_jobs, "verbose": not arguments.quiet}
    options |= {"batch_key": arguments.batch_key, "scratch": arguments.scratch}
    if arguments.modality_weights:
        options["modality_weights"] = arguments.modality_weights
    if arguments.prepare:
        kind: type[tl.MTM] | type[tl.sMTM] = tl.sMTM if where else tl.MTM
        model: tl.MTM | tl.sMTM = kind(mdata, arguments.n_topics, **where, **options)
    else:
        model = model_of_raw_counts(mdata, arguments.n_topics, where, **options)
    model.VI(n_iter=arguments.n_iter)
    if model.interrupted:
        raise KeyboardInterrupt
    tl.export_params(model, mdata)
    if arguments.scratch is not None:
        tl.topic_quality(mdata)
        for adata in modalities(mdata).values():
            _leave_out_counts(adata)
    _write_whole(mdata.write, arguments.output)
    print(f"{model}\nwritten to {arguments.output}")


def _leave_out_counts(adata: AnnData) -> None:
    for name in [name for name in adata.layers if name is not None]:
        del adata.layers[name]
    adata.X = None


def _report(arguments: argparse.Namespace) -> None:
    """Write a page about the fit in a file: what to know first, maps of topics, top features, composition, quality.

    It needs no network.
    """
    import matplotlib

    matplotlib.use("Agg")
    from . import report

    _require_writable(arguments.output)
    data, title = read(arguments.input), arguments.title or arguments.input.stem
    options = {name: getattr(arguments, name) for name in ("x", "groupby", "n_top", "by", "viewer")}
    page = report(data, title=title, **options) or ""
    _write_whole(lambda draft: draft.write_text(page, encoding="utf-8"), arguments.output)
    print(f"written to {arguments.output}")


def _view(arguments: argparse.Namespace) -> None:
    """Write a page on which one looks at topics in a browser: maps, selections, what topics are made of.

    It needs no network.
    """
    from . import view

    _require_writable(arguments.output)
    data, title = read(arguments.input), arguments.title or arguments.input.stem
    options = {name: getattr(arguments, name) for name in ("x", "features", "columns", "library_key")}
    shown = view(data, title=title, **options)
    assert shown is not None
    _write_whole(shown.save, arguments.output)
    print(f"written to {arguments.output}")


def _require_writable(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}: create it first")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the file to write")
    with access(path, "written"), tempfile.TemporaryDirectory(dir=path.parent, prefix=".mtopic-"):
        pass


def _write_whole(write: Callable[[Path], object], path: Path) -> None:
    """Write next to the target, then put in place: no half-written file is left there."""
    with access(path, "written"), tempfile.TemporaryDirectory(dir=path.parent, prefix=".mtopic-") as folder:
        draft = Path(folder) / path.with_suffix(path.suffix or ".h5mu").name
        write(draft)
        draft.replace(path)
