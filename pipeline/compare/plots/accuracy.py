"""Accuracy against LUTs with the Pareto front; accuracy and sparsity against P."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
from pipeline.compare.ratios import policy_label, rate_label
from pipeline.compare.record import PointRecord

__all__ = ["accuracy_against_luts", "accuracy_against_p", "pareto_front", "sparsity_against_p"]

_NO_ACCURACY = "There is no plot, as the accuracy of none of these networks is known."
_NO_BOUND = "There is no plot, as none of these networks was trained for a P."
_ONE_NETWORK = (
    "There is no plot of a single network. Name several, with other P, such as those that a pattern matches: "
    "'quant_resnet8_w4a4_a2q_*'."
)


def accuracy_against_luts(records: Sequence[PointRecord]) -> list[Plot]:
    """A plot for each board, rate and kind of accuracy: a point a build, and the front of those that none beats."""
    known = [record for record in records if record.top1 is not None]
    if not known:
        return [Plot("front-0", "Accuracy against LUT", _NO_ACCURACY, None)]
    plots: list[Plot] = []
    for group in split(known, lambda record: (record.board, record.target_fps, record.top1_how)):
        first = group[0]
        title = f"Accuracy against LUT on {first.board} for {rate_label(first.target_fps)}"
        how = f"LUTs counted by synthesis; top-1 {first.top1_how}.{_left_out(records)}"
        plots.append(Plot(f"front-{len(plots)}", title, how, _draw_front(group)))
    return plots


def accuracy_against_p(records: Sequence[PointRecord]) -> list[Plot]:
    """A plot for each kind of accuracy: a line a network and method, level for a network without a bound."""
    title = "Accuracy against P"
    known = [record for record in one_of_each_network(records) if record.top1 is not None]
    if not known:
        return [Plot("accuracy-0", title, _NO_ACCURACY, None)]
    plots: list[Plot] = []
    for group in split(known, lambda record: record.top1_how):
        how = f"Top-1 {group[0].top1_how}.{_left_out(records)}"
        figure = _draw_against_p(group, "top-1, %", lambda record: record.top1)
        plots.append(Plot(f"accuracy-{len(plots)}", title, how if figure else _why_none(group), figure))
    return plots


def sparsity_against_p(records: Sequence[PointRecord]) -> list[Plot]:
    """One plot, of lines as for accuracy; those of untrained weights are dashed."""
    known = [record for record in one_of_each_network(records) if record.sparsity is not None]
    figure = _draw_against_p(known, "zeros among hidden weights, %", _percent_zero)
    if figure is None:
        return [Plot("sparsity-0", "Sparsity against P", _why_none(known), None)]
    figure.update_yaxes(rangemode="tozero")
    how = (
        "The share of zeros, counted among the integer weights of the layers that have a bound, and in a network "
        "without one of all layers but the first and the last."
    )
    if any(record.weights == "synthetic" for record in known):
        how += " Of UNTRAINED weights it is what they were drawn to have."
    return [Plot("sparsity-0", "Sparsity against P", how, figure)]


def _percent_zero(record: PointRecord) -> float | None:
    return None if record.sparsity is None else 100 * record.sparsity


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, worth) that are worth more than all that cost no more, by rising cost.

    >>> pareto_front([(10, 70.0), (20, 80.0), (30, 75.0), (20, 79.0)])
    [(10, 70.0), (20, 80.0)]
    """
    front: list[tuple[float, float]] = []
    for cost, worth in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or worth > front[-1][1]:
            front.append((cost, worth))
    return front


def _draw_front(group: Sequence[PointRecord]) -> go.Figure:
    figure = new_figure("LUT, counted by synthesis", "top-1, %")
    figure.update_xaxes(tickformat=",")
    front = pareto_front((record.lut, record.top1) for record in group if record.top1 is not None)
    figure.add_scatter(
        x=[lut for lut, _ in front],
        y=[top1 for _, top1 in front],
        name="Pareto front",
        mode="lines",
        line={"shape": "hv", "color": GREY, "width": 2},
        hoverinfo="skip",
    )
    luts = [record.lut for record in group]
    middle = (min(luts) + max(luts)) / 2  # names go towards it, or the axes cut them off
    policies = list(dict.fromkeys(policy_label(record) for record in group))
    for points in split(group, lambda record: (record.method, policy_label(record))):
        method, policy = points[0].method, policy_label(points[0])
        figure.add_scatter(
            x=[record.lut for record in points],
            y=[record.top1 for record in points],
            text=[_label(record, group) if (record.lut, record.top1) in front else "" for record in points],
            hovertext=[plain(record.name) for record in points],
            name=plain(f"{METHODS[method]}, {policy}"),
            mode="markers+text",
            textposition=["top left" if record.lut > middle else "top right" for record in points],
            textfont_size=11,
            marker={
                "color": _colour(points[0]),
                "symbol": SYMBOLS[policies.index(policy) % len(SYMBOLS)],
                "size": 10,
                "line": {"width": 1, "color": "white"},
            },
        )
    return figure


def _draw_against_p(
    records: Sequence[PointRecord], label: str, value: Callable[[PointRecord], float | None]
) -> go.Figure | None:
    """None where no network of `records` has a P, or there is one network only."""
    bits = [record.p for record in records if record.p is not None]
    if not bits or len(records) < 2:
        return None
    figure = new_figure("P, accumulator bits that a network was trained for", label)
    ends = [min(bits) - 0.5, max(bits) + 0.5]
    networks = list(dict.fromkeys(record.network for record in records))
    for members in split(records, lambda record: (record.network, record.weights, record.seed, record.method)):
        first = members[0]
        level = first.p is None
        line = [first, first] if level else sorted(members, key=lambda record: record.p or 0)
        figure.add_scatter(
            x=ends if level else [record.p for record in line],
            y=[value(record) for record in line],
            name=plain(f"{first.network}, {METHODS[first.method]}{untrained(first)}{seed(first, records)}"),
            mode="lines+markers",
            line={"color": _colour(first), "dash": "dash" if first.weights == "synthetic" else "solid"},
            marker={"symbol": SYMBOLS[networks.index(first.network) % len(SYMBOLS)], "size": 9},
        )
    figure.update_xaxes(dtick=1, range=ends)
    return figure


def _why_none(records: Sequence[PointRecord]) -> str:
    """The sentence in place of a plot against P."""
    return _ONE_NETWORK if any(record.p is not None for record in records) else _NO_BOUND


def _colour(record: PointRecord) -> str:
    """The colour of a method, in all of these plots."""
    return COLOURS[list(METHODS).index(record.method)]


def _label(record: PointRecord, among: Sequence[PointRecord]) -> str:
    """The label that sets the network of a point apart from the others in its plot."""
    several = len({other.network for other in among}) > 1
    return plain(f"{record.network}, {bound(record)}" if several else bound(record))


def _left_out(records: Sequence[PointRecord]) -> str:
    """A sentence on the networks that a plot of accuracy cannot show."""
    networks = one_of_each_network(records)
    missing = sum(record.top1 is None for record in networks)
    return f" {missing} of {len(networks)} networks have no known accuracy and are not shown." if missing else ""
