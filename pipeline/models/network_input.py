"""The input of a network that is known by its file: shape, range, and how pixels become its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from pipeline.errors import ConfigError, ModelError
from pipeline.frontend.streamline.executor import graph_input
from pipeline.frontend.streamline.input_range import quantizer_range
from pipeline.models.golden import Ends, normalised
from pipeline.models.names import Preprocessing
from pipeline.models.network_record import NetworkRecord

__all__ = ["NetworkInput", "network_input"]


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """Frames of `shape`, without the batch, of numbers between `ends`, as `known_by` says; None where nobody says it.

    `declared` is the range where somebody wrote it down, and `preprocessing` what becomes of a pixel where that follows.
    """

    shape: tuple[int, ...]
    ends: Ends | None
    known_by: str
    declared: tuple[float, float] | None
    preprocessing: Preprocessing | None

    def of_pixels(self, images: np.ndarray) -> np.ndarray:
        """The frames, float32, for uint8 `images` (N, *shape): by the preprocessing, else black and white are the ends."""
        if self.preprocessing is not None:
            return normalised(images, self.preprocessing)
        assert self.ends is not None  # whoever asks has seen that it is known what black and white are
        low, high = (np.asarray(end, np.float32) for end in self.ends)
        return np.clip(low + (high - low) * (images / np.float32(255)), low, high).astype(np.float32)


def network_input(
    model: onnx.ModelProto, path: Path, record: NetworkRecord, input_range: tuple[float, float] | None = None
) -> NetworkInput:
    """The input of `model`, which was read from `path` and has this `record`; `input_range` is that of the user.

    Raises ModelError for a record that does not fit the input, ConfigError where the user says what it says already.
    """
    shape = tuple(d.dim_value for d in graph_input(model.graph).type.tensor_type.shape.dim)[1:]
    if not shape or min(shape) < 1:
        raise ModelError(
            f"The model {path} does not say the shape of its input ({shape}). Export it with a fixed shape."
        )
    if record.mean is not None and (len(shape) != 3 or len(record.mean) != shape[0]):
        raise ModelError(
            f"The model {path} is recorded to take images of {len(record.mean)} channels, and it takes {shape}. Export it "
            "again with a mean and a std for each channel."
        )
    ends, known_by, declared = record.ends, "its record", record.input_range
    if input_range is not None:
        if ends is not None:
            raise ConfigError(
                f"input_range is given, but the model {path} has a record of its own, of {np.min(ends[0]):g} to "
                f"{np.max(ends[1]):g}. Leave input_range out, or export the model again with another one."
            )
        low, high = (np.array(end, np.float32) for end in input_range)
        ends, known_by, declared = (low, high), "input_range", input_range
    preprocessing = record.preprocessing
    if declared is not None and len(shape) == 3 and shape[0] in (1, 3):
        preprocessing = Preprocessing.of_range(*declared, shape[0])
    if ends is None:
        ends, known_by = quantizer_range(model), "the quantizer of its input"
    return NetworkInput(shape, ends, known_by, declared, preprocessing)
