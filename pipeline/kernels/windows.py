"""The bases of the layers that make the windows of an image, of whatever width a beat is, and of others with a buffer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.dataflow.layer import Layer, Shape
from pipeline.dataflow.rising import of_count, running_max
from pipeline.dataflow.types import IntType

__all__ = ["Generator", "WindowGenerator"]

_AT_ONCE = 4096  # input beats that are looked at together


@dataclass(frozen=True, eq=False)
class Generator(Layer):
    """A layer that sends, out of a buffer, beats in another order than it takes them, or more often than once."""

    keeps_rate: ClassVar[bool] = False  # whether it goes at its `rate` also where that takes more time than there is

    def rate(self, frames: int, reader: Layer | None, follower: Layer | None) -> np.ndarray:
        """The spacing of the output beats of `frames` where it goes no faster than what is behind it needs: `reader`
        takes its output, and `follower` is the first layer behind FIFOs and width converters.

        Evenly, at the rate of that layer, on average. Evenly, because an MVAU takes a vector in a burst: what it takes faster
        than the generator sends must have been sent before, while the MVAU was busy with the vector before.
        """
        beats = self.outputs()[0].beats
        able = self.spacing(frames * beats)
        if follower is None:
            return able
        begun: np.ndarray = np.maximum(able, np.arange(len(able), dtype=np.int64) * follower.cycles() // beats)
        return begun

    def beat_times(
        self, arrivals: np.ndarray, frames: int, spacing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A generator waits for room in its buffer, which it has when it has sent; so the cycles are found by repetition,
        some beats at a time, as no beat waits for a later one."""
        needed, latency = self.needed_of(frames), self.latency()
        if spacing is None:
            spacing = self.spacing(len(needed))
        before = self.sent_before_taking(needed, len(arrivals), frames)
        sent, taken = np.empty_like(needed), np.empty_like(arrivals)
        beats = np.arange(len(arrivals), dtype=np.int64)
        done = 0
        for start in range(0, len(arrivals), _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, len(arrivals)))
            new = slice(done, int(np.searchsorted(needed, part.stop, side="right")))
            done = new.stop
            taken_ahead = taken[start - 1] - beats[start - 1] if start else None
            sent_ahead = sent[new.start - 1] - spacing[new.start - 1] if new.start else None
            taken[part] = running_max(arrivals[part], beats[part], taken_ahead)
            while True:
                sent[new] = running_max(of_count(taken, needed[new]) + latency, spacing[new], sent_ahead)
                room = np.where(before[part] > 0, of_count(sent, before[part]) - latency + 1, 0)
                later = running_max(np.maximum(arrivals[part], room), beats[part], taken_ahead)
                if np.array_equal(later, taken[part]):
                    break
                taken[part] = later
        return sent, taken


@dataclass(frozen=True, eq=False)
class WindowGenerator(Generator):
    """All windows of `kernel` (KH, KW) pixels at steps of `stride` (SH, SW) over frames of `shape` (H, W, C)."""

    shape: Shape
    type: IntType
    kernel: tuple[int, int]
    stride: tuple[int, int]

    @property
    @abstractmethod
    def output_pixels(self) -> tuple[int, int]:
        """(OH, OW)."""

    @property
    @abstractmethod
    def looks_ahead(self) -> bool:
        """Whether it has a line buffer, which takes input that only later windows need."""

    def finn_window(self, image: tuple[int, ...], simd: int) -> dict[str, Any]:
        """The attributes that FINN's generators have in common, for an `image` (H, W)."""
        return {
            "ConvKernelDim": self.kernel,
            "IFMChannels": self.shape[2],
            "IFMDim": image,
            "OFMDim": self.output_pixels,
            "SIMD": simd,
            "Stride": self.stride,
            "Dilation": (1, 1),
            "inputDataType": self.type.name,
            "outputDataType": self.type.name,
        }
