"""StreamingConcat: the channels of two streams behind each other, or their whole frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, log2, prod
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["StreamingConcat"]


@dataclass(frozen=True, eq=False)
class StreamingConcat(Layer):
    """Frames of `pixels` (H, W) with the `channels` of both inputs: those of the first, then those of the second.

    The output has the narrowest type that holds both of `types`. A beat carries `simd` channels on all sides; the inputs
    are read by turns, the beats of a pixel of one and then those of the other. More than two streams are a chain of such
    layers.

    With `frames`, the shapes (H, W, C) of the inputs, whole frames are joined: the output is one pixel that has their
    elements, all of a frame of one and then all of a frame of the other, `pixels` is (1, 1), `channels` the elements of
    each, and SIMD divides the C of both. So outputs of a network share one stream.

    Raises ConfigError for a SIMD that does not divide the channels of both, UnsupportedError unless there are two inputs,
    and where `frames` have other elements than `channels`.
    """

    pixels: tuple[int, int]
    channels: tuple[int, int]
    types: tuple[IntType, IntType]
    simd: int = 1
    frames: tuple[Shape, Shape] | None = None

    op_type: ClassVar[str] = "StreamingConcat"
    module: ClassVar[str] = "streaming_concat"
    finn_attributes: ClassVar[Mapping[str, str]] = {"SIMD": "simd"}
    lut_purpose: ClassVar[str] = "glue"

    def __post_init__(self) -> None:
        if not len(self.input_names) == len(self.channels) == len(self.types) == 2:
            raise UnsupportedError(
                f"layer {self.name} joins {len(self.input_names)} streams with {len(self.channels)} numbers of channels "
                f"and {len(self.types)} types; expected two of each."
            )
        if self.frames and (self.pixels != (1, 1) or tuple(map(prod, self.frames)) != self.channels):
            raise UnsupportedError(
                f"layer {self.name} joins frames of shapes {self.frames[0]} and {self.frames[1]} as {self.channels[0]} and "
                f"{self.channels[1]} elements of {self.pixels[0]} × {self.pixels[1]} pixels; expected all of one pixel."
            )
        first, second = (shape[2] for shape in self._shapes())
        if self.simd < 1 or gcd(first, second) % self.simd:
            raise ConfigError(
                f"layer {self.name}: SIMD = {self.simd} does not divide its {first} and {second} "
                f"channels; choose a divisor of {gcd(first, second)}."
            )

    def inputs(self) -> tuple[Stream, ...]:
        return tuple(Stream(shape, type_, self.simd) for shape, type_ in zip(self._shapes(), self.types, strict=True))

    def outputs(self) -> tuple[Stream, ...]:
        a, b = self.types
        return (Stream((*self.pixels, sum(self.channels)), IntType(min(a.lo, b.lo), max(a.hi, b.hi)), self.simd),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        pixels = [values.astype(np.int64).reshape(len(values), *self.pixels, -1) for values in inputs]
        return (np.concatenate(pixels, axis=3),)

    def cycles(self) -> int:
        return self.outputs()[0].beats

    def latency(self) -> int:
        """The output register."""
        return 1

    def inputs_needed(self) -> np.ndarray:
        return np.arange(1, self.outputs()[0].beats + 1, dtype=np.int64)

    def turns(self) -> np.ndarray:
        of_pixel = np.repeat(np.arange(2), self._folds())
        return np.tile(of_pixel, self.pixels[0] * self.pixels[1])

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"simd": divisors(gcd(*(shape[2] for shape in self._shapes())))}

    def demand(self, family: str) -> Demand:
        demand = Demand(self.op_type)
        demand.add(data=self.outputs()[0].bits, counters=log2(max(self._folds())))
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        if self.frames:
            raise self.without_finn_node("it joins whole frames, and StreamingConcat joins channels")
        attributes = {
            "SIMD": self.simd,
            "ChannelsPerStream": self.channels,
            "inputDataTypes": tuple(type_.name for type_ in self.types),
            "numInputVectors": (1, *self.pixels),
            "inFIFODepths": (2, 2),
        }
        return (FinnNode("StreamingConcat", attributes, ("in0", "in1")),)

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        height, width, channels = stream["shape"]
        others = channels * draw.one_of([1, 1, 2])
        types = stream["type"], stream["type"] if draw.random.random() < 0.7 else draw.element()
        lanes = draw.lanes(channels, 64)
        return cls("layer", ("x", "z"), ("y",), (height, width), (channels, others), types, lanes)

    def parameters(self) -> dict[str, int]:
        parameters = {"Simd": self.simd}
        for i, (type_, folds) in enumerate(zip(self.types, self._folds(), strict=True)):
            parameters |= {f"Folds{i}": folds, f"Width{i}": type_.bits, f"Signed{i}": int(type_.signed)}
        return parameters | {"OutputWidth": self.outputs()[0].type.bits}

    def hls_parameters(self) -> dict[str, int | bool]:
        result = self.outputs()[0].type
        return {
            "Pixels": self.pixels[0] * self.pixels[1],
            **self.parameters(),
            "Signed0": self.types[0].signed,
            "Signed1": self.types[1].signed,
            "OutputSigned": result.signed,
        }

    def _shapes(self) -> tuple[Shape, ...]:
        """Of the inputs' frames."""
        return self.frames or tuple((*self.pixels, channels) for channels in self.channels)

    def _folds(self) -> tuple[int, ...]:
        """Beats of a pixel, by input."""
        return tuple(channels // self.simd for channels in self.channels)

    def connections(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, str]:
        ends = [*((f"in{i}", "i", "o", stream) for i, stream in enumerate(inputs)), ("out", "o", "i", outputs[0])]
        ports: dict[str, str] = {}
        for end, forward, backward, stream in ends:
            ports |= {
                f"{end}_valid_{forward}": f"{stream}_valid",
                f"{end}_ready_{backward}": f"{stream}_ready",
                f"{end}_data_{forward}": f"{stream}_data",
            }
        return ports
