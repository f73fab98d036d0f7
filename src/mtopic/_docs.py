"""What several docstrings say, written once.

A line ``{key key …}`` of a docstring stands for entries of `TEXTS`. A key is the name of the entry: a parameter (or
several: ``vmin,vmax``), an attribute, an exception or a section. A colon separates it from what tells it from others of
this name: ``{ax figsize:tissue}``. Indented lines below such a line continue its last entry.
"""

import re
from typing import TypeVar

T = TypeVar("T")

SECTIONS = ("Returns",)

TEXTS = {
    # data and what is in them
    "data:topics": "MuData or AnnData with topic proportions, as `mtopic.tl.export_params` writes them.",
    "mdata:topics": "MuData or AnnData with topic proportions, as `mtopic.tl.export_params` writes them.",
    "data:signatures": "MuData or AnnData with signatures, as `mtopic.tl.export_params` writes them.",
    "mdata:signatures": "MuData or AnnData with signatures, as `mtopic.tl.export_params` writes them.",
    "data:fit": """MuData or AnnData with topics and signatures, as `mtopic.tl.topic_model` and
        `mtopic.tl.export_params` write them.""",
    "mdata:raw": "MuData or AnnData with raw counts in ``X`` of the modality.",
    "path:raw": """An h5mu file, or a MuData or AnnData. Its raw counts are taken: ``layers["counts"]`` where it is
        present, else ``X``.""",
    "mod": "The modality; it may be None where there is only one.",
    "features": "Names of features of the modality, or one name.",
    "topics": "Key of the topic proportions in ``obsm`` (n_obs × topics).",
    "topics:chosen": "Topics to take, in this order; all if None.",
    "signatures": "Key of the signatures in ``varm`` (features × topics).",
    "key:signatures": "Key of the signatures in ``varm``.",
    "groupby": """Column of ``obs``, or ``"mod:column"`` for a column of a modality. A bare name is also found where one
        modality only has it.""",
    "prefix": """Which fit: ``prefix`` of `mtopic.tl.export_params` or ``key_added`` of `mtopic.tl.topic_model`. None if
        that was not given.""",
    "plateau_threshold": "Share of the curve's largest slope at which the curve counts as flat.",
    "batch_key:measured": """Column of ``obs`` with the batch of each observation, where batches have not measured the
        same features (``varm["measured"]``, as `mtopic.pp.concat` writes it).""",
    "rng": "Seed or generator; the same seed gives the same result.",
    "copy": "Return a copy with the results and leave the data as they are.",
    "verbose:dropped": "Say how many features are dropped.",
    "cache_dir": """Folder that keeps the file. None: that of the environment variable ``MTOPIC_DATA_DIR``, else pooch's
        for this package (``pooch.os_cache``). A file of the right size there is not fetched again, one of another size
        is replaced.""",
    "Returns:published": "A MuData, as `mtopic.read.h5mu` gives it.",
    # plots
    "model": "A fitted model.",
    "x:drawn": """Key of the coordinates in ``obsm`` of the data or of its modalities. Of three dimensions, the first
        two are drawn.""",
    "cmap": "Colour map. Missing values are grey.",
    "palette": """Colours: topic → colour, a list in the order of the topics, or a colour map. None takes
        ``uns["topic_colors"]`` where ``obs["topic"]`` has the topics as categories (`mtopic.tl.dominant_topics`), else
        scanpy's default.""",
    "vmin,vmax": """Limits of the colour scale: numbers, percentiles of the values such as ``"p99"``, or None for the
        extremes.""",
    "vmin,vmax:mirrored": """Limits of the colour scale: numbers, or percentiles of the values such as ``"p99"``. If one
        is given, the other mirrors it.""",
    "vmin,vmax:panels": """Limits of the colour scales: numbers for all panels, percentiles of each panel's values such
        as ``"p99"``, or None for each panel's extremes.""",
    "title": "Title of the panel.",
    "marker": "Marker, by Matplotlib's name.",
    "s": "Size of the markers in points²; None sizes them to the distance between neighbouring observations.",
    "s:points": "Size of the markers in points².",
    "legend_ncol": "Number of columns of the legend. With 1 or None, as many as the height of the figure demands.",
    "fontsize": "Size of the text in points.",
    "fontsize:titles": "Size of the titles in points.",
    "fontsize:cells": """Size of the text in points. Where names would touch, they are made smaller, or some are left
        out at even intervals.""",
    "figsize": "Width and height of the figure in inches.",
    "figsize:tissue": "Width and height of the figure in inches; None follows from the shape of the tissue.",
    "figsize:maps": """Width and height of the figure in inches; None follows from the number of panels and the shape of
        the tissue.""",
    "figsize:names": "Width and height of the figure in inches; None gives every name room.",
    "figsize:legend": "Width and height of the figure in inches. The figure grows if the legend needs more room.",
    "ncols": "Number of columns of the grid of panels; None chooses it.",
    "transparent": "Save without background.",
    "save": "File to write, in the format of its suffix: 300 dpi, or vectors.",
    "save:markers": "File to write, in the format of its suffix: 300 dpi, in vector formats with rasterised markers.",
    "ax": "Axes to draw on; None makes a figure.",
    "show": "Call pyplot's ``show``. None does so in interactive use unless the figure is saved or returned.",
    "show:ax": """Call pyplot's ``show``. None does so in interactive use unless the figure is saved, returned or the
        caller's.""",
    "return_fig": "Return the figure in place of the axes.",
    "Returns:ax": "The axes, or the figure.",
    "Returns:panels": "The panels' axes, in the order of the topics, or the figure.",
    # errors
    "KeyError:topic": "If there is no such modality, table or topic; the nearest names are offered.",
    "KeyError:table": "If there is no such modality or table; the nearest names are offered.",
    "KeyError:mod_column": "If there is no such modality or no such column.",
    "KeyError:features": """If there is no such modality or feature, or there are no topics, signatures or parameters of
        a fit of that prefix.""",
    "ValueError:features": """If no feature is named or one twice, signatures and proportions are of different topics,
        or proportions or counts are not valid.""",
    "ValueError:prepared": "If values are negative or not finite, or mtopic has prepared ``X`` already.",
    "UserWarning:prepared": """If values are not integers, or there is ``varm["measured"]`` and no ``batch_key``.""",
    "OSError:download": """If, after a few attempts, the file could not be fetched or does not have the published size.
        Nothing of it is then left. The message says where to put a file that was downloaded by other means.""",
    "ValueError:file": "If the file cannot be read.",
    "ValueError:number": "If a number is out of range.",
    "ValueError:limit": "If a number or limit is out of range.",
    "ValueError:model": "If the model is not fitted, or a number is out of range.",
}


def shared_docs(documented: T) -> T:
    """Put the shared texts into the docstring of a function or class; with ``python -OO`` there is none."""
    if documented.__doc__ is not None:
        documented.__doc__ = re.sub(r"^( *)\{([^{}]+)\}$", _entries, documented.__doc__, flags=re.MULTILINE)
    return documented


def _entries(line: re.Match[str]) -> str:
    indent, keys = line.groups()
    return "\n".join(indent + row for key in keys.split() for row in _entry(key))


def _entry(key: str) -> list[str]:
    name = key.partition(":")[0].replace(",", ", ")
    text = [row.strip() for row in TEXTS[key].splitlines()]
    return [name, "-" * len(name), *text] if name in SECTIONS else [name, *(f"    {row}" for row in text)]
