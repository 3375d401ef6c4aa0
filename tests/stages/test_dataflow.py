"""What the stage dataflow takes from the record of a network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from pipeline.dataflow.storage import load_graph
from pipeline.frontend.streamline import streamline
from pipeline.models import export, resolve
from pipeline.models.network_record import read_record
from pipeline.models.tinyyolo import ANCHORS
from pipeline.stages import dataflow


@pytest.mark.parametrize("output", [None, "top1"])
def test_a_detector_of_one_cell_gives_boxes_and_no_class(
    output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A2Q_DATA", raising=False)
    name, shape = "quant_tinyyolox0.0625_w4a4_a2q_13b", (3, 16, 16)
    record, frames = resolve.run(name, "synthetic", 0, 3, None, tmp_path, input_shape=shape)
    assert record.anchors == ANCHORS and resolve.load(tmp_path)[0] == record
    model, golden, _ = export.export_brevitas(
        resolve.load_network(record, tmp_path), frames, tmp_path, record.network_record
    )
    assert golden.outputs.shape[1:] == (len(ANCHORS) * 8, 1, 1)
    assert read_record(model, tmp_path / "model.onnx").anchors == ANCHORS
    onnx.save(streamline.streamline(model, golden.inputs, golden.outputs).model, tmp_path / "model.onnx")
    options = SimpleNamespace(output=output)
    context = SimpleNamespace(
        inputs=dict.fromkeys(("resolve", "streamline"), tmp_path), options=options, folder=tmp_path
    )
    line = dataflow.STAGE.run(context)
    assert ("the output is whole, as boxes are made of it" in line) == (output is None)
    graph = load_graph(tmp_path)
    assert graph.gives_labels == (output == "top1")
    if output is None:
        real = graph.output_transform.outputs(graph.run(graph.input_transform.apply(frames)))
        np.testing.assert_allclose(real.reshape(golden.outputs.shape), golden.outputs, rtol=1e-5, atol=1e-5)
