"""Networks on (batch, height, width, channels): QONNX's operators, and inputs whose channels are last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.transformation.infer_shapes import InferShapes

from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.frontend.streamline.damage import reference


def built(model: onnx.ModelProto, frames: np.ndarray, folder: Path) -> np.ndarray:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    read = read_model(path)
    streamlined = streamline.streamline(read, frames, run_graph(read, frames)).model
    graph = dataflow.convert(streamlined, frames, top1=False).graph
    return graph.run(graph.input_transform.apply(frames)) * graph.output_transform.scale + graph.output_transform.bias


def check(model: onnx.ModelProto, frames: np.ndarray, folder: Path) -> None:
    expected = reference(model, frames)
    found = built(model, frames, folder)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=0, atol=1e-5)
    assert len(np.unique(expected)) > 3


@pytest.mark.parametrize("make_input_channels_last", [False, True])
def test_what_qonnx_makes_channels_last_is_built(make_input_channels_last: bool, tmp_path: Path) -> None:
    n = Network(3, 6, 5)
    n.quant(0.5, 4)
    n.conv(3, 4, strides=[1, 1], pads=[1, 1, 1, 1], dilations=[1, 1], group=1)
    n.batch_norm(4)
    n.add("Relu")
    n.quant(0.5, 4, signed=0)
    n.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    n.node("Reshape", [n.last, n.constant([1, -1], np.int64)])
    n.matmul(4 * 3 * 2, 3)
    n.output_shape = (1, 3)
    wrapper = ModelWrapper(n.model()).transform(InferShapes())
    model = wrapper.transform(ConvertToChannelsLastAndClean(make_input_channels_last=make_input_channels_last)).model
    assert any(node.domain == "qonnx.custom_op.channels_last" for node in model.graph.node)
    frames = n.frames(6)
    check(model, frames.transpose(0, 2, 3, 1) if make_input_channels_last else frames, tmp_path)


@pytest.mark.parametrize("quantizer_first", [False, True])
@pytest.mark.parametrize("flattened", [False, True])
def test_an_input_whose_channels_are_last(quantizer_first: bool, flattened: bool, tmp_path: Path) -> None:
    n = Network(4, 5, 3)
    n.add("Mul", np.arange(1, 4, dtype=np.float32) / 4)  # a factor a channel, the host's
    if quantizer_first:
        n.quant(0.5, 4)
    n.add("Transpose", perm=[0, 3, 1, 2])
    if not quantizer_first:
        n.quant(0.5, 4)
    if flattened:
        n.add("Flatten")
        n.matmul(60, 3)
    else:
        n.conv(3, 2)
        n.add("Transpose", perm=[0, 2, 3, 1])
    n.output_shape = (1, 3) if flattened else (1, 2, 3, 2)
    check(n.model(), n.frames(6), tmp_path)
