"""What FINN estimates for its own units with the folding of our layers, by FINN's code.

A layer with a counterpart in FINN becomes a node with FINN's attributes, and FINN's node is asked. FINN is told where
our memories lie: in LUTs or in block RAM; its estimate of an MVAU counts weights and thresholds in LUTs only where it
is told that they are there. Importing FINN takes seconds, so nothing that a build goes through on its way imports this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finn.custom_op.fpgadataflow.hls.matrixvectoractivation_hls import MVAU_hls
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtl.convolutioninputgenerator_rtl import ConvolutionInputGenerator_rtl
from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl
from finn.custom_op.fpgadataflow.rtl.streamingdatawidthconverter_rtl import StreamingDataWidthConverter_rtl
from finn.custom_op.fpgadataflow.rtl.streamingfifo_rtl import StreamingFIFO_rtl
from finn.custom_op.fpgadataflow.rtl.thresholding_rtl import Thresholding_rtl
from onnx import helper

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import Board
from pipeline.devices.memories import Storage, ram, rom
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.thresholding import Thresholding

__all__ = ["FinnEstimate", "estimate", "nodes"]


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
        op(helper.make_node(op.__name__, ["in0"], ["out0"], name=layer.name, **attributes(layer, family)))
        for op, attributes in _COUNTERPARTS.get(type(layer), {}).items()
    )


def _asked(node: HWCustomOp, part: str) -> FinnEstimate:
    found = node.node_res_estimation(part)
    own = (int(found[key]) for key in ("LUT", "BRAM_18K", "URAM", "DSP"))
    return FinnEstimate(node.onnx_node.op_type, *own)


def _mvau(layer: MVAU, family: str) -> dict[str, Any]:
    weights = rom(layer.pe * layer.simd * layer.weight_type.bits, layer.neuron_folds * layer.synapse_folds)
    return {
        "MW": layer.mw,
        "MH": layer.mh,
        "SIMD": layer.simd,
        "PE": layer.pe,
        "inputDataType": layer.input_type.name,
        "weightDataType": layer.weight_type.name,
        "outputDataType": layer.output_type.name,
        "accDataType": IntType.of_bits(max(layer.lane_accumulator_bits()), signed=True).name,
        "numInputVectors": [1, *layer.pixels],
        "noActivation": int(layer.thresholds is None),
        "resType": "lut",
        "mem_mode": layer.mem_mode,
        "ram_style": _style(weights) if layer.ram_style == "auto" else layer.ram_style,
        "ram_style_thresholds": "distributed",
    }


def _mvau_rtl(layer: MVAU, family: str) -> dict[str, Any]:
    """FINN's RTL unit has no thresholds: they are a layer of their own there."""
    return {**_mvau(layer, family), "noActivation": 1, "resType": "dsp"}


def _generator(layer: ConvolutionInputGenerator, family: str) -> dict[str, Any]:
    lines = ram(layer.simd * layer.type.bits, layer.buffer_depth, family)
    return _window(layer, layer.shape[:2], layer.output_pixels, layer.simd) | {"ram_style": _style(lines)}


def _parallel_window(layer: ParallelWindow, family: str) -> dict[str, Any]:
    """FINN pads in a layer before: the image is the padded one."""
    height, width, channels = layer.shape
    top, left, bottom, right = layer.pads
    lines = ram(channels * layer.type.bits, width, family)
    padded = (height + top + bottom, width + left + right)
    return _window(layer, padded, layer.output_pixels, channels) | {"parallel_window": 1, "ram_style": _style(lines)}


def _window(
    layer: ConvolutionInputGenerator | ParallelWindow, image: tuple[int, ...], output: tuple[int, ...], simd: int
) -> dict[str, Any]:
    return {
        "ConvKernelDim": layer.kernel,
        "IFMChannels": layer.shape[2],
        "IFMDim": image,
        "OFMDim": output,
        "SIMD": simd,
        "Stride": layer.stride,
        "Dilation": (1, 1),
        "inputDataType": layer.type.name,
        "outputDataType": layer.type.name,
    }


def _fifo(layer: StreamingFIFO, family: str) -> dict[str, Any]:
    height, width, channels = layer.shape
    return {
        "depth": layer.depth,
        "folded_shape": [1, height, width, channels // layer.lanes, layer.lanes],
        "normal_shape": [1, *layer.shape],
        "dataType": layer.type.name,
    }


def _converter(layer: StreamingDataWidthConverter, family: str) -> dict[str, Any]:
    return {
        "inShape": [1, *layer.shape],
        "outShape": [1, *layer.shape],
        "inWidth": layer.in_lanes * layer.type.bits,
        "outWidth": layer.out_lanes * layer.type.bits,
        "dataType": layer.type.name,
    }


def _thresholding(layer: Thresholding, family: str) -> dict[str, Any]:
    levels = IntType(int(layer.thresholds.min()), int(layer.thresholds.max()))
    return {
        "NumChannels": layer.shape[2],
        "PE": layer.pe,
        "numSteps": layer.thresholds.shape[1],
        "inputDataType": layer.input_type.name,
        "weightDataType": levels.name,
        "outputDataType": layer.output_type.name,
        "numInputVectors": [1, *layer.shape[:2]],
    }


def _style(storage: Storage) -> str:
    return "block" if storage.bram_18k else "distributed"


_COUNTERPARTS: Mapping[type[Layer], Mapping[type[HWCustomOp], Callable[[Any, str], dict[str, Any]]]] = {
    MVAU: {MVAU_hls: _mvau, MVAU_rtl: _mvau_rtl},
    ConvolutionInputGenerator: {ConvolutionInputGenerator_rtl: _generator},
    ParallelWindow: {ConvolutionInputGenerator_rtl: _parallel_window},
    StreamingFIFO: {StreamingFIFO_rtl: _fifo},
    StreamingDataWidthConverter: {StreamingDataWidthConverter_rtl: _converter},
    Thresholding: {Thresholding_rtl: _thresholding},
}
