from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.accumulators import certificate as certificate_module
from pipeline.accumulators.certificate import Certificate
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import AccumulatorError, ConfigError, ModelError
from pipeline.kernels.mvau import MVAU
from pipeline.stages.accumulators import assign

FIRST = np.array([[3, -2, 0], [1, 0, 0]])
SECOND = np.array([[7, 7], [-7, 7], [0, 0], [1, -1]])


@pytest.fixture
def graph() -> LayerGraph:
    uint4 = IntType(0, 15)
    thresholds = np.tile(np.arange(1, 16), (2, 1))
    first = MVAU("MVAU_0", ("in",), ("mid",), FIRST, uint4, uint4, (1, 1), thresholds, source="conv1")
    second = MVAU("MVAU_1", ("mid",), ("out",), SECOND, uint4, IntType(-512, 511), (1, 1), source="fc")
    return LayerGraph("two", (first, second), "in", "out")


def widths(graph: LayerGraph) -> list[tuple[int, ...]]:
    return [layer.accumulator_bits for layer in graph]


def test_exact_gives_every_row_the_width_of_the_widest(graph):
    assigned, certificate = assign(graph)
    assert widths(assigned) == [(7, 7), (9, 9, 9, 9)]
    frames = np.random.default_rng(0).integers(0, 16, (20, 1, 1, 3))
    assert np.array_equal(assigned.run(frames), graph.run(frames))
    entry = certificate.layer("MVAU_1")
    assert (entry.lowest.value, entry.highest.value) == (-105, 210)
    assert entry.bits == {"exact": 9, "l1": 9, "a2q_plus": None, "datatype": 10}


def test_per_pe_gives_every_row_its_own_and_a_lane_the_most_of_its_rows(graph):
    assigned, certificate = assign(graph, per_pe=True)
    assert widths(assigned) == [(7, 5), (9, 8, 1, 5)]
    assert replace(assigned.layer("MVAU_1"), pe=2).lane_accumulator_bits() == (9, 8)
    assert certificate.layer("MVAU_1").row_bits == (9, 8, 1, 5)


def test_overrides_go_by_either_name(graph):
    assigned, certificate = assign(graph, "fixed:20", overrides={"conv1": "exact", "MVAU_1": "fixed:16"})
    assert widths(assigned) == [(7, 7), (16,) * 4]
    assert [layer.policy for layer in certificate.layers] == ["exact", "fixed:16"]
    assert certificate.policies == "fixed:20 (MVAU_0 exact, MVAU_1 fixed:16)"
    assert assign(graph, "l1")[1].policies == "l1"
    many = replace(certificate, layers=certificate.layers * 3)
    assert many.policies == "fixed:20 (MVAU_0 exact, MVAU_1 fixed:16, MVAU_0 exact and 3 more layers of another)"


def test_target(graph):
    assigned, certificate = assign(graph, "target", target_bits={"conv1": 8})
    assert widths(assigned) == [(8, 8), (9,) * 4]
    first, second = certificate.layers
    assert (first.claimed, second.claimed) == (8, None)
    assert (first.l1_limit, second.l1_limit) == (127 // 16, None)
    with pytest.raises(
        AccumulatorError, match=r"MVAU_1 \(fc\): channel 0 can reach sums from 0 to 210 and needs 9 bits"
    ):
        assign(graph, "target", target_bits={"fc": 8})


def test_a2q_plus_for_the_layers_whose_rows_sum_to_zero(graph):
    centred = replace(graph.layers[0], weights=np.array([[3, -3, 0], [1, 1, -2]]))
    network = replace(graph, layers=(centred, graph.layers[1]))
    assigned, certificate = assign(network, overrides={"conv1": "a2q_plus"}, per_pe=True)
    assert widths(assigned) == [(7, 6), (9, 8, 1, 5)]
    assert certificate.layer("MVAU_0").policy == "a2q_plus"
    assert certificate.layer("MVAU_0").bits == {"exact": 7, "l1": 8, "a2q_plus": 7, "datatype": 9}
    with pytest.raises(AccumulatorError, match=r"MVAU_1 \(fc\): the weights of channel 0 sum to 14"):
        assign(network, "a2q_plus")


def test_an_unknown_layer_is_refused(graph):
    with pytest.raises(ConfigError, match=r"conv9.*MVAU_0 \(conv1\), MVAU_1 \(fc\)"):
        assign(graph, overrides={"conv9": "exact"})
    with pytest.raises(ConfigError, match="conv9"):
        assign(graph, target_bits={"conv9": 3})


@pytest.mark.parametrize("per_pe", [False, True])
def test_the_certificate_survives_its_file(graph, tmp_path, per_pe):
    _, certificate = assign(graph, "target", per_pe=per_pe, target_bits={"fc": 12})
    path = tmp_path / "report" / "accumulators.json"
    certificate.write(path)
    assert Certificate.read(path) == certificate


def test_the_keys_of_the_file_are_the_documented_ones(graph, tmp_path):
    _, certificate = assign(graph, per_pe=True)
    certificate.write(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert set(content) == {"policy", "per_pe", "layers"}
    for key in content["layers"][0]:
        assert f" {key}" in certificate_module.__doc__
    layer = content["layers"][0]
    assert (layer["K"], layer["N"], layer["M"], layer["zeros"], layer["weights"]) == (3, 4, 3, 3, 6)
    assert layer["witnesses"]["highest"] == {"channel": 0, "sum": 45, "at_high": "1"}


def test_a_damaged_certificate_is_refused(tmp_path):
    path = tmp_path / "a.json"
    for text in ("", "{}", '{"policy": "exact", "per_pe": true, "layers": [{}]}'):
        path.write_text(text)
        with pytest.raises(ModelError, match="Build it again"):
            Certificate.read(path)


def test_p_that_the_configuration_states_goes_before_the_models(graph):
    assigned, certificate = assign(graph, "target", target_bits={"conv1": 8}, stated_bits={"MVAU_0": 10, "fc": 12})
    assert widths(assigned) == [(10, 10), (12,) * 4]
    assert certificate.claims == "2 of 2 layers claim P from 10 to 12 and keep to it"
    _, certificate = assign(graph, stated_bits=12)
    assert [layer.claimed for layer in certificate.layers] == [12, 12]
    _, certificate = assign(graph, target_bits={"conv1": 7})
    assert certificate.claims == "1 of 2 layers claims P = 7 and keeps to it"
    assert assign(graph)[1].claims == "no layer claims a P"
    with pytest.raises(ConfigError, match="MVAU_0 and conv1 are one layer, and are given a P each"):
        assign(graph, stated_bits={"MVAU_0": 10, "conv1": 12})
    with pytest.raises(ConfigError, match="conv9 is given a P, but the network has no such layer"):
        assign(graph, stated_bits={"conv9": 12})


def test_a_layer_may_be_called_as_its_module(graph):
    first = replace(graph.layers[0], source="conv1.weight")
    named = replace(graph, layers=(first, *graph.layers[1:]))
    assert assign(named, stated_bits={"conv1": 9})[1].layer("MVAU_0").claimed == 9


def test_a_bound_that_is_broken_is_told(graph):
    _, certificate = assign(graph, target_bits={"conv1": 8, "fc": 8})
    assert certificate.claims == "2 of 2 layers claim P = 8, which is broken: MVAU_1 needs 9"
    with pytest.raises(AccumulatorError, match=r"MVAU_1 \(fc\).* its target is P = 8"):
        assign(graph, "target", target_bits={"conv1": 8, "fc": 8})
