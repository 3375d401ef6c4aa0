from __future__ import annotations

from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import onnx
import pytest
import torch
from brevitas.export import export_onnx_qcdq
from torch import nn

from pipeline.errors import ModelError, UnsupportedError
from pipeline.models import export
from pipeline.models.layers import A2Q_WEIGHT_QUANTIZERS, Uint8Pixels
from tests.dataflow.networks import Network

ACCUMULATOR_BITS = 10


def a2q_network() -> nn.Module:
    """Two A2Q convolutions whose float weights break the bound by far, so that exporting them would show."""
    torch.manual_seed(0)
    weights = A2Q_WEIGHT_QUANTIZERS["a2q"].let(accumulator_bit_width=ACCUMULATOR_BITS)
    network = nn.Sequential(
        qnn.QuantIdentity(Uint8Pixels, return_quant_tensor=True),
        qnn.QuantConv2d(2, 4, 3, bias=False, weight_bit_width=8),
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        qnn.QuantConv2d(4, 5, 3, bias=False, weight_bit_width=4, weight_quant=weights),
        nn.BatchNorm2d(5),
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        qnn.QuantConv2d(5, 3, 2, bias=False, weight_bit_width=4, weight_quant=weights),
        nn.Flatten(),
    )
    network.train()
    with torch.no_grad():
        for layer in (network[3], network[6]):
            layer.weight.mul_(5)
        for _ in range(3):
            network(torch.rand(4, 2, 6, 6))
    return network.eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((16, 2, 6, 6), np.float32)


def test_file_holds_what_the_network_computes(tmp_path: Path, images: np.ndarray) -> None:
    model, golden, result = export.export_brevitas(a2q_network(), images, tmp_path)
    assert result.layers == 3 and result.frames == 16
    assert result.largest_difference <= 1e-5
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    quantizer = next(node for node in model.graph.node if node.input[0] == "3.weight")
    integers = np.round(weights["3.weight"] / weights[quantizer.input[1]])
    bound = (2 ** (ACCUMULATOR_BITS - 1) - 1) / 2**4  # ‖w‖₁ of the A2Q paper, 4-bit unsigned inputs
    assert 0 < np.abs(integers).reshape(5, -1).sum(axis=1).max() <= bound
    stored = export.Golden.load(tmp_path / "golden.npz")
    assert np.array_equal(stored.inputs, images) and np.array_equal(stored.outputs, golden.outputs)


def write(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def network() -> Network:
    n = Network(6)
    n.quant(0.5, 4)
    n.matmul(6, 3)
    n.output_shape = (1, 3)
    return n


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    n = network()
    _, golden = export.take_qonnx(write(n.model(), tmp_path / "m.onnx"), n.frames(4), tmp_path / "out")
    assert golden.outputs.shape == (4, 3)
    assert (tmp_path / "out" / "model.onnx").exists()


def test_what_brevitas_exports_as_qcdq_is_what_it_computes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(
        qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
        qnn.QuantConv2d(2, 4, 3, weight_bit_width=4, bias=True),
        nn.BatchNorm2d(4),
        qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(64, 3, bias=True, weight_bit_width=4),
    )
    plain.train()
    plain(torch.rand(4, 2, 6, 6))
    plain.eval()
    path = tmp_path / "qcdq.onnx"
    export_onnx_qcdq(plain, torch.rand(1, 2, 6, 6), str(path), dynamo=False, opset_version=13)
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)
    frames = np.random.default_rng(0).normal(size=(16, 2, 6, 6)).astype(np.float32)
    model, golden = export.take_qonnx(path, frames, tmp_path / "out")
    assert sum(node.op_type == "Quant" for node in model.graph.node) == 4
    expected = plain(torch.from_numpy(frames)).detach().numpy()
    np.testing.assert_allclose(golden.outputs, expected, rtol=1e-5, atol=1e-5)


def test_truncated_file(tmp_path: Path) -> None:
    path = write(network().model(), tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError, match=r"m\.onnx"):
        export.take_qonnx(path, network().frames(), tmp_path / "out")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.onnx cannot be read"):
        export.take_qonnx(tmp_path / "nothing.onnx", network().frames(), tmp_path / "out")


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("not a network")
    with pytest.raises(ModelError, match=r"m\.onnx"):
        export.take_qonnx(path, network().frames(), tmp_path / "out")


def test_external_data(tmp_path: Path) -> None:
    model = network().model()
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    with pytest.raises(ModelError, match="is kept in the file .* Only a file beside the model"):
        export.take_qonnx(write(model, tmp_path / "m.onnx"), network().frames(), tmp_path / "out")


def test_unsupported_operator(tmp_path: Path) -> None:
    n = network()
    n.add("Tan")
    with pytest.raises(UnsupportedError, match=r"m\.onnx: Tan node Tan_3 .* Supported are .*MatMul"):
        export.take_qonnx(write(n.model(), tmp_path / "m.onnx"), n.frames(), tmp_path / "out")


def test_outputs_that_are_not_finite(tmp_path: Path) -> None:
    n = Network(6)
    n.quant(0.5, 4)
    n.matmul(6, 3)
    for _ in range(8):
        n.add("Mul", 1e18)
    n.output_shape = (1, 3)
    with pytest.raises(ModelError, match=r"m\.onnx gives NaN or infinity for golden frame 0 .* overflow float32"):
        export.take_qonnx(write(n.model(), tmp_path / "m.onnx"), n.frames(), tmp_path / "out")


def test_frames_of_another_shape(tmp_path: Path) -> None:
    n = network()
    with pytest.raises(ModelError, match=r"takes frames of shape \(6,\)"):
        export.take_qonnx(write(n.model(), tmp_path / "m.onnx"), n.frames()[:, :5], tmp_path / "out")
