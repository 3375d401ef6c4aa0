"""The policies: each names the bound that decides an accumulator's width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.dataflow.bounds import BOUNDS, RowBounds
from pipeline.errors import AccumulatorError, ConfigError
from pipeline.kernels.matrix_vector import MAX_ACCUMULATOR_BITS
from pipeline.text_file import either

__all__ = ["CHOICES", "POLICIES", "Policy"]

POLICIES = {
    "exact": "the width of the exact range of the weights that are there",
    "target": "the P that the model was trained for; where it states none, as exact",
    "l1": "the bound of A2Q, by the l1 norm of each row of weights",
    "a2q_plus": "the bound of A2Q+, by the same norm; an error where a row of weights does not sum to zero",
    "datatype": "K, N and M alone: right for any weights of that type",
    "fixed": f"n bits, 1 to {MAX_ACCUMULATOR_BITS}, written fixed:n",
}
"""What decides a width, by the kind of the policy. Those of BOUNDS are the bounds of that name."""

_PLAIN = [kind for kind in POLICIES if kind != "fixed"]
CHOICES = f"{either([*_PLAIN, 'fixed:n'])} with n from 1 to {MAX_ACCUMULATOR_BITS} bits"
"""How a configuration writes policies, in words."""


@dataclass(frozen=True)
class Policy:
    """`kind` is one of POLICIES, and `bits` the width of the kind `fixed`."""

    kind: str
    bits: int | None = None

    @classmethod
    def parse(cls, text: str) -> Policy:
        """The policy that a configuration writes as one of CHOICES.

        >>> Policy.parse("fixed:32")
        Policy(kind='fixed', bits=32)
        """
        if text in _PLAIN:
            return cls(text)
        fixed = re.fullmatch(r"fixed:\s*(\d+)", text)
        if not fixed:
            raise ConfigError(f"The accumulator policy {text!r} is not known; choose {CHOICES}.")
        bits = int(fixed[1])
        if not 1 <= bits <= MAX_ACCUMULATOR_BITS:
            raise ConfigError(
                f"The accumulator policy {text!r} asks for {bits} bits; 1 to {MAX_ACCUMULATOR_BITS} can be built."
            )
        return cls("fixed", bits)

    def __str__(self) -> str:
        return self.kind if self.bits is None else f"{self.kind}:{self.bits}"

    def widths(self, layer: str, rows: Sequence[RowBounds], target: int | None) -> tuple[int, ...]:
        """The width of each row's accumulator. `layer` is what errors call the layer, `target` the model's P for it.

        Raises AccumulatorError where a width of `target` or `fixed` is less than a row's exact range needs, where a bound
        asks for more than the hardware can be, or where it does not hold for a row.
        """
        stated = target if self.kind == "target" else self.bits
        if stated is not None:
            widths = (stated,) * len(rows)
        else:
            widths = _bounds(layer, rows, self.kind if self.kind in BOUNDS else "exact")
        self._check(layer, rows, widths)
        return widths

    def _advice(self, bits: int) -> str:
        if self.kind != "target":
            return f"Use the policy exact, or fixed:{bits} or more, for this layer."
        return (
            "Use the policy exact for this layer, state a P (accumulators: {bits: …}) only for layers that were trained "
            "for it, or retrain it. A Brevitas network is exported right by pipeline.export_qonnx alone."
        )

    def _check(self, layer: str, rows: Sequence[RowBounds], widths: Sequence[int]) -> None:
        short = [channel for channel, row in enumerate(rows) if row.exact > widths[channel]]
        if short:
            worst = max(short, key=lambda channel: rows[channel].exact)
            row, width = rows[worst], widths[worst]
            promise = "its target" if self.kind == "target" else f"the policy {self}"
            others = f"; {len(short)} of its {len(rows)} channels do not fit" if len(short) > 1 else ""
            raise AccumulatorError(
                f"Layer {layer}: channel {worst} can reach sums from {row.lo} to {row.hi} and needs {row.exact} bits, "
                f"but {promise} is P = {width}, which holds {-(1 << (width - 1))} to {(1 << (width - 1)) - 1}{others}. "
                f"{self._advice(row.exact)}"
            )
        if max(widths) > MAX_ACCUMULATOR_BITS:
            raise AccumulatorError(
                f"Layer {layer}: the policy {self} asks for {max(widths)} bits; the hardware's accumulators have "
                f"at most {MAX_ACCUMULATOR_BITS}. Use the policy exact."
            )


def _bounds(layer: str, rows: Sequence[RowBounds], name: str) -> tuple[int, ...]:
    """The width that the bound `name` asks for, row by row. Raises AccumulatorError for a row that it does not hold for."""
    widths = [getattr(row, name) for row in rows]
    without = [channel for channel, width in enumerate(widths) if width is None]
    if without:
        others = f" ({len(without)} of its {len(rows)} channels do not sum to zero)" if len(without) > 1 else ""
        raise AccumulatorError(
            f"Layer {layer}: the weights of channel {without[0]} sum to {rows[without[0]].weight_sum}{others}, but the bound "
            f"{name} holds for rows that sum to zero. Use another policy for this layer (accumulators: {{layers: …}}), such "
            "as exact or l1."
        )
    return tuple(widths)
