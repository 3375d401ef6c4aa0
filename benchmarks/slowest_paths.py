"""Makes pipeline/static_timing/slowest_paths.json anew, or with --add adds to it: the longest estimated paths of layers, by family, kind and size.

Of the builds named, each left by `a2q build … --until fold`: all their layers, or those named behind a colon,
BUILD:LAYER,LAYER, where a register is assumed in place of the others; and of the kinds of layers named with --drawn some that
are drawn at random, each alone. Every distinct layer is synthesized for both families,
which takes a minute or two a build and family, more where layers are unrolled, and is kept in the folder --cache. Prints the
slowest layers; with --check, writes nothing and fails where a layer is slower than the table says.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
from unit_timing import folded

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.registry import kernels
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.pool import Pool
from pipeline.kernels.thresholding import Thresholding
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.estimate import OPTIMISTIC, PESSIMISTIC, estimate
from pipeline.static_timing.slowest_paths import TABLE, Measured, Size, expected, slowest_of_each_size, slowest_paths
from pipeline.synthesis import synth
from pipeline.tools import yosys

_DRAWN = 8  # layers of each kind


def _graphs(builds: Sequence[str], drawn: Sequence[str]) -> Iterator[tuple[LayerGraph, list[str]]]:
    """Graphs, and the names of the layers that are to be measured; none for all, and what is around them."""
    for build in builds:
        folder, _, named = build.partition(":")
        yield folded(Path(folder)), named.split(",") if named else []
    for kind in drawn:
        for seed in range(_DRAWN):
            layer = kernels()[kind].draw(Draw(seed))
            layers = (*_feeding(layer), layer)
            yield LayerGraph(kind, layers, layers[0].input_names[0], layer.output_names[0]), [layer.name]


def _feeding(layer: Layer) -> list[Layer]:
    """Layers that make the streams that `layer` reads of one, where it reads several: copies, of the pixels of the first or of
    one pixel, that become another type."""
    first, *others = layer.inputs()
    if not others:
        return []
    height, width, channels = first.shape
    copies = [f"{name}_copy" for name in layer.input_names[1:]]
    names = (layer.input_names[0], *copies)
    layers: list[Layer] = [
        DuplicateStreams(
            "copies", ("source",), names, shape=first.shape, type=first.type, copies=len(names), pe=first.lanes
        )
    ]
    for stream, copy, name in zip(others, copies, layer.input_names[1:], strict=True):
        if stream.shape == (1, 1, channels) != first.shape:
            windows, largest, type_ = f"{copy}_windows", f"{copy}_largest", first.type
            layers.append(
                ConvolutionInputGenerator(
                    windows, (copy,), (windows,), first.shape, type_, (height, width), (1, 1), simd=first.lanes
                )
            )
            layers.append(
                Pool(largest, (windows,), (largest,), (1, 1), channels, height * width, type_, "max", pe=first.lanes)
            )
            copy = largest
        levels = np.zeros((1, stream.type.hi - stream.type.lo), np.int64)
        layers.append(
            Thresholding(
                f"{name}_type", (copy,), (name,), stream.shape, first.type, stream.type, levels, pe=first.lanes
            )
        )
    return layers


def _measured(graph: LayerGraph, named: list[str], family: str, cache: Path) -> dict[str, list[Measured]]:
    """The layers of `graph` by their kind, each with its longest path."""
    around = synth.surroundings(graph)
    chosen = named or [*(layer.name for layer in graph), *around]
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        units = {name: around.get(name) or synth.unit(graph.layer(name), Path(scratch, name)) for name in chosen}
        yosys.synthesize(list(units.values()), family, cache=cache)
        netlists = {name: yosys.netlist(unit, family, cache=cache) for name, unit in units.items()}
    measured: dict[str, list[Measured]] = {}
    for name, layer in estimate(graph, netlists, family, "", 1.0).layers.items():
        size = Size(0, 0) if name in around else Size.of(graph.layer(name), family)
        ns = {net: round(ns, 2) for net, ns in layer.ns.items()}
        measured.setdefault(layer.op_type, []).append(Measured(size, ns))
    return measured


def _described(build: str) -> str:
    folder, _, named = build.partition(":")
    return Path(folder).name + (f", {len(named.split(','))} of its layers" if named else "")


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="*", metavar="BUILD[:LAYER,LAYER]")
    parser.add_argument("--drawn", action="append", default=[], metavar="KIND", help="of one stream out")
    parser.add_argument("--add", action="store_true", help="leave the layers in the table that are there")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir(), "a2q-unit-timing"))
    options = parser.parse_args()
    if not options.builds and not options.drawn:
        parser.error("name a build, or a kind of layer with --drawn")
    families: dict[str, dict[str, list[Measured]]] = {}
    graphs = list(_graphs(options.builds, options.drawn))
    for family in CELL_DELAYS:
        kinds = families.setdefault(family, {})
        for graph, named in graphs:
            for kind, layers in _measured(graph, named, family, options.cache).items():
                kinds[kind] = slowest_of_each_size([*kinds.get(kind, []), *layers])
        for kind, layers in kinds.items():
            worst = max(layers, key=lambda layer: layer.ns[PESSIMISTIC])
            print(
                f"{family:5}{kind:30}{worst.ns[OPTIMISTIC]:6.2f}{worst.ns[PESSIMISTIC]:6.2f} ns  {worst.size}",
                flush=True,
            )
    if options.check:
        old = {family: slowest_paths(family) for family in families}
        slower = [
            f"{family} {kind}: {layer}, which the table does not expect"
            for family, kinds in families.items()
            for kind, layers in kinds.items()
            for layer in layers
            if kind not in old[family]
            or any(ns > expected(layer.size, old[family][kind])[net] for net, ns in layer.ns.items())
        ]
        print("\n".join(slower) or "no layer is slower than the table says")
        sys.exit(bool(slower))
    described = [_described(build) for build in options.builds]
    described += [f"{_DRAWN} layers {kind}, drawn" for kind in options.drawn]
    if options.add:
        described = [*json.loads(TABLE.read_text())["of"], *described]
        for family, kinds in families.items():
            for kind, layers in slowest_paths(family).items():
                kinds[kind] = slowest_of_each_size([*layers, *kinds.get(kind, [])])
    content = {
        "made by": "benchmarks/slowest_paths.py: layers by kind, as estimated look-up tables, words of the deepest memory, and "
        "the longest path that ended in the layer in ns, estimated, optimistic and pessimistic",
        "of": described,
        "pyosys": yosys.version(),
        "families": {
            family: {
                kind: [[*astuple(layer.size), *layer.ns.values()] for layer in layers]
                for kind, layers in sorted(kinds.items())
            }
            for family, kinds in families.items()
        },
    }
    text = json.dumps(content, indent=1)
    TABLE.write_text(re.sub(r"\[\s+(\d[^\]]*?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text) + "\n")


if __name__ == "__main__":
    _main()
