"""The base of every hardware layer: streams in and out, a reference, and its instance in SystemVerilog.

A stream carries frames of shape (height, width, channels), channels fastest, as beats of `lanes` neighbouring channels, of
`pixels` neighbours in a row each; lane 0 sits in the least significant bits. All arithmetic of the references is on int64
arrays of shape (N, H, W, C).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow import registry
from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.rising import of_count, running_max
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import UnsupportedError

__all__ = ["Companion", "Folding", "Generated", "Layer", "Memory", "Shape", "Stream", "Table", "Wire"]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Stream:
    """Frames of `shape` (height, width, channels) of integers of `type`, `lanes` of them a beat.

    They are neighbouring channels of `pixels` neighbours in a row: lane p · (lanes / pixels) + c is channel c of pixel p.
    Where a pixel is several beats, so are its neighbours: of all of them come the first channels, then the next ones.
    """

    shape: Shape
    type: IntType
    lanes: int
    pixels: int = 1

    @property
    def bits(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.type.bits

    @property
    def beats(self) -> int:
        """Beats that a frame takes. Raises ValueError for pixels that do not divide a row, or lanes that do not divide
        their channels."""
        height, width, channels = self.shape
        if width % self.pixels:
            raise ValueError(f"{self.pixels} pixels do not divide a row of {width}")
        if channels * self.pixels % self.lanes or self.lanes % self.pixels:
            of = f"{channels} channels" if self.pixels == 1 else f"{channels} channels of {self.pixels} pixels"
            raise ValueError(f"{self.lanes} lanes do not divide {of}")
        return height * width * channels // self.lanes

    @property
    def whole_pixels(self) -> bool:
        """Whether beats are whole pixels, so that elements come as they lie in a frame, however many pixels a beat has."""
        return self.pixels == 1 or self.lanes == self.pixels * self.shape[2]

    def sent(self, frames: np.ndarray) -> np.ndarray:
        """The elements of `frames` (N, H, W, C) in the order in which the stream carries them."""
        if self.whole_pixels:
            return frames
        return (
            frames.reshape(-1, self.pixels, self._folds, self.lanes // self.pixels).swapaxes(1, 2).reshape(frames.shape)
        )

    def received(self, elements: np.ndarray) -> np.ndarray:
        """The frames whose elements the stream carries so: the inverse of `sent`."""
        if self.whole_pixels:
            return elements
        parts = elements.reshape(-1, self._folds, self.pixels, self.lanes // self.pixels)
        return parts.swapaxes(1, 2).reshape(elements.shape)

    @property
    def _folds(self) -> int:
        return self.shape[2] * self.pixels // self.lanes


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
        """A stand-in for a table that a layer does not have: one 0."""
        return cls(np.zeros((1,) * dimensions, np.int64), IntType(0, 0))


@dataclass(frozen=True)
class Wire:
    """The wire between an instance of a layer and its companion: `bits` from one port to the other."""

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
    """A generated module beside the instance of a layer, `copies` times; each has its part of the instance's ports, the
    first in the lowest bits. Besides `wires` it has the port clk_i."""

    module: Generated
    wires: tuple[Wire, ...]
    copies: int = 1


@dataclass(frozen=True)
class Folding:
    """One way to fold a layer: the fields it sets, and what follows from them.

    `style` is one of the layer's `styles`, see `pipeline/folding/styles.py`, or empty where it has none; for a layer that
    makes windows it is "whole" where a ParallelWindow takes its place.
    """

    # pe, simd; digits of a layer that is unrolled; pe, simd, lanes of one that is sparse; ram_style unless it is auto; m
    # where it is more than 1
    fields: dict[str, int | str]
    input_lanes: int
    output_lanes: int
    cycles: int
    style: str = ""
    alternative: str = ""  # the kind of layer that takes the place of this one: see pipeline/folding/activations.py
    input_pixels: int = 1
    output_pixels: int = 1
    whole_windows: bool = False  # its windows are made whole, as pixel by pixel they would come too slowly


@dataclass(frozen=True, eq=False)
class Layer(ABC):
    """One hardware layer: a node of the layer graph. Immutable; folding it is `dataclasses.replace`.

    A class that has an `op_type` of its own is a kernel. It is in `pipeline.dataflow.registry` from its definition on, and
    says all that the rest of the pipeline asks of kernels.

    `input_names` and `output_names` are the names of the streams that it reads and writes, in a graph; `source` is the
    user's name of the layer, for messages.
    """

    name: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    source: str = field(default="", kw_only=True)

    op_type: ClassVar[str]  # FINN's name of the layer
    module: ClassVar[str]  # the module in hw/rtl, and the file that holds it
    finn_operator: ClassVar[str]  # what FINN's files call it, where that is not `op_type`
    finn_attributes: ClassVar[
        Mapping[str, str]
    ] = {}  # what a folding file sets: FINN's attribute to the field, if to one
    lut_purpose: ClassVar[str]  # what its LUTs are for, one of pipeline/report/purposes.py
    lut_purpose_of_cells: ClassVar[bool] = False  # whether the LUTs of the cells in it are for the same
    has_companion: ClassVar[bool] = False  # whether a module that is generated for each layer stands beside it
    has_overflow: ClassVar[bool] = False  # whether the module has overflow_o, which the parameter CheckOverflow enables
    has_load_port: ClassVar[bool] = False  # whether the module has a place in the chain of the weight stream
    is_fifo: ClassVar[bool] = False  # whether it only keeps beats, see Fifo in pipeline/dataflow/roles.py
    between_layers: ClassVar[bool] = False  # whether it only moves beats: a report has one line for all of the kind
    gives_label: ClassVar[bool] = False  # whether its output is the index of a class
    sets_rate: ClassVar[bool] = False  # whether the layers around it are folded to be faster, so that it never waits
    keeps_rate: ClassVar[bool] = False  # whether it goes at its `rate` also where that takes more time than there is
    # what may compute it, where that is to be chosen; the first where nothing is said of it
    styles: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "op_type" in cls.__dict__:
            if "finn_operator" not in cls.__dict__:
                cls.finn_operator = cls.op_type
            registry.register(cls)

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
        """For each output beat of a frame, how many beats the layer takes before it can send it: of each input, or, where
        it takes its inputs by `turns`, of all together.

        An int64 array of shape (output beats of a frame,), non-decreasing. All outputs of a layer advance together.
        """

    def turns(self) -> np.ndarray | None:
        """The input of each beat that the layer takes of a frame, in the order in which it takes them: int64, (beats,).
        None where it takes a beat of every input at a time."""
        return None

    @property
    def beats_taken(self) -> int:
        """The beats of a frame that the layer takes, one at a time: of each input, or by `turns` of all together."""
        turns = self.turns()
        return self.inputs()[0].beats if turns is None else len(turns)

    def beats_of(self, index: int, taken: np.ndarray) -> np.ndarray:
        """How many of the first `taken` beats that the layer takes, of frames one after the other, are of input `index`."""
        turns = self.turns()
        if turns is None:
            return taken
        before = np.concatenate([[0], np.cumsum(turns == index)])
        frames, rest = np.divmod(taken, len(turns))
        counts: np.ndarray = frames * before[-1] + before[rest]
        return counts

    @property
    def cycles_a_beat(self) -> int:
        """Cycles that an input beat keeps the layer busy, where a beat is a whole vector."""
        return 1

    # -- folding ----------------------------------------------------------------------------------------------------

    def legal_values(self) -> Mapping[str, Sequence[int]]:
        """The values that each field which folds the layer may have, rising."""
        return {}

    def foldings(self) -> tuple[Folding, ...]:
        """All ways to fold the layer."""
        choices = self.legal_values()
        folded = []
        for values in product(*choices.values()):
            fields: dict[str, int | str] = dict(zip(choices, values, strict=True))
            layer = self.folded(fields)
            i, o = layer.inputs()[0], layer.outputs()[0]
            fields |= {"m": m} if (m := getattr(self, "m", 1)) > 1 else {}
            folded.append(
                Folding(fields, i.lanes, o.lanes, layer.cycles(), input_pixels=i.pixels, output_pixels=o.pixels)
            )
        return tuple(folded)

    def folded(self, fields: Mapping[str, int | str]) -> Self:
        """The layer with the `fields` of one of its foldings."""
        values: dict[str, Any] = dict(fields)  # only the kernel's class knows which fields these are, and of what type
        return replace(self, **values)

    def foldings_in(
        self, style: str, budget: int | None = None, pe: int | None = None, m: int = 1
    ) -> tuple[Folding, ...]:
        """The ways to fold the layer in one of its `styles`, with `m` pixels side by side; none where it cannot have them.

        Where there are too many to list them all, only those with `pe`, or else the smallest that take no more than
        `budget` cycles a frame.
        """
        return self.foldings() if m == 1 else ()

    def demand_in(self, style: str, fields: Mapping[str, int | str], family: str) -> Demand:
        """The `demand` of the layer in one of its `styles`, with the `fields` of a folding."""
        return self.folded(fields).demand(family)

    def styled(self, style: str, fields: Mapping[str, int | str]) -> Layer:
        """The layer that computes the same in one of the `styles`, with the `fields` of a folding."""
        return self.folded(fields)

    def for_family(self, family: str) -> Layer:
        """The layer as it is built in an FPGA of Yosys' `family`."""
        return self

    def finn_folding(self) -> dict[str, int | str]:
        """The values of the layer in a FINN folding file, see `pipeline/folding/folding_config.py`."""
        values = {name: getattr(self, field) for name, field in self.finn_attributes.items() if field}
        return {name: value for name, value in values.items() if (name, value) != ("M", 1)}

    def parallelism(self) -> tuple[str, str]:
        """The PE and SIMD of the layer in words, for a report; with the PE the pixels side by side."""
        pixels = f", {m} pixels" if (m := getattr(self, "m", 1)) > 1 else ""
        return f"{getattr(self, 'pe', '–')}{pixels}", str(getattr(self, "simd", "–"))

    @abstractmethod
    def demand(self, family: str) -> Demand:
        """The terms that the layer's LUTs, flip-flops and memories grow with, folded as it is, in Yosys' `family`."""

    def threshold_styles(self) -> dict[str, int]:
        """The memories of the thresholds, and the steps of the search in each; empty where there are no thresholds."""
        return {}

    def op_and_param_counts(self) -> dict[str, int]:
        """The multiply-accumulates of a frame, and the weights and thresholds, by their bits, with FINN's keys."""
        return {}

    # -- timing: the model is that of pipeline/folding/timing.py ----------------------------------------------------

    def spacing(self, beats: int) -> np.ndarray:
        """The earliest cycle of each of `beats` output beats, counted from the first, if inputs are always there."""
        out_beats, in_beats = self.outputs()[0].beats, self.inputs()[0].beats
        steps = np.arange(beats, dtype=np.int64)
        if self.cycles() <= max(in_beats, out_beats):
            return steps  # one beat a cycle on its busier side: what holds it back is its input
        return steps * self.cycles() // out_beats

    def sent_before_taking(self, needed: np.ndarray, beats: int, frames: int) -> np.ndarray:
        """For each of `beats` input beats of `frames`, how many output beats must have left so that there is room for it.

        `needed` is `inputs_needed` of all frames. Here: all output beats that do without it.
        """
        return np.cumsum(np.bincount(needed, minlength=beats))[:beats]

    def beat_times(
        self, arrivals: np.ndarray, frames: int, spacing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The cycles in which the layer sends its output beats, and those in which it takes its input beats, which
        arrive in the cycles `arrivals`, in the order in which it takes them.

        `spacing` is the earliest cycle of each output beat, counted from the first; by default what the layer can do.
        """
        needed = self.needed_of(frames)
        if spacing is None:
            spacing = self.spacing(len(needed))
        beats = np.arange(len(arrivals), dtype=np.int64)
        sent = running_max(of_count(running_max(arrivals, beats), needed) + self.latency(), spacing)
        room = of_count(sent - self.latency() + 1, self.sent_before_taking(needed, len(arrivals), frames))
        return sent, running_max(np.maximum(arrivals, room), beats)

    def rate(self, frames: int, reader: Layer | None, follower: Layer | None) -> np.ndarray | None:
        """The spacing of the output beats of `frames`, for a layer that goes no faster than what is behind it needs.

        `reader` takes its output, and `follower` is the first layer behind FIFOs and width converters. None for a layer
        that goes as fast as it can.
        """
        return None

    def needed_of(self, frames: int) -> np.ndarray:
        """`inputs_needed` of so many frames, one after the other."""
        frame = np.arange(frames, dtype=np.int64)[:, None]
        return (self.inputs_needed() + frame * self.beats_taken).ravel()

    # -- FINN, and layers at random -----------------------------------------------------------------------------------

    def finn_nodes(self, family: str) -> Mapping[str, Mapping[str, Any]]:
        """FINN's hardware operators that compute the same, with their attributes; the first counts LUTs.

        Memories are as in Yosys' `family`. Empty where FINN has no such operator, or no estimate of its LUTs.
        """
        return {}

    def finn_graph(self) -> tuple[FinnNode, ...]:
        """The nodes of FINN that compute the same, in order, folded as the layer is; memories and resources are not said.

        Raises UnsupportedError where FINN has none.
        """
        raise self.without_finn_node("FINN has no such node")

    def without_finn_node(self, why: str) -> UnsupportedError:
        """The error of a layer that no nodes of FINN compute."""
        of = f" ({self.source})" if self.source else ""
        return UnsupportedError(
            f"layer {self.name}{of}, {type(self).__name__}, cannot be one of FINN's: {why}. Everything else of the build is there "
            "without it: leave finn out."
        )

    @classmethod
    @abstractmethod
    def draw(cls, draw: Draw) -> Self:
        """A layer as networks have it, at random."""

    # -- hardware ---------------------------------------------------------------------------------------------------

    @property
    def alone(self) -> Self:
        """The layer as it stands by itself, with every handshake of a stream: out of a pipeline of several layers."""
        return self

    @property
    def rtl_module(self) -> str:
        """The module of hw/rtl of its instance: the kernel's own, or another one of which it takes the place as it is folded."""
        return self.module

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
