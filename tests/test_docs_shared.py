"""Texts that docstrings share: all are filled in, each is used, and a docstring says itself what a parameter means."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.test_package import CALLABLES

import mtopic
from mtopic._docs import TEXTS, shared_docs

PACKAGE = Path(mtopic.__file__).parent
PLACEHOLDER = re.compile(r"^ *\{([^{}]+)\}$", flags=re.MULTILINE)


def entries(text: str, section: str) -> list[str]:
    """Names that a section of a docstring describes."""
    found = re.search(rf"^{section}\n-+\n(.*?)(?=\n\n\w[^\n]*\n-+\n|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^(\w.*)\n {4}\S", found[1], flags=re.MULTILINE) if found else []
    return [name for line in lines for name in line.split(", ")]


@pytest.mark.parametrize("name", CALLABLES)
def test_every_parameter_is_described_once(name):
    text = inspect.getdoc(CALLABLES[name])
    assert sorted(entries(text, "Parameters")) == sorted(set(inspect.signature(CALLABLES[name]).parameters) - {"self"})


@pytest.mark.parametrize("name", CALLABLES)
def test_no_docstring_has_a_placeholder_or_sends_its_reader_elsewhere(name):
    text = inspect.getdoc(CALLABLES[name])
    assert not PLACEHOLDER.search(text)
    assert not re.search(r"\b[Aa]s (for|of|given to|by) `|\b[Aa]s `\w+`[;.]", text)


@pytest.mark.parametrize("name", CALLABLES)
def test_no_section_comes_twice(name):
    headings = re.findall(r"^(\w[\w ]*)\n-{3,}$", inspect.getdoc(CALLABLES[name]), flags=re.MULTILINE)
    assert len(headings) == len(set(headings))


def test_every_text_is_used():
    sources = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.name != "_docs.py")
    keys = {key.partition("=")[2] or key for line in PLACEHOLDER.findall(sources) for key in line.split()}
    assert set(TEXTS) <= keys


def test_entries_have_the_indentation_of_their_line() -> None:
    @shared_docs
    def draw() -> None:
        """Draw.

        {Parameters vmin,vmax:mirrored}
            More.
        {data=ax}

        {Returns:ax}
        """

    assert inspect.getdoc(draw) == "\n".join(
        [
            "Draw.\n\nParameters\n----------\nvmin, vmax",
            *(f"    {line.strip()}" for line in TEXTS["vmin,vmax:mirrored"].splitlines()),
            f"    More.\ndata\n    {TEXTS['ax']}\n\nReturns\n-------\n{TEXTS['Returns:ax']}",
        ]
    )


def test_an_unknown_text_is_an_error():
    def draw() -> None:
        """Draw.

        {axes}
        """

    with pytest.raises(KeyError, match="axes"):
        shared_docs(draw)


def test_signatures_are_those_of_the_source():
    assert list(inspect.signature(mtopic.pl.borders).parameters)[:3] == ["data", "x", "key"]
    assert mtopic.pl.borders.__name__ == "borders"


def test_without_docstrings():
    script = "import mtopic; from mtopic import datasets, get, pp, tl; print(tl.MTM.__doc__, pp.tfidf.__doc__)"
    run = subprocess.run([sys.executable, "-OO", "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["None", "None"]
