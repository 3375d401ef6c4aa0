"""The arithmetic of QONNX's quantizers, once for the executor and for the derivation of thresholds.

Formulas: the operator descriptions of QONNX (Quant, IntQuant, BipolarQuant and Trunc, versions 1 and 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor

from pipeline.errors import UnsupportedError

__all__ = ["QUANTIZER_OPS", "Quantizer", "read_quantizer"]

QUANTIZER_OPS = frozenset({"Quant", "IntQuant", "BipolarQuant", "Trunc"})

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

    `scale` (float32) broadcasts against the tensor; the integers have `zero_point`, one for the tensor, taken out
    already. A bipolar quantizer knows -1 and 1 only. A truncation rounds to `input_scale` first and then divides by
    `divisor`, a power of two; for the others `input_scale` is None.
    """

    scale: np.ndarray
    zero_point: int
    lo: int
    hi: int
    rounding: str = "ROUND"
    bipolar: bool = False
    input_scale: np.ndarray | None = None
    divisor: float = 1.0

    def integers(self, values: Tensor) -> Tensor:
        """The integers for `values`, as whole numbers of its floating-point type, in which they are calculated."""
        scale = self.scale if self.input_scale is None else self.input_scale
        x = values / torch.as_tensor(scale, dtype=values.dtype)
        if self.bipolar:
            return torch.where(x >= 0, 1.0, -1.0).to(values.dtype)
        if self.input_scale is not None:
            x = torch.round(x) / self.divisor
        zero_point = int(self.zero_point)
        if zero_point:
            x = x + zero_point
        x = ROUNDINGS[self.rounding](x.clamp_(self.lo + zero_point, self.hi + zero_point))
        return x - zero_point if zero_point else x


def read_quantizer(node: onnx.NodeProto, operands: list[np.ndarray | None]) -> Quantizer:
    """The quantizer that `node` describes. `operands` are its inputs after the first; None where one is not constant.

    Raises UnsupportedError for what has no exact integer form.
    """
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if any(operand is None for operand in operands):
        raise UnsupportedError(
            f"{node.op_type} node {node.name} takes its scale, zero point or bit width from another node. They must be "
            "constants: freeze the quantizers before export."
        )
    scale = np.array(operands[0], np.float32)
    if not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        raise UnsupportedError(
            f"{node.op_type} node {node.name} has a scale of {scale.min():g}; it must be finite and positive."
        )
    if node.op_type == "BipolarQuant":
        return Quantizer(scale, 0, -1, 1, bipolar=True)
    zero_point = _whole(node, "zero point", operands[1])
    rounding = attributes.get("rounding_mode", b"FLOOR" if node.op_type == "Trunc" else b"ROUND").decode().upper()
    if rounding not in ROUNDINGS:
        raise UnsupportedError(
            f"{node.op_type} node {node.name} rounds by {rounding}; supported are {', '.join(ROUNDINGS)}."
        )
    if node.op_type == "Trunc":
        return _read_truncation(node, scale, zero_point, operands, attributes, rounding)
    bits = int(_single(node, "bit width", operands[2]))
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 1))
    if bits == 1 and signed:
        return Quantizer(scale, 0, -1, 1, bipolar=True)
    lo, hi = _limits(bits, signed, narrow)
    if zero_point.any():
        # the interval below is of integers without the zero point, so one zero point for the whole tensor
        shift = int(_single(node, "zero point", zero_point))
        return Quantizer(scale, shift, lo - shift, hi - shift, rounding)
    return Quantizer(scale, 0, lo, hi, rounding)


def _read_truncation(node, scale, zero_point, operands, attributes, rounding) -> Quantizer:
    if zero_point.any():
        raise UnsupportedError(f"Trunc node {node.name} has a zero point; only 0 can be truncated exactly.")
    if len(operands) == 4:  # version 1: drops the lowest bits and leaves the scale as it was
        dropped = int(_single(node, "input bit width", operands[2])) - int(
            _single(node, "output bit width", operands[3])
        )
        return Quantizer(scale, 0, -(1 << 52), 1 << 52, rounding, input_scale=scale, divisor=2.0**dropped)
    output_scale = np.array(operands[3], np.float32)
    shifts = np.round(np.log2(output_scale / scale))
    shift = float(_single(node, "truncation", np.unique(shifts)))
    lo, hi = _limits(
        int(_single(node, "output bit width", operands[4])),
        bool(attributes.get("signed", 1)),
        bool(attributes.get("narrow", 0)),
    )
    return Quantizer(output_scale, 0, lo, hi, rounding, input_scale=scale, divisor=2.0**shift)


def _limits(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def _single(node: onnx.NodeProto, what: str, value: np.ndarray) -> float:
    values = np.unique(np.asarray(value))
    if values.size != 1:
        raise UnsupportedError(f"{node.op_type} node {node.name} has a {what} that differs between channels; use one.")
    return float(values[0])


def _whole(node: onnx.NodeProto, what: str, value: np.ndarray) -> np.ndarray:
    value = np.asarray(value, np.float64)
    if np.any(value != np.round(value)):
        raise UnsupportedError(
            f"{node.op_type} node {node.name} has a {what} of {value.ravel()[0]:g}; it must be whole to be exact."
        )
    return value.astype(np.int64)
