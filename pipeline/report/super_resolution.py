"""What a network that makes larger images of images does to photographs, as numbers and as a picture to look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import ModelError
from pipeline.models.golden import normalised, photographs
from pipeline.models.names import Preprocessing
from pipeline.models.resolve import ResolvedModel

__all__ = ["RESTORED_FILE", "Restored", "SuperResolution", "draw_restored", "mean_psnr", "psnr", "restore"]

RESTORED_FILE = "super_resolution.json"

_CROPS = 8  # of all photographs together
_DRAWN = 4
_REDUCED = 2  # how many pixels a side of a photograph become one of an original, so that little of its JPEG is left
_LEAST_ERROR = 1e-10  # of the mean square, as Brevitas has it: two images that are equal have 100 dB
_DOTS_PER_INCH, _INCHES = 150, 2.6


@dataclass(frozen=True, eq=False)
class Restored:
    """An image in four forms, uint8 (height, width, channels): `low` as the network takes it, what bicubic interpolation and
    the network make of it, and the `original`; with the PSNR of both against that, in dB."""

    low: np.ndarray
    bicubic: np.ndarray
    network: np.ndarray
    original: np.ndarray
    bicubic_psnr: float
    psnr: float


@dataclass(frozen=True)
class SuperResolution:
    """Images that are `factor` times as high and wide; `images` is a phrase on what they are of."""

    factor: int
    images: str
    restored: tuple[Restored, ...]

    @property
    def psnr(self) -> float:
        """The mean over the images, in dB."""
        return float(np.mean([image.psnr for image in self.restored]))

    @property
    def bicubic_psnr(self) -> float:
        """The mean over the images, in dB."""
        return float(np.mean([image.bicubic_psnr for image in self.restored]))

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest of the images, in dB."""
        values = [image.psnr for image in self.restored]
        return min(values), max(values)

    @property
    def bicubic_ends(self) -> tuple[float, float]:
        """The same of bicubic interpolation."""
        values = [image.bicubic_psnr for image in self.restored]
        return min(values), max(values)

    def as_json(self) -> dict[str, Any]:
        """The content of report/super_resolution.json."""
        return {
            "factor": self.factor,
            "images": self.images,
            "psnr_db": {"network": self.psnr, "bicubic": self.bicubic_psnr},
            "by_image": [{"network": image.psnr, "bicubic": image.bicubic_psnr} for image in self.restored],
        }


def restore(graph: LayerGraph, model: ResolvedModel) -> SuperResolution | None:
    """What the layers of `graph` make of photographs; None where the network of `model` makes no larger images.

    It does where pixels are its input and its output has as many channels, and the same whole number of pixels, 2 or more,
    for each of them in height and width. The output is taken to be an image as the input is one, scaled and shifted alike.
    """
    factor, transform, after = _factor(graph, model), graph.input_transform, graph.output_transform
    if factor is None or model.preprocessing is None or transform is None or after is None:
        return None
    channels, height, width = model.input_shape
    originals = _crops(channels, height * factor, width * factor)
    low = [_resized(image, (width, height), Image.Resampling.BILINEAR) for image in originals]
    frames = normalised(np.stack(low).transpose(0, 3, 1, 2), model.preprocessing)
    integers = np.concatenate([graph.run(transform.apply(frame[None])) for frame in frames])
    real = after.outputs(integers)
    if after.steps:
        if real.shape[1:] != (channels, height * factor, width * factor):
            return None
        real = real.transpose(0, 2, 3, 1)
    restored = []
    for before, output, original in zip(low, real, originals, strict=True):
        bicubic = _resized(before, (width * factor, height * factor), Image.Resampling.BICUBIC)
        network = _pixels(output, model.preprocessing)
        values = psnr(bicubic, original), psnr(network, original)
        restored.append(Restored(before, bicubic, network, original, *values))
    images = (
        f"{len(originals)} crops of the photographs that scikit-learn ships (china.jpg, flower.jpg), "
        f"{height * factor} × {width * factor} pixels, reduced to {height} × {width} by bilinear interpolation"
    )
    return SuperResolution(factor, images, tuple(restored))


