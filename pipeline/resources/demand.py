"""What decides how much a layer takes: bits of its adders, of its registers, of its memories.

A layer's LUTs and flip-flops are sums of these with a constant factor each, which `model.py` has from synthesis; its
blocks of memory follow from the sizes of its memories.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import log2

import numpy as np

from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.base import Kernel
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.pool import Pool
from pipeline.kernels.product_pair import product_adders, product_latency, product_width
from pipeline.kernels.sparse_mvau import SparseMVAU, walk_of
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.thresholding import Thresholding, direct_steps, search_memories, search_stages
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.resources.memories import Storage, block_count, loaded_uram, ram, rom

__all__ = ["Demand", "csd_digits", "demand", "matrix_demand"]

_WINDOWS = 2  # of which SparseMVAU holds sums in its FIFOs, but for a few with short walks; see its `windows`
_BANK = 2048  # words of a block of 18 Kb that is 9 bits wide: deeper memories of constants are made of such banks


@dataclass
class Demand:
    """What a layer of the kind `op_type` needs: `terms` that LUTs and flip-flops grow with, and blocks of 18 Kb.

    `uram` are UltraRAMs, `lut` and `ff` what is known without a fit: what loads those, and memories of thresholds. `words`
    is the depth of the deepest memory.
    """

    op_type: str
    terms: dict[str, float] = field(default_factory=lambda: defaultdict(float, layer=1.0))
    bram_18k: int = 0
    uram: int = 0
    lut: int = 0
    ff: int = 0
    words: int = 0

    def add(self, **terms: float) -> None:
        for name, amount in terms.items():
            self.terms[name] += float(amount)

    def store(self, what: str, storage: Storage, count: int = 1) -> None:
        """`count` memories that are read into registers."""
        self.add(**{what: count * storage.lut, f"{what}_output": count * storage.ff})
        self.bram_18k += count * storage.bram_18k
        self.words = max(self.words, storage.words)

    def store_weights(self, what: str, width: int, depth: int, ram_style: str) -> None:
        """A memory of weights, of `depth` words of `width` bits."""
        if ram_style != "ultra":
            storage = rom(width, depth, ram_style)
            self.store(what, storage)
            if storage.bram_18k and depth > _BANK:
                self.add(banks=width * -(-depth // (4 * _BANK)))  # a LUT is a multiplexer of four
            return
        storage = loaded_uram(width, depth)
        self.uram += storage.uram
        self.words = max(self.words, storage.words)
        self.lut += storage.lut
        self.ff += storage.ff

    def search(self, thresholds: int, folds: int, widths: Sequence[int]) -> None:
        """A binary search in lanes whose values have `widths` bits.

        What the steps that choose among constants take is fitted. What the others take is not: a memory, read into
        registers if it is one of LUTs, and a LUT a bit that subtracts.
        """
        direct, bits = direct_steps(thresholds, folds), sum(widths)
        self.add(
            compared=len(direct) * bits,
            tables=sum(folds << stage > 1 for stage in direct) * bits,
            found=len(widths) * search_stages(thresholds) * (search_stages(thresholds) + 1) / 2,
        )
        for memory in search_memories(thresholds, folds):
            self.words = max(self.words, memory.words)
            self.lut += bits
            if memory.block:
                self.bram_18k += sum(block_count(memory.thresholds * width, memory.words) for width in widths)
            else:
                self.lut += memory.thresholds * -(-memory.words // 64) * bits
                self.ff += memory.thresholds * bits


def demand(layer: Kernel, family: str) -> Demand:
    """The demand of `layer`, folded as it is, in Yosys' `family`."""
    if isinstance(layer, MVAU):
        return matrix_demand(layer, {"pe": layer.pe, "simd": layer.simd, "ram_style": layer.ram_style}, family)
    if isinstance(layer, UnrolledMVAU):
        return matrix_demand(layer, {"digits": layer.digits}, family)
    if isinstance(layer, SparseMVAU):
        fields = {"pe": layer.pe, "simd": layer.simd, "lanes": layer.lanes, "ram_style": layer.ram_style}
        return matrix_demand(layer, fields, family)
    result = Demand(layer.op_type)
    _STREAMING[type(layer)](result, layer, family)
    return result


