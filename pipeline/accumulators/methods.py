"""The methods by which a network's weights are made to fit accumulators of P bits."""

from __future__ import annotations

from typing import Literal, get_args

from pipeline.text_file import either

__all__ = [
    "METHODS",
    "METHOD_CHOICES",
    "SUFFIXES",
    "TRAINED_METHODS",
    "AccumulatorMethod",
    "BoundMethod",
    "TrainedAccumulatorMethod",
    "TrainedMethod",
]

TrainedMethod = Literal["a2q", "a2q_plus"]
BoundMethod = Literal[TrainedMethod, "axe"]
AccumulatorMethod = Literal["none", BoundMethod]
TrainedAccumulatorMethod = Literal["none", TrainedMethod]

METHODS: dict[BoundMethod, str] = {"a2q": "A2Q", "a2q_plus": "A2Q+", "axe": "AXE"}
"""The methods, and what pages call them: A2Q (arXiv 2308.13504) and A2Q+ (arXiv 2401.10432) train for the bound, AXE
(arXiv 2409.17092) keeps it while the weights of a network that is trained already are rounded."""

TRAINED_METHODS: tuple[TrainedMethod, ...] = get_args(TrainedMethod)

METHOD_CHOICES = either(get_args(TrainedAccumulatorMethod))
"""The values of an option of a training that names a method, or none, in words."""

SUFFIXES = ("wWaA", *(f"wWaA_{method}_Pb" for method in TRAINED_METHODS))
"""The ends of the names of networks: weights of W, activations of A and accumulators of P bits."""
