from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.image_set import ImageSet

IMAGES = np.zeros((3, 1, 2, 2), np.uint8)
LABELS = np.arange(3)


def test_the_first_images() -> None:
    image_set = ImageSet(IMAGES, LABELS, "set", 3)
    assert len(image_set) == 3 and image_set.take(3) is image_set and image_set.take(9) is image_set
    assert image_set.take(2).labels.tolist() == [0, 1] and image_set.take(2).source == "first 2 images of the set"
    assert image_set.take(1).source == "first 1 image of the set"


@pytest.mark.parametrize(
    ("images", "labels"),
    [(IMAGES[0], LABELS), (IMAGES.astype(float), LABELS), (IMAGES, LABELS[:2]), (IMAGES, LABELS.astype(np.int32))],
)
def test_other_arrays_are_refused(images: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        ImageSet(images, labels, "set", 3)
