"""Configuration of the documentation, https://www.sphinx-doc.org/en/master/usage/configuration.html."""

import os
import shutil
import sys
from datetime import datetime
from importlib.metadata import metadata
from pathlib import Path

import numpy.typing

HERE = Path(__file__).parent

info = metadata("mtopic")
project = info["Name"]
author = info["Author"]
copyright = f"{datetime.now():%Y}, {author}"
version = release = info["Version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
default_role = "py:obj"
nitpicky = True

# The notebooks live at the top of the repository, where readers look for them.
shutil.rmtree(HERE / "tutorials", ignore_errors=True)
(HERE / "tutorials").mkdir()
for notebook in (HERE.parent / "tutorials").glob("*.ipynb"):
    shutil.copy(notebook, HERE / "tutorials")
suppress_warnings = ["toc.empty_glob"]
nb_execution_mode = "off"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

autosummary_generate = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style"), "Returns"]  # prose, in which napoleon looks for types
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
python_use_unqualified_type_names = True
# By its name: written out, it fills a screen.
numpy.typing.ArrayLike = type("ArrayLike", (), {"__module__": "numpy.typing"})

# Names of other packages are linked where their inventories can be fetched, and are plain text elsewhere.
intersphinx_packages = {
    "anndata": "https://anndata.readthedocs.io/en/stable/",
    "joblib": "https://joblib.readthedocs.io/en/stable/",
    "matplotlib": "https://matplotlib.org/stable/",
    "mudata": "https://mudata.readthedocs.io/stable/",
    "muon": "https://muon.readthedocs.io/en/latest/",
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/pandas-docs/stable/",
    "python": "https://docs.python.org/3/",
    "scanpy": "https://scanpy.readthedocs.io/en/stable/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
    "spatialdata": "https://spatialdata.scverse.org/en/stable/",
    "squidpy": "https://squidpy.readthedocs.io/en/stable/",
}
if "READTHEDOCS" in os.environ:
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {name: (url, None) for name, url in intersphinx_packages.items()}
nitpick_ignore = [
    ("py:class", name)
    for name in (
        "Data", "DataLike", "mtopic._data.SpatialData", "Model", "mtopic.model.model.Model", "mtopic._view._view.View",
        "'with images'",
    )
]  # fmt: skip
nitpick_ignore_regex = [("py:.*", rf"({'|'.join([*intersphinx_packages, *sys.stdlib_module_names])})\..*")]

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["mtopic.css"]
html_theme_options = {"path_to_docs": "docs"}
