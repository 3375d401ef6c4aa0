from __future__ import annotations

import sys
from pathlib import Path

import brevitas.export
import brevitas.nn as qnn
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from a2q_driver.preprocessing import normalised
from pipeline import export_qonnx
from pipeline.datasets import modulations
from pipeline.errors import ConfigError, ModelError
from pipeline.models import resolve
from pipeline.models.names import Preprocessing, find
from pipeline.models.network_record import LayerBound, NetworkRecord, write_record
from pipeline.models.registry import DownloadError, network
from pipeline.models.synthetic import fill
from pipeline.models.user_class import make_network, source_files
from tests.dataflow.networks import Network


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A2Q_DATA", raising=False)
    monkeypatch.setenv("A2Q_CACHE", str(tmp_path / "cache"))


def test_synthetic_weights_are_called_so(tmp_path: Path) -> None:
    record, frames = resolve.run("quant_resnet8_w4a4_a2q_14b", "synthetic", 3, 4, None, tmp_path)
    assert record.weights == "synthetic"
    assert record.provenance.startswith("synthetic weights, not trained: a draw with seed 3")
    assert "not the model's data set" in record.golden_source
    assert record.preprocessing == Preprocessing() and record.input_shape == (3, 32, 32)
    assert set(record.target_bits.values()) == {14} and "layer1.0.conv1" in record.target_bits
    assert frames.shape == (4, 3, 32, 32)

    stored, stored_frames = resolve.load(tmp_path)
    assert stored == record and np.array_equal(stored_frames, frames)
    state = resolve.load_network(record, tmp_path).state_dict()
    assert (state["layer1.0.conv1.weight"] == 0).float().mean() > 0.5


def test_trained_weights_of_this_repository_go_before_synthetic_ones(tmp_path: Path, monkeypatch) -> None:
    def unreachable(spec, path) -> None:
        raise DownloadError(
            f"{spec.name} could not be downloaded. Put the file at {path}, or build with other weights."
        )

    monkeypatch.setattr("pipeline.models.registry._download", unreachable)
    record, _ = resolve.run("quant_resnet18_w4a4_a2q_12b", "trained", 0, 2, None, tmp_path)
    assert record.weights == "trained" and record.top1 is not None and record.top1_how.startswith("measured")
    assert "epochs, in place of the release: " in record.provenance and f"{record.top1:.1f} %" in record.provenance
    assert set(record.target_bits.values()) == {12}
    stored, frames = resolve.load(tmp_path)
    network = resolve.load_network(stored, tmp_path)  # not the release's, which takes other pixels
    assert stored.preprocessing == Preprocessing() and network(torch.from_numpy(frames)).shape == (2, 10)


def network_file(path: Path, record: NetworkRecord | None = None, *, quantizer: bool = True) -> Path:
    network = Network(6)
    if quantizer:
        network.quant(0.5, 4)
    network.matmul(6, 3)
    network.output_shape = (1, 3)
    model = network.model()
    if record is not None:
        write_record(model, record)
    path.write_bytes(model.SerializeToString())
    return path


def run(path: Path, folder: Path, frames: np.ndarray | None = None, **options):
    golden_inputs = None
    if frames is not None:
        golden_inputs = path.with_name("in.npy")
        np.save(golden_inputs, frames)
    folder.mkdir(exist_ok=True)
    return resolve.run(str(path), "trained", 0, 5, golden_inputs, folder, **options)


def test_a_file_of_the_users(tmp_path: Path) -> None:
    path = network_file(tmp_path / "net.onnx")
    record, frames = run(path, tmp_path / "out")
    assert (record.name, record.kind, record.weights) == ("net", "qonnx", "user's file")
    assert record.target_bits == {} and record.preprocessing is None and record.ends is None
    assert (tmp_path / "out" / record.file).read_bytes() == path.read_bytes()
    assert frames.shape == (5, 6) and (frames[0] == -4).all() and (frames[1] == 3.5).all()  # 4 bits of scale 0.5
    assert resolve.load(tmp_path / "out")[0] == record


def test_a_file_of_brevitas_own_export_is_told_apart(tmp_path: Path) -> None:
    """Its A2Q weights are not projected, and nothing else shows it."""
    network = nn.Sequential(qnn.QuantIdentity(return_quant_tensor=True), qnn.QuantLinear(6, 3, bias=False))
    network.train()(torch.rand(4, 6))
    example = torch.rand(1, 6)
    theirs, ours = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    brevitas.export.export_qonnx(network.eval(), example, str(theirs), dynamo=False, opset_version=13)
    export_qonnx(network, example, ours)
    assert "theirs.onnx, of Brevitas' own export: if layers" in run(theirs, tmp_path / "a")[0].provenance
    assert run(ours, tmp_path / "b")[0].provenance == "the user's file ours.onnx"


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    layers = {
        "fc": LayerBound(method="a2q", accumulator_bits=12),
        "conv": LayerBound(method="a2q", accumulator_bits=12),
    }
    known = NetworkRecord(layers=layers, input_range=(0, 2), classes=("a", "b", "c"))
    record, frames = run(network_file(tmp_path / "net.onnx", known), tmp_path / "out")
    assert record.target_bits == {"fc": 12, "conv": 12}
    assert (record.method, record.accumulator_bits, record.classes) == ("a2q", 12, ("a", "b", "c"))
    assert record.input_range == (0, 2) and frames.min() == 0 and frames.max() == 2
    assert resolve.load(tmp_path / "out")[0] == record
    layers["fc"] = LayerBound(method="a2q_plus", accumulator_bits=14)
    record, _ = run(network_file(tmp_path / "net.onnx", NetworkRecord(layers=layers)), tmp_path / "out")
    assert (record.method, record.accumulator_bits) == ("", None)
    assert record.target_bits == {"fc": 14, "conv": 12}


