from __future__ import annotations

import copy
import json

import pytest

from pipeline.errors import InputError
from pipeline.report.diff import compare
from pipeline.report.graph import network_graph
from tests.report.sample import sample_facts

GRAPH = network_graph(sample_facts())


def build(folder, graph=GRAPH):
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "graph.json").write_text(json.dumps(graph))
    return folder


def test_what_is_the_same_is_counted_and_what_differs_has_a_row(tmp_path):
    other = copy.deepcopy(GRAPH)
    unit = next(layer for layer in other["layers"] if "accumulator" in layer)
    unit["resources"]["LUT"] += 1000
    unit["folding"]["PE"] = 99
    unit["accumulator"]["bits"] = 7
    found = compare(build(tmp_path / "a"), build(tmp_path / "b", other))
    name, folding, lut, dsp, cycles, bits = found.rows[0]
    assert name == unit["name"] and folding.endswith(folding.split(" → ")[1]) and "PE 99" in folding.split(" → ")[1]
    assert lut == f"{unit['resources']['LUT'] - 1000:,} → {unit['resources']['LUT']:,}"
    assert "→" not in dsp + cycles and bits.endswith("→ 7")
    whole = found.rows[-1]
    total = sum(layer["resources"]["LUT"] for layer in GRAPH["layers"])
    assert whole[0] == "all" and whole[2] == f"{total:,} → {total + 1000:,}"
    assert len(found.rows) == 2
    between = sum(layer["op_type"] in ("StreamingFIFO", "StreamingDataWidthConverter") for layer in GRAPH["layers"])
    assert found.same == len(GRAPH["layers"]) - between - 1
    assert found.names[0] == "residual on KV260 at 200 MHz"


def test_the_same_build_twice_has_one_row(tmp_path):
    found = compare(build(tmp_path / "a"), tmp_path / "a")
    assert [row[0] for row in found.rows] == ["all"] and all("→" not in cell for cell in found.rows[0])


def test_a_layer_that_one_has_not_and_fifos_all_together(tmp_path):
    other = copy.deepcopy(GRAPH)
    gone = next(layer for layer in other["layers"] if layer["op_type"] == "FMPadding")
    fifo = next(layer for layer in other["layers"] if layer["op_type"] == "StreamingFIFO")
    other["layers"] = [layer for layer in other["layers"] if layer not in (gone, fifo)]
    rows = {row[0]: row for row in compare(build(tmp_path / "a"), build(tmp_path / "b", other)).rows}
    assert rows[f"{gone['name']} (only in the first)"][2] == f"{gone['resources']['LUT']} → –"
    count = sum(layer["op_type"] == "StreamingFIFO" for layer in GRAPH["layers"])
    assert f"StreamingFIFO ({count} → {count - 1})" in rows


def test_what_cannot_be_compared(tmp_path):
    first = build(tmp_path / "a")
    with pytest.raises(InputError, match=r"graph.json cannot be read: No such file"):
        compare(first, tmp_path / "none")
    strange = {
        **GRAPH,
        "name": "other",
        "layers": [{**layer, "name": f"x{i}"} for i, layer in enumerate(GRAPH["layers"])],
    }
    with pytest.raises(
        InputError, match="have no matrix of the same name in common: they are builds of residual and other"
    ):
        compare(first, build(tmp_path / "b", strange))
    strange["layers"] = [{**layer, "source": f"other.{layer['source']}"} for layer in GRAPH["layers"]]
    with pytest.raises(InputError, match="have no matrix of the same name in common"):
        compare(first, build(tmp_path / "c", strange))
    for number, layers in enumerate(
        ([1, 2], [{"name": "MVAU_0", "op_type": "MVAU", "source": "a", "accumulator": {}}])
    ):
        broken = build(tmp_path / f"d{number}", {**GRAPH, "layers": layers})
        with pytest.raises(InputError, match="has a damaged report/graph.json"):
            compare(broken, broken)
    for text in ("{", "[]", "[" * 100_000):
        (first / "report" / "graph.json").write_text(text)
        with pytest.raises(InputError, match="is damaged"):
            compare(first, first)
