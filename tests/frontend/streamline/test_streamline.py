from __future__ import annotations

import numpy as np
import pytest
from qonnx.transformation.base import Transformation

from pipeline.errors import UnsupportedError, VerificationError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from tests.dataflow.networks import Network


def dynamic_shape_network() -> Network:
    """Flattens by Shape, Gather and Concat, as old exporters do, and divides by a root."""
    n = Network(1, 2, 3)
    size = n.node("Gather", [n.node("Shape", ["input"]), n.constant(0, np.int64)])
    batch = n.node("Unsqueeze", [size, n.constant([0], np.int64)])
    shape = n.node("Concat", [batch, n.constant([-1], np.int64)], axis=0)
    n.node("Reshape", ["input", shape])
    n.quant(0.5, 4)
    weight = n.weights(4, 6)
    last = n.last
    n.node("MatMul", [last, n.node("Transpose", [weight], perm=[1, 0])])
    last = n.last
    n.node("Div", [last, n.node("Pow", [n.constant([3.7]), n.constant(0.5)])])
    return n


def float_network() -> Network:
    """A convolution on normalised floats."""
    n = Network(2, 5, 5)
    n.add("Sub", np.float32(0.5).reshape(1, 1, 1, 1))
    n.add("Div", np.array([0.25, 0.3], np.float32).reshape(1, 2, 1, 1))
    n.conv(2, 3)
    n.add("Relu")
    n.quant(0.5, 4, signed=0)
    n.conv(3, 4, 3)
    return n


def quantized_network() -> Network:
    """A convolution between quantizers, which nothing can be taken out of."""
    n = Network(2, 5, 5)
    n.quant(0.5, 4)
    n.conv(2, 3)
    n.quant(0.5, 4)
    return n


def test_folds_shapes_and_transposes() -> None:
    network = dynamic_shape_network()
    model, frames = network.model(), network.frames(5)
    before = model.SerializeToString(deterministic=True)
    steps: list[str] = []
    result = streamline.streamline(model, frames, run_graph(model, frames), lambda name, _: steps.append(name))
    assert model.SerializeToString(deterministic=True) == before
    operators = {node.op_type for node in result.model.graph.node}
    assert not operators & {"Shape", "Gather", "Concat", "Pow", "Transpose"}
    assert "FoldConstants" in steps
    assert result.input_quantizer is None
    np.testing.assert_allclose(run_graph(result.model, frames), result.outputs, rtol=1e-6, atol=1e-6)


def test_the_same_network_gives_the_same_file() -> None:
    """QONNX draws the names of new tensors at random, and a file that differs makes every later stage run again."""
    network = dynamic_shape_network()
    shared = network.constant([0.5])
    for _ in range(2):
        network.node("Mul", [network.last, shared])  # what two nodes share is given to each under a name of its own
    model, frames = network.model(), network.frames(2)
    results = [streamline.streamline(model, frames, run_graph(model, frames)).model for _ in range(2)]
    assert {tensor.name for tensor in results[0].graph.initializer} - {
        tensor.name for tensor in model.graph.initializer
    }
    assert results[0].SerializeToString(deterministic=True) == results[1].SerializeToString(deterministic=True)


def test_transposes_that_undo_each_other_go() -> None:
    """Exporters to channels-last leave such pairs; FINN's transformations take them out."""
    network = float_network()
    there, back = (0, 2, 3, 1), (0, 3, 1, 2)
    network.add("Transpose", perm=there)
    network.add("Transpose", perm=back)
    network.quant(1.0, 3)
    model, frames = network.model(), network.frames(5)
    result = streamline.streamline(model, frames, run_graph(model, frames))
    assert "Transpose" not in {node.op_type for node in result.model.graph.node}
    dataflow.convert(result.model, frames, top1=False)


def test_float_input_gets_a_quantizer_for_its_range_and_the_effect_is_told() -> None:
    network = float_network()
    model, frames = network.model(), network.frames(6)
    outputs = run_graph(model, frames)
    ends = np.float32(-4), np.float32(2)
    result = streamline.streamline(model, frames, outputs, ends=ends)
    quantizer = result.input_quantizer
    assert quantizer.signed and quantizer.low == pytest.approx((-4 - 0.5) / 0.25)
    assert quantizer.scale == pytest.approx((4 + 0.5) / 0.25 / 127)
    assert quantizer.frames == 6
    assert quantizer.largest_difference == pytest.approx(np.abs(result.outputs - outputs).max())
    graph = dataflow.convert(result.model, frames, top1=False).graph
    assert graph.input_transform.apply(np.full((1, *frames.shape[1:]), -4, np.float32)).min() == -127
    assert len(graph.input_transform.steps) == 2


