"""The names of models: what each name says, and which of them have a checkpoint.

`MODELS` has what a name stands for, `SHIPPED` the checkpoints of this repository. Where both a release and this
repository have one, the name stands for the release, and the repository's is taken where that cannot be downloaded.

A name is a family of networks for a float network, such as `resnet20`, and `quant_FAMILY_wWaA`,
`quant_FAMILY_wWaA_a2q_Pb` or `quant_FAMILY_wWaA_a2q_plus_Pb` for one with weights of W, activations of A and
accumulators of P bits. FAMILYx2 has twice the channels of FAMILY, FAMILYx1.5 half as many again.
"""

from __future__ import annotations

import difflib
import glob
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.accumulators.methods import SUFFIXES
from pipeline.datasets.catalog import find as find_dataset
from pipeline.errors import ConfigError, InputError, ModelError
from pipeline.models.quantization import Quantization
from pipeline.text_file import either
from pipeline.user_cache import cache_folder

__all__ = [
    "CHECKPOINTS",
    "FAMILIES",
    "LARGEST_SIDE",
    "MODELS",
    "MODEL_CLASS",
    "SHIPPED",
    "TRAINED",
    "Family",
    "Kind",
    "ModelSpec",
    "Preprocessing",
    "UnknownModelError",
    "downloaded",
    "find",
    "is_checkpoint",
    "is_path",
    "located",
    "model_name",
    "parse_name",
    "recorded",
    "spec_of",
]

CHECKPOINTS = Path(__file__).resolve().parent / "checkpoints"
TRAINED = Path("trained")  # where `a2q train` and `a2q benchmark` leave checkpoints, in the working directory
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

_ESPCN_RELEASES = "https://github.com/Xilinx/brevitas/releases/download"

# For super resolution the release that has the file, the first digits of its SHA-256, and the PSNR in dB on BSD300's test
# images, of which the middle 512 × 512 pixels are restored from half as many a side: `model_url` and README.md in
# brevitas_examples/super_resolution of Brevitas 0.13.4.
_ESPCN_FILES = {
    "quant_espcn_x2_w8a8_base": ("super_res_r1", "f761e4a1", 30.96),
    "quant_espcn_x2_w8a8_a2q_32b": ("super_res_r1", "85470d9b", 30.79),
    "quant_espcn_x2_w8a8_a2q_16b": ("super_res_r1", "f9e1da66", 30.56),
    "quant_espcn_x2_w8a8_a2q_plus_16b": ("super_res_r2", "0ddf46f1", 31.24),
    "quant_espcn_x2_w4a4_base": ("super_res_r1", "80658e6d", 30.30),
    "quant_espcn_x2_w4a4_a2q_32b": ("super_res_r1", "8702a412", 30.27),
    "quant_espcn_x2_w4a4_a2q_13b": ("super_res_r1", "9fff234e", 30.24),
    "quant_espcn_x2_w4a4_a2q_plus_13b": ("super_res_r2", "6e6d55f0", 30.95),
}

_TORCHVISION = "https://download.pytorch.org/models"

# torchvision's float networks for ImageNet: the family, the first digits of the SHA-256, with which the file's name ends, and
# top-1 in percent, of the weights that torchvision calls IMAGENET1K_V1.
_IMAGENET_FILES = {
    "resnet18_imagenet": ("resnet18", "resnet18-f37072fd.pth", 69.758),
    "vit_b_32": ("vit_b_32", "vit_b_32-d86f8d99.pth", 75.912),
}

# Top-1 in percent on CIFAR-10 at P = 12 … 16, as the QONNX model zoo publishes it.
_PUBLISHED_TOP1 = {
    "a2q": {12: 83.9, 13: 89.8, 14: 92.6, 15: 94.2, 16: 94.2},
    "a2q_plus": {12: 90.6, 13: 92.8, 14: 94.1, 15: 94.1, 16: 94.2},
}


MODEL_CLASS = (
    r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*|[^:]+\.py):[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"  # module:Class, file.py:Class
)

# what a checkpoint's record may ask for
_WIDEST, _MOST_CLASSES, LARGEST_SIDE = 8, 100_000, 1024


@dataclass(frozen=True)
class Preprocessing:
    """How a network takes an 8-bit pixel: (pixel / 255 − mean) / std, a mean and std for each channel."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest number that a pixel becomes, float32 (C, 1, 1)."""
        mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std))
        return (0 - mean) / std, (1 - mean) / std

    @classmethod
    def of_range(cls, low: float, high: float, channels: int) -> Preprocessing:
        """How pixels become numbers from `low` to `high`."""
        span = high - low
        return cls((-low / span,) * channels, (1 / span,) * channels)


