"""Whether the estimate of paths puts units in the order that place and route does: rank correlation, and docs/timing_rank.png.

Of the builds named, each left by `a2q build … --until fold`: small distinct units, of as many kinds as there are. Each is
estimated for UltraScale+, alone between registers, and placed and routed so by nextpnr on an ECP5, three seeds each, which
takes up to some minutes a unit. Results are kept in the folder --cache, so a run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import spearmanr
from unit_timing import folded

from pipeline.dataflow.layer import Layer
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.estimate import network_of, timing_of
from pipeline.synthesis import synth
from pipeline.tools import nextpnr, yosys

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_FAMILY = "xcup"


@dataclass(frozen=True)
class _Chosen:
    layer: Layer
    unit: yosys.Unit
    lut: int


def _chosen(layers: list[Layer], folder: Path, cache: Path, count: int, largest: int) -> list[_Chosen]:
    """`count` distinct units of at most `largest` LUTs: one of each kind in turn, sizes spread over those of a kind."""
    units = {}
    for i, layer in enumerate(layers):
        unit = synth.unit(layer, folder / str(i))
        units.setdefault(unit.key(_FAMILY), (layer, unit))
    results = yosys.synthesize([unit for _, unit in units.values()], _FAMILY, cache=cache)
    kinds = defaultdict(list)
    for (layer, unit), result in zip(units.values(), results, strict=True):
        if result.total.lut <= largest:
            kinds[layer.op_type].append(_Chosen(layer, unit, result.total.lut))
    spread = [_spread(sorted(kind, key=lambda chosen: (chosen.lut, chosen.layer.name))) for kind in kinds.values()]
    order = sorted(((turn, row) for kind in spread for turn, row in enumerate(kind)), key=lambda pair: pair[0])
    return [row for _, row in order[:count]]


def _spread(rows: list[_Chosen]) -> list[_Chosen]:
    """The largest, the smallest, then what lies halfway between those before it."""
    order, gaps = [len(rows) - 1, 0], [(0, len(rows) - 1)]
    for low, high in gaps:
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return [rows[i] for i in dict.fromkeys(order)]


def _row(chosen: _Chosen, cache: Path) -> dict[str, str | float]:
    unit = chosen.unit
    routed = nextpnr.route(unit.top, unit.sources, memories=unit.memories, cache=cache / "ecp5")
    row = {"kind": chosen.layer.op_type, "layer": chosen.layer.name, "lut": chosen.lut}
    row["ecp5_mhz"] = round(routed.median_mhz or 0.0, 1)
    network = network_of({"unit": yosys.netlist(unit, _FAMILY, cache=cache)}, {}, _FAMILY)
    for i, net in enumerate(CELL_DELAYS[_FAMILY].nets):
        row[f"{net.name}_mhz"] = round(timing_of(network, i).worst("unit", 1)[0].mhz, 1)
    return row


def _plot(rows: list[dict], path: Path, correlation: float) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
    for kind in dict.fromkeys(row["kind"] for row in rows):
        points = [row for row in rows if row["kind"] == kind]
        axes.scatter([p["ecp5_mhz"] for p in points], [p["pessimistic_mhz"] for p in points], label=kind)
    axes.set_xlabel("MHz on an ECP5, placed and routed by nextpnr, median of three seeds")
    axes.set_ylabel("MHz on UltraScale+ -2, estimated, pessimistic")
    axes.set_title(f"{len(rows)} units: rank correlation {correlation:.2f}")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=130)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", type=Path)
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--largest", type=int, default=400, help="LUTs that a unit may have")
    parser.add_argument("--out", type=Path, default=_DOCS)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir(), "a2q-unit-timing"))
    options = parser.parse_args()
    layers = [layer for build in options.builds for layer in folded(build)]
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        rows = []
        for chosen in _chosen(layers, Path(scratch), options.cache, options.units, options.largest):
            rows.append(_row(chosen, options.cache))
            print(rows[-1], flush=True)  # each takes minutes
    with (options.out / "timing_rank.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    measured = [row["ecp5_mhz"] for row in rows]
    for net in CELL_DELAYS[_FAMILY].nets:
        correlation = spearmanr(measured, [row[f"{net.name}_mhz"] for row in rows])
        print(f"{net.name}: Spearman's rank correlation {correlation.statistic:.2f}, p {correlation.pvalue:.1g}")
    _plot(rows, options.out / "timing_rank.png", correlation.statistic)


if __name__ == "__main__":
    _main()
