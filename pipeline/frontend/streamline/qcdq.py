"""Networks of QuantizeLinear and DequantizeLinear (QDQ; QCDQ with a Clip between them) get QONNX's quantizers instead.

A tensor of integers stands for real numbers: scale · (integer − zero point). Here the real numbers take its place: a
QuantizeLinear becomes a Quant, a DequantizeLinear of the same scale nothing, and what only moves elements moves the real
ones. ONNX rounds before it adds the zero point, QONNX after; so a Quant here has none, and a Clip in front of it where
its integers are no range of whole bits without it. QONNX's own transformation (QCDQToQuant) adds it to the number that is
rounded, and knows two nodes side by side only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.custom_op.general.intquant import max_int, min_int

from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.streamline.inference import QCDQ_OPS, infer
from pipeline.frontend.streamline.nodes import attributes, describe, unused_name
from pipeline.frontend.streamline.obstacles import Obstacles
from pipeline.frontend.streamline.operators import MOVES
from pipeline.frontend.streamline.qlinear import is_qlinear, write_out_qlinear
from pipeline.frontend.streamline.tensors import Tensors

__all__ = ["convert_qcdq"]

_DOMAIN = "qonnx.custom_op.general"
_LIMITS: dict[int, tuple[int, int]] = {
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
    TensorProto.INT16: (-(1 << 15), (1 << 15) - 1),
    TensorProto.UINT16: (0, (1 << 16) - 1),
}
_MOVES = (*MOVES, "MaxPool")  # the same of the integers and of what they stand for
_HINT = (
    "export the network as QONNX (brevitas.export.export_qonnx), or with static quantization: with constant scales and zero "
    "points, the same before and after"
)


def convert_qcdq(model: onnx.ModelProto, obstacles: Obstacles) -> bool:
    """Make quantizers of the QuantizeLinear and DequantizeLinear nodes of `model`, in place; whether there were any.

    `model` has passed `check_graph`. What is no quantizer is noted as `obstacles`.
    """
    graph = model.graph
    if not any(node.op_type in QCDQ_OPS or is_qlinear(node) for node in graph.node):
        return False
    write_out_qlinear(model, obstacles)
    rewriting = _Rewriting(graph, infer(model, obstacles), obstacles)
    for node in graph.node:
        rewriting.visit(node)
    rewriting.finish()
    if not any(entry.domain == _DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    return True


def _refuse(node: onnx.NodeProto, reason: str) -> NoReturn:
    raise UnsupportedError(f"{describe(node)} {reason}; {_HINT}.")


@dataclass(frozen=True, eq=False)
class _Integers:
    """Integers from `lo` to `hi` that stand for scale · (integer − zero): of the real `source` once it is quantized, or
    of `real`. `scale` and `zero` broadcast against the tensor."""

    scale: np.ndarray
    zero: np.ndarray
    lo: int
    hi: int
    source: str = ""
    real: str = ""

    def same(self, other: _Integers) -> bool:
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.zero, other.zero)


class _Rewriting:
    """The nodes so far, and what the tensors of integers stand for."""

    def __init__(self, graph: onnx.GraphProto, tensors: Tensors, obstacles: Obstacles) -> None:
        self._graph, self._tensors, self._obstacles = graph, tensors, obstacles
        self._nodes: list[onnx.NodeProto] = []
        self._integers: dict[str, _Integers] = {}
        self._renamed: dict[str, str] = {}

    def visit(self, node: onnx.NodeProto) -> None:
        for i, name in enumerate(node.input):
            node.input[i] = self._renamed.get(name, name)
        if self._obstacles.reads_unknown(node):
            self._obstacles.unknown.update(node.output)
        elif not self._obstacles.refuses(node):
            self._obstacles.attempt(node, partial(self._convert, node))
            if not self._obstacles.refuses(node):
                return
        kept = [name for name in node.input if name not in self._integers]  # the others are no more
        del node.input[:]
        node.input.extend(kept)
        types = self._tensors.types
        self._obstacles.unknown.update(name for name in node.output if types.get(name) in _LIMITS)
        self._nodes.append(node)

    def finish(self) -> None:
        output = self._graph.output[0].name
        if output in self._integers:
            raise UnsupportedError(
                f"The output {output} is a tensor of integers; end the network with DequantizeLinear."
            )
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        del self._graph.value_info[:]  # of the integers that are no more; the others were compared by `infer`

    def _convert(self, node: onnx.NodeProto) -> None:
        integers = [name for name in node.input if name in self._integers]
        if node.op_type == "QuantizeLinear":
            self._integers[node.output[0]] = replace(self._parameters(node, node.output[0]), source=node.input[0])
        elif node.op_type == "DequantizeLinear":
            self._dequantize(node)
        elif node.op_type == "Clip" and integers:
            self._integers[node.output[0]] = self._clipped(node)
        elif node.op_type == "Cast" and integers:
            if self._tensors.types[node.output[0]] != self._tensors.types[node.input[0]]:
                _refuse(node, f"makes the integers of {integers[0]} another type")
            self._integers[node.output[0]] = self._integers[node.input[0]]
        elif node.op_type in _MOVES and integers:
            before = self._integers[node.input[0]]  # its first operand alone may be no constant
            node.input[0] = self._real(node.input[0], unused_name(self._graph, f"{node.input[0]}_real"))
            integer, node.output[0] = node.output[0], unused_name(self._graph, f"{node.output[0]}_real")
            self._integers[integer] = self._moved(node, before, node.output[0])
            self._nodes.append(node)
        elif integers:
            _refuse(node, f"computes with the integers of {integers[0]}")
        else:
            self._nodes.append(node)

    def _moved(self, node: onnx.NodeProto, before: _Integers, real: str) -> _Integers:
        if before.scale.ndim and node.op_type != "MaxPool":
            _refuse(node, "moves integers that have a scale a channel")
        return replace(before, source="", real=real)

    def _parameters(self, node: onnx.NodeProto, integers: str) -> _Integers:
        """What `node` says of the tensor `integers`. Both of its ends have one shape."""
        options, constants, type_ = attributes(node), self._tensors.constants, self._tensors.types[integers]
        if options.get("block_size", 0):
            _refuse(node, "has a scale for each block")
        if type_ not in _LIMITS:
            _refuse(
                node, f"quantizes to {TensorProto.DataType.Name(type_).lower()}, not to integers of 4, 8 or 16 bits"
            )
        names = [name for name in node.input[1:] if name]
        if any(name not in constants for name in names):
            _refuse(node, "takes its scale or zero point from another node")
        scale = constants[names[0]]
        if scale.dtype != np.float32:
            _refuse(node, f"has a scale of {scale.dtype}, not of float32")
        zero = constants[names[1]].astype(np.int64) if len(names) > 1 else np.zeros((), np.int64)
        shape = self._tensors.shapes[node.input[0]]
        axis = options.get("axis", 1)
        if scale.ndim > 1 or zero.ndim > 1 or zero.size not in (1, scale.size):
            _refuse(node, f"has scales of shape {scale.shape} and zero points of shape {zero.shape}")
        if scale.size == 1:
            return _Integers(scale.reshape(()), zero.reshape(()), *_LIMITS[type_])
        if not -len(shape) <= axis < len(shape) or scale.size != shape[axis]:
            _refuse(node, f"has {scale.size} scales along axis {axis} of a tensor of shape {shape}")
        if (zero == zero.reshape(-1)[0]).all():
            zero = zero.reshape(-1)[0]
        along = [-1 if i == axis % len(shape) else 1 for i in range(len(shape))]
        return _Integers(scale.reshape(along), zero.reshape(along) if zero.ndim else zero, *_LIMITS[type_])

    def _dequantize(self, node: onnx.NodeProto) -> None:
        integers, output = node.input[0], node.output[0]
        wanted = self._parameters(node, integers)
        if integers in self._tensors.constants:
            self._weights(node, self._tensors.constants[integers].astype(np.int64), wanted)
            return
        if integers not in self._integers:
            _refuse(node, "dequantizes what no QuantizeLinear gives")
        if not wanted.same(self._integers[integers]):
            _refuse(node, f"has another scale or zero point than {integers}, which it reads")
        real = self._real(integers, output)
        if real == output:
            return
        if output == self._graph.output[0].name:
            self._nodes.append(helper.make_node("Identity", [real], [output], node.name))
        else:
            self._renamed[output] = real

    def _weights(self, node: onnx.NodeProto, integers: np.ndarray, wanted: _Integers) -> None:
        """A quantizer of the real weights: it gives the integers again, without their zero point."""
        centred = integers - wanted.zero
        real = self._constant(
            f"{node.output[0]}_weights", (centred * wanted.scale.astype(np.float64)).astype(np.float32)
        )
        least, most = wanted.lo - int(wanted.zero.max()), wanted.hi - int(wanted.zero.min())
        self._quant(node.output[0], real, wanted.scale, min(least, 0), max(most, 1), node.name)

    def _clipped(self, node: onnx.NodeProto) -> _Integers:
        constants = self._tensors.constants
        bounds = [constants[name] for name in node.input[1:] if name in constants]
        if len(node.input) != 3 or len(bounds) != 2 or any(bound.size != 1 for bound in bounds):
            _refuse(node, "clips integers without two constant bounds")
        before = self._integers[node.input[0]]
        lo, hi = max(before.lo, int(bounds[0].item())), min(before.hi, int(bounds[1].item()))
        if lo >= hi:
            _refuse(node, f"clips integers to [{lo}, {hi}]")
        return replace(before, lo=lo, hi=hi, source=before.source or before.real, real="")

    def _real(self, integers: str, name: str) -> str:
        """The tensor of what `integers` stand for, which is called `name` if it is not there yet."""
        before = self._integers[integers]
        if before.real:
            return before.real
        lo, hi = before.lo - before.zero, before.hi - before.zero
        least, most = int(lo.min()), int(hi.max())
        source = before.source
        if (lo != least).any() or (hi != most).any() or (before.scale.ndim and _whole(least, most) is None):
            raise UnsupportedError(
                f"The tensor {integers} has a scale a channel and a zero point; only for the tensor can both be built. "
                "Quantize activations with one scale."
            )
        if _whole(least, most) is None:
            bounds = [np.asarray(np.float32(end) * before.scale) for end in (least, most)]
            names = [self._constant(f"{integers}_bound{i}", bound) for i, bound in enumerate(bounds)]
            source = unused_name(self._graph, f"{integers}_clipped")
            self._nodes.append(helper.make_node("Clip", [before.source, *names], [source], source))
        self._quant(name, source, before.scale, least, most, f"{integers}_quantizer")
        self._integers[integers] = replace(before, source="", real=name)
        return name

    def _quant(self, output: str, source: str, scale: np.ndarray, least: int, most: int, name: str) -> None:
        """Append a Quant of `source`: of the range from `least` to `most`, or the smallest of whole bits around it."""
        signed, narrow, bits = _whole(least, most) or (least < 0, False, max(IntType(least, most).bits, 2))
        operands = [np.asarray(scale, np.float32), np.array(0, np.float32), np.array(bits, np.float32)]
        names = [
            self._constant(f"{output}_{part}", operand)
            for part, operand in zip(("scale", "zero_point", "bits"), operands, strict=True)
        ]
        quant = helper.make_node(
            "Quant",
            [source, *names],
            [output],
            name or output,
            domain=_DOMAIN,
            signed=int(signed),
            narrow=int(narrow),
            rounding_mode="ROUND",
        )
        self._nodes.append(quant)

    def _constant(self, name: str, value: np.ndarray) -> str:
        name = unused_name(self._graph, name)
        self._tensors.add_constant(name, value)
        self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def _whole(least: int, most: int) -> tuple[bool, bool, int] | None:
    """Sign, narrowness and bits of the quantizer of QONNX whose range it is; one signed bit is none, but -1 and 1."""
    bits = IntType(least, most).bits
    for narrow in (False, True):
        signed = least < 0
        if bits > signed and (min_int(signed, narrow, bits), max_int(signed, narrow, bits)) == (least, most):
            return signed, narrow, bits
    return None
