"""What `a2q quantize` does with a float network: a file of build_configs/ptq/, or options of the command line, as a
validated type."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from pipeline import config_file
from pipeline.config_file import Section
from pipeline.datasets.catalog import DATASETS
from pipeline.errors import ConfigError
from pipeline.files import PTQ_CONFIGS
from pipeline.models.names import LARGEST_SIDE, MODEL_CLASS, Preprocessing, is_checkpoint
from pipeline.models.quantization import FLOAT, Quantization
from pipeline.quantize.method import Equalization, Method
from pipeline.quantize.scales import Range

__all__ = ["HELD_OUT", "QuantizeConfig", "anchor", "load_quantize_config"]

HELD_OUT = 4  # one of so many calibration images is for judging alone
_FEWEST = 16


class QuantizeConfig(Section):
    """One quantization after training. Every field has its effect in `pipeline/quantize/`."""

    network: str = Field(
        "resnet8",
        min_length=1,
        description="a float network of `a2q models`, the path of a checkpoint, or file.py:Class of your own",
    )
    state: Path | None = Field(
        None,
        description="null, or the path of weights from elsewhere: of a class of your own, or of a family; in a file relative to it, or "
        "else to the folder A2Q_DATA",
    )
    input_shape: tuple[int, int, int] | None = Field(
        None, description="null, or channels, height and width of what weights from elsewhere are for"
    )
    mean: tuple[float, ...] | None = Field(
        None,
        description="null, or a number for each channel: weights from elsewhere are for (pixel / 255 - mean) / std",
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None, description="null, or a number above 0 for each channel"
    )
    weight_bits: int = Field(4, description="a whole number of bits from 2 to 8, or 32 for float")
    act_bits: int = Field(4, description="a whole number of bits from 2 to 8, or 32 for float")
    first_layer_bits: int = Field(8, description="a whole number of bits from 2 to 8, or 32 for float")
    last_layer_bits: int = Field(8, description="a whole number of bits from 2 to 8, or 32 for float")
    method: str = Field("mse_channel", description="such as minmax_layer, mse_channel, awq, adaround/mse_channel")
    act_method: Range = Field("mse", description="minmax, mse or aciq")
    equalization: Equalization | None = Field(None, description="null, cross_layer or smoothquant")
    bias_correct: bool = Field(False, description="true or false")
    accumulator: int | None = Field(None, ge=4, le=32, description="null, or a whole number of bits from 4 to 32")

    dataset: str | None = Field(
        None,
        description=f"null for what the network was trained on, one of {', '.join(DATASETS)}, or the path of a folder of images",
    )
    data_folder: Path | None = Field(None, description="the path of the data set's folder, or null to look for it")
    images: int = Field(512, ge=1, le=65_536, description=f"a whole number of training images, {_FEWEST} or more")
    seed: int = Field(0, ge=0, lt=2**32, description="a whole number of 0 or more")

    @model_validator(mode="after")
    def _fits_together(self) -> QuantizeConfig:
        for key in ("weight_bits", "act_bits", "first_layer_bits", "last_layer_bits"):
            value = getattr(self, key)
            if value != FLOAT and not 2 <= value <= 8:
                raise ConfigError(
                    f"{key} is {value}; expected a whole number of bits from 2 to 8, or {FLOAT} for float."
                )
        if self.network.endswith((".py", ".onnx")):
            raise ConfigError(
                f"network is {self.network}; expected a float network of `a2q models`, the checkpoint of one (.pth), or the class in a "
                "file of Python that makes one, such as net.py:Net."
            )
        if not self.is_class:
            for key in ("input_shape", "mean", "std"):
                if self.state is None and getattr(self, key) is not None:
                    raise ConfigError(
                        f"{key} is given, and the checkpoint of {self.network} says that itself; it is for weights from elsewhere "
                        "(state), or a class of your own (network: file.py:Class). Leave it out."
                    )
            if self.state is not None and is_checkpoint(self.network):
                raise ConfigError(
                    f"state is {self.state}, and the network is the checkpoint {self.network}, which has weights; expected the "
                    "name of a family, such as resnet20, or a class of your own (file.py:Class)."
                )
        if (self.mean is None) != (self.std is None):
            missing = "mean" if self.mean is None else "std"
            raise ConfigError(
                f"{missing} is not given; mean and std come together, one number of each for each channel."
            )
        if self.input_shape is not None and not all(1 <= size <= LARGEST_SIDE for size in self.input_shape):
            raise ConfigError(
                f"input_shape is {list(self.input_shape)}; expected channels, height and width of 1 to {LARGEST_SIDE}."
            )
        if self.images < _FEWEST:
            raise ConfigError(f"images is {self.images}; expected {_FEWEST} or more to find ranges by.")
        if self.weight_bits == self.act_bits == FLOAT:
            raise ConfigError("weight_bits and act_bits are both 32: nothing would be quantized.")
        method = self.weights
        if self.accumulator is not None:
            method.check_bound(self.accumulator)
            if FLOAT in (self.weight_bits, self.act_bits, self.first_layer_bits, self.last_layer_bits):
                raise ConfigError(
                    f"accumulator is {self.accumulator} for W{self.weight_bits}A{self.act_bits}, with {self.first_layer_bits} "
                    f"and {self.last_layer_bits} bits for the weights of the first layer and the last; only sums of integers "
                    "have a bound: set them to 2 to 8."
                )
            if self.accumulator < self.act_bits + 2:
                raise ConfigError(
                    f"accumulator is {self.accumulator} for activations of {self.act_bits} bits; expected "
                    f"{self.act_bits + 2} or more, as with less every weight is 0."
                )
        self.quantized()
        return self

    @property
    def is_class(self) -> bool:
        """Whether the network is one that a class of the user's makes."""
        return re.match(MODEL_CLASS, self.network) is not None

    def normalization(self, channels: int) -> Preprocessing | None:
        """What `mean` and `std` say of images of so many channels. Raises ConfigError where they have other ones."""
        if self.mean is None or self.std is None:
            return None
        if (len(self.mean), len(self.std)) != (channels, channels):
            raise ConfigError(
                f"mean has {len(self.mean)} and std {len(self.std)} numbers; expected one of each for each of the {channels} "
                "channels of the images."
            )
        return Preprocessing(self.mean, self.std)

    @property
    def ending(self) -> str:
        """Of the file that comes out."""
        return ".onnx" if self.is_class else ".pth"

    def of_bits(self, weight_bits: int, act_bits: int) -> QuantizeConfig:
        """The same with other bits of weights and activations. Raises ConfigError for what there cannot be."""
        return QuantizeConfig.model_validate({**self.model_dump(), "weight_bits": weight_bits, "act_bits": act_bits})

    @property
    def weights(self) -> Method:
        """How weights are quantized."""
        return Method.parse(self.method)

    def quantized(self) -> Quantization:
        """The quantization of the network that comes out. Raises ConfigError for one that there cannot be."""
        scaling: Literal["channel", "tensor"] = "channel" if self.weights.per == "channel" else "tensor"
        return Quantization(
            self.weight_bits,
            self.act_bits,
            weight_scaling=scaling,
            first_layer_bits=self.first_layer_bits if self.weight_bits != FLOAT else FLOAT,
            last_layer_bits=self.last_layer_bits if self.weight_bits != FLOAT else FLOAT,
            accumulator_method="none" if self.accumulator is None else "axe",
            accumulator_bits=self.accumulator,
            weight_scales="fixed",
            residual="signed",
        )

    @property
    def label(self) -> str:
        """What is done, for people: W4A4 gptq/mse_channel + bias_correct, P = 12."""
        corrected = " + bias_correct" if self.bias_correct else ""
        bound = "" if self.accumulator is None else f", P = {self.accumulator}"
        before = f"{self.equalization} + " if self.equalization else ""
        ranges = f", activations {self.act_method}" if self.act_bits != FLOAT and self.act_method != "mse" else ""
        return f"W{self.weight_bits}A{self.act_bits} {before}{self.weights}{corrected}{ranges}{bound}"

    def name(self, network: str) -> str:
        """The name of what comes out of the float `network`: ptq_resnet8_w4a4_gptq_axe_14b."""
        bound = "" if self.accumulator is None else f"_axe_{self.accumulator}b"
        corrected = "_bc" if self.bias_correct else ""
        before = f"{self.equalization}_" if self.equalization else ""
        return f"ptq_{network}_w{self.weight_bits}a{self.act_bits}_{before}{self.weights.suffix}{corrected}{bound}"


