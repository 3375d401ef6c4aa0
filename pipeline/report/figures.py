"""The figures of a build: LUTs, cycles and accumulator widths, layer by layer from top to bottom as the data flows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from pipeline.report.facts import BuildFacts
from pipeline.report.purposes import COLOURS, PURPOSES, layer_lut_by_purpose
from pipeline.verification.rtlsim import LayerRun

__all__ = ["draw_cycles", "draw_luts", "draw_widths"]

# Okabe and Ito's palette: told apart in every common colour blindness
_BLUE, _ORANGE, _SKY = "#0072B2", "#E69F00", "#56B4E9"
_GREY, _BLACK = "#999999", "#000000"
_ROW_INCHES = 0.24
_DOTS_PER_INCH = 150


def draw_luts(facts: BuildFacts, path: Path) -> None:
    """LUTs of each layer, stacked by what they are for, and DSPs in numbers; FIFOs and width converters in a bar each."""
    labels, shares, dsps = _lut_shares(facts)
    figure, axes = _figure(len(labels), "LUT, counted by synthesis")
    left = [0] * len(labels)
    for purpose, colour in COLOURS.items():
        counts = [share[purpose] for share in shares]
        if any(counts):
            axes.barh(range(len(labels)), counts, left=left, color=colour, label=purpose, height=0.7)
            left = [total + count for total, count in zip(left, counts, strict=True)]
    for row, (lut, dsp) in enumerate(zip(left, dsps, strict=True)):
        text = f"{lut:,}" + (f" + {dsp:,} DSP" if dsp else "")
        axes.annotate(text, (lut, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlim(0, 1.15 * max([*left, 1]))
    total = facts.resources.total
    title = f"{total.lut:,} LUT{f' and {total.dsp:,} DSP' if total.dsp else ''} in {facts.model.name}"
    _finish(figure, axes, labels, title, path)


def draw_cycles(facts: BuildFacts, path: Path) -> None:
    """Clock cycles between frames of each layer alone, predicted and observed, and those of the whole network; of FIFOs
    and of width converters the slowest, in a bar each."""
    labels, runs = _cycle_rows(facts)
    figure, axes = _figure(len(labels), "clock cycles between frames")
    rows = range(len(labels))
    axes.barh(rows, [run.predicted_cycles for run in runs], color=_SKY, label="predicted", height=0.7)
    seen = [(run.observed_cycles, row) for row, run in enumerate(runs) if run.observed_cycles is not None]
    if seen:
        axes.plot(*zip(*seen, strict=True), "o", color=_BLACK, markersize=4, zorder=3, label="observed, layer alone")
    if facts.network.steady_cycles:
        axes.axvline(facts.network.steady_cycles, color=_ORANGE, linewidth=1.5, label="observed, whole network")
    if not isinstance(facts.target_fps, str):
        budget = facts.network.clock_mhz * 1e6 / facts.target_fps
        axes.axvline(
            budget, color=_BLUE, linewidth=1.5, linestyle="--", label=f"target, {facts.target_fps:,.0f} frames/s"
        )
    axes.set_xlim(left=0)
    _finish(figure, axes, labels, f"Cycles in {facts.model.name}", path)


def _cycle_rows(facts: BuildFacts) -> tuple[list[str], list[LayerRun]]:
    """The bars' labels, and the simulation of the layer that each is of."""
    labels, runs = [], []
    between: dict[str, list[LayerRun]] = {}
    for layer in facts.folded.graph:
        run = facts.layers[layer.name]
        if layer.between_layers:
            between.setdefault(layer.op_type, []).append(run)
        else:
            labels.append(layer.name)
            runs.append(run)
    for op_type, of_kind in between.items():
        slowest = max(of_kind, key=lambda run: run.predicted_cycles)
        labels.append(f"{len(of_kind)} × {op_type}, the slowest" if len(of_kind) > 1 else slowest.layer)
        runs.append(slowest)
    return labels, runs


def draw_widths(facts: BuildFacts, path: Path) -> None:
    """Accumulator bits of each layer: by data types, by the ℓ1 bound, trained for, and used."""
    layers = facts.certificate.layers
    labels = [f"{layer.layer}  {layer.source}" if layer.source else layer.layer for layer in layers]
    figure, axes = _figure(len(layers), "accumulator bits, widest row")
    rows = range(len(layers))
    by_type = [layer.bits["datatype"] for layer in layers]
    used = [layer.bits_used for layer in layers]
    axes.hlines(rows, used, by_type, color=_GREY, linewidth=2, zorder=1)
    axes.plot(by_type, rows, "s", color=_ORANGE, markersize=7, label="by data types", linestyle="none")
    axes.plot([layer.bits["l1"] for layer in layers], rows, "D", color=_SKY, markersize=7, label="by the ℓ1 bound")
    claimed = [(layer.claimed, row) for row, layer in enumerate(layers) if layer.claimed is not None]
    if claimed:
        axes.plot(*zip(*claimed, strict=True), "|", color=_BLACK, markersize=13, markeredgewidth=2, label="trained for")
    axes.plot(used, rows, "o", color=_BLUE, markersize=5, label=f"used ({facts.certificate.policies})")
    axes.set_xlim(0, 1.08 * max(*by_type, *used))
    _finish(figure, axes, labels, f"Accumulator widths in {facts.model.name}", path)


def _lut_shares(facts: BuildFacts) -> tuple[list[str], list[dict[str, int]], list[int]]:
    """The bars' labels, and for each the LUTs by purpose, and the DSPs."""
    labels: list[str] = []
    shares: list[dict[str, int]] = []
    dsps: list[int] = []
    plumbing: dict[str, list[dict[str, int]]] = {}
    for layer in facts.folded.graph:
        share = layer_lut_by_purpose(facts.resources.layers[layer.name])
        if layer.between_layers:
            plumbing.setdefault(layer.op_type, []).append(share)
        else:
            labels.append(layer.name)
            shares.append(share)
            dsps.append(int(facts.resources.layers[layer.name].total.dsp))
    for op_type, parts in plumbing.items():
        labels.append(f"{len(parts)} × {op_type}")
        shares.append({purpose: sum(part[purpose] for part in parts) for purpose in PURPOSES})
        dsps.append(0)
    return labels, shares, dsps


def _figure(rows: int, x_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 1.6 + _ROW_INCHES * rows), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    return figure, axes


def _finish(figure: Figure, axes: Axes, labels: Sequence[str], title: str, path: Path) -> None:
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    figure.suptitle(title, fontsize=11)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None})
