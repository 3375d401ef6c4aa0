"""What stands before the first quantizer and moves or mixes pixels is computed by the driver, as QONNX's executor computes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from a2q_driver.preprocessing import lookup_table
from a2q_driver.transforms import Transforms, load_transforms, save_transforms
from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.input_range import quantizer_range
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.frontend.streamline.damage import reference

_HEIGHT, _WIDTH = 7, 5


def resize(n: Network, *factors: float, mode: str = "linear", **options) -> str:
    return n.node("Resize", [n.last, "", n.constant([1, 1, *factors])], mode=mode, **options)


def sized(n: Network, height: int, width: int, **options) -> str:
    return n.node("Resize", [n.last, "", "", n.constant([1, 2, height, width], np.int64)], **options)


def sliced(n: Network, source: str, axis: int, start: int, end: int, step: int = 1) -> str:
    return n.node("Slice", [source, *(n.constant([value], np.int64) for value in (start, end, axis, step))])


def normalised_and_resized(n: Network) -> None:
    n.add("Sub", np.array([0.5, -0.25]).reshape(2, 1, 1))
    resize(n, 1.7, 2.4)
    n.add("Div", np.array([0.7, 1.3]).reshape(2, 1, 1))


def focus(n: Network) -> None:
    """The first layer of YOLOv5, of a tensor with as many rows and columns as it needs."""
    sized(n, 8, 6, mode="linear")
    whole, parts = n.last, []
    for row, column in ((0, 0), (1, 0), (0, 1), (1, 1)):
        parts.append(sliced(n, sliced(n, whole, 2, row, 8, 2), 3, column, 6, 2))
    n.node("Concat", parts, axis=1)


def cropped(n: Network) -> None:
    sliced(n, n.last, 2, 1, 6)
    n.add("Mul", np.arange(1, 51).reshape(2, 5, 5) / 16)
    n.add("Clip", np.float32(-0.75), np.float32(0.75))
    sliced(n, n.last, 1, 1, 2)


BEGINNINGS: dict[str, tuple[Callable[[Network], None], int]] = {
    "linear": (lambda n: resize(n, 2, 1.5), 2),
    "normalised, then linear": (normalised_and_resized, 2),
    "smaller": (lambda n: sized(n, 4, 3, mode="linear", coordinate_transformation_mode="align_corners"), 2),
    "nearest": (lambda n: sized(n, 9, 11, mode="nearest", nearest_mode="floor"), 2),
    "nearest, twice each": (lambda n: resize(n, 2, 2, mode="nearest"), 2),
    "rows and columns change places": (lambda n: n.add("Transpose", perm=[0, 1, 3, 2]), 2),
    "transposed, resized, transposed": (
        lambda n: (n.add("Transpose", perm=[0, 1, 3, 2]), resize(n, 1.3, 2), n.add("Transpose", perm=[0, 1, 3, 2])),
        2,
    ),
    "focus": (focus, 8),
    "cropped": (cropped, 1),
}


def network(begin: Callable[[Network], None], channels: int) -> Network:
    n = Network(2, _HEIGHT, _WIDTH)
    begin(n)
    n.quant(0.25, 5)
    n.conv(channels, 3, pads=[1, 1, 1, 1])
    n.quant(1.0, 4)
    n.conv(3, 2)
    return n


def read(n: Network, folder: Path, axes: int = 4) -> onnx.ModelProto:
    model = n.model()
    model.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info(n.last, onnx.TensorProto.FLOAT, [1] + [None] * (axes - 1))
    )
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return read_model(folder / "net.onnx")


@pytest.mark.parametrize(("begin", "channels"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_the_integers_are_those_of_qonnx(begin: Callable[[Network], None], channels: int, tmp_path: Path) -> None:
    """Also after the graph and the driver's file are written and read."""
    n = network(begin, channels)
    frames = n.frames(8)
    model = read(n, tmp_path)
    streamlined = streamline.streamline(model, frames, run_graph(model, frames)).model
    graph = dataflow.convert(streamlined, frames, top1=False).graph
    save_graph(graph, tmp_path)
    graph = load_graph(tmp_path)
    after = graph.output_transform
    save_transforms(tmp_path / "transform.npz", Transforms(graph.input_transform, None, after.scale, after.bias))
    transforms = load_transforms(tmp_path / "transform.npz")
    outputs = transforms.real(graph.run(transforms.input.apply(frames)))
    expected = reference(n.model(), frames)
    assert np.ptp(expected) > 0 and np.array_equal(np.moveaxis(outputs, -1, 1), expected)
    assert {step.op for step in transforms.input.steps} & {"take", "linear"}
    assert lookup_table(transforms.input, (0.0, 0.0), (1.0, 1.0)) is None
    if begin is not cropped:
        assert all(layer.op_type not in ("UpsampleNearestNeighbour", "Crop", "DepthToSpace") for layer in graph)