def matrix_demand(layer: MatrixVector, fields: Mapping[str, int | str], family: str) -> Demand:
    """The demand of the matrix of `layer` with the `fields` of a folding, which say what computes it: `digits` for
    UnrolledMVAU, `lanes` for SparseMVAU (see `pipeline/dataflow/folding.py`); weights are in `ram_style`, else "auto"."""
    if "digits" in fields:
        return _unrolled(_matrix(layer), fields["digits"])
    pe, simd, lanes = (fields.get(name) for name in ("pe", "simd", "lanes"))
    least, weights = _sparse(layer, pe, simd, lanes, family) if lanes else _folded(layer, pe, simd, family)
    result = replace(least, terms=least.terms.copy())
    result.store_weights(*weights, fields.get("ram_style", "auto"))
    return result


def csd_digits(weights: np.ndarray) -> np.ndarray:
    """The digits other than 0 of each weight in canonical signed-digit form: the terms that its products are sums of.

    >>> csd_digits(np.array([0, 1, 7, -7, 11]))
    array([0, 1, 2, 2, 3])
    """
    size = np.abs(weights)
    changed = size ^ (3 * size)  # Reitwiesner, "Binary arithmetic", 1960: n + 2n carries where the digits are
    return np.bitwise_count(changed).astype(np.int64)


# -- matrices -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Matrix:
    """What of a MatrixVector counts, whatever computes it."""

    rows: int
    columns: int
    input_bits: int
    input_signed: bool
    weight_bits: int
    product_adders: int  # bits of the adders of one product
    product_bits: int
    stages: int  # of a product, each with a register for the sum so far and for both factors
    row_bits: np.ndarray  # of accumulators
    digits: np.ndarray  # signed digits of each row's weights that are not 0
    thresholds: int
    bias_bits: int
    output_bits: int


@lru_cache(maxsize=256)
def _matrix(layer: MatrixVector) -> _Matrix:
    input_, weight = layer.input_type, layer.weight_type
    return _Matrix(
        rows=layer.mh,
        columns=layer.mw,
        input_bits=input_.bits,
        input_signed=input_.signed,
        weight_bits=weight.bits,
        product_adders=product_adders(input_, weight),
        product_bits=product_width(input_, weight),
        stages=product_latency(input_, weight),
        row_bits=np.array(layer.accumulator_bits or layer.exact_accumulator_bits()),
        digits=csd_digits(layer.weights).sum(axis=1),
        thresholds=0 if layer.thresholds is None else layer.thresholds.shape[1],
        bias_bits=0 if layer.bias is None else int(np.abs(layer.bias).max()).bit_length() + 1,
        output_bits=layer.output_type.bits,
    )


_Weights = tuple[str, int, int]  # the term of a memory, the bits of its words, and how many there are


@lru_cache(maxsize=256)  # one folding after the other is asked for with each memory
def _folded(layer: MatrixVector, pe: int, simd: int, family: str) -> tuple[Demand, _Weights]:
    """What is needed besides the memory of the weights, whatever that is made of, and that memory."""
    matrix = _matrix(layer)
    result = Demand(MVAU.op_type)
    neurons, synapses = matrix.rows // pe, matrix.columns // simd
    lanes = matrix.row_bits.reshape(neurons, pe).max(axis=0)
    pairs = (simd + 1) // 2
    sums = np.minimum(matrix.product_bits + 1 + max(pairs - 1, 0).bit_length() / 2, lanes)
    result.add(
        products=pe * simd * matrix.product_adders,
        factors=pe * simd * matrix.product_bits,
        stages=matrix.stages
        * pe
        * (simd * (matrix.input_bits + matrix.weight_bits) + pairs * (matrix.product_bits + 1)),
        tree=(pairs - 1) * sums.sum(),
        accumulators=lanes.sum(),
        inputs=simd * matrix.input_bits,
        counters=log2(neurons * synapses),
    )
    if neurons > 1:
        result.store("replay", ram(simd * matrix.input_bits, max(synapses, 2), family))
    if matrix.bias_bits:
        result.store("biases", rom(pe * matrix.bias_bits, neurons))
    _end(result, matrix, lanes.tolist())
    return result, ("weights", pe * simd * matrix.weight_bits, neurons * synapses)


