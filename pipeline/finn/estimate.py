"""What FINN estimates for its own units with the folding of our layers, by FINN's code.

A layer with a counterpart in FINN becomes a node with FINN's attributes, and FINN's node is asked. FINN is told where
our memories lie: in LUTs or in block RAM; its estimate of an MVAU counts weights and thresholds in LUTs only where it
is told that they are there. Importing FINN takes seconds, so nothing that a build goes through on its way imports this.
"""

from __future__ import annotations

from finn.custom_op.fpgadataflow.hls.matrixvectoractivation_hls import MVAU_hls
from finn.custom_op.fpgadataflow.hls.vectorvectoractivation_hls import VVAU_hls
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtl.convolutioninputgenerator_rtl import ConvolutionInputGenerator_rtl
from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl
from finn.custom_op.fpgadataflow.rtl.streamingdatawidthconverter_rtl import StreamingDataWidthConverter_rtl
from finn.custom_op.fpgadataflow.rtl.streamingfifo_rtl import StreamingFIFO_rtl
from finn.custom_op.fpgadataflow.rtl.thresholding_rtl import Thresholding_rtl
from onnx import helper

from pipeline.dataflow.layer import Layer
from pipeline.devices.boards import Board
from pipeline.devices.resources import Resources

__all__ = ["KEYS", "estimate", "nodes"]

KEYS = ("LUT", "BRAM_18K", "URAM", "DSP")
"""The keys, in reports, of the resources that FINN estimates."""

_OPERATORS: dict[str, type[HWCustomOp]] = {
    kind.__name__: kind
    for kind in (
        *(ConvolutionInputGenerator_rtl, MVAU_hls, MVAU_rtl, StreamingDataWidthConverter_rtl, StreamingFIFO_rtl),
        *(Thresholding_rtl, VVAU_hls),
    )
}  # FINN's that kernels name


def estimate(layer: Layer, board: Board) -> dict[str, Resources]:
    """FINN's estimate on the part of `board` for each of its units that compute what `layer` does, by FINN's name of the unit.

    The estimate has the resources of KEYS. An MVAU has two units: MVAU_hls with multipliers of LUTs, which comes first, and
    MVAU_rtl, which takes DSPs alone. Empty where FINN has no such unit, as for sparse and unrolled MVAUs, or no estimate of
    its LUTs, as for FMPadding, Pool, AddStreams, DuplicateStreams and LabelSelect.
    """
    return {node.onnx_node.op_type: _estimated(node, board.part) for node in nodes(layer, board.family)}


def nodes(layer: Layer, family: str) -> tuple[HWCustomOp, ...]:
    """FINN's nodes for `layer`, its memories as they are in Yosys' `family`; none where FINN has no estimate."""
    return tuple(
        _OPERATORS[op](helper.make_node(op, ["in0"], ["out0"], name=layer.name, **attributes))
        for op, attributes in layer.finn_nodes(family).items()
    )


def _estimated(node: HWCustomOp, part: str) -> Resources:
    answer = node.node_res_estimation(part)
    return Resources.from_report({key: int(answer[key]) for key in KEYS}, KEYS)
