"""The networks that others published, from file to layer graph. They are looked for in the folder A2Q_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.stages import dataflow, export, streamline

DATA = Path(os.environ.get("A2Q_DATA", "")) / "models"

pytestmark = pytest.mark.skipif(
    "A2Q_DATA" not in os.environ or not DATA.is_dir(),
    reason="A2Q_DATA does not name a folder with the published networks in models/",
)

NETWORKS = {
    "TFC_2W2A": ((1, 28, 28), 4),
    "kwsmlp_w3a3": ((1, 10, 49), 4),
    "nn2fpga_resnet8_a4w4b32": ((3, 32, 32), 10),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_integer_is_the_networks(name: str, tmp_path: Path) -> None:
    shape, multiplications = NETWORKS[name]
    frames = np.random.default_rng(0).normal(0, 1, (4, *shape)).astype(np.float32)
    model, golden = export.take_qonnx(DATA / f"{name}.onnx", frames, tmp_path)
    result = streamline.streamline(model, golden.inputs, golden.outputs)
    found = dataflow.convert(result.model, golden.inputs, top1=True, name=name)
    assert sum(layer.op_type == "MVAU" for layer in found.graph) == multiplications
    assert found.graph.layers[-1].op_type == "LabelSelect"


def test_published_keyword_gets_its_class(tmp_path: Path) -> None:
    frame = np.load(DATA / "kws_golden" / "input.npy").astype(np.float32).reshape(1, 1, 10, 49)
    expected = int(np.load(DATA / "kws_golden" / "expected_output.npy").ravel()[0])
    model, golden = export.take_qonnx(DATA / "kwsmlp_w3a3.onnx", frame, tmp_path)
    result = streamline.streamline(model, golden.inputs, golden.outputs)
    graph = dataflow.convert(result.model, golden.inputs, top1=True).graph
    assert graph.run(graph.input_transform.apply(frame)).item() == expected
