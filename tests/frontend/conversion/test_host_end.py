"""What stands behind the last layer and no layer takes is computed by the driver, as QONNX's executor computes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from a2q_driver.transforms import Transforms, load_transforms, save_transforms
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.conversion.dataflow import DataflowResult
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.frontend.streamline.damage import reference

_ANCHORS, _CLASSES, _SIDE = 2, 3, 4


def converted(model: onnx.ModelProto, frames: np.ndarray, folder: Path, top1: bool | None) -> DataflowResult:
    path = folder / "net.onnx"
    value = model.graph.output[0]
    axes = reference(model, frames[:1]).ndim
    value.CopyFrom(
        helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, [1] + [None] * (axes - 1))
    )
    path.write_bytes(model.SerializeToString())
    read = read_model(path)
    streamlined = streamline.streamline(read, frames, run_graph(read, frames)).model
    return dataflow.convert(streamlined, frames, top1=top1)


def of_the_driver(result: DataflowResult, frames: np.ndarray, folder: Path) -> np.ndarray:
    """By the transforms that a package holds, written and read again."""
    graph, after = result.graph, result.graph.output_transform
    path = folder / "transform.npz"
    save_transforms(path, Transforms(graph.input_transform, None, after.scale, after.bias, after.steps, after.layout))
    return load_transforms(path).outputs(graph.run(graph.input_transform.apply(frames)))


def sliced(n: Network, source: str, axis: int, start: int, end: int, step: int = 1) -> str:
    operands = [n.constant([value], np.int64) for value in (start, end, axis, step)]
    return n.node("Slice", [source, *operands])


def boxes(n: Network) -> None:
    """The decoding of YOLOv5 as it is exported: centers and sizes of boxes in pixels, and scores."""
    outputs = _ANCHORS * (5 + _CLASSES)
    n.conv(4, outputs, 1)
    n.add("Reshape", n.constant([1, _ANCHORS, 5 + _CLASSES, _SIDE, _SIDE], np.int64))
    n.add("Transpose", perm=[0, 1, 3, 4, 2])
    scores = n.add("Sigmoid")
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    grid = np.stack([columns, rows], axis=-1)[None, None] - 0.5
    anchors = np.array([[10, 13], [33, 23]], np.float32).reshape(1, _ANCHORS, 1, 1, 2)
    n.add("Mul", 2.0, at=sliced(n, scores, 4, 0, 2))
    n.add("Add", grid)
    centers = n.add("Mul", 8.0)
    n.add("Mul", 2.0, at=sliced(n, scores, 4, 2, 4))
    n.add("Pow", 2.0)
    sizes = n.add("Mul", anchors)
    rest = sliced(n, scores, 4, 4, 5 + _CLASSES)
    n.node("Concat", [centers, sizes, rest], axis=4)
    n.add("Reshape", n.constant([1, -1, 5 + _CLASSES], np.int64))


def vector(*ends: tuple[str, tuple, dict]) -> Callable[[Network], None]:
    def build(n: Network) -> None:
        n.add("GlobalAveragePool")
        n.add("Flatten")
        n.matmul(4, 6)
        for operator, operands, options in ends:
            n.add(operator, *operands, **options)

    return build


def image(*ends: tuple[str, tuple, dict]) -> Callable[[Network], None]:
    def build(n: Network) -> None:
        n.conv(4, 6, 1)
        for operator, operands, options in ends:
            n.add(operator, *operands, **options)

    return build


def gates(n: Network) -> None:
    """A part times the sigmoid of the other, and the places of a Gather with one axis less."""
    n.conv(4, 6, 1)
    whole = n.last
    a = sliced(n, whole, 1, 0, 3)
    b = n.add("Sigmoid", at=sliced(n, whole, 1, 3, 6))
    n.node("Mul", [a, b])
    n.add("Gather", n.constant([2, 0, -2], np.int64), axis=1)
    n.add("Gather", n.constant(1, np.int64), axis=2)


ENDS: dict[str, Callable[[Network], None]] = {
    "boxes": boxes,
    "softmax": vector(("Softmax", (), {"axis": 1})),
    "log softmax, shifted": vector(("LogSoftmax", (), {"axis": -1}), ("Add", (0.5,), {})),
    "sigmoid of a scaled sum": vector(("Mul", (0.01,), {}), ("Add", (np.arange(6),), {}), ("Sigmoid", (), {})),
    "tanh, reciprocal": vector(("Tanh", (), {}), ("Add", (2.0,), {}), ("Reciprocal", (), {})),
    "constant first": vector(("Sigmoid", (), {}), ("Neg", (), {}), ("Exp", (), {}), ("Sqrt", (), {}), ("Log", (), {})),
    "clip": image(("Clip", (np.float32(-0.25), np.float32(0.5)), {})),
    "relu": image(("Relu", (), {})),
    "leaky": image(("LeakyRelu", (), {"alpha": 0.125}), ("Abs", (), {})),
    "hard sigmoid, softplus": image(("HardSigmoid", (), {}), ("Softplus", (), {})),
    "softmax of pixels": image(("Softmax", (), {"axis": 1})),
    "a number a pixel": image(("Mul", (np.arange(1, 17).reshape(1, 1, 4, 4) / 8,), {})),
    "steps over columns": image(("Sigmoid", (), {}), ("Slice", (np.array([3]), np.array([-9]), np.array([3]), np.array([-2])), {})),
    "gates": gates,
}  # fmt: skip


def network(end: Callable[[Network], None]) -> Network:
    n = Network(4, _SIDE, _SIDE)
    n.quant(0.5, 5)
    end(n)
    for name, array in n.arrays.items():
        if array.ndim and n.nodes[-1].op_type == "Slice" and name in n.nodes[-1].input:
            n.arrays[name] = array.astype(np.int64)
    return n


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_driver_gives_what_the_network_gives(end: Callable[[Network], None], tmp_path: Path) -> None:
    n = network(end)
    model, frames = n.model(), n.frames(6)
    result = converted(model, frames, tmp_path, top1=False)
    assert result.on_host and not result.left_out
    expected = reference(model, frames)
    actual = of_the_driver(result, frames, tmp_path)
    assert actual.shape == expected.shape and np.ptp(expected) > 0
    np.testing.assert_allclose(actual, expected, rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"k": 3}, lambda x: np.argsort(-x, axis=1, kind="stable")[:, :3]),
        ({"k": 2, "largest": 0}, lambda x: np.argsort(x, axis=1, kind="stable")[:, :2]),
    ],
)
@pytest.mark.parametrize("gives", ["places", "values"])
def test_the_largest_of_several(options: dict[str, int], expected, gives: str, tmp_path: Path) -> None:
    n = network(vector())
    options = dict(options)
    logits = n.last
    n.node("TopK", [logits, n.constant([options.pop("k")], np.int64)], **options)
    n.nodes[-1].output.append("places")
    model = n.model()
    model.graph.output[0].name = "places" if gives == "places" else n.last
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64 if gives == "places" else TensorProto.FLOAT
    frames = n.frames(20)
    result = converted(model, frames, tmp_path, top1=None)
    assert not result.top1 and "TopK" in result.on_host
    plain = network(vector()).model()
    real = reference(plain, frames)
    order = expected(real)
    wanted = order if gives == "places" else np.take_along_axis(real, order, axis=1)
    np.testing.assert_allclose(of_the_driver(result, frames, tmp_path), wanted, rtol=1e-6)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_class_for_each_pixel(keepdims: int, tmp_path: Path) -> None:
    n = network(image(("ArgMax", (), {"axis": 1, "keepdims": keepdims})))
    model = n.model()
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    frames = n.frames(5)
    result = converted(model, frames, tmp_path, top1=None)
    actual, expected = of_the_driver(result, frames, tmp_path), reference(model, frames)
    assert np.array_equal(actual, expected) and actual.shape == expected.shape and len(np.unique(actual)) > 2


def test_a_label_is_not_taken_behind_what_changes_the_order(tmp_path: Path) -> None:
    n = network(vector(("Softmax", (), {"axis": 1}), ("Neg", (), {})))
    model, frames = n.model(), n.frames(4)
    assert not converted(model, frames, tmp_path, top1=None).top1
    with pytest.raises(
        UnsupportedError, match="2 nodes|Softmax node Softmax_5 and Neg node Neg_6, which gives no label"
    ):
        converted(model, frames, tmp_path, top1=True)


@pytest.mark.parametrize("axis", [-1, 3, 1])
def test_a_softmax_over_another_axis_than_the_classes_leaves_no_label(axis: int, tmp_path: Path) -> None:
    n = network(image(("GlobalAveragePool", (), {}), ("Softmax", (), {"axis": axis})))
    model, frames = n.model(), n.frames(6)
    result = converted(model, frames, tmp_path, top1=None)
    assert result.top1 == (axis == 1)
    if not result.top1:
        assert np.array_equal(of_the_driver(result, frames, tmp_path), np.ones((6, 6, 1, 1)))


def test_what_layers_take_stays_theirs(tmp_path: Path) -> None:
    n = network(image(("Mul", (0.5,), {}), ("Add", (np.arange(6).reshape(6, 1, 1),), {})))
    sliced(n, n.last, 1, 1, 4)
    model, frames = n.model(), n.frames(3)
    result = converted(model, frames, tmp_path, top1=False)
    assert not result.on_host and not result.graph.output_transform.steps
    assert result.graph.streams[result.graph.output].shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (image(("Softmax", (), {"axis": 0})), "over the batch"),
        (image(("Sigmoid", (), {}), ("Gather", (np.array([[0, 1]], np.int64),), {"axis": 1})), "several axes"),
    ],
)
def test_what_the_driver_cannot_do_is_refused(end: Callable[[Network], None], words: str, tmp_path: Path) -> None:
    n = Network(4, _SIDE, _SIDE)
    n.quant(0.5, 5)
    end(n)
    for name in n.nodes[-1].input[1:]:
        n.arrays[name] = n.arrays[name].astype(np.int64)
    with pytest.raises(UnsupportedError, match=words):
        converted(n.model(), n.frames(2), tmp_path, top1=False)


@pytest.mark.parametrize("last", ["Concat", "Mul"])
def test_an_output_that_the_driver_would_make_of_two_tensors_is_refused(last: str, tmp_path: Path) -> None:
    """And named with both of them; what layers join is theirs."""
    n = Network(2, _SIDE, _SIDE)
    x = n.quant(0.5, 5)
    a, b = (n.conv(2, 3, 1, at=x) for _ in range(2))
    n.node(last, [n.add("Sigmoid", at=a), b], **({"axis": 1} if last == "Concat" else {}))
    named = (
        rf"The output {last}_6_out is for the driver to compute, by Sigmoid node Sigmoid_5, {last} node {last}_6, and"
    )
    with pytest.raises(
        UnsupportedError, match=rf"{named} it takes one .* made of {a} and {b}. Export these as 2 outputs"
    ):
        converted(n.model(), n.frames(2), tmp_path, top1=False)
    n.node("Concat", [a, b], axis=1)
    assert converted(n.model(), n.frames(2), tmp_path, top1=False).graph.streams
