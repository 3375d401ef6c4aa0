"""How well a network does that is known by its file: as the file computes it, and as the integers of the hardware do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.datasets.labelled import load_labelled
from pipeline.errors import InputError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.input_quantizer import InputQuantizer
from pipeline.frontend.streamline.reading import read_model
from pipeline.models import export
from pipeline.models.golden import check_range, range_frames
from pipeline.models.network_input import network_input
from pipeline.models.network_record import read_record

__all__ = ["FileScores", "evaluate_file"]

_BATCH = 100
_PROVEN_ON = 16  # images on which each step to the layer graph is compared


@dataclass(frozen=True)
class FileScores:
    """Top-1 over `images` of `source`, as a fraction, of the file and of the integers; `differ` images have another
    class. `pixels` says how pixels became the network's numbers, empty where the data had these already."""

    source: str
    images: int
    file: float
    integers: float
    differ: int
    pixels: str
    input_quantizer: InputQuantizer | None


def evaluate_file(
    path: Path,
    named: str,
    folder: Path | None,
    limit: int | None,
    input_range: tuple[float, float] | None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> FileScores:
    """Scores of the QONNX file `path` on what is `named`, see `pipeline/datasets/labelled.py`.

    Raises InputError for data or a network that do not fit together or cannot be built, VerificationError where a step is
    not exact.
    """
    model = read_model(path)
    record = read_record(model, path)
    taken = network_input(model, path, record, input_range)
    data = load_labelled(named, taken.shape, record.classes or (), folder, limit)
    pixels = ""
    if data.frames.dtype == np.uint8:
        if taken.declared is None and taken.preprocessing is None:
            raise InputError(
                f"Nothing says what pixels become for the model {path}: it has no record of it. Give the range that black to "
                "white have, with --input-range, such as 0,1, or floats as the network takes them in an .npz file; or export "
                "it with pipeline.export_qonnx and mean and std, or input_range."
            )
        assert taken.ends is not None  # as it is known what pixels become
        pixels = f"pixels from 0 to 255 are {np.min(taken.ends[0]):g} to {np.max(taken.ends[1]):g}, by {taken.known_by}"

    elif taken.ends is not None:
        check_range(named, data.frames, taken.ends, taken.known_by)

    def frames_of(first: int, count: int) -> np.ndarray:
        part = data.frames[first : first + count]
        return taken.of_pixels(part) if part.dtype == np.uint8 else part

    proving = frames_of(0, _PROVEN_ON)
    if taken.ends is not None:
        proving = np.concatenate([proving, range_frames(taken.ends, taken.shape, 4, seed=0)])
    with tempfile.TemporaryDirectory(prefix="a2q-evaluate-") as scratch:
        _, golden = export.take_qonnx(path, proving, Path(scratch))
    streamlined = streamline.streamline(model, golden.inputs, golden.outputs, ends=taken.ends)
    graph = dataflow.convert(streamlined.model, golden.inputs, top1=True).graph
    transform = graph.input_transform
    assert transform is not None  # every graph that is converted has one
    classes = golden.outputs[0].size
    if data.labels.max() >= classes:
        raise InputError(f"{named} has the label {data.labels.max()}, and the network {path} has {classes} outputs.")
    labels: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for first in progress(range(0, len(data.labels), _BATCH)):
        frames = frames_of(first, _BATCH)
        labels[0].append(run_graph(model, frames).reshape(len(frames), -1).argmax(axis=1))
        labels[1].append(graph.run(transform.apply(frames)).ravel())
    of_file, of_integers = map(np.concatenate, labels)
    return FileScores(
        data.source,
        len(data.labels),
        float((of_file == data.labels).mean()),
        float((of_integers == data.labels).mean()),
        int((of_file != of_integers).sum()),
        pixels,
        streamlined.input_quantizer,
    )
