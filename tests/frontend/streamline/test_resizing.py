"""Which pixels a Resize takes, against onnxruntime, which QONNX's executor runs: the same numbers in every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from a2q_driver.input_transform import LINEAR, HostStep
from pipeline.frontend.streamline.operators import OPERATORS
from pipeline.frontend.streamline.resizing import COORDINATES, ROUNDINGS, Resizing, on_host, repeats

_COUNT = 40  # networks a mode


def by_onnxruntime(node: onnx.NodeProto, image: np.ndarray, operands: list[np.ndarray], opset: int) -> np.ndarray:
    names = [name for name in node.input[1:] if name]
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(a, name) for a, name in zip(operands, names, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": image})
    return result


def drawn(rng: np.random.Generator, old: bool, mode: str) -> tuple[str, list[str], list[np.ndarray], int]:
    """An operator, the names of its operands, those that it has, and the version."""
    factors = [1, 1.5, 2, 3, 2.7, 4] if old and mode == "nearest" else [0.5, 0.3, 0.7, 1, 1.5, 2, 3, 2.7, 1 / 3, 4]
    scales = np.array([1, 1, *rng.choice(factors, 2)], np.float32)
    if old:
        return (
            ("Upsample", ["x", "scales"], [np.maximum(scales, 1)], 9)
            if rng.random() < 0.5
            else ("Resize", ["x", "scales"], [scales], 10)
        )
    if rng.random() < 0.5:
        return "Resize", ["x", "", "scales"], [scales], 13
    return "Resize", ["x", "", "", "sizes"], [np.array([1, 2, *rng.integers(1, 24, 2)], np.int64)], 13


@pytest.mark.parametrize("coordinates", [*sorted(set(COORDINATES) - {"half_pixel_symmetric"}), "old"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_it_is_that_of_onnxruntime_in_every_bit(coordinates: str, mode: str) -> None:
    rng = np.random.default_rng(sum(map(ord, coordinates + mode)))
    compared = 0
    for _ in range(_COUNT):
        height, width = rng.integers(1, 12, 2)
        image = rng.normal(0, 3, (1, 2, height, width)).astype(np.float32)
        operator, names, operands, opset = drawn(rng, coordinates == "old", mode)
        options: dict[str, Any] = {"mode": mode}
        if coordinates != "old":
            rounding = list(ROUNDINGS)[rng.integers(len(ROUNDINGS))]
            options |= {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
        node = helper.make_node(operator, names, ["y"], **options)
        expected = by_onnxruntime(node, image, operands, opset)
        if not expected.size:
            continue
        compared += 1
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        given = [None if not name else operands[-1] for name in names[1:]]
        tensors = [None if a is None else torch.from_numpy(a) for a in given]
        assert np.array_equal(OPERATORS[operator](attributes, torch.from_numpy(image), *tensors).numpy(), expected)
        resizing = Resizing.of(attributes, image.shape, given, old=coordinates == "old")
        assert not on_host(resizing, old=coordinates == "old")
        if mode == "linear":  # by the driver
            step = HostStep(LINEAR, resizing.linear(0), resizing.linear(1))
            assert np.array_equal(step.apply(image), expected) and step.apply(image).dtype == np.float32
        elif repeats(resizing):
            rows, columns = (int(factor) for factor in resizing.factors)
            assert np.array_equal(image.repeat(rows, axis=2).repeat(columns, axis=3), expected)
    assert compared > _COUNT // 2


def test_what_the_host_does_not_compute_says_why() -> None:
    def why(old: bool = False, factor: float = 2.0, **options: bytes) -> str:
        return on_host(
            Resizing.of(options, (1, 2, 6, 6), [np.array([1, 1, factor, factor], np.float32)], old=old), old=old
        )

    assert why() == why(mode=b"linear") == why(True, 2.0) == why(True, 0.5, mode=b"linear") == ""
    assert why(mode=b"cubic") == "mode cubic"
    assert why(coordinate_transformation_mode=b"tf_crop_and_resize") == "coordinates tf_crop_and_resize"
    assert why(coordinate_transformation_mode=b"half_pixel_symmetric") == "coordinates half_pixel_symmetric"
    assert why(nearest_mode=b"other") == "rounding other"
    assert "older than version 11" in why(True, 0.5)
