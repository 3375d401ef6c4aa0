"""Layers side by side in one design, none connected to another, so that one compilation serves all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.codegen.rtl import Design, write_design
from pipeline.dataflow.layer import Layer

__all__ = ["write_layer_bench"]


def write_layer_bench(
    graph: Iterable[Layer], folder: Path, *, check_overflow: bool = False, alone: bool = True
) -> tuple[Design, tuple[Layer, ...]]:
    """A design in which every layer of `graph` has its own ports, with `check_overflow` as `write_design` makes it. Returns
    it with the layers as they stand in it: with all handshakes (`Layer.alone`), or as they are, which is right where none
    of them is stalled."""
    layers = tuple(
        replace(
            layer.alone if alone else layer,
            input_names=tuple(f"{layer.name}_in{i}" for i in range(len(layer.input_names))),
            output_names=tuple(f"{layer.name}_out{i}" for i in range(len(layer.output_names))),
        )
        for layer in graph
    )
    inputs = [stream for layer in layers for stream in layer.input_names]
    outputs = [stream for layer in layers for stream in layer.output_names]
    return write_design(layers, inputs, outputs, folder, "layers", check_overflow=check_overflow), layers
