"""A kernel's columns in one word of DSPs: what a convolution along the rows of an image reads, and when its sums are complete."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["Taps"]


@dataclass(frozen=True)
class Taps:
    """The columns of a kernel, `count` of them and `height` pixels high, over rows of `width` pixels, of which `m` come side by
    side, with `left` and `right` zeros beside a row.

    Beat j of a row brings the pixels from j·m on, and completes the sums of m outputs, from output j·m + left − (count − 1)
    on (see `pipeline/dataflow/dsp_packing.py`). These need not be those of a beat of outputs: then the `held` first ones of
    that are completed by the beat before.
    """

    count: int
    height: int
    left: int
    right: int
    width: int
    m: int

    def check(self, layer: str) -> None:
        """Raise ConfigError for pixels that do not divide a row, UnsupportedError for what a word cannot hold."""
        if self.m < 2 or self.width % self.m:
            raise ConfigError(
                f"layer {layer}: M = {self.m} is to divide its rows of {self.width} pixels and be 2 or more, as its DSPs hold "
                f"{self.count} columns of its kernel (taps). Choose another M, or leave taps out."
            )
        pads = (self.left, self.right)
        if not 1 < self.count <= min(self.m + 1, self.width) or min(pads) < 0 or max(pads) >= self.count:
            raise UnsupportedError(
                f"layer {layer} has {self.count} columns of its kernel in a DSP (taps), rows of {self.width} pixels and pads "
                f"of {self.left} and {self.right}; expected 2 columns to M + 1 = {self.m + 1}, no more than pixels, and pads "
                "narrower than the kernel."
            )

    @property
    def beats(self) -> int:
        """Beats of a row of pixels."""
        return self.width // self.m

    @property
    def outputs(self) -> int:
        """Outputs of a row."""
        return self.width + self.left + self.right - self.count + 1

    @property
    def late(self) -> int:
        """Beats of a row that complete no beat of outputs: the first ones."""
        return -(-(self.count - 1 - self.left) // self.m)

    @property
    def held(self) -> int:
        """Pixels of a beat of outputs that are complete a beat before the others: the first ones."""
        return (self.left + 1 - self.count) % self.m

    @property
    def last_emits(self) -> bool:
        """Whether the last beat of outputs takes the zeros behind a row."""
        return self.outputs // self.m + self.late > self.beats
