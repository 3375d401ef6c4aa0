"""Weights in a file beside the model: read from there and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from pipeline.config import BuildConfig
from pipeline.errors import ModelError
from pipeline.frontend.streamline.external_data import copy_model
from pipeline.frontend.streamline.reading import read_model
from pipeline.stages.resolve import STAGE
from tests.dataflow.networks import Network


def split(folder: Path, location: str = "net.onnx.data") -> tuple[Path, onnx.ModelProto]:
    """A model with its weights in the file `location`, and the same in one piece."""
    n = Network(6)
    n.quant(0.5, 4)
    n.matmul(6, 3)
    n.output_shape = (1, 3)
    whole, path = n.model(), folder / "net.onnx"
    copy = onnx.ModelProto()
    copy.CopyFrom(whole)
    onnx.save_model(copy, path, save_as_external_data=True, location=location, size_threshold=0)
    return path, whole


def damaged(path: Path, key: str, value: str) -> None:
    model = onnx.load_model(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 2)
    kept = [entry for entry in tensor.external_data if entry.key != key]
    del tensor.external_data[:]
    tensor.external_data.extend(kept)
    tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("location", ["net.onnx.data", "net.onnx_data", "net.data", "net.bin"])
def test_weights_beside_the_model_are_read(location: str, tmp_path: Path) -> None:
    path, whole = split(tmp_path, location)
    (tmp_path / "whole.onnx").write_bytes(whole.SerializeToString())
    assert read_model(path) == read_model(tmp_path / "whole.onnx")
    copy_model(path, tmp_path / "copy.onnx")
    assert onnx.load(tmp_path / "copy.onnx", load_external_data=False).graph == whole.graph
    assert tmp_path / location in STAGE.files(BuildConfig(model=str(path))), "the key holds the weights"


@pytest.mark.parametrize("location", ["../net.onnx.data", "/etc/passwd", "weights.bin", "sub/net.onnx.data", ""])
def test_no_other_file_is_read(location: str, tmp_path: Path) -> None:
    path, _ = split(tmp_path)
    damaged(path, "location", location)
    with pytest.raises(ModelError, match=r"net.onnx: The tensor \S+ is kept in the file .* named after it"):
        read_model(path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path, _ = split(folder)
    (folder / "net.onnx.data").rename(tmp_path / "elsewhere")
    (folder / "net.onnx.data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="no link to another folder"):
        read_model(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("offset", "-4"), ("offset", "100000"), ("offset", "1e3"), ("length", "4"), ("length", str(1 << 70))],
)
def test_what_is_not_as_long_as_the_tensor_is_refused(key: str, value: str, tmp_path: Path) -> None:
    path, _ = split(tmp_path)
    damaged(path, key, value)
    with pytest.raises(ModelError, match="does not hold them at offset"):
        read_model(path)


def test_a_short_file_is_refused(tmp_path: Path) -> None:
    path, _ = split(tmp_path)
    content = (tmp_path / "net.onnx.data").read_bytes()
    (tmp_path / "net.onnx.data").write_bytes(content[: len(content) // 4])
    with pytest.raises(ModelError, match="does not hold them"):
        read_model(path)
