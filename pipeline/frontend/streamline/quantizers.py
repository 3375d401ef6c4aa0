"""The arithmetic of QONNX's quantizers, once for the executor and for the derivation of thresholds.

Formulas: the operator descriptions of QONNX (Quant, IntQuant, BipolarQuant and Trunc, versions 1 and 2) and, where they
leave something open, QONNX's executor. The limits of a bit width and the attributes of an operator are asked of QONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
import torch
from onnx import AttributeProto
from qonnx.custom_op.base import CustomOp
from qonnx.custom_op.general.bipolar_quant import BipolarQuant
from qonnx.custom_op.general.intquant import IntQuant, max_int, min_int
from qonnx.custom_op.general.multithreshold import MultiThreshold
from qonnx.custom_op.general.trunc import Trunc_v1, Trunc_v2
from qonnx.util.basic import get_preferred_qonnx_opset
from torch import Tensor

from pipeline.errors import UnsupportedError
from pipeline.frontend.streamline.nodes import describe
from pipeline.frontend.streamline.obstacles import Obstacles

__all__ = ["QUANTIZER_OPS", "Quantizer", "check_quantizers", "read_quantizer"]

# of each operator: the versions that changed it, QONNX's class, and the operands after the tensor
_VERSIONS: dict[str, dict[int, tuple[type[CustomOp], tuple[str, ...]]]] = {
    "Quant": {1: (IntQuant, ("scale", "zero point", "bit width"))},
    "IntQuant": {1: (IntQuant, ("scale", "zero point", "bit width"))},
    "BipolarQuant": {1: (BipolarQuant, ("scale",))},
    "Trunc": {
        1: (Trunc_v1, ("scale", "zero point", "input bit width", "output bit width")),
        2: (Trunc_v2, ("scale", "zero point", "input bit width", "output scale", "output bit width")),
    },
    "MultiThreshold": {1: (MultiThreshold, ("thresholds",))},
}
QUANTIZER_OPS = frozenset(_VERSIONS)
_DOMAIN = "qonnx.custom_op.general"
_DOMAINS = {_DOMAIN: _DOMAIN, "onnx.brevitas": "onnx.brevitas", "finn": _DOMAIN, "finn.custom_op.general": _DOMAIN}
_MOST_BITS = 32
_FEW_THRESHOLDS = 255  # with each of which values are compared
_UNLIMITED = 1 << 52  # a truncation of version 1 does not clip; double holds every integer up to here
_ATTRIBUTE_TYPES = {
    "i": AttributeProto.INT,
    "s": AttributeProto.STRING,
    "f": AttributeProto.FLOAT,
}  # as QONNX calls them

ROUNDINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "ROUND": torch.round,
    "HALF_EVEN": torch.round,
    "CEIL": torch.ceil,
    "FLOOR": torch.floor,
    "UP": lambda x: torch.sign(x) * torch.ceil(torch.abs(x)),
    "DOWN": torch.trunc,
    "HALF_UP": lambda x: torch.sign(x) * torch.floor(torch.abs(x) + 0.5),
    "HALF_DOWN": lambda x: torch.sign(x) * torch.ceil(torch.abs(x) - 0.5),
}


@dataclass(frozen=True, eq=False)
class Quantizer:
    """A quantizer with all its operands known: real = scale · integer, integers from `lo` to `hi`.

    `least` and `most` are the levels, whole numbers with `zero_point` in them; the integers have it taken out. `scale`
    (float32) and `zero_point` (whole, float32) broadcast against the tensor. A bipolar quantizer knows the levels -1
    and 1 only. Where `input_scale` is given, the tensor is divided by it instead of by `scale`. A truncation has a
    `divisor`, a power of two: it rounds before it divides. A MultiThreshold has `thresholds` (C, T), or (1, T) for all
    channels, which are along `channel_axis`: its integers are `least` and `step` times how many are reached.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    least: int
    most: int
    rounding: str = "ROUND"
    bipolar: bool = False
    input_scale: np.ndarray | None = None
    divisor: float | None = None
    thresholds: np.ndarray | None = None
    channel_axis: int = 1
    step: int = 1

    @property
    def lo(self) -> int:
        return self.least - int(self.zero_point.max())

    @property
    def hi(self) -> int:
        return self.most - int(self.zero_point.min())

    @property
    def dividing_scale(self) -> np.ndarray:
        """The scale that the tensor is divided by."""
        return self.scale if self.input_scale is None else self.input_scale

    def integers(self, values: Tensor) -> Tensor:
        """The integers for `values`, as whole numbers of its floating-point type, in which they are calculated."""
        if self.thresholds is not None:
            return self._reached(values, torch.as_tensor(self.thresholds, dtype=values.dtype))
        x = values / torch.as_tensor(self.dividing_scale, dtype=values.dtype)
        zero_point = torch.as_tensor(self.zero_point, dtype=values.dtype) if self.zero_point.any() else None
        if zero_point is not None:
            x = x + zero_point
        if self.bipolar:
            x = torch.where(x >= 0, 1.0, -1.0).to(values.dtype)
        else:
            if self.divisor is not None:
                x = torch.round(x) / self.divisor
            x = ROUNDINGS[self.rounding](x.clamp_(self.least, self.most))
        return x if zero_point is None else x - zero_point

    def _reached(self, values: Tensor, thresholds: Tensor) -> Tensor:
        behind = 0 if self.channel_axis == -1 else values.ndim - 2
        if thresholds.shape[1] > _FEW_THRESHOLDS:
            rows = thresholds.sort(dim=1).values
            moved = values.movedim(values.ndim - 1 - behind, 0).contiguous()
            found = torch.searchsorted(rows, moved.reshape(len(rows), -1), right=True).reshape(moved.shape)
            return self.least + self.step * found.movedim(0, values.ndim - 1 - behind).to(values.dtype)
        count = torch.zeros_like(values)
        for column in thresholds.T:
            count += values >= column.reshape(-1, *[1] * behind)
        return self.least + self.step * count


