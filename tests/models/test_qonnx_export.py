from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import onnx
import pytest
import torch
from brevitas.quant import (
    Int8AccumulatorAwareWeightQuant,
    Int8AccumulatorAwareZeroCenterWeightQuant,
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    ShiftedUint8WeightPerTensorFloat,
    Uint8ActPerTensorFloat,
)
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from torch import nn

from pipeline import export_qonnx
from pipeline.errors import ConfigError, ModelError, UnsupportedError, VerificationError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.models import export, qonnx_export, resolve
from pipeline.models.network_record import NetworkRecord, read_record
from pipeline.stages import accumulators


def bounded(bits: int, *, centred: bool = False) -> dict:
    kind = Int8AccumulatorAwareZeroCenterWeightQuant if centred else Int8AccumulatorAwareWeightQuant
    return {"weight_bit_width": 4, "weight_quant": kind.let(accumulator_bit_width=bits)}


class Net(nn.Module):
    """Names of its own, biases, a normalisation, a channel scale, a pool, and three bounded layers of two methods."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = qnn.QuantIdentity(Uint8ActPerTensorFloat, return_quant_tensor=True)
        self.stem = qnn.QuantConv2d(2, 4, 3, bias=True, weight_quant=Int8WeightPerChannelFloat)
        self.relu = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.body = nn.Sequential(
            qnn.QuantConv2d(4, 5, 3, bias=False, **bounded(10)),
            nn.BatchNorm2d(5),
            qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
            nn.MaxPool2d(2),
            qnn.QuantConv2d(5, 6, 1, bias=False, **bounded(11, centred=True)),
            qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
        )
        self.hidden = qnn.QuantLinear(24, 8, bias=True, **bounded(12))
        self.last_relu = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.head = qnn.QuantLinear(8, 3, bias=False)

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        x = self.body(self.relu(self.stem(self.pixels(photo))))
        return self.head(self.last_relu(self.hidden(x.flatten(1))))


def trained() -> nn.Module:
    """A network with float weights that break its bounds by far, as training leaves them, so that exporting them shows."""
    torch.manual_seed(0)
    network = Net().train()
    with torch.no_grad():
        for layer in (network.body[0], network.body[4], network.hidden):
            layer.weight.mul_(8)
        for _ in range(3):
            network(torch.rand(8, 2, 8, 8))
    return network.eval()


@pytest.fixture
def exported(tmp_path: Path) -> tuple[nn.Module, Path, qonnx_export.ExportResult]:
    network, path = trained(), tmp_path / "net.onnx"
    return (
        network,
        path,
        export_qonnx(network, torch.rand(1, 2, 8, 8), path, input_range=(0, 1), classes=["a", "b", "c"]),
    )


def integers_of(path: Path, name: str) -> np.ndarray:
    graph = onnx.load(path).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    node = next(node for node in graph.node if node.input and node.input[0] == name)
    return np.round(arrays[name] / arrays[node.input[1]])


def test_the_file_keeps_bounds_and_names(exported) -> None:
    network, path, result = exported
    assert (result.layers, result.frames) == (5, 17)
    assert {name: (b.method, b.accumulator_bits) for name, b in result.bounds.items()} == {
        "body.0": ("a2q", 10),
        "body.4": ("a2q_plus", 11),
        "hidden": ("a2q", 12),
    }
    assert "hidden (P = 12, a2q)" in str(result)
    integers = integers_of(path, "body.0.weight")
    norms = np.abs(integers).reshape(5, -1).sum(axis=1)
    assert 0 < norms.max() <= (2**9 - 1) / 2**4  # ‖w‖₁ of the A2Q paper, 4-bit unsigned inputs
    assert np.abs(network.body[0].weight.detach().numpy() / integers.max()).max() > 1
    model = onnx.load(path)
    assert model.graph.input[0].name == "photo"
    assert {"stem.weight", "stem.bias", "body.4.weight", "head.weight"} <= {t.name for t in model.graph.initializer}


def test_qonnx_computes_what_the_network_does(exported) -> None:
    network, path, _ = exported
    frames = torch.rand(4, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(frames).numpy()
    wrapper = ModelWrapper(str(path)).transform(InferShapes())
    computed = [execute_onnx(wrapper, {"photo": frame[None].numpy()})["output"][0] for frame in frames]
    np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-5)


def test_the_record_says_what_is_known(exported) -> None:
    _, path, result = exported
    record = read_record(onnx.load(path), path)
    assert record.layers == result.bounds
    assert record.input_range == (0, 1) and record.classes == ("a", "b", "c")


def test_the_network_is_left_as_it_was(tmp_path: Path) -> None:
    network = trained().train()
    network.body.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export_qonnx(network, torch.rand(2, 2, 8, 8), tmp_path / "net.onnx", mean=[0.4, 0.5], std=[0.2, 0.3])
    assert network.training and network.stem.training and not network.body.training
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    record = read_record(onnx.load(tmp_path / "net.onnx"), tmp_path)
    assert record.preprocessing.mean == (0.4, 0.5) and record.preprocessing.std == (0.2, 0.3)
    export_qonnx(network, torch.rand(1, 2, 8, 8), tmp_path / "again.onnx")  # and can be exported again
    assert (tmp_path / "again.onnx").is_file()


def test_what_is_not_proven_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"an older file")
    run = qonnx_export.run_graph
    monkeypatch.setattr(qonnx_export, "run_graph", lambda *arguments, **options: run(*arguments, **options) + 1)
    with pytest.raises(VerificationError, match=r"input \d+: an output of the exported file differs"):
        export_qonnx(trained(), torch.rand(1, 2, 8, 8), path)
    assert path.read_bytes() == b"an older file" and [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_float_weights_in_a_file_are_found(exported) -> None:
    network, path, _ = exported
    graph = onnx.load(path).graph
    weights = {
        f"{name}.weight": weight
        for name, (weight, _) in qonnx_export.quantized_weights(network, torch.rand(1, 2, 8, 8)).items()
    }
    qonnx_export.compare_weights(graph, weights)
    tensor = next(t for t in graph.initializer if t.name == "body.0.weight")
    tensor.CopyFrom(numpy_helper.from_array(network.body[0].weight.detach().numpy(), tensor.name))
    with pytest.raises(VerificationError, match=r"layer body\.0, channel \d+: the integers in the exported file"):
        qonnx_export.compare_weights(graph, weights)


class Unsigned(nn.Module):
    """An operator that this project's executor does not have, and layers that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = qnn.QuantLinear(4, 4, bias=False)
        self.second = qnn.QuantLinear(4, 4, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.erf(self.second(self.first(x)))


def test_operators_that_are_not_built_and_shared_weights_are_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    result = export_qonnx(Unsigned(), torch.rand(1, 4), tmp_path / "net.onnx")
    assert result.layers == 1 and "Erf" in {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}


@pytest.mark.parametrize(
    "network, example, options, error, message",
    [
        (nn.Linear(4, 2), torch.rand(1, 4), {}, ModelError, "no layer with quantized weights"),
        (
            qnn.QuantLinear(4, 2, bias=False),
            torch.zeros(1, 4, dtype=torch.int64),
            {},
            ModelError,
            "expected one float tensor",
        ),
        (qnn.QuantLinear(4, 2, bias=False), "image", {}, ModelError, "expected one float tensor"),
        (
            qnn.QuantLinear(4, 2, bias=False),
            torch.rand(1, 5),
            {},
            ModelError,
            "cannot be exported to QONNX: RuntimeError: mat1 and mat2",
        ),
        (qnn.QuantLinear(4, 2, bias=False), torch.rand(1, 4), {"input_range": (1, 0)}, ConfigError, "lower end first"),
        (
            qnn.QuantLinear(4, 2, bias=False),
            torch.rand(1, 4),
            {"mean": [0.5]},
            ConfigError,
            "mean and std come together",
        ),
        (
            qnn.QuantLinear(4, 2, bias=False),
            torch.rand(1, 4),
            {"mean": [0.5], "std": [0.0]},
            ConfigError,
            "expected numbers above 0",
        ),
    ],
)
def test_what_cannot_be_exported(tmp_path: Path, network, example, options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        export_qonnx(network, example, tmp_path / "net.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_a_layer_that_calculates_its_weights(tmp_path: Path) -> None:
    layer = qnn.QuantLinear(4, 2, bias=False)
    nn.utils.parametrizations.weight_norm(layer)
    with pytest.raises(ModelError, match="calculates its weights.*remove_parametrizations"):
        export_qonnx(nn.Sequential(layer), torch.rand(1, 4), tmp_path / "net.onnx")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        export_qonnx(qnn.QuantLinear(4, 2, bias=False), torch.rand(1, 4), tmp_path / "none" / "net.onnx")


def test_the_package_offers_it_without_importing_torch() -> None:
    code = "import sys, pipeline; assert 'torch' not in sys.modules; assert callable(pipeline.export_qonnx)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "value, message",
    [
        ("{", "cannot be read"),
        ('{"version": 2}', "of version 2; known is version 1"),
        ("[]", "cannot be read"),
        ('{"version": 1, "layers": {"c": {"method": "a3q", "accumulator_bits": 4}}}', "layers.c.method"),
        ('{"version": 1, "layers": {"c": {"method": "a2q", "accumulator_bits": 1}}}', "layers.c.accumulator_bits"),
        ('{"version": 1, "input_range": [0, NaN]}', "input_range"),
        ('{"version": 1, "mean": [0.5], "std": [1.0], "input_range": [0, 1]}', "leave input_range out"),
        ('{"version": 1, "more": 1}', "more"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_damaged_record_is_refused(value: str, message: str) -> None:
    model = onnx.ModelProto()
    model.metadata_props.add(key="a2q_network", value=value)
    with pytest.raises(ModelError, match="my.onnx has a record a2q_network") as error:
        read_record(model, Path("my.onnx"))
    assert message in str(error.value)
    assert read_record(onnx.ModelProto(), Path("my.onnx")) == NetworkRecord()


def small(**options) -> nn.Module:
    """A calibrated network of two layers, 4 inputs and 3 outputs."""
    torch.manual_seed(0)
    network = nn.Sequential(qnn.QuantIdentity(return_quant_tensor=True), qnn.QuantLinear(4, 3, bias=False, **options))
    network.train()(torch.rand(16, 4) * 2 - 1)
    return network.eval()


class Wrapped(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


class OfTheBatch(Wrapped):
    """What it does with one input depends on the others beside it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x / 255 if x.max() > 1 else x)


class NotFinite(Wrapped):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(self.network(x))


class OneChannelOff(Wrapped):
    """Beside an output of a million another is wrong by all of itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.network(x)
        y = y if torch.onnx.is_in_onnx_export() else -7 * y
        return torch.cat([torch.full_like(y, 1e6), y], dim=1)


class Failing(Wrapped):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            raise KeyError("a")
        return self.network(x)


class OfDictionaries(Wrapped):
    def forward(self, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        return {"a": self.network(x)}, x


@pytest.mark.parametrize(
    "kind, error, message",
    [
        (OfTheBatch, VerificationError, "exported file"),
        (NotFinite, VerificationError, "outputs are not finite"),
        (OneChannelOff, VerificationError, "differs from Brevitas"),
        (Failing, ModelError, "cannot be exported to QONNX: KeyError: 'a'"),
        (OfDictionaries, ModelError, "gives a dict; expected a tensor, or a tuple of tensors"),
    ],
)
def test_networks_that_are_not_what_their_file_would_be(tmp_path: Path, kind: type, error: type, message: str) -> None:
    network = kind(small())
    example = torch.rand(1, 4) * 200 if kind is OfTheBatch else torch.rand(1, 4)
    with pytest.raises((error, UnsupportedError), match=message):
        export_qonnx(network, example, tmp_path / "net.onnx", input_range=(-255, 255) if kind is OfTheBatch else None)
    assert not list(tmp_path.iterdir())
    network.network.train()
    network.network(torch.rand(2, 4)).sum().backward()  # it is out of the mode of an export


def test_what_is_said_of_the_input_must_fit(tmp_path: Path) -> None:
    path, example = tmp_path / "net.onnx", torch.rand(1, 4)
    for options, message in (
        ({"mean": [0.5], "std": [0.2]}, "mean and std have 1 numbers for an input of shape"),
        ({"classes": ["cat", "dog"]}, "classes has 2 different names; the network has 3 outputs"),
        ({"classes": ["a", "a", "b"]}, "classes has 2 different names"),
        ({"input_range": (5, 6)}, "The example holds numbers from"),
        ({"input_range": (0, 1e300)}, "not finite in float32"),
        ({"opset_version": 99}, "opset_version is 99; expected 11 to 20"),
    ):
        with pytest.raises(ConfigError, match=message):
            export_qonnx(small(), example, path, **options)
    for target in (tmp_path, "/dev/null", "", None, tmp_path / "a\0b"):
        with pytest.raises(ModelError, match="cannot be written|cannot be a path"):
            export_qonnx(small(), example, target)
    assert not list(tmp_path.iterdir())
    assert "the range of the input is not known" in str(export_qonnx(small(), example, path))


def test_a_network_that_ends_in_a_quantized_tensor_and_weights_with_a_zero_point(tmp_path: Path) -> None:
    network = small(weight_quant=ShiftedUint8WeightPerTensorFloat, output_quant=Int8ActPerTensorFloat)
    network[1].return_quant_tensor = True
    result = export_qonnx(network, torch.rand(1, 4), tmp_path / "net.onnx")
    assert result.layers == 1 and result.largest_difference < 1e-6
    assert [value.name for value in onnx.load(tmp_path / "net.onnx").graph.output] == ["output"]


def test_a_dead_channel_of_an_a2q_layer_is_named(tmp_path: Path) -> None:
    network = small(**bounded(12))
    with torch.no_grad():
        network[1].weight[1] = 0
    with pytest.raises(ModelError, match="Layer 1, channel 1, computes weights that are no numbers"):
        export_qonnx(network, torch.rand(1, 4), tmp_path / "net.onnx")


def test_the_bound_of_a_network_that_is_one_layer(tmp_path: Path) -> None:
    layer = qnn.QuantLinear(4, 3, bias=False, input_quant=Uint8ActPerTensorFloat, **bounded(16))
    layer.train()(torch.rand(16, 4))
    export_qonnx(layer, torch.rand(1, 4), tmp_path / "net.onnx")
    folder = tmp_path / "out"
    folder.mkdir()
    record, _ = resolve.run(str(tmp_path / "net.onnx"), "trained", 0, 4, None, folder)
    assert record.target_bits == {"weight": 16}


def test_pools_whose_windows_reach_over_the_edge_are_compared_as_qonnx_has_them(tmp_path: Path) -> None:
    network = nn.Sequential(
        qnn.QuantIdentity(return_quant_tensor=True),
        qnn.QuantConv2d(1, 2, 3, bias=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    )
    network.train()(torch.rand(4, 1, 8, 8))
    with pytest.raises(VerificationError, match="exported file"):
        export_qonnx(network.eval(), torch.rand(1, 1, 8, 8), tmp_path / "net.onnx")


class CalledTwice(nn.Module):
    """One bounded layer, taken twice."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = qnn.QuantIdentity(Uint8ActPerTensorFloat, return_quant_tensor=True)
        self.layer = qnn.QuantLinear(4, 4, bias=False, **bounded(16))
        self.relu = qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, return_quant_tensor=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.relu(self.layer(self.pixels(x))))


def test_a_layer_that_is_taken_twice_keeps_its_name_and_bound_in_both_places(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CalledTwice().train()
    network(torch.rand(16, 4))
    export_qonnx(network.eval(), torch.rand(1, 4), tmp_path / "net.onnx", input_range=(0, 1))
    folder = tmp_path / "out"
    folder.mkdir()
    record, frames = resolve.run(str(tmp_path / "net.onnx"), "trained", 0, 8, None, folder)
    model, golden = export.take_qonnx(folder / record.file, frames, folder)
    streamlined = streamline.streamline(model, golden.inputs, golden.outputs).model
    graph = dataflow.convert(streamlined, frames, top1=False).graph
    _, certificate = accumulators.assign(graph, target_bits=record.target_bits)
    assert [(layer.source, layer.claimed) for layer in certificate.layers] == [
        ("layer.weight", 16),
        ("layer.weight~2", 16),
    ]
