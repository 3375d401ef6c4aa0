"""What a registered kernel has to say, and has not said."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import numpy as np
import pytest

from pipeline.accumulators.witness import lane_witnesses
from pipeline.dataflow.bounds import range_bits
from pipeline.dataflow.random_layers import Draw
from pipeline.dataflow.registry import kernels
from pipeline.dataflow.roles import Accumulating, Fifo
from pipeline.dataflow.types import IntType
from pipeline.files import HLS, ROOT, RTL
from pipeline.finn.estimate import nodes
from pipeline.folding.estimate import ResourceModel
from pipeline.report.purposes import PURPOSES

FAMILIES = ("xc7", "xcup")
KERNELS = sorted(name for name, kernel in kernels().items() if kernel.__module__.startswith("pipeline."))
ACCUMULATING = [name for name in KERNELS if issubclass(kernels()[name], Accumulating)]


@pytest.fixture(scope="module", params=KERNELS)
def layer(request):
    return kernels()[request.param].draw(Draw(7))


@pytest.mark.parametrize("name", KERNELS)
def test_it_stands_in_four_files(name):
    module = kernels()[name].module
    assert (RTL / f"{module}.sv").is_file()
    assert (ROOT / "tests" / "kernels" / f"test_{module}.py").is_file()
    assert kernels()[name].__module__ == f"pipeline.kernels.{module}"


def test_its_cpp_is_there_if_it_has_parameters_of_cpp(layer):
    assert (HLS / f"{layer.module}.hpp").is_file() == layer.has_hls
    assert layer.has_hls or layer.op_type == "StreamingFIFO", "a FIFO is the depth of a stream there"


def test_what_is_drawn_calculates_within_the_types_of_its_outputs(layer):
    rng = np.random.default_rng(0)
    frames = [rng.integers(s.type.lo, s.type.hi, (2, *s.shape), endpoint=True) for s in layer.inputs()]
    for values, stream in zip(layer.reference(*frames), layer.outputs(), strict=True):
        assert values.shape[1:] == stream.shape and stream.type.contains(values)


def test_it_says_how_its_beats_move(layer):
    needed = layer.inputs_needed()
    assert len(needed) == layer.outputs()[0].beats and (np.diff(needed) >= 0).all()
    assert needed[-1] <= layer.beats_taken
    sent, taken = layer.beat_times(np.arange(2 * layer.beats_taken, dtype=np.int64), 2)
    assert (np.diff(sent) > 0).all() and (np.diff(taken) > 0).all()
    assert len(sent) == 2 * layer.outputs()[0].beats and layer.latency() > 0 and layer.cycles() > 0
    rate = layer.rate(2, None, None)
    assert not layer.keeps_rate if rate is None else len(rate) == len(sent)


def test_what_it_is_besides_goes_with_its_role(layer):
    text = (RTL / f"{layer.module}.sv").read_text()
    assert layer.is_fifo == isinstance(layer, Fifo)
    assert layer.has_overflow == isinstance(layer, Accumulating) == bool(re.search(r"\boutput\b.*\boverflow_o\b", text))
    assert layer.has_load_port or not layer.loads_weights


def test_it_changes_no_beat_if_it_stands_between_layers(layer):
    assert layer.between_layers or not layer.is_fifo
    frames = [np.zeros((1, *stream.shape), int) for stream in layer.inputs()]
    assert not layer.between_layers or layer.reference(*frames)[0] is frames[0]


def test_its_output_is_one_index_if_it_is_a_label(layer):
    (stream, *_) = layer.outputs()
    assert not layer.gives_label or (stream.shape == (1, 1, 1) and stream.type.lo == 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_its_demand_has_factors_from_synthesis(layer, family):
    model = ResourceModel.load(family)
    assert layer.op_type in model._coefficients
    assert model.layer(layer).lut > 0


def test_its_foldings_are_those_that_it_has_fields_for(layer):
    names = {field.name for field in fields(layer)}
    assert {field for field in layer.finn_attributes.values() if field} <= names
    options = layer.foldings()
    assert options and all(option.fields.keys() <= names and option.cycles > 0 for option in options)
    assert len({tuple(option.fields.items()) for option in options}) == len(options)


def test_a_folding_file_can_say_how_it_is_folded(layer):
    said = layer.finn_folding()
    for name, field in layer.finn_attributes.items():
        assert not field or said.get(name, 1 if name in ("M", "taps") else None) == getattr(layer, field)
    assert all(isinstance(value, int | str) for value in said.values())
    assert len(layer.parallelism()) == 2 and all(layer.parallelism())


def test_a_report_counts_its_thresholds_if_it_has_some(layer):
    counted = [number for key, number in layer.op_and_param_counts().items() if key.startswith("param_threshold_")]
    steps = int(layer.parameters().get("NumThresholds", 0)).bit_length()
    assert bool(counted) == bool(steps) and sum(layer.threshold_styles().values()) == steps


@pytest.mark.parametrize("name", ACCUMULATING)
def test_its_accumulators_hold_its_sums_and_witnesses_reach_their_ends(name):
    drawn = kernels()[name].draw(Draw(7))
    lows, highs = drawn.accumulator_range()
    layer = replace(drawn, thresholds=None, output_type=IntType(int(lows.min()), int(highs.max())))
    bits = layer.lane_accumulator_bits()
    for row, ends in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
        assert range_bits(*ends) <= bits[row % len(bits)]
    values = set()
    for witness in lane_witnesses(layer):
        pixel = layer.pixel_of(witness.channel, witness.vector(layer.input_type, layer.weights.shape[1]))
        (sums,) = layer.reference(np.broadcast_to(pixel, (1, *layer.inputs()[0].shape)))
        assert (sums[0, :, :, witness.channel] == witness.value).all()
        values.add(witness.value)
    assert {int(lows.min()), int(highs.max())} <= values
    wider = tuple(width + 1 for width in layer.exact_accumulator_bits())
    assert layer.with_accumulator_bits(wider).accumulator_bits == wider


def test_its_luts_have_a_purpose(layer):
    assert layer.lut_purpose in PURPOSES


def test_finn_takes_the_nodes_that_it_names(layer):
    for node in nodes(layer, "xcup"):
        assert node.get_nodeattr("inputDataType" if "inputDataType" in node.get_nodeattr_types() else "dataType")


def test_its_parameters_and_ports_are_those_of_the_module(layer):
    text = (RTL / f"{layer.module}.sv").read_text()
    given = {*layer.parameters(), *layer.memories(), *layer.memory_sets()}
    assert all(name in text for name in given)
    inputs, outputs = (
        tuple(f"{side}{i}" for i in range(len(streams)))
        for side, streams in (("i", layer.inputs()), ("o", layer.outputs()))
    )
    assert all(port in text for port in layer.connections(inputs, outputs))