def load_quantize_config(
    path: Path | None, given: Mapping[str, Any], giver: str = "the command line"
) -> QuantizeConfig:
    """The configuration in the YAML file `path`, if any, with what `giver` has `given` over it.

    Raises ConfigError with the file, the key, its value and what is allowed.
    """
    written = {} if path is None else config_file.read(path, anchor, PTQ_CONFIGS)
    try:
        return QuantizeConfig.model_validate(config_file.merge(written, given))
    except ConfigError as error:  # of keys that do not fit together, or by more than their type
        raise ConfigError(f"{path if path and _refusal(written) == str(error) else giver}: {error}") from None
    except ValidationError as error:
        where = path or Path(giver)
        raise ConfigError(config_file.explain(where, error, QuantizeConfig, given, PTQ_CONFIGS, giver)) from None


def _refusal(values: Mapping[str, Any]) -> str:
    """The error of `values` whose keys do not fit together, where it is one."""
    try:
        QuantizeConfig.model_validate(values)
    except ConfigError as error:
        return str(error)
    except ValidationError:
        pass
    return ""


def anchor(values: dict[str, Any], folder: Path) -> None:
    """Let the paths in `values`, read from a file in `folder`, be relative to it."""
    if isinstance(values.get("data_folder"), str):
        values["data_folder"] = folder / values["data_folder"]
    if isinstance(values.get("state"), str):
        values["state"] = _state(values["state"], folder)
    if isinstance(values.get("dataset"), str) and values["dataset"] not in DATASETS:
        values["dataset"] = str(folder / values["dataset"])
    network = values.get("network")
    if isinstance(network, str) and (is_checkpoint(network) or network.rpartition(":")[0].endswith(".py")):
        values["network"] = str(folder / network)


def _state(path: str, folder: Path) -> Path:
    """The file `path` in `folder`, or that in A2Q_DATA if only that is there."""
    data, here = os.environ.get("A2Q_DATA"), folder / path
    return Path(data, path) if data and not here.exists() and Path(data, path).is_file() else here