def check_quantizers(model: onnx.ModelProto, obstacles: Obstacles) -> None:
    """Note as `obstacles` where QONNX has no such quantizer in the version of its operators that `model` imports.

    An operator has the newest form that is not newer than the version; QONNX takes version 1 where none is imported.
    """
    imported = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        if node.op_type in QUANTIZER_OPS:
            obstacles.attempt(node, partial(_check_version, node, imported))


def _check_version(node: onnx.NodeProto, imported: Mapping[str, int]) -> None:
    if node.domain not in _DOMAINS:
        raise UnsupportedError(
            f"{describe(node)} is of the domain {node.domain or 'ai.onnx'}; QONNX's {node.op_type} is of {_DOMAIN}."
        )
    version = imported.get(_DOMAINS[node.domain], get_preferred_qonnx_opset())
    form = max((known for known in _VERSIONS[node.op_type] if known <= version), default=None)
    expected = () if form is None else _VERSIONS[node.op_type][form][1]
    if len(node.input) != len(expected) + 1:
        raise UnsupportedError(
            f"{describe(node)} has {len(node.input)} operands. The model imports version {version} of {_DOMAIN}, "
            f"in which {node.op_type} takes {', '.join(('a tensor', *expected)) if form else 'none: there is none'}. "
            "Import the version that the node was written for."
        )


