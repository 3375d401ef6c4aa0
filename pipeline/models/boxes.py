"""Boxes of a detector of YOLOv2's or YOLOv3's kind (arXiv 1612.08242, 1804.02767): its outputs, its loss, and mean average
precision.

What it gives is a grid of cells, (N, anchors · (5 + classes), H, W), or a tuple of such grids; `anchors` are those of each, in
the same order, width and height in its cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.tinyyolo import BOX_NUMBERS

__all__ = ["Anchors", "anchors_of", "answers", "boxes_of", "mean_average_precision", "yolo_loss"]

Anchors = Sequence[tuple[float, float]]
_Array = TypeVar("_Array", Tensor, np.ndarray)

# weights of the parts of the loss, and the IoU from which an anchor is not told to be empty: those of YOLOv2's own
# configuration and source (darknet, yolov2-voc.cfg and region_layer.c) but for coordinates, which count as in YOLO
_COORDINATES, _OBJECT, _NO_OBJECT, _CLASS = 5.0, 5.0, 1.0, 1.0
_NOT_EMPTY = 0.6
_LEAST_SCORE = 0.05
_SUPPRESSED = 0.45  # IoU with a box of the same class and a higher score
_MATCH = 0.5  # IoU


def anchors_of(network: nn.Module) -> tuple[Anchors, ...]:
    """Those of each output of a detector."""
    grids: tuple[Anchors, ...] = getattr(network, "grids", ())
    return grids


def yolo_loss(outputs: Tensor | tuple[Tensor, ...], labels: Tensor, anchors: Sequence[Anchors]) -> Tensor:
    """The loss of `outputs` for boxes (N, B, 5), see `ImageSet`: squared errors of places, of logarithms of sizes and of
    confidences, which are to be the IoU, and cross-entropy of classes; a mean over images.

    Each box is a matter of the one anchor, of all grids, whose size is most like its own.
    """
    grids = _grids(outputs)
    image, which = torch.nonzero(labels[..., 0] >= 0, as_tuple=True)
    truth = labels[image, which].to(grids[0].dtype)
    sizes = torch.cat([grid.new_tensor(own) / _cells(grid) for grid, own in zip(grids, anchors, strict=True)])
    inner = torch.minimum(truth[:, None, 3:], sizes[None]).prod(dim=2)
    best = (inner / (truth[:, 3:].prod(dim=1)[:, None] + sizes.prod(dim=1)[None] - inner)).argmax(dim=1)
    loss, first = grids[0].new_zeros(()), 0
    for grid, own in zip(grids, anchors, strict=True):
        loss = loss + _grid_loss(grid, grid.new_tensor(own), image, truth, best - first)
        first += len(own)
    return loss / len(labels)


def _grid_loss(outputs: Tensor, anchors: Tensor, image: Tensor, truth: Tensor, anchor: Tensor) -> Tensor:
    """The sum over images for one grid: `truth` (K, 5) has the boxes of each `image` (K,), and `anchor` (K,) their anchors,
    which are of other grids where they are none of this one's."""
    place, size, confidence, logits = _parts(outputs, len(anchors))
    height, width = outputs.shape[2:]
    grid = _cells(outputs)
    middle, extent = truth[:, 1:3] * grid, truth[:, 3:] * grid  # in cells
    column, row = (middle[:, axis].long().clamp(max=int(grid[axis]) - 1) for axis in (0, 1))
    here = (anchor >= 0) & (anchor < len(anchors))
    at = (image[here], anchor[here], row[here], column[here])
    with torch.no_grad():
        x, y = torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")
        cells = torch.stack([x, y], dim=-1).to(outputs)
        middles, extents = cells + place, anchors[:, None, None] * size.clamp(max=8).exp()
        best = torch.zeros_like(confidence)
        overlaps = _iou(middles[image], extents[image], middle[:, None, None, None], extent[:, None, None, None])
        for number, overlap in zip(image.tolist(), overlaps, strict=True):
            best[number] = torch.maximum(best[number], overlap)
        empty = best < _NOT_EMPTY
        empty[at] = False
        reached = _iou(middles[at], extents[at], middle[here], extent[here])
    corner = torch.stack([column, row], dim=1)[here]
    loss = _COORDINATES * (place[at] - (middle[here] - corner)).square().sum()
    loss = loss + _COORDINATES * (size[at] - (extent[here] / anchors[at[1]]).log()).square().sum()
    loss = loss + _OBJECT * (confidence[at] - reached).square().sum() + _NO_OBJECT * confidence[empty].square().sum()
    return loss + _CLASS * functional.cross_entropy(logits[at], truth[here, 0].long(), reduction="sum")


def boxes_of(outputs: np.ndarray | tuple[np.ndarray, ...], anchors: Sequence[Anchors]) -> list[np.ndarray]:
    """For each image of `outputs` its boxes, (M, 6): class, score, middle (x, y) and size (w, h) as shares of the image, best
    first. Of boxes of a class that overlap, the best is left."""
    of_grids = [_grid_boxes(grid, own) for grid, own in zip(_grids(outputs), anchors, strict=True)]
    tables = (np.concatenate(tables) for tables in zip(*of_grids, strict=True))
    return [_suppressed(table[np.argsort(-table[:, 1], kind="stable")]) for table in tables]


