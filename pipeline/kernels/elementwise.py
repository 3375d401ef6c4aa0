"""FINN's element-wise nodes, with a constant or another stream."""

from __future__ import annotations

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Shape
from pipeline.dataflow.types import IntType

__all__ = ["finn_elementwise", "finn_of_streams"]


def finn_elementwise(
    function: str,
    shape: Shape,
    input_type: IntType,
    output_type: IntType,
    constants: np.ndarray,
    pe: int,
    stream: str,
    output: str,
) -> FinnNode:
    """ElementwiseAdd or ElementwiseMul, as `function` says, of the frames of `shape` (H, W, C) of `stream` and `constants`
    (C,), or (1,) for all channels."""
    held = IntType(int(constants.min()), int(constants.max()))
    attributes = _attributes(shape, input_type, (len(constants),), held, output_type, pe) | {"rhs_style": "const"}
    between = None if output.startswith("out") else (shape, output_type)
    return FinnNode(f"Elementwise{function}", attributes, (stream,), (output,), ((constants, held),), between=between)


def finn_of_streams(
    function: str,
    shapes: tuple[Shape, Shape],
    types: tuple[IntType, IntType],
    output_type: IntType,
    pe: int,
    streams: tuple[str, str],
) -> FinnNode:
    """ElementwiseAdd or ElementwiseMul of two `streams`, of frames of `shapes` (H, W, C); the second may be of one pixel."""
    (first, second), (a, b) = shapes, types
    attributes = _attributes(first, a, (1, *second), b, output_type, pe)
    return FinnNode(f"Elementwise{function}", attributes, streams)


def _attributes(
    shape: Shape, lhs: IntType, rhs_shape: tuple[int, ...], rhs: IntType, output: IntType, pe: int
) -> dict[str, str | int | tuple[int, ...]]:
    return {
        "lhs_dtype": lhs.name,
        "rhs_dtype": rhs.name,
        "out_dtype": output.name,
        "lhs_shape": (1, *shape),
        "rhs_shape": rhs_shape,
        "out_shape": (1, *shape),
        "PE": pe,
    }
