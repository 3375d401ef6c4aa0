"""Images that a small network learns in seconds."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from pipeline.training.config import TrainConfig

__all__ = ["TESTS", "config", "write_digits"]

IMAGES, TESTS = 320, 64


def write_digits(folder: Path) -> None:
    """IDX files of noise, with a bright block whose place is the label."""
    generator = np.random.default_rng(0)
    for split, count in (("train", IMAGES), ("t10k", TESTS)):
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        images = generator.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 4)
            image[2 + 8 * row : 8 + 8 * row, 2 + 6 * column : 7 + 6 * column] += 180
        for kind, header, data in (
            ("images-idx3", (2051, count, 28, 28), images),
            ("labels-idx1", (2049, count), labels),
        ):
            path = folder / f"{split}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(struct.pack(f">{len(header)}I", *header) + data.tobytes()))


def config(mnist: Path, **changes) -> TrainConfig:
    values = {
        "network": "resnet8",
        "width": 0.25,
        "dataset": "mnist",
        "data_folder": mnist,
        "quantization": {"weight_bits": 4, "act_bits": 4},
        "accumulator": {"method": "a2q", "bit_width": 12},
        "augmentation": {"crop": 2, "flip": False},
        "epochs": 2,
        "batch_size": 32,
        "optimizer": {"lr": 0.1},
    }
    return TrainConfig(**{**values, **changes})
