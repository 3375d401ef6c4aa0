"""Accumulator widths layer by layer: those that are proven, beside those that data types ask for."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pipeline.compare.account import one_of_each_network
from pipeline.compare.plots.style import (
    COLOURS,
    GREY,
    METHODS,
    SYMBOLS,
    Plot,
    bound,
    new_figure,
    plain,
    seed,
    split,
    untrained,
)
from pipeline.compare.record import LayerRecord, PointRecord

__all__ = ["widths_by_layer"]

_HOW = (
    "Bits of a layer's widest accumulator: proven to hold every sum, from the integer weights that are there, beside "
    "what data types alone ask for."
)


def widths_by_layer(records: Sequence[PointRecord]) -> list[Plot]:
    """A plot for each network, with all its sets of weights."""
    plots: list[Plot] = []
    networks = one_of_each_network(records)
    for group in split(networks, lambda record: (record.network, tuple(layer.layer for layer in record.layers))):
        title = f"Proven width against width by data types: {group[0].network}"
        plots.append(Plot(f"widths-{len(plots)}", title, _HOW, _draw(group)))
    return plots


def _draw(group: Sequence[PointRecord]) -> go.Figure:
    """A row a layer, from top to bottom as the data flows; in it the sets of weights one below the other."""
    networks = sorted(group, key=lambda record: (list(METHODS).index(record.method), record.p or 0))
    layers = networks[0].layers
    figure = new_figure("accumulator bits, widest row", "")
    share = 9  # of a set of weights in a row, in pixels
    height = 14 + share * len(networks)
    rows = [
        [row + share / height * (index - (len(networks) - 1) / 2) for row in range(len(layers))]
        for index in range(len(networks))
    ]
    figure.add_scatter(
        x=[layer.datatype_bits for record in networks for layer in record.layers],
        y=[place for places in rows for place in places],
        name="by data types",
        mode="markers",
        marker={"color": GREY, "symbol": "line-ns-open", "size": share, "line_width": 3},
    )
    for index, record in enumerate(networks):
        figure.add_scatter(
            x=[layer.exact_bits for layer in record.layers],
            y=rows[index],
            name=plain(f"proven, {bound(record)}{untrained(record)}{seed(record, networks)}"),
            mode="markers",
            marker={"color": COLOURS[index % len(COLOURS)], "symbol": SYMBOLS[index % len(SYMBOLS)], "size": 8},
            hovertext=[_about(layer) for layer in record.layers],
            hoverinfo="text",
        )
    names = [plain(f"{layer.layer}  {layer.source}".rstrip()) for layer in layers]
    figure.update_yaxes(tickvals=list(range(len(layers))), ticktext=names, range=[len(layers) - 0.4, -0.6])
    figure.update_yaxes(automargin=True, showgrid=False)
    figure.update_xaxes(rangemode="tozero")
    figure.update_layout(
        height=max(110 + height * len(layers), 150 + 20 * len(networks))
    )  # that of the legend at least
    return figure


def _about(layer: LayerRecord) -> str:
    trained = f", trained for {layer.claimed}" if layer.claimed is not None else ""
    return plain(f"{layer.layer}: {layer.exact_bits} bits proven, {layer.l1_bits} by the l1 bound{trained}")
