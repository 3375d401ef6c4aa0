"""Collects layers: names them, knows their streams, and splits streams that are read more than once."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from a2q_driver.input_transform import InputTransform
from pipeline.dataflow.layer import Layer, Shape
from pipeline.dataflow.types import IntType
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.mvau import MVAU

__all__ = ["INPUT", "Checkpoint", "LayerBuilder"]

INPUT = "input"

K = TypeVar("K", bound=Layer)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A quantizer of the ONNX graph and the stream that carries its integers: tensor = scale · (stream[layout] − shift)."""

    tensor: str
    stream: str
    layout: np.ndarray
    scale: np.ndarray
    shift: int = 0


@dataclass(eq=False)
class LayerBuilder:
    """The layers so far, in topological order, by the stream they write (forks are inserted at the end)."""

    layers: dict[str, Layer] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    input_transform: InputTransform | None = None
    channels_last: bool = False  # frames of the network's input
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, kernel: type[K], inputs: tuple[str, ...], /, *, source: str = "", **fields: Any) -> str:
        """A new layer called <op_type>_<index>; the name of its output stream."""
        name = f"{kernel.op_type}_{self.counts[kernel.op_type]}"
        self.counts[kernel.op_type] += 1
        stream = f"{name}_out0"
        self.layers[stream] = kernel(name, inputs, (stream,), source=source, **fields)
        return stream

    def writer(self, stream: str, kernel: type[K]) -> K | None:
        """The layer that writes `stream`, if it is a `kernel`."""
        layer = self.layers.get(stream)
        return layer if isinstance(layer, kernel) else None

    def change(self, stream: str, **fields: Any) -> None:
        """Change the layer that writes `stream`. Its integers change their meaning, so earlier checkpoints go."""
        self.layers[stream] = replace(self.layers[stream], **fields)
        self.checkpoints = [c for c in self.checkpoints if c.stream != stream]

    def reorder(self, stream: str, order: np.ndarray) -> None:
        """Let the MVAU that writes `stream`, and that nothing else reads, give its channels in `order`."""
        layer = self.writer(stream, MVAU)
        assert layer is not None
        thresholds = None if layer.thresholds is None else layer.thresholds[order]
        requantizer = None if layer.requantizer is None else layer.requantizer.of_channels(order)
        bias = None if layer.bias is None else layer.bias[order]
        self.layers[stream] = replace(
            layer, weights=layer.weights[order], thresholds=thresholds, requantizer=requantizer, bias=bias
        )
        inverse = np.argsort(order)
        for index, checkpoint in enumerate(self.checkpoints):
            if checkpoint.stream == stream:
                pixel, channel = np.divmod(checkpoint.layout, len(order))
                scale = checkpoint.scale if checkpoint.scale.size == 1 else checkpoint.scale[order]
                moved = replace(checkpoint, layout=pixel * len(order) + inverse[channel], scale=scale)
                self.checkpoints[index] = moved

    @property
    def quantized_input(self) -> InputTransform:
        """How the host makes the stream INPUT."""
        assert self.input_transform is not None  # there is no stream before the quantizer that sets it
        return self.input_transform

    def shape(self, stream: str) -> Shape:
        return self.quantized_input.shape if stream == INPUT else self.layers[stream].outputs()[0].shape

    def type(self, stream: str) -> IntType:
        if stream == INPUT:
            transform = self.quantized_input
            return IntType(transform.lo + transform.shift, transform.hi + transform.shift)
        return self.layers[stream].outputs()[0].type

    def finish(self, output: str) -> tuple[tuple[Layer, ...], str]:
        """All layers with DuplicateStreams where a stream is read more than once, and the output stream's name."""
        readers: dict[str, list[tuple[str, int]]] = defaultdict(list)
        live = self.live(output)
        for stream, layer in self.layers.items():
            if stream in live:
                for index, name in enumerate(layer.input_names):
                    readers[name].append((stream, index))
        readers[output].append(("", 0))
        layers = {stream: layer for stream, layer in self.layers.items() if stream in live}
        ordered: list[Layer] = []
        for stream in [INPUT, *layers]:
            if stream in layers:
                ordered.append(layers[stream])
            if len(readers[stream]) < 2:
                continue
            fork = self._fork(stream, len(readers[stream]))
            ordered.append(fork)
            for copy, (reader, index) in zip(fork.output_names, readers[stream], strict=True):
                if not reader:
                    output = copy
                    continue
                inputs = list(layers[reader].input_names)
                inputs[index] = copy
                layers[reader] = replace(layers[reader], input_names=tuple(inputs))
        return tuple(ordered), output

    def _fork(self, stream: str, copies: int) -> DuplicateStreams:
        name = f"DuplicateStreams_{self.counts['DuplicateStreams']}"
        self.counts["DuplicateStreams"] += 1
        outputs = tuple(f"{name}_out{i}" for i in range(copies))
        return DuplicateStreams(
            name, (stream,), outputs, shape=self.shape(stream), type=self.type(stream), copies=copies
        )

    def live(self, output: str) -> set[str]:
        """Streams that the output depends on."""
        live, open_ = set(), [output]
        while open_:
            stream = open_.pop()
            if stream not in live:
                live.add(stream)
                open_.extend(self.layers[stream].input_names if stream in self.layers else ())
        return live
