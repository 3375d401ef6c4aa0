"""synth: what the network takes of an FPGA, counted by Yosys.

Every layer is synthesized out of context, alone under the wrapper that codegen writes, and the counts are summed.
Layers with the same parameters and memory contents are synthesized once. Nothing is placed, routed or timed.

Requires a folded graph, FIFOs and width converters in place. Ensures that the sum over the layers is the total.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from pipeline.boards import Board
from pipeline.dataflow.graph import LayerGraph
from pipeline.kernels.base import Kernel
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.stages.codegen import Design, rtl_sources, write_design
from pipeline.tools import yosys
from pipeline.tools.pool import side_by_side
from pipeline.tools.yosys import SynthesisResult, Utilization

__all__ = ["FILE", "LayerResources", "ResourceReport", "alone", "count", "load", "run"]

FILE = "ooc_synth_and_timing.json"

_TOGETHER = 16  # layers without a matrix, which are small, in one run: Yosys takes longer to begin than for one of them

_FINN_KEYS = {
    "LUT": "lut",
    "LUTRAM": "lutram",
    "SRL": "srl",
    "FF": "ff",
    "Carry": "carry",
    "BRAM_18K": "bram_18k",
    "URAM": "uram",
    "DSP": "dsp",
}


@dataclass(frozen=True)
class LayerResources:
    """One layer out of context. `modules` is the share of each module of hw/rtl that has one; the sum is `total`."""

    op_type: str
    total: Utilization
    modules: dict[str, Utilization]


@dataclass(frozen=True)
class ResourceReport:
    """The content of report/ooc_synth_and_timing.json."""

    method: str
    board: str
    part: str
    capacity: dict[str, float]  # LUT, FF, BRAM_18K, URAM, DSP of the part
    layers: dict[str, LayerResources]
    total: Utilization  # the sum over the layers
    whole: Utilization | None  # the stitched top in one run, where it was asked for

    @property
    def utilization(self) -> dict[str, float | None]:
        """The share of each resource of the part that `total` takes; None where the part has none of it."""
        used = self.used
        return {key: used[key] / capacity if capacity else None for key, capacity in self.capacity.items()}

    @property
    def exceeded(self) -> tuple[str, ...]:
        """The resources of which `total` takes more than the part has."""
        used = self.used
        return tuple(key for key, capacity in self.capacity.items() if used[key] > capacity)

    @property
    def excess(self) -> str:
        """How much of what is exceeded is taken, of how much; empty if nothing is."""
        used = self.used
        return ", ".join(f"{used[key]:,} {key} of {self.capacity[key]:,}" for key in self.exceeded)

    @property
    def used(self) -> dict[str, int]:
        """What `total` takes, by FINN's keys."""
        return _finn(self.total)


