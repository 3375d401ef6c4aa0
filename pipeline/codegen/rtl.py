"""codegen: the layer graph as SystemVerilog, with its weights and thresholds as memory files.

A design is one top module with FINN's port names (ap_clk, ap_rst_n, s_axis_<i>_*, m_axis_<i>_*) that instantiates one
module of hw/rtl for each layer. The same function writes the stitched network and a single layer on its own.

Where weights are loaded at start-up the top has the stream s_axis_weights_*, of 32-bit words, and weights_loaded. Words go
down a chain of those layers: each takes its own, then passes on what comes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.codegen.render import render, write_template, write_text
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer, Stream
from pipeline.dataflow.packing import beat_bytes
from pipeline.files import RTL

__all__ = [
    "STITCHED_TOP",
    "WEIGHT_FILE",
    "Design",
    "Port",
    "describe_design",
    "describe_stitched",
    "identifier",
    "rtl_sources",
    "streams_by_name",
    "write_design",
]

STITCHED_TOP = "finn_design_wrapper"  # the top module of a whole network
WEIGHT_FILE = "weights.bin"  # the words of the weight stream, little endian


@dataclass(frozen=True)
class Port(Stream):
    """One AXI stream of a top module."""

    name: str = field(kw_only=True)  # s_axis_0, m_axis_0, …
    stream: str = field(kw_only=True)

    @property
    def bytes(self) -> int:
        return beat_bytes(self.lanes, self.type.bits)


@dataclass(frozen=True)
class Design:
    """A generated top module: `folder` holds <name>.sv, the modules that are generated for single layers, and memory
    files, which are named relative to `folder`. `weight_words`, uint32 (n,), is what the weight stream must bring after
    each reset; where it is empty there is no such port, else they are in WEIGHT_FILE too."""

    name: str
    folder: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    instances: dict[str, str]  # instance name in the top module → layer name
    companions: tuple[str, ...]  # generated modules beside the top
    overflow_layers: tuple[str, ...] = ()  # those that the bits of the port `overflow` stand for; none: no such port
    weight_words: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint32), repr=False, compare=False)

    @property
    def sources(self) -> list[Path]:
        """Every file to read: the modules of hw/rtl first, the top module last."""
        return [*rtl_sources(), *self.generated]

    @property
    def generated(self) -> list[Path]:
        """The files that were generated, the top module last."""
        return [self.folder / f"{module}.sv" for module in (*self.companions, self.name)]


def rtl_sources() -> list[Path]:
    """The modules of hw/rtl, by name."""
    return sorted(RTL.glob("*.sv"))


def describe_design(
    layers: Sequence[Layer],
    inputs: Sequence[str],
    outputs: Sequence[str],
    folder: Path,
    name: str,
    *,
    check_overflow: bool = False,
) -> Design:
    """The design that `write_design` writes for the same arguments."""
    known = streams_by_name(layers)
    return Design(
        name,
        folder,
        tuple(_port(f"s_axis_{i}", name, known[name]) for i, name in enumerate(inputs)),
        tuple(_port(f"m_axis_{i}", name, known[name]) for i, name in enumerate(outputs)),
        {_instance_name(layer): layer.name for layer in layers},
        tuple(_companion_name(layer) for layer in layers if layer.has_companion),
        tuple(layer.name for layer in layers if layer.has_overflow and check_overflow),
        _weight_words(layers),
    )


def describe_stitched(graph: LayerGraph, folder: Path, *, check_overflow: bool = False) -> Design:
    """The stitched network of `graph`, as `write_design` wrote it to `folder`."""
    return describe_design(
        graph.layers, [graph.input], [graph.output], folder, STITCHED_TOP, check_overflow=check_overflow
    )


def write_design(
    layers: Sequence[Layer],
    inputs: Sequence[str],
    outputs: Sequence[str],
    folder: Path,
    name: str,
    *,
    check_overflow: bool = False,
) -> Design:
    """Write the top module `name` and the memory files of `layers` into `folder`.

    `layers` in topological order; `inputs` and `outputs` name the streams that become ports, in order. With
    `check_overflow` the layers that have a matrix watch their accumulators, and the top has a port `overflow` with a bit
    for each of them, in the order of `layers`, high for a cycle when one overflows. Weights that are loaded go to
    `folder`/WEIGHT_FILE. A file whose content has not changed is not written again, so that tools which look at its time
    stay idle.
    """
    design = describe_design(layers, inputs, outputs, folder, name, check_overflow=check_overflow)
    folder.mkdir(parents=True, exist_ok=True)
    known = streams_by_name(layers)
    signals = {name: identifier(name) for name in known}
    if len(design.weight_words):
        write_text(folder / WEIGHT_FILE, design.weight_words.astype("<u4").tobytes())
    loading = [layer.name for layer in layers if layer.loads_weights]
    instances = []
    for layer in layers:
        parameters = {key: _literal(value) for key, value in layer.parameters().items()}
        for parameter, memory in layer.memories().items():
            file = f"{identifier(layer.name)}_{parameter}.mem"
            write_text(folder / file, memory.hex())
            parameters[parameter] = f'"{file}"'
        for parameter, memories in layer.memory_sets().items():
            beginning = f"{identifier(layer.name)}_{parameter}"
            for ending, memory in memories.items():
                write_text(folder / f"{beginning}_{ending}.mem", memory.hex())
            parameters[parameter] = f'"{beginning}"'
        connections = layer.connections(
            tuple(signals[s] for s in layer.input_names), tuple(signals[s] for s in layer.output_names)
        )
        unread = {}  # wires that nothing reads, and their bits
        if layer.name in design.overflow_layers:
            parameters["CheckOverflow"] = "1"
            connections["overflow_o"] = f"overflow[{design.overflow_layers.index(layer.name)}]"
        elif layer.has_overflow:
            connections["overflow_o"] = f"unused_{_instance_name(layer)}_overflow"
            unread[connections["overflow_o"]] = 1
        if layer.loads_weights:
            connections |= _chained(loading.index(layer.name))
        elif layer.has_load_port:
            unused = f"unused_{_instance_name(layer)}_load"
            connections |= _unchained(unused)
            unread[unused] = 34
        companion = layer.companion(_companion_name(layer))
        if companion:
            write_text(folder / f"{_companion_name(layer)}.sv", render(companion.module))
        instances.append(
            {
                "module": layer.rtl_module,
                "name": _instance_name(layer),
                "layer": layer.name,
                "comment": layer.source,
                "parameters": parameters,
                "connections": connections,
                "unread": unread,
                "companion": _companion_name(layer) if companion else None,
                "wires": companion.wires if companion else (),
                "copies": companion.copies if companion else 0,
            }
        )
    write_template(
        "top.sv.jinja",
        folder / f"{name}.sv",
        name=name,
        inputs=design.inputs,
        outputs=design.outputs,
        overflow_layers=design.overflow_layers,
        loading_layers=loading,
        signals=[(signals[name], stream.bits) for name, stream in known.items()],
        signal_of=signals,
        instances=instances,
        instance_of={layer.name: _instance_name(layer) for layer in layers},
    )
    return design


def streams_by_name(layers: Sequence[Layer]) -> dict[str, Stream]:
    """The streams that `layers` write and read. Raises ValueError where a stream's two ends disagree."""
    known: dict[str, Stream] = {}
    for layer in layers:
        for names, streams in ((layer.output_names, layer.outputs()), (layer.input_names, layer.inputs())):
            for name, stream in zip(names, streams, strict=True):
                if known.setdefault(name, stream) != stream:
                    raise ValueError(f"stream {name}: one end is {known[name]}, the other {stream}")
    return known


