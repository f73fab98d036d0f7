"""Tables, pictures and terms of the page."""

import base64
import io
from collections.abc import Iterable
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

DPI = 150
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 75rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid #ddd; }
nav a { display: inline-block; margin-right: 1rem; } a { color: #1f5faa; } p.note, figcaption { color: #555; }
p.note { margin-top: .2rem; } figure { margin: 1rem 0; } abbr { text-decoration: underline dotted; cursor: help; }
img { max-width: 100%; height: auto; display: block; } iframe { width: 100%; height: 56rem; border: 1px solid #ddd; }
ul.warnings { background: #fff4ce; border-left: 4px solid #b38600; padding: .6rem 1rem .6rem 2rem; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; margin: 1rem 0; }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #eee;
         vertical-align: top; white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } td.names { white-space: normal; min-width: 12rem; }
@media print { nav, #look { display: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""
TERMS = {
    "FREX": "High for features that are frequent in the topic and in few others: the harmonic mean of both ranks",
    "exclusivity": "How much of a feature is in this topic, if all topics were as large; mean of the top features",
    "coherence": "How much more often the top features of a topic occur together than by chance, -1 to 1 (NPMI)",
    "diversity": "The share of the top features of all topics that are top features of one topic only",
    "Effective number of topics": "As many topics of equal size would be as diverse as these are",
    "prior of proportions, α": "Below 1, observations have few topics each; above, many",
    "prior of signatures, η": "Pseudocounts of each feature in each topic",
    "strength of neighbours": "With 1, alike neighbours weigh as much as the counts of an average observation",
    "weights of modalities": "How much a count of the modality weighs as evidence on topics",
    "stability": "How much the topic's signature is like that of the same topic in other starts, 1 if the same",
}


def term(text: str) -> str:
    """A text that is explained where the pointer rests on it, if it is a known term."""
    known = next((name for name in TERMS if text == name or text.endswith((f" {name}", f":{name}"))), None)
    shown = escape(text)
    return shown if known is None else f'<abbr title="{escape(TERMS[known])}">{shown}</abbr>'


def picture(figure: Any, said: str, more: str = "") -> str:
    """A figure with its caption, of which the first words stand for it where it is not seen."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    width = 96 * figure.bbox.width / figure.dpi
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    image = f'<img src="{source}" alt="{escape(said)}" style="width: {width:.0f}px">'
    return f"<figure>{image}<figcaption>{escape(f'{said}. {more}'.strip())}</figcaption></figure>"


def table(frame: pd.DataFrame, *, index: bool = True) -> str:
    """A table that scrolls by itself where it is wide."""
    heads = ([""] if index else []) + [str(name) for name in frame.columns]
    head = "".join(f'<th scope="col">{term(name)}</th>' for name in heads)
    rows = "".join(_row(str(name) if index else None, values) for name, *values in frame.itertuples())
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(name: str | None, values: Iterable[Any]) -> str:
    head = "" if name is None else f'<th scope="row">{escape(name)}</th>'
    return f"<tr>{head}{''.join(map(_cell, values))}</tr>"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or hasattr(value, "dtype") and value.dtype == bool:
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, str):
        return f'<td class="{"names" if len(value) > 40 else "text"}">{term(value)}</td>'
    return f'<td class="number">{value:,.4g}</td>' if value % 1 else f'<td class="number">{int(value):,}</td>'
