"""The configuration of a training: a YAML file of build_configs/train/ as a validated type."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from pipeline import config_file
from pipeline.accumulators.methods import METHOD_CHOICES, TrainedAccumulatorMethod
from pipeline.config_file import Section
from pipeline.datasets.catalog import DATASETS, find
from pipeline.datasets.image_set import Labels
from pipeline.errors import ConfigError
from pipeline.files import TRAIN_CONFIGS
from pipeline.models.names import FAMILIES, model_name
from pipeline.models.quantization import Quantization
from pipeline.text_file import either, shown

__all__ = [
    "AccumulatorSection",
    "Augmentation",
    "Normalization",
    "Optimizer",
    "QuantizationSection",
    "Schedule",
    "TrainConfig",
    "anchor",
    "load_train_config",
]

_LOSSES: dict[Labels, tuple[str, ...]] = {
    "classes": ("cross_entropy", "squared_hinge"),
    "pixels": ("cross_entropy",),
    "boxes": ("yolo",),
}


class QuantizationSection(Section):
    """Bits of weights and activations; stem and classifier have weights of their own width and no accumulator bound."""

    weight_bits: int = Field(4, ge=1, le=8, description="a whole number of bits from 1 (bipolar) to 8")
    act_bits: int = Field(4, ge=1, le=8, description="a whole number of bits from 1 to 8")
    weight_scaling: Literal["channel", "tensor"] = Field("channel", description="channel or tensor")
    first_layer_bits: int = Field(8, ge=1, le=8, description="a whole number of bits from 1 to 8")
    last_layer_bits: int = Field(8, ge=1, le=8, description="a whole number of bits from 1 to 8")


class AccumulatorSection(Section):
    """The bound on hidden layers' sums, by A2Q (arXiv 2308.13504) or A2Q+ (arXiv 2401.10432)."""

    method: TrainedAccumulatorMethod = Field("none", description=METHOD_CHOICES)
    bit_width: int | None = Field(None, ge=4, le=32, description="a whole number of bits from 4 to 32")
    ep_init: bool = Field(True, description="true or false: whether weights are projected onto their bound first")
    regularization: float = Field(1e-3, ge=0, description="the weight of A2Q's penalty, a number of 0 or more")


class Normalization(Section):
    """(pixel / 255 − mean) / std before the network, for those that a float checkpoint begins."""

    mean: tuple[float, ...] = Field(description="a number for each channel")
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(description="a number above 0 for each channel")


class Augmentation(Section):
    """Of training images: a crop of the image padded by `crop` zeros, and a horizontal flip of every second one."""

    crop: int = Field(4, ge=0, le=16, description="a whole number of pixels from 0 to 16")
    flip: bool = Field(True, description="true or false")


class Optimizer(Section):
    """Weight decay is for weights of more than one dimension; scales, norms and biases have none."""

    name: Literal["sgd", "adam", "adamw"] = Field("sgd", description="sgd, adam or adamw")
    lr: float = Field(0.2, gt=0, le=10, description="the peak learning rate, a number above 0")
    momentum: float = Field(0.9, ge=0, lt=1, description="a number from 0 to below 1, sgd's")
    nesterov: bool = Field(True, description="true or false, sgd's")
    weight_decay: float = Field(5e-4, ge=0, description="a number of 0 or more")


class Schedule(Section):
    """How the learning rate goes, in epochs: `warmup` up to its peak, then down."""

    name: Literal["constant", "step", "cosine", "one_cycle"] = Field(
        "one_cycle", description="constant, step, cosine or one_cycle"
    )
    warmup: float = Field(0.0, ge=0, description="a number of epochs of 0 or more")
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="epochs of 1 or more, after which step multiplies the rate by gamma"
    )
    gamma: float = Field(0.1, gt=0, le=1, description="a number above 0, up to 1")


def _as_text(value: object) -> object:
    return str(value) if type(value) is int else value  # as YAML reads 16


