"""Boxes of a detector's grid, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from a2q_driver.boxes import boxes, boxes_of_grids, suppressed
from a2q_driver.errors import ShapeError

ANCHORS = np.array([[1.5, 2.0], [3.0, 1.0]])
CLASSES = 3


def plain(outputs: np.ndarray, least: float, overlap: float) -> list[tuple[list[float], float, int]]:
    """The boxes of one image (rows, columns, A · (5 + classes)), number by number."""
    return kept(candidates_of(outputs, least), overlap)


def candidates_of(outputs: np.ndarray, least: float) -> list[tuple[list[float], float, int]]:
    rows, columns, depth = outputs.shape
    candidates = []
    for row in range(rows):
        for column in range(columns):
            for index, (width, height) in enumerate(ANCHORS):
                x, y, w, h, confidence, *numbers = outputs[row, column].tolist()[index * depth // 2 :][: 5 + CLASSES]
                total = sum(math.exp(number) for number in numbers)
                label = max(range(CLASSES), key=lambda i: numbers[i])
                score = 1 / (1 + math.exp(-confidence)) * math.exp(numbers[label]) / total
                if score < least:
                    continue
                center = (column + 1 / (1 + math.exp(-x))) / columns, (row + 1 / (1 + math.exp(-y))) / rows
                half = width * math.exp(w) / columns / 2, height * math.exp(h) / rows / 2
                corners = [center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1]]
                candidates.append((corners, score, label))
    return candidates


def kept(candidates: list[tuple[list[float], float, int]], overlap: float) -> list[tuple[list[float], float, int]]:
    result: list[tuple[list[float], float, int]] = []
    for candidate in sorted(candidates, key=lambda c: -c[1]):
        if not any(other[2] == candidate[2] and shared(other[0], candidate[0]) > overlap for other in result):
            result.append(candidate)
    return result


def shared(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


@pytest.mark.parametrize(("least", "overlap"), [(0.3, 0.45), (0.05, 0.2), (0.0, 1.0), (0.999, 0.5)])
def test_boxes_are_those_of_plain_loops(least: float, overlap: float) -> None:
    outputs = np.random.default_rng(7).normal(0, 1.5, (3, 4, 5, 2 * (5 + CLASSES)))
    results = boxes(outputs, ANCHORS, least, overlap, most=1000)
    for image, result in zip(outputs, results, strict=True):
        expected = plain(image, least, overlap)
        assert result.classes.tolist() == [label for _, _, label in expected]
        np.testing.assert_allclose(result.scores, [score for _, score, _ in expected], rtol=1e-12)
        np.testing.assert_allclose(
            result.corners, np.reshape([c for c, _, _ in expected], (-1, 4)), rtol=1e-9, atol=1e-12
        )
    counts = [len(result.scores) for result in results]
    assert least > 0.9 or min(counts) > 1


def test_boxes_of_one_grid_give_way_to_those_of_another() -> None:
    generator = np.random.default_rng(8)
    coarse, fine = (generator.normal(0, 1.5, (2, side, side, 2 * (5 + CLASSES))) for side in (2, 4))
    results = boxes_of_grids([(coarse, ANCHORS), (fine, ANCHORS)], 0.1, 0.1)
    gone = 0
    for one, other, result in zip(coarse, fine, results, strict=True):
        expected = kept(candidates_of(one, 0.1) + candidates_of(other, 0.1), 0.1)
        assert result.classes.tolist() == [label for _, _, label in expected]
        np.testing.assert_allclose(result.corners, [corners for corners, _, _ in expected], rtol=1e-9, atol=1e-12)
        gone += len(plain(one, 0.1, 0.1)) + len(plain(other, 0.1, 0.1)) - len(expected)
    assert gone > 0
    with pytest.raises(ShapeError, match=r"Grids of \(images, classes\) \[\(1, 3\), \(2, 3\)\]; expected grids of the"):
        boxes_of_grids([(coarse, ANCHORS), (fine[:1], ANCHORS)])


def test_the_surest_stay_where_there_are_too_many() -> None:
    outputs = np.random.default_rng(1).normal(0, 2, (1, 4, 4, 2 * (5 + CLASSES)))
    (whole,), (part,) = boxes(outputs, ANCHORS, 0.01), boxes(outputs, ANCHORS, 0.01, most=3)
    assert np.array_equal(part.scores, whole.scores[:3]) and len(whole.scores) > 3


def test_a_box_that_gave_way_takes_no_other_with_it() -> None:
    corners = np.array([[0, 0, 4, 1], [1.5, 0, 5.5, 1], [3, 0, 7, 1]], float)
    assert suppressed(corners, 0.4).tolist() == [False, True, False]


def test_outputs_that_fit_no_anchors_are_refused() -> None:
    for shape in ((1, 4, 4, 17), (1, 4, 4, 10), (4, 4, 16)):
        with pytest.raises(ShapeError, match="for 2 anchors; expected"):
            boxes(np.zeros(shape), ANCHORS)