def _port(name: str, stream: str, of: Stream) -> Port:
    return Port(of.shape, of.type, of.lanes, of.pixels, name=name, stream=stream)


def _weight_words(layers: Sequence[Layer]) -> np.ndarray:
    memories = [memory.stream() for memory in (layer.loaded_memory() for layer in layers) if memory]
    return np.concatenate([np.zeros(0, np.uint32), *memories])


def _chained(place: int) -> dict[str, str]:
    """The connections of the layer that is the `place`-th in the chain of the weight stream."""
    return {
        "load_valid_i": f"weight_chain_valid[{place}]",
        "load_data_i": f"weight_chain_data[{place}]",
        "load_valid_o": f"weight_chain_valid[{place + 1}]",
        "load_data_o": f"weight_chain_data[{place + 1}]",
        "weights_loaded_o": f"weight_chain_loaded[{place}]",
    }


def _unchained(unused: str) -> dict[str, str]:
    """Those of a layer that loads nothing; `unused` is a wire of 34 bits."""
    return {
        "load_valid_i": "1'b0",
        "load_data_i": "32'd0",
        "load_valid_o": f"{unused}[0]",
        "load_data_o": f"{unused}[32:1]",
        "weights_loaded_o": f"{unused}[33]",
    }


def _instance_name(layer: Layer) -> str:
    return f"u_{identifier(layer.name)}"


def _companion_name(layer: Layer) -> str:
    return f"{identifier(layer.name)}_adder_graph"


def identifier(name: str) -> str:
    """`name` as a SystemVerilog identifier."""
    identifier = re.sub(r"\W", "_", name)
    return identifier if re.match(r"[A-Za-z_]", identifier) else f"_{identifier}"


def _literal(value: int | str) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if -(2**31) <= value < 2**31:
        return str(int(value))
    width = max(int(value).bit_length() + (value < 0), 33)
    return f"{width}'h{int(value) & ((1 << width) - 1):x}"
