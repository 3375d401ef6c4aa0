"""What the record of a checkpoint says of its accuracy: top-1 of classes, mean IoU of pixels, mAP of boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["TITLES", "accuracy_of"]

# shares from 0 to 1, by their keys in records and tables of epochs; the first that a record has stands for the network
TITLES = {
    "top1": "top-1",
    "mean_iou": "mean IoU",
    "map50": "mAP@0.5",
    "top5": "top-5",
    "pixel_accuracy": "pixel accuracy",
}


def accuracy_of(record: Mapping[str, Any]) -> tuple[str, float] | None:
    """The metric that stands for the network of `record`, and its value; None where the record has none."""
    return next(((key, record[key]) for key in TITLES if key in record), None)
