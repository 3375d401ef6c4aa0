"""Which of the bounds decides an accumulator's width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.dataflow.bounds import RowBounds
from pipeline.errors import AccumulatorError, ConfigError
from pipeline.kernels.matrix_vector import MAX_ACCUMULATOR_BITS

__all__ = ["POLICIES", "Policy"]

POLICIES = ("exact", "target", "l1", "datatype", "fixed")


@dataclass(frozen=True)
class Policy:
    """`kind` is one of POLICIES:

    exact     the width of the exact range of the weights that are there
    target    the P that the model was trained for; where it states none, as `exact`
    l1        the A2Q bound of the weights' l1 norm
    datatype  K, N and M alone: right for any weights of that type
    fixed     `bits` for every layer
    """

    kind: str
    bits: int | None = None

    @classmethod
    def parse(cls, text: str) -> Policy:
        """The policy that a configuration writes as `exact`, `target`, `l1`, `datatype` or `fixed:n`.

        >>> Policy.parse("fixed:32")
        Policy(kind='fixed', bits=32)
        """
        if text in POLICIES[:-1]:
            return cls(text)
        fixed = re.fullmatch(r"fixed:\s*(\d+)", text)
        if not fixed:
            raise ConfigError(
                f"The accumulator policy {text!r} is not known; choose exact, target, l1, datatype or fixed:n (bits)."
            )
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

        Raises AccumulatorError where a width of `target` or `fixed` is less than a row's exact range needs, or where a
        bound asks for more than the hardware can be.
        """
        match self.kind:
            case "exact":
                widths = tuple(row.exact for row in rows)
            case "l1":
                widths = tuple(row.l1 for row in rows)
            case "datatype":
                widths = tuple(row.datatype for row in rows)
            case "fixed":
                assert self.bits is not None
                widths = (self.bits,) * len(rows)
            case "target":
                widths = tuple(row.exact for row in rows) if target is None else (target,) * len(rows)
            case _:
                raise ValueError(f"an unknown policy: {self.kind}")
        self._check(layer, rows, widths)
        return widths

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
                "Use the policy exact for this layer, state a P (accumulators: {bits: …}) only for layers that were trained "
                "for it, or retrain it. A Brevitas network is exported right by pipeline.export_qonnx alone."
            )
        if max(widths) > MAX_ACCUMULATOR_BITS:
            raise AccumulatorError(
                f"Layer {layer}: the policy {self} asks for {max(widths)} bits; the hardware's accumulators have "
                f"at most {MAX_ACCUMULATOR_BITS}. Use the policy exact."
            )
