"""Simulates several layers at once, each with ports of its own, so that one compilation serves many configurations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.codegen.rtl import Design, write_design
from pipeline.dataflow.layer import Layer
from pipeline.tools.verilator import Model, SimulationResult, build_model

__all__ = ["SideBySide", "apart", "simulate_side_by_side"]

FRAMES = 4


@dataclass(frozen=True)
class SideBySide:
    """Layers, what they were given, what they should give, and what they gave: at full speed, and with random gaps on all
    ports."""

    layers: tuple[Layer, ...]
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    full_speed: SimulationResult
    stalled: tuple[SimulationResult, ...]

    def assert_exact(self) -> None:
        for result in (self.full_speed, *self.stalled):
            for stream, value in self.expected.items():
                np.testing.assert_array_equal(result.outputs[stream], value, err_msg=stream)

    def assert_cycles(self) -> None:
        """Once the first frame has filled the layer, frames are `cycles()` apart."""
        for layer in self.layers:
            ends = self.full_speed.frames[layer.output_names[0]]
            assert set(np.diff(ends)[1:]) == {layer.cycles()}, (layer, np.diff(ends))

    def assert_latency(self) -> None:
        """The first output beat leaves `latency()` cycles after the last input beat that it needs."""
        for layer in self.layers:
            last_needed = max(int(layer.inputs_needed()[0]) - 1, 0)
            for stream in layer.output_names:
                assert self.full_speed.first_cycles[stream] == last_needed + layer.latency(), layer


def apart(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """`layers` with names and streams of their own."""
    return tuple(
        replace(
            layer,
            name=f"layer{index}",
            input_names=tuple(f"layer{index}_in{i}" for i in range(len(layer.inputs()))),
            output_names=tuple(f"layer{index}_out{i}" for i in range(len(layer.outputs()))),
        )
        for index, layer in enumerate(layers)
    )


def simulate_side_by_side(
    layers: Sequence[Layer], folder: Path, build: Callable[[Design, Path], Model] = build_model
) -> SideBySide:
    """Random frames, the ends of the stream's range among them, through each of `layers`, as a model that `build` makes."""
    rng = np.random.default_rng(0)
    layers = apart(layers)
    inputs, expected = {}, {}
    for layer in layers:
        for name, stream in zip(layer.input_names, layer.inputs(), strict=True):
            inputs[name] = rng.integers(stream.type.lo, stream.type.hi + 1, (FRAMES, *stream.shape))
            inputs[name].flat[:2] = stream.type.lo, stream.type.hi
        outputs = layer.reference(*(inputs[stream] for stream in layer.input_names))
        for name, value, stream in zip(layer.output_names, outputs, layer.outputs(), strict=True):
            assert stream.type.contains(value)
            expected[name] = value
    design = write_design(layers, list(inputs), list(expected), folder, "bench")
    model = build(design, folder)
    stalled = tuple(model.run(inputs, stalls=seed) for seed in range(3))
    return SideBySide(layers, inputs, expected, model.run(inputs), stalled)
