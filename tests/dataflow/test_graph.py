"""The reference execution of a layer graph: streams are narrow, what is calculated with them is not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import InputError, VerificationError
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool

BYTE = IntType(0, 255)


def doubling(*more) -> LayerGraph:
    """x + 3·x on bytes, and the layers in `more`."""
    fork = DuplicateStreams("fork", ("input",), ("a", "b"), shape=(2, 2, 3), type=BYTE, copies=2)
    add = AddStreams("add", ("a", "b"), ("sum",), shape=(2, 2, 3), types=(BYTE, BYTE), multipliers=(1, 3))
    layers = (fork, add, *more)
    return LayerGraph("doubling", layers, "input", layers[-1].output_names[0])


def test_sums_do_not_wrap() -> None:
    frames = np.full((1, 2, 2, 3), 255, np.int64)
    values = doubling().execute(frames)
    assert values["a"].dtype == np.uint8 and values["sum"].dtype == np.uint16
    assert (values["sum"] == 1020).all()
    result = doubling().run(frames)
    assert result.dtype == np.int64 and (result == 1020).all()


def test_a_pool_and_a_label_do_not_wrap() -> None:
    wide = IntType(0, 1020)
    windows = Pool("pool", ("in",), ("sum",), pixels=(1, 1), channels=3, window=4, type=BYTE, function="sum")
    label = LabelSelect("label", ("sum",), ("label",), labels=3, input_type=wide, offsets=np.array([0, 9, 0]))
    graph = LayerGraph("pooled", (windows, label), "in", "label")
    frames = np.full((1, 1, 1, 12), 255, np.uint8)
    values = graph.execute(frames)
    assert (values["sum"] == 1020).all()
    assert graph.run(frames).item() == 1


def test_a_matrix_takes_narrow_streams() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (5, 3))
    ends = 3 * 128 * 1020
    product = MVAU(
        "mvau",
        ("sum",),
        ("out",),
        weights=weights,
        input_type=IntType(0, 1020),
        output_type=IntType(-ends, ends),
        pixels=(2, 2),
    )
    graph = doubling(product)
    frames = rng.integers(0, 256, (2, 2, 2, 3))
    assert np.array_equal(graph.run(frames), 4 * frames @ weights.T)


def test_a_value_outside_its_stream_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DuplicateStreams, "reference", lambda layer, frames: (frames + 1, frames))
    with pytest.raises(VerificationError, match=r"layer fork gives .* on stream a"):
        doubling().execute(np.full((1, 2, 2, 3), 255, np.int64))


@pytest.mark.parametrize("frames", [np.full((1, 2, 2, 3), 256), np.full((1, 2, 2, 3), 0.5), np.zeros((2, 2, 3))])
def test_frames_that_are_none_of_the_network_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(
        InputError, match=r"network doubling takes integers \(N, 2, 2, 3\) from 0 to 255; frames of shape"
    ):
        doubling().run(frames)
