"""The HLS C++ that codegen writes: each layer as a function over streams, and the network as one dataflow region.

<layer>.hpp has the layer's structure: its parameters and `call`, which takes one frame. <layer>.cpp defines it for both
kinds of numbers (hw/hls/numbers.hpp), with the top function that Vitis HLS synthesizes; <layer>_tables.hpp has its
weights and thresholds. The network has the same two files: its top function calls the layers, side by side in hardware,
with a stream between each two. A StreamingFIFO is the depth of a stream.

A network's folder is complete: the kernels, which are those of hw/hls, are in its folder `include`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.codegen.render import render, write_template, write_text
from pipeline.codegen.rtl import identifier, streams_by_name
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer, Stream, Table
from pipeline.dataflow.packing import HLS_WORD_BITS
from pipeline.errors import ConfigError
from pipeline.files import HLS

__all__ = [
    "INCLUDE",
    "NETWORK_FUNCTION",
    "HlsLayer",
    "HlsNetwork",
    "HlsPort",
    "check_widths",
    "describe_layer",
    "describe_network",
    "write_layer",
    "write_network",
]

INCLUDE = "include"  # the folder of its headers beside what is generated
NETWORK_FUNCTION = "finn_design"  # the top function of a whole network
_LEAST_DEPTH = 2  # of a stream: with one place it could not be written and read in every cycle
_VALUES_IN_A_LINE = 64


@dataclass(frozen=True)
class HlsPort(Stream):
    """A stream of a layer's function."""

    name: str = field(kw_only=True)  # in0, out0, …

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class HlsLayer:
    """A layer in C++: the function `name`, defined in `source`, which includes `headers`; all were generated."""

    name: str
    layer: str
    source: Path
    headers: tuple[Path, ...]
    inputs: tuple[HlsPort, ...]
    outputs: tuple[HlsPort, ...]


@dataclass(frozen=True)
class HlsNetwork:
    """A network in C++. `whole` is its own function, `layers` are those that it calls; FIFOs are none of them."""

    folder: Path
    whole: HlsLayer
    layers: tuple[HlsLayer, ...]

    @property
    def include(self) -> Path:
        """The kernels' headers."""
        return self.folder / INCLUDE


def check_widths(layers: Iterable[Layer]) -> None:
    """Raises ConfigError, naming layer and stream, where a stream of `layers` is wider than Vitis HLS takes."""
    for layer in layers:
        for direction, names, streams in (
            ("input", layer.input_names, layer.inputs()),
            ("output", layer.output_names, layer.outputs()),
        ):
            for name, stream in zip(names, streams, strict=True):
                if layer.has_hls and stream.bits > HLS_WORD_BITS:
                    raise ConfigError(
                        f"layer {layer.name} has no HLS C++: its {direction} {name} has words of {stream.lanes} × "
                        f"{stream.type.bits} = {stream.bits:,} bits, and Vitis HLS takes at most {HLS_WORD_BITS:,}. Give the layers there a lower "
                        "PE or SIMD in the folding file, or the network a lower target_fps; or build without the C++, with "
                        "simulation: {cppsim_frames: 0}. The SystemVerilog has no such limit."
                    )


def describe_layer(layer: Layer, folder: Path) -> HlsLayer:
    """The files that `write_layer` has written to `folder`."""
    name = identifier(layer.name)
    headers = (folder / f"{name}{suffix}.hpp" for suffix in ("", "_tables", "_adder_graph"))
    return HlsLayer(
        name,
        layer.name,
        folder / f"{name}.cpp",
        tuple(path for path in headers if path.is_file()),
        _ports("in", layer.inputs()),
        _ports("out", layer.outputs()),
    )


def write_layer(layer: Layer, folder: Path) -> HlsLayer:
    """Write `layer` to `folder`. A file whose content has not changed is not written again.

    Raises ConfigError, and writes nothing, where `check_widths` does.
    """
    check_widths([layer])
    folder.mkdir(parents=True, exist_ok=True)
    described = describe_layer(layer, folder)
    name = described.name
    tables = layer.hls_tables()
    companion = layer.hls_companion(f"{name}_adder_graph")
    values = {
        **_function(described),
        "source": layer.source,
        "module": layer.module,
        "parameters": list(layer.hls_parameters().items()),
        "tables": [f"{name}_{table}" for table in tables],
        "companion": f"{name}_adder_graph" if companion else None,
        "pragmas": layer.hls_pragmas(name),
    }
    write_template("layer.hpp.jinja", folder / f"{name}.hpp", **values)
    if tables:
        content = [_describe(f"{name}_{key}", table) for key, table in tables.items()]
        write_template("tables.hpp.jinja", folder / f"{name}_tables.hpp", layer=layer.name, tables=content)
    if companion:
        write_text(folder / f"{name}_adder_graph.hpp", render(companion))
    write_template("layer.cpp.jinja", described.source, **values)
    return describe_layer(layer, folder)


