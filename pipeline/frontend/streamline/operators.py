"""The functions of the ONNX operators that a network here may contain, on torch tensors.

QONNX's own executor starts an onnxruntime session a node; on a ResNet-18 that is minutes where this is seconds. Every
function takes the node's attributes and its operands (None for one left out) and returns its one output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.frontend.streamline.resizing import Resizing

__all__ = [
    "BUILDABLE",
    "CLASSIFIER_ENDS",
    "ELEMENTWISE_FUNCTIONS",
    "FOLDABLE",
    "MOVES",
    "OPERATORS",
    "PARTS",
    "POOLS",
    "WITHOUT_LAYER",
    "is_monotone",
]

Operator = Callable[..., Tensor]

_SELU = (1.67326319217681884765625, 1.05070102214813232421875)  # of ONNX' description, as float32 has them


def _gelu(a: dict[str, Any], x: Tensor) -> Tensor:
    return F.gelu(x, approximate=a.get("approximate", b"none").decode())


def _softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros((), dtype=x.dtype))


# functions of one real operand that never fall, but for some parameters: between two quantizers they become thresholds
_RISING: dict[str, Operator] = {
    "Relu": lambda a, x: torch.relu(x),
    "LeakyRelu": lambda a, x: torch.where(x >= 0, x, x * a.get("alpha", 0.01)),
    "PRelu": lambda a, x, slope: torch.where(x >= 0, x, x * slope.to(x.dtype)),
    "ThresholdedRelu": lambda a, x: torch.where(x > a.get("alpha", 1.0), x, 0.0).to(x.dtype),
    "Elu": lambda a, x: torch.where(x > 0, x, a.get("alpha", 1.0) * torch.expm1(x)),
    "Celu": lambda a, x: torch.where(x > 0, x, a.get("alpha", 1.0) * torch.expm1(x / a.get("alpha", 1.0))),
    "Selu": lambda a, x: a.get("gamma", _SELU[1]) * torch.where(x > 0, x, a.get("alpha", _SELU[0]) * torch.expm1(x)),
    "Softplus": lambda a, x: _softplus(x),
    "Softsign": lambda a, x: x / (1 + torch.abs(x)),
    "HardSigmoid": lambda a, x: (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Tanh": lambda a, x: torch.tanh(x),
    "Erf": lambda a, x: torch.erf(x),
    "Exp": lambda a, x: torch.exp(x),
    "Log": lambda a, x: torch.log(x),
    "Sqrt": lambda a, x: torch.sqrt(x),
    "Floor": lambda a, x: torch.floor(x),
    "Ceil": lambda a, x: torch.ceil(x),
    "Round": lambda a, x: torch.round(x),
    "Sign": lambda a, x: torch.sign(x),
    "Clip": lambda a, x, lo=None, hi=None: _clip(x, a.get("min", lo), a.get("max", hi)),
}
# that rise on one side of zero and fall on the other, or never do
_ONE_SIDED: dict[str, Operator] = {
    "Abs": lambda a, x: torch.abs(x),
    "Reciprocal": lambda a, x: 1 / x,
    "Pow": lambda a, x, exponent: torch.pow(x, exponent.to(x.dtype)),
}
# that fall and grow: behind a quantizer, where the values are few, they are a table
_FALL_AND_GROW: dict[str, Operator] = {
    "Gelu": _gelu,
    "HardSwish": lambda a, x: x * (x / 6 + 0.5).clamp(0, 1),
    "Mish": lambda a, x: x * torch.tanh(_softplus(x)),
    "Swish": lambda a, x: x * torch.sigmoid(a.get("alpha", 1.0) * x),
    "Sin": lambda a, x: torch.sin(x),
    "Cos": lambda a, x: torch.cos(x),
}
ELEMENTWISE_FUNCTIONS: dict[str, Operator] = {**_RISING, **_ONE_SIDED, **_FALL_AND_GROW}


def is_monotone(operator: str, options: dict[str, Any], operands: Sequence[Tensor | None], *, one_sided: bool) -> bool:
    """Whether one of ELEMENTWISE_FUNCTIONS goes one way only, on operands that are all of them `one_sided`: positive or
    negative."""
    if operator in _ONE_SIDED:
        return one_sided
    least = {"LeakyRelu": 0.01, "ThresholdedRelu": 1.0, "Elu": 1.0, "Celu": 1.0, "Selu": _SELU[0]}
    if operator in least and options.get("alpha", least[operator]) < 0:
        return False
    if operator == "PRelu" and operands[0] is not None:
        return bool((operands[0] >= 0).all())
    return operator in _RISING


def _clip(x: Tensor, lo: Any, hi: Any) -> Tensor:
    if lo is not None:
        x = torch.maximum(x, torch.as_tensor(lo, dtype=x.dtype))
    if hi is not None:
        x = torch.minimum(x, torch.as_tensor(hi, dtype=x.dtype))
    return x


def _padded(x: Tensor, pads: list[int], value: float) -> Tensor:
    """`x` with ONNX pads (top, left, bottom, right)."""
    return F.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=value) if any(pads) else x


def _conv(a: dict[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    x, w, b = _same_type_with_bias(x, w, b)
    pads = a.get("pads", [0, 0, 0, 0])
    if pads[:2] == pads[2:]:
        padding = pads[:2]
    else:
        x, padding = _padded(x, pads, 0.0), [0, 0]
    return F.conv2d(x, w, b, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1))


def _same_type(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Promoted to double if any is."""
    double = any(t.dtype == torch.float64 for t in tensors)
    return tuple(t.double() for t in tensors) if double else tensors


