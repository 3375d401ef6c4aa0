"""The pages of tables of quantization after training: Markdown beside published figures, CSV, and plots."""

from __future__ import annotations

import csv
import os
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.accumulators.methods import METHODS
from pipeline.errors import InputError
from pipeline.models.names import SHIPPED, is_checkpoint
from pipeline.models.quantization import FLOAT
from pipeline.models.registry import checkpoint_facts
from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.tables import Cell
from pipeline.report import markdown
from pipeline.report.table_page import write_table_page

__all__ = ["HEADER", "network_name", "published_figures", "write_pages"]

_PUBLISHED = "ptq_published.csv"
_TITLE = "Accuracy after quantization without training"
HEADER = ("network", "bits", "method", "P", "top-1", "lost against float", "published", "widest sum", "seeds")
_BITS = re.compile(r"W(\d+)A(\d+)")

Figures = dict[tuple[str, str], float]  # by method as it is written there, and bits


@dataclass(frozen=True)
class _Part:
    """One table of a network: its title, and which configurations are in it."""

    title: str
    weights: bool
    activations: bool
    bounded: bool = False

    def has(self, config: QuantizeConfig) -> bool:
        return (self.weights, self.activations, self.bounded) == (
            config.weight_bits != FLOAT,
            config.act_bits != FLOAT,
            config.accumulator is not None,
        )


_PARTS = (
    _Part("weights alone", True, False),
    _Part("activations alone", False, True),
    _Part("weights and activations", True, True),
    _Part("within P bits for every hidden sum (AXE)", True, True, bounded=True),
)


def write_pages(cells: Sequence[Cell], published: Mapping[str, str], folder: Path) -> None:
    """Write `folder`/tables.md, .html, .csv and, for each network, accuracy_by_bits_<network>.png, of what `cells` have so far.

    `published` names for a network the model of ptq_published.csv, in the folder A2Q_DATA, whose figures stand beside
    its own.
    """
    done = [cell for cell in cells if cell.records]
    if not done:
        return
    sections = [f"# {_TITLE}", "", _about(done), ""]
    rows: list[list[str]] = []
    plots: dict[str, Path] = {}
    for network in dict.fromkeys(cell.config.network for cell in done):
        name = network_name(network)
        model = published.get(name, "")
        figures = published_figures(model) if model else {}
        plot = folder / f"accuracy_by_bits_{name}.png"
        chosen = [cell for cell in done if cell.config.network == network]
        sections += _section(chosen, name, model, figures, plot)
        rows += [_row(cell, name, model, figures) for cell in chosen]
        if _with_plot(chosen):
            plots[f"{name}: accuracy by bits of weights"] = plot
    (folder / "tables.md").write_text("\n".join(sections))
    _write_csv(done, folder / "tables.csv")
    about = _about(done).replace("In italics what is published of another", "Beside it what is published of another")
    write_table_page(
        folder / "tables.html",
        _TITLE,
        about,
        HEADER,
        rows,
        left=3,
        example="W4A4, gptq, resnet8 …",
        csv=folder / "tables.csv",
        images=plots,
    )


def _row(cell: Cell, name: str, model: str, figures: Figures) -> list[str]:
    """A row of the page, which has all tables in one, with HEADER."""
    records, bits, method = list(cell.records.values()), _bits(cell.config), _method(cell.config)
    theirs = figures.get((_published_name(method), bits)) if cell.config.accumulator is None else None
    bound = [f"{max(record['widest_sum'] for record in records)}"] if cell.config.accumulator else ["–"]
    lost = 100 * (records[0]["float_top1"] - statistics.mean(cell.top1))
    return [
        name,
        bits,
        method,
        str(cell.config.accumulator or "–"),
        _percent(cell),
        f"{lost:.2f}",
        "–" if theirs is None else f"{theirs:.2f} ({model})",
        *bound,
        str(len(cell.records)),
    ]


def network_name(network: str) -> str:
    """What pages call a network: its name, or that of its checkpoint's file."""
    return Path(network).stem if is_checkpoint(network) else network


