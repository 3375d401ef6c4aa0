"""The images to calibrate with, to judge and to choose by: drawn by a seed, each image for one of these."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import ConfigError, InputError
from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.images import images_of


def config(folder: Path, **options: object) -> QuantizeConfig:
    return QuantizeConfig.model_validate({"data_folder": folder, "images": 32, **options})


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_images_of_a_data_set_are_drawn_by_the_seed_and_none_serves_twice(mnist: Path) -> None:
    first = images_of(config(mnist), "mnist", (1, 28, 28), "net")
    again = images_of(config(mnist), "mnist", (1, 28, 28), "net")
    other = images_of(config(mnist, seed=1), "mnist", (1, 28, 28), "net")
    assert (len(first.calibration), len(first.held_out)) == (24, 8)
    assert torch.equal(first.calibration, again.calibration)
    assert rows(first.calibration) != rows(other.calibration)
    choosing = rows(torch.cat([images for images, _ in first.choosing]))
    parts = [rows(first.calibration), rows(first.held_out), choosing]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert "beside those to calibrate with" in first.choosing_source and first.labelled


def test_smaller_images_stand_in_the_middle(mnist: Path) -> None:
    plain = images_of(config(mnist), "mnist", (1, 28, 28), "net")
    padded = images_of(config(mnist), "mnist", (1, 32, 32), "cnv")
    assert torch.equal(padded.calibration[:, :, 2:-2, 2:-2], plain.calibration)
    assert not padded.calibration[:, :, :2].any()
    assert next(iter(padded.test))[0].shape[1:] == (1, 32, 32)


def test_images_that_do_not_fit_and_folders_without_any_are_refused(mnist: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"net takes images of 3×28×28, and MNIST has classes of images of 1×28×28"):
        images_of(config(mnist), "mnist", (3, 28, 28), "net")
    with pytest.raises(InputError, match=f"{tmp_path} holds no images; expected .*in it or in a folder for each class"):
        images_of(config(mnist), str(tmp_path), (3, 28, 28), "net")
    with pytest.raises(
        ConfigError,
        match=r"dataset is 'nosuch/', and there is no such folder; expected a folder of images, or one of mnist",
    ):
        images_of(config(mnist), "nosuch/", (3, 28, 28), "net")