def read_quantizer(node: onnx.NodeProto, operands: list[np.ndarray | None]) -> Quantizer:
    """The quantizer that `node` describes. `operands` are its inputs after the first; None where one is not constant.

    Raises UnsupportedError for what has no exact integer form.
    """
    forms = _VERSIONS[node.op_type].values()
    kind, names = next((form for form in forms if len(form[1]) == len(operands)), (None, ()))
    if kind is None:
        expected = " or ".join(str(len(names) + 1) for _, names in forms)
        raise UnsupportedError(f"{describe(node)} has {len(operands) + 1} operands; expected {expected}.")
    operation = kind(node)
    known = operation.get_nodeattr_types()
    if unknown := [attribute.name for attribute in node.attribute if attribute.name not in known]:
        raise UnsupportedError(
            f"{describe(node)} has the attribute {unknown[0]}; QONNX has {', '.join(known) or 'none'} here. Take it out."
        )
    if node.op_type == "MultiThreshold":
        return _read_thresholds(node, operation, _float32(node, names[0], operands[0]))
    operand = {name: _float32(node, name, value) for name, value in zip(names, operands, strict=True)}
    scale = _scale(node, "scale", operand["scale"])
    if node.op_type == "BipolarQuant":
        # it compares the tensor itself, where a quotient could underflow to zero
        zero, one = (np.array(value, np.float32) for value in (0, 1))
        return Quantizer(scale, zero, -1, 1, bipolar=True, input_scale=one)
    zero_point = operand["zero point"]
    if not np.array_equal(zero_point, np.round(zero_point)):
        wrong = zero_point[zero_point != np.round(zero_point)].ravel()[0]
        raise UnsupportedError(f"{describe(node)} has a zero point of {wrong:g}; it must be whole to be exact.")
    rounding = _rounding(node, operation)
    if node.op_type == "Trunc":
        return _read_truncation(node, operation, scale, operand, rounding)
    bits = _bits(node, "bit width", operand["bit width"])
    signed, narrow = (bool(_attribute(node, operation, name)) for name in ("signed", "narrow"))
    if bits == 1 and signed:
        return Quantizer(scale, zero_point, -1, 1, bipolar=True)
    return Quantizer(scale, zero_point, *_limits(bits, signed, narrow, rounding), rounding)


def _read_thresholds(node: onnx.NodeProto, operation: CustomOp, thresholds: np.ndarray) -> Quantizer:
    """FINN's form of a quantizer: out_scale times the thresholds that are reached, and out_bias."""
    if thresholds.ndim != 2:
        raise UnsupportedError(
            f"{describe(node)} has thresholds of shape {thresholds.shape}; expected (channels, levels)."
        )
    scale, bias = (np.float32(_attribute(node, operation, name)) for name in ("out_scale", "out_bias"))
    layout = str(_attribute(node, operation, "data_layout"))
    whole = scale == np.round(scale) and bias == np.round(bias)
    first = float(bias) if whole else float(bias / scale)
    if scale <= 0 or first != round(first):
        raise UnsupportedError(
            f"{describe(node)} has an out_scale of {scale:g} and an out_bias of {bias:g}; expected a positive scale of which "
            "the bias is a multiple."
        )
    step, unit = (int(scale), np.float32(1)) if whole else (1, scale)
    least, zero = int(first), np.array(0, np.float32)
    most = least + step * thresholds.shape[1]
    axis = -1 if layout[-1:] == "C" and len(layout) > 2 else 1
    return Quantizer(np.asarray(unit), zero, least, most, thresholds=thresholds, channel_axis=axis, step=step)


def _read_truncation(
    node: onnx.NodeProto, operation: CustomOp, scale: np.ndarray, operand: dict[str, np.ndarray], rounding: str
) -> Quantizer:
    zero_point = operand["zero point"]
    if zero_point.any():
        raise UnsupportedError(f"{describe(node)} has a zero point; only 0 can be truncated exactly.")
    input_bits, output_bits = (_bits(node, name, operand[name]) for name in ("input bit width", "output bit width"))
    if operation.onnx_opset_version == 1:  # drops the lowest bits, leaves the scale as it was and does not clip
        dropped = float(input_bits) - float(output_bits)
        if dropped != round(dropped):
            raise UnsupportedError(f"{describe(node)} drops {dropped:g} bits; a truncation drops whole bits.")
        limits = -_UNLIMITED, _UNLIMITED
        return Quantizer(scale, zero_point, *limits, rounding, input_scale=scale, divisor=2.0**dropped)
    output_scale = _scale(node, "output scale", operand["output scale"])
    shift = float(_single(node, "truncation", np.round(np.log2(output_scale / scale))))
    signed, narrow = (bool(_attribute(node, operation, name)) for name in ("signed", "narrow"))
    limits = _limits(output_bits, signed, narrow, rounding)
    return Quantizer(output_scale, zero_point, *limits, rounding, input_scale=scale, divisor=2.0**shift)


