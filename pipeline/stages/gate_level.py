"""gate_level: the netlists that resources are counted from, simulated beside the SystemVerilog, equal in every cycle.

Each distinct netlist runs in one Verilator model with the layer that it was mapped from, on the same golden frames with
random gaps on every port: in every cycle after a reset valid and ready are equal, and data while it is offered, as are
the overflow flag and whether the weights are there. What no reset sets begins at random in both. The layer's output is
compared with its reference, too.

Requires a folded graph and the netlists of its layers. Ensures that no netlist differs from its layer on these frames:
that is a simulation, not a proof.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.kernels.base import Kernel
from pipeline.stages.codegen import Design, write_template, write_text
from pipeline.stages.comparison import compare
from pipeline.stages.rtlsim import write_layer_bench
from pipeline.tools.gates import count_cells, gate_sources, models_of, verilog
from pipeline.tools.netlist import read_netlist
from pipeline.tools.pool import side_by_side
from pipeline.tools.scratch import scratch_folder
from pipeline.tools.verilator import build_model

__all__ = ["FILE", "GateLevelReport", "UnitRun", "load", "run"]

FILE = "gate_level.json"

_TOP = "gate_level"
_GATES = "gates"  # the file of the netlists and of the primitives' models, beside the top
_CELLS = 8_000  # primitives of a model: a larger one takes longer to compile than several take beside each other


@dataclass(frozen=True)
class UnitRun:
    """One netlist beside its layer: `layers` are all that it is the netlist of, of which the first was simulated.

    `cells` are its primitives, in `cycles` it was compared, and `beats` is in how many of them its outputs offered data.
    """

    layers: tuple[str, ...]
    cells: int
    frames: int
    cycles: int
    beats: int


@dataclass(frozen=True)
class GateLevelReport:
    """The content of report/gate_level.json."""

    method: str
    stall_seed: int
    units: tuple[UnitRun, ...]

    @property
    def summary(self) -> str:
        """One sentence."""
        cycles = [unit.cycles for unit in self.units]
        frames = self.units[0].frames
        return (
            f"{len(self.units)} netlists of {sum(len(unit.layers) for unit in self.units)} layers, "
            f"{sum(unit.cells for unit in self.units):,} primitives: no difference from the SystemVerilog in "
            f"{sum(cycles):,} cycles, {frames} frame{'s' if frames > 1 else ''} each with random stalls"
        )


def run(
    graph: LayerGraph,
    netlists: Mapping[str, Path],
    frames: np.ndarray,
    models: Path,
    folder: Path,
    *,
    stall_seed: int,
    check_overflow: bool = False,
    workers: int = 2,
    log: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, int], None] | None = None,
) -> GateLevelReport:
    """Simulate the netlists of the layers of `graph`, files by layer, on `frames`, (N, H, W, C); write `folder`/FILE.

    Layers with the same file are simulated once. With `check_overflow` the netlists are those of a debug build. Compiled
    models are kept in the folder `models`; `workers` run at once. Raises VerificationError naming the layer, the cycle,
    the port and both values where a netlist differs, and UnsupportedError for a primitive without a model.
    """
    sharing: dict[Path, list[str]] = {}
    for layer in graph:
        sharing.setdefault(netlists[layer.name], []).append(layer.name)
    units = [_Unit(graph.layer(names[0]), tuple(names), read_netlist(path)) for path, names in sharing.items()]
    values = graph.execute(frames)
    done: list[int] = []

    def simulate(group: Sequence[_Unit]) -> list[UnitRun]:
        with scratch_folder("gates") as scratch:
            runs = _simulate(group, values, scratch, models, stall_seed, check_overflow)
        done.append(len(group))
        for run in runs:
            log(f"{run.layers[0]}: {run.cells:,} primitives, {run.cycles:,} cycles, no difference")
        return runs

    progress = on_progress and (lambda *_: on_progress(sum(done), len(units)))
    runs = side_by_side([partial(simulate, group) for group in _grouped(units)], workers, progress)
    place = {layer.name: i for i, layer in enumerate(graph)}
    report = GateLevelReport(
        method="Verilator, each netlist that resources are counted from beside its SystemVerilog: valid and ready in every "
        "cycle after a reset, data while it is offered; a simulation, not a proof",
        stall_seed=stall_seed,
        units=tuple(sorted((run for group in runs for run in group), key=lambda run: place[run.layers[0]])),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(asdict(report), indent=2) + "\n")
    return report


def load(path: Path) -> GateLevelReport | None:
    """The report that `run` wrote to the file `path`; None where there is no file, as nothing was asked for."""
    if not path.is_file():
        return None
    content = json.loads(path.read_text())
    units = tuple(UnitRun(**entry | {"layers": tuple(entry["layers"])}) for entry in content["units"])
    return GateLevelReport(content["method"], content["stall_seed"], units)


@dataclass(frozen=True)
class _Unit:
    """A netlist, the layer that it runs beside, and the names of all layers that it is the netlist of."""

    layer: Kernel
    names: tuple[str, ...]
    netlist: Mapping[str, Any]

    @cached_property
    def cells(self) -> dict[str, int]:
        return count_cells(self.netlist)


@dataclass(frozen=True)
class _Compared:
    """A port of a netlist, the signal that it must equal, and when it means something: expressions of the top."""

    port: str
    bits: int
    signal: str
    meant: str = "1'b1"


def _grouped(units: Sequence[_Unit]) -> list[list[_Unit]]:
    """`units` in groups of up to _CELLS primitives, the largest first; a larger one is alone."""
    groups: list[list[_Unit]] = []
    room: list[int] = []
    for unit in sorted(units, key=lambda unit: sum(unit.cells.values()), reverse=True):
        size = sum(unit.cells.values())
        fitting = next((i for i, left in enumerate(room) if left >= size), None)
        if fitting is None:
            groups.append([])
            room.append(_CELLS)
            fitting = -1
        groups[fitting].append(unit)
        room[fitting] -= size
    return groups


def _simulate(
    units: Sequence[_Unit],
    values: Mapping[str, np.ndarray],
    folder: Path,
    models: Path,
    stall_seed: int,
    check_overflow: bool,
) -> list[UnitRun]:
    """Simulate `units` side by side, the inputs of whose layers are among `values`."""
    design, layers = write_layer_bench([unit.layer for unit in units], folder, check_overflow=check_overflow)
    try:
        text = models_of({cell for unit in units for cell in unit.cells})
    except UnsupportedError as error:
        names = ", ".join(unit.layer.name for unit in units)
        raise UnsupportedError(f"gate-level simulation of {names}: {error}") from None
    gates = "\n".join(verilog(unit.netlist, f"gates_{i}_") for i, unit in enumerate(units))
    write_text(folder / f"{_GATES}.sv", f"{text}\n{gates}")
    for source in gate_sources():
        write_text(folder / source.name, source.read_bytes())
    beside = _write_top(design, layers, units)
    companions = (*design.companions, design.name, *(source.stem for source in gate_sources()), _GATES)
    top = replace(design, name=_TOP, companions=companions, overflow_layers=())
    streams = {
        bench: values[stream]
        for layer, unit in zip(layers, units, strict=True)
        for bench, stream in zip(layer.inputs, unit.layer.inputs, strict=True)
    }
    counts = {stream: len(streams[layer.inputs[0]]) for layer in layers for stream in layer.outputs}
    idle_limit = 2 * max(layer.cycles() for layer in layers) + 10_000
    result = build_model(top, models, jobs=1, optimized=False).run(
        streams, counts, stalls=stall_seed, idle_limit=idle_limit
    )
    runs = []
    for i, (layer, unit) in enumerate(zip(layers, units, strict=True)):
        stats = {port.port: result.stats[f"TOP.{_TOP}.compare_{i}_{port.port}"] for port in beside[i]}
        differences = [(*own["difference"][0], port) for port, own in stats.items() if "difference" in own]
        if differences:
            cycle, rtl, gates, port = min(differences)
            raise VerificationError(
                f"the netlist of layer {unit.layer.name} differs from its SystemVerilog: {port} is {gates:#x} instead of "
                f"{rtl:#x} in cycle {cycle:,} after a reset, with the stalls of seed {stall_seed}. Synthesis has changed what "
                "the layer computes: report it to Yosys, and do not trust the counts of this layer"
            )
        expected = layer.reference(*(streams[stream] for stream in layer.inputs))
        for stream, value in zip(layer.outputs, expected, strict=True):
            compare(unit.layer.name, f"layer {unit.layer.name} beside its netlist", result.outputs[stream], value)
        beats = sum(own["compared"][0] for port, own in stats.items() if port.endswith("_tdata"))
        frames = len(streams[layer.inputs[0]])
        runs.append(UnitRun(unit.names, sum(unit.cells.values()), frames, result.cycles, beats))
    return runs


def _write_top(design: Design, layers: Sequence[Kernel], units: Sequence[_Unit]) -> list[list[_Compared]]:
    """Write the module _TOP beside `design`, which instantiates that and the netlist of each of its `layers`; returns what
    is compared of each."""
    ports = {port.stream: port for port in (*design.inputs, *design.outputs)}
    loading = [layer.name for layer in layers if layer.loads_weights]
    entries, compared = [], []
    for i, (layer, unit) in enumerate(zip(layers, units, strict=True)):
        inputs = [(f"s_axis_{n}", ports[stream]) for n, stream in enumerate(layer.inputs)]
        outputs = [(f"m_axis_{n}", ports[stream]) for n, stream in enumerate(layer.outputs)]
        driven = [(f"{name}_{end}", f"{port.name}_{end}") for name, port in inputs for end in ("tvalid", "tdata")]
        driven += [(f"{name}_tready", f"{port.name}_tready") for name, port in outputs]
        beside = [_Compared(f"{name}_tready", 1, f"{port.name}_tready") for name, port in inputs]
        for name, port in outputs:
            valid = f"{port.name}_tvalid"
            beside.append(_Compared(f"{name}_tvalid", 1, valid))
            beside.append(_Compared(f"{name}_tdata", 8 * port.bytes, f"{port.name}_tdata", valid))
        if layer.loads_weights:
            link = loading.index(layer.name)
            chain = "u_rtl.weight_chain"
            driven += [
                ("s_axis_weights_tvalid", f"{chain}_valid[{link}]"),
                ("s_axis_weights_tdata", f"{chain}_data[{link}]"),
            ]
            beside.append(_Compared("weights_loaded", 1, f"{chain}_loaded[{link}]"))
        if layer.name in design.overflow_layers:
            beside.append(_Compared("overflow", 1, f"u_rtl.overflow[{design.overflow_layers.index(layer.name)}]"))
        (module,) = (name for name, facts in unit.netlist["modules"].items() if "top" in facts["attributes"])
        entries.append({"layer": layer.name, "module": f"gates_{i}_{module}", "driven": driven, "compared": beside})
        compared.append(beside)
    write_template(
        "gate_level.sv.jinja",
        design.folder / f"{_TOP}.sv",
        name=_TOP,
        rtl=design.name,
        inputs=design.inputs,
        outputs=design.outputs,
        loads=bool(loading),
        overflows=bool(design.overflow_layers),
        units=entries,
    )
    return compared
