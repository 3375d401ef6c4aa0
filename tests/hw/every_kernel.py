"""Small layers of every kernel, in forms that differ in what is generated of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.types import IntType
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.crop import Crop
from pipeline.kernels.depth_to_space import DepthToSpace
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.elementwise_mul import ElementwiseMul
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.lookup import Lookup
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.pool import Pool
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_concat import StreamingConcat
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.thresholding import Thresholding
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.upsample_nearest_neighbour import UpsampleNearestNeighbour
from pipeline.kernels.vvau import VVAU
from tests.kernels.matrices import matrix_layer, tap_layer
from tests.kernels.requantized import in_dsps, requantized_matrix, requantized_thresholding

__all__ = ["EVERY_KERNEL"]

INT4, INT8, UINT4, UINT8 = IntType(-8, 7), IntType(-128, 127), IntType(0, 15), IntType(0, 255)
X, Y = ("x",), ("y",)


def _thresholding(type_: IntType, count: int, lo: int) -> Thresholding:
    levels = np.sort(np.random.default_rng(count).integers(type_.lo, type_.hi + 1, (4, count)), axis=1)
    return Thresholding("", X, Y, (2, 2, 4), type_, IntType(lo, lo + count), levels, 2)


def _label_select(type_: IntType, largest: int) -> LabelSelect:
    rng = np.random.default_rng(largest)
    return LabelSelect("", X, Y, 5, type_, multipliers=rng.integers(1, largest, 5), offsets=rng.integers(-999, 999, 5))


def _lookup(rows: int, type_: IntType) -> Lookup:
    table = np.random.default_rng(rows).integers(-8, 8, (rows, type_.hi - type_.lo + 1))
    return Lookup("", X, Y, (2, 2, 4), type_, INT4, table, 2)


EVERY_KERNEL: tuple[Layer, ...] = (
    ParallelWindow("", X, Y, (4, 8, 2), UINT4, (3, 3), (1, 1), (1, 1, 1, 1), m=2),
    ParallelWindow("", X, Y, (4, 8, 2), UINT4, (3, 3), (2, 2), (1, 1, 1, 1), m=2),
    ParallelWindow("", X, Y, (4, 4, 1), INT4, (1, 1), (2, 2), m=2),
    ParallelWindow("", X, Y, (4, 8, 1), INT4, (3, 7), (1, 1), (1, 3, 1, 3), m=2),
    StreamingDataWidthConverter("", X, Y, (2, 2, 6), UINT4, 4, 12, in_m=2, out_m=2),
    StreamingDataWidthConverter("", X, Y, (2, 2, 6), UINT4, 12, 4, in_m=2, out_m=2),
    matrix_layer(UnrolledMVAU, 3, 6, INT4, 4, 3, digits=2, m=3),
    matrix_layer(MVAU, 4, 6, UINT4, 4, 15, pe=2, simd=3, ram_style="block"),
    matrix_layer(MVAU, 2, 6, INT8, 8, bias=True, pe=1, simd=2, ram_style="distributed"),
    matrix_layer(MVAU, 3, 4, IntType(0, 7), 7, 3, bias=True, pe=3, simd=4),
    matrix_layer(MVAU, 2, 4, UINT4, 3, pe=1, simd=2, ram_style="ultra"),
    matrix_layer(SparseMVAU, 4, 8, UINT4, 4, 7, density=0.4, pe=2, simd=2),
    matrix_layer(SparseMVAU, 4, 6, INT4, 5, bias=True, density=0.6, pe=4, simd=3, lanes=2),
    matrix_layer(SparseMVAU, 4, 6, INT4, 4, 7, bias=True, density=0.6, pe=4, simd=3, lanes=2, m=3),
    matrix_layer(UnrolledMVAU, 4, 6, UINT4, 4, 15),
    matrix_layer(UnrolledMVAU, 3, 5, INT8, 4, 3, bias=True, digits=4),
    requantized_matrix(UnrolledMVAU, 3, 4, UINT4, 4, 15, adders_per_stage=2, pushes=True),
    matrix_layer(UnrolledMVAU, 3, 4, UINT4, 4, adders_per_stage=3, ahead=5),
    matrix_layer(DspMVAU, 6, 6, UINT4, 4, 15, pe=6, simd=3),
    matrix_layer(DspMVAU, 8, 32, UINT4, 4, 7, bias=True, pe=4, simd=4, segments=2),
    matrix_layer(DspMVAU, 3, 18, INT4, 4, 7, pe=3, simd=18, segments=3),
    matrix_layer(DspMVAU, 4, 6, INT8, 8, bias=True, pe=2, simd=2, ram_style="ultra"),
    tap_layer(4, (3, 3), 2, UINT4, 4, 15, simd=2, density=0.3),
    tap_layer(2, (1, 3), 2, INT4, 4, simd=1, bias=True, pads=(0, 0), density=0.5),
    FMPadding("", X, Y, (2, 4, 2), INT4, (1, 0, 1, 0), -8, 2, m=2),
    matrix_layer(VVAU, 4, 9, UINT4, 4, 15, pe=2),
    matrix_layer(VVAU, 4, 4, INT8, 5, bias=True, pe=4, simd=2, multiplier=2, ram_style="ultra"),
    _thresholding(UINT8, 15, 0),
    _thresholding(INT8, 6, -3),
    requantized_thresholding(4, INT8, 15, pe=2),
    requantized_matrix(MVAU, 4, 6, UINT4, 4, 15, power=1, pe=2, simd=3),
    requantized_matrix(UnrolledMVAU, 4, 6, UINT4, 4, 14, output_lo=-7),
    in_dsps(requantized_thresholding(2, INT8, 14, -7)),
    in_dsps(requantized_thresholding(2, IntType.of_bits(20, signed=True), 15)),
    _lookup(1, INT8),
    _lookup(4, IntType(0, 511)),
    ConvolutionInputGenerator("", X, Y, (6, 7, 4), UINT4, (3, 3), (2, 2), 2),
    ConvolutionInputGenerator("", X, Y, (5, 5, 2), UINT4, (1, 1), (2, 2), 1),
    ConvolutionInputGenerator("", X, Y, (6, 7, 4), UINT4, (3, 3), (1, 1), 2, True),
    ParallelWindow("", X, Y, (6, 7, 2), INT4, (3, 3), (1, 1), (1, 1, 1, 1), -1),
    ParallelWindow("", X, Y, (5, 6, 1), UINT4, (2, 3), (2, 1), (0, 0, 0, 0), 0),
    FMPadding("", X, Y, (2, 3, 2), INT4, (1, 2, 1, 0), -8, 2),
    Pool("", X, Y, (2, 2), 4, 4, UINT4, "max", 0, 2),
    Pool("", X, Y, (1, 2), 2, 9, INT4, "sum", 9, 2),
    Pool("", X, Y, (2, 3), 4, 9, INT4, "sum", 1, 2, (2, 3), (2, 3, 2)),
    AddStreams("", ("a", "b"), Y, (2, 3, 4), (INT8, UINT4), (-3, 5), 2),
    ElementwiseMul("", ("a", "b"), Y, (2, 3, 4), (INT8, UINT4), False, 2),
    ElementwiseMul("", ("a", "b"), Y, (2, 3, 4), (UINT4, INT8), True, 2),
    DuplicateStreams("", X, ("y", "z"), (2, 2, 4), UINT4, 2, 2),
    _label_select(INT8, 100),
    _label_select(UINT4, 1 << 10),
    LabelSelect("", X, Y, 10, UINT4),
    LabelSelect("", X, Y, 5, INT8, np.full(5, 4), np.arange(5), 5, adders_per_stage=4, ahead=9),
    replace(_label_select(INT8, 100), dsps=1),
    StreamingFIFO("", X, Y, (2, 3, 4), INT4, 2, 1),
    StreamingFIFO("", X, Y, (2, 3, 4), INT4, 2, 40),
    StreamingDataWidthConverter("", X, Y, (2, 3, 12), INT4, 2, 6),
    StreamingDataWidthConverter("", X, Y, (2, 3, 12), INT4, 12, 4),
    StreamingConcat("", ("a", "b"), Y, (2, 3), (2, 4), (INT4, UINT8), 2),
    Crop("", X, Y, (4, 5, 4), INT4, (1, 2, 2), (2, 2, 2), 2),
    UpsampleNearestNeighbour("", X, Y, (2, 3, 4), UINT4, (2, 3), 2),
    DepthToSpace("", X, Y, (2, 3, 16), INT4, (2, 4), 2),
)