def test_a_float_network_is_quantized_behind_a_mean_of_pixels_and_before_a_repetition(tmp_path: Path) -> None:
    for mode, op in (("linear", "linear"), ("nearest", None)):
        n = Network(2, _HEIGHT, _WIDTH)
        resize(n, 2, 2, mode=mode)
        n.conv(2, 3)
        frames = n.frames(8)
        model = read(n, tmp_path)
        ends = np.full((2, _HEIGHT, _WIDTH), -8, np.float32), np.full((2, _HEIGHT, _WIDTH), 8, np.float32)
        result = streamline.streamline(model, frames, run_graph(model, frames), ends=ends)
        graph = dataflow.convert(result.model, frames, top1=False).graph
        assert [step.op for step in graph.input_transform.steps] == ([op] if op else [])
        assert ("UpsampleNearestNeighbour" in [layer.op_type for layer in graph]) == (mode == "nearest")


def test_parts_that_are_quantized_each_by_itself_are_cut_from_one_quantized_input(tmp_path: Path) -> None:
    n = Network(2, _HEIGHT, _WIDTH)
    parts = []
    for channel, scale in ((0, 0.5), (1, 0.25)):
        sliced(n, "input", 1, channel, channel + 1)
        n.quant(scale, 4)
        n.conv(1, 2, 1)
        parts.append(n.quant(1.0, 4))
    n.node("Concat", parts, axis=1)
    n.conv(4, 2, 1)
    frames = n.frames(8)
    model = read(n, tmp_path)
    ends = np.full((2, _HEIGHT, _WIDTH), -8, np.float32), np.full((2, _HEIGHT, _WIDTH), 8, np.float32)
    result = streamline.streamline(model, frames, run_graph(model, frames), ends=ends)
    assert result.input_quantizer is not None
    kinds = [layer.op_type for layer in dataflow.convert(result.model, frames, top1=False).graph]
    assert kinds.count("Crop") == 2


def test_the_range_of_the_input_is_known_before_a_resize(tmp_path: Path) -> None:
    low, high = quantizer_range(read(network(normalised_and_resized, 2), tmp_path))
    expected = np.array([-16, 15])[:, None] * 0.25 * np.array([0.7, 1.3]) + np.array([0.5, -0.25])
    np.testing.assert_allclose([low.ravel(), high.ravel()], expected, rtol=1e-5)
    n = Network(2, _HEIGHT, _WIDTH)
    n.add("Mul", np.arange(1, 71).reshape(2, _HEIGHT, _WIDTH))
    resize(n, 2, 2)
    n.quant(0.25, 5)
    n.conv(2, 3)
    assert quantizer_range(read(n, tmp_path)) is None


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (
            lambda n: resize(n, 2, 2, mode="cubic"),
            "Resize_0 makes .* by mode cubic; before the first quantizer nearest",
        ),
        (lambda n: resize(n, 1.5, 2, coordinate_transformation_mode="half_pixel_symmetric"), "half_pixel_symmetric"),
        (
            lambda n: n.node("Concat", [n.add("Relu"), "input"], axis=1),
            "Concat_1 joins tensors before the first quantizer",
        ),
    ],
)
def test_what_the_driver_cannot_do_is_refused(begin: Callable[[Network], None], words: str, tmp_path: Path) -> None:
    n = network(begin, 2 if "Concat" not in words else 4)
    frames = n.frames(2)
    with pytest.raises(UnsupportedError, match=words):
        model = read(n, tmp_path)
        dataflow.convert(streamline.streamline(model, frames, run_graph(model, frames)).model, frames, top1=False)
