"""What FINN estimates for its own units with the folding of our layers, by FINN's code.

A layer with a counterpart in FINN becomes a node with FINN's attributes, and FINN's node is asked. FINN is told where
our memories lie: in LUTs or in block RAM; its estimate of an MVAU counts weights and thresholds in LUTs only where it
is told that they are there. Importing FINN takes seconds, so nothing that a build goes through on its way imports this.
"""

from __future__ import annotations

from dataclasses import dataclass

from finn.custom_op.fpgadataflow.hls.matrixvectoractivation_hls import MVAU_hls
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtl.convolutioninputgenerator_rtl import ConvolutionInputGenerator_rtl
from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl
from finn.custom_op.fpgadataflow.rtl.streamingdatawidthconverter_rtl import StreamingDataWidthConverter_rtl
from finn.custom_op.fpgadataflow.rtl.streamingfifo_rtl import StreamingFIFO_rtl
from finn.custom_op.fpgadataflow.rtl.thresholding_rtl import Thresholding_rtl
from onnx import helper

from pipeline.dataflow.layer import Layer
from pipeline.devices.boards import Board

__all__ = ["FinnEstimate", "estimate", "nodes"]


_OPERATORS: dict[str, type[HWCustomOp]] = {
    kind.__name__: kind
    for kind in (
        *(ConvolutionInputGenerator_rtl, MVAU_hls, MVAU_rtl, StreamingDataWidthConverter_rtl, StreamingFIFO_rtl),
        Thresholding_rtl,
    )
}  # FINN's that kernels name


@dataclass(frozen=True)
class FinnEstimate:
    """FINN's estimate of one of its units, `op_type` being FINN's name of it. BRAM in blocks of 18 Kb."""

    op_type: str
    lut: int
    bram_18k: int
    uram: int
    dsp: int


def estimate(layer: Layer, board: Board) -> tuple[FinnEstimate, ...]:
    """What FINN estimates for each of its units that compute what `layer` does, on the part of `board`.

    An MVAU has two: MVAU_hls with multipliers of LUTs, which comes first, and MVAU_rtl, which takes DSPs alone. Empty
    where FINN has no such unit, as for sparse and unrolled MVAUs, or no estimate of its LUTs, as for FMPadding, Pool,
    AddStreams, DuplicateStreams and LabelSelect.
    """
    return tuple(_asked(node, board.part) for node in nodes(layer, board.family))


def nodes(layer: Layer, family: str) -> tuple[HWCustomOp, ...]:
    """FINN's nodes for `layer`, its memories as they are in Yosys' `family`; none where FINN has no estimate."""
    return tuple(
        _OPERATORS[op](helper.make_node(op, ["in0"], ["out0"], name=layer.name, **attributes))
        for op, attributes in layer.finn_nodes(family).items()
    )


def _asked(node: HWCustomOp, part: str) -> FinnEstimate:
    found = node.node_res_estimation(part)
    own = (int(found[key]) for key in ("LUT", "BRAM_18K", "URAM", "DSP"))
    return FinnEstimate(node.onnx_node.op_type, *own)