class TrainConfig(Section):
    """One training. Every field has its effect in `pipeline/training/`."""

    network: str = Field("resnet8", min_length=1, description="a family that `a2q models` lists, without quant_")
    width: float = Field(1.0, gt=0, le=8, description="what channels are multiplied by, above 0 and up to 8")
    quantization: QuantizationSection | None = Field(None, description="null for float, or a mapping of bits")
    accumulator: AccumulatorSection = Field(
        AccumulatorSection(), description="a mapping of method, bit_width, ep_init and regularization"
    )
    normalization: Normalization | None = Field(None, description="null, or a mapping of mean and std")
    init: str | None = Field(None, description="null, a name of `a2q models` or a path of a checkpoint to begin with")

    dataset: str = Field("cifar10", description=either(list(DATASETS)))
    data_folder: Path | None = Field(None, description="the path of the data set's folder, or null to look for it")
    images: int | None = Field(None, ge=1, description="null for all training images, or how many of the first")
    validation: int = Field(0, ge=0, description="how many training images are held out to choose the best epoch by")
    augmentation: Augmentation | None = Field(
        None, description="null for what the data set is usually trained with, or a mapping of crop and flip"
    )

    seed: int = Field(0, ge=0, lt=2**32, description="a whole number of 0 or more")
    epochs: int = Field(24, ge=1, le=10_000, description="a whole number of epochs of 1 or more")
    batch_size: int = Field(128, ge=1, le=65_536, description="a whole number of images of 1 or more")
    loss: Literal["cross_entropy", "squared_hinge", "yolo"] = Field(
        "cross_entropy", description="cross_entropy or squared_hinge, for boxes yolo"
    )
    optimizer: Optimizer = Field(Optimizer(), description="a mapping of name, lr, momentum, nesterov, weight_decay")
    schedule: Schedule = Field(Schedule(), description="a mapping of name, warmup, milestones and gamma")
    early_stopping: int | None = Field(
        None, ge=1, description="null, or the epochs without a better validation loss after which training ends"
    )
    calibration_images: int = Field(0, ge=0, description="training images on which activation scales are found first")
    bias_correction_images: int = Field(0, ge=0, description="training images on which biases are corrected at the end")
    precision: Annotated[Literal["32", "bf16", "16"], BeforeValidator(_as_text)] = Field(
        "32", description="32, bf16 or 16"
    )
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto, cpu or gpu")

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        for key, value, known in (("network", self.network, FAMILIES), ("dataset", self.dataset, DATASETS)):
            if value not in known:
                close = difflib.get_close_matches(value.removeprefix("quant_")[:64], known, n=1)
                hint = f"Did you mean {close[0]}? " if close else ""
                raise ConfigError(f"{key} is {shown(value)}. {hint}Expected one of: {', '.join(known)}.")
        if not FAMILIES[self.network].dataset:
            trained = ", ".join(name for name, family in FAMILIES.items() if family.dataset)
            raise ConfigError(
                f"network is {self.network!r}, for which there is no data set here. Choose one of {trained}; or build it "
                "with synthetic weights, or train it elsewhere and export it with pipeline.export_qonnx."
            )
        self._fits_data()
        if self.precision != "32" and self.quantization:
            raise ConfigError(
                f"precision is {self.precision!r} for a quantized network: its scales and roundings are computed in "
                "float32, and the integers would be others when it is exported. Use precision: 32."
            )
        if self.early_stopping and not self.validation:
            raise ConfigError("early_stopping needs images to judge by: set validation to how many are held out.")
        if self.schedule.warmup >= self.epochs:
            raise ConfigError(f"schedule.warmup is {self.schedule.warmup:g} of {self.epochs} epochs; expected fewer.")
        if self.schedule.name == "step" and not self.schedule.milestones:
            raise ConfigError("schedule.milestones is empty; step needs the epochs after which the rate falls.")
        if self.quantization is None and (self.accumulator.method != "none" or self.accumulator.bit_width):
            raise ConfigError("accumulator needs a quantized network: set quantization.weight_bits and act_bits.")
        if self.quantization is None and (self.calibration_images or self.bias_correction_images):
            raise ConfigError("calibration_images and bias_correction_images are for quantized networks.")
        self.quantized()
        return self

    def _fits_data(self) -> None:
        family, dataset = FAMILIES[self.network], find(self.dataset)
        needed = (family.output, family.input_range)
        if needed != (dataset.labels, dataset.input_range):
            fitting = [name for name, other in DATASETS.items() if (other.labels, other.input_range) == needed]
            raise ConfigError(
                f"dataset is {self.dataset!r}, of {_kind(dataset.labels, dataset.input_range)}, and {self.network} is a "
                f"network for {_kind(*needed)}. Choose {either(fitting)}, or another network."
            )
        losses = _LOSSES[dataset.labels]
        if self.loss not in losses:
            raise ConfigError(f"loss is {self.loss!r}; for {dataset.labels} of {self.dataset} it is {either(losses)}.")
        if self.augmentation and self.dataset == "imagenet":
            raise ConfigError(
                "augmentation is given for imagenet, which has its own, of crops of every size: leave it out."
            )
        if self.augmentation and dataset.draw:
            raise ConfigError(
                f"augmentation is given for {self.dataset}, whose images are made here and are not moved after that: leave "
                "it out."
            )

    def quantized(self) -> Quantization | None:
        """The network's quantization; None for float. Raises ConfigError for one that there cannot be."""
        if self.quantization is None:
            return None
        try:
            return Quantization(
                **self.quantization.model_dump(),
                accumulator_method=self.accumulator.method,
                accumulator_bits=self.accumulator.bit_width,
            )
        except ConfigError as error:  # with the names that the keys have in the file
            text = str(error).replace("accumulator_bits", "accumulator.bit_width")
            raise ConfigError(text.replace("accumulator_method", "accumulator.method")) from None

    def augmented(self) -> Augmentation:
        """How training images are augmented: as said, or as the data set usually is."""
        if self.augmentation:
            return self.augmentation
        usual = find(self.dataset).augmentation
        return Augmentation(crop=usual.crop_padding, flip=usual.flip)

    @property
    def name(self) -> str:
        """The network's name in the registry, such as quant_resnet20_w4a4_a2q_plus_13b."""
        return model_name(self.network, self.quantized(), self.width)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate in `step`, of `steps` an epoch, as a share of its peak.

        one_cycle has the shape of torch's OneCycleLR, a cosine from 1/25 up and then down to 1/250,000, but its rise is
        `warmup` or else a fifth of the steps, and momentum stays as it is.
        """
        schedule, total = self.schedule, self.epochs * steps
        warmup = schedule.warmup * steps
        if schedule.name == "one_cycle":
            peak = max(1.0, (warmup or 0.2 * total) - 1)
            if step <= peak:
                return _cosine(1 / 25, 1.0, step / peak)
            return _cosine(1.0, 1 / 250_000, (step - peak) / max(1.0, total - 1 - peak))
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if schedule.name == "cosine":
            return _cosine(1.0, 0.0, (step - warmup) / max(1.0, total - warmup))
        if schedule.name == "step":
            return schedule.gamma ** sum(step >= epoch * steps for epoch in schedule.milestones)
        return 1.0


def load_train_config(
    path: Path, overrides: Mapping[str, Any] | None = None, giver: str = "the command line"
) -> TrainConfig:
    """The configuration in the YAML file `path`, with `overrides` of `giver` over it, mappings key by key.

    Raises ConfigError with the file, the key, its value and what is allowed.
    """
    given = dict(overrides or {})
    values = config_file.merge(config_file.read(path, anchor, TRAIN_CONFIGS), given)
    try:
        return TrainConfig.model_validate(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except ValidationError as error:
        raise ConfigError(config_file.explain(path, error, TrainConfig, given, TRAIN_CONFIGS, giver)) from None


def anchor(values: dict[str, Any], folder: Path) -> None:
    """Let the paths in `values`, read from a file in `folder`, be relative to it."""
    if isinstance(values.get("data_folder"), str):
        values["data_folder"] = folder / values["data_folder"]
    if isinstance(values.get("init"), str) and values["init"].endswith((".pth", ".th", ".pt")):
        values["init"] = str(folder / values["init"])


def _kind(labels: str, input_range: tuple[float, float] | None) -> str:
    """What a data set has, or a network is for, in words."""
    return (
        f"{labels} of {'images' if input_range is None else f'signals from {input_range[0]:g} to {input_range[1]:g}'}"
    )


def _cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2
