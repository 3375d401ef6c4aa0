"""The models that have a name: what they are, and where their checkpoints come from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import ModelError

__all__ = ["CHECKPOINTS", "MODELS", "ModelSpec", "Preprocessing", "find", "is_path"]

CHECKPOINTS = Path(__file__).resolve().parent / "checkpoints"
_RELEASE = "https://github.com/Xilinx/brevitas/releases/download/a2q_cifar10_r1"

# The first eight hex digits of the SHA-256 of each release file, as its name ends with them: `model_url` in
# brevitas_examples/imagenet_classification/a2q/utils.py of Brevitas 0.13.4 (which cannot be imported without
# torchvision).
_RELEASE_DIGITS = {
    "quant_resnet18_w4a4_a2q_12b": "8a440436",
    "quant_resnet18_w4a4_a2q_13b": "8c31a2b1",
    "quant_resnet18_w4a4_a2q_14b": "267f237b",
    "quant_resnet18_w4a4_a2q_15b": "0d5bf266",
    "quant_resnet18_w4a4_a2q_16b": "d0af41f1",
    "quant_resnet18_w4a4_a2q_plus_12b": "d69f003b",
    "quant_resnet18_w4a4_a2q_plus_13b": "332aaf81",
    "quant_resnet18_w4a4_a2q_plus_14b": "5a2d11aa",
    "quant_resnet18_w4a4_a2q_plus_15b": "3c89551a",
    "quant_resnet18_w4a4_a2q_plus_16b": "19973380",
}

# Top-1 in percent on CIFAR-10 at P = 12 … 16, as the QONNX model zoo publishes it.
_PUBLISHED_TOP1 = {
    "a2q": {12: 83.9, 13: 89.8, 14: 92.6, 15: 94.2, 16: 94.2},
    "a2q_plus": {12: 90.6, 13: 92.8, 14: 94.1, 15: 94.1, 16: 94.2},
}


@dataclass(frozen=True)
class Preprocessing:
    """How a network takes an 8-bit pixel: (pixel / 255 − mean) / std, a mean and std for each channel."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ModelSpec:
    """A model of the registry. `url` is empty for one in this repository, its SHA-256 is in the JSON beside it."""

    name: str
    architecture: Literal["resnet8", "resnet18"]
    method: Literal["a2q", "a2q_plus"]
    accumulator_bits: int
    preprocessing: Preprocessing
    top1: str = ""
    url: str = ""
    digits: str = ""  # what the SHA-256 of the file at `url` begins with
    input_shape: tuple[int, int, int] = (3, 32, 32)
    dataset: str = "CIFAR-10"

    @property
    def file(self) -> str:
        """The name of the checkpoint's file."""
        return self.url.rpartition("/")[2] or f"{self.name}.pth"


def _resnet18(name: str, digits: str) -> ModelSpec:
    method: Literal["a2q", "a2q_plus"] = "a2q_plus" if "_plus_" in name else "a2q"
    bits = int(name[-3:-1])
    return ModelSpec(
        name=name,
        architecture="resnet18",
        method=method,
        accumulator_bits=bits,
        preprocessing=Preprocessing((0.491, 0.482, 0.447), (0.247, 0.243, 0.262)),
        top1=f"top-1 {_PUBLISHED_TOP1[method][bits]} % as published (QONNX model zoo)",
        url=f"{_RELEASE}/{name}-{digits}.pth",
        digits=digits,
    )


MODELS: dict[str, ModelSpec] = {
    "quant_resnet8_w4a4_a2q_14b": ModelSpec(
        "quant_resnet8_w4a4_a2q_14b", "resnet8", "a2q", accumulator_bits=14, preprocessing=Preprocessing()
    ),
    **{name: _resnet18(name, digits) for name, digits in _RELEASE_DIGITS.items()},
}


def is_path(model: str) -> bool:
    """Whether `model` is meant as the path of a QONNX file."""
    return model.endswith(".onnx")


def find(name: str) -> ModelSpec:
    """The model called `name`. Raises ModelError, with the names there are."""
    if name in MODELS:
        return MODELS[name]
    close = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise ModelError(
        f"There is no model called {name!r}. {hint}Give the path of a QONNX file (*.onnx), or one of: "
        f"{', '.join(MODELS)}."
    )
