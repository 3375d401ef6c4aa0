from __future__ import annotations

import numpy as np
import pytest
from finn.custom_op.fpgadataflow.hls.duplicatestreams_hls import DuplicateStreams_hls
from finn.custom_op.fpgadataflow.hls.labelselect_hls import LabelSelect_hls
from finn.custom_op.fpgadataflow.hls.matrixvectoractivation_hls import MVAU_hls
from finn.custom_op.fpgadataflow.hls.pool_hls import Pool_hls
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtl.convolutioninputgenerator_rtl import ConvolutionInputGenerator_rtl
from finn.custom_op.fpgadataflow.rtl.fmpadding_rtl import FMPadding_rtl
from finn.custom_op.fpgadataflow.rtl.streamingfifo_rtl import StreamingFIFO_rtl
from onnx import helper

from pipeline.dataflow.types import IntType
from pipeline.devices.boards import load_board
from pipeline.devices.resources import Resources
from pipeline.finn.estimate import estimate
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO

KV260, PYNQ_Z1 = load_board("KV260"), load_board("Pynq-Z1")
UINT4 = IntType(0, 15)
STREAMS = {"input_names": ("x",), "output_names": ("y",)}


def mvau(**fields) -> MVAU:
    """32 × 144 weights of INT4, thresholds for UINT4, accumulators of 13 bits."""
    weights = np.random.default_rng(0).integers(-7, 8, (32, 144))
    weights[0, 0] = -8
    thresholds = np.tile(np.arange(15), (32, 1))
    given = {"weights": weights, "input_type": UINT4, "output_type": UINT4, "pixels": (8, 8), "thresholds": thresholds}
    return MVAU("MVAU_0", **STREAMS, **given | {"accumulator_bits": (13,) * 32, "pe": 4, "simd": 12} | fields)


def hls(**fields) -> Resources:
    return estimate(mvau(**fields), KV260)["MVAU_hls"]


def test_an_mvau_is_estimated_by_finns_own_node():
    node = helper.make_node(
        "MVAU_hls", ["x"], ["y"],
        MW=144, MH=32, SIMD=12, PE=4, inputDataType="UINT4", weightDataType="INT4", outputDataType="UINT4",
        accDataType="INT13", mem_mode="internal_decoupled", ram_style="distributed", ram_style_thresholds="distributed",
        noActivation=0, resType="lut",
    )  # fmt: skip
    estimates = estimate(mvau(), KV260)
    assert list(estimates) == ["MVAU_hls", "MVAU_rtl"]
    assert estimates["MVAU_hls"].lut == MVAU_hls(node).lut_estimation(KV260.part) > 0
    assert estimates["MVAU_hls"].dsp == 0
    assert (estimates["MVAU_rtl"].lut, estimates["MVAU_rtl"].dsp) == (0, 12)


@pytest.mark.parametrize("more", [{"pe": 8}, {"simd": 24}, {"accumulator_bits": (16,) * 32}])
def test_finns_estimate_follows_the_folding_and_the_accumulators(more):
    assert hls(**more).lut > hls().lut


def test_thresholds_count_where_there_are_any():
    sums = IntType(-(1 << 20), (1 << 20) - 1)
    assert hls(thresholds=None, output_type=sums).lut < hls().lut


def test_finn_is_told_where_the_weights_lie():
    in_luts, in_blocks, in_uram = (hls(pe=1, simd=1, ram_style=style) for style in ("distributed", "block", "ultra"))
    assert in_luts.lut > in_blocks.lut == in_uram.lut
    assert (in_luts.bram_18k, in_luts.uram) == (0, 0)
    assert in_blocks.bram_18k > 0 and in_blocks.uram == 0
    assert in_uram.bram_18k == 0 and in_uram.uram > 0
    assert hls(pe=1, simd=1) == in_blocks  # 4,608 words of 4 bits: auto takes block RAM


@pytest.mark.parametrize(("simd", "style"), [(8, "block"), (2, "distributed")])
def test_windows_are_estimated_by_finns_own_node(simd, style):
    window = ConvolutionInputGenerator(
        "window", **STREAMS, shape=(10, 10, 16), type=UINT4, kernel=(3, 3), stride=(1, 1), simd=simd
    )
    node = helper.make_node(
        "ConvolutionInputGenerator_rtl", ["x"], ["y"],
        ConvKernelDim=[3, 3], IFMChannels=16, IFMDim=[10, 10], OFMDim=[8, 8], SIMD=simd, Stride=[1, 1], Dilation=[1, 1],
        inputDataType="UINT4", outputDataType="UINT4", ram_style=style,
    )  # fmt: skip
    estimated = estimate(window, PYNQ_Z1)["ConvolutionInputGenerator_rtl"]
    finns = ConvolutionInputGenerator_rtl(node)
    assert estimated.lut == finns.lut_estimation(PYNQ_Z1.part) > 0
    assert estimated.bram_18k == finns.bram_estimation(PYNQ_Z1.part)
    assert (estimated.bram_18k > 0) == (style == "block")


def test_fifos_are_estimated_by_finns_own_node():
    fifo = StreamingFIFO("fifo", **STREAMS, shape=(10, 10, 16), type=UINT4, lanes=8, depth=100)
    node = helper.make_node(
        "StreamingFIFO_rtl", ["x"], ["y"],
        depth=100, folded_shape=[1, 10, 10, 2, 8], normal_shape=[1, 10, 10, 16], dataType="UINT4",
    )  # fmt: skip
    estimated = estimate(fifo, KV260)["StreamingFIFO_rtl"]
    assert estimated.lut == StreamingFIFO_rtl(node).lut_estimation(KV260.part)


def test_what_finn_has_no_unit_for_has_no_estimate():
    layer = mvau()
    assert estimate(layer.styled("sparse", {"pe": 4, "simd": 2, "lanes": 2}), KV260) == {}
    assert estimate(layer.styled("unrolled", {"digits": 1}), KV260) == {}
    assert estimate(FMPadding("pad", **STREAMS, shape=(8, 8, 16), type=UINT4, pads=(1, 1, 1, 1), simd=4), KV260) == {}


@pytest.mark.parametrize("unit", [FMPadding_rtl, Pool_hls, DuplicateStreams_hls, LabelSelect_hls])
def test_units_that_are_left_out_have_no_estimate_in_finn(unit):
    assert unit.lut_estimation is HWCustomOp.lut_estimation
