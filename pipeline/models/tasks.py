"""What networks are for: a class for each image, a class for each pixel, or boxes. And how well they do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.datasets.image_set import Labels
from pipeline.models import boxes

__all__ = ["Outputs", "Task", "task_of"]

Outputs = Any  # an array (N, K, …), or a tuple of them where a network gives several


@dataclass(frozen=True)
class Task:
    """`metrics` has the shares of `TITLES` for outputs, float, and labels (N, …), see `ImageSet`.

    `accuracy` names the share that is counted in each batch: of the largest outputs, over axis 1, those that are the
    labels; empty where that means nothing. `answers` (N, …) are what a user gets of outputs: integers.
    """

    metrics: Callable[[Outputs, np.ndarray], dict[str, float]]
    accuracy: str
    answers: Callable[[Outputs], np.ndarray]


def _largest(outputs: np.ndarray) -> np.ndarray:
    return outputs.argmax(axis=1)


def _of_classes(outputs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Equal outputs rank by index."""
    ranked = np.argsort(-outputs, axis=1, kind="stable")
    hits = ranked == labels[:, None]
    return {"top1": float(hits[:, 0].mean()), "top5": float(hits[:, :5].any(axis=1).mean())}


def _of_pixels(outputs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Intersection over union of each class over all pixels of the set, the mean of those that are there."""
    classes, answers = outputs.shape[1], _largest(outputs)
    confusion = np.bincount((labels * classes + answers).ravel(), minlength=classes**2).reshape(classes, classes)
    hits = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    seen = union > 0
    return {"mean_iou": float((hits[seen] / union[seen]).mean()), "pixel_accuracy": float(hits.sum() / labels.size)}


def _of_boxes(outputs: Outputs, labels: np.ndarray, anchors: tuple[boxes.Anchors, ...]) -> dict[str, float]:
    return {"map50": boxes.mean_average_precision(outputs, labels, anchors)}


_CLASSES = Task(_of_classes, "top1", _largest)
_PIXELS = Task(_of_pixels, "pixel_accuracy", _largest)


def task_of(labels: Labels, anchors: tuple[boxes.Anchors, ...] = ()) -> Task:
    """What a network is for, where such `labels` are known of its images; `anchors` are those of each output of a detector."""
    if labels == "boxes":
        return Task(partial(_of_boxes, anchors=anchors), "", partial(boxes.answers, anchors=anchors))
    return _CLASSES if labels == "classes" else _PIXELS
