"""synth: what the network takes of an FPGA, counted by Yosys.

Every layer is synthesized out of context, alone under the wrapper that codegen writes, and the counts are summed.
Layers with the same parameters and memory contents are synthesized once. Nothing is placed, routed or timed.

A layer of the style hls (`pipeline/folding/impl_styles.py`) is synthesized from its C++ too, by Vitis HLS where that
is on PATH. Its estimate stands beside the count: totals are those of the RTL, which is what goes on the board.

The netlist that a layer was counted from is kept, and so are those of what stands between the network and the processors
of a board, whose resources are not counted.

Requires a folded graph, FIFOs and width converters in place. Ensures that the sum over the layers is the total.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import fingerprint
from pipeline.codegen import accelerator
from pipeline.codegen.hls import HlsLayer, write_layer
from pipeline.codegen.rtl import Design, describe_design, rtl_sources, write_design
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.devices.boards import Board
from pipeline.devices.resources import PART_KEYS, Resources
from pipeline.errors import ModelError, ToolError
from pipeline.scratch import scratch_folder
from pipeline.tools import vitis_hls, yosys
from pipeline.tools.pool import side_by_side
from pipeline.tools.vitis_hls import Estimated
from pipeline.tools.yosys import SynthesisResult

__all__ = [
    "FILE",
    "LayerResources",
    "ResourceReport",
    "alone",
    "count",
    "load",
    "load_netlists",
    "run",
    "surroundings",
    "unit",
]

FILE = "ooc_synth_and_timing.json"
_NETLISTS = "netlists.json"  # beside the netlists: the file of each layer

_NO_VITIS_HLS = "no vitis_hls on PATH"


@dataclass(frozen=True)
class LayerResources:
    """One layer out of context. `modules` is the share of each module of hw/rtl that has one; the sum is `total`.

    `hls` is what Vitis HLS estimates of its C++, where its style is hls and Vitis HLS was there.
    """

    op_type: str
    total: Resources
    modules: dict[str, Resources]
    impl_style: str = "rtl"
    hls: Estimated | None = None

    @property
    def how(self) -> str:
        """How `total` is known."""
        if self.impl_style == "rtl":
            return "counted by Yosys"
        return "counted by Yosys, of its RTL" + ("" if self.hls else f", as there is {_NO_VITIS_HLS}")


@dataclass(frozen=True)
class ResourceReport:
    """The content of report/ooc_synth_and_timing.json."""

    method: str
    board: str
    part: str
    capacity: Resources  # of the part
    layers: dict[str, LayerResources]
    total: Resources  # the sum over the layers
    whole: Resources | None  # the stitched top in one run, where it was asked for

    @property
    def utilization(self) -> dict[str, float | None]:
        """The share of each resource of the part that `total` takes; None where the part has none of it."""
        used, capacity = self.total.to_report(PART_KEYS), self.capacity.to_report(PART_KEYS)
        return {key: used[key] / capacity[key] if capacity[key] else None for key in PART_KEYS}

    @property
    def exceeded(self) -> tuple[str, ...]:
        """The resources of which `total` takes more than the part has."""
        return tuple(self.total.exceeded(self.capacity))

    @property
    def excess(self) -> str:
        """How much of what is exceeded is taken, of how much; empty if nothing is."""
        exceeded = self.total.exceeded(self.capacity)
        return ", ".join(f"{used:,} {key} of {capacity:,}" for key, (used, capacity) in exceeded.items())

    @property
    def in_hls(self) -> str:
        """A line on the layers of the style hls, empty where there are none."""
        preferred = [layer for layer in self.layers.values() if layer.impl_style == "hls"]
        estimates = [layer.hls for layer in preferred if layer.hls]
        if not estimates:
            return (
                f"{_count_of(len(preferred))} of style hls counted in RTL, as there is {_NO_VITIS_HLS}"
                if preferred
                else ""
            )
        luts = sum(estimated.utilization.lut for estimated in estimates)
        in_rtl = sum(layer.total.lut for layer in preferred)
        return f"{_count_of(len(estimates))} in HLS C++ {luts:,} LUT, {estimates[0].how}; in RTL {in_rtl:,}"


def run(
    graph: LayerGraph,
    board: Board,
    folder: Path,
    *,
    cache: Path,
    whole: bool = False,
    check_overflow: bool = False,
    styles: Mapping[str, str] | None = None,
    clock_period_ns: float | None = None,
    netlists: Path | None = None,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> ResourceReport:
    """Synthesize every layer of `graph` for `board`, and the stitched top too if `whole`; write `folder`/FILE.

    The netlists go to the folder `netlists`, if it is given: see `load_netlists`. With `check_overflow` the units are those
    of a debug build, which watches its accumulators. The layers that are hls in `styles` are synthesized by Vitis HLS too
    where it is on PATH, for a clock of `clock_period_ns`, else the board's.

    Results are taken from and added to the folder `cache`. `workers` runs go in parallel; the widest layers take some
    0.6 GiB each. `on_progress` is told how many of how many runs are done. Raises ToolError if Yosys is missing, or if
    it or Vitis HLS fails.
    """
    styles = styles or {}
    with scratch_folder("synth") as scratch:
        units = {layer.name: unit(layer, scratch / str(i), check_overflow) for i, layer in enumerate(graph)}
        if netlists and board.processing_system:
            units |= surroundings(graph, check_overflow)
        together = []
        if whole:
            network = (graph.layers, [graph.input], [graph.output], scratch / "whole", "whole")
            together.append(_unit(write_design(*network, check_overflow=check_overflow)))
        everything = [*units.values(), *together]
        results = _synthesize_all(everything, board.family, cache, workers, on_progress)
        if netlists:
            _keep_netlists(units, board.family, cache, netlists)
    in_hls = [layer for layer in graph if styles.get(layer.name) == "hls"] if vitis_hls.find() else []
    clock = clock_period_ns or board.clock_period_ns
    estimated = _estimate_all(in_hls, board.part, clock, cache / "vitis_hls", workers, on_progress)
    layers = {
        layer.name: LayerResources(
            layer.op_type,
            result.total,
            {m: resources for m, resources in result.by_module.items() if resources != Resources()},
            styles.get(layer.name, "rtl"),
            estimated.get(layer.name),
        )
        for layer, result in zip(graph, results, strict=False)
    }
    total = sum((layer.total for layer in layers.values()), Resources())
    in_dsps = ", what is meant for DSPs put into them by mul2dsp and xilinx_dsp" if total.dsp else ""
    report = ResourceReport(
        method=f"counted by Yosys (pyosys {yosys.version()}), {yosys.recipe(board.family)}{in_dsps}, hierarchy kept, each "
        "layer out of context, no placement, no routing, no timing",
        board=board.name,
        part=board.part,
        capacity=board.capacity,
        layers=layers,
        total=total,
        whole=results[-1].total if whole else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(_to_json(report), indent=2) + "\n")
    return report


def count(
    layers: Sequence[Layer],
    family: str,
    *,
    cache: Path,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Resources]:
    """What each of `layers` takes of Yosys' `family`, out of context, as `run` counts it."""
    with scratch_folder("synth") as scratch:
        units = [unit(layer, scratch / str(i)) for i, layer in enumerate(layers)]
        return [result.total for result in _synthesize_all(units, family, cache, workers, on_progress)]


