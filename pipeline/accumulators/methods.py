"""The methods by which a network can be trained for accumulators of P bits."""

from __future__ import annotations

from typing import Literal, get_args

from pipeline.text_file import either

__all__ = ["METHODS", "METHOD_CHOICES", "SUFFIXES", "AccumulatorMethod", "BoundMethod"]

BoundMethod = Literal["a2q", "a2q_plus"]
AccumulatorMethod = Literal["none", BoundMethod]

METHODS: dict[BoundMethod, str] = {"a2q": "A2Q", "a2q_plus": "A2Q+"}
"""The methods, and what pages call them: A2Q (arXiv 2308.13504) and A2Q+ (arXiv 2401.10432)."""

METHOD_CHOICES = either(get_args(AccumulatorMethod))
"""The values of an option that names a method, or none, in words."""

SUFFIXES = ("wWaA", *(f"wWaA_{method}_Pb" for method in METHODS))
"""The ends of the names of networks: weights of W, activations of A and accumulators of P bits."""
