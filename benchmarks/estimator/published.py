"""docs/estimator.md and its plot: how far the resource model is off, on layers it was not fitted to, beside FINN's own
estimate.

    python -m published

writes both anew from coefficients.json and docs/estimator.csv, which `calibrate.py` leaves.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.folding.estimate import COEFFICIENTS
from pipeline.report.markdown import percent, table

__all__ = ["ESTIMATOR_CSV", "ESTIMATOR_PAGE", "ESTIMATOR_PLOT", "LeftOut", "draw", "page", "read", "relative", "write"]

_DOCS = Path(__file__).resolve().parents[2] / "docs"
ESTIMATOR_PAGE, ESTIMATOR_CSV, ESTIMATOR_PLOT = (_DOCS / f"estimator.{end}" for end in ("md", "csv", "png"))

SMALL = 20  # LUTs or flip-flops; less counts as if it were as many
_LARGE = 64 * 576  # weights of the largest matrix of ResNet-8's size
_FAMILIES = {"xcup": "UltraScale+ (xcup)", "xc7": "7 series (xc7)"}
_HEAD = """# How far the resource estimates are off

`python -m benchmarks.estimator.calibrate` writes this page.

`fold` chooses PE, SIMD and what computes a matrix by estimates: LUTs and flip-flops of a layer are sums of what it
consists of (`demand` of each kernel), each with a factor of its kind and of the FPGA's family
(`pipeline/folding/coefficients.json`). How they were found:
{method}.

An error is the difference as a share of the count, where less than 20 count as 20. `large` are those of the layers that
have more than 64 × 576 weights. Block RAM follows from the sizes of memories without a factor; the last column says for
how many layers that was wrong."""
_EACH = f"""## Each layer

`{ESTIMATOR_CSV.name}` has what is in the plot, layer by layer: what Yosys counted, and what was predicted when the layer
was left out. They are {{shown}} of the {{fitted}} layers{{rest}}.

![predicted against counted LUTs]({ESTIMATOR_PLOT.name})"""
# Okabe and Ito's palette, as in the figures of a build
_COLOURS = {"MVAU": "#0072B2", "SparseMVAU": "#009E73", "UnrolledMVAU": "#CC79A7", "other layers": "#999999"}
_FINN_COLOUR = "#E69F00"


@dataclass(frozen=True)
class LeftOut:
    """A drawn layer: what Yosys counted, what a fit without it predicted, and FINN's estimate where it has one.

    `layer` describes it; `weights` is MW · MH, 0 for a layer without. `finn_unit` is FINN's name of its unit, empty where
    there is none that FINN estimates.
    """

    family: str
    kind: str
    layer: str
    weights: int
    lut: int
    lut_predicted: float
    ff: int
    ff_predicted: float
    finn_unit: str = ""
    finn_lut: int = 0


def relative(predicted: float, counted: float) -> float:
    """The error of a prediction as a share of the count; small counts stand for 20.

    >>> relative(110, 100), relative(3, 1)
    (0.1, 0.1)
    """
    return abs(predicted - counted) / max(counted, SMALL)


def read(path: Path) -> list[LeftOut]:
    """The rows that `write` wrote."""
    types = {"weights": int, "lut": int, "ff": int, "finn_lut": int, "lut_predicted": float, "ff_predicted": float}
    with path.open(newline="") as stream:
        return [
            LeftOut(**{name: types.get(name, str)(value) for name, value in row.items()})  # type: ignore[arg-type]
            for row in csv.DictReader(stream)
        ]


def write(rows: Sequence[LeftOut], path: Path) -> None:
    """A line a layer."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(LeftOut)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))


