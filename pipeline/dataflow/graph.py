"""The layer graph: the form of the network from `dataflow` on. Integers only, one node a hardware layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from a2q_driver.input_transform import InputTransform
from a2q_driver.network_output import NetworkOutput
from a2q_driver.output_steps import OutputStep, outputs_of
from pipeline.dataflow.layer import Layer, Shape
from pipeline.dataflow.roles import Accumulating, Fifo
from pipeline.dataflow.types import IntType
from pipeline.errors import InputError, VerificationError

__all__ = ["Connection", "LayerGraph", "OutputTransform"]


@dataclass(frozen=True)
class Connection:
    """A stream from its writer to its reader: frames of `shape` (height, width, channels) of integers of `type`.

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

    `scale` and `bias` are float64 arrays that broadcast against (channels,), which are all elements where several outputs
    share the stream. `steps` are what the network has behind that; they begin with a tensor of the network, for each
    element of which, without the batch, `layout` has the place in a frame of the stream.
    """

    scale: np.ndarray
    bias: np.ndarray
    steps: tuple[OutputStep, ...] = ()
    layout: np.ndarray | None = None

    def real(self, integers: np.ndarray) -> np.ndarray:
        """scale · integer + bias, float64, for `integers` (N, H, W, C): of that shape."""
        values: np.ndarray = integers * self.scale + self.bias
        return values

    def outputs(self, integers: np.ndarray) -> np.ndarray:
        """What the network gives for `integers` (N, H, W, C): of its own shape where there are steps, else of that of
        `integers`."""
        real = self.real(integers)
        return real if self.layout is None else outputs_of(real, self.layout, self.steps)


@dataclass(frozen=True, eq=False)
class LayerGraph:
    """Layers in topological order. One input stream and one output stream; every stream has one reader.

    Several outputs of a network share the output stream: `outputs` has where each is in its frames. It is empty where
    there is one.
    """

    name: str
    layers: tuple[Layer, ...]
    input: str
    output: str
    output_transform: OutputTransform | None = None
    input_transform: InputTransform | None = None
    outputs: tuple[NetworkOutput, ...] = ()

    def __post_init__(self) -> None:
        known = {self.input}
        for layer in self.layers:
            missing = [stream for stream in layer.input_names if stream not in known]
            if missing:
                raise VerificationError(f"layer {layer.name} reads {missing[0]}, which no earlier layer writes")
            known.update(layer.output_names)
        self.streams  # noqa: B018  checks that both ends of each stream agree

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def layer(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)

    def writer(self, stream: str) -> Layer | None:
        """The layer that writes `stream`; None for the input of the graph."""
        return next((layer for layer in self.layers if stream in layer.output_names), None)

    @property
    def computing(self) -> tuple[Layer, ...]:
        """The layers that are no FIFOs."""
        return tuple(layer for layer in self.layers if not layer.is_fifo)

    @property
    def fifos(self) -> tuple[Fifo, ...]:
        """The FIFOs."""
        return tuple(layer for layer in self.layers if isinstance(layer, Fifo))

    @property
    def accumulating(self) -> tuple[Accumulating, ...]:
        """The layers with accumulators."""
        return tuple(layer for layer in self.layers if isinstance(layer, Accumulating))

    @property
    def gives_labels(self) -> bool:
        """Whether the output is the index of a class."""
        return self.layers[-1].gives_label

    @property
    def streams(self) -> dict[str, Connection]:
        """Every stream by its name, in the order in which the layers write them."""
        connections: dict[str, Connection] = {}
        for layer in self.layers:
            for name, stream in zip(layer.input_names, layer.inputs(), strict=True):
                self._connect(connections, Connection(name, stream.shape, stream.type, "", layer.name))
            for name, stream in zip(layer.output_names, layer.outputs(), strict=True):
                self._connect(connections, Connection(name, stream.shape, stream.type, layer.name, ""))
        return connections

    @staticmethod
    def _connect(connections: dict[str, Connection], end: Connection) -> None:
        """Put `end`, of which one layer is known, into `connections`."""
        other = connections.setdefault(end.name, end)
        if (other.shape, other.type) != (end.shape, end.type):
            writer, reader = (end, other) if end.producer else (other, end)
            raise VerificationError(
                f"stream {end.name}: {writer.producer} writes {writer.shape} {writer.type}, "
                f"{reader.consumer} reads {reader.shape} {reader.type}"
            )
        producer, consumer = end.producer or other.producer, end.consumer or other.consumer
        connections[end.name] = replace(end, producer=producer, consumer=consumer)

    def execute(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """The value of every stream, by name, for `frames`, integers of shape (N, H, W, C).

        Each is of the narrowest type of numpy that holds the stream's type: widen it before calculating with it. Raises
        InputError for frames of another shape, or with a number that the type of the input does not hold.
        """
        streams = self.streams
        source = streams[self.input]
        if frames.shape[1:] != source.shape or not source.type.contains(frames):
            span = f"in [{frames.min()}, {frames.max()}], " if frames.size else ""
            raise InputError(
                f"The network {self.name} takes integers (N, {', '.join(map(str, source.shape))}) from {source.type.lo} to "
                f"{source.type.hi}; frames of shape {frames.shape}, {span}of {frames.dtype} were given."
            )
        values = {self.input: frames}
        for layer in self.layers:
            outputs = layer.reference(*(values[name] for name in layer.input_names))
            for name, value in zip(layer.output_names, outputs, strict=True):
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
