"""Whether a Resize of the nearest pixel only repeats pixels, by ONNX' formulas.

ONNX' operator Resize: output index x lies at a real place of the input, by coordinate_transformation_mode, and nearest_mode
rounds it. Calculated in fractions, so that no rounding of a runtime decides.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

__all__ = ["repeats"]

_HALF = Fraction(1, 2)
# the place of output index x with the factor f, for sides of n pixels that become m
_PLACES: dict[str, Callable[[int, int, int, int], Fraction]] = {
    "asymmetric": lambda x, f, n, m: Fraction(x, f),
    "half_pixel": lambda x, f, n, m: (x + _HALF) / f - _HALF,
    "half_pixel_symmetric": lambda x, f, n, m: (x + _HALF) / f - _HALF,  # the same, as m is a multiple of n
    "pytorch_half_pixel": lambda x, f, n, m: (x + _HALF) / f - _HALF if m > 1 else Fraction(0),
    "tf_half_pixel_for_nn": lambda x, f, n, m: (x + _HALF) / f,
    "align_corners": lambda x, f, n, m: Fraction(x * (n - 1), m - 1) if m > 1 else Fraction(0),
}
_ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda place: ceil(place - _HALF),
    "round_prefer_ceil": lambda place: floor(place + _HALF),
    "floor": floor,
    "ceil": ceil,
}


def repeats(coordinates: str, rounding: str, size: int, factor: int) -> bool:
    """Whether a side of `size` pixels becomes one of `factor` times as many in which each pixel stands `factor` times."""
    if coordinates not in _PLACES or rounding not in _ROUNDINGS:
        return False
    place, nearest, total = _PLACES[coordinates], _ROUNDINGS[rounding], size * factor
    indices = (nearest(place(x, factor, size, total)) for x in range(total))
    return all(min(max(index, 0), size - 1) == x // factor for x, index in enumerate(indices))
