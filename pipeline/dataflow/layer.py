"""What every hardware layer has: streams in and out, a reference, and how it becomes an instance in SystemVerilog.

A stream carries frames of shape (height, width, channels), channels fastest, as beats of `lanes` neighbouring channels;
lane 0 sits in the least significant bits. All arithmetic of the references is on int64 arrays of shape (N, H, W, C).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from pipeline.dataflow.types import IntType

__all__ = ["Companion", "Generated", "Layer", "Memory", "Shape", "Stream", "Table", "Wire"]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Stream:
    """Frames of `shape` (height, width, channels) of integers of `type`, `lanes` neighbouring channels a beat."""

    shape: Shape
    type: IntType
    lanes: int

    @property
    def bits(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.type.bits

    @property
    def beats(self) -> int:
        """Beats that a frame takes. Raises ValueError for lanes that do not divide the channels."""
        height, width, channels = self.shape
        if channels % self.lanes:
            raise ValueError(f"{self.lanes} lanes do not divide {channels} channels")
        return height * width * (channels // self.lanes)


@dataclass(frozen=True)
class Memory:
    """The content of a read-only memory: `words` unsigned integers of `width` bits, address 0 first."""

    width: int
    words: tuple[int, ...]

    def hex(self) -> str:
        """The text of a $readmemh file."""
        digits = (self.width + 3) // 4
        return "".join(f"{word:0{digits}x}\n" for word in self.words)

    def stream(self) -> np.ndarray:
        """The content as hw/rtl/loaded_uram.sv takes it, uint32 (n,): each word in ceil(width / 32), low bits first.

        >>> [hex(word) for word in Memory(40, (0x1122334455, 7)).stream()]
        ['0x22334455', '0x11', '0x7', '0x0']
        """
        size = 4 * -(-self.width // 32)
        content = b"".join(word.to_bytes(size, "little") for word in self.words)
        return np.frombuffer(content, "<u4").astype(np.uint32)


@dataclass(frozen=True, eq=False)
class Table:
    """Constants of a layer in HLS C++: an array of integers of `type`, int64 of any shape."""

    values: np.ndarray
    type: IntType

    @classmethod
    def absent(cls, dimensions: int) -> Table:
        """What stands for a table that a layer does not have: one 0."""
        return cls(np.zeros((1,) * dimensions, np.int64), IntType(0, 0))


@dataclass(frozen=True)
class Wire:
    """What connects an instance of a layer to its companion: `bits` from one port to the other."""

    bits: int
    instance_port: str
    companion_port: str


@dataclass(frozen=True)
class Generated:
    """A text that is generated for one layer: a template of pipeline/codegen/templates, and the values that fill it."""

    template: str
    values: Mapping[str, object]

    @classmethod
    def of(cls, template: str, **values: object) -> Generated:
        return cls(template, values)


@dataclass(frozen=True)
class Companion:
    """A generated module beside the instance of a layer. Besides `wires` it has the port clk_i."""

    module: Generated
    wires: tuple[Wire, ...]


@dataclass(frozen=True, eq=False)
class Layer(ABC):
    """One hardware layer: a node of the layer graph. Immutable; folding it is `dataclasses.replace`.

    `input_names` and `output_names` are the names of the streams that it reads and writes, in a graph; `source` is the
    user's name of the layer, for messages.
    """

    name: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    source: str = field(default="", kw_only=True)

    op_type: ClassVar[str]  # FINN's name of the layer
    module: ClassVar[str]  # the module in hw/rtl, and the file that holds it
    has_companion: ClassVar[bool] = False  # whether a module that is generated for each layer stands beside it
    has_overflow: ClassVar[bool] = False  # whether the module has overflow_o, which the parameter CheckOverflow enables
    has_load_port: ClassVar[bool] = False  # whether the module has a place in the chain of the weight stream

    # -- streams ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def inputs(self) -> tuple[Stream, ...]:
        """The streams that the layer reads."""

    @abstractmethod
    def outputs(self) -> tuple[Stream, ...]:
        """The streams that the layer writes."""

    # -- behaviour --------------------------------------------------------------------------------------------------

    @abstractmethod
    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The outputs for `inputs`, integers of any width of shape (N, H, W, C). What is calculated is int64."""

    @abstractmethod
    def cycles(self) -> int:
        """Clock cycles between frames when the layer is never starved or stalled."""

    @abstractmethod
    def latency(self) -> int:
        """Clock cycles from the last input beat an output beat depends on to that output beat, unstalled."""

    @abstractmethod
    def inputs_needed(self) -> np.ndarray:
        """For each output beat of a frame, how many beats of each input the layer takes before it can send it.

        An int64 array of shape (output beats of a frame,), non-decreasing. All inputs of a layer advance together, and
        so do all its outputs.
        """

    # -- hardware ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def parameters(self) -> Mapping[str, int | str]:
        """The parameters of the instance, by their names in SystemVerilog, memory files excepted."""

    def memories(self) -> dict[str, Memory]:
        """The read-only memories, by the name of the parameter that takes the file."""
        return {}

    def memory_sets(self) -> dict[str, dict[str, Memory]]:
        """Read-only memories that share a parameter, which takes what the names of their files begin with: by its name,
        then by what ends the names."""
        return {}

    def loaded_memory(self) -> Memory | None:
        """The memory that is written at start-up, over the weight stream, if there is one."""
        return None

    @property
    def loads_weights(self) -> bool:
        """Whether weights come over the weight stream at start-up. No input is taken before they are there."""
        return False

    def companion(self, name: str) -> Companion | None:
        """The module `name` that is generated for this layer and stands beside its instance, if it has one."""
        return None

    # -- HLS C++ ----------------------------------------------------------------------------------------------------

    @property
    def has_hls(self) -> bool:
        """Whether hw/hls has `module`: a FIFO is the depth of a stream there, and has no parameters of its own."""
        return type(self).hls_parameters is not Layer.hls_parameters

    def hls_parameters(self) -> Mapping[str, int | bool | tuple[int, ...]]:
        """The members of the layer's structure in C++, by their names in hw/hls; of a tuple, a function of its index."""
        return {}

    def hls_tables(self) -> dict[str, Table]:
        """The arrays of constants, by name, in the order in which the kernel takes them behind its streams."""
        return {}

    def hls_pragmas(self, name: str) -> tuple[str, ...]:
        """Pragmas of the function that calls the kernel, where table `t` is the array <name>_t."""
        return ()

    def hls_companion(self, name: str) -> Generated | None:
        """The header that is generated for this layer, called `name`.hpp, if it has one."""
        return None

    # -- connections ------------------------------------------------------------------------------------------------

    def connections(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, str]:
        """Port to expression, for streams whose signals are called <stream>_valid, <stream>_ready and <stream>_data."""
        (i,), (o,) = inputs, outputs
        return {
            "in_valid_i": f"{i}_valid",
            "in_ready_o": f"{i}_ready",
            "in_data_i": f"{i}_data",
            "out_valid_o": f"{o}_valid",
            "out_ready_i": f"{o}_ready",
            "out_data_o": f"{o}_data",
        }
