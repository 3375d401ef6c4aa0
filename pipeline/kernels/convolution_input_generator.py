"""ConvolutionInputGenerator: the sliding windows of a convolution or pooling, from a line buffer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import log2
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Stream
from pipeline.dataflow.pixels import check_pixels
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.devices.demand import Demand
from pipeline.devices.memories import ram
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.windows import WindowGenerator

__all__ = ["ConvolutionInputGenerator", "windows_of"]

_ORDERED_DEPTH = 2  # words that pass a beat in every cycle, one written while the other is read


@dataclass(frozen=True, eq=False)
class ConvolutionInputGenerator(WindowGenerator):
    """All windows of `kernel` (KH, KW) pixels at steps of `stride` (SH, SW) over frames of `shape` (H, W, C).

    Padding is a layer of its own. Out come frames of (OH, OW, KH · KW · C), where OH = (H - KH) // SH + 1 and OW alike.
    A beat carries `simd` channels on both sides. A window is ordered ky, kx, c with c fastest; with `depthwise`, which is
    FINN's, it is interleaved: its first `simd` channels of all pixels, then the next ones, as a VVAU of PE = SIMD takes
    it. The pixels of a window are `dilation` (DH, DW) apart; where they are more than 1 apart in a row, a beat is a whole
    pixel unless windows are interleaved. Windows a pixel wide may come several a beat: of `m` pixels, M being a multiple
    of SW, M / SW. Raises ConfigError for a SIMD that does not divide C, or is not C with such a dilation, and for an M that
    does not divide W, UnsupportedError for a window that does not fit the image, and for other windows with an M.
    """

    simd: int = 1
    dilation: tuple[int, int] = field(default=(1, 1), kw_only=True)
    depthwise: bool = False
    m: int = field(default=1, kw_only=True)

    op_type: ClassVar[str] = "ConvolutionInputGenerator"
    module: ClassVar[str] = "convolution_input_generator"
    finn_attributes: ClassVar[Mapping[str, str]] = {"SIMD": "simd", "M": "m"}
    lut_purpose: ClassVar[str] = "sliding windows"
    lut_purpose_of_cells: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for axis, size, kernel, stride in zip(("height", "width"), self.shape, self.span, self.stride, strict=False):
            if not 1 <= kernel <= size or stride < 1 or min(self.dilation) < 1:
                raise UnsupportedError(
                    f"layer {self.name} has windows of {axis} {kernel} at a stride of {stride} over an image of "
                    f"{axis} {size}; expected a {axis} of 1 to {size} and a stride of at least 1."
                )
        check_pixels(self.name, self.m, self.shape[1])
        if self.m > 1 and (self.kernel[1] > 1 or self.m % self.stride[1]):
            raise UnsupportedError(
                f"layer {self.name} has windows of width {self.kernel[1]} at a stride of {self.stride[1]}, which cannot be made "
                f"of M = {self.m} pixels a beat; only those of width 1 can, at a stride that divides M. Windows that are made "
                "whole can be wider: see ParallelWindow."
            )
        if self._whole_pixels() and self.simd != self.shape[2]:
            raise ConfigError(
                f"layer {self.name}: SIMD = {self.simd}, but its windows are dilated by {self.dilation[1]} in a row; choose "
                f"its {self.shape[2]} channels."
            )
        if self.simd < 1 or self.shape[2] % self.simd:
            raise ConfigError(
                f"layer {self.name}: SIMD = {self.simd} does not divide its {self.shape[2]} channels; choose a "
                f"divisor of {self.shape[2]}."
            )

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def span(self) -> tuple[int, int]:
        """The pixels of the image over which a window is spread: the kernel's, unless it is dilated."""
        return _span(self.kernel, self.dilation)

    def _whole_pixels(self) -> bool:
        """Whether a beat must be a whole pixel, as a row of a window is no row of the image."""
        return self.dilation[1] > 1 and self.kernel[1] > 1 and not self.depthwise

    @property
    def output_pixels(self) -> tuple[int, int]:
        """(OH, OW)."""
        (height, width, _), (kernel_h, kernel_w), (stride_h, stride_w) = self.shape, self.span, self.stride
        return (height - kernel_h) // stride_h + 1, (width - kernel_w) // stride_w + 1

    @property
    def windows(self) -> int:
        """Windows of a beat: of M pixels those that are kept."""
        return self.m // self.stride[1] if self.m > 1 else 1

    @property
    def _image(self) -> tuple[int, int]:
        """(H, W) with the pixels of a beat as one."""
        return self.shape[0], self.shape[1] // self.m

    @property
    def _steps(self) -> tuple[int, int]:
        """The stride between beats of windows."""
        return self.stride if self.m == 1 else (self.stride[0], 1)

    @property
    def folds(self) -> int:
        """Beats a pixel: C / SIMD."""
        return self.shape[2] // self.simd

    @property
    def interleaved(self) -> bool:
        """Whether a window is sent in another order than it comes in: one part of its channels after the other."""
        return self.depthwise and self.folds > 1 and self.kernel != (1, 1)

    @property
    def ordered(self) -> bool:
        """Whether the windows take no element twice and all of them in the order in which they come."""
        if self.interleaved:
            return False
        (out_h, out_w), (kernel_h, kernel_w), (stride_h, stride_w) = self.output_pixels, self.span, self.stride
        rows = out_h == 1 or kernel_h <= stride_h
        columns = out_w == 1 or (kernel_h == 1 and kernel_w <= stride_w)
        return rows and columns

    @property
    def buffer_depth(self) -> int:
        """Beats that the line buffer holds: the fewest with which neither side ever costs the other a cycle.

        Found for whole pixels where their beats follow each other; one pixel more than for single beats at the most.
        """
        if self.ordered:
            return _ORDERED_DEPTH
        if self.interleaved:
            return _buffer_beats(self._image, self.kernel, self._steps, self.dilation, self.folds)
        return _buffer_beats(self._image, self.kernel, self._steps, self.dilation, 1) * self.folds

    # -- streams ----------------------------------------------------------------------------------------------------

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.m * self.simd, self.m),)

    def outputs(self) -> tuple[Stream, ...]:
        window = self.kernel[0] * self.kernel[1] * self.shape[2]
        return (Stream((*self.output_pixels, window), self.type, self.windows * self.simd, self.windows),)

    # -- behaviour --------------------------------------------------------------------------------------------------

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (frames,) = inputs
        windows = windows_of(frames, self.kernel, self.stride, self.dilation)
        if self.interleaved:
            pixels = windows.reshape(*windows.shape[:3], -1, self.folds, self.simd)
            windows = pixels.swapaxes(3, 4).reshape(windows.shape)
        return (windows,)

    def cycles(self) -> int:
        return max(self.inputs()[0].beats, self.outputs()[0].beats)

    def latency(self) -> int:
        """Written to the buffer in one cycle, read from it in the next."""
        return 2

    def inputs_needed(self) -> np.ndarray:
        pixels = _read_order(self._image, self.kernel, self._steps, self.dilation)
        folds = np.arange(self.folds, dtype=np.int64)
        if self.interleaved:
            beats = pixels.reshape(-1, 1, self.kernel[0] * self.kernel[1]) * self.folds + folds[:, None]
        else:
            beats = pixels[:, None] * self.folds + folds
        return np.maximum.accumulate(beats.ravel()) + 1

    # -- hardware ---------------------------------------------------------------------------------------------------

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"simd": (self.shape[2],) if self._whole_pixels() else divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand, bits = Demand(self.op_type), self.windows * self.simd * self.type.bits
        demand.store("lines", ram(bits, self.buffer_depth, family))
        beats = self.inputs()[0].beats
        demand.add(data=bits, counters=log2(self.buffer_depth) + log2(beats))
        return demand

    @property
    def looks_ahead(self) -> bool:
        return not self.ordered

    def sent_before_taking(self, needed: np.ndarray, beats: int, frames: int) -> np.ndarray:
        """A beat has room where the oldest of its line buffer has been read for the last time."""
        if not self.looks_ahead:
            return super().sent_before_taking(needed, beats, frames)
        height, width = self._image
        out_height, out_width, window = self.outputs()[0].shape
        corners = np.add.outer(
            np.arange(out_height) * self._steps[0] * width, np.arange(out_width // self.windows) * self._steps[1]
        ).ravel()
        # of each output beat, the oldest input beat of its window
        first = np.repeat(corners * self.folds, window // self.simd)
        first = (first + np.arange(frames)[:, None] * height * width * self.folds).ravel()
        return np.searchsorted(first, np.arange(beats) - self.buffer_depth, side="right")

    def finn_nodes(self, family: str) -> dict[str, dict[str, Any]]:
        lines = ram(self.simd * self.type.bits, self.buffer_depth, family)
        return {"ConvolutionInputGenerator_rtl": self._finn_attributes() | {"ram_style": lines.ram_style}}

    def finn_graph(self) -> tuple[FinnNode, ...]:
        return (FinnNode(self.op_type, self._finn_attributes()),)

    def _finn_attributes(self) -> dict[str, Any]:
        attributes = self.finn_window(self.shape[:2], self.simd)
        return attributes | {"Dilation": self.dilation, "depthwise": int(self.depthwise)}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        stream, kernel, stride = draw.stream(), draw.one_of([1, 2, 3, 3, 4]), draw.one_of([1, 1, 2])
        lanes = draw.lanes(stream["shape"][2], 64)
        return cls("layer", ("x",), ("y",), **stream, kernel=(kernel,) * 2, stride=(stride,) * 2, simd=lanes)

    def parameters(self) -> dict[str, int]:
        orders = {"Ordered": int(self.ordered), "Depthwise": int(self.interleaved)}
        pixels = {"Pixels": self.m} if self.m > 1 else {}
        return {"Width": self.simd * self.type.bits, **self._sizes(), **orders, **pixels}

    def hls_parameters(self) -> dict[str, int | bool]:
        return {
            "ElementWidth": self.type.bits,
            "ElementSigned": self.type.signed,
            "Simd": self.simd,
            **self._sizes(),
            "Ordered": self.ordered,
            "Depthwise": self.interleaved,
            "Pixels": self.m,
        }

    def _sizes(self) -> dict[str, int]:
        return {
            "Folds": self.folds,
            "ImageHeight": self.shape[0],
            "ImageWidth": self.shape[1],
            "KernelHeight": self.kernel[0],
            "KernelWidth": self.kernel[1],
            "StrideHeight": self.stride[0],
            "StrideWidth": self.stride[1],
            "DilationHeight": self.dilation[0] if self.kernel[0] > 1 else 1,  # one pixel is not apart from another
            "DilationWidth": self.dilation[1] if self.kernel[1] > 1 else 1,
            "Depth": self.buffer_depth,
        }


def windows_of(
    frames: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> np.ndarray:
    """The windows of `frames` (N, H, W, C), (N, OH, OW, KH · KW · C), ordered ky, kx, c with c fastest."""
    windows = np.lib.stride_tricks.sliding_window_view(frames, _span(kernel, dilation), axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]].transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(*windows.shape[:3], -1)


def _span(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def _window_starts(image: tuple[int, int], span: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """The number of the first pixel of each window of a frame, in order."""
    rows = np.arange(0, image[0] - span[0] + 1, stride[0], dtype=np.int64) * image[1]
    columns = np.arange(0, image[1] - span[1] + 1, stride[1], dtype=np.int64)
    return (rows[:, None] + columns).ravel()


def _read_order(
    image: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> np.ndarray:
    """The number of each pixel of each window of a frame, in the order in which they go out."""
    rows, columns = (np.arange(k, dtype=np.int64) * d for k, d in zip(kernel, dilation, strict=True))
    within = (rows[:, None] * image[1] + columns).ravel()
    order: np.ndarray = (_window_starts(image, _span(kernel, dilation), stride)[:, None] + within).ravel()
    return order


@lru_cache(maxsize=1024)
def _buffer_beats(
    image: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], folds: int
) -> int:
    """The fewest beats of buffer with which a frame takes as many steps as it has beats in, or out if these are more,
    where a pixel is `folds` beats and a window is sent fold by fold, of all its pixels.

    A step reads one beat, of windows in order, and writes one. A beat is read a step or more after it was written, and
    is held until the last window that starts at or before it has been read. The side with more beats moves in every
    step. If that is the reader, each beat is written as late as it may be: the buffer must hold what has been written by
    then but not been left behind. If it is the writer, each beat is read as early as it may be. Frames follow each other
    without a gap; the middle one of three is looked at.
    """
    frames = np.arange(3, dtype=np.int64)[:, None]
    pixels, taps = image[0] * image[1], kernel[0] * kernel[1]
    starts = (_window_starts(image, _span(kernel, dilation), stride) + frames * pixels).ravel()
    reads = (_read_order(image, kernel, stride, dilation) + frames * pixels).reshape(-1, taps)  # by window and tap
    fold = np.arange(folds, dtype=np.int64)
    numbers = np.arange(3 * pixels * folds, dtype=np.int64)
    if reads.size >= 3 * pixels:
        # of a pixel only the first fold, as the others are read a window's taps later each, and written a step later
        read_at = np.arange(len(starts), dtype=np.int64)[:, None] * (taps * folds) + np.arange(taps)
        end = len(starts) * taps * folds
        first_read = np.full(3 * pixels, end, dtype=np.int64)
        np.minimum.at(first_read, reads, read_at)
        later = first_read[:, None] + fold * taps - 1
        later = np.where(first_read[:, None] < end, later, end - 1).ravel()
        written_at = np.minimum.accumulate((later - numbers)[::-1])[::-1] + numbers
        left_at = read_at[:, -1] + (folds - 1) * taps  # when each window had been read
    else:
        beats = (reads[:, None] * folds + fold[:, None]).ravel()
        order = np.arange(len(beats), dtype=np.int64)
        read_at = np.maximum.accumulate(beats + 1 - order) + order
        written_at = numbers
        left_at = read_at[taps * folds - 1 :: taps * folds]
    windows_left = np.searchsorted(left_at, written_at, side="left")
    middle = slice(pixels * folds, 2 * pixels * folds)
    oldest = starts[np.minimum(windows_left[middle], len(starts) - 1)] * folds
    return int((numbers[middle] + 1 - oldest).max())
