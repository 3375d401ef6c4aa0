"""Random valid QONNX networks, and their comparison with QONNX's own executor, integer by integer.

The executor computes in float32, in onnxruntime's order; the layer graph is derived from the network in double. A
network whose scales are powers of two is exact in float32, ties included: there nothing may differ. In another, float32
may move a value over a boundary between two levels of a quantizer. A frame in which an integer differs must then be
equal, in every integer, to the same network in double: onnx's ReferenceEvaluator with QONNX's formulas. Neither
reference shares code with the layer graph.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant
from qonnx.custom_op.general.trunc import trunc_v1, trunc_v2
from qonnx.transformation.infer_shapes import InferShapes

from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.conversion.walk import Conversion, convert_graph, without_ends
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import graph_output, run_graph
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS, ROUNDINGS
from pipeline.frontend.streamline.reading import read_model
from pipeline.frontend.streamline.several_outputs import (
    join_outputs,
    output_tensors,
    several_outputs,
    write_output_shapes,
)
from tests.dataflow.networks import Network

__all__ = ["Comparison", "RandomNetwork", "compare", "executed"]

_EXACT = 1 << 24  # float32 holds every integer of this magnitude
_FLOAT32 = 2.0**-20  # of the largest output: a sum of some tens of terms, each rounded
_ROUNDED = 2.0**-22  # the host's scale and bias are rounded to float32
_DOUBLE = 2.0**-44  # of the largest value: double has 53 bits, and sums have some hundred terms
_DOMAIN = "qonnx.custom_op.general"
_FRAMES = 24
_SMOOTH = ("Elu", "Selu", "Celu", "Softplus", "Softsign", "HardSigmoid", "ThresholdedRelu", "Erf")


class RandomNetwork(Network):
    """The network of a seed. `exact` says that float32 holds every value in it; `draws` is what it is made of."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        shapes = [(self.pick(1, 2, 3, 4), self.pick(3, 4, 5, 6), self.pick(3, 4, 5, 6)), (self.pick(3, 5, 8),)]
        shape = shapes[0] if self.chance(0.75) else shapes[1]
        self.pools = np.random.default_rng([seed, 8])  # of rows without a height, of Split, and of largest elements
        if len(shape) == 3 and self.pools.random() < 0.12:
            shape = (shape[0], shape[1] * shape[2])
        super().__init__(*shape, seed=seed)
        self.seed = seed
        self.implicit = len(shape) == 2  # whether there is what is written out as a file is read
        self.rng = np.random.default_rng([seed, 1])
        self.parts = np.random.default_rng([seed, 3])  # of what moves elements, so that other draws stay what they are
        self.products = np.random.default_rng([seed, 4])
        self.widths = np.random.default_rng([seed, 5])  # of integers of over 8 bits, in one network of five
        self.wide = self.widths.random() < 0.2
        self.dyadic = self.exact = self.chance(0.6)
        self.draws: set[str] = {"dyadic" if self.dyadic else "real scales"}
        self.quantizers_version = self.pick(1, 2)
        self.at = self.shape[1:]
        self.unit, self.reach = 1.0, 1.0  # every value is a multiple of the one and at most the other
        self.size = 1.0  # of a common value
        self.quantized = False
        self._input()
        for _ in range(self.pick(1, 1, 2, 3)):
            self._block()
        self._head()
        self._more_outputs(np.random.default_rng([seed, 4]))

    # what is drawn

    def pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def drew(self, what: str) -> None:
        self.draws.add(what)

    def scale_for(self, size: float, bits: float) -> np.float32:
        """A scale with which `bits` reach most of values of `size`, a standard deviation."""
        scale = 4.0 * max(size, 1e-3) / 2**bits * self.pick(0.5, 1.0, 1.0, 2.0)
        return np.float32(2.0 ** np.round(np.log2(scale)) if self.dyadic else scale * self.rng.uniform(0.7, 1.4))

    def numbers(self, count: int, size: float) -> np.ndarray:
        """Constants of a magnitude up to `size`; in a dyadic network multiples of a power of two, so that ties occur."""
        if not self.dyadic:
            return self.rng.normal(0, size / 2, count).astype(np.float32)
        step = 2.0 ** np.round(np.log2(max(size, 2.0**-20) / 4))
        self.unit = min(self.unit, step)
        return (self.rng.integers(-4, 5, count) * step).astype(np.float32)

    def _more_outputs(self, rng: np.random.Generator) -> None:
        """One network in eight gives one or two of the tensors behind quantizers, too."""
        behind = [n.output[0] for n in self.nodes if n.op_type in QUANTIZER_OPS and n.input[0] not in self.arrays]
        behind = [name for name in behind if name != self.last]
        if behind and rng.random() < 1 / 8:
            chosen = rng.permutation(len(behind))[: rng.integers(1, 3)]
            self.more_outputs, self.top1 = tuple(behind[i] for i in sorted(chosen)), False
            self.drew("several outputs")
            self._ends(np.random.default_rng([self.seed, 6]))

    def _ends(self, rng: np.random.Generator) -> None:
        """Half of several outputs are a function that no layer takes."""
        last, outputs = self.last, []
        for name in self.more_outputs:
            if rng.random() < 0.5:
                end = str(rng.choice(["Sigmoid", "Tanh", "Softmax"]))
                self.drew("an end on the host")
                name = self.add(end, at=name, **({"axis": 1} if end == "Softmax" else {}))
            outputs.append(name)
        self.last, self.more_outputs = last, tuple(outputs)

    def moved(self, reach: float, unit: float, size: float) -> None:
        """What the last tensor's values now are."""
        self.reach, self.unit, self.size = reach, unit, min(size, reach)
        if self.reach / self.unit > _EXACT:
            self.exact = False

    # quantizers

    def quantizer(
        self, *, at: str | None = None, scale: float | None = None, channels: bool = True, nearest: bool = False
    ) -> str:
        """A quantizer of the last tensor, with a scale that suits it unless `scale` is given."""
        kind = self.rng.random()
        zero_point: float | np.ndarray = 0.0
        rounding = self.pick(*ROUNDINGS) if self.chance(0.5) and not nearest else "ROUND"
        self.drew(f"rounding {rounding}")
        if self.chance(0.2):
            rounding = rounding.lower()
        if kind < 0.08 and scale is None and not nearest:
            self.drew("BipolarQuant")
            step = self.scale_for(self.size, 1)
            self.moved(float(step), float(step), float(step))
            self.quantized = True
            return self.add("BipolarQuant", step, at=at)
        bits: float = self.pick(1, 2, 2, 3, 4, 4, 5, 6, 7, 8)
        # with scales that are no powers of two float32 moves most frames of many levels over some boundary
        if self.wide and not nearest and self.widths.random() < 0.35:
            bits = self.widths.choice(
                np.array([9, 10, 11, 12, 12, 13, 14, 15, 16]) if self.dyadic else np.arange(9, 11)
            ).item()
        self.drew(f"{bits} bits")
        if self.chance(0.12):
            bits = self.pick(1.5, 2.5, 3.5, 4.25, 5.75)
            self.drew("fractional width")
        signed, narrow = self.pick(0, 1), self.pick(0, 1)
        self.drew("signed" if signed else "unsigned")
        self.drew("narrow" if narrow else "full range")
        step = np.float32(self.scale_for(self.size, bits) if scale is None else scale)
        if self.chance(0.15):
            zero_point = float(self.pick(1, 2, -1, 3))
            self.drew("zero point")
        if channels and scale is None and self.chance(0.1):
            self.drew("scale a channel")
            steps = step * np.float32(2.0) ** self.rng.integers(-1, 2, self.at[0]).astype(np.float32)
            step = steps.reshape(-1, *([1] * (len(self.at) - 1))).astype(np.float32)
        if channels and self.chance(0.05):
            self.drew("zero point a channel")
            zero_point = self.rng.integers(-2, 3, self.at[0]).reshape(-1, *([1] * (len(self.at) - 1)))
        span = 2.0**bits + float(np.max(np.abs(zero_point)))
        self.moved(span * float(np.max(step)), float(np.min(step)), self.size)
        self.quantized = True
        operands = (step, np.asarray(zero_point, np.float32), float(bits))
        op = self.pick("Quant", "Quant", "IntQuant")
        return self.add(op, *operands, at=at, signed=signed, narrow=narrow, rounding_mode=rounding)

    def parameter(self, shape: tuple[int, ...], axis: int) -> tuple[str, float, float]:
        """Quantized weights, and of an output channel, which is `axis`, the largest sum of magnitudes and the root of
        the sum of squares."""
        last, kind = self.last, self.rng.random()
        channels = [size if i == axis else 1 for i, size in enumerate(shape)]
        bits = float(self.pick(1, 2, 3, 4, 5, 8))
        scales = np.full(channels if self.chance(0.4) else (), self.scale_for(1.0, bits), np.float32)
        if scales.ndim:
            self.drew("weight scale a channel")
            scales = scales * np.float32(2.0) ** self.rng.integers(-2, 2, channels).astype(np.float32)
        values = self.rng.normal(0, 1, shape).astype(np.float32)
        if self.chance(0.3):  # halfway between two levels
            values = (np.round(values / scales * 2) / 2 * scales).astype(np.float32)
        weight = self.constant(values)
        if kind < 0.12:
            self.drew("bipolar weights")
            name = self.add("BipolarQuant", scales, at=weight)
            values = np.broadcast_to(scales, shape)
        else:
            if kind < 0.2:
                bits += 0.5
            signed = int(kind < 0.9)
            zero_point = float(self.pick(1, -1)) if self.chance(0.06) else 0.0
            name = self.add(
                "Quant",
                scales,
                zero_point,
                bits,
                at=weight,
                signed=signed,
                narrow=self.pick(0, 1),
                rounding_mode="ROUND",
            )
            values = np.abs(values) + np.float32(1 + abs(zero_point)) * scales
        self.last = last
        self.unit *= float(scales.min())
        others = tuple(i for i in range(len(shape)) if i != axis)
        squares = float(np.sqrt((values**2).sum(axis=others)).max())
        return name, float(np.abs(values).sum(axis=others).max()), squares

    # operators

    def _input(self) -> None:
        size = self.pick(0.5, 1.0, 4.0, 255.0)
        self.undo: list[tuple[str, float]] = []
        self._begin(np.random.default_rng([self.seed, 5]))
        if self.chance(0.25):
            self.drew("host steps")
            for op in ("Sub", "Div", "Add", "Mul")[: self.pick(1, 2, 4)]:
                value = self.pick(0.5, 2.0) if self.dyadic else float(np.float32(self.rng.uniform(0.3, 3)))
                self.add(op, value)
                self.undo.append((op, value))
        self.moved(size, size, size)
        self.quantizer(channels=False)
        self.input_grid = self.nodes[-1]

    def _begin(self, rng: np.random.Generator) -> None:
        """One network of images in eight moves or mixes pixels before its first quantizer."""
        if len(self.at) < 3 or rng.random() > 1 / 8:
            return
        kind = str(rng.choice(["linear", "nearest", "Transpose", "Slice"]))
        self.drew(f"host {kind}")
        channels, height, width = self.at
        if kind == "Transpose":
            self.add("Transpose", perm=[0, 1, 3, 2])
            self.at = (channels, width, height)
        elif kind == "Slice":
            start, step = int(rng.integers(2)), int(rng.integers(1, 3))
            ends = (self.constant([value], np.int64) for value in (start, height, 2, step))
            self.node("Slice", [self.last, *ends])
            self.at = (channels, -(-(height - start) // step), width)
        else:
            factors = rng.choice([0.5, 0.75, 1, 1.5, 1.7, 2, 2.6], 2).astype(np.float32)
            ways = ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"]
            rounding = str(rng.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]))
            options = {"coordinate_transformation_mode": str(rng.choice(ways)), "nearest_mode": rounding}
            scales = self.constant([1, 1, *factors])
            self.node("Resize", [self.last, "", scales], mode=kind, **options)
            self.at = (channels, int(np.float32(height) * factors[0]), int(np.float32(width) * factors[1]))

    def _block(self) -> None:
        kind = self.rng.random()
        if not self.quantized:
            self.quantizer()
        if len(self.at) == 3 and self.parts.random() < 0.35:
            self._part()
        if len(self.at) == 3 and self.products.random() < 0.15:
            self._product()
        if len(self.at) == 3 and self.at[0] > 1 and self.pools.random() < 0.15:
            self._split()
        if len(self.at) == 1:
            self._matrix()
        elif len(self.at) == 2:
            self._row()
        elif kind < 0.15:
            self._residual()
            return
        elif kind < 0.25:
            self._average_pool()
            return
        elif kind < 0.32:
            self._max_pool()
        elif kind < 0.47:
            self._table()
            return
        else:
            self._convolution()
        self._elementwise()
        if len(self.at) == 3 and self.chance(0.2):
            self._max_pool()
        self.quantizer()
        if self.chance(0.12):
            self._trunc()

    def _part(self) -> None:
        """An operator that moves, leaves out, repeats or joins elements, and a quantizer where that is needed."""
        channels, height, width = self.at
        kinds = ["Concat", "Pad", "Slice", "Slice"]
        if height * width <= 36:
            kinds += ["Resize", "ConvTranspose", "ConvTranspose"]
        if channels % 4 == 0 and channels:
            kinds += ["DepthToSpace"] * 4
        if height % 2 == width % 2 == 0:
            kinds += ["SpaceToDepth"] * 4
        kind = str(self.parts.choice(kinds))
        self.drew(kind)
        {
            "Concat": self._concat,
            "ConvTranspose": self._transposed_convolution,
            "DepthToSpace": self._squares,
            "Pad": self._border,
            "Resize": self._resize,
            "Slice": self._slice,
            "SpaceToDepth": self._pixels,
        }[kind]()

    def _part_of(self, *values):
        return values[int(self.parts.integers(len(values)))]

    def _concat(self) -> None:
        x, at, unit, reach, size = self.last, self.at, self.unit, self.reach, self.size
        scale, branches, channels, most = float(self.scale_for(size, 4)), [], 0, 0.0
        for _ in range(self._part_of(2, 2, 3)):
            self.last, self.at, self.unit, self.reach, self.size = x, at, unit, reach, size
            self._convolution(same=True)
            branches.append(self.quantizer(scale=scale * self._part_of(1.0, 1.0, 0.5, 1.5), channels=False))
            channels, most = channels + self.at[0], max(most, self.reach)
        self.node("Concat", branches, axis=1)
        self.at = (channels, *at[1:])
        self.moved(most, scale / 2, size)

    def _split(self) -> None:
        """The channels in two parts, which are joined the other way round."""
        self.drew("Split")
        self.implicit = True
        first = int(self.pools.integers(1, self.at[0]))
        sizes = self.constant([first, self.at[0] - first], np.int64)
        parts = [f"{name}_of_split_{len(self.nodes)}" for name in ("first", "second")]
        name = f"Split_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node("Split", [self.last, sizes], parts, name, axis=1))
        self.node("Concat", parts[::-1], axis=1)

    def _row(self) -> None:
        """A convolution of rows without a height, and at times a pool of them."""
        channels, width = self.at
        groups = channels if self.pools.random() < 0.3 else 1
        outputs = groups * int(self.pools.integers(1, 4))
        kernel, stride = int(self.pools.integers(1, min(3, width) + 1)), int(self.pools.integers(1, 3))
        pads = [int(self.pools.integers(kernel)) for _ in range(2)]
        self.drew("1-D convolution")
        reach, size = self.reach, self.size
        weight, terms, squares = self.parameter((outputs, channels // groups, kernel), 0)
        names = [self.last, weight, *self._bias(outputs, squares * size)]
        self.node("Conv", names, kernel_shape=[kernel], strides=[stride], pads=pads, group=groups)
        self.at = (outputs, (width + sum(pads) - kernel) // stride + 1)
        self.moved(terms * reach + 2 * squares * size, self.unit, squares * size)
        self.quantized = False
        if self.at[1] > 1 and self.pools.random() < 0.4:
            self.drew("1-D MaxPool")
            self.add("MaxPool", kernel_shape=[2], strides=[2])
            self.at = (outputs, self.at[1] // 2)

    def _border(self) -> None:
        pads = [int(self.parts.integers(3)) for _ in range(4)]
        self.add("Pad", self.constant([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64), np.float32(0))
        self.at = (self.at[0], self.at[1] + pads[0] + pads[2], self.at[2] + pads[1] + pads[3])

    def _slice(self) -> None:
        axis = self._part_of(1, 1, 2, 3)
        size = self.at[axis - 1]
        step = self._part_of(1, 2) if axis > 1 else 1
        start = int(self.parts.integers(size))
        end = int(self.parts.integers(start, size)) + 1
        self.add("Slice", *(self.constant([value], np.int64) for value in (start, end, axis, step)))
        left = len(range(start, end, step))
        self.at = tuple(left if index == axis - 1 else of for index, of in enumerate(self.at))

    def _resize(self) -> None:
        rows, columns = self._part_of(1, 2, 3), self._part_of(1, 2)
        scales = self.constant([1, 1, rows, columns])
        if self.parts.random() < 0.5:
            self.node(
                "Resize", [self.last, "", scales], coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            )
        else:
            self.node("Resize", [self.last, "", scales])
        self.at = (self.at[0], self.at[1] * rows, self.at[2] * columns)

    def _squares(self) -> None:
        self.add("DepthToSpace", blocksize=2, mode=self._part_of("DCR", "CRD"))
        self.at = (self.at[0] // 4, self.at[1] * 2, self.at[2] * 2)

    def _pixels(self) -> None:
        self.add("SpaceToDepth", blocksize=2)
        self.at = (self.at[0] * 4, self.at[1] // 2, self.at[2] // 2)

    def _transposed_convolution(self) -> None:
        channels, height, width = self.at
        kernel = [self._part_of(1, 2, 3, 4), self._part_of(2, 3)]
        stride, outputs = self._part_of(1, 2, 2, 3), self._part_of(1, 2, 4)
        pads = [int(self.parts.integers((k + 1) // 2)) for k in (*kernel, *kernel)]
        more = [int(self.parts.integers(stride)) for _ in range(2)]
        reach, size, last = self.reach, self.size, self.last
        weight, terms, squares = self.parameter((channels, outputs, *kernel), 1)
        names = [last, weight, *self._bias(outputs, squares * size)]
        self.node("ConvTranspose", names, strides=[stride, stride], pads=pads, output_padding=more)
        sizes = (
            stride * (n - 1) + m + k - a - b
            for n, m, k, a, b in zip((height, width), more, kernel, pads, pads[2:], strict=False)
        )
        self.at = (outputs, *sizes)
        self.moved(terms * reach + 2 * squares * size, self.unit, squares * size)
        self.quantized = False
        self.quantizer()

    def _convolution(self, *, same: bool = False, at: str | None = None) -> None:
        channels, height, width = self.at
        kernel, stride, pads = [1, 1], [1, 1], [0, 0, 0, 0]
        if same:
            kernel, pads = ([3, 3], [1, 1, 1, 1]) if self.chance(0.5) else (kernel, pads)
        else:
            pads = [self.pick(0, 0, 1) for _ in range(4)]
            kernel = [self.pick(1, 2, 3), self.pick(1, 2, 3)]
            kernel = [
                min(k, size + a + b) for k, size, a, b in zip(kernel, (height, width), pads, pads[2:], strict=False)
            ]
            stride = [self.pick(1, 1, 2), self.pick(1, 1, 2)]
        dilations = [1, 1] if same else self._dilations(kernel, pads)
        groups = 1
        if self.chance(0.25):
            groups = channels
            self.drew("depthwise" if channels > 1 else "one channel")
        elif channels % 2 == 0 and self.chance(0.3):
            groups = 2
            self.drew("grouped")
        outputs = channels if same else groups * self.pick(1, 2, 3) if groups > 1 else self.pick(1, 2, 3, 4)
        for what, happens in (
            ("stride", stride != [1, 1]),
            ("uneven pads", pads[:2] != pads[2:]),
            ("padded convolution", any(pads)),
            ("1 × 1", kernel == [1, 1]),
            ("dilated convolution", dilations != [1, 1]),
        ):
            if happens:
                self.drew(what)
        reach, size = self.reach, self.size
        weight, terms, squares = self.parameter((outputs, channels // groups, *kernel), 0)
        bias = self._bias(outputs, squares * size)
        names = [at or self.last, weight, *bias]
        more = {} if dilations == [1, 1] else {"dilations": dilations}
        self.node("Conv", names, kernel_shape=kernel, strides=stride, pads=pads, group=groups, **more)
        self.at = (outputs, *self._windows(kernel, stride, pads, dilations))
        self.moved(terms * reach + 2 * squares * size, self.unit, squares * size)
        self.quantized = False

    def _dilations(self, kernel: list[int], pads: list[int]) -> list[int]:
        """At times more than 1, where the windows still fit."""
        sizes = (self.at[1] + pads[0] + pads[2], self.at[2] + pads[1] + pads[3])
        drawn = [self._part_of(1, 1, 1, 2, 3) for _ in kernel]
        return [d if k > 1 and (k - 1) * d < size else 1 for k, d, size in zip(kernel, drawn, sizes, strict=True)]

    def _windows(
        self, kernel: list[int], stride: list[int], pads: list[int], dilations: Sequence[int] = (1, 1)
    ) -> tuple[int, int]:
        """Rows and columns of windows over the last tensor."""
        sizes = (self.at[1] + pads[0] + pads[2], self.at[2] + pads[1] + pads[3])
        spans = ((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
        rows, columns = ((size - k) // t + 1 for size, k, t in zip(sizes, spans, stride, strict=True))
        return rows, columns

    def _bias(self, outputs: int, size: float) -> list[str]:
        if self.chance(0.6):
            return []
        self.drew("bias")
        return [self.constant(self.numbers(outputs, size))]

    def _matrix(self) -> None:
        (inputs,), outputs = self.at, self.pick(3, 4, 6)
        reach, size = self.reach, self.size
        if self.chance(0.5):
            self.drew("MatMul")
            weight, terms, squares = self.parameter((inputs, outputs), 1)
            self.add("MatMul", weight)
            factor = 1.0
        else:
            self.drew("Gemm")
            transposed = self.pick(0, 1)
            shape = (outputs, inputs) if transposed else (inputs, outputs)
            weight, terms, squares = self.parameter(shape, 1 - transposed)
            factor = self.pick(1.0, 1.0, 0.5)
            names = [self.last, weight, *self._bias(outputs, squares * size)]
            self.node("Gemm", names, transB=transposed, alpha=factor, beta=self.pick(1.0, 2.0))
        self.at = (outputs,)
        self.moved(terms * reach + 4 * squares * size, self.unit * factor, factor * squares * size)
        self.quantized = False

    def _elementwise(self) -> None:
        channels, ones = self.at[0], [1] * (len(self.at) - 1)
        if self.chance(0.5):
            self.drew("BatchNormalization")
            gamma, var = self.rng.normal(size=channels), self.rng.random(channels) + 0.5
            if self.dyadic:
                gamma = self.rng.choice([-2, -1, -0.5, 0.5, 1, 2], channels)
                var = self.rng.choice([0.25, 1, 4], channels)
            if self.chance(0.2):
                gamma[0] = 0
            beta, mean = self.numbers(channels, self.size), self.numbers(channels, self.size)
            self.add("BatchNormalization", gamma, beta, mean, var, epsilon=0.0)
            factor = float(np.abs(gamma / np.sqrt(var)).max())
            self.moved(factor * (self.reach + 2 * self.size) + 2 * self.size, self.unit / 4, (factor + 1) * self.size)
        if self.chance(0.15):
            self.drew("factor a channel")
            factors = self.rng.choice([-1, 1, 0.5, -0.25], channels).reshape(-1, *ones)
            self.add(self.pick("Mul", "Div"), factors.astype(np.float32))
            self.moved(4 * self.reach, self.unit / 4, self.size)
        if self.chance(0.1):
            self.drew("Neg")
            self.add("Neg")
        if self.chance(0.6):
            self._function()
        if self.chance(0.1):  # a factor after a function
            factors = self.rng.choice([-1, 1, 2, -0.5], channels).reshape(-1, *ones)
            self.add("Mul", factors.astype(np.float32))
            self.moved(2 * self.reach, self.unit / 2, self.size)

    def _function(self) -> None:
        function = self.pick(
            "Relu", "Relu", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "PRelu", self.pick(*_SMOOTH)
        )
        self.drew(function)
        if function == "Clip":
            lo, hi = (float(np.float32(s * self.size * self.rng.uniform(0.3, 2))) for s in (-1, 1))
            if self.dyadic:
                lo, hi = (float(np.sign(v) * 2.0 ** np.round(np.log2(abs(v)))) for v in (lo, hi))
                self.unit = min(self.unit, -lo, hi)
            self.add("Clip", np.float32(self.pick(lo, 0.0)), np.float32(hi))
            self.moved(max(-lo, hi), self.unit, self.size)
        elif function == "LeakyRelu":
            alpha = self.pick(0.125, 0.25) if self.dyadic else 0.1
            self.add("LeakyRelu", alpha=alpha)
            self.moved(self.reach, self.unit * alpha, self.size)
        elif function == "PRelu":
            ones = [1] * (len(self.at) - 1)
            self.add("PRelu", self.rng.choice([0, 0.125, 0.5, 2], self.at[0]).reshape(-1, *ones).astype(np.float32))
            self.moved(2 * self.reach, self.unit / 8, self.size)
        elif function in _SMOOTH:
            self._smooth(function)
        else:
            self.add(function)
            if function in ("Sigmoid", "Tanh"):
                self.exact = False
                self.moved(1.0, self.unit, 0.5)

    def _smooth(self, function: str, *, at: str | None = None) -> str:
        """One that float32 does not hold; where it is bounded its values are small."""
        self.exact = False
        if function == "Softplus" and self.reach > 500:  # onnx's evaluator overflows there
            function = "Softsign"
        reach = 1.0 if function in ("Softsign", "HardSigmoid", "Erf") else 2 * self.reach + 2
        self.moved(reach, self.unit, min(self.size, reach) / 2)
        return self.add(function, at=at)

    def _table(self) -> None:
        """A function that falls and grows, of integers."""
        size = self.size
        kind = self.pick("Abs", "Sin", "square", "Swish", "HardSwish", "Mish", "Gelu", "difference")
        self.drew(f"table of {kind}")
        self.exact = self.exact and kind in ("Abs", "square")
        x, operators = self.last, {"Swish": "Sigmoid", "HardSwish": "HardSigmoid"}
        if kind in ("Abs", "Sin"):
            self.add(kind)
        elif kind == "square":
            self.add("Pow", np.float32(2)) if self.chance(0.5) else self.node("Mul", [x, x])
            size = size**2
        elif kind in operators:
            factor = self.add(operators[kind])
            self.node("Mul", [x, factor] if self.chance(0.5) else [factor, x])
        elif kind == "Mish":
            self.node("Mul", [x, self.add("Tanh", at=self.add("Softplus"))])
        elif kind == "Gelu":
            erf = self.add("Erf", at=self.add("Div", np.float32(np.sqrt(2))))
            self.node("Mul", [self.add("Mul", np.float32(0.5), at=x), self.add("Add", np.float32(1), at=erf)])
        else:
            self.node("Sub", [self.add("Abs"), self.add("Tanh", at=x)])
        power = 2 if kind == "square" else 1
        self.moved(max(self.reach, self.reach**power), min(self.unit, self.unit**power), size)
        # some come so close to 0, or to the operand, that double does not tell on which side of a boundary
        dyadic, self.dyadic = self.dyadic, self.dyadic and kind in ("Abs", "square")
        self.quantizer(nearest=True)
        self.dyadic = dyadic

    def _max_pool(self) -> None:
        channels, height, width = self.at
        kernel = [min(self.pick(2, 3), height), min(self.pick(1, 2, 3), width)]
        pads = [self.pick(0, 1) if k > 1 else 0 for k in (*kernel, *kernel)]
        stride = [self.pick(1, 2), self.pick(1, 2)]
        self.drew("padded MaxPool" if any(pads) else "MaxPool")
        more: dict[str, int | list[int]] = {}
        sizes = list(zip((height, width), kernel, stride, strict=True))
        ceiling = [-(-(size - k) // t) + 1 for size, k, t in sizes]
        # a window that begins behind the edge is left out by some and not by others
        inside = all((count - 1) * t < size for count, (size, _, t) in zip(ceiling, sizes, strict=True))
        if self.pools.random() < 0.3 and inside and not any(pads):
            self.drew("ceil_mode")
            self.implicit = True
            more["ceil_mode"] = 1
        elif self.pools.random() < 0.3:
            bounds = (height + pads[0] + pads[2], width + pads[1] + pads[3])
            spread = [2 if k > 1 and 2 * (k - 1) < size else 1 for k, size in zip(kernel, bounds, strict=True)]
            if spread != [1, 1]:
                self.drew("dilated MaxPool")
                more["dilations"] = spread
        self.add("MaxPool", kernel_shape=kernel, strides=stride, pads=pads, **more)
        windows = self._windows(kernel, stride, pads, more.get("dilations", (1, 1)))
        self.at = (channels, *(ceiling if "ceil_mode" in more else windows))

    def _average_pool(self) -> None:
        channels, height, width = self.at
        quantizers = [n for n in self.nodes if n.op_type in QUANTIZER_OPS and n.input[0] not in self.arrays]
        step, bits = quantizers[-1].input[1], 8.0
        kernel = [min(2, height), min(2, width)] if self.chance(0.6) else [min(3, height), min(2, width)]
        pads, options = [0, 0, 0, 0], {}
        if self.chance(0.3):
            self.drew("padded AveragePool")
            pads = [1 if k > 1 else 0 for k in (*kernel, *kernel)]
            if self.chance(0.7):
                options["count_include_pad"] = 1
        self.drew("AveragePool")
        self.add("AveragePool", kernel_shape=kernel, strides=kernel, pads=pads, **options)
        self.at = (channels, *self._windows(kernel, kernel, pads))
        window = kernel[0] * kernel[1]
        if window & (window - 1) or (any(pads) and not options):
            self.exact = False
        self.moved(self.reach, self.unit / window, self.size)
        scales = self.arrays[step]
        if window == 4 and scales.size == 1 and self.chance(0.5):
            self._truncation(float(scales.item()) / 4, bits + 2, 2)
        else:
            self.quantizer()

    def _trunc(self) -> None:
        scales = self.arrays[self.nodes[-1].input[1]]
        if scales.size == 1:
            self._truncation(float(scales.item()), 8.0, self.pick(1, 2))

    def _truncation(self, scale: float, bits: float, dropped: int) -> None:
        self.drew(f"Trunc of version {self.quantizers_version}")
        rounding = self.pick(*ROUNDINGS)
        scale32 = np.float32(scale)
        if self.quantizers_version == 1:
            self.add("Trunc", scale32, 0.0, bits, bits - dropped, rounding_mode=rounding)
            self.moved(self.reach, float(scale32), self.size)
            return
        after = np.float32(scale32 * 2**dropped)
        options = {name: self.pick(0, 1) for name in ("signed", "narrow") if self.chance(0.7)}
        self.add("Trunc", scale32, 0.0, bits, after, float(self.pick(2, 4, 6)), rounding_mode=rounding, **options)
        self.moved(self.reach, float(after), self.size)

    def _residual(self) -> None:
        self.drew("residual")
        x, at, unit, reach, size = self.last, self.at, self.unit, self.reach, self.size
        scale = float(self.scale_for(size, 4))
        branches, most = [], 0.0
        for index in range(2):
            self.last, self.at, self.unit, self.reach, self.size = x, at, unit, reach, size
            if index == 0 or self.chance(0.5):
                self._convolution(same=True)
            factor = self.pick(1.0, 1.0, 2.0, 1.5) if self.chance(0.9) else 1.37
            if factor == 1.37:
                self.exact = False
            branches.append(self.quantizer(scale=scale * factor, channels=False))
            most += self.reach
        self.node(self.pick("Add", "Add", "Sub"), branches)
        self.drew(self.nodes[-1].op_type)
        self.moved(most, scale / 2, size)
        if self.chance(0.5):
            self._elementwise()
        self.quantizer()

    def _product(self) -> None:
        """Of the last tensor and another of its shape, or one number a channel that is made of its averages."""
        if not self.quantized:
            self.quantizer()
        x, at, unit, reach, size = self.last, self.at, self.unit, self.reach, self.size
        if self.products.random() < 0.5:
            self.drew("product")
            self._convolution(same=True)
        else:
            self.drew("gate")
            self.add("GlobalAveragePool")
            count, self.at = at[1] * at[2], (at[0], 1, 1)
            self.exact = self.exact and not count & (count - 1)
            self.moved(reach, unit / count, size)
        factor = self.quantizer(channels=False)
        if self.at != at or self.products.random() < 0.5:
            self.node("Mul", [x, factor] if self.products.random() < 0.5 else [factor, x])
        else:
            self.node("Mul", [factor, factor])
            x, unit, reach, size = factor, self.unit, self.reach, self.size
        self.at = at
        self.moved(reach * self.reach, unit * self.unit, size * self.size)
        if self.chance(0.3):
            self._elementwise()
        self.quantizer()

    def _head(self) -> None:
        if len(self.at) == 3:
            kind = self.rng.random()
            channels = self.at[0]
            if kind < 0.4:
                if self.chance(0.5):
                    self.drew("Flatten")
                    self.add("Flatten")
                else:
                    self.drew("Reshape")
                    self.node("Reshape", [self.last, self.constant([0, -1], np.int64)])
                self.at = (int(np.prod(self.at)),)
            elif kind < 0.7 and self.pools.random() < 0.3:
                self._largest()
            elif kind < 0.7:
                count = self.at[1] * self.at[2]
                if count & (count - 1):
                    self.exact = False
                if self.chance(0.5):
                    self.drew("GlobalAveragePool")
                    self.add("GlobalAveragePool")
                    self.add("Flatten")
                else:
                    self.drew("ReduceMean")
                    self.add("ReduceMean", axes=[2, 3], keepdims=0)
                self.at = (channels,)
                self.moved(self.reach, self.unit / count, self.size)
                if self.chance(0.5):
                    self.quantizer()
            else:
                self._convolution()
        if len(self.at) == 2:
            self.add("Flatten")
            self.at = (int(np.prod(self.at)),)
        if len(self.at) == 1:
            self._matrix()
        if self.chance(0.3):
            self.add("Mul", np.float32(self.pick(0.5, -0.25)))
            self.moved(self.reach, self.unit / 4, self.size)
        self.top1 = len(self.at) == 1 and self.chance(0.5)
        self.drew("top1" if self.top1 else "logits")

    def _largest(self) -> None:
        """Of each channel."""
        if self.pools.random() < 0.5:
            self.drew("GlobalMaxPool")
            self.add("GlobalMaxPool")
            self.add("Flatten")
        else:
            self.drew("ReduceMax")
            self.add("ReduceMax", axes=[2, 3], keepdims=0)
        self.at = self.at[:1]

    def frames(self, count: int = _FRAMES) -> np.ndarray:
        """Frames that reach every level of the input's quantizer: on the levels, halfway between, and beyond."""
        node, size = self.input_grid, int(np.prod(self.shape[1:]))
        scale = float(self.arrays[node.input[1]].max())
        lo, hi = -1.5, 1.5
        if node.op_type != "BipolarQuant":
            bits, zero_point = float(self.arrays[node.input[3]]), float(self.arrays[node.input[2]].max())
            signed = next(a.i for a in node.attribute if a.name == "signed")
            lo, hi = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1)) if signed else (0.0, 2.0**bits)
            lo, hi = np.floor(lo - zero_point) - 1.5, np.ceil(hi - zero_point) + 1.5
        rng, shape, grid = np.random.default_rng([self.seed, 2]), self.shape[1:], np.arange(lo, hi + 0.25, 0.5)
        on_grid = -(-len(grid) // size)
        levels = np.concatenate([rng.permutation(grid), rng.choice(grid, on_grid * size - len(grid))])
        more = rng.choice(grid, (max(count - on_grid - 2, 6), *shape))
        if not self.dyadic:  # some between the grid's points
            more[::2] += rng.uniform(-0.5, 0.5, more[::2].shape)
        ends = [np.full((1, *shape), end) for end in (lo, hi)]
        frames = np.concatenate([*ends, levels.reshape(on_grid, *shape), more]) * scale
        for op, value in reversed(self.undo):
            frames = {"Sub": frames + value, "Div": frames * value, "Add": frames - value, "Mul": frames / value}[op]
        return frames.astype(np.float32)


@dataclass
class Comparison:
    """What became of a network. `refused` is the message where it cannot be built; `wrong` says what differs.

    Of `frames`, `in_double` differ from the executor's float32. They are equal in double, up to the value, in
    `undecided` of them, that even double does not tell from a boundary between two levels.
    """

    refused: str = ""
    wrong: str = ""
    frames: int = 0
    elements: int = 0
    in_double: int = 0
    undecided: int = 0
    streams: dict[str, np.ndarray] = field(default_factory=dict, repr=False)


def compare(network: Network, frames: np.ndarray | None = None, *, top1: bool | None = None) -> Comparison:
    """Build the layer graph of `network` and compare all of it with QONNX's executor."""
    frames = network.frames() if frames is None else frames
    model, exact = network.model(), getattr(network, "exact", False)
    join_outputs(model)
    top1 = getattr(network, "top1", False) if top1 is None else top1
    result = Comparison(frames=len(frames))
    context = executed(model, frames)
    write_output_shapes(model, {name: (1, *value.shape[1:]) for name, value in context.items() if value is not None})
    try:
        read = _as_read(network.model(), context) if getattr(network, "implicit", False) else model
        streamlined = streamline.streamline(read, frames, run_graph(read, frames)).model
        converted = dataflow.convert(streamlined, frames, top1=top1).graph
        shorter = without_ends(streamlined)[0]
        conversion = convert_graph(shorter, top1=top1, name="network")
    except UnsupportedError as error:
        result.refused = str(error)
        if not any(node.name in str(error) or node.output[0] in str(error) for node in model.graph.node):
            result.wrong = f"the refusal names no node: {error}"
        return result
    graph = conversion.graph
    result.streams = graph.execute(graph.input_transform.apply(frames))
    output, sources = graph_output(model.graph), output_tensors(shorter)
    differs, message = _differences(
        result, conversion, _joined(context, output, sources), output, 0.0 if exact else _FLOAT32
    )
    if not differs.any() and several_outputs(model) is not None:
        result.wrong = _ends_differ(converted, result.streams[conversion.logits], context)
    if differs.any() and exact:
        result.wrong = f"{message}, in a network that float32 holds"
    elif differs.any():
        result.in_double = int(differs.sum())
        part = Comparison(streams={name: stream[differs] for name, stream in result.streams.items()})
        tensors = _joined(_executed_in_double(model, context, differs), output, sources)
        nodes = {node.output[0]: node for node in model.graph.node}
        again, message = _differences(part, conversion, tensors, output, _ROUNDED, nodes)
        result.undecided = part.undecided
        if again.any():
            result.wrong = f"{message}, in double as well"
    return result


def _as_read(model: onnx.ModelProto, context: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """`model` as a file of it is read, which writes out what ONNX leaves implicit."""
    for value in model.graph.output:
        shape = (1, *context[value.name].shape[1:])
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, shape))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        path.write_bytes(model.SerializeToString())
        return read_model(path)


def _joined(tensors: Mapping[str, np.ndarray], output: str, sources: Sequence[str]) -> Mapping[str, np.ndarray]:
    """`tensors` with the joined `output` as it is of `sources`, where there are several."""
    if len(sources) == 1:
        return tensors
    flat = [tensors[name].reshape(len(tensors[name]), 1, -1) for name in sources]
    return {**tensors, output: np.concatenate(flat, axis=2)}


def _ends_differ(graph: LayerGraph, stream: np.ndarray, context: Mapping[str, np.ndarray]) -> str:
    """Which output with steps of the driver is another than the executor's, by more than the rounding of float32."""
    real = graph.output_transform.real(stream)
    for output in graph.outputs:
        expected = context[output.name]
        if output.steps and not np.allclose(output.of(real), expected, rtol=1e-4, atol=1e-6):
            return f"the output {output.name} differs by {np.abs(output.of(real) - expected).max():.3g}"
    return ""


def executed(model: onnx.ModelProto, frames: np.ndarray) -> Mapping[str, np.ndarray]:
    """Every tensor, by QONNX's own executor, for all frames at once."""
    batch = onnx.ModelProto()
    batch.CopyFrom(model)
    batch.graph.input[0].type.tensor_type.shape.dim[0].dim_value = len(frames)
    batch.graph.output[0].type.tensor_type.ClearField("shape")
    return execute_onnx(ModelWrapper(batch).transform(InferShapes()), {"input": frames}, return_full_exec_context=True)


def _quantized(node: onnx.NodeProto, x: np.ndarray, operands: Sequence[np.ndarray]) -> np.ndarray:
    """QONNX's formula in the type of `x` and `operands`."""
    options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    rounding = options.get("rounding_mode", b"ROUND").decode()
    if node.op_type == "BipolarQuant":
        return binary_quant(x, *operands)
    if node.op_type != "Trunc":
        return int_quant(x, *operands, options["signed"], options["narrow"], rounding)
    if len(operands) == 4:
        return trunc_v1(x, *operands, rounding)
    *before, scale, bits = operands
    return trunc_v2(x, *before, options.get("narrow", 0), options.get("signed", 1), scale, bits, rounding)


class _Quantizer(OpRun):
    op_domain = _DOMAIN

    def _run(self, x, *operands, **attributes):
        return (_quantized(self.onnx_node, x, operands),)


class MaxPool(OpRun):
    """onnx's own gives other shapes for some pads with strides."""

    def _run(self, x, kernel_shape=None, pads=None, strides=None, **defaults):
        top, left, bottom, right = pads
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel_shape, axis=(2, 3))
        return (windows[:, :, :: strides[0], :: strides[1]].max(axis=(4, 5)),)


def _executed_in_double(
    model: onnx.ModelProto, context: Mapping[str, np.ndarray], frames: np.ndarray
) -> Mapping[str, np.ndarray]:
    """Every tensor after the first quantizer, for those `frames` of `context`, in double.

    Weights and the input are quantized in float32, as the framework and the host do: their integers are of `context`.
    """
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    constants = {name: a.astype(np.float64) if a.dtype == np.float32 else a for name, a in constants.items()}
    feeds: dict[str, np.ndarray] = {}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        of_constant = node.input[0] in constants
        if node.op_type in QUANTIZER_OPS and (of_constant or not feeds):
            scale = constants[node.input[1]]
            values = np.round(context[node.output[0]] / scale) * scale
            if of_constant:
                constants[node.output[0]] = values
            else:
                feeds, nodes = {node.output[0]: values[frames]}, []  # what comes before it is the host's
        else:
            nodes.append(node)
    value = onnx.helper.make_tensor_value_info
    (source, values), output = next(iter(feeds.items())), graph_output(model.graph)
    graph = onnx.helper.make_graph(
        nodes,
        "in_double",
        [value(source, onnx.TensorProto.DOUBLE, values.shape)],
        [value(output, onnx.TensorProto.DOUBLE, None)],
        [onnx.numpy_helper.from_array(a, name) for name, a in constants.items()],
    )
    # onnx's evaluator normalises by the batch up to version 13; the other operators are the same in both
    opsets = [onnx.helper.make_opsetid("", 14), onnx.helper.make_opsetid(_DOMAIN, 1)]
    double = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)
    operators = [MaxPool, *(type(name, (_Quantizer,), {}) for name in QUANTIZER_OPS)]
    return {**feeds, **ReferenceEvaluator(double, new_ops=operators).run(None, feeds, intermediate=True)}


def _differences(
    result: Comparison,
    conversion: Conversion,
    tensors: Mapping[str, np.ndarray],
    output: str,
    rounding: float,
    nodes: Mapping[str, onnx.NodeProto] | None = None,
) -> tuple[np.ndarray, str]:
    """The frames in which a quantizer's integer, an output or the label differs, and where the first does.

    With `nodes`, the quantizers by their outputs, `tensors` are in double; what that does not decide ends a frame.
    """
    count = len(next(iter(result.streams.values())))
    differs, undecided, message = np.zeros(count, bool), np.zeros(count, bool), ""
    for checkpoint in conversion.checkpoints:
        tensor = tensors[checkpoint.tensor].astype(np.float64)
        stream = result.streams[checkpoint.stream]
        actual = np.take(stream.reshape(count, -1), checkpoint.layout.ravel(), axis=1).reshape(tensor.shape)
        actual = actual.astype(np.int64) - checkpoint.shift
        scale = np.broadcast_to(checkpoint.scale, stream.shape[1:]).ravel()[checkpoint.layout.ravel()]
        expected = np.round(tensor / scale.reshape(tensor.shape[1:]))
        wrong = (actual != expected) & ~undecided.reshape(-1, *[1] * (actual.ndim - 1))
        result.elements += actual.size
        if nodes is not None and wrong.any():
            near = _on_boundary(nodes[checkpoint.tensor], tensors, actual, expected)
            undecided |= (wrong & near).reshape(count, -1).any(axis=1) & ~differs
            wrong &= ~undecided.reshape(-1, *[1] * (actual.ndim - 1))
        if wrong.any() and not message:
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            message = f"{checkpoint.tensor} at {place}: {actual[place]}, expected {expected[place]:.0f}"
        differs |= wrong.reshape(count, -1).any(axis=1)
    transform, stream = conversion.transform, result.streams[conversion.logits]
    real = (stream * transform.scale + transform.bias).reshape(count, -1)[:, conversion.layout.ravel()]
    expected = tensors[output].reshape(count, -1).astype(np.float64)
    allowed = rounding * (np.abs(stream * transform.scale).max() + np.abs(transform.bias).max())
    short = np.abs(real - expected).max(axis=1) - allowed
    result.elements += real.size
    if conversion.graph.layers[-1].op_type == "LabelSelect":
        labels = result.streams[conversion.graph.output].ravel()
        behind = expected.max(axis=1) - expected[np.arange(count), labels] - 2 * allowed
        # of equal outputs the first
        tied = (expected == expected.max(axis=1, keepdims=True)).argmax(axis=1) < labels
        short = np.maximum(short, np.where(tied & (allowed == 0), 1.0, behind))
    short[undecided] = 0
    result.undecided = int(undecided.sum())
    if (short > 0).any() and not message:
        message = f"an output or the label of frame {int(short.argmax())} differs by {short.max():.3g}"
    return differs | (short > 0), message


def _on_boundary(
    node: onnx.NodeProto, tensors: Mapping[str, np.ndarray], actual: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """Where the value that `node` quantizes lies, to within the rounding of double, between both integers."""
    operands = [tensors[name] for name in node.input[1:]]
    scale = operands[3] if len(operands) == 5 else operands[0]
    # a sum may have cancelled, and what a function makes of it be small: the rounding is of the largest value of all
    largest = max(float(np.abs(t).max()) for t in tensors.values() if t is not None and t.dtype == np.float64)
    values = tensors[node.input[0]]
    ends = [_quantized(node, values + sign * _DOUBLE * largest, operands) for sign in (-1, 1)]
    below, above = (np.round(end / scale) for end in ends)
    return (np.minimum(actual, expected) >= below) & (np.maximum(actual, expected) <= above)
