"""FinnNode: a hardware node of FINN, as a kernel says which of them compute what it does; and what FINN calls its operators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.dataflow.types import IntType

__all__ = ["DOMAIN", "FOLDING_FILE", "OPERATORS", "FinnNode", "today"]

DOMAIN = "finn.custom_op.fpgadataflow"  # and those within it, of nodes of HLS and of RTL
FOLDING_FILE = "finn_folding.json"  # of the stage resolve: how the nodes of a model of FINN's are folded

# Operators of FINN 0.8 and 0.9 (and of early 0.10), without _hls and _rtl, and what they are called since
OPERATORS = {
    "StreamingFCLayer_Batch": "MVAU",
    "MatrixVectorActivation": "MVAU",
    "Vector_Vector_Activate_Batch": "VVAU",
    "VectorVectorActivation": "VVAU",
    "ConvolutionInputGenerator1D": "ConvolutionInputGenerator",
    "FMPadding_Batch": "FMPadding",
    "Thresholding_Batch": "Thresholding",
    "Thresholding_Binary_Search": "Thresholding",
    "Pool_Batch": "Pool",
    "StreamingMaxPool_Batch": "StreamingMaxPool",
    "GlobalAccPool_Batch": "GlobalAccPool",
    "AddStreams_Batch": "AddStreams",
    "DuplicateStreams_Batch": "DuplicateStreams",
    "LabelSelect_Batch": "LabelSelect",
    "ChannelwiseOp_Batch": "ChannelwiseOp",
    "UpsampleNearestNeighbour_Batch": "UpsampleNearestNeighbour",
    "StreamingDataWidthConverter_Batch": "StreamingDataWidthConverter",
}


def today(operator: str) -> str:
    """The name of FINN's `operator` today, without _hls and _rtl.

    >>> today("MVAU_hls"), today("StreamingFCLayer_Batch")
    ('MVAU', 'MVAU')
    """
    operator = re.sub(r"_(hls|rtl)$", "", operator)
    return OPERATORS.get(operator, operator)


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