def published_figures(model: str) -> Figures:
    """The published top-1 of `model` in percent by method and bits; none where that file is not at hand.

    Raises InputError for a file without the model.
    """
    path = Path(os.environ.get("A2Q_DATA", ""), _PUBLISHED)
    if not os.environ.get("A2Q_DATA") or not path.is_file():
        return {}
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == model and row["imagenet_top1_percent"]]
    if not rows:
        raise InputError(f"{path} has no figures of {model!r}, which `published` of the tables names.")
    return {(row["method"], row["bits"]): float(row["imagenet_top1_percent"]) for row in rows}


def _about(cells: Sequence[Cell]) -> str:
    records = [record for cell in cells for record in cell.records.values()]
    seeds = sorted({seed for cell in cells for seed in cell.records})
    tested, calibrated = (", ".join(sorted({r[key] for r in records})) for key in ("test_data", "calibration_data"))
    images = sorted({record["calibration_images"] for record in records})
    return (
        f"Top-1 in percent on all images of: {tested}. Calibrated with {markdown.span(images)} images of: {calibrated}. "
        f"Mean of the seeds {', '.join(map(str, seeds))}, each of which draws other images, ± the standard deviation. "
        "First and last layer have 8 bits. In italics what is published of another network on another data set, ImageNet: "
        "what can be compared is what is lost against W32A32."
    )


def _section(cells: list[Cell], name: str, model: str, figures: Figures, plot: Path) -> list[str]:
    top1 = next(iter(cells[0].records.values()))["float_top1"]
    lines = [f"## {name}", "", f"In float {top1:.2%}{_published_float(model, figures)}.", ""]
    for part in _PARTS:
        chosen = [cell for cell in cells if part.has(cell.config)]
        if chosen:
            lines += [f"### {name}: {part.title}", ""]
            lines += [_bounded(chosen) if part.bounded else _by_bits(chosen, model, figures), ""]
    if drawn := _with_plot(cells):
        _draw(drawn, top1, name, plot)
        lines += [f"![{name}: accuracy by bits of weights]({plot.name})", ""]
    return lines


def _with_plot(cells: Sequence[Cell]) -> list[Cell]:
    """Those of the plot of a network; none where it would have one number of bits only."""
    drawn = [cell for cell in cells if _PARTS[0].has(cell.config)]
    return drawn if len({cell.config.weight_bits for cell in drawn}) > 1 else []


def _published_float(model: str, figures: Figures) -> str:
    value = next((value for (_, bits), value in figures.items() if bits == "W32A32"), None)
    return "" if value is None else f"; *{model} {value:.2f}%*"


def _by_bits(cells: list[Cell], model: str, figures: Figures) -> str:
    """A row for each method, a column for each choice of bits, and below a method what is published of it."""
    bits = list(dict.fromkeys(_bits(cell.config) for cell in cells))
    bits.sort(key=lambda text: tuple(-int(number) for number in _BITS.fullmatch(text).groups()))  # type: ignore[union-attr]
    rows: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault(_method(cell.config), {})[_bits(cell.config)] = cell
    lines = []
    for method, row in rows.items():
        lines.append([method, *(_percent(row[text]) if text in row else "–" for text in bits)])
        theirs = [figures.get((_published_name(method), text)) for text in bits]
        if any(value is not None for value in theirs):
            lines.append([f"*{model}*", *("–" if value is None else f"*{value:.2f}*" for value in theirs)])
    return markdown.table(["method", *bits], lines)


def _bounded(cells: list[Cell]) -> str:
    rows = []
    for cell in sorted(cells, key=lambda cell: (-(cell.config.accumulator or 0), -cell.config.weight_bits)):
        records = list(cell.records.values())
        rows.append(
            [
                f"{_bits(cell.config)} {_method(cell.config)}",
                str(cell.config.accumulator),
                _percent(cell),
                str(max(record["widest_sum"] for record in records)),
                f"{statistics.mean(record['sparsity'] for record in records):.3f}",
                f"{max(record['largest_l1'] for record in records):.0f}",
            ]
        )
    rows += _trained(next(iter(cells[0].records.values())))
    return markdown.table(["network", "P", "top-1", "widest sum", "sparsity", "max ‖w‖₁"], rows)


