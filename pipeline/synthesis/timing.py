"""timing: the longest paths of the build, estimated; and how fast each MVAU is, placed and routed alone, on demand.

The estimate adds up delays along the netlists that synthesis kept (`pipeline/static_timing`), for the family of the
board's part. It is made in every build, and measures nothing.

Place and route is by nextpnr on a Lattice ECP5, always: that compares the layers, and says nothing of the clock that the
board's part reaches. By Vivado on that part too, where Vivado is on PATH. Layers with the same parameters and memory
contents are placed and routed once.

Requires a folded graph, and the netlists of its layers for the estimate. Ensures that every layer has an estimate, and
every MVAU, where that is asked for, a figure or the reason why it has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.codegen.rtl import rtl_sources
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.devices.boards import Board
from pipeline.scratch import scratch_folder
from pipeline.static_timing.estimate import TimingEstimate, estimate
from pipeline.synthesis.synth import alone
from pipeline.tools import nextpnr, vivado, yosys
from pipeline.tools.nextpnr import Routed
from pipeline.tools.pool import side_by_side
from pipeline.tools.vivado import Implemented

__all__ = [
    "ESTIMATE_FILE",
    "FILE",
    "LayerTiming",
    "TimingReport",
    "load",
    "load_estimate",
    "run",
    "run_estimate",
]

FILE = "timing.json"
ESTIMATE_FILE = "timing_estimate.json"

_CORES_OF_A_VIVADO = 4  # a run of it goes on several at once, and takes some 4 GiB


@dataclass(frozen=True)
class LayerTiming:
    """One MVAU alone: on an ECP5, and on the board's part where Vivado was there."""

    op_type: str
    ecp5: Routed
    vivado: Implemented | None


@dataclass(frozen=True)
class TimingReport:
    """The content of report/timing.json. `method` says how the figures for the ECP5 came to be."""

    method: str
    device: str
    seeds: tuple[int, ...]
    layers: dict[str, LayerTiming]

    @property
    def slowest(self) -> str | None:
        """The layer with the lowest median on the ECP5; None where no layer has one."""
        reached = {name: mhz for name, layer in self.layers.items() if (mhz := layer.ecp5.median_mhz) is not None}
        return min(reached, key=reached.__getitem__) if reached else None

    @property
    def slowest_mhz(self) -> float | None:
        """The median of `slowest`."""
        return None if self.slowest is None else self.layers[self.slowest].ecp5.median_mhz

    @property
    def slowest_by_vivado(self) -> str | None:
        """The layer with the lowest frequency by Vivado; None where Vivado was not there, or gave none."""
        reached = {name: mhz for name, layer in self.layers.items() if layer.vivado and (mhz := layer.vivado.fmax_mhz)}
        return min(reached, key=reached.__getitem__) if reached else None

    @property
    def slowest_mhz_by_vivado(self) -> float | None:
        """The frequency of `slowest_by_vivado`."""
        implemented = self.slowest_by_vivado and self.layers[self.slowest_by_vivado].vivado
        return implemented.fmax_mhz if implemented else None

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.slowest is None:
            line = f"no MVAU could be placed and routed on {self.device}"
        else:
            line = f"slowest is {self.slowest}, {self.slowest_mhz:.0f} MHz on {self.device}"
            if missing := sum(not layer.ecp5.mhz for layer in self.layers.values()):
                line += f" ({missing} without a figure)"
        line += ", which is another device than the board's"
        if self.slowest_by_vivado and (by_vivado := self.layers[self.slowest_by_vivado].vivado):
            line += (
                f"; on {by_vivado.part} by Vivado {by_vivado.version} {self.slowest_by_vivado}, "
                f"{by_vivado.fmax_mhz:.0f} MHz alone"
            )
        return line


def run_estimate(
    graph: LayerGraph, board: Board, netlists: Mapping[str, Path], folder: Path, *, clock_period_ns: float
) -> TimingEstimate:
    """Estimate the longest paths of `graph` on the family of `board`, and write `folder`/ESTIMATE_FILE.

    `netlists` are those of `synth.load_netlists`: of each layer, and of what stands around the network. Raises ToolError as
    `estimate` does.
    """
    timing = estimate(graph, netlists, board.family, board.part, clock_period_ns)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ESTIMATE_FILE).write_text(json.dumps(timing.to_json(), indent=1) + "\n")
    return timing


def load_estimate(path: Path) -> TimingEstimate:
    """The estimate that `run_estimate` wrote to the file `path`."""
    return TimingEstimate.load(path)