def mean_psnr(report: Path) -> float | None:
    """The PSNR in dB of the network whose build left the folder `report`; None where it makes no larger images.

    Raises ModelError for a file that is damaged.
    """
    path = report / RESTORED_FILE
    if not path.is_file():
        return None
    try:
        return float(json.loads(path.read_text())["psnr_db"]["network"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The report {path} cannot be read: {error!r}. Build it again.") from error


def psnr(image: np.ndarray, original: np.ndarray) -> float:
    """The peak signal-to-noise ratio of two uint8 images of one shape, in dB: −10 · log₁₀ of the mean square of what they
    differ by, of pixels from 0 to 1."""
    difference = (image.astype(np.float64) - original) / 255
    return float(-10 * np.log10(max(np.square(difference).mean(), _LEAST_ERROR)))


def draw_restored(restored: SuperResolution, path: Path) -> None:
    """A row an image: the input, bicubic interpolation, the network, the original."""
    images = restored.restored
    shown = [*images[: _DRAWN // 2], *images[-(_DRAWN // 2) :]]
    figure = Figure(figsize=(4 * _INCHES, (_INCHES + 0.3) * len(shown)), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(shown), 4, squeeze=False)
    for row, image in zip(grid, shown, strict=True):
        height, width = image.low.shape[:2]
        titles = (
            f"input, {height} × {width}",
            f"bicubic, {image.bicubic_psnr:.1f} dB",
            f"network, {image.psnr:.1f} dB",
            f"original, {height * restored.factor} × {width * restored.factor}",
        )
        forms = (image.low, image.bicubic, image.network, image.original)
        for axes, title, form in zip(row, titles, forms, strict=True):
            grey = form.shape[2] == 1
            axes.imshow(
                form[:, :, 0] if grey else form,
                cmap="gray" if grey else None,
                vmin=0,
                vmax=255,
                interpolation="nearest",
            )
            axes.set_title(title, fontsize=9)
            axes.set_axis_off()
    figure.savefig(path)


def _factor(graph: LayerGraph, model: ResolvedModel) -> int | None:
    if len(model.input_shape) != 3 or model.input_shape[0] not in (1, 3):
        return None
    channels, height, width = model.input_shape
    rows, columns, outputs = graph.streams[graph.output].shape
    factor = rows // height
    return factor if factor > 1 and (rows, columns, outputs) == (height * factor, width * factor, channels) else None


def _crops(channels: int, height: int, width: int) -> list[np.ndarray]:
    """Parts of the photographs, spread over them, uint8 (height, width, channels)."""
    crops, chosen = [], photographs()
    for index in range(_CROPS):
        photograph = chosen[index % len(chosen)]
        scale = min(_REDUCED, photograph.width / width, photograph.height / height)
        size = width * scale, height * scale
        share = (index // len(chosen) + 0.5) * len(chosen) / _CROPS  # of the way from the left and top to the other end
        left, top = (share * (length - part) for length, part in zip(photograph.size, size, strict=True))
        box = (left, top, left + size[0], top + size[1])
        crop = photograph.resize((width, height), Image.Resampling.BICUBIC, box=box)
        crops.append(_array(crop.convert("L") if channels == 1 else crop))
    return crops


def _resized(image: np.ndarray, size: tuple[int, int], how: Image.Resampling) -> np.ndarray:
    squeezed = image[:, :, 0] if image.shape[2] == 1 else image
    return _array(Image.fromarray(squeezed).resize(size, how))


def _array(image: Image.Image) -> np.ndarray:
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1)


def _pixels(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The uint8 pixels that `image`, (H, W, C), stands for: the preprocessing backwards."""
    channels = image.shape[2]
    mean, std = (np.asarray(values[:channels]) for values in (preprocessing.mean, preprocessing.std))
    pixels: np.ndarray = np.round((image * std + mean) * 255).clip(0, 255).astype(np.uint8)
    return pixels