Kind = Literal[
    "resnet",
    "vgg",
    "cnv",
    "mobilenetv1",
    "mobilenetv2",
    "tfc",
    "espcn",
    "unet",
    "dscnn",
    "vgg10",
    "tinyyolo",
    "tinyyolov3",
    "vit",
]


@dataclass(frozen=True)
class Family:
    """Networks that differ in quantization, width, input shape and classes only; `depth` is the kind's own number: of
    layers, or of pixels a side that an ESPCN makes of one.

    `dataset` is empty where none of its kind is known here, `input_range` is what a network takes that takes no pixels,
    and `output` what it gives: a number for each class, such numbers for each pixel, what boxes are made of, or an image.
    """

    kind: Kind
    depth: int | None = None
    dataset: str = "cifar10"
    input_shape: tuple[int, int, int] = (3, 32, 32)
    num_classes: int = 10
    input_range: tuple[float, float] | None = None
    output: Literal["classes", "pixels", "boxes", "image"] = "classes"

    @property
    def any_size(self) -> bool:
        """Whether the same weights take images of any height and width."""
        return self.output != "classes"


FAMILIES: dict[str, Family] = {
    **{f"resnet{depth}": Family("resnet", depth) for depth in (8, 20, 32, 44, 56, 110, 18, 34, 50, 101, 152)},
    **{f"vgg{depth}": Family("vgg", depth) for depth in (11, 13, 16, 19)},
    "cnv": Family("cnv"),
    "mobilenetv1": Family("mobilenetv1"),
    "mobilenetv2": Family("mobilenetv2"),
    "tfc": Family("tfc", dataset="mnist", input_shape=(1, 28, 28)),
    **{f"espcn_x{side}": Family("espcn", side, dataset="", output="image") for side in (2, 3, 4)},
    "unet": Family("unet", dataset="shape_masks", input_shape=(3, 64, 64), num_classes=4, output="pixels"),
    "tinyyolo": Family("tinyyolo", dataset="shape_boxes", input_shape=(3, 128, 128), num_classes=3, output="boxes"),
    "tinyyolov3": Family("tinyyolov3", dataset="shape_boxes", input_shape=(3, 128, 128), num_classes=3, output="boxes"),
    "dscnn": Family("dscnn", dataset="synth_words", input_shape=(1, 49, 10), num_classes=12, input_range=(-1, 1)),
    "vit4": Family("vit", 4),
    "vit_b_32": Family("vit", 12, dataset="imagenet", input_shape=(3, 224, 224), num_classes=1000),
    "vgg10": Family("vgg10", dataset="modulations", input_shape=(2, 1, 1024), num_classes=24, input_range=(-2, 2)),
}

_NAME = re.compile(
    rf"(?P<family>{'|'.join(map(re.escape, sorted(FAMILIES, key=len, reverse=True)))})"
    r"(?:x(?P<width>[1-9]\d*(?:\.\d*[1-9])?|0\.\d*[1-9]))?(?:_(?P<suffix>.+))?"
)


@dataclass(frozen=True)
class ModelSpec:
    """A network of a family, and where its checkpoint is.

    `quantization` is None for a float network. `dataset` is a name of `pipeline/datasets/catalog.py`, or empty. `preprocessing`
    is what is done to an image before the network gets it, `normalization` what the network does to it itself. `url`
    is empty for a checkpoint in this repository, whose SHA-256 is in the JSON beside it, or where there is none.
    """

    name: str
    family: str
    quantization: Quantization | None
    dataset: str = "cifar10"
    input_shape: tuple[int, int, int] = (3, 32, 32)
    num_classes: int = 10
    width: float = 1.0
    normalization: Preprocessing | None = None
    preprocessing: Preprocessing = Preprocessing()
    published_top1: float | None = None  # in percent
    published_psnr: float | None = None  # in dB
    url: str = ""
    digits: str = ""  # what the SHA-256 of the file at `url` begins with

    @property
    def file(self) -> str:
        """The name of the checkpoint's file."""
        return self.url.rpartition("/")[2] or f"{self.name}.pth"

    @property
    def method(self) -> str:
        """a2q, a2q_plus, or empty for a network without a bound on its accumulators."""
        method = self.quantization.accumulator_method if self.quantization else "none"
        return "" if method == "none" else method

    @property
    def accumulator_bits(self) -> int | None:
        """The accumulator width that hidden layers are trained for."""
        return self.quantization.accumulator_bits if self.quantization else None

    def as_record(self) -> dict[str, Any]:
        """The description of the network, as plain values; `recorded` reads them."""
        normalization = self.normalization
        return {
            "network": self.family,
            "width": self.width,
            "quantization": self.quantization.as_dict() if self.quantization else None,
            "normalization": asdict(normalization) if normalization else None,
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
            "dataset": self.dataset,
        }


