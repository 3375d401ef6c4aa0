"""FinnNode: a hardware node of FINN, as a kernel says which of them compute what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.dataflow.types import IntType

__all__ = ["FinnNode"]


@dataclass(frozen=True, eq=False)
class FinnNode:
    """A node of FINN's domain finn.custom_op.fpgadataflow, before it is made one of HLS or of RTL.

    `inputs` and `outputs` are streams: `in0`, `in1`, … and `out0`, … are those of the layer, any other output is a stream to
    a later node of it, of the shape (H, W, C) and the type `between`. `constants` follow the streams as inputs: integers of
    any shape, each with a type that holds them.
    """

    op_type: str
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...] = ("in0",)
    outputs: tuple[str, ...] = ("out0",)
    constants: tuple[tuple[np.ndarray, IntType], ...] = ()
    between: tuple[tuple[int, int, int], IntType] | None = field(default=None, kw_only=True)
