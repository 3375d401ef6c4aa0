"""ConvolutionInputGenerator: windows in order, no gap between rows and frames, no more memory than that takes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from tests.kernels.side_by_side import simulate_side_by_side

UINT4 = IntType(0, 15)


def _layer(shape, kernel, stride, simd, type_=UINT4, *, depthwise=False, dilation=(1, 1)):
    return ConvolutionInputGenerator(
        "layer", ("x",), ("y",), shape, type_, kernel, stride, simd, depthwise, dilation=dilation
    )


_depthwise = partial(_layer, depthwise=True)


CONFIGURATIONS = {
    "three_by_three": _layer((6, 7, 4), (3, 3), (1, 1), 2),
    "all_channels_a_beat": _layer((5, 5, 3), (3, 3), (1, 1), 3),
    "stride_two": _layer((9, 8, 4), (3, 3), (2, 2), 4),
    "stride_two_with_pixels_left_over": _layer((8, 10, 2), (3, 3), (2, 2), 1),
    "even_window_at_stride_two": _layer((6, 6, 2), (2, 2), (2, 2), 1),
    "whole_image": _layer((4, 5, 6), (4, 5), (1, 1), 3),
    "whole_rows": _layer((6, 3, 2), (2, 3), (2, 1), 1),
    "whole_columns": _layer((4, 6, 1), (4, 2), (1, 1), 1),
    "one_by_one_at_stride_two": _layer((5, 6, 3), (1, 1), (2, 2), 1),
    "identity": _layer((3, 3, 2), (1, 1), (1, 1), 2),
    "one_bit_signed": _layer((4, 4, 1), (3, 1), (1, 3), 1, IntType(-1, 0)),
    "stride_beyond_the_window": _layer((9, 9, 2), (2, 2), (3, 3), 2, IntType(-8, 7)),
    "rows_far_apart": _layer((11, 5, 1), (2, 3), (7, 1), 1),
    "one_row_of_sound": _layer((1, 16, 2), (1, 5), (1, 2), 2, IntType(-128, 127)),
    "dilated": _layer((9, 8, 2), (3, 3), (1, 1), 2, dilation=(2, 3)),
    "dilated_rows": _layer((8, 5, 4), (3, 2), (1, 1), 2, dilation=(3, 1)),
    "dilated_in_a_row_of_one": _layer((8, 5, 4), (3, 1), (1, 1), 2, dilation=(2, 2)),
    "dilated_at_stride_two": _layer((8, 9, 1), (2, 3), (2, 2), 1, dilation=(2, 2)),
    "dilated_whole_image": _layer((5, 7, 3), (3, 3), (1, 1), 3, IntType(-1, 0), dilation=(2, 3)),
    "one_pixel": _layer((1, 1, 4), (1, 1), (1, 1), 2),
    "two_pixels_one_by_one_at_stride_two": replace(_layer((5, 6, 4), (1, 1), (2, 2), 2), m=2),
    "four_pixels_at_stride_two": replace(_layer((4, 8, 2), (1, 1), (2, 2), 2), m=4),
    "two_pixels_of_columns": replace(_layer((5, 6, 2), (3, 1), (1, 1), 1), m=2),
    "depthwise": _depthwise((6, 7, 4), (3, 3), (1, 1), 2),
    "depthwise_of_many_folds": _depthwise((4, 4, 7), (3, 3), (1, 1), 1),
    "depthwise_all_channels_a_beat": _depthwise((5, 5, 3), (3, 3), (1, 1), 3, IntType(-1, 0)),
    "depthwise_at_stride_two": _depthwise((8, 10, 6), (3, 3), (2, 2), 2),
    "depthwise_even_window_at_stride_two": _depthwise((6, 6, 2), (2, 2), (2, 2), 1),
    "depthwise_of_sound": _depthwise((1, 16, 4), (1, 5), (1, 2), 2, IntType(-128, 127)),
    "depthwise_of_pairs": _depthwise((3, 6, 6), (1, 2), (1, 1), 2),
    "depthwise_of_columns": _depthwise((9, 3, 34), (4, 1), (1, 1), 17),
    "depthwise_beyond_the_window": _depthwise((9, 9, 4), (2, 2), (3, 3), 2),
    "depthwise_of_whole_images": _depthwise((4, 5, 6), (4, 5), (1, 1), 3),
    "depthwise_dilated": _depthwise((9, 8, 6), (3, 3), (1, 1), 2, dilation=(2, 3)),
    "depthwise_of_single_pixels": _depthwise((5, 6, 3), (1, 1), (2, 2), 1),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(CONFIGURATIONS.values()), tmp_path_factory.mktemp("windows"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_follow_each_other_without_a_gap(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_windows_hold_rows_then_columns_then_channels_and_depthwise_parts_of_the_channels_first(layer):
    frame = np.arange(np.prod(layer.shape)).reshape(1, *layer.shape)
    (windows,) = layer.reference(frame)
    (sh, sw), (kh, kw) = layer.stride, layer.kernel
    channels = layer.simd if layer.depthwise else layer.shape[2]
    for y, x in np.ndindex(*layer.output_pixels):
        (dh, dw), (span_h, span_w) = layer.dilation, layer.span
        window = frame[0, y * sh : y * sh + span_h : dh, x * sw : x * sw + span_w : dw]
        assert window.shape[:2] == (kh, kw)
        parts = [window[:, :, c : c + channels].ravel() for c in range(0, layer.shape[2], channels)]
        np.testing.assert_array_equal(windows[0, y, x], np.concatenate(parts))


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_beat_needs_the_beats_up_to_its_own(layer):
    beats = np.arange(layer.inputs()[0].beats)
    numbered = layer.inputs()[0].received(np.repeat(beats, layer.m * layer.simd).reshape(1, *layer.shape))
    sent = layer.outputs()[0].sent(layer.reference(numbered)[0])
    needed = sent.reshape(-1, layer.windows * layer.simd)[:, 0] + 1
    np.testing.assert_array_equal(layer.inputs_needed(), np.maximum.accumulate(needed))


@settings(max_examples=150)
@given(
    image=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.integers(1, 4),
    kernel=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    dilation=st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 1), (1, 2), (3, 2)]),
    depthwise=st.booleans(),
)
def test_the_buffer_costs_no_cycle_and_less_would(image, channels, kernel, stride, dilation, depthwise):
    assume(all((k - 1) * d < size for k, d, size in zip(kernel, dilation, image, strict=True)))
    simd = channels if dilation[1] > 1 and kernel[1] > 1 and not depthwise else 1
    layer = _layer((*image, channels), kernel, stride, simd, dilation=dilation, depthwise=depthwise)
    assert _cycles_between_frames(layer, layer.buffer_depth) == layer.cycles()
    if not layer.ordered:
        less = 1 if layer.interleaved else layer.folds  # exact to the beat, or to the pixel
        smaller = _cycles_between_frames(layer, layer.buffer_depth - less)
        assert smaller is None or smaller > layer.cycles()


def _cycles_between_frames(layer, depth):
    """What the hardware does with a buffer of `depth` words, cycle by cycle; None if it comes to a stop."""
    words = layer.inputs()[0].beats
    image = np.arange(words).reshape(1, *layer.shape[:2], layer.folds)
    image = image.repeat(layer.simd, axis=3)
    reads = layer.reference(image)[0].reshape(layer.output_pixels[0] * layer.output_pixels[1], -1)[:, :: layer.simd]
    starts = reads[:, 0]
    total, window = reads.size, reads.shape[1]
    reads = reads.ravel()
    written = read = oldest = cycle = last_move = 0
    ends = []
    while len(ends) < 6:
        index = reads[read % total] + read // total * words
        may_read, may_write = index < written, written < oldest + depth
        if may_read:
            read += 1
            if read % total == 0:
                ends.append(cycle)
            if layer.ordered:
                oldest = reads[read % total] + read // total * words
            elif read % window == 0:
                frame, number = divmod(read // window, len(starts))
                oldest = starts[number] + frame * words
        written += may_write
        if may_read or may_write:
            last_move = cycle
        elif cycle > last_move:
            return None
        cycle += 1
    return ends[-1] - ends[-2]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="windows of height 3 at a stride of 1 over an image of height 2"):
        _layer((2, 4, 1), (3, 3), (1, 1), 1)
    with pytest.raises(UnsupportedError, match="width 3 at a stride of 0"):
        _layer((4, 4, 1), (3, 3), (1, 0), 1)
    with pytest.raises(UnsupportedError, match="windows of height 5 at a stride of 1 over an image of height 4"):
        _layer((4, 4, 1), (3, 1), (1, 1), 1, dilation=(2, 1))
    with pytest.raises(ConfigError, match="SIMD = 2, but its windows are dilated by 2 in a row; choose its 4 channels"):
        _layer((4, 4, 4), (1, 2), (1, 1), 2, dilation=(1, 2))
    with pytest.raises(ConfigError, match="SIMD = 3 does not divide its 4 channels"):
        _layer((4, 4, 4), (3, 3), (1, 1), 3)
