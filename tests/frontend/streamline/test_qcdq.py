"""Networks of QuantizeLinear and DequantizeLinear, as integers: the hardware's are those of onnxruntime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from brevitas.export import export_onnx_qcdq
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, ShiftedUint8ActPerTensorFloat
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn
from torch.ao import quantization

from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network


def by_onnxruntime(model: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    """Node by node, as the file says: a runtime that fuses them rounds otherwise."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return np.concatenate([session.run(None, {"input": frame[None]})[0] for frame in frames])


def built(model: onnx.ModelProto, frames: np.ndarray, folder: Path) -> LayerGraph:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    read = read_model(path)
    streamlined = streamline.streamline(read, frames, run_graph(read, frames)).model
    return dataflow.convert(streamlined, frames, top1=False).graph


def integers(graph: LayerGraph, frames: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output's integers, and those that the network's `real` outputs stand for."""
    output = graph.run(graph.input_transform.apply(frames))
    if real.ndim == 4:
        real = real.transpose(0, 2, 3, 1)
    real = real.reshape(output.shape).astype(np.float64)
    expected = (real - graph.output_transform.bias) / graph.output_transform.scale
    assert np.abs(expected - np.round(expected)).max() < 1e-3, "the output is quantized"
    return output, np.round(expected)


def dequantized(n: Network, zero: int, bounds: tuple[int, int] | None, moved: str = "") -> str:
    scale, zero_point = n.constant(0.5), n.constant(zero, np.uint8)
    x = n.node("QuantizeLinear", [n.last, scale, zero_point])
    if bounds:
        x = n.node("Clip", [x, *(n.constant(bound, np.uint8) for bound in bounds)])
    if moved:
        x = n.node(moved, [x])
    return n.node("DequantizeLinear", [x, scale, zero_point])


@pytest.mark.parametrize("bounds", [None, (0, 11), (4, 11)], ids=["whole", "clipped", "clipped on both sides"])
@pytest.mark.parametrize("zero", [3, 4, 5, 255])
@pytest.mark.parametrize("moved", ["", "Identity", "Flatten"])
def test_integers_of_any_zero_point_and_range(bounds, zero: int, moved: str, tmp_path: Path) -> None:
    """Halves are rounded before the zero point is added, odd or even."""
    n = Network(6)
    n.output_shape = (1, 3)
    last = dequantized(n, zero, bounds, moved)
    weights = n.constant(n.rng.integers(0, 256, (6, 3)), np.uint8)
    n.node("MatMul", [last, n.node("DequantizeLinear", [weights, n.constant(0.125), n.constant(121, np.uint8)])])
    n.add("Mul", np.float32(0.25))
    dequantized(n, zero, bounds)
    frames = (np.arange(-300, 300, dtype=np.float32) / 4).reshape(-1, 6)  # every half
    model = n.model()
    found, expected = integers(built(model, frames, tmp_path), frames, by_onnxruntime(model, frames))
    assert np.array_equal(found, expected) and len(np.unique(found)) >= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("scale", "has another scale"),
        ("operator", "Concat node Concat_1 computes with the integers of QuantizeLinear_0_out; "),
        ("bounds", r"clips integers to \[7, 7\]"),
    ],
)
def test_qcdq_that_is_no_quantizer(change: str, message: str, tmp_path: Path) -> None:
    n = Network(6)
    n.output_shape = (1, 3)
    x = n.node("QuantizeLinear", ["input", n.constant(0.5), n.constant(0, np.int8)])
    if change == "operator":
        x = n.node("Concat", [x, x], axis=1)
    if change == "bounds":
        x = n.node("Clip", [x, n.constant(7, np.int8), n.constant(7, np.int8)])
    n.node("DequantizeLinear", [x, n.constant(0.25 if change == "scale" else 0.5), n.constant(0, np.int8)])
    n.matmul(12 if change == "operator" else 6, 3)
    with pytest.raises(UnsupportedError, match=rf"{message}.*xport the network "):
        built(n.model(), np.zeros((1, 6), np.float32), tmp_path)


def dense(n: Network) -> None:
    n.add("Gemm", n.rng.normal(size=(6, 8)), n.rng.normal(size=8))
    n.add("Relu")
    n.add("MatMul", n.rng.normal(size=(8, 5)))
    n.add("Sigmoid")
    n.add("Gemm", n.rng.normal(size=(4, 5)), n.rng.normal(size=4), transB=1)


def images(n: Network) -> None:
    n.add("Conv", 0.3 * n.rng.normal(size=(4, 2, 3, 3)), n.rng.normal(size=4), pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    n.add("LeakyRelu", alpha=0.1)
    n.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    n.add("Conv", 0.3 * n.rng.normal(size=(4, 1, 3, 3)), n.rng.normal(size=4), group=4, kernel_shape=[3, 3])
    n.add("GlobalAveragePool")
    n.add("Flatten")
    n.add("Gemm", n.rng.normal(size=(4, 3)), n.rng.normal(size=3))


def residual(n: Network) -> None:
    """A sum whose branches have scales in any ratio, and a function that falls and grows."""
    x = n.add("Conv", 0.3 * n.rng.normal(size=(4, 2, 1, 1)), n.rng.normal(size=4), kernel_shape=[1, 1])
    y = n.add("Conv", 0.3 * n.rng.normal(size=(4, 4, 3, 3)), pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    x = n.node("Add", [y, x])
    n.node("Mul", [x, n.node("Sigmoid", [x])])
    n.add("Conv", n.rng.normal(size=(3, 4, 1, 1)), kernel_shape=[1, 1])
    n.add("GlobalAveragePool")
    n.add("Flatten")


NETWORKS: dict[Callable[[Network], None], tuple[int, ...]] = {dense: (6,), images: (2, 8, 8), residual: (2, 6, 6)}


class _Frames(CalibrationDataReader):
    def __init__(self, frames: np.ndarray) -> None:
        self._frames = iter(frames)

    def get_next(self) -> dict[str, np.ndarray] | None:
        frame = next(self._frames, None)
        return None if frame is None else {"input": frame[None]}


def quantized(build: Callable[[Network], None], folder: Path, **options) -> tuple[onnx.ModelProto, np.ndarray]:
    n = Network(*NETWORKS[build])
    build(n)
    n.output_shape = (1, None)
    path = folder / "float.onnx"
    path.write_bytes(n.model().SerializeToString())
    frames = n.frames(24)
    quantize_static(path, folder / "quantized.onnx", _Frames(frames), **options)
    return onnx.load(folder / "quantized.onnx"), frames


@pytest.mark.parametrize("format_", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=str)
@pytest.mark.parametrize("per_channel", [False, True], ids=["one scale", "a scale a channel"])
@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_static_quantization_of_onnxruntime(build, per_channel, activations, format_, tmp_path: Path) -> None:
    model, frames = quantized(
        build, tmp_path, quant_format=format_, activation_type=activations, weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )  # fmt: skip
    operators = {node.op_type for node in model.graph.node}
    assert any(name.startswith(("QLinear", "QGemm")) for name in operators) == (format_ == QuantFormat.QOperator)
    found, expected = integers(built(model, frames, tmp_path), frames, by_onnxruntime(model, frames))
    assert np.array_equal(found, expected) and len(np.unique(found)) > 20


@pytest.mark.parametrize("kind", [np.int16, np.uint16], ids=lambda kind: kind.__name__)
def test_quantizers_of_16_bits(kind: type, tmp_path: Path) -> None:
    """INT16 and UINT16, which QuantizeLinear has from opset 21 on, with every level of a requantizer's."""
    n = Network(2, 4, 4)
    n.opset, n.output_shape = 21, (1, 3, 4, 4)
    zero = 0 if kind == np.int16 else 1 << 15

    def pair(scale: float, zero: int, kind: type) -> str:
        constants = [n.constant(scale), n.constant(zero, kind)]
        return n.node("DequantizeLinear", [n.node("QuantizeLinear", [n.last, *constants]), *constants])

    def weights(*shape: int) -> str:
        stored = n.constant(n.rng.integers(-7, 8, shape), np.int8)
        return n.node("DequantizeLinear", [stored, n.constant(0.125), n.constant(0, np.int8)])

    x = pair(2.0**-12, zero, kind)
    n.node("Conv", [x, weights(4, 2, 3, 3)], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    n.add("Relu")
    x = pair(2.0**-11, 0, np.uint16)
    n.node("Conv", [x, weights(3, 4, 1, 1)], kernel_shape=[1, 1])
    pair(2.0**-10, zero, kind)
    frames = n.rng.uniform(-9, 9, (6, 2, 4, 4)).astype(np.float32)  # beyond the ends, too
    model = n.model()
    graph = built(model, frames, tmp_path)
    found, expected = integers(graph, frames, by_onnxruntime(model, frames))
    assert np.array_equal(found, expected) and len(np.unique(found)) > 200
    assert graph.streams[graph.input].type.bits == graph.streams[graph.output].type.bits == 16


class Eager(nn.Module):
    """As torch.ao.quantization has it in eager mode."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv1, self.norm, self.relu1 = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        self.pool, self.conv2, self.relu2 = nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU()
        self.average, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu1(self.norm(self.conv1(self.quant(x)))))
        x = self.average(self.relu2(self.conv2(x))).flatten(1)
        return self.dequant(self.linear(x))


class Quantized(nn.Module):
    """As Brevitas has it; a zero point in the middle if `shifted`."""

    def __init__(self, *, shifted: bool) -> None:
        super().__init__()
        activations = ShiftedUint8ActPerTensorFloat if shifted else Int8ActPerTensorFloat
        self.input = qnn.QuantIdentity(act_quant=activations, return_quant_tensor=True)
        self.conv = qnn.QuantConv2d(
            2, 4, 3, padding=1, weight_quant=Int8WeightPerChannelFloat, weight_bit_width=4, bias=True
        )
        self.relu = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.linear = qnn.QuantLinear(4 * 6 * 6, 3, bias=True, weight_bit_width=5)
        self.output = qnn.QuantIdentity(act_quant=activations, bit_width=6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.linear(self.relu(self.conv(self.input(x))).flatten(1)))


def exported(network: nn.Module, frame: torch.Tensor, path: Path) -> onnx.ModelProto:
    export = torch.onnx.export if isinstance(network, Eager) else export_onnx_qcdq
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export(network, (frame,), str(path), input_names=["input"], opset_version=13, dynamo=False)
    return onnx.load(path)


@pytest.mark.filterwarnings("ignore")
def test_eager_quantization_of_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = quantization.fuse_modules(Eager().eval(), [["conv1", "norm", "relu1"], ["conv2", "relu2"]])
    network.qconfig = quantization.get_default_qconfig("fbgemm")
    quantization.prepare(network, inplace=True)
    frames = torch.randn(24, 2, 8, 8)
    network(frames)
    quantization.convert(network, inplace=True)
    model = exported(network, frames[:1], tmp_path / "torch.onnx")
    found, expected = integers(
        built(model, frames.numpy(), tmp_path), frames.numpy(), by_onnxruntime(model, frames.numpy())
    )
    # the runtime's float32 moves a value over a boundary now and then; `built` has compared each integer in double
    assert np.abs(found - expected).max() <= 1 and (found != expected).mean() < 0.03 and len(np.unique(found)) > 20


@pytest.mark.parametrize("shifted", [False, True])
def test_qcdq_of_brevitas(shifted: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, frames = Quantized(shifted=shifted), torch.randn(24, 2, 6, 6)
    for _ in range(40):
        network.train()(frames)
    model = exported(network.eval(), frames[:1], tmp_path / "brevitas.onnx")
    found, expected = integers(
        built(model, frames.numpy(), tmp_path), frames.numpy(), by_onnxruntime(model, frames.numpy())
    )
    assert np.array_equal(found, expected) and len(np.unique(found)) > 10


@pytest.mark.parametrize("zero", [1, 114, 127, 128, 254])
def test_a_zero_point_in_the_middle_costs_no_bit(zero: int, tmp_path: Path) -> None:
    """At the input and behind a layer, through padding, a max pool and windows; the sums of a last layer get a bias."""
    n = Network(2, 5, 6)
    n.output_shape = (1, 2, 3, 4)
    scale, point = n.constant(0.25), n.constant(zero, np.uint8)
    n.node("DequantizeLinear", [n.node("QuantizeLinear", [n.last, scale, point]), scale, point])

    def conv(inputs: int, outputs: int, kernel: int, **options) -> None:
        weights = n.constant(n.rng.integers(-127, 128, (outputs, inputs, kernel, kernel)), np.int8)
        last = n.last
        real = n.node("DequantizeLinear", [weights, n.constant(2.0**-6), n.constant(0, np.int8)])
        n.node("Conv", [last, real], kernel_shape=[kernel, kernel], **options)

    conv(2, 3, 3, pads=[1, 1, 1, 1])
    scale, point = n.constant(0.5), n.constant(zero, np.uint8)
    n.node("DequantizeLinear", [n.node("QuantizeLinear", [n.last, scale, point]), scale, point])
    n.add("MaxPool", kernel_shape=[2, 2], pads=[1, 0, 0, 0])
    conv(3, 2, 3, pads=[0, 1, 0, 0])
    model = n.model()
    frames = (n.rng.integers(-300, 301, (12, 2, 5, 6)) / 8).astype(np.float32)
    graph = built(model, frames, tmp_path)
    assert {stream.type.bits for name, stream in graph.streams.items() if not name.startswith("MVAU_1")} == {8}
    assert (graph.layers[-1].bias is None) == (zero in (128,))
    outputs = graph.output_transform.outputs(graph.run(graph.input_transform.apply(frames)))
    assert np.array_equal(np.moveaxis(outputs, -1, 1), by_onnxruntime(model, frames))
