from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, ModelError
from pipeline.models.names import Preprocessing
from pipeline.stages import resolve
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
    assert set(record.target_bits.values()) == {14} and "layer1.0.conv1.weight" in record.target_bits
    assert frames.shape == (4, 3, 32, 32)

    stored, stored_frames = resolve.load(tmp_path)
    assert stored == record and np.array_equal(stored_frames, frames)
    state = resolve.load_network(record, tmp_path).state_dict()
    assert (state["layer1.0.conv1.weight"] == 0).float().mean() > 0.5


def network_file(path: Path) -> Path:
    network = Network(6)
    network.quant(0.5, 4)
    network.matmul(6, 3)
    network.output_shape = (1, 3)
    path.write_bytes(network.model().SerializeToString())
    return path


def test_a_file_of_the_users(tmp_path: Path) -> None:
    path = network_file(tmp_path / "net.onnx")
    folder = tmp_path / "out"
    folder.mkdir()
    record, frames = resolve.run(str(path), "trained", 0, 5, None, folder)
    assert (record.name, record.kind, record.weights) == ("net", "qonnx", "user's file")
    assert record.target_bits == {} and record.preprocessing is None
    assert (folder / record.file).read_bytes() == path.read_bytes()
    assert frames.shape == (5, 6) and "drawn evenly from" in record.golden_source
    assert resolve.load(folder)[0] == record


def test_frames_of_the_users(tmp_path: Path) -> None:
    path = network_file(tmp_path / "net.onnx")
    np.save(tmp_path / "in.npy", np.arange(12.0).reshape(2, 6))
    record, frames = resolve.run(str(path), "trained", 0, 5, tmp_path / "in.npy", tmp_path)
    assert np.array_equal(frames, np.arange(12.0, dtype=np.float32).reshape(2, 6))
    assert "user's file in.npy" in record.golden_source
    np.save(tmp_path / "in.npy", np.zeros((2, 7)))
    with pytest.raises(ConfigError, match=r"expected \(N, \*\(6,\)\)"):
        resolve.run(str(path), "trained", 0, 5, tmp_path / "in.npy", tmp_path)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model called 'nothing'"):
        resolve.run("nothing", "trained", 0, 1, None, tmp_path)
    with pytest.raises(ModelError, match=r"none\.onnx cannot be read"):
        resolve.run("none.onnx", "trained", 0, 1, None, tmp_path)
    with pytest.raises(ConfigError, match="Synthetic weights are for named models"):
        resolve.run("none.onnx", "synthetic", 0, 1, None, tmp_path)
