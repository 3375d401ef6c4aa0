"""One of several outputs of a network, which share the accelerator's output stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["NetworkOutput"]


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """An output by its name in the model. `places`, int64 of the output's shape without its batch, holds for each element
    its place in a frame of the output stream."""

    name: str
    places: np.ndarray

    def of(self, frames: np.ndarray) -> np.ndarray:
        """This output, (N, *its shape), of `frames` (N, ...) of the output stream."""
        return frames.reshape(len(frames), -1)[:, self.places]
