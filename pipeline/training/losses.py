"""The losses that a network can be trained with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.boxes import anchors_of, yolo_loss

__all__ = ["LOSSES", "Loss", "loss_of"]

Loss = Callable[[Any, Tensor], Tensor]


def _squared_hinge(outputs: Tensor, labels: Tensor) -> Tensor:
    """Σ max(0, 1 − t·y)² / (N · classes), t being 1 for the label and −1 for the others, as in BNN-PYNQ."""
    targets = 2.0 * functional.one_hot(labels, outputs.shape[1]).to(outputs) - 1.0
    return torch.relu(1.0 - targets * outputs).square().mean()


# mean losses of outputs (N, classes, …), of detectors with their anchors, for labels (N, …), by their names in a configuration
LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "squared_hinge": _squared_hinge,
    "yolo": yolo_loss,
}


def loss_of(name: str, network: nn.Module) -> Loss:
    """The mean loss of that name of what `network` gives, for labels."""
    return partial(yolo_loss, anchors=anchors_of(network)) if name == "yolo" else LOSSES[name]
