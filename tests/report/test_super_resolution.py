from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import qonnx
from PIL import Image

from pipeline.errors import ModelError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.reading import read_model
from pipeline.models.names import Preprocessing
from pipeline.report.super_resolution import RESTORED_FILE, draw_restored, mean_psnr, psnr, restore
from tests.report.sample import sample_facts

SIDE = 24
MODEL = replace(sample_facts().model, input_shape=(3, SIDE, SIDE), preprocessing=Preprocessing())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The graph of the ESPCN in QONNX's wheel, which makes images of twice the size, and its file; for small images."""
    path = tmp_path_factory.mktemp("espcn") / "espcn.onnx"
    model = onnx.load(Path(qonnx.__file__).parent / "data/onnx/bsd300x3-espcn/nn_resize/quant_model.onnx")
    for size in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_value = SIDE
    onnx.save(model, path)
    model = read_model(path)
    frames = np.random.default_rng(0).random((2, 3, SIDE, SIDE), np.float32)
    result = streamline.streamline(model, frames, run_graph(model, frames))
    return dataflow.convert(result.model, frames, top1=None).graph, read_model(path)


def test_a_trained_network_sharpens_photographs(trained):
    graph, model = trained
    restored = restore(graph, MODEL)
    assert restored.factor == 2 and len(restored.restored) == 8
    for image in restored.restored:
        assert image.low.shape == (SIDE, SIDE, 3) and image.original.shape == (2 * SIDE, 2 * SIDE, 3)
        # by the file alone
        real = run_graph(model, (image.low.transpose(2, 0, 1)[None] / 255).astype(np.float32))[0].transpose(1, 2, 0)
        np.testing.assert_array_equal(image.network, np.round(real * 255))
        assert image.psnr == psnr(image.network, image.original) > 18
    better = [image.psnr > image.bicubic_psnr for image in restored.restored]
    assert any(better)
    page = restored.as_json()
    assert page["psnr_db"] == {"network": restored.psnr, "bicubic": restored.bicubic_psnr}
    assert restored.ends[0] <= restored.psnr <= restored.ends[1] and "not" not in page["images"]


def test_the_picture(trained, tmp_path):
    draw_restored(restore(trained[0], MODEL), tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert min(picture.size) > 500
        assert len(set(picture.convert("RGB").resize((32, 32)).tobytes())) > 100


def test_psnr():
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black) == pytest.approx(100)
    assert psnr(black, np.full_like(black, 255)) == 0
    assert psnr(black, np.full_like(black, 51)) == pytest.approx(-10 * np.log10(0.2**2))


def test_other_networks_restore_nothing(trained):
    facts = sample_facts()
    assert restore(facts.folded.graph, facts.model) is None
    assert restore(trained[0], replace(MODEL, preprocessing=None)) is None
    assert restore(trained[0], replace(MODEL, input_shape=(3, SIDE, 2 * SIDE))) is None


def test_a_build_knows_its_psnr(tmp_path):
    (tmp_path / RESTORED_FILE).write_text('{"psnr_db": {"network": 27.5, "bicubic": 26.0}}')
    assert mean_psnr(tmp_path) == 27.5
    (tmp_path / RESTORED_FILE).write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        mean_psnr(tmp_path)
    assert mean_psnr(tmp_path / "none") is None