def is_path(model: str) -> bool:
    """Whether `model` is meant as the path of a file: QONNX, or a checkpoint."""
    return model.endswith(".onnx") or is_checkpoint(model)


def is_checkpoint(model: str) -> bool:
    """Whether `model` is meant as the path of a checkpoint."""
    return model.endswith((".pth", ".pt", ".th"))


def model_name(family: str, quantization: Quantization | None, width: float = 1.0) -> str:
    """The name of a network: `resnet8`, `resnet8x2`, `quant_resnet8_w4a4_a2q_14b`."""
    wide = family if width == 1 else f"{family}x{width:g}"
    return f"quant_{wide}_{quantization.suffix}" if quantization else wide


def parse_name(name: str) -> tuple[str, Quantization | None, float]:
    """Family, quantization and width that `name` says; `quant_` may be left out where bits follow.

    Raises ModelError with the grammar, the families and the closest name.
    """
    match = _NAME.fullmatch(name.removeprefix("quant_"))
    if match is None or (name.startswith("quant_") and not match["suffix"]):
        raise _unknown(name)
    family, suffix, width = match["family"], match["suffix"], float(match["width"] or 1)
    try:
        _check_sizes(width, None, None)
        return family, Quantization.parse(suffix) if suffix else None, width
    except ConfigError as error:
        raise _unknown(name, str(error)) from None


def _named(name: str) -> ModelSpec:
    """The network that only its name describes."""
    family, quantization, width = parse_name(name)
    return spec_of(family, quantization, width=width)


def spec_of(
    family: str,
    quantization: Quantization | None,
    *,
    dataset: str | None = None,
    input_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    width: float = 1.0,
    normalization: Preprocessing | None = None,
) -> ModelSpec:
    """The network of `family` with this quantization; None stands for the default of the family.

    Raises ModelError for a family that there is not.
    """
    chosen = FAMILIES.get(family)
    if chosen is None:
        raise _unknown(family)
    return ModelSpec(
        model_name(family, quantization, width),
        family,
        quantization,
        dataset=dataset or chosen.dataset,
        input_shape=input_shape or chosen.input_shape,
        num_classes=num_classes or chosen.num_classes,
        width=width,
        normalization=normalization,
    )


def recorded(name: str, record: Mapping[str, Any]) -> ModelSpec:
    """The network that a checkpoint's record describes; `name` gives the defaults for all else.

    Raises ModelError for a record that does not fit together.
    """
    try:
        if "network" in record:
            family, quantization = record["network"], record.get("quantization")
            quantization, width = Quantization.from_dict(quantization) if quantization else None, 1.0
        else:
            family, quantization, width = parse_name(name)
            if record.get("quantization"):
                quantization = Quantization.from_dict(record["quantization"])
        normalization, shape = record.get("normalization"), record.get("input_shape")
        width = record.get("width", width)
        _check_sizes(width, shape, record.get("num_classes"))
        spec = spec_of(
            family,
            quantization,
            dataset=record.get("dataset"),
            input_shape=tuple(shape) if shape else None,
            num_classes=record.get("num_classes"),
            width=width,
            normalization=Preprocessing(*(tuple(normalization[key]) for key in ("mean", "std")))
            if normalization
            else None,
        )
        if spec.dataset:
            find_dataset(spec.dataset)
    except (InputError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UnknownModelError) and "network" not in record:
            raise  # there is no record to blame
        raise ModelError(f"The record of the checkpoint of {name} does not describe a network: {error}") from None
    return replace(spec, name=name)


def _check_sizes(width: object, shape: Sequence[object] | None, classes: object) -> None:
    """Numbers from outside, before a network is made by them. Raises ConfigError."""
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= _WIDEST:
        raise ConfigError(f"width is {width!r}; expected a number above 0, up to {_WIDEST}.")
    if classes is not None and classes not in range(1, _MOST_CLASSES + 1):
        raise ConfigError(f"num_classes is {classes!r}; expected a whole number from 1 to {_MOST_CLASSES}.")
    if shape is not None and (len(shape) != 3 or any(size not in range(1, LARGEST_SIDE + 1) for size in shape)):
        raise ConfigError(f"input_shape is {shape!r}; expected channels, height and width of 1 to {LARGEST_SIDE}.")