def _trained(record: Mapping[str, Any]) -> list[list[str]]:
    """The networks of this repository that were trained within a bound, of the family that `record` is of."""
    rows = []
    for spec in SHIPPED.values():
        chosen = spec.quantization
        if (spec.family, spec.width) != (record.get("network"), record.get("width")) or chosen is None:
            continue
        if chosen.accumulator_method != "none":
            facts = checkpoint_facts(spec)
            trained = (
                f"W{chosen.weight_bits}A{chosen.act_bits} trained with {METHODS[chosen.accumulator_method]}, one seed"
            )
            norm = f"{facts['largest_l1']:.0f}"
            top1 = f"{100 * facts['top1']:.2f}"
            rows.append([trained, str(chosen.accumulator_bits), top1, "–", f"{facts['sparsity']:.3f}", norm])
    return sorted(rows, key=lambda row: -int(row[1]))


def _bits(config: QuantizeConfig) -> str:
    return f"W{config.weight_bits}A{config.act_bits}"


def _method(config: QuantizeConfig) -> str:
    """What is done beside bits and bound, as the published table has it; of activations alone, their range."""
    if config.weight_bits == FLOAT:
        return f"{config.act_method}_layer"
    corrected = " + bias_correct" if config.bias_correct else ""
    ranges = f", activations {config.act_method}" if config.act_bits != FLOAT and config.act_method != "mse" else ""
    before = f"{config.equalization} + " if config.equalization else ""
    return f"{before}{config.weights}{corrected}{ranges}"


def _published_name(method: str) -> str:
    text = method.replace(" ", "")
    return text.replace("adaround/", "AdaRound/") if text.startswith("adaround/") else f"PTQ/{text}"


def _percent(cell: Cell) -> str:
    mean = 100 * statistics.mean(cell.top1)
    return f"{mean:.2f} ± {100 * statistics.stdev(cell.top1):.2f}" if len(cell.top1) > 1 else f"{mean:.2f}"


def _write_csv(cells: Sequence[Cell], path: Path) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ["network", "weight_bits", "act_bits", "method", "P", "seed", "top1", "float_top1", "bias_corrected"]
            + ["widest_sum", "sparsity", "largest_l1", "seconds"]
        )
        for cell in cells:
            config = cell.config
            for seed, record in cell.records.items():
                facts = [record.get(name, "") for name in ("widest_sum", "sparsity", "largest_l1", "seconds")]
                writer.writerow(
                    [network_name(config.network), config.weight_bits, config.act_bits, _method(config)]
                    + [config.accumulator or "", seed, record["top1"], record["float_top1"], record["bias_corrected"]]
                    + facts
                )


_PANELS = ("rounded to the nearest", "the same, biases corrected", "rounded otherwise")


def _panel(config: QuantizeConfig) -> int:
    """Which of the plots side by side a quantization is in, so that no plot has more lines than can be told apart."""
    if "/" in str(config.weights):
        return 2
    return int(config.bias_correct)


def _draw(cells: list[Cell], float_top1: float, name: str, path: Path) -> None:
    """Top-1 by bits of weights: a line for each method, in plots side by side; a method has its colour in all, and is dashed
    where biases are corrected beside lines where they are not."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    panels = sorted({_panel(cell.config) for cell in cells})
    figure = Figure(figsize=(1 + 4 * len(panels), 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    colours: dict[str, str] = {}
    for axis, panel in zip(axes, panels, strict=True):
        lines: dict[str, dict[int, Cell]] = {}
        for cell in cells:
            if _panel(cell.config) == panel:
                lines.setdefault(_method(cell.config), {})[cell.config.weight_bits] = cell
        for method, by_bits in lines.items():
            widths = sorted(by_bits)
            tops = [by_bits[width].top1 for width in widths]
            base, dashed = method.removesuffix(" + bias_correct"), panel == 2 and method.endswith(" + bias_correct")
            axis.errorbar(
                widths,
                [statistics.mean(top) for top in tops],
                [statistics.stdev(top) if len(top) > 1 else 0 for top in tops],
                label=base if panel == 1 else method,
                color=colours.setdefault(base, f"C{len(colours) % 10}"),
                linestyle="--" if dashed else "-",
                marker="o",
                markersize=3,
                linewidth=1,
            )
        axis.axhline(float_top1, color="black", linestyle=":", linewidth=1, label="float")
        axis.set_title(f"{name}: {_PANELS[panel]}" if axis is axes[0] else _PANELS[panel], fontsize=9)
        axis.set_xlabel("bits of weights, activations in float")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=6, loc="lower right")
    axes[0].set_ylabel("top-1")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.savefig(path, dpi=140)
