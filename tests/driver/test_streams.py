"""The description of both streams with FINN's keys, and frames as they lie in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qonnx.core.datatype import DataType

from a2q_driver.errors import PackageError, RangeError, ShapeError
from a2q_driver.packing import beat_bytes, pack, slot_bytes
from a2q_driver.streams import Stream, io_shape_dict, streams_of, type_name


@st.composite
def streams(draw) -> Stream:
    height, width, lanes, folds = (draw(st.integers(1, 6)) for _ in range(4))
    bits, signed = draw(st.integers(1, 32)), draw(st.booleans())
    return Stream((height, width, lanes * folds), bits, signed, lanes, slot_bytes(beat_bytes(lanes, bits)))


@given(streams(), streams())
def test_both_streams_come_back_from_their_description(input_, output):
    content = json.loads(json.dumps(io_shape_dict(input_, output)))
    assert streams_of(content) == (input_, output)


def test_the_keys_are_those_of_finn():
    content = io_shape_dict(Stream((4, 4, 6), 4, False, 3, 2), Stream((1, 1, 1), 4, False, 1, 1))
    assert content == {
        "idt": ["UINT4"],
        "odt": ["UINT4"],
        "ishape_normal": [[1, 4, 4, 6]],
        "oshape_normal": [[1, 1, 1, 1]],
        "ishape_folded": [[1, 4, 4, 2, 3]],
        "oshape_folded": [[1, 1, 1, 1, 1]],
        "ishape_packed": [[1, 4, 4, 2, 2]],
        "oshape_packed": [[1, 1, 1, 1, 1]],
        "input_dma_name": ["axi_dma_0"],
        "output_dma_name": ["axi_dma_0"],
        "num_inputs": 1,
        "num_outputs": 1,
        "number_of_external_weights": 0,
    }


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 8, 31])
def test_types_have_qonnx_names(bits, signed):
    type_ = DataType[type_name(bits, signed)]
    assert (type_.bitwidth(), type_.signed()) == (bits, signed)


@pytest.mark.parametrize(
    "change",
    [
        {"idt": ["FLOAT32"]},
        {"idt": []},
        {"oshape_normal": [[1, 4, 4]]},
        {"ishape_folded": [[1, 4, 4, 1, 6]]},
        {"ishape_packed": [[1, 4, 4, 2, 0]]},
        {"num_inputs": 2},
        {"more": 1},
    ],
)
def test_another_description_is_refused(change):
    content = io_shape_dict(Stream((4, 4, 6), 4, False, 3, 2), Stream((1, 1, 1), 4, False, 1, 1)) | change
    with pytest.raises(PackageError, match="does not describe two streams"):
        streams_of(content)


def test_frames_lie_one_after_the_other():
    stream = Stream((2, 2, 6), 5, True, 3, 2)
    assert (stream.beats, stream.frame_bytes, stream.words) == (8, 16, 8)
    frames = np.random.default_rng(0).integers(-16, 16, (3, 2, 2, 6))
    memory = np.full(5 * 16, 0xAA, np.uint8)
    stream.pack(frames, memory)
    assert np.array_equal(memory[:48], pack(frames, 5, True, 3, 2).ravel())
    assert (memory[48:] == 0xAA).all()
    assert np.array_equal(stream.unpack(memory, 3), frames)


def test_a_wide_slot_is_several_words_of_the_stream():
    assert Stream((1, 1, 300), 8, False, 300, 320).words == 5


def test_frames_of_another_shape_or_range_are_refused():
    stream = Stream((2, 2, 6), 5, True, 3, 2)
    with pytest.raises(ShapeError, match=r"\(1, 2, 6, 2\); the input stream takes \(N, 2, 2, 6\)"):
        stream.pack(np.zeros((1, 2, 6, 2), np.int64), np.zeros(16, np.uint8))
    with pytest.raises(RangeError, match="16"):
        stream.pack(np.full((1, 2, 2, 6), 16), np.zeros(16, np.uint8))
