"""The facts that the conversion knows of a tensor of the ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch

from a2q_driver.input_transform import TAKE, HostStep
from pipeline.errors import UnsupportedError
from pipeline.frontend.streamline.nodes import attributes, describe

__all__ = [
    "Constant",
    "HostTensor",
    "Origin",
    "Quotient",
    "StreamTensor",
    "Sum",
    "attributes",
    "channel_layout",
    "describe",
    "per_channel",
]

Function = Callable[[torch.Tensor], torch.Tensor]


def channel_layout(height: int, width: int, channels: int) -> np.ndarray:
    """The layout of an ONNX tensor (C, H, W) in a stream (H, W, C)."""
    return np.arange(height * width * channels).reshape(height, width, channels).transpose(2, 0, 1)


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor known now. For one that a quantizer made, real = scale · integers, of one shape."""

    values: np.ndarray
    integers: np.ndarray | None = None
    scale: np.ndarray | None = None
    source: str = ""

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Constant:
        """The same after `move`, which only moves elements."""
        if self.integers is None or self.scale is None:
            return replace(self, values=move(self.values))
        return Constant(move(self.values), move(self.integers), move(self.scale), self.source)


@dataclass(frozen=True, eq=False)
class HostTensor:
    """A tensor before the first quantizer: the raw input, of `raw_shape`, after `steps`, which give frames of `shape`. `layout`
    holds, for each element of the tensor without its batch, the place in such a frame of the one that it is calculated
    from."""

    raw_shape: tuple[int, ...]
    shape: tuple[int, ...]
    layout: np.ndarray
    steps: tuple[HostStep, ...] = ()

    @classmethod
    def whole(cls, raw_shape: tuple[int, ...], shape: tuple[int, ...], steps: tuple[HostStep, ...] = ()) -> HostTensor:
        """What `steps` give, as it is."""
        return cls(raw_shape, shape, np.arange(int(np.prod(shape))).reshape(shape), steps)

    def then(self, node: onnx.NodeProto, op: str, operand: np.ndarray) -> HostTensor:
        """After one more elementwise operation, its operand brought to the order of the frames."""
        if operand.size > 1 and not self.has_all:
            return self.in_order().then(node, op, operand)
        if operand.size == 1:
            moved = operand.reshape(())
        else:
            flat = np.empty(self.layout.size, np.float32)
            flat[self.layout.ravel()] = _broadcast(node, operand, self.layout.shape).ravel()
            moved = flat.reshape(self.shape)
        return replace(self, steps=(*self.steps, HostStep(op, np.asarray(moved, np.float32))))

    @property
    def has_all(self) -> bool:
        """Whether each element of a frame is one of the tensor's, once."""
        return np.array_equal(np.sort(self.layout.ravel()), np.arange(int(np.prod(self.shape))))

    def in_order(self) -> HostTensor:
        """The same with frames that are the tensor as it is."""
        if self.shape == self.layout.shape and np.array_equal(self.layout.ravel(), np.arange(self.layout.size)):
            return self
        step = HostStep(TAKE, self.layout.astype(np.int32))
        return self.whole(self.raw_shape, self.layout.shape, (*self.steps, step))


@dataclass(frozen=True, eq=False)
class Origin:
    """Integers (..., C) that are `levels` of those of the stream of `tensor`."""

    tensor: StreamTensor
    levels: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Sum:
    """The two tensors that a stream carries the sum of, by multipliers that are nearly in the ratio of their scales. Which
    ones tell all levels apart is known when a quantizer comes."""

    a: StreamTensor
    b: StreamTensor


@dataclass(frozen=True, eq=False)
class Quotient:
    """A scale a channel, `dividend` (C,) by `divisor` (C,)."""

    dividend: np.ndarray
    divisor: np.ndarray

    @property
    def value(self) -> np.ndarray:
        quotient: np.ndarray = self.dividend / self.divisor
        return quotient


