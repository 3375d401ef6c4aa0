"""Random crops and flips of whole batches on the CPU, drawn by a generator, and padding to a larger image.

Crops and flips are computed by numpy. torch would split a batch of a few hundred kilobytes over its threads, which
wait for each other: where another program keeps a core busy, 50 ms instead of 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.nn import functional

__all__ = ["Augmentation", "random_crop", "random_flip", "resize_to"]


@dataclass(frozen=True)
class Augmentation:
    """A random crop of the image, zero-padded by `crop_padding` pixels, and where `flip` is set a random flip."""

    crop_padding: int = 0
    flip: bool = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """`images` (N, C, H, W) of any type, each with its own draw. They are left as they are."""
        if self.crop_padding:
            images = random_crop(images, generator, self.crop_padding)
        return random_flip(images, generator) if self.flip else images


def random_crop(images: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """For each of `images` (N, C, H, W) an H x W window of it, zero-padded by `padding` pixels on each side."""
    count, channels, height, width = images.shape
    tops, lefts = torch.randint(0, 2 * padding + 1, (2, count), generator=generator).numpy()
    pixels = images.numpy()
    padded_width = width + 2 * padding
    # One row more than padding needs, for the last run below to end in.
    padded = np.zeros((count, channels, height + 2 * padding + 1, padded_width), pixels.dtype)
    padded[:, :, padding : padding + height, padding : padding + width] = pixels
    # A crop and what stands right of its rows is one run of the plane's pixels: copied at once, not row by row.
    runs = sliding_window_view(padded.reshape(count, channels, -1), height * padded_width, axis=2)
    chosen = runs[np.arange(count), :, tops * padded_width + lefts]
    return torch.from_numpy(chosen.reshape(count, channels, height, padded_width)[..., :width])


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """`images` (N, C, H, W), each with a probability of 1/2 mirrored left to right."""
    flipped = torch.rand(len(images), generator=generator).numpy() < 0.5
    pixels = images.numpy().copy()
    pixels[flipped] = pixels[flipped][..., ::-1]
    return torch.from_numpy(pixels)


def resize_to(images: Tensor, side: int = 32) -> Tensor:
    """`images` (N, C, H, W) in the middle of `side` x `side` zeros; 28x28 images become the 32x32 that CNV takes.

    Raises ValueError for images that are larger.
    """
    height, width = images.shape[-2:]
    if max(height, width) > side:
        raise ValueError(f"images of {height}x{width} do not fit into {side}x{side}")
    left, top = (side - width) // 2, (side - height) // 2
    return functional.pad(images, (left, side - width - left, top, side - height - top))
