"""How a network's numbers are quantized, as a value; and its short form in a model's name, such as w4a4_a2q_14b."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from pipeline.accumulators.methods import SUFFIXES, TRAINED_METHODS, AccumulatorMethod
from pipeline.errors import ConfigError
from pipeline.text_file import either

__all__ = ["FLOAT", "Quantization"]

FLOAT = 32
"""The bits of what is not quantized, as in W4A32."""

_SUFFIX = re.compile(
    rf"w(?P<weight>[1-9]\d*)a(?P<act>[1-9]\d*)(?:_(?P<method>{'|'.join(TRAINED_METHODS)})_(?P<bits>[1-9]\d*)b)?"
)
_SCALINGS = ("channel", "tensor")
_SCALES = ("weights", "fixed")
_RESIDUALS = ("unsigned", "signed")


@dataclass(frozen=True)
class Quantization:
    """Bits of hidden weights and of activations, which are unsigned, and the accumulator that hidden layers must fit.

    Weights are signed and symmetric around 0, of 1 bit −1 and 1. Stem and classifier have `first_layer_bits` and
    `last_layer_bits`, a scale a channel, and no bound. FLOAT bits are none: of weights only, or activations only, as the
    network's input is one. `accumulator_method` is A2Q (arXiv 2308.13504), A2Q+ (arXiv 2401.10432) or AXE (arXiv
    2409.17092).

    `weight_scales` are statistics of the weights, whatever these become in training, or "fixed": parameters. `residual`
    says what the two branches of an addition share: the "unsigned" quantizer of an activation, which puts a ReLU on
    each, or a "signed" one.

    Raises ConfigError, with the key and what is allowed, for what there cannot be.
    """

    weight_bits: int
    act_bits: int
    weight_scaling: Literal["channel", "tensor"] = "channel"
    first_layer_bits: int = 8
    last_layer_bits: int = 8
    accumulator_method: AccumulatorMethod = "none"
    accumulator_bits: int | None = None
    weight_scales: Literal["weights", "fixed"] = "weights"
    residual: Literal["unsigned", "signed"] = "unsigned"

    def __post_init__(self) -> None:
        for key in ("weight_bits", "act_bits", "first_layer_bits", "last_layer_bits"):
            if getattr(self, key) != FLOAT or self.weight_scales != "fixed":
                _check_whole(key, getattr(self, key), 1, 8)
        _check_choice("weight_scaling", self.weight_scaling, _SCALINGS)
        _check_choice("weight_scales", self.weight_scales, _SCALES)
        _check_choice("residual", self.residual, _RESIDUALS)
        _check_choice("accumulator_method", self.accumulator_method, get_args(AccumulatorMethod))
        if self.accumulator_method == "none":
            if self.accumulator_bits is not None:
                raise ConfigError(
                    f"accumulator_bits is {self.accumulator_bits!r} where accumulator_method is none; expected none "
                    f"at all, or accumulator_method {either(list(TRAINED_METHODS))}."
                )
            return
        if self.weight_bits == 1:
            raise ConfigError(
                f"weight_bits is 1 with accumulator_method {self.accumulator_method}; expected 2 to 8, as weights of "
                "-1 and 1 have no zeros to meet a bound with."
            )
        if self.weight_scaling == "tensor":
            raise ConfigError(
                f"weight_scaling is 'tensor' with accumulator_method {self.accumulator_method}; expected channel, as "
                "the bound is kept by each channel's own scale."
            )
        # one bit less, and the bound on ‖w‖₁ is below 1, for A2Q+ below 2: every weight would be 0
        _check_whole("accumulator_bits", self.accumulator_bits, max(4, self.act_bits + 2), 32)

    @property
    def suffix(self) -> str:
        """The end of a model's name: `w4a4`, `w4a4_a2q_14b`. It says nothing of scaling, stem and classifier."""
        bits = f"w{self.weight_bits}a{self.act_bits}"
        return (
            bits if self.accumulator_method == "none" else f"{bits}_{self.accumulator_method}_{self.accumulator_bits}b"
        )

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left in float, so that the network computes with integers."""
        return FLOAT not in (self.weight_bits, self.act_bits, self.first_layer_bits, self.last_layer_bits)

    @classmethod
    def parse(cls, suffix: str) -> Quantization:
        """The quantization with this `suffix`, its other fields as they are by default. Raises ConfigError."""
        match = _SUFFIX.fullmatch(suffix)
        if match is None:
            raise ConfigError(
                f"{suffix!r} does not say a quantization; expected {either(SUFFIXES)} for weights "
                "of W, activations of A and accumulators of P bits, such as w4a4_a2q_14b."
            )
        method = match["method"]
        return cls(
            int(match["weight"]),
            int(match["act"]),
            accumulator_method=cast(AccumulatorMethod, method or "none"),  # the pattern has no other
            accumulator_bits=int(match["bits"]) if method else None,
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values; `from_dict` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Quantization:
        """The quantization that `as_dict` wrote. Raises ConfigError for keys that are not its fields."""
        try:
            return cls(**values)
        except TypeError:
            fields = ", ".join(cls.__dataclass_fields__)
            raise ConfigError(f"quantization has the keys {', '.join(values)}; expected {fields}.") from None


def _check_whole(key: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{key} is {value!r}; expected a whole number from {low} to {high}.")


def _check_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{key} is {value!r}; expected {either(choices)}.")