def load(path: Path) -> ResourceReport:
    """The report that `run` wrote to the file `path`. Raises ModelError where it is missing or damaged."""
    try:
        return _loaded(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"The report {path} cannot be read: {error!r}. Build it again.") from error


def _loaded(path: Path) -> ResourceReport:
    content = json.loads(path.read_text())
    whole = content.get("whole")
    return ResourceReport(
        method=content["method"],
        board=content["board"],
        part=content["part"],
        capacity=Resources.from_report(content["capacity"], PART_KEYS),
        layers={
            name: LayerResources(
                entry["op_type"],
                Resources.from_report(entry),
                {module: Resources.from_report(resources) for module, resources in entry["modules"].items()},
                entry["impl_style"],
                _read_estimated(entry["hls"]) if entry["hls"] else None,
            )
            for name, entry in content["layers"].items()
        },
        total=Resources.from_report(content),
        whole=Resources.from_report(whole) if whole else None,
    )


def load_netlists(folder: Path) -> dict[str, Path]:
    """The file of each netlist that `run` kept in `folder`, by layer; see `pipeline/tools/netlist.py`.

    Where the board has processors, those of `surroundings` are there too.
    """
    files = json.loads((folder / _NETLISTS).read_text())
    return {name: folder / file for name, file in files.items()}


def surroundings(graph: LayerGraph, check_overflow: bool = False) -> dict[str, yosys.Unit]:
    """What stands between the stitched `graph` and the processors, by name: its shell, and converters where there are any."""
    design = describe_design(
        graph.layers, [graph.input], [graph.output], Path(), "network", check_overflow=check_overflow
    )
    modules = {accelerator.SHELL: (accelerator.SHELL, accelerator.shell_parameters(design))}
    for side, parameters in accelerator.converter_parameters(design).items():
        modules[f"{side}_converter"] = ("streaming_data_width_converter", parameters)
    library = {source.stem: source for source in rtl_sources()}
    return {
        name: yosys.Unit(module, yosys.needed_sources(library[module], library.values()), parameters=parameters)
        for name, (module, parameters) in modules.items()
    }


