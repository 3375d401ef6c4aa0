from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, InputError
from pipeline.frontend.streamline.executor import run_graph
from pipeline.models.network_record import NetworkRecord, write_record
from pipeline.training.evaluate_file import evaluate_file
from tests.dataflow.networks import Network


def network(*, quantizer: bool = True, record: NetworkRecord | None = None):
    n = Network(3, 6, 6)
    if quantizer:
        n.quant(1 / 255, 8, signed=0)
    n.conv(3, 4)
    n.add("Relu")
    n.quant(2.0, 4, signed=0)
    n.add("GlobalAveragePool")
    n.quant(0.5, 4, signed=0)
    n.add("Flatten")
    n.matmul(4, 5)
    n.output_shape = (1, 5)
    model = n.model()
    if record:
        write_record(model, record)
    return model


@pytest.fixture
def pixels(tmp_path: Path) -> tuple[np.ndarray, np.ndarray, Path]:
    """Images, the classes that the network in [0, 1] gives them, and the archive that holds both, two labels wrong."""
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 6, 6), np.uint8)
    classes = run_graph(network(), (images / np.float32(255)).astype(np.float32)).argmax(axis=1)
    labels = classes.copy()
    labels[:2] = (labels[:2] + 1) % 5
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    return images, classes, tmp_path / "data.npz"


def write(model, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def test_top1_of_the_file_and_of_its_integers(tmp_path: Path, pixels) -> None:
    path = write(network(), tmp_path / "net.onnx")
    with pytest.raises(InputError, match="Nothing says what pixels become for the model .*--input-range"):
        evaluate_file(path, str(pixels[2]), None, None, None)  # what a quantizer can tell apart is not what a pixel is
    scores = evaluate_file(path, str(pixels[2]), None, None, (0.0, 1.0))
    assert (scores.images, scores.file, scores.integers, scores.differ) == (30, 28 / 30, 28 / 30, 0)
    assert scores.pixels == "pixels from 0 to 255 are 0 to 1, by input_range"
    assert scores.input_quantizer is None


def test_a_float_input_goes_by_its_record_or_by_what_the_user_says(tmp_path: Path, pixels) -> None:
    path = write(network(quantizer=False), tmp_path / "float.onnx")
    with pytest.raises(InputError, match="Nothing says what pixels become"):
        evaluate_file(path, str(pixels[2]), None, None, None)
    scores = evaluate_file(path, str(pixels[2]), None, None, (0.0, 1.0))
    assert scores.integers == 28 / 30 and scores.differ == 0  # its quantizer is that of the other network
    assert scores.input_quantizer is not None and scores.pixels.endswith("by input_range")
    recorded = write(network(quantizer=False, record=NetworkRecord(input_range=(0, 1))), tmp_path / "recorded.onnx")
    assert evaluate_file(recorded, str(pixels[2]), None, 10, None).integers == 8 / 10


def test_labels_that_the_network_cannot_give(tmp_path: Path, pixels) -> None:
    np.savez(tmp_path / "more.npz", images=pixels[0], labels=np.full(30, 7))
    with pytest.raises(InputError, match="has the label 7, and the network .* has 5 outputs"):
        evaluate_file(write(network(), tmp_path / "net.onnx"), str(tmp_path / "more.npz"), None, None, (0.0, 1.0))


def test_floats_that_cannot_be_the_networks_inputs(tmp_path: Path, pixels) -> None:
    np.savez(tmp_path / "floats.npz", images=pixels[0].astype(np.float32), labels=pixels[1])
    with pytest.raises(ConfigError, match="holds numbers from 0 to 255, but the network takes 0 to 1 by the quantizer"):
        evaluate_file(write(network(), tmp_path / "net.onnx"), str(tmp_path / "floats.npz"), None, None, None)
    np.savez(tmp_path / "floats.npz", images=pixels[0] / np.float32(255), labels=pixels[1])
    scores = evaluate_file(tmp_path / "net.onnx", str(tmp_path / "floats.npz"), None, None, None)
    assert scores.integers == 1 and scores.pixels == ""
