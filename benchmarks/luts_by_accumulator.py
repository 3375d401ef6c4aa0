"""What a network takes at one rate, by the accumulator it was trained for: accuracy against LUTs, one curve a width P.

Each network is built with `mvau_style: auto` for the same rate on a part large enough for all of them: to the estimates
of its LUTs, or, for those of --synthesize, simulated exactly and synthesized, some ten minutes each. Writes
luts_by_accumulator.md and .png into --out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from whole_build import measured_build

from pipeline.accumulators.methods import METHODS
from pipeline.devices.boards import load_board
from pipeline.models.names import CHECKPOINTS, ModelSpec, find, is_path, recorded
from pipeline.models.registry import checkpoint_record
from pipeline.report import markdown

_RATE, _BOARD, _CLOCK_NS = 180_000, "U250", 5.0
_USUAL_BOARD = "KV260"  # of which the plot says what fits
_COLOURS = ("#000000", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7")  # Okabe and Ito
_MARKERS = {"": "D", "a2q": "s", "a2q_plus": "o"}
_INTRODUCTION = f"""# LUTs by accumulator width

Built with `mvau_style: auto` for {_RATE:,} frames/s at {1000 / _CLOCK_NS:g} MHz on {_BOARD}, which holds all of them. LUTs are
estimated (`pipeline/resources`) and, where the network was simulated exactly and synthesized, counted by Yosys; cycles
between frames are then observed, else predicted. Top-1 is quoted from the training, on CIFAR-10 re-compressed as JPEG."""


@dataclass(frozen=True)
class Point:
    """A network: how accurate it is, and what it takes at the rate."""

    spec: ModelSpec
    top1: float
    estimated_lut: int
    counted_lut: int | None
    dsp: int  # counted where the network was synthesized, else estimated, which is exact
    cycles: int  # between frames: observed where it was simulated, else predicted
    styles: str

    @property
    def lut(self) -> int:
        return self.estimated_lut if self.counted_lut is None else self.counted_lut


def _default_models() -> list[str]:
    return [path.stem for path in sorted(CHECKPOINTS.glob("quant_resnet8*.json"))]


def _point(model: str, until: str, folder: Path) -> Point:
    path = Path(model) if is_path(model) else CHECKPOINTS / f"{model}.pth"
    record = checkpoint_record(path)
    spec = recorded(path.stem, record) if is_path(model) else find(model)
    config = folder / f"{spec.name}.yaml"
    values = {
        "inherit": "base.yaml", "model": str(path), "mvau_style": "auto", "target_fps": _RATE, "board": _BOARD,
        "synth_clk_period_ns": _CLOCK_NS,
    }  # fmt: skip
    config.write_text(yaml.safe_dump(values))
    out = folder / spec.name
    measured_build(out, "--config", str(config), "--until", until)
    reports = {path.stem: json.loads(path.read_text()) for path in (out / "report").glob("*.json")}
    performance = reports["estimate_network_performance"]
    simulated, counted = reports.get("rtlsim_performance"), reports.get("ooc_synth_and_timing")
    styles = [choice["style"] for choice in reports["mvau_styles"]["layers"].values()]
    return Point(
        spec,
        record["top1"],
        reports["estimate_layer_resources"]["total"]["LUT"],
        counted["LUT"] if counted else None,
        (counted or reports["estimate_layer_resources"]["total"])["DSP"],
        simulated["steady_cycles"] if simulated else performance["predicted_cycles_between_frames"],
        ", ".join(f"{styles.count(style)} {style}" for style in sorted(set(styles))),
    )


def _draw(points: list[Point], path: Path) -> None:
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    widths = sorted({point.spec.accumulator_bits or 0 for point in points})
    for colour, bits in zip(_COLOURS, widths, strict=False):
        curve = sorted((p for p in points if (p.spec.accumulator_bits or 0) == bits), key=lambda p: p.lut)
        label = f"P = {bits}" if bits else "no bound"
        line = "-" if len(curve) > 1 else _MARKERS[curve[0].spec.method]
        axes.plot([p.lut for p in curve], [p.top1 for p in curve], line, color=colour, linewidth=1, label=label)
        for point in curve:
            fill = "none" if point.counted_lut is None else "full"
            axes.plot(point.lut, point.top1, _MARKERS[point.spec.method], color=colour, markersize=6, fillstyle=fill)
            if point.spec.width != 1:
                place = {"xytext": (-6, 5), "textcoords": "offset points", "ha": "right"}
                axes.annotate(
                    f"width ×{point.spec.width:g}", (point.lut, point.top1), fontsize=8, color=colour, **place
                )
    for method in dict.fromkeys(point.spec.method for point in points if point.spec.method):
        axes.plot([], [], _MARKERS[method], color="grey", fillstyle="none", label=METHODS[method])
    axes.axvline(load_board(_USUAL_BOARD).capacity.lut, color="grey", linestyle=":", label=f"{_USUAL_BOARD}, all of it")
    axes.set_xlabel(f"LUT at {_RATE:,} frames/s: filled, counted by Yosys; hollow, estimated")
    axes.set_ylabel("top-1, CIFAR-10 re-compressed as JPEG")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=140)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="names or checkpoints; default: every kept ResNet-8")
    parser.add_argument("--synthesize", nargs="*", default=[], help="those of them to simulate and synthesize")
    parser.add_argument("--out", type=Path, default=Path("build/luts_by_accumulator"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    models = options.models or _default_models()
    if unknown := set(options.synthesize) - set(models):
        parser.error(f"--synthesize names {', '.join(sorted(unknown))}, which is none of {', '.join(models)}")
    until = {model: "report" if model in options.synthesize else "fold" for model in models}
    points = [_point(model, until[model], options.out) for model in models]
    points.sort(key=lambda point: point.lut)
    rows = [
        [
            p.spec.name,
            p.spec.accumulator_bits or "–",
            f"{p.top1:.2%}",
            f"{p.estimated_lut:,}",
            "–" if p.counted_lut is None else f"{p.counted_lut:,}",
            f"{p.dsp:,}",
            f"{p.cycles:,}",
            p.styles,
        ]
        for p in points
    ]
    header = ["network", "P", "top-1", "LUT estimated", "LUT counted", "DSP", "cycles a frame", "layers"]
    page = f"{_INTRODUCTION}\n\n{markdown.table(header, rows)}\n\n![top-1 against LUTs](luts_by_accumulator.png)\n"
    (options.out / "luts_by_accumulator.md").write_text(page)
    _draw(points, options.out / "luts_by_accumulator.png")
    print(page)


if __name__ == "__main__":
    _main()
