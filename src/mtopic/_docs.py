"""What several docstrings say, written once.

A line ``{key key …}`` of a docstring stands for entries of `TEXTS`. A key is the name of the entry: a parameter (or
several: ``vmin,vmax``), an attribute, an exception or a section. A colon separates it from what tells it from others of
this name: ``{ax figsize:tissue}``. ``{mdata=data:topics}`` gives the text of ``data:topics`` another name. The line may
begin with the heading of its section, as in ``{Parameters data:topics}``, and indented lines below it continue its last
entry.
"""

import re
from typing import TypeVar

T = TypeVar("T")

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises", "Warns", "Examples")

TEXTS = {
    # data and what is in them
    "data:topics": "MuData or AnnData with topic proportions, as `mtopic.tl.export_params` writes them.",
    "data:signatures": "MuData or AnnData with signatures, as `mtopic.tl.export_params` writes them.",
    "data:fit": """MuData or AnnData with topics and signatures, as `mtopic.tl.topic_model` and
        `mtopic.tl.export_params` write them.""",
    "data:graph": "MuData or AnnData with topic proportions and a neighbour graph.",
    "data:counts": """MuData or AnnData. The counts are ``layers["counts"]`` of a modality that has it, else its
        ``X``.""",
    "mdata:raw": "MuData or AnnData with raw counts in ``X`` of the modality.",
    "path:raw": """A file (h5mu or h5ad), or a MuData or AnnData. Its raw counts are taken: ``layers["counts"]`` where
        it is present, else ``X``.""",
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
    "batch_key:scored": """Column of ``obs`` with the batch of each observation, where batches have not measured the
        same features (``varm["measured"]``): a feature counts where it was measured. None: that of the fit.""",
    "neighbors_key:graph": """The graph: ``obsp[f"{neighbors_key}_connectivities"]`` of the data or of a modality, as
        squidpy and `mtopic.tl.export_params` store one.""",
    "key_added:obs": "Key of the result in ``obs``.",
    "key_added:uns": "Key of the result in ``uns``.",
    "level": "Posterior probability of an interval, between 0 and 1; half of the rest lies on either side.",
    "n_top": "Number of features of each topic.",
    "by:features": """What ranks the features: ``"FREX"`` (frequent in the topic and in it only), ``"exclusivity"``,
        ``"lift"``, ``"divergence"`` or ``"probability"``. `mtopic.get.top_features` defines them.""",
    "n_jobs:permutations": "Number of processes for the permutations; another number gives other permutations.",
    "rng:permutations": "Seed or generator of the permutations.",
    "n_jobs": "Number of threads; -1 for all cores. It changes no bit of the result.",
    "verbose": "Show progress.",
    "rng": "Seed or generator; the same seed gives the same result.",
    "by:dominant": """``"deviation"``: the topic whose proportion is farthest above its mean over the observations of
        the fit, both as square roots. A topic that all have in common is then not everybody's. ``"proportion"``: the
        topic of largest proportion.""",
    "copy": "Return a copy with the results and leave the data as they are.",
    "verbose:dropped": "Say how many features are dropped.",
    "cache_dir": """Folder that keeps the file. None: that of the environment variable ``MTOPIC_DATA_DIR``, else pooch's
        for this package (``pooch.os_cache``). A file of the right size there is not fetched again, one of another size
        is replaced.""",
    "Returns:published": "A MuData, as `mtopic.read.h5mu` gives it.",
    # models
    "mdata:model": """MuData, or AnnData as one modality named "X". ``X`` of every modality holds counts, or
        non-negative transforms such as `mtopic.pp.tfidf` makes: CSR, CSC or dense, integer or real. It is read, never
        changed. The matrix of a single modality is used in place if it is CSR of ``dtype``: do not change its values
        while you go on fitting.""",
    "n_topics": "Number of topics K, 2 or more.",
    "radius": """Neighbours are the observations within this distance, in units of the longer side of the tissue, or of
        each section.""",
    "n_neighbors": "If given, the number of nearest observations that are neighbours; ``radius`` then has no effect.",
    "spatial_key": "Key of the coordinates in ``obsm`` of the data or of its modalities, an array or a DataFrame.",
    "neighbors_key": """Use the graph that squidpy stored under this key (``obsp["{key}_connectivities"]`` of the data
        or of a modality, ``"mod:key"`` of one that is named); all other options for neighbours then have no effect.
        Data without coordinates may be fitted this way: stored distances, else connectivities, then say how much a
        neighbour weighs.""",
    "neighbors_method": """``"delaunay"``: neighbours are corners of the same triangles; ``"grid"``: adjacent places of
        a grid, 6 or ``n_neighbors``. ``radius`` then has no effect.""",
    "library_key": """Column of ``obs`` of the data or of its modalities with the section of each observation.
        Neighbours are of the same section, and distances are in each section's own units; topics are shared.""",
    "bandwidth": """Distance scale of the neighbours' weights, in units of the coordinates; infinite for equal weights.
        ``"auto"``: the median distance to the nearest neighbour, for each section.""",
    "smoothing": """``"prior"`` or ``"original"``. None decides when the fit is started: the original's for
        ``schedule="original"``, else the prior. A given ``strength`` means the prior.""",
    "strength": """Weight of the prior: with 1, neighbours that are alike weigh together as much as the counts of an
        observation that has as many as the mean. ``"auto"`` learns it when the model is first fitted, from raw counts,
        a fifth of which is hidden: the greatest that keeps half of what neighbours gain in predicting these, and 0
        unless they surely gain. With 0 it is `mtopic.tl.MTM`, on counts scaled to the total of the raw ones.""",
    "seed:model": """Seed of all that is random, the starts of fits and the batches of SVI: an integer, which gives the
        same bits each time, or a generator. A generator is drawn from, so the next model made with it is another
        one.""",
    "dtype": """Precision of the fit, ``"float32"`` or ``"float64"``.""",
    "raw": """Fit ``layers["counts"]`` of the modalities that have it, and ``X`` of the others.""",
    "inference": """How signatures are inferred: ``"variational"``, each with a Dirichlet posterior of its own, or
        ``"collapsed"``, integrated out, with their expected counts in their place.""",
    "alpha": """Prior of the proportions: a number, None for 1/K, ``"auto"`` to learn it with the fit, from 1/K, or an
        array of K positive numbers, for topics of unequal size. With an array, the start is made under its mean, and
        the topics found are ordered: the one with most evidence gets the largest number.""",
    "eta": """Prior of the signatures: a number for all features of all modalities, ``"auto"`` to learn it, from 0.01,
        ``"frequency"`` for a number in proportion to each feature's counts, learned from counts that are hidden from
        short fits before the fit begins, or a mapping from modality to a number, an array with a positive number for
        each feature, or a Series, which goes by the names of features and may have more of them. A modality that is not
        given has 0.01. A feature whose number outweighs its counts does not tell topics apart.""",
    "modality_weights": """How much a count of each modality weighs as evidence on topics: ``"equal"`` for 1 each,
        numbers by modality (1 where not given), or ``"auto"`` to learn them from the raw counts when the model is first
        fitted. Signatures are made of all counts at any weight.""",
    "n_init": """Number of starts, each from a seed of its own. VI keeps the one with the highest bound; the first is
        that of a model with one start. Learned weights of modalities and a learned strength are learned once for
        all.""",
    "batch_key:model": """Column of ``obs`` with the batch of each observation: sample, donor, run. What a batch has not
        measured, by ``varm["measured"]`` of a modality (features × batches, as `mtopic.pp.concat` writes it), counts as
        missing and not as zero.""",
    "batch_effects": """Learn how much more of each feature a batch reads than the others do, as a factor of all
        signatures, so that topics are those of all batches. Factors are drawn to 1, as strongly as the counts ask for.
        Without ``batch_key`` there are none.""",
    "guide": """What is known of some topics beforehand, by modality and topic, such as
        ``{"rna": {"T cells": ["CD3D", "CD3E"]}}``. These topics come first and bear the names given. They begin with
        more of these features and are drawn to them; the other topics are free. In place of lists there may be weights
        by feature, a net with columns ``source``, ``target`` and perhaps ``weight``, as decoupler has them, or
        signatures, a table of features × topics such as ``reference["rna"].varm["signatures"]`` of another fit. Where
        there is one modality, its name may be left out.""",
    "guide_strength": """How strongly guided topics are drawn, a number or one by topic. Lists of features and nets
        count like this share of all counts of their features, signatures like this share of the counts that a topic
        has if all have as many. Infinite, of signatures: shares, relative to each other, stay as they are.""",
    "scratch": """Folder for a working copy of the counts, some six bytes a non-zero, from which they are read block by
        block, so that memory never holds them all. ``X`` may then be on disk (`mtopic.read.lazy`, a backed AnnData) or
        an array of dask, which are read once. The copy is removed with the model. None: counts are in memory.""",
    "scratch:once": """Folder for a working copy of the counts, which are then read block by block, as in
        `mtopic.tl.topic_model`. A copy that a fit has kept there serves. None: counts are in memory.""",
    "keep_scratch": """Leave the working copy in ``scratch``. The next fit, or `mtopic.tl.load_model`, takes it in place
        of reading the same files again; remove the folder ``mtopic-kept-…`` when it has served.""",
    "n_iter": "Number of iterations, at most.",
    "max_iter_d": "Cap on the rounds in which an observation's topics are iterated in one E-step.",
    "tol:proportions": """The fit stops when its last 20 iterations together have moved less than this share of an
        observation's topics, on average. ``"auto"`` is 3e-3; None runs all ``n_iter``.""",
    "callback": """Called with the model after each iteration (in SVI, each step). The fit ends if it returns
        True.""",
    "checkpoint": """File to which the model is saved during the fit and at its end; `mtopic.tl.load_model` reads it.
        What was there is replaced.""",
    "checkpoint_every": """Number of iterations (in SVI, steps), counted over all calls, from one checkpoint to the
        next.""",
    "model_or_reference": """A fitted `mtopic.tl.MTM` or `mtopic.tl.sMTM`, or a reference: data to which
        `mtopic.tl.export_params` or `mtopic.tl.topic_model` has written a fit (``prefix`` says which). A reference has
        the topics that were exported, a model all of them.""",
    # attributes of models
    "alpha,eta:learned": """Dirichlet priors of the proportions and of the signatures, as given or as learned so far:
        numbers, an array of one for each topic, a dict from modality to a number or an array of one for each
        feature.""",
    "gamma": "γ, observations × topics.",
    "lambda_": "Modality → λ, topics × features.",
    "elbo": """The objective, in nats, after each iteration of `VI` and at the end of each `SVI`. ``"variational"``: the
        evidence lower bound, with the responsibilities from which the signatures were made. ``"collapsed"``: the same
        bound for the observations, given the mean signatures, plus the logarithm of a Dirichlet(η + 1) prior of
        these.""",
    "passes": "Work so far: non-zeros × rounds × share of the topics alive, over non-zeros × topics.",
    "converged": "Whether the last `VI` or `SVI` ended by its stopping rule, ``tol``.",
    "interrupted": "Whether the last `VI` or `SVI` was ended by Ctrl-C.",
    "modality_weights:learned": "As given, or as learned; None before the first fit.",
    "stability": """With several starts: for each topic the mean correlation of its signature with those of the matching
        topics of the other starts, Series by topic. 1 is a topic that every start finds. None with one start, or before
        the starts have been made.""",
    "guides": """How far each guided topic has stayed with its guide, DataFrame with a row for each topic and modality,
        as in ``uns["mtopic"]["guides"]``; None without a guide, and before the fit.""",
    "topics:names": "Names of the topics, `pandas.Index`.",
    "modalities,features,barcodes": "Names of modalities, of each modality's features, and of observations.",
    "preparation": """Modality → what ``mtopic.pp`` had made of its ``X``, with idf and factor, for
        `mtopic.tl.transform`.""",
    # plots
    "model": "A fitted model.",
    "x:drawn": """Key of the coordinates in ``obsm`` of the data or of its modalities, or ``"mod:key"`` for those of one
        modality, whose observations are drawn. Of three dimensions, the first two are drawn. The default, where there
        are none of that name, is the only map that there is, such as ``"umap"``.""",
    "library_key:drawn": """Column of ``obs`` with the section of each observation: each has a panel of its own, with
        the same colours. None: that of the fit whose topics are drawn, if the coordinates are those of a tissue. False:
        one panel.""",
    "library_id": "Sections to draw, one or several, in this order; all if None.",
    "origin": """Where the second coordinate begins: ``"lower"``, as in a diagram, or ``"upper"``, as in an image. None:
        upper for ``obsm["spatial"]``, or coordinates equal to it, where ``uns["spatial"]`` holds images.""",
    "img": 'Draw the image of the tissue underneath, that of ``uns["spatial"]``.',
    "scale_bar": """Draw a bar that tells lengths: in micrometres where the scale factors in ``uns["spatial"]`` tell
        them, else in units of the coordinates.""",
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
    "title": "Title of the panel, or the first line of those of sections.",
    "marker": "Marker, by Matplotlib's name.",
    "s": """Size of the markers in points²; None sizes them to the distance between neighbouring observations. More than
        200,000 in a panel are then drawn as pixels, each with the mean of the observations in it, or with the colour of
        one of them.""",
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
    "figsize:legend": """Width and height of the figure in inches. The figure grows if the legend or several sections
        need more room.""",
    "ncols": "Number of columns of the grid of panels; None chooses it.",
    "transparent": "Save without background.",
    "save": "File to write, in the format of its suffix: 300 dpi, or vectors.",
    "save:markers": "File to write, in the format of its suffix: 300 dpi, in vector formats with rasterised markers.",
    "ax": "Axes to draw on; None makes a figure.",
    "ax:section": "Axes to draw on, one section; None makes a figure.",
    "show": "Call pyplot's ``show``. None does so in interactive use unless the figure is saved or returned.",
    "show:ax": """Call pyplot's ``show``. None does so in interactive use unless the figure is saved, returned or the
        caller's.""",
    "return_fig": "Return the figure in place of the axes.",
    "Returns:ax": "The axes, or the figure.",
    "Returns:panels": "The panels' axes, in the order of the topics, or the figure.",
    "Returns:maps": "The panels' axes, in the order of the topics and, for each, of the sections; or the figure.",
    "Returns:sections": "The axes; with several sections a list of them, one for each; or the figure.",
    # examples
    "Examples:data": """>>> import mtopic as mt
        >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=3)""",
    "Examples:fit": """>>> import mtopic as mt
        >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=3)
        >>> mt.tl.topic_model(mdata, n_topics=3, verbose=False)""",
    "Examples:tissue": """>>> import mtopic as mt
        >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=3)
        >>> mt.tl.topic_model(mdata, n_topics=3, spatial_key="spatial", verbose=False)""",
    # errors
    "KeyError:topic": "If there is no such modality, table or topic; the nearest names are offered.",
    "KeyError:table": "If there is no such modality or table; the nearest names are offered.",
    "KeyError:mod_column": "If there is no such modality or no such column.",
    "KeyError:features": """If there is no such modality or feature, or there are no topics, signatures or parameters of
        a fit of that prefix.""",
    "ValueError:features": """If no feature is named or one twice, signatures and proportions are of different topics,
        or proportions or counts are not valid.""",
    "KeyError:graph": "If there are no such proportions or there is no such graph.",
    "KeyError:fit": "If there are no topics, signatures or parameters of a fit of that prefix.",
    "ValueError:level": """If ``level`` is not between 0 and 1, signatures and proportions are of different topics,
        proportions are missing, or proportions, signatures or counts are not valid.""",
    "KeyError:model": """If there is no such column of batches, or ``eta``, ``modality_weights`` or ``guide`` name a
        modality that is not there.""",
    "ValueError:model": """If counts are negative or not finite, a modality has no features or no counts, names occur
        twice, a parameter is out of range, or a prior does not have one number for each topic or feature; if a guide
        has no feature of the data, more topics than there are, or a name that no file can hold; if a batch is not in
        ``varm["measured"]``, has counts of what it did not measure, or no batch measured a feature.""",
    "UserWarning:model": """If observations have no counts, or only in modalities of weight 0, or there is
        ``varm["measured"]`` and no ``batch_key``; with ``raw``, if what is taken for raw counts was prepared or has
        values that are not whole numbers; if features of a guide are not there.""",
    "KeyError:spatial": "If there are no such coordinates, graph or column of sections.",
    "ValueError:spatial": """If coordinates are not finite or missing for some observations, ``radius`` or ``bandwidth``
        is not positive, ``strength`` is negative, or ``n_neighbors`` is not less than the number of observations (of
        each section).""",
    "KeyError:reference": "If the reference holds no fit, or ``data`` have a modality that the training did not have.",
    "ValueError:reference": """If the model is not fitted; if ``data`` have none of a modality's features, or less than
        half of the signatures' mass in every modality; if counts are not valid, or prepared otherwise than in training
        and no raw counts are left.""",
    "KeyError:schedule": "If there is no such schedule.",
    "OSError:save": "If the model cannot be saved.",
    "ValueError:prepared": "If values are negative or not finite, or mtopic has prepared ``X`` already.",
    "UserWarning:prepared": """If values are not integers, or there is ``varm["measured"]`` and no
        ``batch_key``.""",
    "OSError:download": """If, after a few attempts, the file could not be fetched or does not have the published size.
        Nothing of it is then left. The message says where to put a file that was downloaded by other means.""",
    "ValueError:file": "If the file cannot be read.",
    "ValueError:number": "If a number is out of range.",
    "ValueError:limit": "If a number or limit is out of range.",
    "ValueError:unfitted": "If the model is not fitted, or a number is out of range.",
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
    head, _, source = key.partition("=")
    name = head.partition(":")[0].replace(",", ", ")
    text = "" if key in SECTIONS else TEXTS[source or head]
    rows = [row.strip() for row in text.splitlines()]
    return [name, "-" * len(name), *rows] if name in SECTIONS else [name, *(f"    {row}" for row in rows)]
