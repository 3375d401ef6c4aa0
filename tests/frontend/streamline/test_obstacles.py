"""All nodes that stand in the way are named, and nobody is blamed for what another one did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.conversion.walk import find_obstacles
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network


def refused(build: Callable[[Network], None], folder: Path, *shape: int) -> UnsupportedError:
    n = Network(*shape)
    build(n)
    n.output_shape = (1, None)
    path = folder / "net.onnx"
    path.write_bytes(n.model().SerializeToString())
    with pytest.raises(UnsupportedError) as caught:
        read_model(path, find_obstacles)
    return caught.value


def several(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 4, pads=[1, 1, 1, 1])
    n.add("Det", at=n.add("Tan"))  # that of every matrix: another shape
    n.quant(0.5, 4)
    n.matmul(4, 3)
    n.node("Foo", [n.last])
    n.add("Relu")
    n.quant(0.5, 4)
    n.add("MatMul", n.rng.normal(size=(3, 2)))
    n.add("Cosh")


def test_every_node_in_the_way_is_named(tmp_path: Path) -> None:
    """What ONNX does not know, what cannot be built, what lies behind both, and what only the walk over layers finds."""
    error = refused(several, tmp_path, 2, 6, 6)
    names = [obstacle.node for obstacle in error.obstacles]
    assert [name.split("_")[0] for name in names] == ["Tan", "Det", "Foo", "Cosh"]
    assert (
        error.obstacles[0].operator == "Tan"
        and error.obstacles[0].reason == "is not supported on tensors that depend on the input"
    )
    text = str(error)
    assert text.startswith(f"The model {tmp_path / 'net.onnx'}: 4 things stand in the way.")
    assert all(name in text for name in names) and len(text.splitlines()) == 7
    assert text.count("Supported are") == 1, "what to do stands there once"


def test_behind_a_quantizer_the_numbers_are_known_again(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.add("Tan")
        n.matmul(6, 5)  # of unknown numbers: no obstacle itself
        n.quant(0.5, 4)
        n.add("MatMul", n.rng.normal(size=(5, 3)))

    error = refused(build, tmp_path, 6)
    assert [obstacle.operator for obstacle in error.obstacles] == ["Tan", "MatMul"]
    assert "float weights" in error.obstacles[1].reason


def test_the_table_is_short(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        for _ in range(13):
            n.add("Tan")

    error = refused(build, tmp_path, 6)
    assert len(error.obstacles) == 13
    assert str(error).splitlines()[12] == "  and 3 more" and len(str(error).splitlines()) == 14


def test_a_single_obstacle_is_a_sentence(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.add("Tan")
        n.add("Softmax")  # the last node: with a label it needs no layer

    error = refused(build, tmp_path, 6)
    assert str(error).startswith(f"The model {tmp_path / 'net.onnx'}: Tan node Tan_1 is not supported")
    assert len(error.obstacles) == 1 and error.obstacles[0].remedy.startswith("Supported are")


def test_the_walk_names_all_that_it_refuses() -> None:
    n = Network(6)
    for _ in range(2):
        n.quant(0.5, 4)
        n.add("MatMul", n.rng.normal(size=(6, 6)))
    with pytest.raises(UnsupportedError, match="The network mine: 2 things stand in the way") as caught:
        dataflow.convert(
            ModelWrapper(n.model()).transform(InferShapes()).model,
            np.zeros((1, 6), np.float32),
            top1=False,
            name="mine",
        )
    assert [obstacle.node for obstacle in caught.value.obstacles] == ["MatMul_1", "MatMul_3"]
