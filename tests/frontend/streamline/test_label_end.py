"""A network that ends in the index of its largest output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from pipeline.errors import InputError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.label_end import dropped_label
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.frontend.streamline.damage import reference


def labelled(operator: str, *, softmax: bool = False, **options) -> tuple[onnx.ModelProto, np.ndarray]:
    n = Network(6)
    n.quant(0.5, 4)
    n.matmul(6, 5)
    if softmax:
        n.add("Softmax", axis=1)
    if operator == "TopK":
        n.node("TopK", [n.last, n.constant([options.pop("k", 1)], np.int64)], **options)
        n.nodes[-1].output.append("index")
        n.last = "index"
    else:
        n.add(operator, **options)
    n.output_shape = (1, None)
    model = n.model()
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    return model, n.frames(40)


def test_what_a_file_says_of_a_dropped_label_counts_for_nothing(tmp_path: Path) -> None:
    model, _ = labelled("ArgMax", axis=1)
    model.metadata_props.add(key="a2q_dropped_label", value="no JSON")
    onnx.save(model, tmp_path / "net.onnx")
    assert "ArgMax" in dropped_label(read_model(tmp_path / "net.onnx"))


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize(
    ("operator", "options"), [("ArgMax", {"axis": 1}), ("ArgMax", {"axis": -1, "keepdims": 0}), ("TopK", {})]
)
def test_it_is_the_label_of_the_build(operator: str, options: dict[str, int], softmax: bool, tmp_path: Path) -> None:
    model, frames = labelled(operator, softmax=softmax, **options)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    read = read_model(path)
    streamlined = streamline.streamline(read, frames, run_graph(read, frames)).model
    result = dataflow.convert(streamlined, frames, top1=True)
    assert operator in result.left_out and ("Softmax" in result.left_out) == softmax
    labels = result.graph.run(result.graph.input_transform.apply(frames)).ravel()
    assert np.array_equal(labels, reference(model, frames).ravel()) and len(np.unique(labels)) > 1
    assert operator in dataflow.convert(streamlined, frames, top1=False).left_out


@pytest.mark.parametrize(
    ("operator", "options"),
    [
        ("ArgMax", {"axis": 1, "select_last_index": 1}),
        ("ArgMax", {"axis": 0}),
        ("ArgMin", {"axis": 1}),
    ],
)
def test_what_is_another_label_is_refused(operator: str, options: dict[str, int], tmp_path: Path) -> None:
    model, _ = labelled(operator, **options)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=f"{operator} node {operator}_3 is not supported"):
        read_model(path)
