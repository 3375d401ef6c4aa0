"""The two forms of every kernel on the same inputs: SystemVerilog in Verilator, and HLS C++."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.codegen.hls import write_layer
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.random_layers import divisors
from pipeline.dataflow.types import IntType
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.crop import Crop
from pipeline.kernels.depth_to_space import DepthToSpace
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.elementwise_mul import ElementwiseMul
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.lookup import Lookup
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.pool import Pool
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_concat import StreamingConcat
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.thresholding import Thresholding
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.upsample_nearest_neighbour import UpsampleNearestNeighbour
from pipeline.kernels.vvau import VVAU
from pipeline.tools.gxx import build_program
from tests.kernels.matrices import matrix_layer
from tests.kernels.side_by_side import simulate_side_by_side

pytestmark = pytest.mark.xdist_group("hls_against_rtl")  # both compilers at once would take both cores

_NAMES = ("layer", ("x",), ("y",))
_pads = st.tuples(*(st.integers(0, 2),) * 4)


@st.composite
def _types(draw: st.DrawFn, most: int = 41) -> IntType:
    """Of 1 bit to `most`, the narrow ones more often."""
    bits = draw(st.one_of(st.integers(1, 8), st.integers(9, most)))
    return IntType.of_bits(bits, signed=draw(st.booleans()))


@st.composite
def _shapes(draw: st.DrawFn, least: int = 1) -> tuple[int, int, int]:
    return draw(st.integers(least, 6)), draw(st.integers(least, 6)), draw(st.integers(1, 6))


def _folds(draw: st.DrawFn, size: int) -> int:
    return draw(st.sampled_from(divisors(size)))


@st.composite
def _matrices(draw: st.DrawFn, kind: type[MatrixVector]) -> MatrixVector:
    mh, mw = draw(st.integers(1, 8)), draw(st.integers(1, 12))
    type_ = draw(_types(12 if kind is UnrolledMVAU else 20))
    fields: dict[str, int]
    if kind is UnrolledMVAU:
        bits = type_.bits
        fields = {"digits": draw(st.sampled_from(sorted({-(-bits // size) for size in range(1, bits + 1)})))}
    else:
        fields = {"simd": _folds(draw, mw)}
        if kind is VVAU:
            fields["multiplier"] = _folds(draw, mh)
            fields["pe"] = fields["multiplier"] * _folds(draw, mh // fields["multiplier"])
        elif kind is SparseMVAU:
            fields["lanes"] = _folds(draw, mh)
            fields["pe"] = fields["lanes"] * draw(st.integers(1, mh // fields["lanes"]))
        else:
            fields["pe"] = _folds(draw, mh)
    return matrix_layer(
        kind,
        mh,
        mw,
        type_,
        draw(st.integers(1, 8 if kind is UnrolledMVAU else 20)),
        draw(st.sampled_from((0, 1, 2, 7, 20))),
        bias=draw(st.booleans()),
        density=draw(st.sampled_from((1.0, 0.5, 0.0))),
        output_lo=draw(st.sampled_from((0, -1, -32))),
        **fields,
    )


@st.composite
def _thresholdings(draw: st.DrawFn) -> Thresholding:
    shape, type_, count, lo = draw(_shapes()), draw(_types()), draw(st.integers(1, 40)), draw(st.integers(-40, 0))
    rows = draw(st.sampled_from((1, shape[2])))
    values = st.lists(st.integers(type_.lo - 3, type_.hi + 3), min_size=count, max_size=count)
    thresholds = np.array([sorted(draw(values)) for _ in range(rows)])
    return Thresholding(*_NAMES, shape, type_, IntType(lo, lo + count), thresholds, _folds(draw, shape[2]))


@st.composite
def _lookups(draw: st.DrawFn) -> Lookup:
    shape, seed = draw(_shapes()), draw(st.integers(0, 99))
    lo = draw(st.integers(-40, 0))
    type_, output = (
        IntType(lo, draw(st.integers(lo + 1, 40))),
        IntType(draw(st.integers(-9, 0)), draw(st.integers(1, 9))),
    )
    rows = draw(st.sampled_from((1, shape[2])))
    table = np.random.default_rng(seed).integers(output.lo, output.hi, (rows, type_.hi - type_.lo + 1), endpoint=True)
    return Lookup(*_NAMES, shape, type_, output, table, _folds(draw, shape[2]))


@st.composite
def _sums(draw: st.DrawFn) -> AddStreams:
    shape = draw(_shapes())
    factors = st.integers(-20, 20).filter(bool)
    return AddStreams(
        "layer", ("a", "b"), ("y",), shape, (draw(_types()), draw(_types())), (draw(factors), draw(factors)),
        _folds(draw, shape[2]),
    )  # fmt: skip


@st.composite
def _products(draw: st.DrawFn) -> ElementwiseMul:
    shape, types = draw(_shapes()), (draw(_types(31)), draw(_types(31)))
    return ElementwiseMul("layer", ("a", "b"), ("y",), shape, types, draw(st.booleans()), _folds(draw, shape[2]))


@st.composite
def _copies(draw: st.DrawFn) -> DuplicateStreams:
    shape, copies = draw(_shapes()), draw(st.integers(2, 4))
    outputs = tuple(f"y{i}" for i in range(copies))
    return DuplicateStreams("layer", ("x",), outputs, shape, draw(_types()), copies, _folds(draw, shape[2]))


@st.composite
def _paddings(draw: st.DrawFn) -> FMPadding:
    shape, type_ = draw(_shapes()), draw(_types())
    return FMPadding(*_NAMES, shape, type_, draw(_pads), draw(st.integers(type_.lo, type_.hi)), _folds(draw, shape[2]))


@st.composite
def _pools(draw: st.DrawFn) -> Pool:
    (height, width, channels), function = draw(_shapes()), draw(st.sampled_from(("max", "sum")))
    shift = draw(st.integers(0, 9)) if function == "sum" else 0
    window, pe = draw(st.integers(1, 9)), _folds(draw, channels)
    pool = Pool(*_NAMES, (height, width), channels, window, draw(_types()), function, shift, pe)
    if function == "max" or window < 2 or draw(st.booleans()):
        return pool
    counts = [tuple(draw(st.integers(1, min(window, 3))) for _ in range(size)) for size in (height, width)]
    return replace(pool, row_counts=counts[0], column_counts=counts[1])


@st.composite
def _labels(draw: st.DrawFn) -> LabelSelect:
    labels = draw(st.integers(1, 12))

    def constants(lo: int, hi: int) -> np.ndarray | None:
        values = st.lists(st.integers(lo, hi), min_size=labels, max_size=labels)
        return np.array(draw(values)) if draw(st.booleans()) else None

    return LabelSelect(*_NAMES, labels, draw(_types()), constants(1, 1 << 16), constants(-(1 << 40), 1 << 40))


@st.composite
def _converters(draw: st.DrawFn) -> StreamingDataWidthConverter:
    height, width, folds = draw(_shapes())
    lanes = [narrow := draw(st.integers(1, 4)), narrow * draw(st.integers(1, 4))]
    shape = (height, width, folds * lanes[1])
    return StreamingDataWidthConverter(*_NAMES, shape, draw(_types()), *draw(st.permutations(lanes)))


@st.composite
def _generators(draw: st.DrawFn) -> ConvolutionInputGenerator:
    shape = draw(_shapes())
    kernel = draw(st.integers(1, shape[0])), draw(st.integers(1, shape[1]))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    most = [(size - 1) // (k - 1) if k > 1 else 3 for size, k in zip(shape, kernel, strict=False)]
    dilation = draw(st.integers(1, most[0])), draw(st.integers(1, most[1]))
    depthwise = draw(st.booleans())
    simd = shape[2] if dilation[1] > 1 and kernel[1] > 1 and not depthwise else _folds(draw, shape[2])
    return ConvolutionInputGenerator(*_NAMES, shape, draw(_types()), kernel, stride, simd, depthwise, dilation=dilation)


@st.composite
def _windows(draw: st.DrawFn) -> ParallelWindow:
    shape, type_ = draw(_shapes(least=2)), draw(_types())
    kernel = draw(st.integers(1, min(shape[0], 4))), draw(st.integers(1, min(shape[1], 4)))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    pads = tuple(draw(st.integers(0, size - 1)) for size in kernel * 2)
    return ParallelWindow(*_NAMES, shape, type_, kernel, stride, pads, draw(st.integers(type_.lo, type_.hi)))


@st.composite
def _concats(draw: st.DrawFn) -> StreamingConcat:
    height, width, simd = draw(_shapes())
    channels = simd * draw(st.integers(1, 3)), simd * draw(st.integers(1, 3))
    types = draw(_types(40)), draw(_types(40))
    return StreamingConcat("layer", ("a", "b"), ("y",), (height, width), channels, types, simd)


@st.composite
def _crops(draw: st.DrawFn) -> Crop:
    (height, width, folds), simd = draw(_shapes(least=2)), draw(st.integers(1, 3))
    start = draw(st.integers(1, height - 1)), draw(st.integers(0, width - 1)), draw(st.integers(0, folds - 1))
    size = [draw(st.integers(1, of - first)) for of, first in zip((height, width, folds), start, strict=True)]
    ends = ((y, x, simd * fold) for y, x, fold in (start, size))
    return Crop(*_NAMES, (height, width, simd * folds), draw(_types()), *ends, simd)


@st.composite
def _upsamplings(draw: st.DrawFn) -> UpsampleNearestNeighbour:
    shape, factors = draw(_shapes()), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)).filter(lambda f: max(f) > 1))
    return UpsampleNearestNeighbour(*_NAMES, shape, draw(_types()), factors, _folds(draw, shape[2]))


@st.composite
def _squares(draw: st.DrawFn) -> DepthToSpace:
    (height, width, channels), block = draw(_shapes()), (draw(st.integers(1, 3)), draw(st.integers(2, 3)))
    shape = height, width, channels * block[0] * block[1]
    return DepthToSpace(*_NAMES, shape, draw(_types()), block, _folds(draw, channels))


_ONE_OF_EACH = st.tuples(
    _matrices(MVAU), _matrices(SparseMVAU), _matrices(UnrolledMVAU), _matrices(VVAU), _thresholdings(), _sums(), _products(), _copies(),
    _paddings(), _pools(), _labels(), _converters(), _generators(), _windows(), _concats(), _crops(), _upsamplings(),
    _squares(), _lookups(),
)  # fmt: skip


# a batch takes half a minute to compile, so that the first that fails is shown as it is
@settings(max_examples=2, phases=(Phase.generate,), suppress_health_check=(HealthCheck.too_slow,), deadline=None)
@given(layers=_ONE_OF_EACH)
def test_both_forms_give_the_same(tmp_path_factory, layers: tuple[Layer, ...]):
    folder = tmp_path_factory.mktemp("batch")
    rtl = simulate_side_by_side(layers, folder)
    program = build_program([write_layer(layer, folder / "hls") for layer in rtl.layers], folder)
    for layer in rtl.layers:
        inputs = [rtl.inputs[stream] for stream in layer.input_names]
        for numbers in ("strict", "fast"):
            outputs, _ = program.run(layer.name, inputs, numbers)
            for result in (rtl.full_speed, *rtl.stalled):
                for stream, output in zip(layer.output_names, outputs, strict=True):
                    np.testing.assert_array_equal(output, result.outputs[stream], err_msg=f"{numbers} {layer}")
