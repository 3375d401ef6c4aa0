"""The layer graph: what the network is from `dataflow` on. Integers only, one node a hardware layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from a2q_driver.input_transform import InputTransform
from pipeline.dataflow.layer import Kernel, Shape
from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError

__all__ = ["LayerGraph", "OutputTransform", "Stream"]


@dataclass(frozen=True)
class Stream:
    """A point-to-point connection: frames of `shape` (height, width, channels) of integers of `type`.

    `producer` is empty for the input of the graph, `consumer` for its output.
    """

    name: str
    shape: Shape
    type: IntType
    producer: str
    consumer: str


@dataclass(frozen=True, eq=False)
class OutputTransform:
    """How the host turns integers of the output stream into the network's real outputs: scale · integer + bias.

    `scale` and `bias` are float64 arrays that broadcast against (channels,).
    """

    scale: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, eq=False)
class LayerGraph:
    """Layers in topological order. One input stream and one output stream; every stream has one reader."""

    name: str
    layers: tuple[Kernel, ...]
    input: str
    output: str
    output_transform: OutputTransform | None = None
    input_transform: InputTransform | None = None

    def __post_init__(self) -> None:
        known = {self.input}
        for layer in self.layers:
            missing = [stream for stream in layer.inputs if stream not in known]
            if missing:
                raise VerificationError(f"layer {layer.name} reads {missing[0]}, which no earlier layer writes")
            known.update(layer.outputs)
        self.streams  # noqa: B018  checks that both ends of each stream agree

    def __iter__(self) -> Iterator[Kernel]:
        return iter(self.layers)

    def layer(self, name: str) -> Kernel:
        return next(layer for layer in self.layers if layer.name == name)

    def writer(self, stream: str) -> Kernel | None:
        """The layer that writes `stream`; None for the input of the graph."""
        return next((layer for layer in self.layers if stream in layer.outputs), None)

    @property
    def streams(self) -> dict[str, Stream]:
        """Every stream by its name, in the order in which the layers write them."""
        ends: dict[str, list] = {}
        for layer in self.layers:
            for name, shape, type_ in zip(layer.inputs, layer.input_shapes(), layer.input_types(), strict=True):
                ends.setdefault(name, [None, None])[1] = (layer.name, shape, type_)
            for name, shape, type_ in zip(layer.outputs, layer.output_shapes(), layer.output_types(), strict=True):
                ends.setdefault(name, [None, None])[0] = (layer.name, shape, type_)
        found = {}
        for name, (writer, reader) in ends.items():
            if writer and reader and (writer[1], writer[2]) != (reader[1], reader[2]):
                raise VerificationError(
                    f"stream {name}: {writer[0]} writes {writer[1]} {writer[2]}, "
                    f"{reader[0]} reads {reader[1]} {reader[2]}"
                )
            _, shape, type_ = writer or reader
            found[name] = Stream(name, shape, type_, writer[0] if writer else "", reader[0] if reader else "")
        return found

    def execute(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """The value of every stream, by name, for `frames`, integers of shape (N, H, W, C).

        Each is of the narrowest type of numpy that holds the stream's type: widen it before calculating with it.
        """
        values = {self.input: frames}
        streams = self.streams
        for layer in self.layers:
            outputs = layer.reference(*(values[name] for name in layer.inputs))
            for name, value in zip(layer.outputs, outputs, strict=True):
                if value.shape[1:] != streams[name].shape or not streams[name].type.contains(value):
                    raise VerificationError(
                        f"layer {layer.name} gives {value.shape[1:]} in [{value.min()}, {value.max()}] on stream "
                        f"{name}, declared {streams[name].shape} {streams[name].type}"
                    )
                values[name] = value.astype(streams[name].type.dtype, copy=False)
        return values

    def run(self, frames: np.ndarray) -> np.ndarray:
        """The output stream for `frames`, int64."""
        return self.execute(frames)[self.output].astype(np.int64)
