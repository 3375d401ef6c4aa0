"""The style that the plots of a comparison have in common: colours, axes, and names in their texts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from pipeline.accumulators import methods
from pipeline.compare.record import PointRecord

__all__ = [
    "COLOURS",
    "GREY",
    "METHODS",
    "SYMBOLS",
    "Plot",
    "bound",
    "new_figure",
    "plain",
    "seed",
    "split",
    "untrained",
]

# Okabe and Ito's palette, told apart in every common colour blindness; the symbols say the same again
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross")
GREY = "#999999"
METHODS: dict[str, str] = {"": "no bound", **{str(name): title for name, title in methods.METHODS.items()}}


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure and where its data is from, `how`. Where there is nothing to draw it has no figure, and `how` says why.

    `key` is the id of its place in the page.
    """

    key: str
    title: str
    how: str
    figure: go.Figure | None


def new_figure(x_label: str, y_label: str) -> go.Figure:
    """An empty figure with both axes."""
    axis = {"gridcolor": "#dddddd", "linecolor": "#555555", "zeroline": False, "separatethousands": True}
    return go.Figure(
        layout={
            "template": "none",
            "height": 440,
            "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
            "font": {"family": "system-ui, sans-serif", "size": 12},
            "xaxis": {**axis, "title": {"text": x_label}},
            "yaxis": {**axis, "title": {"text": y_label}},
            "showlegend": True,
        }
    )


def plain(text: str) -> str:
    """`text` as a figure shows it unchanged: Plotly takes some tags for markup.

    >>> plain("conv<b>1")
    'conv&lt;b&gt;1'
    """
    return escape(text, quote=False)


def split(records: Iterable[PointRecord], key: Callable[[PointRecord], Hashable]) -> list[list[PointRecord]]:
    """The records of each value of `key`, in the order of their first ones."""
    groups: dict[Hashable, list[PointRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return list(groups.values())


def bound(record: PointRecord) -> str:
    """The bound that the network of a record was trained for."""
    return METHODS[record.method] if record.p is None else f"{METHODS[record.method]}, P = {record.p}"


def untrained(record: PointRecord) -> str:
    """The addition to the name of a network with weights that nobody trained."""
    return ", untrained" if record.weights == "synthetic" else ""


def seed(record: PointRecord, among: Iterable[PointRecord]) -> str:
    """The seed, to be added to a name, where it is not the same in all of `among`."""
    return f", seed {record.seed}" if len({other.seed for other in among}) > 1 else ""