def _unrolled(matrix: _Matrix, digits: int) -> Demand:
    result = Demand(UnrolledMVAU.op_type)
    bits = -(-matrix.input_bits // digits)
    terms = matrix.digits[matrix.digits > 0]
    adders = float((terms - 1).sum())
    depth = float(((terms - 1) * np.log2(np.maximum(terms, 1))).sum())
    dense = adders / matrix.columns / max(len(terms), 1)  # how much there is for rows to share
    result.add(
        adders=adders,
        adder_bits=adders * bits,
        adder_growth=depth,
        shared=adders * dense,
        inputs=matrix.columns * bits,
        results=float(np.log2(np.maximum(terms, 1)).sum()) + len(terms) * bits,
    )
    if digits > 1:
        result.add(accumulators=matrix.row_bits.sum(), vector=matrix.columns * matrix.input_bits)
    elif matrix.bias_bits:
        result.add(accumulators=matrix.row_bits.sum())
    _end(result, matrix, matrix.row_bits.tolist())
    return result


@lru_cache(maxsize=256)
def _sparse(layer: MatrixVector, pe: int, simd: int, lanes: int, family: str) -> tuple[Demand, _Weights]:
    """As `_folded`."""
    matrix = _matrix(layer)
    waiting, sums, widest = _walkers(layer, pe, lanes, family)
    result = replace(waiting, terms=waiting.terms.copy())
    steps = walk_of(layer, pe, lanes)[1]
    words = matrix.columns // simd
    word_bits, element_bits = max((words - 1).bit_length(), 1), max((simd - 1).bit_length(), 1)
    result.store("window", ram(simd * matrix.input_bits, (1 << word_bits) + words, family), pe)
    result.add(
        walkers=pe,
        products=pe * matrix.product_adders,
        factors=pe * (matrix.product_bits + 2 * matrix.weight_bits),
        stages=matrix.stages * pe * (matrix.input_bits + matrix.weight_bits + matrix.product_bits),
        selection=pe * matrix.input_bits * simd if simd > 1 else 0,
        accumulators=sums,
        counters=log2(steps) + log2(words) + log2(matrix.rows // lanes + 1),
        choice=pe * widest if pe > lanes else 0,
        chosen=lanes * widest,
    )
    if matrix.bias_bits:
        result.store("biases", rom(lanes * widest, matrix.rows // lanes))
        result.add(bias_adders=lanes * widest)
    _end(result, matrix, [widest] * lanes)
    return result, ("walk", pe * (matrix.weight_bits + element_bits + word_bits + 1), steps)


@lru_cache(maxsize=4096)
def _walkers(layer: MatrixVector, pe: int, lanes: int, family: str) -> tuple[Demand, int, int]:
    """What sums need that wait for their turn, whatever the lanes of the input; the bits of all sums and of the
    widest."""
    matrix = _matrix(layer)
    result = Demand(SparseMVAU.op_type)
    walks, _ = walk_of(layer, pe, lanes)
    sums = [int(matrix.row_bits[list(own)].max()) if own else 1 for own in walks]
    for own, width in zip(walks, sums, strict=True):
        address_bits = max((_WINDOWS * len(own) - 1).bit_length(), 1)
        storage = ram(width, 1 << address_bits, family)
        result.lut += storage.lut
        result.bram_18k += storage.bram_18k
        result.ff += 2 * width  # the sum on its way to the FIFO and the one at its output
        result.add(fifos=1, result_counters=address_bits)
    return result, sum(sums), max(sums)


def _end(result: Demand, matrix: _Matrix, widths: Sequence[int]) -> None:
    """The thresholds of a matrix, in lanes whose sums have `widths` bits, and the output register."""
    if matrix.thresholds:
        result.search(matrix.thresholds, matrix.rows // len(widths), widths)
    result.add(outputs=len(widths) * matrix.output_bits)


# -- layers that pass a stream on -----------------------------------------------------------------------------------


def _thresholding(result: Demand, layer: Thresholding, family: str) -> None:
    result.search(layer.thresholds.shape[1], layer.threshold_folds, [layer.input_type.bits] * layer.pe)
    result.add(outputs=layer.pe * layer.output_type.bits)


def _generator(result: Demand, layer: ConvolutionInputGenerator, family: str) -> None:
    bits = layer.simd * layer.type.bits
    result.store("lines", ram(bits, layer.buffer_depth, family))
    result.add(data=bits, counters=log2(layer.buffer_depth) + log2(layer.shape[0] * layer.shape[1] * layer.folds))


def _parallel_window(result: Demand, layer: ParallelWindow, family: str) -> None:
    height, width, channels = layer.shape
    bits = channels * layer.type.bits
    for _ in range(layer.kernel[0]):
        result.store("lines", ram(bits, width, family))
    result.add(
        column=layer.kernel[0] * bits,
        turned=layer.kernel[0] ** 2 * bits,
        window=layer.kernel[0] * (layer.kernel[1] - 1) * bits,
        counters=log2(height) + log2(width),
    )


def _padding(result: Demand, layer: FMPadding, family: str) -> None:
    height, width, channels = layer.shape
    result.add(data=layer.simd * layer.type.bits, counters=log2(height) + log2(width) + log2(channels // layer.simd))


def _pool(result: Demand, layer: Pool, family: str) -> None:
    parameters = layer.parameters()
    bits = layer.pe * parameters["AccWidth"]
    result.add(data=bits, outputs=layer.pe * parameters["OutputWidth"], counters=log2(layer.folds * layer.window))
    if layer.folds > 1:
        result.store("gathered", ram(bits, layer.folds, family))


def _add_streams(result: Demand, layer: AddStreams, family: str) -> None:
    (output,) = layer.output_types()
    scaled = int(sum(csd_digits(np.array(layer.multipliers)) - 1))
    result.add(sums=layer.pe * output.bits, scaled=layer.pe * scaled * output.bits)


def _duplicate(result: Demand, layer: DuplicateStreams, family: str) -> None:
    result.add(data=layer.pe * layer.type.bits, copies=layer.copies)  # one register in front of all copies


def _label_select(result: Demand, layer: LabelSelect, family: str) -> None:
    parameters = layer.parameters()
    multiplier, offset = parameters["MultiplierWidth"], parameters["OffsetWidth"]
    for values, width in ((layer.multipliers, multiplier), (layer.offsets, offset)):
        if values is not None:
            varying = int(np.bitwise_or.reduce(values ^ values[0])) & ((1 << width) - 1)  # other bits are no memory
            result.store("constants", rom(varying.bit_count(), layer.labels))
    result.add(score=parameters["ScoreWidth"], offset=offset, labels=log2(layer.labels + 1))
    if layer.multipliers is not None:
        types = layer.input_type, layer.multiplier_type
        registers = parameters["ScoreWidth"] + layer.input_type.bits + multiplier
        result.add(product=product_adders(*types), stages=product_latency(*types) * registers)


def _converter(result: Demand, layer: StreamingDataWidthConverter, family: str) -> None:
    wide, narrow = (count * layer.type.bits for count in sorted((layer.in_lanes, layer.out_lanes), reverse=True))
    widens = layer.out_lanes > layer.in_lanes
    result.add(**{"widened" if widens else "narrowed": wide, "part": narrow, "counters": log2(wide / narrow)})


def _fifo(result: Demand, layer: StreamingFIFO, family: str) -> None:
    bits = layer.lanes * layer.type.bits
    if layer.depth <= 2:
        result.add(registers=bits)
    else:
        result.store("memory", ram(bits, max(layer.depth - 1, 2), family))
        result.add(counters=log2(layer.depth), deep=1)


_STREAMING: Mapping[type[Kernel], Callable] = {
    AddStreams: _add_streams,
    ConvolutionInputGenerator: _generator,
    DuplicateStreams: _duplicate,
    FMPadding: _padding,
    LabelSelect: _label_select,
    ParallelWindow: _parallel_window,
    Pool: _pool,
    StreamingDataWidthConverter: _converter,
    StreamingFIFO: _fifo,
    Thresholding: _thresholding,
}
