"""ParallelWindow: whole sliding windows of a padded frame, one a cycle, for layers that take a window at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log2
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.layer import Layer, Stream
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram
from pipeline.errors import UnsupportedError
from pipeline.kernels.convolution_input_generator import windows_of
from pipeline.kernels.windows import WindowGenerator

__all__ = ["ParallelWindow"]


@dataclass(frozen=True, eq=False)
class ParallelWindow(WindowGenerator):
    """All windows of `kernel` (KH, KW) pixels at steps of `stride` (SH, SW) over frames of `shape` (H, W, C) with
    `pads` (top, left, bottom, right) pixels of `value` around them.

    A beat is `m` whole pixels in and a whole window, ordered ky, kx, c with c fastest, out; or, with an M of more than 1,
    M / SW windows, M being a multiple of SW. It is what FMPadding and ConvolutionInputGenerator are together, with FINN's
    parallel_window and M. Raises ConfigError for an M that does not divide W, UnsupportedError for a window that does not
    fit the padded image or may lie outside of the image, and for windows that an M does not give.
    """

    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    value: int = 0
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "ParallelWindow"
    module: ClassVar[str] = "parallel_window"
    finn_attributes: ClassVar[Mapping[str, str]] = {"M": "m"}
    lut_purpose: ClassVar[str] = "sliding windows"
    lut_purpose_of_cells: ClassVar[bool] = True
    looks_ahead: ClassVar[bool] = True
    keeps_rate: ClassVar[bool] = True  # it goes straight to the layer that takes a window a cycle

    def __post_init__(self) -> None:
        top, left, bottom, right = self.pads
        for axis, size, kernel, stride, before, after in (
            ("height", self.shape[0], self.kernel[0], self.stride[0], top, bottom),
            ("width", self.shape[1], self.kernel[1], self.stride[1], left, right),
        ):
            if not 1 <= kernel <= size + before + after or stride < 1:
                raise UnsupportedError(
                    f"layer {self.name} has windows of {axis} {kernel} at a stride of {stride} over a padded image of "
                    f"{axis} {size + before + after}; expected a {axis} of 1 to that and a stride of at least 1."
                )
            if not (0 <= before < kernel and 0 <= after < kernel):
                raise UnsupportedError(
                    f"layer {self.name} has pads of {before} and {after} for windows of {axis} {kernel}; expected pads "
                    f"of 0 to {kernel - 1}, so that every window has a pixel of the image."
                )
        if self.shape[1] < 2:
            raise UnsupportedError(f"layer {self.name} has images of width 1; whole windows are made of wider ones.")
        check_pixels(self.name, self.m, self.shape[1])
        width, windows = self.output_pixels[1], self.windows
        if self.m > 1 and (
            self.m % self.stride[1] or width % windows or self.groups < 2 or width // windows > self.groups
        ):
            raise UnsupportedError(
                f"layer {self.name} has {width} windows at a stride of {self.stride[1]} in rows of {self.shape[1]} pixels, "
                f"which do not come {windows} a beat of M = {self.m} pixels: M must be a multiple of the stride, and M / stride "
                "windows must divide those of a row, which are two beats or more in, and no more out than in. Choose another "
                "M, or 1."
            )
        if not self.type.lo <= self.value <= self.type.hi:
            raise UnsupportedError(
                f"layer {self.name} pads with {self.value}, which its type {self.type.name} in [{self.type.lo}, "
                f"{self.type.hi}] does not hold."
            )

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def output_pixels(self) -> tuple[int, int]:
        """(OH, OW)."""
        height, width, _ = self.shape
        top, left, bottom, right = self.pads
        return (
            (top + height + bottom - self.kernel[0]) // self.stride[0] + 1,
            (left + width + right - self.kernel[1]) // self.stride[1] + 1,
        )

    @property
    def windows(self) -> int:
        """Windows of a beat."""
        return max(self.m // self.stride[1], 1)

    @property
    def groups(self) -> int:
        """Beats of a row of the image."""
        return self.shape[1] // self.m

    @property
    def ahead(self) -> int:
        """Beats behind that with its first pixels that a beat of windows needs, with an M of more than 1."""
        return (self.m - self.stride[1] - self.pads[1] + self.kernel[1] - 1) // self.m

    @property
    def columns(self) -> int:
        """Beats that are read for a row of windows, those of the border on the right included where M is 1."""
        if self.m > 1:
            return self.groups
        return (self.output_pixels[1] - 1) * self.stride[1] + self.kernel[1] - self.pads[1]

    # -- streams ----------------------------------------------------------------------------------------------------

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.m * self.shape[2], self.m),)

    def outputs(self) -> tuple[Stream, ...]:
        window = self.kernel[0] * self.kernel[1] * self.shape[2]
        return (Stream((*self.output_pixels, window), self.type, self.windows * window, self.windows),)

    # -- behaviour --------------------------------------------------------------------------------------------------

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (frames,) = inputs
        top, left, bottom, right = self.pads
        padded = np.pad(frames, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=self.value)
        return (windows_of(padded, self.kernel, self.stride),)

    def cycles(self) -> int:
        return max(self.inputs()[0].beats, self.output_pixels[0] * self.columns)

    def latency(self) -> int:
        """Written to a row, read from it, moved into the window."""
        return 3

    def inputs_needed(self) -> np.ndarray:
        (height, width, _), (top, left, _, _) = self.shape, self.pads
        out_height, out_width = self.output_pixels
        rows = np.minimum(np.arange(out_height) * self.stride[0] - top + self.kernel[0], height) - 1
        columns = np.minimum(np.arange(out_width) * self.stride[1] - left + self.kernel[1], width) - 1
        if self.m > 1:
            width = self.groups
            columns = np.minimum(np.arange(out_width // self.windows) + self.ahead, width - 1)
        return np.maximum.accumulate((rows[:, None] * width + columns).ravel().astype(np.int64)) + 1

    # -- hardware ---------------------------------------------------------------------------------------------------

    def demand(self, family: str) -> Demand:
        demand, (height, _, channels) = Demand(self.op_type), self.shape
        bits = channels * self.type.bits
        for _ in range(self.kernel[0]):
            demand.store("lines", ram(self.m * bits, self.groups, family))
        demand.add(
            column=self.kernel[0] * self.m * bits,
            turned=self.kernel[0] ** 2 * self.m * bits,
            window=self.kernel[0] * (self.kernel[1] - 1) * self.m * bits,
            counters=log2(height) + log2(self.groups),
        )
        return demand

    def sent_before_taking(self, needed: np.ndarray, beats: int, frames: int) -> np.ndarray:
        """A pixel takes the place of the one KH rows above it: that row must be behind the windows, or be their first and
        have been read up to the pixel."""
        height, width, (out_height, out_width) = self.shape[0], self.groups, self.output_pixels
        out_width //= self.windows
        frame, rest = np.divmod(np.arange(beats, dtype=np.int64), height * width)
        row, column = np.divmod(rest, width)
        replaced = frame * height + row - self.kernel[0]  # counted through the frames
        firsts = np.arange(out_height) * self.stride[0] - self.pads[0]
        count = int(beats // (height * width)) + 2
        firsts = (firsts + np.arange(count)[:, None] * height).ravel()  # the first row of each row of windows
        behind = np.searchsorted(firsts, replaced, side="left")  # rows of windows that begin above it
        same = (behind < len(firsts)) & (firsts[np.minimum(behind, len(firsts) - 1)] == replaced)
        # the beat that completes the first windows, and beats from those that complete some to the next
        completes, step = (self.kernel[1] - 1 - self.pads[1], self.stride[1]) if self.m == 1 else (self.ahead, 1)
        read = np.clip(1 - (completes - column) // step, 1, out_width)  # beats of windows until it has been read
        return behind * out_width + np.where(same, read, 0)

    def rate(self, frames: int, reader: Layer | None, follower: Layer | None) -> np.ndarray:
        """A cycle a column, and no faster than the layer that the windows go straight to, or that takes them in parts."""
        height, width = self.output_pixels[0], self.output_pixels[1] // self.windows
        step, row = self.stride[1] if self.m == 1 else 1, self.columns
        if reader and reader.between_layers and follower:
            step = max(step, follower.cycles() // self.outputs()[0].beats)
            row = max(row, follower.cycles() // height)
        elif reader:
            step = max(step, reader.cycles_a_beat)
            row = max(row, reader.cycles() // height)
        row = max(row, width * step)
        rows = np.arange(frames * height, dtype=np.int64)[:, None] * row
        return (rows + np.arange(width) * step).ravel()

    def finn_nodes(self, family: str) -> dict[str, dict[str, Any]]:
        """FINN pads in a layer before: the image is the padded one. Its M is not implemented."""
        if self.m > 1:
            return {}
        height, width, channels = self.shape
        top, left, bottom, right = self.pads
        lines = ram(channels * self.type.bits, width, family)
        attributes = self.finn_window((height + top + bottom, width + left + right), channels)
        return {"ConvolutionInputGenerator_rtl": attributes | {"parallel_window": 1, "ram_style": lines.ram_style}}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream, kernel, stride = draw.stream(), draw.one_of([2, 3, 3]), draw.one_of([1, 1, 2])
        pads = (1, 1, 1, 1) if kernel == 3 and draw.random.random() < 0.8 else (0, 0, 0, 0)
        return cls("layer", ("x",), ("y",), **stream, kernel=(kernel,) * 2, stride=(stride,) * 2, pads=pads)

    def parameters(self) -> dict[str, int]:
        channels = self.shape[2]
        return {
            "Width": channels * self.type.bits,
            **self._sizes(),
            "Border": pack_word([self.value] * channels, self.type.bits),
        } | ({"Pixels": self.m} if self.m > 1 else {})

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "ElementWidth": self.type.bits,
            "ElementSigned": self.type.signed,
            "Channels": self.shape[2],
            **self._sizes(),
            "Border": self.value,
            "Pixels": self.m,
        }

    def _sizes(self) -> dict[str, int]:
        return {
            "ImageHeight": self.shape[0],
            "ImageWidth": self.shape[1],
            "KernelHeight": self.kernel[0],
            "KernelWidth": self.kernel[1],
            "StrideHeight": self.stride[0],
            "StrideWidth": self.stride[1],
            "PadTop": self.pads[0],
            "PadLeft": self.pads[1],
            "OutHeight": self.output_pixels[0],
            "OutWidth": self.output_pixels[1],
        }
