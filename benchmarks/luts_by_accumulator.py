"""What a network takes at one rate, by the accumulator it was trained for: LUTs and DSPs, and accuracy.

Each network is built with `mvau_style: auto` for the same rate on one board: to the estimates, or, for those of
--synthesize, simulated exactly and synthesized, half an hour each. Those of --styles are folded in each other style, too,
all their matrices in it, which the board need not hold. Writes luts_by_accumulator.md and .png into --out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from whole_build import measured_build

from pipeline.accumulators.methods import METHODS
from pipeline.devices.boards import load_board
from pipeline.models.names import CHECKPOINTS, ModelSpec, find, is_path, recorded
from pipeline.models.registry import checkpoint_record
from pipeline.report import markdown

_RATE, _BOARD = 284_000, "KV260"  # 1,056 cycles a frame at the board's clock
_STYLES = ("folded", "unrolled", "dsp")  # sparse alone does not reach the rate
_COLOURS = ("#000000", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7")  # Okabe and Ito
_MARKERS = {"": "D", "a2q": "s", "a2q_plus": "o", "axe": "^"}
_STYLE_MARKERS = {"folded": "v", "unrolled": "P", "dsp": "X", "auto": "o"}
# What others have published of such networks, as their sources say it; of LUTs and DSPs these say nothing.
_PUBLISHED = (
    ("NN2FPGA, ResNet-8, 8 bits, KV260", 30_153, "88.7 %", "arXiv 2309.15631"),
    ("FINN, ResNet-8, 4 bits, K26, 225 MHz", 13_475, "–", "Hamanaka 2023, second-hand"),
)


def _introduction() -> str:
    board = load_board(_BOARD)
    capacity = board.capacity
    return f"""# LUTs and DSPs by accumulator width