def run(
    graph: LayerGraph,
    board: Board,
    folder: Path,
    *,
    clock_period_ns: float,
    seeds: int,
    cache: Path,
    check_overflow: bool = False,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> TimingReport:
    """Place and route every layer of `graph` that has accumulators, and write `folder`/FILE.

    On an ECP5 with the seeds 1 to `seeds`; on the part of `board` once, for a clock of `clock_period_ns`, if Vivado is
    on PATH. With `check_overflow` the units are those of a debug build. Results are taken from and added to the folder
    `cache`. `workers` runs go in parallel, fewer of Vivado's; `on_progress` is told how many of how many are done, and
    what Vivado prints goes to `log`. Raises ToolError if a tool is missing or fails; a unit that is too large for a
    device is a result.
    """
    chosen = tuple(range(1, seeds + 1))
    layers = graph.accumulating
    with scratch_folder("timing") as scratch:
        units = [_unit(layer, scratch / str(i), check_overflow) for i, layer in enumerate(layers)]
        keys = [nextpnr.result_key(**unit, seeds=chosen) for unit in units]
        distinct = dict(sorted(zip(keys, units, strict=True), key=lambda keyed: _bytes(keyed[1]), reverse=True))
        total = 2 * len(distinct) if vivado.find() else len(distinct)

        def progress(before: int) -> Callable[[int, int], None] | None:
            return on_progress and (lambda done, _: on_progress(before + done, total))

        routes = [partial(nextpnr.route, **unit, seeds=chosen, cache=cache / "ecp5") for unit in distinct.values()]
        routed = dict(zip(distinct, side_by_side(routes, workers, progress(0)), strict=True))
        measured: dict[str, Implemented] = {}
        if vivado.find():
            place = partial(
                vivado.route, part=board.part, period_ns=clock_period_ns, cache=cache / "vivado", on_line=log
            )
            placed = [partial(place, **unit) for unit in distinct.values()]
            few = max(1, workers // _CORES_OF_A_VIVADO)
            measured = dict(zip(distinct, side_by_side(placed, few, progress(len(distinct))), strict=True))
    report = TimingReport(
        method=f"nextpnr {nextpnr.version()} after synth_ecp5 -nodsp of Yosys (pyosys {yosys.version()}), each layer "
        f"alone between registers that are not counted; by its router2 from {nextpnr.LARGE:,} LUT4 on",
        device=nextpnr.DEVICE,
        seeds=chosen,
        layers={
            layer.name: LayerTiming(layer.op_type, routed[key], measured.get(key))
            for layer, key in zip(layers, keys, strict=True)
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(_to_json(report), indent=2) + "\n")
    return report


def _unit(layer: Layer, folder: Path, check_overflow: bool) -> dict[str, Any]:
    """The arguments that name the layer alone to both tools."""
    design = alone(layer, folder, check_overflow)
    *companions, top = design.generated
    sources = yosys.needed_sources(top, [*rtl_sources(), *companions])
    return {"top": design.name, "sources": sources, "memories": sorted(folder.glob("*.mem"))}


def _bytes(unit: dict[str, Any]) -> int:
    return sum(path.stat().st_size for path in (*unit["sources"], *unit["memories"]))


def load(path: Path) -> TimingReport | None:
    """The report that `run` wrote to the file `path`; None where there is no file, as nothing was asked for."""
    if not path.is_file():
        return None
    content = json.loads(path.read_text())
    layers = {}
    for name, entry in content["layers"].items():
        ecp5, made = entry["ecp5"], entry["vivado"]
        routed = {key: value for key, value in ecp5.items() if key != "median_mhz"}
        layers[name] = LayerTiming(
            entry["op_type"],
            Routed(**routed | {"mhz": tuple(ecp5["mhz"])}),
            Implemented.from_json({key: value for key, value in made.items() if key != "fmax_mhz"}) if made else None,
        )
    return TimingReport(content["method"], content["device"], tuple(content["seeds"]), layers)


def _to_json(report: TimingReport) -> dict[str, Any]:
    layers = {}
    for name, layer in report.layers.items():
        made = layer.vivado
        layers[name] = {
            "op_type": layer.op_type,
            "ecp5": {"median_mhz": layer.ecp5.median_mhz, **asdict(layer.ecp5)},
            "vivado": {"fmax_mhz": made.fmax_mhz, **made.to_json()} if made else None,
        }
    return {"method": report.method, "device": report.device, "seeds": list(report.seeds), "layers": layers}
