"""LUTs against P, a bar a build, stacked by what they are for."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pipeline.compare.plots.style import METHODS, Plot, bound, new_figure, plain, seed, split, untrained
from pipeline.compare.ratios import policy_label, rate_label
from pipeline.compare.record import PointRecord
from pipeline.report.purposes import COLOURS, PURPOSES

__all__ = ["luts_against_p"]

_HOW = (
    "Counted by synthesis of each layer alone, and told apart by the modules of the hardware that hold the LUTs. The "
    "graph of adders of an unrolled layer counts as adder trees; the vector that an MVAU replays, and a walker's copy "
    "of the window, as sliding windows; glue is all the rest, with pooling and the choice of a class."
)


def luts_against_p(records: Sequence[PointRecord]) -> list[Plot]:
    """A plot for each network, board and rate."""
    plots: list[Plot] = []
    for group in split(records, lambda r: (r.network, r.weights, r.seed, r.board, r.target_fps)):
        first = group[0]
        name = f"{first.network}{untrained(first)}{seed(first, records)}"
        what = "LUT by policy" if all(record.p is None for record in group) else "LUT against P"
        title = f"{what}: {name}, on {first.board} for {rate_label(first.target_fps)}"
        how = f"The weights are UNTRAINED. {_HOW}" if first.weights == "synthetic" else _HOW
        plots.append(Plot(f"luts-{len(plots)}", title, how, _draw(group)))
    return plots


def _draw(group: Sequence[PointRecord]) -> go.Figure:
    """A bar a build from top to bottom, with some space between those of different networks."""
    bars = sorted(group, key=lambda record: (record.p is not None, record.p or 0, list(METHODS).index(record.method)))
    labels = [bound(record) for record in bars]
    changes = [index > 0 and labels[index] != labels[index - 1] for index in range(len(bars))]
    places = [index + 0.5 * sum(changes[: index + 1]) for index in range(len(bars))]
    figure = new_figure("LUT, counted by synthesis", "")
    for purpose in PURPOSES:
        luts = [record.purposes[purpose] for record in bars]
        figure.add_bar(y=places, x=luts, name=purpose, orientation="h", marker_color=COLOURS[purpose], width=0.75)
    figure.add_scatter(
        y=places,
        x=[record.lut for record in bars],
        text=[f" {record.lut:,}" for record in bars],
        name="sum",
        mode="text",
        textposition="middle right",
        cliponaxis=False,
        textfont_size=11,
        hoverinfo="skip",
        showlegend=False,
    )
    names = [plain(f"{label}, {policy_label(record)}") for label, record in zip(labels, bars, strict=True)]
    figure.update_yaxes(
        tickvals=places, ticktext=names, range=[places[-1] + 0.6, -0.6], automargin=True, showgrid=False
    )
    figure.update_xaxes(range=[0, 1.1 * max(record.lut for record in bars)], tickformat=",")
    height = 150 + round(26 * (places[-1] + 1.2))
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "traceorder": "normal"}
    figure.update_layout(barmode="stack", height=height, margin_t=70, legend=legend)
    return figure
