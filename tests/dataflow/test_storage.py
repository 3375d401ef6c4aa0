from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.errors import ModelError
from pipeline.frontend.conversion import dataflow
from tests.dataflow.networks import Network


def stored(folder: Path):
    n = Network(2, 6, 6)
    n.add("Mul", np.float32(0.5))
    n.quant(0.5, 4)
    x = n.quant(0.5, 4, at=n.conv(2, 3, pads=[1, 1, 1, 1]))
    n.node("Add", [n.quant(0.5, 4, at=n.conv(3, 3, 1)), x])
    n.add("MaxPool", kernel_shape=[6, 6])
    n.quant(0.7, 3)
    n.conv(3, 4, 1)
    frames = n.frames()
    graph = dataflow.convert(n.model(), frames, top1=True).graph
    save_graph(graph, folder)
    return graph, frames


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def test_a_graph_comes_back_as_it_was(tmp_path: Path) -> None:
    graph, frames = stored(tmp_path)
    again = load_graph(tmp_path)
    for layer, copy in zip(graph, again, strict=True):
        assert type(layer) is type(copy)
        assert all(same(getattr(layer, f.name), getattr(copy, f.name)) for f in fields(layer))
    integers = again.input_transform.apply(frames)
    assert np.array_equal(integers, graph.input_transform.apply(frames))
    assert np.array_equal(graph.run(integers), again.run(integers))
    assert same(graph.output_transform.scale, again.output_transform.scale)


def test_small_integers_take_a_byte_on_disk(tmp_path: Path) -> None:
    stored(tmp_path)
    with np.load(tmp_path / "graph.npz") as arrays:
        assert {array.dtype.kind for array in arrays.values()} <= {"i", "u", "f"}
        integers = [array for array in arrays.values() if array.dtype.kind in "iu"]
    assert any(array.dtype == np.int8 for array in integers), "the weights, of four bits"
    assert not any(array.dtype == np.int64 for array in integers)


def test_an_unknown_class_is_an_error(tmp_path: Path) -> None:
    stored(tmp_path)
    text = (tmp_path / "graph.json").read_text()
    (tmp_path / "graph.json").write_text(text.replace('"class": "MVAU"', '"class": "Popen"'))
    with pytest.raises(ModelError, match="Popen"):
        load_graph(tmp_path)


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    stored(tmp_path)
    path = tmp_path / "graph.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_graph(tmp_path)


def test_a_missing_array_is_an_error(tmp_path: Path) -> None:
    stored(tmp_path)
    structure = json.loads((tmp_path / "graph.json").read_text())
    structure["output_transform"]["scale"] = {"array": "a999"}
    (tmp_path / "graph.json").write_text(json.dumps(structure))
    with pytest.raises(ModelError, match="a999"):
        load_graph(tmp_path)
