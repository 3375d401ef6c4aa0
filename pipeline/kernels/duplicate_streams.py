"""DuplicateStreams: one stream becomes several equal ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["DuplicateStreams"]


@dataclass(frozen=True, eq=False)
class DuplicateStreams(Layer):
    """`copies` outputs, each of which gives the frames of `shape` (H, W, C) of the input.

    Each copy of a beat leaves as soon as its reader takes it; the next beat follows when all have been taken. A beat
    carries `pe` channels of `m` pixels on all sides. Raises ConfigError for a PE that does not divide C or an M that does
    not divide W, UnsupportedError unless there is an output for each of two copies or more.
    """

    shape: Shape
    type: IntType
    copies: int
    pe: int = 1
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "DuplicateStreams"
    module: ClassVar[str] = "duplicate_streams"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe", "M": "m"}
    lut_purpose: ClassVar[str] = "glue"

    def __post_init__(self) -> None:
        if self.copies < 2 or self.copies != len(self.output_names):
            raise UnsupportedError(
                f"layer {self.name} makes {self.copies} copies for {len(self.output_names)} outputs; expected two or "
                "more, one for each."
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
        return (Stream(self.shape, self.type, self.lanes, self.m),)

    def outputs(self) -> tuple[Stream, ...]:
        return self.inputs() * self.copies

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return inputs * self.copies

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        """The input register."""
        return 1

    def inputs_needed(self) -> np.ndarray:
        return np.arange(1, self.inputs()[0].beats + 1, dtype=np.int64)

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand = Demand(self.op_type)
        demand.add(data=self.lanes * self.type.bits, copies=self.copies)  # one register in front of all copies
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        attributes = {
            "NumChannels": self.shape[2],
            "PE": self.pe,
            "NumOutputStreams": self.copies,
            "inputDataType": self.type.name,
            "numInputVectors": (1, *self.shape[:2]),
            "outFIFODepths": (2,) * self.copies,
        }
        return (FinnNode("DuplicateStreams", attributes, outputs=tuple(f"out{i}" for i in range(self.copies))),)

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream, copies = draw.stream(), draw.one_of([2, 2, 3])
        outputs = tuple(f"y{i}" for i in range(copies))
        return cls("layer", ("x",), outputs, **stream, copies=copies, pe=draw.lanes(stream["shape"][2], 64))

    def parameters(self) -> dict[str, int]:
        return {"Width": self.lanes * self.type.bits, "Copies": self.copies}

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "Beats": self.inputs()[0].beats,
            "Pe": self.lanes,
            "ElementWidth": self.type.bits,
            "ElementSigned": self.type.signed,
            "Copies": self.copies,
        }

    def connections(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, str]:
        (stream,) = inputs
        ends = outputs[::-1]  # the first output is the lowest of each port
        return {
            "in_valid_i": f"{stream}_valid",
            "in_ready_o": f"{stream}_ready",
            "in_data_i": f"{stream}_data",
            "out_valid_o": "{" + ", ".join(f"{end}_valid" for end in ends) + "}",
            "out_ready_i": "{" + ", ".join(f"{end}_ready" for end in ends) + "}",
            "out_data_o": "{" + ", ".join(f"{end}_data" for end in ends) + "}",
        }
