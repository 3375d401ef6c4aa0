"""gate_level: the netlists that resources are counted from, simulated beside the SystemVerilog, equal in every cycle.

Each distinct netlist runs in one Verilator model with the layer that it was mapped from, on the same golden frames with
random gaps on every port: in every cycle after a reset valid and ready are equal, and data while it is offered, as are
the overflow flag and whether the weights are there. What no reset sets begins at random in both. The layer's output is
compared with its reference, too. Netlists of what stands between the network and the processors run beside theirs in random
traffic (`gate_level_shell.py`).

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

from pipeline.codegen.layer_bench import write_layer_bench
from pipeline.codegen.render import write_template
from pipeline.codegen.rtl import Design, describe_design
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.errors import UnsupportedError
from pipeline.scratch import scratch_folder
from pipeline.tools.gates import count_cells
from pipeline.tools.netlist import read_netlist
from pipeline.tools.pool import side_by_side
from pipeline.tools.verilator import build_model
from pipeline.verification.comparison import compare
from pipeline.verification.gate_compare import Compared, beats, gate_module, require_equal, write_gates
from pipeline.verification.gate_level_shell import ShellRun, simulate_shell

__all__ = ["FILE", "GateLevelReport", "UnitRun", "load", "run"]

FILE = "gate_level.json"

_TOP = "gate_level"
_CELLS = 8_000  # primitives of a model: a larger one takes longer to compile than several take beside each other


@dataclass(frozen=True)
class UnitRun:
    """One netlist beside its layer: `layers` are all that it is the netlist of, of which the first was simulated.

    `cells` are its primitives, in `cycles` it was compared, and `beats` is in how many of them its outputs offered data.
    `stalled` says whether there were stalls, which a layer in a pipeline of several does not have.
    """

    layers: tuple[str, ...]
    cells: int
    frames: int
    cycles: int
    beats: int
    stalled: bool = True


@dataclass(frozen=True)
class GateLevelReport:
    """The content of report/gate_level.json."""

    method: str
    stall_seed: int
    units: tuple[UnitRun, ...]
    surroundings: tuple[ShellRun, ...] = ()  # of the shell and its converters, where there are processors

    @property
    def summary(self) -> str:
        """One sentence."""
        cycles = [unit.cycles for unit in self.units]
        frames = self.units[0].frames
        stalled = sum(unit.stalled for unit in self.units)
        how = "with random stalls" if stalled else "at full speed"
        if 0 < stalled < len(self.units):
            how += f", those in pipelines of several layers ({len(self.units) - stalled}) at full speed"
        around = ""
        if self.surroundings:
            cells = sum(run.cells for run in self.surroundings)
            names = ", ".join(run.name for run in self.surroundings)
            around = (
                f"; nor of {names}, {cells:,} primitives, in {self.surroundings[0].cycles:,} cycles of random traffic"
            )
        return (
            f"{len(self.units)} netlists of {sum(len(unit.layers) for unit in self.units)} layers, "
            f"{sum(unit.cells for unit in self.units):,} primitives: no difference from the SystemVerilog in "
            f"{sum(cycles):,} cycles, {frames} frame{'s' if frames > 1 else ''} each {how}{around}"
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

    `netlists` of `synth.surroundings` are simulated in random traffic. Layers with the same file are simulated once. With `check_overflow` the netlists are those of a debug build. Compiled
    models are kept in the folder `models`; `workers` run at once. Raises VerificationError naming the layer, the cycle,
    the port and both values where a netlist differs, and UnsupportedError for a primitive without a model.
    """
    sharing: dict[Path, list[str]] = {}
    for layer in graph:
        sharing.setdefault(netlists[layer.name], []).append(layer.name)
    units = [_Unit(graph.layer(names[0]), tuple(names), read_netlist(path)) for path, names in sharing.items()]
    layers = {layer.name for layer in graph}
    around = {name: read_netlist(path) for name, path in netlists.items() if name not in layers}
    values = graph.execute(frames)
    done: list[int] = []
    shell: list[ShellRun] = []

    def simulate(group: Sequence[_Unit]) -> list[UnitRun]:
        with scratch_folder("gates") as scratch:
            runs = _simulate(group, values, scratch, models, stall_seed, check_overflow)
        done.append(len(group))
        for run in runs:
            log(f"{run.layers[0]}: {run.cells:,} primitives, {run.cycles:,} cycles, no difference")
        return runs

    def simulate_around() -> list[UnitRun]:
        design = describe_design(
            graph.layers, [graph.input], [graph.output], Path(), "network", check_overflow=check_overflow
        )
        with scratch_folder("gates") as scratch:
            shell.extend(simulate_shell(design, around, scratch, models, seed=stall_seed))
        done.append(len(around))
        for run in shell:
            log(f"{run.name}: {run.cells:,} primitives, {run.cycles:,} cycles, no difference")
        return []

    progress = on_progress and (lambda *_: on_progress(sum(done), len(units) + len(around)))
    groups = [group for kind in (True, False) for group in _grouped([unit for unit in units if unit.stalls == kind])]
    calls = [partial(simulate, group) for group in groups] + ([simulate_around] if around else [])
    runs = side_by_side(calls, workers, progress)
    place = {layer.name: i for i, layer in enumerate(graph)}
    report = GateLevelReport(
        method="Verilator, each netlist that resources are counted from beside its SystemVerilog: valid and ready in every "
        "cycle after a reset, data while it is offered; a simulation, not a proof; layers of "
        "one pipeline, which take what comes, without stalls",
        stall_seed=stall_seed,
        units=tuple(sorted((run for group in runs for run in group), key=lambda run: place[run.layers[0]])),
        surroundings=tuple(shell),
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
    surroundings = tuple(ShellRun(**entry) for entry in content["surroundings"])
    return GateLevelReport(content["method"], content["stall_seed"], units, surroundings)


@dataclass(frozen=True)
class _Unit:
    """A netlist, the layer that it runs beside, and the names of all layers that it is the netlist of."""

    layer: Layer
    names: tuple[str, ...]
    netlist: Mapping[str, Any]

    @property
    def stalls(self) -> bool:
        """Whether the layer can be stalled: not in a pipeline of several, whose last one holds what is on its way."""
        return self.layer.alone is self.layer

    @cached_property
    def cells(self) -> dict[str, int]:
        return count_cells(self.netlist)


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
    """Simulate `units` side by side, all that can be stalled or none, the inputs of whose layers are among `values`."""
    design, layers = write_layer_bench(
        [unit.layer for unit in units], folder, check_overflow=check_overflow, alone=False
    )
    try:
        gates = write_gates([unit.netlist for unit in units], folder)
    except UnsupportedError as error:
        names = ", ".join(unit.layer.name for unit in units)
        raise UnsupportedError(f"gate-level simulation of {names}: {error}") from None
    beside = _write_top(design, layers, units)
    companions = (*design.companions, design.name, *gates)
    top = replace(design, name=_TOP, companions=companions, overflow_layers=())
    streams = {
        bench: values[stream]
        for layer, unit in zip(layers, units, strict=True)
        for bench, stream in zip(layer.input_names, unit.layer.input_names, strict=True)
    }
    counts = {stream: len(streams[layer.input_names[0]]) for layer in layers for stream in layer.output_names}
    idle_limit = 2 * max(layer.cycles() for layer in layers) + 10_000
    result = build_model(top, models, jobs=1, optimized=False).run(
        streams, counts, stalls=stall_seed if units[0].stalls else None, idle_limit=idle_limit
    )
    runs = []
    for i, (layer, unit) in enumerate(zip(layers, units, strict=True)):
        require_equal(f"layer {unit.layer.name}", i, beside[i], result.stats, _TOP, stall_seed)
        expected = layer.reference(*(streams[stream] for stream in layer.input_names))
        for stream, value in zip(layer.output_names, expected, strict=True):
            compare(unit.layer.name, f"layer {unit.layer.name} beside its netlist", result.outputs[stream], value)
        frames = len(streams[layer.input_names[0]])
        offered = beats(i, beside[i], result.stats, _TOP)
        runs.append(UnitRun(unit.names, sum(unit.cells.values()), frames, result.cycles, offered, unit.stalls))
    return runs


def _write_top(design: Design, layers: Sequence[Layer], units: Sequence[_Unit]) -> list[list[Compared]]:
    """Write the module _TOP beside `design`, which instantiates that and the netlist of each of its `layers`; returns what
    is compared of each."""
    ports = {port.stream: port for port in (*design.inputs, *design.outputs)}
    loading = [layer.name for layer in layers if layer.loads_weights]
    entries, compared = [], []
    for i, (layer, unit) in enumerate(zip(layers, units, strict=True)):
        inputs = [(f"s_axis_{n}", ports[stream]) for n, stream in enumerate(layer.input_names)]
        outputs = [(f"m_axis_{n}", ports[stream]) for n, stream in enumerate(layer.output_names)]
        driven = [(f"{name}_{end}", f"{port.name}_{end}") for name, port in inputs for end in ("tvalid", "tdata")]
        driven += [(f"{name}_tready", f"{port.name}_tready") for name, port in outputs]
        beside = [Compared(f"{name}_tready", 1, f"{port.name}_tready") for name, port in inputs]
        for name, port in outputs:
            valid = f"{port.name}_tvalid"
            beside.append(Compared(f"{name}_tvalid", 1, valid))
            beside.append(Compared(f"{name}_tdata", 8 * port.bytes, f"{port.name}_tdata", valid))
        if layer.loads_weights:
            link = loading.index(layer.name)
            chain = "u_rtl.weight_chain"
            driven += [
                ("s_axis_weights_tvalid", f"{chain}_valid[{link}]"),
                ("s_axis_weights_tdata", f"{chain}_data[{link}]"),
            ]
            beside.append(Compared("weights_loaded", 1, f"{chain}_loaded[{link}]"))
        if layer.name in design.overflow_layers:
            beside.append(Compared("overflow", 1, f"u_rtl.overflow[{design.overflow_layers.index(layer.name)}]"))
        module = gate_module(unit.netlist, i)
        entries.append({"layer": layer.name, "module": module, "driven": driven, "compared": beside})
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
