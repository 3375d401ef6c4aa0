from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from pipeline.models.boxes import Anchors, answers, boxes_of, mean_average_precision, yolo_loss
from pipeline.models.tinyyolo import ANCHORS
from pipeline.models.tinyyolov3 import COARSE_ANCHORS, FINE_ANCHORS

CLASSES, SIDE = 3, 4
# two boxes, in an image of 4 × 4 cells; of the second image one
LABELS = np.full((2, 2, 5), -1, np.float32)
LABELS[0, 0] = 2, 0.3, 0.55, ANCHORS[1][0] / SIDE, ANCHORS[1][1] / SIDE
LABELS[0, 1] = 0, 0.9, 0.1, 1.3 * ANCHORS[3][0] / SIDE, 0.9 * ANCHORS[3][1] / SIDE
LABELS[1, 0] = 1, 0.5, 0.5, ANCHORS[0][0] / SIDE, ANCHORS[0][1] / SIDE
# of the first image one box is like an anchor of the coarse grid, of 2 × 2 cells, and one like one of the fine grid
TWO_SIDES, TWO_ANCHORS = (2, 4), (COARSE_ANCHORS, FINE_ANCHORS)
TWO_LABELS = np.full((2, 2, 5), -1, np.float32)
TWO_LABELS[0, 0] = 2, 0.3, 0.55, COARSE_ANCHORS[2][0] / 2, COARSE_ANCHORS[2][1] / 2
TWO_LABELS[0, 1] = 0, 0.9, 0.1, 1.1 * FINE_ANCHORS[1][0] / 4, 0.9 * FINE_ANCHORS[1][1] / 4
TWO_LABELS[1, 0] = 1, 0.5, 0.5, FINE_ANCHORS[0][0] / 4, FINE_ANCHORS[0][1] / 4


def grids_for(labels: np.ndarray, sides: Sequence[int], anchors: Sequence[Anchors]) -> tuple[np.ndarray, ...]:
    """The outputs that say just what the labels do, by the anchors that these are made of."""
    grids = [
        np.zeros((len(labels), len(own), 5 + CLASSES, side, side), np.float32)
        for side, own in zip(sides, anchors, strict=True)
    ]
    for grid in grids:
        grid[:, :, 4] = -12
    shares = [(number, index) for number, own in enumerate(anchors) for index in range(len(own))]
    for image, truth in enumerate(labels):
        for kind, x, y, width, height in truth[truth[:, 0] >= 0]:
            number, anchor = min(
                shares,
                key=lambda at: np.abs(np.log(np.array(anchors[at[0]][at[1]]) / sides[at[0]] / (width, height))).sum(),
            )
            side = sides[number]
            sizes, column, row = np.array([width, height]) * side, int(x * side), int(y * side)
            cell = grids[number][image, anchor, :, row, column]
            share = np.clip(np.array([x * side - column, y * side - row]), 1e-6, 1 - 1e-6)
            cell[:2], cell[2:4], cell[4] = np.log(share / (1 - share)), np.log(sizes / anchors[number][anchor]), 12
            cell[5 + int(kind)] = 20
    return tuple(grid.reshape(len(labels), -1, side, side) for grid, side in zip(grids, sides, strict=True))


def outputs_for(labels: np.ndarray) -> np.ndarray:
    return grids_for(labels, (SIDE,), (ANCHORS,))[0]


@pytest.mark.parametrize(
    ("labels", "sides", "anchors"), [(LABELS, (SIDE,), (ANCHORS,)), (TWO_LABELS, TWO_SIDES, TWO_ANCHORS)]
)
def test_what_is_said_exactly_costs_nothing_and_is_found(
    labels: np.ndarray, sides: tuple[int, ...], anchors: tuple[Anchors, ...]
) -> None:
    outputs = grids_for(labels, sides, anchors)
    assert float(yolo_loss(tuple(map(torch.from_numpy, outputs)), torch.from_numpy(labels), anchors)) < 1e-3
    found = boxes_of(outputs, anchors)
    assert [len(boxes) for boxes in found] == [2, 1]
    for boxes, truth in zip(found, labels, strict=True):
        by_class = {int(box[0]): box for box in boxes}
        for kind, *box in truth[truth[:, 0] >= 0]:
            np.testing.assert_allclose(by_class[int(kind)][2:], box, atol=1e-4)
            assert by_class[int(kind)][1] > 0.99
    assert mean_average_precision(outputs, labels, anchors) == 1
    said = answers(outputs, anchors)
    cells = sum(len(own) * side**2 for own, side in zip(anchors, sides, strict=True))
    assert said.shape == (2, cells) and sorted(said[said >= 0]) == [0, 1, 2]


def test_the_loss_leads_there() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = tuple(
        torch.randn(2, len(own) * (5 + CLASSES), side, side, generator=generator).requires_grad_()
        for side, own in zip(TWO_SIDES, TWO_ANCHORS, strict=True)
    )
    optimizer = torch.optim.Adam(outputs, lr=0.2)
    for _ in range(150):
        optimizer.zero_grad()
        yolo_loss(outputs, torch.from_numpy(TWO_LABELS), TWO_ANCHORS).backward()
        optimizer.step()
    assert mean_average_precision(tuple(grid.detach().numpy() for grid in outputs), TWO_LABELS, TWO_ANCHORS) == 1


def test_precision_falls_by_what_is_wrong() -> None:
    """A box that is not there costs precision if it is surer than the right one, and a missing one recall."""
    labels = LABELS[[1, 1]]
    outputs = outputs_for(labels).reshape(2, len(ANCHORS), 5 + CLASSES, SIDE, SIDE)
    wrong = outputs.copy()
    wrong[0, 0, 4, 0, 0], wrong[0, 0, 6, 0, 0] = 14, 20
    assert mean_average_precision(wrong.reshape(2, -1, SIDE, SIDE), labels, (ANCHORS,)) == pytest.approx(2 / 3)
    missing = outputs.copy()
    missing[1, :, 4] = -12
    assert mean_average_precision(missing.reshape(2, -1, SIDE, SIDE), labels, (ANCHORS,)) == pytest.approx(1 / 2)
    twice = outputs.copy()  # the same box from another anchor, which is suppressed
    twice[0, 1, :, 2, 2] = twice[0, 0, :, 2, 2]
    twice[0, 1, 2:4, 2, 2] = np.log(np.array(ANCHORS[0]) / ANCHORS[1])
    assert len(boxes_of(twice.reshape(2, -1, SIDE, SIDE), (ANCHORS,))[0]) == 1


def test_images_without_boxes_only_have_empty_cells() -> None:
    nothing = np.full((1, 2, 5), -1, np.float32)
    outputs = np.zeros((1, len(ANCHORS) * (5 + CLASSES), SIDE, SIDE), np.float32)
    assert (
        float(yolo_loss(torch.from_numpy(outputs), torch.from_numpy(nothing), (ANCHORS,)))
        == len(ANCHORS) * SIDE**2 * 0.25
    )
