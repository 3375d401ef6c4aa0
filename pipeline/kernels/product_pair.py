"""The multipliers of hw/rtl/product_pair.sv: sizes, and which factor is recoded."""

from __future__ import annotations

from pipeline.dataflow.types import IntType

__all__ = ["product_adders", "product_latency", "product_width", "recoded_digits", "recodes_input"]


def recodes_input(input_type: IntType, weight_type: IntType) -> bool:
    """Whether the multipliers are smaller if they recode the input and not the weight."""
    return _adders(input_type, weight_type) < _adders(weight_type, input_type)


def product_adders(input_type: IntType, weight_type: IntType) -> int:
    """Bits of the adders of a product."""
    return min(_adders(input_type, weight_type), _adders(weight_type, input_type))


def product_latency(input_type: IntType, weight_type: IntType) -> int:
    """Cycles of a product: one for every digit of the recoded factor."""
    return recoded_digits(input_type if recodes_input(input_type, weight_type) else weight_type)


def product_width(input_type: IntType, weight_type: IntType) -> int:
    """Bits, two's complement, of every product of an input and a weight."""
    weight = IntType.of_bits(weight_type.bits, signed=True)
    input_ = IntType.of_bits(input_type.bits, signed=input_type.signed)
    ends = [a * b for a in (weight.lo, weight.hi) for b in (input_.lo, input_.hi)]
    return IntType(min(*ends, -1), max(*ends, 0)).bits


def recoded_digits(factor: IntType) -> int:
    """Radix-4 digits, in -2 … 2, of a recoded factor: an unsigned one needs a digit for the sign it lacks."""
    return (factor.bits + 1) // 2 if factor.signed else factor.bits // 2 + 1


def _adders(recoded: IntType, factor: IntType) -> int:
    """Rows times bits of a row."""
    return recoded_digits(recoded) * (factor.bits + 2)