def test_images_of_a_recorded_normalisation_are_as_the_driver_makes_them(tmp_path: Path) -> None:
    network = Network(3, 20, 20)
    network.quant(0.02, 8)
    network.conv(3, 2)
    network.output_shape = (1, 2, 18, 18)
    model = network.model()
    write_record(model, NetworkRecord(mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.2)))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    record, frames = run(path, tmp_path / "out")
    assert record.preprocessing == Preprocessing((0.5, 0.4, 0.3), (0.25, 0.2, 0.2))
    assert np.isin(frames[:, 2], normalised(np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1), (0.3,), (0.2,))).all()
    assert frames[:, 0].min() == -2 and frames[:, 0].max() == 2
    write_record(model, NetworkRecord(mean=(0.5,), std=(0.25,)))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"recorded to take images of 1 channels, and it takes \(3, 20, 20\)"):
        run(path, tmp_path / "out")


def test_nothing_is_guessed_of_a_float_input(tmp_path: Path) -> None:
    path = network_file(tmp_path / "net.onnx", quantizer=False)
    with pytest.raises(ConfigError, match=r"takes floats, and nothing says which: .*input_range: \[0, 255\]"):
        run(path, tmp_path / "out")
    record, frames = run(path, tmp_path / "out", input_range=(0.0, 255.0))
    assert frames.min() == 0 and frames.max() == 255 and record.input_range == (0, 255)
    given = np.random.default_rng(0).random((4, 6), np.float32)
    record, frames = run(path, tmp_path / "out", given)
    assert np.array_equal(frames, given) and record.ends is None
    said = network_file(tmp_path / "said.onnx", NetworkRecord(input_range=(0, 1)), quantizer=False)
    with pytest.raises(ConfigError, match="input_range is given, but the model .* has a record of its own, of 0 to 1"):
        run(said, tmp_path / "out", input_range=(0.0, 255.0))


def test_frames_of_the_users(tmp_path: Path) -> None:
    path = network_file(tmp_path / "net.onnx")
    given = np.linspace(-4, 3.5, 12, dtype=np.float32).reshape(2, 6)
    record, frames = run(path, tmp_path, given)
    assert np.array_equal(frames, given) and "user's file in.npy" in record.golden_source
    with pytest.raises(ConfigError, match=r"expected one array of frames, \(N, 6\)"):
        run(path, tmp_path, np.zeros((2, 7)))
    with pytest.raises(
        ConfigError, match="from 0 to 255, but the network takes -4 to 3.5 by the quantizer of its input"
    ):
        run(path, tmp_path, np.linspace(0, 255, 12).reshape(2, 6))


MODULE = """
import brevitas.nn as qnn
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(qnn.QuantIdentity(return_quant_tensor=True), qnn.QuantLinear(6, 3, bias=False))

def failing():
    raise OSError("no such camera")

def leaving():
    raise SystemExit(0)

number = int
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's in the working directory, and a checkpoint of its network."""
    (tmp_path / "my_network.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_network", raising=False)
    network = make_network("my_network:Net").train()
    network(torch.rand(4, 6))
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def test_a_checkpoint_with_the_class_that_makes_its_network(own_module: Path, tmp_path: Path) -> None:
    record, frames = run(own_module, tmp_path / "out", model_class="my_network:Net", input_shape=(6,))
    assert (record.name, record.kind) == ("mine", "qonnx") and frames.shape == (5, 6)
    assert record.provenance == "the user's checkpoint mine.pth in my_network:Net, of unknown accuracy"
    tensors = {tensor.name for tensor in onnx.load(tmp_path / "out" / record.file).graph.initializer}
    assert "1.weight" in tensors
    assert source_files("my_network:Net") == [tmp_path / "my_network.py"] and source_files("none:Net") == []


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "does not say which network it is of: .*--model-class.*pipeline.export_qonnx"),
        ({"model_class": "my_network:Net"}, "model_class is given without input_shape"),
        ({"input_shape": (6,)}, "input_shape is given without model_class"),
        ({"model_class": "no_network:Net", "input_shape": (6,)}, "no_network cannot be imported"),
        ({"model_class": "my_network:Other", "input_shape": (6,)}, "my_network has no Other; its networks are Net"),
        (
            {"model_class": "my_network:leaving", "input_shape": (6,)},
            "my_network:leaving fails without arguments: SystemExit: 0",
        ),
        (
            {"model_class": "my_network:failing", "input_shape": (6,)},
            "fails without arguments: OSError: no such camera",
        ),
        ({"model_class": "my_network:number", "input_shape": (6,)}, "makes a int; expected a torch.nn.Module"),
        ({"model_class": "my_network:Net", "input_shape": (7,)}, "cannot be exported to QONNX"),
    ],
)
def test_a_checkpoint_that_is_not_ours_says_what_is_missing(own_module: Path, tmp_path: Path, options, message) -> None:
    with pytest.raises((ModelError, ConfigError), match=message):
        run(own_module, tmp_path / "out", **options)


