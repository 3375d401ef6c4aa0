"""Boxes of the raw outputs of a detector of YOLOv2's or YOLOv3's kind (arXiv 1612.08242, 1804.02767), and non-maximum
suppression.

    for found in accelerator.boxes(images):  # where the package has the anchors
        print(found.corners, found.scores, found.classes)

    boxes(outputs, anchors)                  # else, of outputs (N, rows, columns, anchors * (5 + classes))
    boxes_of_grids([(coarse, coarse_anchors), (fine, fine_anchors)])  # of several outputs, each such a grid

Each cell of a grid gives, anchor by anchor, x, y, w, h, the confidence, and a number for each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from a2q_driver.errors import ShapeError
from a2q_driver.output_steps import OutputStep, apply_steps

__all__ = ["NUMBERS_OF_A_BOX", "Boxes", "boxes", "boxes_of_grids", "suppressed"]

NUMBERS_OF_A_BOX = 5  # place, size and confidence


@dataclass(frozen=True, eq=False)
class Boxes:
    """The objects of an image, the surest first: `corners` (K, 4) float64 are left, top, right and bottom, as shares of
    the image's width and height from 0 to 1; `scores` (K,) and `classes` (K,), int64."""

    corners: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def boxes(outputs: np.ndarray, anchors: np.ndarray, *limits: Any, **named: Any) -> list[Boxes]:
    """The boxes of each image for `outputs`, one grid; all else as `boxes_of_grids` has it."""
    return boxes_of_grids([(outputs, anchors)], *limits, **named)


def boxes_of_grids(
    grids: Sequence[tuple[np.ndarray, np.ndarray]],
    score_threshold: float = 0.5,
    overlap_threshold: float = 0.45,
    most: int = 100,
) -> list[Boxes]:
    """The boxes of each image for `grids`: each outputs (N, rows, columns, A · (5 + classes)), real numbers, with their
    anchors (A, 2), widths and heights in cells of that grid.

    A box lies at (column + sigmoid(x), row + sigmoid(y)), its center, with the size anchor · exp(w, h); its score is
    sigmoid(confidence) times the softmax of its classes, of which the largest is taken. Those below `score_threshold` go, and
    those that `suppressed` names, class by class, of whichever grids; at most `most` stay. Raises ShapeError for outputs that
    do not fit their anchors, or each other.
    """
    candidates = [_candidates(outputs, anchors) for outputs, anchors in grids]
    shapes = {(len(scores), scores.shape[2]) for _, scores in candidates}
    if len(shapes) != 1:
        raise ShapeError(f"Grids of (images, classes) {sorted(shapes)}; expected grids of the same images and classes.")
    corners, scores = (np.concatenate(parts, axis=1) for parts in zip(*candidates))
    return [_kept(*of_image, score_threshold, overlap_threshold, most) for of_image in zip(corners, scores)]


def _candidates(outputs: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners (N, K, 4) and the scores by class (N, K, classes) of all boxes of a grid."""
    anchors = np.asarray(anchors, np.float64).reshape(-1, 2)
    depth = outputs.shape[-1] // max(len(anchors), 1)
    if outputs.ndim != 4 or outputs.shape[-1] != depth * len(anchors) or depth <= NUMBERS_OF_A_BOX:
        raise ShapeError(
            f"Outputs of shape {outputs.shape} for {len(anchors)} anchors; expected (N, rows, columns, anchors * (5 + "
            "classes))."
        )
    images, rows, columns = outputs.shape[:3]
    cells = np.asarray(outputs, np.float64).reshape(images, rows, columns, len(anchors), depth)
    sigmoid = apply_steps(cells[..., [0, 1, 4]], (OutputStep("sigmoid", (0,)),))
    chances = apply_steps(cells[..., NUMBERS_OF_A_BOX:], (OutputStep("softmax", (0,), numbers=(3,)),))
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, None]
    size = np.array([columns, rows])
    centers = (grid + sigmoid[..., :2]) / size
    halves = anchors * np.exp(cells[..., 2:4]) / size / 2
    corners = np.concatenate([centers - halves, centers + halves], axis=-1).reshape(images, -1, 4)
    return corners, (sigmoid[..., 2:] * chances).reshape(images, -1, depth - NUMBERS_OF_A_BOX)


def suppressed(corners: np.ndarray, overlap_threshold: float) -> np.ndarray:
    """Whether each of the boxes `corners` (K, 4), the surest first, gives way to one before it that does not: where the
    area that both have in common is more than `overlap_threshold` of that which either has."""
    left, top, right, bottom = corners.T
    areas = (right - left) * (bottom - top)
    gone = np.zeros(len(corners), bool)
    for index in range(len(corners)):
        if gone[index]:
            continue
        width = np.minimum(right[index], right) - np.maximum(left[index], left)
        height = np.minimum(bottom[index], bottom) - np.maximum(top[index], top)
        common = np.maximum(width, 0) * np.maximum(height, 0)
        overlaps = common > overlap_threshold * (areas[index] + areas - common)
        gone[index + 1 :] |= overlaps[index + 1 :]
    return gone


def _kept(corners: np.ndarray, scores: np.ndarray, least: float, overlap_threshold: float, most: int) -> Boxes:
    classes = scores.argmax(axis=1)
    best = scores.max(axis=1)
    order = np.argsort(-best, kind="stable")
    order = order[best[order] >= least]
    kept = np.ones(len(order), bool)
    for label in np.unique(classes[order]):
        same = np.flatnonzero(classes[order] == label)
        kept[same] = ~suppressed(corners[order[same]], overlap_threshold)
    order = order[kept][:most]
    return Boxes(corners[order], best[order], classes[order])