Built with `mvau_style: auto` for {_RATE:,} frames/s at {1000 / board.clock_period_ns:g} MHz on {_BOARD}, which has {capacity.lut:,} LUT and {capacity.dsp:,} DSP.
LUTs and DSPs are estimated (`pipeline/folding/estimate.py`) and, where the network was simulated exactly and synthesized,
counted by Yosys; cycles between frames are then observed, else predicted. Top-1 is quoted from the record of the training, or of the
quantization after training (`ptq_`…, AXE), on CIFAR-10 re-compressed as JPEG."""


@dataclass(frozen=True)
class Point:
    """A network: how accurate it is, and what it takes at the rate."""

    name: str
    spec: ModelSpec
    top1: float
    estimated: tuple[int, int]  # LUT, DSP
    counted: tuple[int, int] | None
    cycles: int  # between frames: observed where it was simulated, else predicted
    styles: str

    @property
    def lut(self) -> int:
        return (self.counted or self.estimated)[0]

    @property
    def dsp(self) -> int:
        return (self.counted or self.estimated)[1]


def _default_models() -> list[str]:
    return [path.stem for path in sorted(CHECKPOINTS.glob("quant_resnet8*.json"))]


def _point(model: str, style: str, until: str, folder: Path) -> Point:
    path = Path(model) if is_path(model) else CHECKPOINTS / f"{model}.pth"
    record = checkpoint_record(path)
    spec = recorded(path.stem, record) if is_path(model) else find(model)
    out = folder / (path.stem if style == "auto" else f"{path.stem}_{style}")
    config = out.with_suffix(".yaml")
    values = {"inherit": "base.yaml", "model": str(path), "mvau_style": style, "target_fps": _RATE, "board": _BOARD}
    config.write_text(yaml.safe_dump(values | {"simulation": {"cppsim_frames": 0}}))
    measured_build(out, "--config", str(config), "--until", until)
    reports = {path.stem: json.loads(path.read_text()) for path in (out / "report").glob("*.json")}
    performance = reports["estimate_network_performance"]
    simulated, counted = reports.get("rtlsim_performance"), reports.get("ooc_synth_and_timing")
    chosen = reports.get("mvau_styles")  # only where the style is auto
    styles = [choice["style"] for choice in chosen["layers"].values()] if chosen else []
    return Point(
        path.stem,
        spec,
        record["top1"],
        _luts_and_dsps(reports["estimate_layer_resources"]["total"]),
        _luts_and_dsps(counted) if counted else None,
        simulated["steady_cycles"] if simulated else performance["predicted_cycles_between_frames"],
        ", ".join(f"{styles.count(style)} {style}" for style in sorted(set(styles))),
    )


def _luts_and_dsps(report: Mapping[str, int]) -> tuple[int, int]:
    return report["LUT"], report["DSP"]


def _draw(points: list[Point], by_style: Mapping[str, Mapping[str, Point]], path: Path) -> None:
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    widths = sorted({_bits(point) for point in points})
    colours = dict(zip(widths, _COLOURS, strict=False))
    _draw_accuracy(points, colours, left)
    _draw_styles(by_style, colours, right)
    figure.savefig(path, dpi=140)


def _bits(point: Point) -> int:
    """The P that it was trained for; 0 for none."""
    return point.spec.accumulator_bits or 0


def _fill(point: Point) -> str:
    return "none" if point.counted is None else "full"


def _draw_accuracy(points: list[Point], colours: Mapping[int, str], axes: Axes) -> None:
    """Top-1 against LUTs, a curve a width P of those that are trained for it."""
    for bits, colour in colours.items():
        curve = sorted((p for p in points if _bits(p) == bits), key=lambda p: p.lut)
        trained = [point for point in curve if point.spec.method != "axe"]
        axes.plot([p.lut for p in trained], [p.top1 for p in trained], "-", color=colour, linewidth=1)
        axes.plot([], [], "-", color=colour, label=f"P = {bits}" if bits else "no bound")
        for point in curve:
            axes.plot(point.lut, point.top1, _MARKERS[point.spec.method], color=colour, fillstyle=_fill(point))
            if point.spec.width != 1:
                place = {"xytext": (5, -9), "textcoords": "offset points"}
                axes.annotate(
                    f"width ×{point.spec.width:g}", (point.lut, point.top1), fontsize=7, color=colour, **place
                )
    for method in dict.fromkeys(point.spec.method for point in points if point.spec.method):
        axes.plot([], [], _MARKERS[method], color="grey", fillstyle="none", label=METHODS[method])
    axes.axvline(load_board(_BOARD).capacity.lut, color="grey", linestyle=":", label=f"{_BOARD}, all of it")
    axes.set_xlabel(f"LUT at {_RATE:,} frames/s, auto: filled, counted by Yosys; hollow, estimated", fontsize=9)
    axes.set_ylabel("top-1, CIFAR-10 re-compressed as JPEG", fontsize=9)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def _draw_styles(by_style: Mapping[str, Mapping[str, Point]], colours: Mapping[int, str], axes: Axes) -> None:
    """DSPs against LUTs of each network in each style, a colour a width P."""
    capacity = load_board(_BOARD).capacity
    for styles in by_style.values():
        bits = _bits(next(iter(styles.values())))
        for style, point in styles.items():
            axes.plot(
                point.lut, point.dsp, _STYLE_MARKERS[style], color=colours[bits], markersize=8, fillstyle=_fill(point)
            )
        axes.plot([], [], "s", color=colours[bits], label=f"P = {bits}" if bits else "no bound")
    for style, marker in _STYLE_MARKERS.items():
        axes.plot([], [], marker, color="grey", fillstyle="none", label=style)
    axes.axvline(capacity.lut, color="grey", linestyle=":", label=f"{_BOARD}, all of it")
    axes.axhline(capacity.dsp, color="grey", linestyle=":")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"LUT at {_RATE:,} frames/s, all matrices in one style or auto", fontsize=9)
    axes.set_ylabel("DSP", fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def _page(points: list[Point], by_style: Mapping[str, Mapping[str, Point]]) -> str:
    rows = []
    for p in points:
        counted = ("–", "–") if p.counted is None else [f"{amount:,}" for amount in p.counted]
        estimated = [f"{amount:,}" for amount in p.estimated]
        rows.append(
            [
                p.name,
                p.spec.accumulator_bits or "–",
                f"{p.top1:.2%}",
                *estimated,
                *counted,
                f"{p.cycles:,}",
                p.styles,
            ]
        )
    header = ["network", "P", "top-1", "LUT estimated", "DSP", "LUT counted", "DSP", "cycles a frame", "layers"]
    parts = [_introduction(), markdown.table(header, rows), "![top-1, LUTs and DSPs](luts_by_accumulator.png)"]
    if by_style:
        columns = [*_STYLES, "auto"]
        cells = [
            [name, *(f"{styles[style].lut:,} LUT, {styles[style].dsp:,} DSP" for style in columns)]
            for name, styles in by_style.items()
        ]
        text = (
            "## In one style\n\nAll matrices in one style, at the same rate, whether or not the board holds it; estimated, but of "
            "`auto` counted where the table above has it. In the style `sparse` alone no network reaches the rate: the largest "
            "matrices have too many weights that are not zero."
        )
        parts += [text, markdown.table(["network", *columns], cells)]
    others = [[what, f"{rate:,}", top1, source] for what, rate, top1, source in _PUBLISHED]
    published = (
        "## Published\n\nFrames a second on a board, of ResNet-8 on CIFAR-10 as it is published (the images here are re-compressed, so "
        f"that accuracies do not compare). Those above are of the configured clock, {_RATE:,} in simulation or as predicted. What LUTs "
        "and DSPs these take is not in the sources at hand."
    )
    parts += [published, markdown.table(["what", "frames/s", "top-1", "source"], others)]
    return "\n\n".join(parts) + "\n"


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="names or checkpoints, beside every kept ResNet-8")
    parser.add_argument("--synthesize", nargs="*", default=[], help="those of them to simulate and synthesize")
    parser.add_argument("--styles", nargs="*", default=[], help="those of them to fold in each style, too")
    parser.add_argument("--out", type=Path, default=Path("build/luts_by_accumulator"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    models = [*_default_models(), *options.models]
    for option in ("synthesize", "styles"):
        if unknown := set(getattr(options, option)) - set(models):
            parser.error(f"--{option} names {', '.join(sorted(unknown))}, which is none of {', '.join(models)}")
    until = {model: "report" if model in options.synthesize else "fold" for model in models}
    points = [_point(model, "auto", until[model], options.out) for model in models]
    autos = dict(zip(models, points, strict=True))
    by_style = {
        autos[model].name: {style: _point(model, style, "fold", options.out) for style in _STYLES}
        | {"auto": autos[model]}
        for model in options.styles
    }
    points.sort(key=lambda point: point.lut)
    page = _page(points, by_style)
    (options.out / "luts_by_accumulator.md").write_text(page)
    _draw(points, by_style, options.out / "luts_by_accumulator.png")
    print(page)


if __name__ == "__main__":
    _main()
