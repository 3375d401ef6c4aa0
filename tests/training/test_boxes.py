from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.models.tinyyolo import ANCHORS
from pipeline.training.boxes import answers, boxes_of, mean_average_precision, yolo_loss

CLASSES, SIDE = 3, 4
# two boxes, in an image of 4 × 4 cells; of the second image one
LABELS = np.full((2, 2, 5), -1, np.float32)
LABELS[0, 0] = 2, 0.3, 0.55, ANCHORS[1][0] / SIDE, ANCHORS[1][1] / SIDE
LABELS[0, 1] = 0, 0.9, 0.1, 1.3 * ANCHORS[3][0] / SIDE, 0.9 * ANCHORS[3][1] / SIDE
LABELS[1, 0] = 1, 0.5, 0.5, ANCHORS[0][0] / SIDE, ANCHORS[0][1] / SIDE


def outputs_for(labels: np.ndarray) -> np.ndarray:
    """The outputs that say just what the labels do, by the anchors that LABELS is made of."""
    outputs = np.zeros((len(labels), len(ANCHORS), 5 + CLASSES, SIDE, SIDE), np.float32)
    outputs[:, :, 4] = -12
    for image, truth in enumerate(labels):
        for kind, x, y, width, height in truth[truth[:, 0] >= 0]:
            sizes = np.array([width, height]) * SIDE
            anchor = int(np.abs(np.log(np.array(ANCHORS) / sizes)).sum(axis=1).argmin())
            column, row = int(x * SIDE), int(y * SIDE)
            cell = outputs[image, anchor, :, row, column]
            share = np.clip(np.array([x * SIDE - column, y * SIDE - row]), 1e-6, 1 - 1e-6)
            cell[:2], cell[2:4], cell[4] = np.log(share / (1 - share)), np.log(sizes / ANCHORS[anchor]), 12
            cell[5 + int(kind)] = 20
    return outputs.reshape(len(labels), -1, SIDE, SIDE)


def test_what_is_said_exactly_costs_nothing_and_is_found() -> None:
    outputs = outputs_for(LABELS)
    assert float(yolo_loss(torch.from_numpy(outputs), torch.from_numpy(LABELS))) < 1e-3
    found = boxes_of(outputs)
    assert [len(boxes) for boxes in found] == [2, 1]
    for boxes, truth in zip(found, LABELS, strict=True):
        by_class = {int(box[0]): box for box in boxes}
        for kind, *box in truth[truth[:, 0] >= 0]:
            np.testing.assert_allclose(by_class[int(kind)][2:], box, atol=1e-4)
            assert by_class[int(kind)][1] > 0.99
    assert mean_average_precision(outputs, LABELS) == 1
    said = answers(outputs)
    assert said.shape == (2, len(ANCHORS), SIDE, SIDE) and sorted(said[said >= 0]) == [0, 1, 2]


def test_the_loss_leads_there() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, len(ANCHORS) * (5 + CLASSES), SIDE, SIDE, generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([outputs], lr=0.2)
    for _ in range(150):
        optimizer.zero_grad()
        yolo_loss(outputs, torch.from_numpy(LABELS)).backward()
        optimizer.step()
    assert mean_average_precision(outputs.detach().numpy(), LABELS) == 1


def test_precision_falls_by_what_is_wrong() -> None:
    """A box that is not there costs precision if it is surer than the right one, and a missing one recall."""
    labels = LABELS[[1, 1]]
    outputs = outputs_for(labels).reshape(2, len(ANCHORS), 5 + CLASSES, SIDE, SIDE)
    wrong = outputs.copy()
    wrong[0, 0, 4, 0, 0], wrong[0, 0, 6, 0, 0] = 14, 20
    assert mean_average_precision(wrong.reshape(2, -1, SIDE, SIDE), labels) == pytest.approx(2 / 3)
    missing = outputs.copy()
    missing[1, :, 4] = -12
    assert mean_average_precision(missing.reshape(2, -1, SIDE, SIDE), labels) == pytest.approx(1 / 2)
    twice = outputs.copy()  # the same box from another anchor, which is suppressed
    twice[0, 1, :, 2, 2] = twice[0, 0, :, 2, 2]
    twice[0, 1, 2:4, 2, 2] = np.log(np.array(ANCHORS[0]) / ANCHORS[1])
    assert len(boxes_of(twice.reshape(2, -1, SIDE, SIDE))[0]) == 1


def test_images_without_boxes_only_have_empty_cells() -> None:
    nothing = np.full((1, 2, 5), -1, np.float32)
    outputs = np.zeros((1, len(ANCHORS) * (5 + CLASSES), SIDE, SIDE), np.float32)
    assert float(yolo_loss(torch.from_numpy(outputs), torch.from_numpy(nothing))) == len(ANCHORS) * SIDE**2 * 0.25
