"""StreamingFIFO: full rate at any depth, and as much room as it says."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codegen.rtl import write_design
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, DeadlockError
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.pool import Pool
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.tools.verilator import build_model
from tests.kernels.side_by_side import simulate_side_by_side

SHAPE, TYPE = (4, 5, 6), IntType(-8, 7)
DEPTHS = (1, 2, 3, 4, 5, 8, 9, 1000)


def _layer(depth, lanes=2, type_=TYPE):
    return StreamingFIFO("layer", ("x",), ("y",), SHAPE, type_, lanes, depth)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    layers = [_layer(depth) for depth in DEPTHS]
    layers += [_layer(4, lanes=6), _layer(6, lanes=1, type_=IntType(-1, 0)), _layer(5, lanes=6, type_=IntType(0, 4095))]
    return simulate_side_by_side(layers, tmp_path_factory.mktemp("fifo"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_moves_in_every_cycle_at_any_depth(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_the_peak_is_what_it_held_at_most(simulated):
    peaks = {path.rsplit("_layer", 1)[1]: stats["peak"][0] for path, stats in simulated.full_speed.stats.items()}
    assert peaks == {str(i): layer.latency() for i, layer in enumerate(simulated.layers)}
    for result in simulated.stalled:
        for path, stats in result.stats.items():
            layer = simulated.layers[int(path.rsplit("_layer", 1)[1])]
            assert layer.latency() <= stats["peak"][0] <= max(layer.depth, 2)


WIDTH = 6


@pytest.fixture(scope="module", params=[WIDTH + 1, WIDTH], ids=["as_deep_as_it_must_be", "one_less"])
def residual(request, tmp_path_factory):
    """A residual connection whose direct branch has a FIFO of some depth.

    The other branch gives its first beat after WIDTH + 2 beats. The fork gives it one more than the direct branch has
    taken.
    """
    shape, padded, type_ = (3, WIDTH, 1), (5, WIDTH + 2, 1), IntType(0, 15)
    layers = [
        DuplicateStreams("fork", ("x",), ("direct", "branch"), shape, type_, 2),
        FMPadding("pad", ("branch",), ("padded",), shape, type_, (1, 1, 1, 1)),
        ConvolutionInputGenerator("windows", ("padded",), ("windowed",), padded, type_, (3, 3), (1, 1)),
        Pool("pool", ("windowed",), ("largest",), (3, WIDTH), 1, 9, type_, "max"),
        StreamingFIFO("fifo", ("direct",), ("delayed",), shape, type_, 1, request.param),
        AddStreams("add", ("largest", "delayed"), ("y",), shape, (type_, type_)),
    ]
    design = write_design(layers, ["x"], ["y"], tmp_path_factory.mktemp("residual"), "residual")
    frames = np.random.default_rng(0).integers(0, 16, (3, *shape))
    padding, windows, pool = layers[1:4]
    expected = pool.reference(*windows.reference(*padding.reference(frames)))[0] + frames
    return build_model(design, design.folder), layers[4].depth, frames, expected


@pytest.mark.parametrize("stalls", [None, 0, 1])
def test_it_holds_its_depth_and_no_more(residual, stalls):
    model, depth, frames, expected = residual
    if depth == WIDTH:
        with pytest.raises(DeadlockError, match=rf"u_fifo: full \({WIDTH} beats\)"):
            model.run({"x": frames}, stalls=stalls, idle_limit=500)
    else:
        result = model.run({"x": frames}, stalls=stalls, idle_limit=500)
        np.testing.assert_array_equal(result.outputs["y"], expected)
        (stats,) = result.stats.values()
        assert stats["peak"] == [depth]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ConfigError, match="a FIFO holds at least 1 beat"):
        _layer(0)
    with pytest.raises(ConfigError, match="4 lanes do not divide its 6 channels"):
        _layer(2, lanes=4)