def find(name: str) -> ModelSpec:
    """The model called `name`: one with a checkpoint, or any that the grammar of names allows.

    Raises ModelError with the grammar, the names there are and the closest one.
    """
    return MODELS.get(name) or _named(name)


def downloaded(model: str) -> Path | None:
    """The path of the checkpoint of the release `model`, once it is downloaded; None for any other name."""
    spec = MODELS.get(model)
    return cache_folder() / "models" / spec.file if spec is not None and spec.url else None


def located(model: str) -> str:
    """`model`; if it is the name of a network that only was trained in the working directory, its checkpoint's path.

    Raises ModelError where several trainings of that name are there.
    """
    if is_path(model) or model in MODELS:
        return model
    paths = sorted(TRAINED.glob(f"**/{glob.escape(model)}.pth"))
    if len(paths) > 1:
        raise ModelError(
            f"There are {len(paths)} trained checkpoints of {model}: {', '.join(map(str, paths))}. Give the path of one."
        )
    return str(paths[0]) if paths else model


def _resnet18(name: str, digits: str) -> ModelSpec:
    quantization = Quantization.parse(name.removeprefix("quant_resnet18_"))
    assert quantization.accumulator_bits is not None  # all that Brevitas has released are A2Q's
    published = _PUBLISHED_TOP1[quantization.accumulator_method][quantization.accumulator_bits]
    return ModelSpec(
        name,
        "resnet18",
        quantization,
        preprocessing=Preprocessing((0.491, 0.482, 0.447), (0.247, 0.243, 0.262)),
        published_top1=published,
        url=f"{_RELEASE}/{name}-{digits}.pth",
        digits=digits,
    )


def _espcn(name: str, release: str, digits: str, psnr: float) -> ModelSpec:
    suffix = name.removeprefix("quant_espcn_x2_").removesuffix("_base")
    return replace(
        spec_of("espcn_x2", Quantization.parse(suffix)),
        name=name,
        published_psnr=psnr,
        url=f"{_ESPCN_RELEASES}/{release}/{name}-{digits}.pth",
        digits=digits,
    )


def _imagenet(name: str, family: str, file: str, top1: float) -> ModelSpec:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    spec = spec_of(
        family,
        None,
        dataset="imagenet",
        input_shape=(3, 224, 224),
        num_classes=1000,
        normalization=Preprocessing(mean, std),
    )
    digits = file.rpartition("-")[2].removesuffix(".pth")
    return replace(spec, name=name, published_top1=top1, url=f"{_TORCHVISION}/{file}", digits=digits)


def _own_models() -> dict[str, ModelSpec]:
    """The models with a record in this repository. A damaged record is read again, and reported, when it is needed."""
    models = {}
    for path in sorted(CHECKPOINTS.glob("*.json")):
        try:
            record = json.loads(path.read_text())
            models[path.stem] = recorded(path.stem, record if isinstance(record, dict) else {})
        except (OSError, ValueError, ModelError):
            with suppress(ModelError):
                models[path.stem] = _named(path.stem)
    return models


class UnknownModelError(ModelError):
    """A name that stands for no network."""


def _unknown(name: str, reason: str = "") -> UnknownModelError:
    forms = [f"quant_{family}_w4a4" for family in FAMILIES]
    close = difflib.get_close_matches(name, [*MODELS, *FAMILIES, *forms], n=1)
    reason = f"{reason} " if reason else ""
    hint = f"Did you mean {close[0]}? " if close else ""
    return UnknownModelError(
        f"There is no model called {name!r}. {reason}{hint}Give the path of a QONNX file (*.onnx), a name that `a2q "
        f"models` lists, or one of the form {either([f'quant_FAMILY_{suffix}' for suffix in SUFFIXES])}, "
        "for weights of W, activations of A and accumulators of P bits, or FAMILY for a float network. FAMILY is one of "
        f"{', '.join(FAMILIES)}, with x2 or x1.5 behind it for as many times the channels."
    )


SHIPPED: dict[str, ModelSpec] = _own_models()
MODELS: dict[str, ModelSpec] = {
    **SHIPPED,
    **{name: _resnet18(name, digits) for name, digits in _RELEASE_DIGITS.items()},
    **{name: _espcn(name, *file) for name, file in _ESPCN_FILES.items()},
    **{name: _imagenet(name, *file) for name, file in _IMAGENET_FILES.items()},
}
