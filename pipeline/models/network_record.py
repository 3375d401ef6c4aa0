"""The record of a network in a QONNX file, beyond the graph: the bounds it was trained for, and its input.

`export_qonnx` writes it as one entry of the file's `metadata_props`, KEY, whose value is JSON:

    {"version": 1,
     "layers": {"conv1": {"method": "a2q", "accumulator_bits": 12}, …},    by the name of the layer's module
     "mean": [0.49, …], "std": [0.25, …],    an 8-bit pixel becomes (pixel / 255 − mean) / std, by channel
     "input_range": [-1.0, 1.0],             the least and the largest number that the network takes
     "classes": ["cat", "dog"],              what the outputs stand for
     "anchors": [[1.1, 1.1], [1.2, 2.4]]}    width and height in cells of a detector of YOLOv2's kind; where it has several
                                             outputs {"coarse": [[1.0, 0.9], …], "fine": …}, by their names

All but the version may be missing. Who makes files by other means may write the same entry.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.accumulators.methods import BoundMethod
from pipeline.errors import ConfigError, ModelError
from pipeline.models.names import Preprocessing

if TYPE_CHECKING:
    import onnx

__all__ = ["KEY", "LayerBound", "NetworkRecord", "is_brevitas_own", "read_record", "write_record"]

KEY = "a2q_network"

Size = Annotated[float, Field(gt=0)]
Anchors = Annotated[tuple[tuple[Size, Size], ...], Field(min_length=1, max_length=1024)]
Numbers = Annotated[tuple[float, ...], Field(min_length=1, max_length=1024)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LayerBound(_Part):
    """The accumulator width that a layer's weights were trained for, and by which method."""

    method: BoundMethod
    accumulator_bits: int = Field(ge=2, le=64)


class NetworkRecord(_Part):
    """The entry of a file; see the module's text."""

    version: Literal[1] = 1
    layers: dict[str, LayerBound] = {}
    mean: Numbers | None = None
    std: Numbers | None = None
    input_range: tuple[float, float] | None = None
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=100_000)] | None = None
    anchors: Anchors | Annotated[dict[str, Anchors], Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.mean is None) != (self.std is None) or (self.mean and self.std and len(self.mean) != len(self.std)):
            raise ValueError("mean and std come together, one number of each for each channel")
        if self.std and min(self.std) <= 0:
            raise ValueError(f"std is {self.std}; expected numbers above 0")
        if self.mean is not None and self.input_range is not None:
            raise ValueError("mean and std say the input's range; leave input_range out")
        if self.input_range and not np.float32(self.input_range[0]) < np.float32(self.input_range[1]):
            raise ValueError(f"input_range is {self.input_range}; expected the lower end first, as float32 has it")
        if self.ends is not None and not all(np.isfinite(end).all() for end in self.ends):
            raise ValueError("the input's range is not finite in float32")
        return self

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The steps from a pixel to the network's input, where they are known."""
        return None if self.mean is None or self.std is None else Preprocessing(self.mean, self.std)

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The least and the largest input, float32, that broadcast against one frame; None where they are not known."""
        if self.input_range is not None:
            low, high = (np.array(end, np.float32) for end in self.input_range)
            return low, high
        return None if self.preprocessing is None else self.preprocessing.ends

    @classmethod
    def of(
        cls,
        layers: dict[str, LayerBound],
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        input_range: Sequence[float] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Self:
        """The record of these. Raises ConfigError for values that cannot be."""
        try:
            return cls.model_validate(
                {"layers": layers, "mean": mean, "std": std, "input_range": input_range, "classes": classes}
            )
        except ValidationError as error:
            raise ConfigError(f"What is said of the network's input cannot be: {_reason(error)}.") from None


def write_record(model: onnx.ModelProto, record: NetworkRecord) -> None:
    """Put `record` into `model`, in place of one that is there."""
    others = [entry for entry in model.metadata_props if entry.key != KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    model.metadata_props.add(key=KEY, value=record.model_dump_json(exclude_none=True))


def read_record(model: onnx.ModelProto, path: Path) -> NetworkRecord:
    """The record in `model`, which was read from `path`; an empty one where it has none.

    Raises ModelError for one that cannot be.
    """
    values = [entry.value for entry in model.metadata_props if entry.key == KEY]
    if not values:
        return NetworkRecord()
    try:
        content = json.loads(values[-1])
        if isinstance(content, dict) and content.get("version") != 1:
            raise ModelError(
                f"The model {path} has a record {KEY} of version {content.get('version')!r}; known is version 1. Export "
                "it again with pipeline.export_qonnx."
            )
        return NetworkRecord.model_validate(content)
    except (ValueError, RecursionError) as error:  # pydantic's is a ValueError
        reason = _reason(error) if isinstance(error, ValidationError) else str(error)
        raise ModelError(
            f"The model {path} has a record {KEY} that cannot be read: {reason}. Export it again with "
            "pipeline.export_qonnx, or take the entry out of the file's metadata_props."
        ) from None


def is_brevitas_own(model: onnx.ModelProto) -> bool:
    """Whether `model` is a file of Brevitas' own export, which has no record, by the names that it gives to tensors.

    From version 0.12.1 on the weights of A2Q layers in it are not projected onto their bound, which nothing shows.
    """
    recorded = any(entry.key == KEY for entry in model.metadata_props)
    return not recorded and any("export_handler" in tensor.name for tensor in model.graph.initializer)


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