def pixel_network() -> Network:
    network = Network(3, 6, 6)
    network.conv(3, 4)
    network.quant(2.0, 4, signed=0)
    return network


def test_an_input_without_negative_numbers_gets_an_unsigned_quantizer_that_is_exact_on_pixels() -> None:
    model = pixel_network().model()
    frames = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 6)).astype(np.float32)
    result = streamline.streamline(model, frames, run_graph(model, frames), ends=(np.float32(0), np.float32(255)))
    quantizer = result.input_quantizer
    assert (quantizer.signed, quantizer.scale, quantizer.largest_difference) == (False, 1.0, 0.0)


def test_where_frames_choose_the_range_the_effect_is_measured_on_the_others() -> None:
    model = pixel_network().model()
    frames = np.random.default_rng(0).random((6, 3, 6, 6), np.float32)
    frames[3:] *= 100  # far outside of what the first three show
    result = streamline.streamline(model, frames, run_graph(model, frames))
    quantizer = result.input_quantizer
    assert quantizer.frames == 3 and quantizer.high == pytest.approx(frames[:3].max())
    assert quantizer.choosing == 3 and quantizer.largest_difference > 1
    with pytest.raises(UnsupportedError, match="one golden frame cannot say which"):
        streamline.streamline(model, frames[:1], run_graph(model, frames[:1]))


class DropsTheLastNode(Transformation):
    def apply(self, model):
        last = model.graph.node[-1]
        model.graph.output[0].name = last.input[0]
        model.graph.node.remove(last)
        return model, False


class DoublesTheWeights(Transformation):
    def apply(self, model):
        weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        model.set_initializer(weights.name, 2 * model.get_initializer(weights.name))
        return model, False


class DeclaresAShape(Transformation):
    def apply(self, model):
        model.graph.value_info.add().CopyFrom(model.graph.input[0])
        model.graph.value_info[-1].name = model.graph.node[0].output[0]
        return model, False


class Nothing(Transformation):
    def apply(self, model):
        return model, False


@pytest.mark.parametrize("wrong", [DropsTheLastNode(), DoublesTheWeights()])
def test_a_transformation_that_changes_the_network_is_named(
    wrong: Transformation, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = dynamic_shape_network()
    model, frames = network.model(), network.frames(2)
    monkeypatch.setattr(streamline, "_TRANSFORMATIONS", (wrong,))
    with pytest.raises(VerificationError, match=f"{type(wrong).__name__} changed the golden outputs"):
        streamline.streamline(model, frames, run_graph(model, frames))


def test_what_changes_only_the_name_of_the_output_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class TakesAnotherOutput(Transformation):
        def apply(self, model):
            model.graph.output[0].name = model.graph.node[-1].input[0]
            return model, False

    network = quantized_network()
    model, frames = network.model(), network.frames(2)
    monkeypatch.setattr(streamline, "_TRANSFORMATIONS", (TakesAnotherOutput(),))
    with pytest.raises(VerificationError, match="TakesAnotherOutput changed the golden outputs"):
        streamline.streamline(model, frames, run_graph(model, frames))


@pytest.mark.parametrize(("change", "steps"), [(DeclaresAShape(), ["DeclaresAShape"]), (Nothing(), [])])
def test_only_what_changes_something_is_a_step_and_only_calculations_are_run_again(
    change: Transformation, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = quantized_network()
    model, frames = network.model(), network.frames(2)
    outputs, names, runs = run_graph(model, frames), [], []

    def counted(*given, **options) -> np.ndarray:
        runs.append(given)
        return run_graph(*given, **options)

    monkeypatch.setattr(streamline, "_TRANSFORMATIONS", (change,))
    monkeypatch.setattr(streamline, "run_graph", counted)
    streamline.streamline(model, frames, outputs, lambda name, _: names.append(name))
    assert names == steps
    assert len(runs) == 1  # of the network as it was given


def test_it_says_how_many_frames_were_compared() -> None:
    network = float_network()
    model, frames = network.model(), network.frames(6)
    ends = frames.min(), frames.max()
    result = streamline.streamline(model, frames, run_graph(model, frames), ends=ends, checked=4)
    assert (result.checked, result.input_quantizer.frames, len(result.outputs)) == (4, 6, 6)