def _keep_netlists(units: Mapping[str, yosys.Unit], family: str, cache: Path, folder: Path) -> None:
    """Put the netlist of each of `units` into `folder`, that of equal ones once, with a file that says which is whose."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, one in units.items():
        source = yosys.netlist(one, family, cache=cache)
        files[name] = source.name
        shutil.copyfile(source, folder / source.name)
    (folder / _NETLISTS).write_text(json.dumps(files, indent=1) + "\n")


def unit(layer: Layer, folder: Path, check_overflow: bool = False) -> yosys.Unit:
    """One layer out of context as Yosys is given it; see `alone`."""
    return _unit(alone(layer, folder, check_overflow))


def _unit(design: Design) -> yosys.Unit:
    *companions, top = design.generated
    memories = sorted(design.folder.glob("*.mem"))
    return yosys.Unit(design.name, yosys.needed_sources(top, [*rtl_sources(), *companions]), memories)


def alone(layer: Layer, folder: Path, check_overflow: bool = False) -> Design:
    """The wrapper of one layer, with all names that do not matter taken out, so that equal layers give equal files."""
    layer = _nameless(layer)
    return write_design([layer], layer.input_names, layer.output_names, folder, "ooc", check_overflow=check_overflow)


def _nameless(layer: Layer) -> Layer:
    inputs = tuple(f"in{i}" for i in range(len(layer.input_names)))
    outputs = tuple(f"out{i}" for i in range(len(layer.output_names)))
    return replace(layer, name="layer", source="", input_names=inputs, output_names=outputs)


def _estimate_all(
    layers: Sequence[Layer],
    part: str,
    period_ns: float,
    cache: Path,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, Estimated]:
    """What Vitis HLS makes of each of `layers`, by name; equal ones are synthesized once."""

    def estimate(name: str, written: HlsLayer) -> Estimated:
        try:
            return vitis_hls.synthesize(written, part, period_ns, cache)
        except ToolError as error:
            raise ToolError(f"layer {name} in HLS C++: {error}") from error

    with scratch_folder("hls") as scratch:
        written = [write_layer(_nameless(layer), scratch / str(i)) for i, layer in enumerate(layers)]
        keys = [fingerprint.folder(cpp.source.parent) for cpp in written]
        distinct = {key: (layer.name, cpp) for key, layer, cpp in zip(keys, layers, written, strict=True)}
        results = side_by_side([partial(estimate, *entry) for entry in distinct.values()], workers, on_progress)
    estimates = dict(zip(distinct, results, strict=True))
    return {layer.name: estimates[key] for layer, key in zip(layers, keys, strict=True)}


def _synthesize_all(
    units: Sequence[yosys.Unit],
    family: str,
    cache: Path,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> list[SynthesisResult]:
    """The result of each unit, those begun first that have most to map: the last to end then ends soon after the others."""
    order = sorted(range(len(units)), key=lambda i: _size(units[i]), reverse=True)
    largest_first = [units[i] for i in order]
    results = yosys.synthesize(largest_first, family, cache=cache, workers=workers, on_progress=on_progress)
    return [result for _, result in sorted(zip(order, results, strict=True), key=lambda pair: pair[0])]


def _count_of(layers: int) -> str:
    return f"{layers} layer{'s' if layers > 1 else ''}"


def _size(unit: yosys.Unit) -> int:
    """Bytes of its memories and of its sources, among which are adder graphs."""
    return sum(path.stat().st_size for path in (*unit.memories, *unit.sources))


def _read_estimated(entry: Mapping[str, Any]) -> Estimated:
    facts = {field.name: entry[field.name] for field in fields(Estimated) if field.name != "utilization"}
    return Estimated(**facts, utilization=Resources.from_report(entry))


def _estimated(estimated: Estimated) -> dict[str, Any]:
    facts = asdict(estimated)
    del facts["utilization"]
    return {**estimated.utilization.to_report(), "how": estimated.how, **facts}


def _to_json(report: ResourceReport) -> dict[str, Any]:
    return {
        **report.total.to_report(),
        "method": report.method,
        "board": report.board,
        "part": report.part,
        "capacity": report.capacity.to_report(PART_KEYS),
        "utilization": report.utilization,
        "layers": {
            name: {
                "op_type": layer.op_type,
                **layer.total.to_report(),
                "impl_style": layer.impl_style,
                "how": layer.how,
                "hls": _estimated(layer.hls) if layer.hls else None,
                "modules": {module: resources.to_report() for module, resources in layer.modules.items()},
            }
            for name, layer in report.layers.items()
        },
        **({"whole": report.whole.to_report()} if report.whole else {}),
    }