def _grid_boxes(outputs: np.ndarray, anchors: Anchors) -> list[np.ndarray]:
    """For each image the boxes of one grid whose score is not too low, in the order of the grid."""
    parts = _parts(torch.from_numpy(outputs).double(), len(anchors))
    place, size, confidence, logits = (part.numpy() for part in parts)
    height, width = outputs.shape[2:]
    cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    middles = (cells + place) / (width, height)
    extents = np.array(anchors)[:, None, None] * np.exp(np.minimum(size, 8)) / (width, height)
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores = confidence[..., None] * shares / shares.sum(axis=-1, keepdims=True)
    result = []
    for image in range(len(outputs)):
        *at, label = np.nonzero(scores[image] >= _LEAST_SCORE)
        where = tuple(at)
        table = [label, scores[image][(*where, label)], middles[image][where], extents[image][where]]
        result.append(np.column_stack(table))
    return result


def mean_average_precision(
    outputs: np.ndarray | tuple[np.ndarray, ...], labels: np.ndarray, anchors: Sequence[Anchors]
) -> float:
    """The mean over classes of the area under precision by recall, as PASCAL VOC has it from 2010 on, for `outputs` and the
    boxes `labels` (N, B, 5). A box is right whose IoU with one of its class, that no better box has, is 0.5 or more."""
    found = boxes_of(outputs, anchors)
    present = sorted({int(label) for label in labels[..., 0].ravel() if label >= 0})
    return float(np.mean([_average_precision(found, labels, label) for label in present]))


def answers(outputs: np.ndarray | tuple[np.ndarray, ...], anchors: Sequence[Anchors]) -> np.ndarray:
    """For each anchor and cell of each grid the class of a box that is more sure than not, else -1: (N, M)."""
    results = []
    for grid, own in zip(_grids(outputs), anchors, strict=True):
        _, _, confidence, logits = _parts(torch.from_numpy(grid), len(own))
        results.append(torch.where(confidence > 0.5, logits.argmax(dim=-1), -1).flatten(1))
    return torch.cat(results, dim=1).numpy()


def _grids(outputs: _Array | tuple[_Array, ...]) -> tuple[_Array, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _cells(grid: Tensor) -> Tensor:
    """Width and height of a grid (N, …, H, W)."""
    return grid.new_tensor([grid.shape[3], grid.shape[2]])


def _parts(outputs: Tensor, anchors: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Place in the cell (N, A, H, W, 2), logarithm of the size in anchors (…, 2), confidence (…), logits (…, classes)."""
    count, _, height, width = outputs.shape
    parts = outputs.reshape(count, anchors, -1, height, width).permute(0, 1, 3, 4, 2)
    return parts[..., :2].sigmoid(), parts[..., 2:4], parts[..., 4].sigmoid(), parts[..., BOX_NUMBERS:]


def _iou(middle: Tensor, extent: Tensor, other_middle: Tensor, other_extent: Tensor) -> Tensor:
    low = torch.maximum(middle - extent / 2, other_middle - other_extent / 2)
    high = torch.minimum(middle + extent / 2, other_middle + other_extent / 2)
    inner = (high - low).clamp(min=0).prod(dim=-1)
    return inner / (extent.prod(dim=-1) + other_extent.prod(dim=-1) - inner)


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of a box (x, y, w, h) with each of `others`."""
    one, many = torch.from_numpy(box).double(), torch.from_numpy(others).double()
    return _iou(one[:2], one[2:], many[:, :2], many[:, 2:]).numpy()


def _suppressed(table: np.ndarray) -> np.ndarray:
    chosen = []
    while len(table):
        best, rest = table[0], table[1:]
        chosen.append(best)
        table = rest[(rest[:, 0] != best[0]) | (_overlaps(best[2:], rest[:, 2:]) < _SUPPRESSED)]
    return np.array(chosen).reshape(-1, 6)


def _average_precision(found: list[np.ndarray], labels: np.ndarray, label: int) -> float:
    scores, hits, total = [], [], 0
    for boxes, truth in zip(found, labels, strict=True):
        wanted = truth[truth[:, 0] == label, 1:]
        free = np.ones(len(wanted), bool)
        total += len(wanted)
        for box in boxes[boxes[:, 0] == label]:
            overlaps = _overlaps(box[2:], wanted) if len(wanted) else np.zeros(0)
            best = int(overlaps.argmax()) if len(overlaps) else -1
            hit = best >= 0 and overlaps[best] >= _MATCH and bool(free[best])
            if hit:
                free[best] = False
            scores.append(box[1])
            hits.append(hit)
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.array(hits, bool)[order].cumsum()
    recall = np.concatenate([[0], right / total])
    precision = right / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope))
