"""ElementwiseMul: the product of two streams, element by element, or of each pixel of one and the only pixel of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log2
from typing import ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.elementwise import finn_of_streams
from pipeline.kernels.product_pair import product_adders, product_latency, recodes_input

__all__ = ["ElementwiseMul"]

_MAX_BITS = 63  # int64 in the reference


@dataclass(frozen=True, eq=False)
class ElementwiseMul(Layer):
    """a · b of two streams of frames of `shape` (H, W, C) and types `types`.

    With `gated`, frames of b are (1, 1, C), and each pixel of a is multiplied by that one, which is read first. A beat
    carries `pe` channels of `m` pixels on all sides. Raises ConfigError for a PE that does not divide C or an M that does
    not divide W, UnsupportedError for products that are too wide to build, and for an M with `gated`.
    """

    shape: Shape
    types: tuple[IntType, IntType]
    gated: bool = False
    pe: int = 1
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "ElementwiseMul"
    module: ClassVar[str] = "elementwise_mul"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe", "M": "m"}
    lut_purpose: ClassVar[str] = "glue"
    lut_purpose_of_cells: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if len(self.types) != 2 or len(self.input_names) != 2:
            raise UnsupportedError(
                f"layer {self.name} multiplies {len(self.input_names)} streams of {len(self.types)} types; expected two."
            )
        bits = self._product().bits
        if bits > _MAX_BITS:
            raise UnsupportedError(f"layer {self.name} has products of {bits} bits; at most {_MAX_BITS} can be built.")
        check_pixels(self.name, self.m, self.shape[1])
        if self.gated and self.m > 1:
            raise UnsupportedError(
                f"layer {self.name} multiplies by one pixel and has M = {self.m}; only M = 1 can be built."
            )
        if self.pe < 1 or self.shape[2] % self.pe:
            raise ConfigError(
                f"layer {self.name}: PE = {self.pe} does not divide its {self.shape[2]} channels; choose a divisor of "
                f"{self.shape[2]}."
            )

    @property
    def folds(self) -> int:
        """Beats of a pixel."""
        return self.shape[2] // self.pe

    @property
    def lanes(self) -> int:
        """Elements of a beat: PE of each of M pixels."""
        return self.pe * self.m

    def inputs(self) -> tuple[Stream, ...]:
        a, b = self.types
        gate = (1, 1, self.shape[2]) if self.gated else self.shape
        return Stream(self.shape, a, self.lanes, self.m), Stream(gate, b, self.lanes, self.m)

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self._product(), self.lanes, self.m),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.multiply(*inputs, dtype=np.int64),)

    def cycles(self) -> int:
        return self.beats_taken

    def latency(self) -> int:
        """The operands' registers, the product, the two cycles of the buffer of results."""
        return 1 + product_latency(*self.types) + 2

    def inputs_needed(self) -> np.ndarray:
        before = self.folds if self.gated else 0
        return before + np.arange(1, self.outputs()[0].beats + 1, dtype=np.int64)

    def turns(self) -> np.ndarray | None:
        if not self.gated:
            return None
        a, b = (stream.beats for stream in self.inputs())
        return np.repeat([1, 0], [b, a])

    def spacing(self, beats: int) -> np.ndarray:
        """A beat a cycle, and between frames the cycles in which the pixel of b is read."""
        frame, beat = np.divmod(np.arange(beats, dtype=np.int64), self.outputs()[0].beats)
        cycles: np.ndarray = frame * self.cycles() + beat
        return cycles

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand, (a, b) = Demand(self.op_type), self.types
        output = self.lanes * self._product().bits
        demand.add(products=self.lanes * product_adders(a, b), outputs=output)
        demand.add(operands=self.lanes * (a.bits + b.bits) * product_latency(a, b))
        if self.gated:
            demand.add(counters=log2(self.folds * self.shape[0] * self.shape[1]))
            demand.store("gate", ram(self.pe * b.bits, self.folds, family))
        return demand

    def finn_graph(self) -> tuple[FinnNode, ...]:
        shapes = tuple(stream.shape for stream in self.inputs())
        output = self.outputs()[0].type
        return (finn_of_streams("Mul", (shapes[0], shapes[1]), self.types, output, self.pe, ("in0", "in1")),)

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream = draw.stream()
        types, gated = (stream["type"], draw.element()), bool(draw.random.random() < 0.5)
        return cls("layer", ("x", "z"), ("y",), stream["shape"], types, gated, draw.lanes(stream["shape"][2], 64))

    def parameters(self) -> dict[str, int]:
        parameters = {"Pe": self.lanes}
        for i, type_ in enumerate(self.types):
            parameters |= {f"Width{i}": type_.bits, f"Signed{i}": int(type_.signed)}
        parameters |= {"RecodeFirst": int(recodes_input(*self.types)), "OutputWidth": self._product().bits}
        if self.gated:
            parameters |= {"Gated": 1, "Folds": self.folds, "Pixels": self.shape[0] * self.shape[1]}
        return parameters

    def hls_parameters(self) -> dict[str, int | bool]:
        parameters: dict[str, int | bool] = {
            "Pixels": self.shape[0] * self.shape[1] // self.m, "Folds": self.folds, "Pe": self.lanes, "Gated": self.gated,
        }  # fmt: skip
        for i, type_ in enumerate(self.types):
            parameters |= {f"Width{i}": type_.bits, f"Signed{i}": type_.signed}
        return parameters | {"OutputWidth": self._product().bits, "OutputSigned": self._product().signed}

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

    def _product(self) -> IntType:
        a, b = self.types
        ends = [x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
        return IntType(min(ends), max(ends))
