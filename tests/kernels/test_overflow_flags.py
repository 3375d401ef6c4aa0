"""Overflow checks in every style of MVAU: they see each addition that an accumulator is too narrow for, no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.accumulators.witness import witness_inputs
from pipeline.codegen.rtl import describe_design, rtl_sources, write_design
from pipeline.dataflow.bounds import exact_range, range_bits
from pipeline.dataflow.types import IntType
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import SparseMVAU, row_lengths
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.vvau import VVAU
from pipeline.tools.verilator import build_model, lint
from tests.kernels.matrices import matrix_layer, tap_layer
from tests.kernels.test_matrix_styles import MATRICES, in_all_styles

UINT4, INT5 = IntType(0, 15), IntType(-16, 15)
FRAMES = 6


class NarrowSparse(SparseMVAU):
    """Two bits too few for every walker."""

    def lane_accumulator_bits(self) -> tuple[int, ...]:
        return tuple(max(bits - 2, 1) for bits in super().lane_accumulator_bits())


class SparseWithoutRoomForItsBias(SparseMVAU):
    def lane_accumulator_bits(self) -> tuple[int, ...]:
        bits = max(map(range_bits, *exact_range(self.weights, self.input_type)))
        return (bits,) * self.pe


def _narrow(layer: MatrixVector, missing: int) -> MatrixVector:
    assert layer.accumulator_bits is not None
    return replace(layer, accumulator_bits=tuple(max(bits - missing, 1) for bits in layer.accumulator_bits))


ONES = np.ones((2, 4), np.int64)
NARROW: tuple[MatrixVector, ...] = (
    _narrow(matrix_layer(MVAU, 8, 12, UINT4, 4, bias=True, pe=4, simd=3), 2),
    _narrow(matrix_layer(MVAU, 3, 5, INT5, 4, pe=3, simd=5), 1),
    _narrow(matrix_layer(MVAU, 4, 6, UINT4, 5, bias=True, pe=1, simd=1), 7),  # narrower than products and biases
    _narrow(matrix_layer(MVAU, 4, 8, INT5, 3, pe=2, simd=4), 3),
    _narrow(matrix_layer(VVAU, 8, 9, UINT4, 4, bias=True, pe=4, multiplier=2), 2),
    _narrow(matrix_layer(VVAU, 4, 6, INT5, 4, pe=4, simd=3), 2),
    matrix_layer(NarrowSparse, 8, 12, UINT4, 4, density=0.5, pe=4, simd=2, lanes=2),
    matrix_layer(NarrowSparse, 8, 12, UINT4, 4, density=0.5, pe=4, simd=2, lanes=2, m=3),
    matrix_layer(NarrowSparse, 3, 9, INT5, 4, density=0.8, pe=1, simd=3, lanes=1),
    SparseWithoutRoomForItsBias(
        "layer", ("x",), ("y",), ONES, UINT4, IntType(0, 75), (2, 3), None, np.array([10, 15]), pe=2, simd=2, lanes=1
    ),
    SparseWithoutRoomForItsBias(
        "layer", ("x",), ("y",), ONES, UINT4, IntType(0, 75), (2, 3), None, np.array([10, 15]), pe=2, lanes=2, m=3
    ),
    _narrow(matrix_layer(DspMVAU, 12, 12, UINT4, 4, bias=True, pe=6, simd=3), 2),
    _narrow(matrix_layer(DspMVAU, 4, 6, INT5, 4, pe=4, simd=6), 1),
    _narrow(tap_layer(3, (3, 3), 1, UINT4, 4, simd=1, density=0.5), 1),
    _narrow(matrix_layer(UnrolledMVAU, 4, 6, UINT4, 4), 2),
    _narrow(matrix_layer(UnrolledMVAU, 4, 6, INT5, 4, bias=True), 2),
    _narrow(matrix_layer(UnrolledMVAU, 4, 6, UINT4, 4, bias=True, digits=2), 1),
    _narrow(matrix_layer(UnrolledMVAU, 4, 6, INT5, 4, bias=True, digits=5), 2),
)
PROVEN: tuple[MatrixVector, ...] = (
    *(layer for matrix in MATRICES[::3] for layer in in_all_styles(matrix)),
    tap_layer(3, (3, 3), 1, UINT4, 4, bias=True, simd=1, density=0.5),
    # what these start from does not fit their accumulators: they wrap, and come back
    UnrolledMVAU(
        "layer", ("x",), ("y",), -np.ones((2, 8), np.int64), IntType(-5, 5), IntType(-40, 40), (2, 3), digits=4
    ),
    matrix_layer(UnrolledMVAU, 3, 8, IntType(-9, 3), 4, bias=True, digits=5),
)


def _simulate(layers: Sequence[MatrixVector], folder: Path):
    """The layers side by side, their inputs, and how often each was flagged: at full speed, and with random gaps."""
    rng = np.random.default_rng(0)
    named = [
        replace(layer, name=f"l{i}", input_names=(f"x{i}",), output_names=(f"y{i}",)) for i, layer in enumerate(layers)
    ]
    inputs = {layer.input_names[0]: _frames(layer, rng) for layer in named}
    outputs = [layer.output_names[0] for layer in named]
    design = write_design(named, list(inputs), outputs, folder, "bench", check_overflow=True)
    assert design.overflow_layers == tuple(layer.name for layer in named)
    model = build_model(design, folder)
    results = [model.run(inputs, stalls=stalls) for stalls in (None, 4)]
    flags = [[r.stats[f"TOP.bench.u_l{i}"]["overflows"][0] for i in range(len(layers))] for r in results]
    return named, inputs, results, flags


def _frames(layer: MatrixVector, rng: np.random.Generator) -> np.ndarray:
    """Random frames, with vectors among them that drive rows to their largest and smallest sums."""
    lo, hi = layer.input_type.lo, layer.input_type.hi
    frames = rng.integers(lo, hi + 1, (FRAMES, *layer.inputs()[0].shape))
    if isinstance(layer, DspMVAU) and layer.taps > 1:
        extremes = witness_inputs(layer)
        frames.reshape(-1, extremes.shape[1])[: len(extremes)] = extremes
        return frames
    extremes = np.concatenate([np.where(layer.weights > 0, hi, lo), np.where(layer.weights > 0, lo, hi)])
    pixels = frames.reshape(-1, layer.mw)
    chosen = rng.permutation(len(extremes))[: len(pixels) // 2]
    pixels[: len(chosen)] = extremes[chosen]
    return frames


def _wrapped(value: int, bits: int) -> int:
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _expected(layer: MatrixVector, frames: np.ndarray) -> int:
    """In how many cycles an addition of `layer` overflows."""
    vectors = frames.reshape(-1, frames.shape[-1]).tolist()
    if isinstance(layer, DspMVAU):
        return _tap_overflows(layer, frames) if layer.taps > 1 else _final_overflows(layer, frames)
    if isinstance(layer, MVAU):
        return sum(_folded_overflows(layer, vector) for vector in vectors)
    if isinstance(layer, SparseMVAU):
        return sum(_sparse_overflows(layer, vectors[i : i + layer.m]) for i in range(0, len(vectors), layer.m))
    return _final_overflows(layer, frames)


def _final_overflows(layer: MatrixVector, frames: np.ndarray) -> int:
    """Those of sums that are complete, all lanes at a time."""
    bits = np.array(layer.lane_accumulator_bits())
    sums = layer._sums(frames).reshape(-1, len(bits))
    return int(((sums < -(1 << (bits - 1))) | (sums >= 1 << (bits - 1))).any(axis=1).sum())


def _tap_overflows(layer: DspMVAU, frames: np.ndarray) -> int:
    """Those of the sums in any lane after a word, parts of sums that go on among them."""
    half, lanes, count = 1 << (max(layer.lane_accumulator_bits()) - 1), layer.taps + layer.m - 1, 0
    weights = layer.weights.reshape(layer.mh, layer.kernel_height, layer.taps, -1).swapaxes(1, 2)
    weights = weights.reshape(layer.mh, layer.taps, -1)[:, ::-1]
    starts = np.zeros(layer.mh, np.int64) if layer.bias is None else layer.bias
    sums = np.repeat(starts[:, None], lanes, axis=1)
    for row in frames.reshape(-1, *frames.shape[2:]):
        behind = np.zeros((layer.m, row.shape[1]), np.int64)
        for pixels in np.concatenate([row, behind]).reshape(-1, layer.m, row.shape[1]):
            sums = np.concatenate([sums[:, layer.m :], np.repeat(starts[:, None], layer.m, axis=1)], axis=1)
            for tap in range(layer.taps):
                for pixel, vector in enumerate(pixels):
                    sums[:, tap + pixel] += weights[:, tap] @ vector
            count += bool(((sums < -half) | (sums >= half)).any())
    return count


def _folded_overflows(layer: MVAU, vector: list[int]) -> int:
    widths, count, seen = layer.lane_accumulator_bits(), 0, _seen(layer, vector)
    for rows in range(0, layer.mh, layer.pe):
        sums = [0 if layer.bias is None else int(layer.bias[rows + lane]) for lane in range(layer.pe)]
        for columns in range(0, layer.mw, layer.simd):
            flagged = False
            for lane, width in enumerate(widths):
                weights = layer.weights[rows + lane, columns : columns + layer.simd].tolist()
                products = zip(weights, seen[rows + lane][columns : columns + layer.simd], strict=True)
                exact = sums[lane] + sum(weight * element for weight, element in products)
                sums[lane] = _wrapped(exact, width)
                flagged |= exact != sums[lane]
            count += flagged
    return count


def _seen(layer: MVAU, vector: list[int]) -> list[list[int]]:
    """What of `vector` each row sees."""
    if not isinstance(layer, VVAU):
        return [vector] * layer.mh
    by_channel = np.reshape(vector, (layer.neuron_folds, layer.mw, -1)).swapaxes(1, 2).reshape(-1, layer.mw)
    return np.repeat(by_channel, layer.multiplier, axis=0).tolist()


def _sparse_overflows(layer: SparseMVAU, vectors: list[list[int]]) -> int:
    """Those of the vectors of pixels side by side, a step or a beat of any of them counted once."""
    flags = np.array([_walk_flags(layer, vector) for vector in vectors])
    return int(flags.any(axis=0).sum())


def _walk_flags(layer: SparseMVAU, vector: list[int]) -> list[bool]:
    """Whether an addition overflows in each step of the walk, and in each beat of sums with their bias."""
    flagged, sums = [False] * layer.steps, np.zeros(layer.mh, np.int64)
    for schedule, width in zip(layer.schedules, layer.lane_accumulator_bits(), strict=True):
        step = 0
        for row in schedule:
            for column in np.flatnonzero(layer.weights[row]):
                exact = int(sums[row] + layer.weights[row, column] * vector[column])
                sums[row] = _wrapped(exact, width)
                flagged[step] |= exact != sums[row]
                step += 1
            step += row_lengths(layer.weights)[row] - np.count_nonzero(layer.weights[row])
    if layer.bias is not None:
        width = max(layer.lane_accumulator_bits())
        for total in (sums + layer.bias).reshape(-1, layer.lanes).tolist():
            flagged.append(any(_wrapped(value, width) != value for value in total))
    return flagged


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    return _simulate(NARROW, tmp_path_factory.mktemp("narrow"))


def test_every_overflow_of_a_narrow_accumulator_is_flagged_once(narrow):
    layers, inputs, _, flags = narrow
    expected = [_expected(layer, inputs[layer.input_names[0]]) for layer in layers]
    assert all(0 < count for count in expected)
    assert flags == [expected, expected]


def test_nothing_that_is_proven_is_ever_flagged(tmp_path):
    for layer in PROVEN[-2:]:
        assert max(layer.starts()) >= 1 << (min(layer.lane_accumulator_bits()) - 1)
    layers, inputs, results, flags = _simulate(PROVEN, tmp_path)
    assert flags == [[0] * len(PROVEN)] * 2
    for result in results:
        for layer in layers:
            (expected,) = layer.reference(inputs[layer.input_names[0]])
            np.testing.assert_array_equal(result.outputs[layer.output_names[0]], expected)


# -- the port ---------------------------------------------------------------------------------------------------------


def _two_layers() -> list:
    first = replace(matrix_layer(MVAU, 4, 6, UINT4, 4, 15, pe=2, simd=3), name="first", output_names=("hidden",))
    second = replace(matrix_layer(UnrolledMVAU, 3, 4, UINT4, 4), name="second", input_names=("wide",))
    hidden = IntType(0, 15)
    fifo = StreamingFIFO("fifo", ("hidden",), ("wide",), (2, 3, 4), hidden, 2, 2)
    return [first, fifo, second]


def test_bits_of_the_port_are_the_matrix_layers_in_their_order(tmp_path):
    first, fifo, second = _two_layers()
    layers = [first, replace(fifo, output_names=("y1",)), replace(second, input_names=("x1",))]
    arguments = (layers, ["x", "x1"], ["y1", "y"], tmp_path)
    design = write_design(*arguments, "watched", check_overflow=True)
    assert design == describe_design(*arguments, "watched", check_overflow=True)
    assert design.overflow_layers == ("first", "second")
    text = (tmp_path / "watched.sv").read_text()
    assert "output wire [1:0] overflow" in text
    assert text.index(".overflow_o(overflow[0])") < text.index(".overflow_o(overflow[1])")
    assert lint(design.sources, "watched") == ""


def test_without_checks_there_is_no_port(tmp_path):
    first, *_ = _two_layers()
    design = write_design([first], ["x"], ["hidden"], tmp_path, "plain")
    text = (tmp_path / "plain.sv").read_text()
    assert design.overflow_layers == ()
    assert " overflow" not in text and "CheckOverflow" not in text
    assert lint(design.sources, "plain") == ""


@pytest.mark.parametrize("module", ["mvau", "dsp_mvau", "vvau", "sparse_mvau", "unrolled_mvau"])
def test_modules_lint_clean_with_checks(module):
    assert lint(rtl_sources(), module, {"CheckOverflow": 1}) == ""
