"""Layers compiled into one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.codegen.hls import write_layer
from pipeline.dataflow.layer import Layer
from pipeline.tools.gxx import FLAGS, Program, build_program

__all__ = ["program_of"]


def program_of(layers: Mapping[str, Layer], folder: Path, flags: Sequence[str] = FLAGS) -> Program:
    """The program in which each of `layers` goes by its key."""
    written = [write_layer(replace(layer, name=name), folder) for name, layer in layers.items()]
    return build_program(written, folder / "objects", flags=flags)