def _limits(bits: np.float32, signed: bool, narrow: bool, rounding: str) -> tuple[int, int]:
    """The levels of a bit width, which need not be whole. QONNX clips before it rounds; as no rounding ever falls, that
    is to clip to the limits rounded."""
    ends = [torch.tensor(float(limit(signed, narrow, bits)), dtype=torch.float32) for limit in (min_int, max_int)]
    least, most = (int(ROUNDINGS[rounding](end)) for end in ends)
    return least, most


def _attribute(node: onnx.NodeProto, operation: CustomOp, name: str) -> int | str | float:
    """An attribute's value; the default in QONNX's own table where it is left out and QONNX does not require it."""
    kind, required, default, allowed = operation.get_nodeattr_def(name)
    attribute = next((a for a in node.attribute if a.name == name), None)
    if attribute is None:
        if required:  # QONNX's executor stops too; for narrow its description and its table name different defaults
            raise UnsupportedError(f"{describe(node)} leaves out {name}, which QONNX requires; give it.")
        stated: int | str | float = default
        return stated
    if attribute.type != _ATTRIBUTE_TYPES[kind]:
        wrong = AttributeProto.AttributeType.Name(attribute.type)
        expected = AttributeProto.AttributeType.Name(_ATTRIBUTE_TYPES[kind])
        raise UnsupportedError(f"{describe(node)} has {name} of type {wrong}; expected {expected}.")
    if kind == "f":
        return attribute.f
    value: int | str = attribute.i if kind == "i" else attribute.s.decode(errors="backslashreplace")
    if allowed is not None and value not in allowed:
        expected = ", ".join(map(str, sorted(allowed)))
        raise UnsupportedError(f"{describe(node)} has {name} {value}; expected one of {expected}.")
    return value


def _rounding(node: onnx.NodeProto, operation: CustomOp) -> str:
    rounding = str(_attribute(node, operation, "rounding_mode")).upper()
    if rounding not in ROUNDINGS:
        raise UnsupportedError(f"{describe(node)} rounds by {rounding!r}; supported are {', '.join(ROUNDINGS)}.")
    return rounding


def _float32(node: onnx.NodeProto, what: str, value: np.ndarray | None) -> np.ndarray:
    """`value`, finite and none of it lost, as float32, the type of QONNX's quantizers."""
    if value is None:
        raise UnsupportedError(
            f"{describe(node)} takes its {what} from another node. It must be a constant: freeze the quantizers "
            "before export."
        )
    value = np.asarray(value)
    if value.size == 0 or value.dtype.kind not in "fiu":
        raise UnsupportedError(
            f"{describe(node)} has a {what} of type {value.dtype} and shape {value.shape}; expected a number."
        )
    with np.errstate(over="ignore"):
        single = value.astype(np.float32)
    wrong = ~np.isfinite(single) | (single != value)
    if wrong.any():
        raise UnsupportedError(
            f"{describe(node)} has a {what} of {value[wrong].ravel()[0]}; expected a finite number that float32 holds."
        )
    return single


def _scale(node: onnx.NodeProto, what: str, value: np.ndarray) -> np.ndarray:
    if (value <= 0).any():
        raise UnsupportedError(f"{describe(node)} has a {what} of {value.min():g}; it must be finite and positive.")
    return value


def _bits(node: onnx.NodeProto, what: str, value: np.ndarray) -> np.float32:
    bits = _single(node, what, value)
    if not 1 <= bits <= _MOST_BITS:
        raise UnsupportedError(f"{describe(node)} has a {what} of {bits:g}; expected 1 to {_MOST_BITS}.")
    return bits


def _single(node: onnx.NodeProto, what: str, value: np.ndarray) -> np.float32:
    values = np.unique(value)
    if values.size != 1:
        raise UnsupportedError(f"{describe(node)} has a {what} that differs between channels; use one.")
    single: np.float32 = values[0]
    return single
