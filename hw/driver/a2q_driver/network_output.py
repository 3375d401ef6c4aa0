"""One of several outputs of a network, which share the accelerator's output stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from a2q_driver.output_steps import OutputStep, apply_steps, outputs_of

__all__ = ["NetworkOutput"]


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """An output by its name in the model. `places`, int64, has for each element of the tensor that its `steps` begin with,
    without the batch, the place in a frame of the output stream; without steps that tensor is the output."""

    name: str
    places: np.ndarray
    steps: tuple[OutputStep, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output, without the batch."""
        with np.errstate(all="ignore"):  # a zero stands for any number
            return apply_steps(np.zeros((1, *self.places.shape)), self.steps).shape[1:]

    def of(self, frames: np.ndarray) -> np.ndarray:
        """This output, (N, *its shape), of real `frames` (N, ...) of the output stream."""
        return outputs_of(frames, self.places, self.steps)

    def before_steps(self, frames: np.ndarray) -> np.ndarray:
        """What the steps begin with, (N, *places' shape)."""
        return outputs_of(frames, self.places, ())