@dataclass(frozen=True, eq=False)
class StreamTensor:
    """A tensor that a stream carries as integers of channel c in [lo[c], hi[c]].

    The real value is f(scale[c] · integer + offset[c]), with f the composition of `functions`, all elementwise; where
    they are not `monotone`, one falls and grows, of integers that are few. `layout` holds, for each element of the ONNX
    tensor without its batch, its place in the frame of the stream. `exclusive` says that nothing else reads the stream,
    so that the layer that writes it may still be changed. `origin` is what another stream has to do with this one,
    where the integers of this one are a function of its. Where the scale is a `quotient`, rounded, real values are what
    that gives, as of a mean: halfway between two levels they are exact.
    """

    stream: str
    layout: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    functions: tuple[Function, ...] = ()
    exclusive: bool = True
    monotone: bool = True
    origin: Origin | None = None
    sum: Sum | None = None
    quotient: Quotient | None = None

    @property
    def channels(self) -> int:
        return len(self.scale)

    def real(self, integers: np.ndarray) -> torch.Tensor:
        """The real values, float64, of integers of shape (..., C)."""
        scaled = integers * self.as_quotient.dividend / self.as_quotient.divisor
        x = torch.from_numpy(scaled + self.offset)
        for function in self.functions:
            x = function(x)
        return x

    @property
    def as_quotient(self) -> Quotient:
        """The scale as what it is the quotient of: by 1 where no division is known, or that of an earlier scale."""
        if self.quotient is not None and np.array_equal(self.quotient.value, self.scale):
            return self.quotient
        return Quotient(self.scale, np.ones_like(self.scale))

    def divided(self, divisor: np.ndarray) -> StreamTensor:
        """The tensor / divisor, float64 of shape (C,) and not 0."""
        if self.functions:
            d = torch.from_numpy(divisor)
            return replace(self, functions=(*self.functions, lambda x: x / d))
        quotient = Quotient(self.as_quotient.dividend, self.as_quotient.divisor * divisor)
        return replace(self, scale=quotient.value, quotient=quotient, offset=self.offset / divisor)

    def affine(self, factor: np.ndarray, addend: np.ndarray) -> StreamTensor:
        """The tensor · factor + addend, both float64 of shape (C,)."""
        if not self.functions:
            quotient = Quotient(self.as_quotient.dividend * factor, self.as_quotient.divisor)
            return replace(self, scale=quotient.value, quotient=quotient, offset=self.offset * factor + addend)
        f, a = torch.from_numpy(factor), torch.from_numpy(addend)
        return replace(self, functions=(*self.functions, lambda x: x * f + a))

    def ancestors(self) -> Iterator[tuple[StreamTensor, Callable[[np.ndarray], torch.Tensor]]]:
        """The tensors whose streams decide the real values of this one, itself first, each with the function from the
        integers of its stream (..., C) to those values."""
        tensor = self
        real: Callable[[np.ndarray], torch.Tensor] = self.real
        while True:
            yield tensor, real
            if tensor.origin is None:
                return
            real = _after(real, tensor.origin.levels)
            tensor = tensor.origin.tensor

    def move(self, layout: np.ndarray) -> StreamTensor:
        return replace(self, layout=layout)


def _after(
    real: Callable[[np.ndarray], torch.Tensor], levels: Callable[[np.ndarray], np.ndarray]
) -> Callable[[np.ndarray], torch.Tensor]:
    return lambda integers: real(levels(integers))


def per_channel(node: onnx.NodeProto, tensor: StreamTensor, operand: np.ndarray) -> np.ndarray:
    """`operand`, which ONNX broadcasts against `tensor`, as float64 of shape (C,)."""
    operand = np.asarray(operand, np.float64)
    if operand.size == 1:
        return np.full(tensor.channels, operand.reshape(()))
    flat = np.empty(tensor.layout.size)
    flat[tensor.layout.ravel()] = _broadcast(node, operand, tensor.layout.shape).ravel()
    rows = flat.reshape(-1, tensor.channels)
    if not np.array_equal(rows, np.broadcast_to(rows[0], rows.shape)):
        raise UnsupportedError(
            f"{describe(node)} has a constant that differs between pixels; only one value a channel can be built."
        )
    one_row: np.ndarray = rows[0].copy()
    return one_row


def _broadcast(node: onnx.NodeProto, operand: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        broadcast: np.ndarray = np.broadcast_to(operand, (1, *shape))[0]
    except ValueError:
        raise UnsupportedError(
            f"{describe(node)} has a constant of shape {operand.shape} for a tensor of shape {(1, *shape)}; a constant "
            "must broadcast to the shape of the tensor it meets."
        ) from None
    return broadcast
