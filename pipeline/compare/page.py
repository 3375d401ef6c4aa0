"""The page of a comparison: one HTML file that opens from disk and loads nothing."""

from __future__ import annotations

from collections.abc import Sequence

from plotly.offline import get_plotlyjs

from pipeline.compare.account import describe, describe_networks, how_known
from pipeline.compare.plots import draw_plots
from pipeline.compare.ratios import NO_RATIOS, describe_ratios
from pipeline.compare.record import Failure, PointRecord
from pipeline.compare.table import draw_table, to_csv
from pipeline.report.html import html_templates

__all__ = ["to_html"]

_TEMPLATES = html_templates("pipeline.compare")


def to_html(records: Sequence[PointRecord], failures: Sequence[Failure]) -> str:
    """The page of `records` and `failures`: ratios, plots, table, what failed, how each figure is known.

    plotly.js is part of it, so it has some 5 MB. The data of the plots is in the element `plots`, as JSON.
    """
    plots = draw_plots(records) if records else []
    return _TEMPLATES.get_template("comparison.html.jinja").render(
        about=describe(records, failures),
        ratios=describe_ratios(records),
        no_ratios=NO_RATIOS,
        plots=plots,
        figures={plot.key: plot.figure.to_plotly_json() for plot in plots if plot.figure is not None},
        table=draw_table(records) if records else None,
        how_known=how_known(records),
        networks=describe_networks(records),
        failures=failures,
        csv=to_csv(records),
        plotly_js=get_plotlyjs(),
    )