def describe_network(graph: LayerGraph, folder: Path, name: str) -> HlsNetwork:
    """The files that `write_network` has written for the same arguments."""
    layers = tuple(describe_layer(layer, folder) for layer in graph if layer.has_hls)
    streams = streams_by_name(graph.layers)
    whole = HlsLayer(
        name,
        name,
        folder / f"{name}.cpp",
        (folder / f"{name}.hpp", *(layer.headers[0] for layer in layers if layer.headers)),
        _ports("in", [streams[graph.input]]),
        _ports("out", [streams[graph.output]]),
    )
    return HlsNetwork(folder, whole, layers)


def write_network(graph: LayerGraph, folder: Path, name: str) -> HlsNetwork:
    """Write `graph` to `folder` as the function `name`, with its layers and the headers of the kernels.

    A stream is as deep as the FIFOs of the graph there. One at a port has no stream to deepen and is left out: what is
    outside may have it. A file whose content has not changed is not written again. Raises ConfigError, and writes
    nothing, where `check_widths` does.
    """
    check_widths(graph)
    for layer in graph:
        if layer.has_hls:
            write_layer(layer, folder)
    network = describe_network(graph, folder, name)
    network.include.mkdir(exist_ok=True)
    for header in sorted(HLS.glob("*.hpp")):
        write_text(network.include / header.name, header.read_bytes())
    streams, ends = _streams(graph)
    calls = [
        {
            "name": identifier(layer.name),
            "inputs": [ends[stream] for stream in layer.input_names],
            "outputs": [ends[stream] for stream in layer.output_names],
        }
        for layer in graph
        if layer.has_hls
    ]
    values = {**_function(network.whole), "source": graph.name, "streams": streams, "calls": calls}
    write_template("network.hpp.jinja", folder / f"{name}.hpp", **values)
    write_template("network.cpp.jinja", network.whole.source, **values)
    return network


def _function(described: HlsLayer) -> dict[str, object]:
    """The values that the templates of layers and of networks have in common."""
    return {
        "name": described.name,
        "label": described.layer,
        "ports": described.inputs + described.outputs,
        "inputs": described.inputs,
        "outputs": described.outputs,
    }


def _streams(graph: LayerGraph) -> tuple[list[dict[str, object]], dict[str, str]]:
    """The streams between layers, and for each stream of the graph the C++ name of what carries it.

    Those around a FIFO are one; it has the name of the first, or of the port.
    """
    streams = streams_by_name(graph.layers)
    names = {graph.input: "in0_V"}
    fifos = {fifo.name: fifo.depth for fifo in graph.fifos}
    depths: dict[str, int] = {}
    for layer in graph:
        if layer.is_fifo:
            names[layer.output_names[0]] = names[layer.input_names[0]]
            depths[names[layer.input_names[0]]] = depths.get(names[layer.input_names[0]], 0) + fifos[layer.name]
        else:
            names.update((stream, identifier(stream)) for stream in layer.output_names)
    last = names[graph.output]
    names = {stream: "out0_V" if name == last else name for stream, name in names.items()}
    between: dict[str, dict[str, object]] = {}
    for stream, name in names.items():
        if name not in between and name not in ("in0_V", "out0_V"):
            lanes, type_ = streams[stream].lanes, streams[stream].type
            depth = max(depths.get(name, 0), _LEAST_DEPTH)
            between[name] = {"name": name, "lanes": lanes, "type": type_, "depth": depth}
    return list(between.values()), names


def _ports(direction: str, streams: Sequence[Stream]) -> tuple[HlsPort, ...]:
    return tuple(
        HlsPort(stream.shape, stream.type, stream.lanes, stream.pixels, name=f"{direction}{index}")
        for index, stream in enumerate(streams)
    )


def _describe(name: str, table: Table) -> dict[str, object]:
    return {
        "name": name,
        "bits": table.type.bits,
        "signed": table.type.signed,
        "shape": "".join(f"[{size}]" for size in table.values.shape),
        "text": _initializer(table.values),
    }


def _initializer(values: np.ndarray) -> str:
    """The elements as C++ initializes an array of arrays with them, without the outermost braces."""
    if values.ndim > 1:
        return ",\n".join(f"{{{_initializer(part)}}}" for part in values)
    words = [str(value) for value in values.tolist()]
    lines = [", ".join(words[i : i + _VALUES_IN_A_LINE]) for i in range(0, len(words), _VALUES_IN_A_LINE)]
    return ",\n".join(lines)
