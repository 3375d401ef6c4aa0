"""Layers drawn as networks have them, which the resource model is fitted to."""

from __future__ import annotations

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.registry import kernels
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import SparseMVAU

__all__ = ["large_layers", "layers", "side_by_side_layers"]

# How many of a kind, in the order in which they are drawn: a kernel that is new comes last, and so leaves the others as
# they were
_COUNTS = {
    "MVAU": 80, "UnrolledMVAU": 60, "SparseMVAU": 60, "ConvolutionInputGenerator": 24, "ParallelWindow": 16,
    "FMPadding": 12, "Pool": 16, "AddStreams": 12, "DuplicateStreams": 8, "LabelSelect": 16,
    "StreamingDataWidthConverter": 20, "StreamingFIFO": 30, "Thresholding": 16, "VVAU": 30,
    "Crop": 16, "DepthToSpace": 16, "Lookup": 16, "StreamingConcat": 16, "UpsampleNearestNeighbour": 16,
    "ElementwiseMul": 16, "DspMVAU": 36,
}  # fmt: skip
_OF_OTHERS = 16


def layers(seed: int | tuple[int, ...]) -> list[Layer]:
    """Layers of every kernel, of the size of ResNet-8's; the same ones for the same `seed`."""
    draw = Draw(seed)
    counts = _COUNTS | {name: _OF_OTHERS for name in kernels() if name not in _COUNTS}
    return [kernels()[name].draw(draw) for name, count in counts.items() for _ in range(count)]


def large_layers(seed: int | tuple[int, ...]) -> list[Layer]:
    """Matrices of the size of ResNet-18's."""
    draw = Draw(seed)
    return [kind.draw_large(draw) for kind, count in ((SparseMVAU, 10), (MVAU, 4)) for _ in range(count)]


def side_by_side_layers(seed: int | tuple[int, ...]) -> list[Layer]:
    """Matrices of several pixels a beat: sparse ones, and in DSPs of xcup with the columns of a kernel in each."""
    draw = Draw(seed)
    sparse = [SparseMVAU.draw_several(draw) for _ in range(14)]
    return [*sparse, *(DspMVAU.draw_taps(draw) for _ in range(14))]
