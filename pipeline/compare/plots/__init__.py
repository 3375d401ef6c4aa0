"""The plots of a comparison, as Plotly figures."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.compare.plots.accuracy import accuracy_against_luts, accuracy_against_p, sparsity_against_p
from pipeline.compare.plots.luts import luts_against_p
from pipeline.compare.plots.style import Plot
from pipeline.compare.plots.widths import widths_by_layer
from pipeline.compare.record import PointRecord

__all__ = ["Plot", "draw_plots"]


def draw_plots(records: Sequence[PointRecord]) -> list[Plot]:
    """All plots of `records`, in the order in which they are to be read."""
    return [
        *luts_against_p(records),
        *accuracy_against_luts(records),
        *accuracy_against_p(records),
        *sparsity_against_p(records),
        *widths_by_layer(records),
    ]