def test_options_that_have_no_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="say what network a checkpoint .* fills, and the model is .*net.onnx"):
        run(network_file(tmp_path / "net.onnx"), tmp_path, model_class="a:B", input_shape=(6,))
    with pytest.raises(ConfigError, match="is a named model, whose input is known"):
        resolve.run("quant_tfc_w2a2", "trained", 0, 1, None, tmp_path, input_range=(0.0, 1.0))


def test_the_size_of_a_networks_input(tmp_path: Path) -> None:
    name = "quant_unet_w4a4"
    record, frames = resolve.run(name, "synthetic", 0, 2, None, tmp_path, input_shape=(3, 8, 12))
    assert record.input_shape == (3, 8, 12) and frames.shape == (2, 3, 8, 12)
    stored, _ = resolve.load(tmp_path)
    assert resolve.load_network(stored, tmp_path)(torch.from_numpy(frames)).shape == (2, 4, 8, 12)
    with pytest.raises(
        ConfigError, match=r"is \(3, 8\); quant_unet_w4a4 takes three sizes of up to 1024, such as \(3, 64"
    ):
        resolve.run(name, "synthetic", 0, 2, None, tmp_path, input_shape=(3, 8))
    with pytest.raises(ConfigError, match=r"but quant_tfc_w2a2 is one for \(1, 28, 28\). .*--weights synthetic"):
        resolve.run("quant_tfc_w2a2", "trained", 0, 2, None, tmp_path, input_shape=(1, 32, 32))
    with pytest.raises(ConfigError, match="but quant_resnet18_w4a4_a2q_12b is one for"):
        resolve.run("quant_resnet18_w4a4_a2q_12b", "synthetic", 0, 2, None, tmp_path, input_shape=(3, 64, 64))
    with pytest.raises(ConfigError, match="quant_resnet8_w4a4 takes images, of 1 or 3 channels"):
        resolve.run("quant_resnet8_w4a4", "synthetic", 0, 2, None, tmp_path, input_shape=(2, 32, 32))
    with pytest.raises(ConfigError, match="quant_espcn_x2_w4a4_base takes images of 3 channels"):
        resolve.run("quant_espcn_x2_w4a4_base", "synthetic", 0, 2, None, tmp_path, input_shape=(1, 32, 32))


def test_a_network_of_a_release_for_super_resolution(tmp_path: Path) -> None:
    """Of weights that stand in the file's place: the file is to be had in the release only."""
    name = "quant_espcn_x2_w4a4_a2q_plus_13b"
    spec = find(name)
    model = network(spec)
    fill(model, resolve.drawn_frames(spec, 0, 2).frames, seed=0)
    cached = tmp_path / "cache" / "models" / spec.file
    cached.parent.mkdir(parents=True)
    torch.save(model.state_dict(), cached)
    with pytest.raises(ModelError, match="which should begin with 6e6d55f0. Delete it, and it is fetched from https"):
        resolve.run(name, "trained", 0, 2, None, tmp_path)


def test_frames_of_what_takes_no_images(tmp_path: Path) -> None:
    record, frames = resolve.run("quant_dscnnx0.125_w4a4", "synthetic", 0, 3, None, tmp_path, input_shape=(1, 40, 10))
    assert (record.input_range, record.preprocessing) == ((-1, 1), None)
    assert (frames[0] == -1).all() and (frames[1] == 1).all() and "drawn from -1 to 1" in record.golden_source
    record, frames = resolve.run("quant_vgg10x0.125_w4a4", "synthetic", 0, 3, None, tmp_path)
    assert (record.input_range, record.preprocessing) == ((-2, 2), None)
    np.testing.assert_array_equal(frames * 63.5, modulations.draw("test", 3).images)
    assert "first 3 images of the test set of radio signals (generated by this project" in record.golden_source
    assert resolve.load(tmp_path)[0] == record
    given = tmp_path / "in.npy"
    np.save(given, np.full((2, 2, 1, 1024), 100.0))
    with pytest.raises(ConfigError, match="holds numbers from 100 to 100, but the network takes -2 to 2 by its family"):
        resolve.run("quant_vgg10_w4a4", "synthetic", 0, 3, given, tmp_path)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model called 'nothing'"):
        resolve.run("nothing", "trained", 0, 1, None, tmp_path)
    with pytest.raises(ModelError, match=r"none\.onnx cannot be read"):
        resolve.run("none.onnx", "trained", 0, 1, None, tmp_path)
    with pytest.raises(ConfigError, match="Synthetic weights are for named models"):
        resolve.run("none.onnx", "synthetic", 0, 1, None, tmp_path)
