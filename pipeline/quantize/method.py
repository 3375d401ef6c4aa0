"""How weights are quantized after training, as a value, and its short form: `mse_channel`, `adaround/minmax_layer`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from pipeline.errors import ConfigError
from pipeline.quantize.scales import RANGES, Range
from pipeline.text_file import either

__all__ = ["ROUNDINGS", "Equalization", "Method", "Rounding"]

Equalization = Literal["cross_layer", "smoothquant"]
Rounding = Literal["nearest", "adaround", "gptq", "gpfq", "qronos"]
ROUNDINGS: dict[Rounding, str] = {
    "nearest": "to the nearest integer",
    "adaround": "up or down, as is best for what the layer computes (arXiv 2004.10568)",
    "gptq": "column by column, each error put right in the columns to come (arXiv 2210.17323)",
    "gpfq": "column by column, by what the float network computes (arXiv 2201.11113)",
    "qronos": "as gptq, from weights that put past errors right (arXiv 2505.11695)",
}

_AXE: tuple[Rounding, ...] = ("gptq", "gpfq", "qronos")  # that can keep a bound
_USUAL = ("mse", "channel")
_FORM = re.compile(
    rf"(?:(?P<rounding>{'|'.join(ROUNDINGS)})/)?(?:(?P<range>{'|'.join(RANGES)})_(?P<per>layer|channel)|awq)"
)


@dataclass(frozen=True)
class Method:
    """The range of the integers of weights, for a layer or each of its channels, and how weights are rounded to them.

    With `awq` channels are scaled before, see `pipeline/quantize/equalization.py`.
    """

    range: Range
    per: Literal["layer", "channel"]
    rounding: Rounding = "nearest"
    awq: bool = False

    @classmethod
    def parse(cls, text: str) -> Method:
        """The method that `text` says. Raises ConfigError."""
        match = _FORM.fullmatch(text)
        if match is None:
            ranges = [f"{name}_{per}" for name in RANGES for per in ("layer", "channel")]
            before = either([f"{name}/" for name in ROUNDINGS if name != "nearest"])
            raise ConfigError(
                f"method is {text!r}; expected {either([*ranges, 'awq'])}, with {before} before it or alone."
            )
        return cls(
            cast(Range, match["range"] or _USUAL[0]),
            cast(Literal["layer", "channel"], match["per"] or _USUAL[1]),
            cast(Rounding, match["rounding"] or get_args(Rounding)[0]),
            awq=match["range"] is None,
        )

    def __str__(self) -> str:
        range_ = "awq" if self.awq else f"{self.range}_{self.per}"
        return range_ if self.rounding == "nearest" else f"{self.rounding}/{range_}"

    @property
    def suffix(self) -> str:
        """Its part of a network's name. A rounding goes without the range where that is mse_channel."""
        named: list[str] = [] if self.rounding == "nearest" else [self.rounding]
        if self.awq:
            named.append("awq")
        elif not named or (self.range, self.per) != _USUAL:
            named.append(f"{self.range}_{self.per}")
        return "_".join(named)

    def check_bound(self, bits: int) -> None:
        """Raise ConfigError if weights cannot be rounded this way for accumulators of `bits`."""
        if self.rounding not in _AXE:
            raise ConfigError(
                f"accumulator is {bits} with the method {self}, which knows no bound; expected {either([f'{r}/…' for r in _AXE])}, "
                "which AXE (arXiv 2409.17092) keeps to one."
            )
        if self.per == "layer":
            raise ConfigError(
                f"accumulator is {bits} with the method {self}; expected a scale for each channel, such as "
                f"{self.rounding}/mse_channel, as the bound is on each channel."
            )