def _same_type_with_bias(x: Tensor, w: Tensor, b: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    x, w, *bias = _same_type(x, w) if b is None else _same_type(x, w, b)
    return x, w, bias[0] if bias else None


def _gemm(a: dict[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    x, w, b = _same_type_with_bias(x, w, b)
    x = x.mT if a.get("transA", 0) else x
    w = w.mT if a.get("transB", 0) else w
    y = x @ w
    if a.get("alpha", 1.0) != 1.0:
        y = y * a["alpha"]
    if b is None:
        return y
    return y + (b if a.get("beta", 1.0) == 1.0 else b * a["beta"])


def _batch_normalization(a: dict[str, Any], x: Tensor, *parameters: Tensor) -> Tensor:
    scale, bias, mean, var = (p.to(x.dtype) for p in parameters)
    return F.batch_norm(x, mean, var, scale, bias, training=False, eps=a.get("epsilon", 1e-5))


def _max_pool(a: dict[str, Any], x: Tensor) -> Tensor:
    x = _padded(x, a.get("pads", [0, 0, 0, 0]), -torch.inf)
    kernel = a["kernel_shape"]
    strides, ceil = a.get("strides", [1] * len(kernel)), bool(a.get("ceil_mode", 0))
    return F.max_pool2d(x, kernel, strides, dilation=a.get("dilations", 1), ceil_mode=ceil)


def _average_pool(a: dict[str, Any], x: Tensor) -> Tensor:
    kernel, pads = a["kernel_shape"], a.get("pads", [0, 0, 0, 0])
    strides, ceil = a.get("strides", [1] * len(kernel)), bool(a.get("ceil_mode", 0))

    if not any(pads) or a.get("count_include_pad", 0):
        return F.avg_pool2d(_padded(x, pads, 0.0), kernel, strides, ceil_mode=ceil)

    def total(image: Tensor) -> Tensor:  # one division only: a second rounding moves what is halfway between two levels
        return F.avg_pool2d(_padded(image, pads, 0.0), kernel, strides, ceil_mode=ceil, divisor_override=1)

    return total(x) / total(torch.ones_like(x[:1, :1]))


def _reduce_mean(a: dict[str, Any], x: Tensor, axes: Tensor | None = None) -> Tensor:
    over = a["axes"] if axes is None else axes.tolist()
    return x.mean(dim=tuple(over), keepdim=bool(a.get("keepdims", 1)))


def _reduce_max(a: dict[str, Any], x: Tensor, axes: Tensor | None = None) -> Tensor:
    over = a["axes"] if axes is None else axes.tolist()
    return x.amax(dim=tuple(over), keepdim=bool(a.get("keepdims", 1)))


def _conv_transpose(a: dict[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    x, w, b = _same_type_with_bias(x, w, b)
    whole = F.conv_transpose2d(x, w, None, a.get("strides", 1), 0, 0, a.get("group", 1), a.get("dilations", 1))
    rows, columns = a.get("output_padding", [0, 0])
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    cut = F.pad(whole, (-left, columns - right, -top, rows - bottom))
    return cut if b is None else cut + b.reshape(-1, 1, 1)


def _depth_to_space(a: dict[str, Any], x: Tensor) -> Tensor:
    batch, _, height, width = x.shape
    block, dcr = a["blocksize"], a.get("mode", b"DCR") == b"DCR"
    squares = x.reshape(batch, *((block, block, -1) if dcr else (-1, block, block)), height, width)
    order = (0, 3, 4, 1, 5, 2) if dcr else (0, 1, 4, 2, 5, 3)
    return squares.permute(order).reshape(batch, -1, height * block, width * block)


def _space_to_depth(a: dict[str, Any], x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    block = a["blocksize"]
    squares = x.reshape(batch, channels, height // block, block, width // block, block)
    return squares.permute(0, 3, 5, 1, 2, 4).reshape(batch, -1, height // block, width // block)


def _pad(a: dict[str, Any], x: Tensor, pads: Tensor | None = None, value: Tensor | None = None) -> Tensor:
    """A border around images."""
    around = a["pads"] if pads is None else pads.tolist()
    constant = a.get("value", 0.0) if value is None else float(value.reshape(-1)[0])
    return _padded(x, [*around[2:4], *around[6:8]], constant)


def _resize(a: dict[str, Any], x: Tensor, *operands: Tensor | None) -> Tensor:
    """Of the nearest pixel, or of the four around it, by ONNX' formulas; see `resizing`."""
    arrays = [None if t is None else t.numpy() for t in operands]
    resizing = Resizing.of(a, tuple(x.shape), arrays, old=len(arrays) < 2)
    if resizing.mode != "linear":
        rows, columns = (torch.from_numpy(resizing.nearest(axis)) for axis in (0, 1))
        return x.index_select(2, rows).index_select(3, columns)
    (top, bottom, up, down), (left, right, before, behind) = (
        torch.from_numpy(resizing.linear(axis)) for axis in (0, 1)
    )

    def part(rows: Tensor, columns: Tensor, share: Tensor) -> Tensor:
        return share.to(x.dtype) * x.index_select(2, rows.long()).index_select(3, columns.long())

    up, down = up[:, None], down[:, None]
    total = part(top, left, before * up) + part(top, right, behind * up)
    return total + part(bottom, left, before * down) + part(bottom, right, behind * down)


def _slice(a: dict[str, Any], x: Tensor, *operands: Tensor | None) -> Tensor:
    given: list[Any] = [None if t is None else t.tolist() for t in operands] or [a["starts"], a["ends"], a.get("axes")]
    starts, ends, axes, steps = (*given, None, None)[:4]
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = index if axes is None else axes[index]
        places = range(x.shape[axis])[start : end : 1 if steps is None else steps[index]]
        x = x.index_select(axis, torch.tensor(places))
    return x


def _reshape(a: dict[str, Any], x: Tensor, shape: Tensor) -> Tensor:
    target = shape.tolist()
    if target and target[0] == 1 and x.shape[0] != 1 and x.numel() % x.shape[0] == 0:
        target[0] = x.shape[0]  # the file was written for one image; frames are run in batches
    target = [x.shape[i] if size == 0 else size for i, size in enumerate(target)]
    return x.reshape(target)


def _flatten(a: dict[str, Any], x: Tensor) -> Tensor:
    axis = a.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


def _squeeze(a: dict[str, Any], x: Tensor, axes: Tensor | None = None) -> Tensor:
    over = a.get("axes") if axes is None else axes.tolist()
    return x.squeeze(tuple(i for i in range(1, x.ndim) if x.shape[i] == 1) if over is None else tuple(over))


def _unsqueeze(a: dict[str, Any], x: Tensor, axes: Tensor | None = None) -> Tensor:
    over = a["axes"] if axes is None else axes.tolist()
    rank = x.ndim + len(over)
    for axis in sorted(i % rank for i in over):
        x = x.unsqueeze(axis)
    return x


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda a, x, y: function(*_same_type(x, y))


OPERATORS: dict[str, Operator] = {
    **ELEMENTWISE_FUNCTIONS,
    "Add": _binary(torch.add),
    "Sub": _binary(torch.sub),
    "Mul": _binary(torch.mul),
    "Div": _binary(torch.div),
    "Pow": _binary(torch.pow),
    "Neg": lambda a, x: -x,
    "Conv": _conv,
    "MatMul": _binary(torch.matmul),
    "Gemm": _gemm,
    "BatchNormalization": _batch_normalization,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda a, x: x.mean(dim=(2, 3), keepdim=True),
    "ReduceMean": _reduce_mean,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": lambda a, x: x.permute(a.get("perm", list(range(x.ndim))[::-1])),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Identity": lambda a, x: x,
    "Cast": lambda a, x: x,  # to the type that it has: any other is refused
    "Dropout": lambda a, x, *unused: x,
    "Shape": lambda a, x: torch.tensor(x.shape),
    "Gather": lambda a, x, i: torch.from_numpy(np.asarray(np.take(x.numpy(), i.numpy(), axis=a.get("axis", 0)))),
    "Concat": lambda a, *xs: torch.cat(_same_type(*xs), dim=a["axis"]),
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "GlobalMaxPool": lambda a, x: x.amax(dim=(2, 3), keepdim=True),
    "Pad": _pad,
    "ReduceMax": _reduce_max,
    "Resize": _resize,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Upsample": _resize,
    "Softmax": lambda a, x: torch.softmax(x, dim=a.get("axis", -1)),
    "LogSoftmax": lambda a, x: torch.log_softmax(x, dim=a.get("axis", -1)),
}

MOVES = (
    "DepthToSpace",
    "SpaceToDepth",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Cast",
    "Dropout",
)
POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax")
PARTS = ("Concat", "Pad", "Resize", "Slice", "Split", "Upsample")
# what may depend on the input
BUILDABLE = (
    *("Conv", "MatMul", "Gemm", "BatchNormalization", "Neg", "Add", "Sub", "Mul", "Div"),
    "ConvTranspose",
    *POOLS,
    *PARTS,
    *MOVES,
    *ELEMENTWISE_FUNCTIONS,
)
# what exporters calculate shapes, scales and weights with; windows over constants are none of it, and crash ONNX' inference
FOLDABLE = frozenset(
    {"Abs", "Add", "And", "ArgMax", "ArgMin", "Cast", "Ceil", "Clip", "Concat", "ConstantOfShape", "DequantizeLinear"}
    | {"Div", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gemm"}
    | {
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "Less",
        "LessOrEqual",
        "Log",
        "MatMul",
        "Max",
        "Mean",
        "Min",
        "Mod",
        "Mul",
    }
    | {"Neg", "Not", "Or", "Pad", "Pow", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean"}
    | {
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Round",
        "Sigmoid",
        "Sign",
        "Slice",
        "Sqrt",
        "Squeeze",
    }
    | {"Sub", "Sum", "Tanh", "Tile", "Transpose", "Unsqueeze", "Where", "Xor"}
)
CLASSIFIER_ENDS = ("Softmax", "LogSoftmax")  # as the last node: they leave the order of the classes as it is
WITHOUT_LAYER = frozenset({"Expand", "Gather", "InstanceNormalization", "LayerNormalization", "Tile"})
