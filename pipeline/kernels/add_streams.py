"""AddStreams: the sum of two streams, element by element, each times a constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.signed_digits import csd_digits
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.elementwise import finn_elementwise, finn_of_streams

__all__ = ["AddStreams"]

_MAX_MULTIPLIER = (1 << 31) - 1
_MAX_BITS = 63


@dataclass(frozen=True, eq=False)
class AddStreams(Layer):
    """multipliers[0] · a + multipliers[1] · b of two streams of frames of `shape` (H, W, C) and types `types`.

    A beat carries `pe` channels of `m` pixels on all sides. Raises ConfigError for a PE that does not divide C or an M that
    does not divide W, UnsupportedError for multipliers or sums too large to build.
    """

    shape: Shape
    types: tuple[IntType, IntType]
    multipliers: tuple[int, int] = (1, 1)
    pe: int = 1
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "AddStreams"
    module: ClassVar[str] = "add_streams"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe", "M": "m"}
    lut_purpose: ClassVar[str] = "glue"

    def __post_init__(self) -> None:
        if len(self.types) != 2 or len(self.multipliers) != 2 or len(self.input_names) != 2:
            raise UnsupportedError(
                f"layer {self.name} adds {len(self.input_names)} streams of {len(self.types)} types with "
                f"{len(self.multipliers)} multipliers; expected two of each."
            )
        if 0 in self.multipliers:
            raise UnsupportedError(
                f"layer {self.name} has multipliers {self.multipliers}; an input times 0 adds nothing."
            )
        if max(map(abs, self.multipliers)) > _MAX_MULTIPLIER:
            raise UnsupportedError(
                f"layer {self.name} has multipliers {self.multipliers}; at most {_MAX_MULTIPLIER} can be built. Use "
                "coarser scales."
            )
        bits = max(type_.bits for type_ in (*self._terms(), *(stream.type for stream in self.outputs())))
        if bits > _MAX_BITS:  # int64 in the reference
            raise UnsupportedError(
                f"layer {self.name} has terms or sums of {bits} bits; at most {_MAX_BITS} can be built."
            )
        check_pixels(self.name, self.m, self.shape[1])
        if self.pe < 1 or self.shape[2] % self.pe:
            raise ConfigError(
                f"layer {self.name}: PE = {self.pe} does not divide its {self.shape[2]} channels; choose a divisor of "
                f"{self.shape[2]}."
            )

    @property
    def lanes(self) -> int:
        """Elements of a beat: PE of each of M pixels."""
        return self.pe * self.m

    def inputs(self) -> tuple[Stream, ...]:
        return tuple(Stream(self.shape, type_, self.lanes, self.m) for type_ in self.types)

    def outputs(self) -> tuple[Stream, ...]:
        a, b = self._terms()
        return (Stream(self.shape, a + b, self.lanes, self.m),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        a, b = (np.multiply(x, by, dtype=np.int64) for x, by in zip(inputs, self.multipliers, strict=True))
        return (a + b,)

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        """The operands' registers, the output register."""
        return 2

    def inputs_needed(self) -> np.ndarray:
        return np.arange(1, self.inputs()[0].beats + 1, dtype=np.int64)

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand, bits = Demand(self.op_type), self.outputs()[0].type.bits
        scaled = int(sum(csd_digits(np.array(self.multipliers)) - 1))
        demand.add(sums=self.lanes * bits, scaled=self.lanes * scaled * bits)
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        """ElementwiseAdd, behind an ElementwiseMul for each input that is multiplied."""
        nodes, streams = [], []
        for index, (type_, term, factor) in enumerate(zip(self.types, self._terms(), self.multipliers, strict=True)):
            streams.append(f"in{index}" if factor == 1 else f"term{index}")
            if factor != 1:
                by = np.array([factor])
                nodes.append(
                    finn_elementwise("Mul", self.shape, type_, term, by, self.pe, f"in{index}", f"term{index}")
                )
        output = self.outputs()[0].type
        a, b = self._terms()
        add = finn_of_streams("Add", (self.shape,) * 2, (a, b), output, self.pe, (streams[0], streams[1]))
        return (*nodes, add)

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        types = stream["type"], stream["type"]
        multipliers = (1, 1) if draw.random.random() < 0.7 else (draw.one_of([1, 3, 5]), draw.one_of([1, 2, 7, 11]))
        lanes = draw.lanes(stream["shape"][2], 64)
        return cls("layer", ("x", "z"), ("y",), stream["shape"], types, multipliers, pe=lanes)

    def parameters(self) -> dict[str, int]:
        return {
            "Pe": self.lanes,
            "Width0": self.types[0].bits,
            "Signed0": int(self.types[0].signed),
            "Multiplier0": self.multipliers[0],
            "Width1": self.types[1].bits,
            "Signed1": int(self.types[1].signed),
            "Multiplier1": self.multipliers[1],
            "OutputWidth": self.outputs()[0].type.bits,
        }

    def hls_parameters(self) -> dict[str, int | bool]:
        parameters: dict[str, int | bool] = {"Beats": self.inputs()[0].beats, "Pe": self.lanes}
        for i, (type_, term) in enumerate(zip(self.types, self._terms(), strict=True)):
            parameters |= {
                f"Width{i}": type_.bits,
                f"Signed{i}": type_.signed,
                f"Multiplier{i}": self.multipliers[i],
                f"TermWidth{i}": term.bits,
                f"TermSigned{i}": term.signed,
            }
        total = self.outputs()[0].type
        return parameters | {"OutputWidth": total.bits, "OutputSigned": total.signed}

    def _terms(self) -> tuple[IntType, ...]:
        """The type of each input, times its multiplier."""
        return tuple(type_.scaled(by) for type_, by in zip(self.types, self.multipliers, strict=True))

    def connections(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, str]:
        (output,) = outputs
        ports: dict[str, str] = {}
        for i, stream in enumerate(inputs):
            ports |= {
                f"in{i}_valid_i": f"{stream}_valid",
                f"in{i}_ready_o": f"{stream}_ready",
                f"in{i}_data_i": f"{stream}_data",
            }
        return ports | {
            "out_valid_o": f"{output}_valid",
            "out_ready_i": f"{output}_ready",
            "out_data_o": f"{output}_data",
        }