def run(
    graph: LayerGraph,
    board: Board,
    folder: Path,
    *,
    cache: Path,
    whole: bool = False,
    check_overflow: bool = False,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> ResourceReport:
    """Synthesize every layer of `graph` for `board`, and the stitched top too if `whole`; write `folder`/FILE.

    With `check_overflow` they are those of a debug build, which watches its accumulators.

    Results are taken from and added to the folder `cache`. `workers` runs go in parallel; the widest layers take some
    0.6 GiB each. `on_progress` is told how many of how many runs are done. Raises ToolError if Yosys is missing or
    fails.
    """
    with tempfile.TemporaryDirectory(prefix="a2q-synth-") as scratch:
        tops = [alone(layer, Path(scratch, str(i)), check_overflow) for i, layer in enumerate(graph)]
        if whole:
            network = (graph.layers, [graph.input], [graph.output], Path(scratch, "whole"), "whole")
            tops.append(write_design(*network, check_overflow=check_overflow))
        small = [not isinstance(layer, MatrixVector) for layer in graph] + [False] * whole
        results = _synthesize_all(tops, small, board.family, cache, workers, on_progress)
    layers = {
        layer.name: LayerResources(
            layer.op_type, result.total, {m: own for m, own in result.by_module.items() if own != Utilization()}
        )
        for layer, result in zip(graph, results, strict=False)
    }
    report = ResourceReport(
        method=f"counted by Yosys (pyosys {yosys.version()}), {yosys.recipe(board.family)}, hierarchy kept, each layer "
        "out of context, no placement, no routing, no timing",
        board=board.name,
        part=board.part,
        capacity={
            "LUT": board.luts,
            "FF": board.ffs,
            "BRAM_18K": 2 * board.bram36,
            "URAM": board.urams,
            "DSP": board.dsps,
        },
        layers=layers,
        total=sum((layer.total for layer in layers.values()), Utilization()),
        whole=results[-1].total if whole else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(_to_json(report), indent=2) + "\n")
    return report


def count(
    layers: Sequence[Kernel],
    family: str,
    *,
    cache: Path,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Utilization]:
    """What each of `layers` takes of Yosys' `family`, out of context, as `run` counts it."""
    with tempfile.TemporaryDirectory(prefix="a2q-synth-") as scratch:
        tops = [alone(layer, Path(scratch, str(i))) for i, layer in enumerate(layers)]
        small = [not isinstance(layer, MatrixVector) for layer in layers]
        return [result.total for result in _synthesize_all(tops, small, family, cache, workers, on_progress)]


def load(path: Path) -> ResourceReport:
    """The report that `run` wrote to the file `path`."""
    content = json.loads(path.read_text())
    whole = content.get("whole")
    return ResourceReport(
        method=content["method"],
        board=content["board"],
        part=content["part"],
        capacity=content["capacity"],
        layers={
            name: LayerResources(
                entry["op_type"], _read(entry), {module: _read(own) for module, own in entry["modules"].items()}
            )
            for name, entry in content["layers"].items()
        },
        total=_read(content),
        whole=_read(whole) if whole else None,
    )


def alone(layer: Kernel, folder: Path, check_overflow: bool = False) -> Design:
    """The wrapper of one layer, with all names that do not matter taken out, so that equal layers give equal files."""
    inputs = tuple(f"in{i}" for i in range(len(layer.inputs)))
    outputs = tuple(f"out{i}" for i in range(len(layer.outputs)))
    nameless = replace(layer, name="layer", source="", inputs=inputs, outputs=outputs)
    return write_design([nameless], inputs, outputs, folder, "ooc", check_overflow=check_overflow)


def _synthesize_all(
    designs: Sequence[Design],
    small: Sequence[bool],
    family: str,
    cache: Path,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> list[SynthesisResult]:
    """The result of each design, each distinct one synthesized once: the largest first, the `small` ones together."""
    library = rtl_sources()
    keys: list[str] = []
    large: dict[str, yosys.Unit] = {}
    others: dict[str, yosys.Unit] = {}
    for design, is_small in zip(designs, small, strict=True):
        *companions, top = design.generated
        memories = sorted(design.folder.glob("*.mem"))
        unit = yosys.Unit(design.name, yosys.needed_sources(top, [*library, *companions]), memories)
        keys.append(unit.key(family))
        (others if is_small else large).setdefault(keys[-1], unit)
    runs = [[key] for key in sorted(large, key=lambda key: _memory_bytes(large[key]), reverse=True)]
    size = min(_TOGETHER, max(len(others) // workers, 1))
    runs += [list(others)[start : start + size] for start in range(0, len(others), size)]
    units = large | others
    finished: list[int] = []  # the units of each run that is done

    def counted(run: Sequence[str]) -> dict[str, SynthesisResult]:
        found = yosys.synthesize([units[key] for key in run], family, cache=cache)
        finished.append(len(run))
        return dict(zip(run, found, strict=True))

    told = on_progress and (lambda *runs: on_progress(sum(finished), len(units)))
    results: dict[str, SynthesisResult] = {}
    for own in side_by_side([partial(counted, run) for run in runs], workers, told):
        results |= own
    return [results[key] for key in keys]


def _memory_bytes(unit: yosys.Unit) -> int:
    return sum(path.stat().st_size for path in unit.memories)


def _finn(used: Utilization) -> dict[str, int]:
    values = asdict(used)
    return {key: values[field] for key, field in _FINN_KEYS.items()}


def _read(entry: Mapping) -> Utilization:
    return Utilization(**{field: entry[key] for key, field in _FINN_KEYS.items()})


def _to_json(report: ResourceReport) -> dict:
    return {
        **_finn(report.total),
        "method": report.method,
        "board": report.board,
        "part": report.part,
        "capacity": report.capacity,
        "utilization": report.utilization,
        "layers": {
            name: {
                "op_type": layer.op_type,
                **_finn(layer.total),
                "modules": {module: _finn(own) for module, own in layer.modules.items()},
            }
            for name, layer in report.layers.items()
        },
        **({"whole": _finn(report.whole)} if report.whole else {}),
    }