def page(content: Mapping[str, Any], rows: Sequence[LeftOut]) -> str:
    """docs/estimator.md, from the content of coefficients.json and the layers left out."""
    sections = [
        _HEAD.format(method=content["method"]),
        *(_family(name, kinds, content["notes"].get(name, "")) for name, kinds in content["families"].items()),
        _large(rows),
        _beside_finn(rows),
        _each(content, rows),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _family(name: str, kinds: Mapping[str, Mapping[str, Any]], note: str) -> str:
    header = ["kind of layer", "layers", "large", "LUT, median", "worst", "FF, median", "worst", "BRAM wrong"]
    body = [
        [
            kind,
            errors["layers"],
            errors["large"],
            *(
                percent(errors[f"{resource}_error"][which])
                for resource in ("lut", "ff")
                for which in ("median", "worst")
            ),
            errors["bram_18k_wrong"],
        ]
        for kind, errors in kinds.items()
    ]
    return f"## {_FAMILIES[name]}\n\n" + table(header, body) + (f"\n\n{note}" if note else "")


def _each(content: Mapping[str, Any], rows: Sequence[LeftOut]) -> str:
    """What the plot shows, and what it does not."""
    fitted = sum(errors["layers"] for kinds in content["families"].values() for errors in kinds.values())
    rest = "; of the others the counts were not kept when they were fitted" if len(rows) < fitted else ""
    return _EACH.format(shown=len(rows), fitted=fitted, rest=rest)


def _large(rows: Sequence[LeftOut]) -> str:
    """The errors on matrices larger than ResNet-8's, which are of ResNet-18's size."""
    body = []
    for family, kind in sorted({(row.family, row.kind) for row in rows if row.weights > _LARGE}):
        members = [row for row in rows if (row.family, row.kind) == (family, kind) and row.weights > _LARGE]
        body.append(
            [_FAMILIES[family], kind, len(members), *_spread([relative(r.lut_predicted, r.lut) for r in members])]
        )
    if not body:
        return ""
    return (
        "## Large matrices\n\n"
        "The errors on the large ones among them, up to the 512 × 4,608 weights of ResNet-18, left out as the others:\n\n"
        + table(["family", "kind", "layers", "LUT, median", "worst"], body, left=2)
    )


def _beside_finn(rows: Sequence[LeftOut]) -> str:
    """What FINN's code estimates for the same layers."""
    body = []
    for family, unit in sorted({(row.family, row.finn_unit) for row in rows if row.finn_unit}):
        members = [row for row in rows if (row.family, row.finn_unit) == (family, unit)]
        ours = _spread([relative(row.lut_predicted, row.lut) for row in members])
        finns = _spread([relative(row.finn_lut, row.lut) for row in members])
        ratio = f"{median(row.finn_lut / max(row.lut, 1) for row in members):.2f}"
        body.append([_FAMILIES[family], unit, len(members), *ours, *finns, ratio])
    if not body:
        return ""
    header = [
        "family",
        "FINN's unit",
        "layers",
        "our median",
        "worst",
        "FINN's median",
        "worst",
        "FINN's, of the count",
    ]
    return (
        "## Beside FINN's own estimate\n\n"
        "For the same layers with the same folding FINN's code (finn-plus) was asked: `node_res_estimation` of FINN's own\n"
        "units, told the accumulators' width and which memories lie in LUTs. What is counted is the hardware here, so the\n"
        "error of FINN's estimate says how far off a folding of this hardware by it would be, not how well FINN knows its\n"
        "own units. The last column is the median of its estimate over the count. Where an MVAU takes DSPs, as FINN's\n"
        "`MVAU_rtl` does, FINN estimates 0 LUT. Of sparse and unrolled MVAUs FINN has no counterpart; of FMPadding, Pool,\n"
        "AddStreams, DuplicateStreams and LabelSelect it estimates no LUTs.\n\n" + table(header, body, left=2)
    )


def _spread(errors: Sequence[float]) -> tuple[str, str]:
    """The median and the largest."""
    return percent(median(errors)), percent(max(errors))


def draw(rows: Sequence[LeftOut], path: Path) -> None:
    """Predicted against counted LUTs, on logarithmic axes, a panel a family; FINN's estimate of folded MVAUs too."""
    families = [family for family in _FAMILIES if any(row.family == family for row in rows)]
    figure = Figure(figsize=(6.4 * len(families), 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    for index, family in enumerate(families):
        axes = figure.add_subplot(1, len(families), index + 1)
        _scatter(axes, [row for row in rows if row.family == family])
        axes.set_title(f"{_FAMILIES[family]}: LUTs of layers left out of the fit", fontsize=11)
    figure.savefig(path, dpi=150)


def _scatter(axes: Axes, rows: Sequence[LeftOut]) -> None:
    if finns := [row for row in rows if row.finn_unit == "MVAU_hls"]:
        axes.scatter(
            [row.lut for row in finns], [row.finn_lut for row in finns],
            marker="x", s=28, linewidths=1.1, color=_FINN_COLOUR, label="FINN's estimate of a folded MVAU",
        )  # fmt: skip
    for kind, colour in _COLOURS.items():
        members = [row for row in rows if (row.kind if row.kind in _COLOURS else "other layers") == kind]
        if members:
            counted, predicted = [max(row.lut, 1) for row in members], [max(row.lut_predicted, 1) for row in members]
            axes.scatter(counted, predicted, s=16, color=colour, label=f"{kind}, predicted", edgecolors="none")
    ends = (
        max(min(min(row.lut, row.lut_predicted) for row in rows) / 1.6, 1),
        1.6 * max(max(row.lut, row.lut_predicted, row.finn_lut) for row in rows),
    )
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="LUT, counted by Yosys", ylabel="LUT, estimated")
    axes.grid(True, which="major", linewidth=0.4, alpha=0.5)
    axes.legend(loc="upper left", fontsize=8)


def publish() -> None:
    """Write the page and its plot from what the last fit left."""
    rows = read(ESTIMATOR_CSV)
    ESTIMATOR_PAGE.write_text(page(json.loads(COEFFICIENTS.read_text()), rows))
    draw(rows, ESTIMATOR_PLOT)


if __name__ == "__main__":
    publish()
