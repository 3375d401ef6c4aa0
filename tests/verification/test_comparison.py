"""What the simulations of the hardware share: frames, and the words for what differs."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import VerificationError
from pipeline.frontend.conversion import dataflow
from pipeline.verification import comparison
from tests.dataflow.networks import Network


def test_frames_with_labels_of_their_own_come_first():
    network = Network(6)
    network.quant(0.5, 4)
    network.matmul(6, 3)
    network.output_shape = (1, 3)
    values = network.frames(20)
    labelled = dataflow.convert(network.model(), values, top1=True).graph
    frames = labelled.input_transform.apply(values)
    labels = labelled.run(frames).ravel()
    distinct = len(set(labels.tolist()))
    chosen = comparison.choose_frames(labelled, frames, distinct)
    assert distinct > 1 and sorted(labels[chosen].tolist()) == sorted(set(labels.tolist()))
    assert comparison.labels_among(labelled, frames[chosen]) == distinct
    again = comparison.choose_frames(labelled, frames[:2], 5)
    assert len(again) == 5 and set(again.tolist()) == {0, 1}


def test_vectors_fill_whole_frames():
    vectors = np.arange(10).reshape(5, 2)
    frames = comparison.as_frames(vectors, (2, 2, 2))
    assert frames.shape == (2, 2, 2, 2)
    np.testing.assert_array_equal(frames.reshape(-1, 2), vectors[[0, 1, 2, 3, 4, 4, 4, 4]])


def test_the_first_element_that_differs_is_named():
    expected = np.zeros((2, 3, 4, 5), np.int64)
    comparison.compare("MVAU_0", "it", expected, expected)
    got = expected.copy()
    got[1, 2, 0, 4] = got[1, 2, 3, 0] = 7
    message = (
        r"^it differs .* in 2 of 120 elements; first at frame 1, row 2, column 0, channel 4 of MVAU_0: 7 instead of 0"
    )
    with pytest.raises(VerificationError, match=message):
        comparison.compare("MVAU_0", "it", got, expected)
