from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.compare.points import Point
from pipeline.compare.record import PointRecord, folding_digest, network_of, read_record
from pipeline.config import Accumulators, BuildConfig
from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import ModelError
from pipeline.folding.fold import fold
from pipeline.report import facts as facts_module
from pipeline.stages.accumulators import assign
from pipeline.synthesis.timing import LayerTiming, TimingReport
from pipeline.tools.nextpnr import Routed
from pipeline.tools.vivado import Implemented
from tests.compare.sample import sample_record
from tests.dataflow.residual import residual_network
from tests.report.sample import sample_facts


def test_a_record_travels_as_json():
    record = sample_record(target_fps="max", fps=1 / 3).sealed()
    assert PointRecord.from_json(record.to_json()) == record


def test_the_content_is_all_but_the_seconds():
    record = sample_record().sealed()
    assert replace(record, seconds=1.0).sealed().content == record.content
    assert replace(record, lut=record.lut + 1).sealed().content != record.content
    layers = (replace(record.layers[0], used_bits=7), *record.layers[1:])
    assert replace(record, layers=layers).sealed().content != record.content


@pytest.mark.parametrize("spoil", [lambda t: t[:-40], lambda t: t.replace('"lut": 25124', '"lut": 1'), lambda t: "[]"])
def test_a_damaged_record_is_refused(spoil):
    with pytest.raises(ModelError, match="ompare again"):
        PointRecord.from_json(spoil(sample_record().sealed().to_json()))


def test_networks_are_named_without_their_bound():
    assert network_of("quant_resnet8x1.5_w4a4_a2q_plus_12b") == "quant_resnet8x1.5_w4a4"
    assert network_of("quant_resnet8_w4a4") == "quant_resnet8_w4a4"
    assert network_of("my_a2q_network") == "my_a2q_network"


def test_a_record_says_what_the_build_found(monkeypatch):
    facts = sample_facts()
    facts = replace(facts, model=replace(facts.model, top1=81.25, top1_how="measured after training: all"))
    monkeypatch.setattr(facts_module, "read_facts", lambda results, target_fps: facts)
    config = BuildConfig(
        model="quant_resnet8_w4a4_a2q_14b", target_fps="max", accumulators=Accumulators(policy="exact", per_pe=True)
    )
    record = read_record(Point.of(config), {})
    total, capacity = facts.resources.total, facts.resources.capacity
    assert (record.lut, record.ff, record.bram_36k) == (total.lut, total.ff, total.bram_36k)
    assert record.capacity["bram_36k"] == capacity.bram_36k and record.capacity["lut"] == capacity.lut
    assert (record.cycles, record.fps) == (facts.network.steady_cycles, facts.throughput_fps)
    assert (record.policy, record.per_pe, record.target_fps) == ("exact", True, "max")
    assert (record.top1, record.top1_how) == (81.25, "measured after training: all")
    assert [layer.layer for layer in record.layers] == [layer.layer for layer in facts.certificate.layers]
    claimed = facts.certificate.layers[0]
    assert record.layers[0].claimed == claimed.claimed == 14
    assert record.sparsity == claimed.zeros / (claimed.k * claimed.rows), "of what was trained for a P"
    assert sum(record.purposes.values()) == record.lut
    assert record == record.sealed() and record.content


def test_weights_that_were_not_trained_have_no_accuracy(monkeypatch):
    facts = sample_facts()
    facts = replace(facts, model=replace(facts.model, weights="synthetic"))
    monkeypatch.setattr(facts_module, "read_facts", lambda results, target_fps: facts)
    record = read_record(Point.of(BuildConfig(weights="synthetic")), {})
    assert (record.weights, record.top1, record.top1_how) == ("synthetic", None, "")


def test_without_a_bound_hidden_layers_are_all_but_the_first_and_the_last(monkeypatch):
    facts = sample_facts()
    layers = tuple(replace(layer, claimed=None) for layer in facts.certificate.layers)
    facts = replace(facts, certificate=replace(facts.certificate, layers=layers))
    monkeypatch.setattr(facts_module, "read_facts", lambda results, target_fps: facts)
    record = read_record(Point.of(BuildConfig(weights="synthetic")), {})
    hidden = layers[1:-1]
    assert record.sparsity == sum(x.zeros for x in hidden) / sum(x.k * x.rows for x in hidden)


def folded(policy: str, budget: int, **options) -> LayerGraph:
    return fold(assign(residual_network(blocks=1), policy)[0], budget, **options).graph


def test_the_digest_of_a_folding_is_of_lanes_and_styles():
    digest = folding_digest(folded("exact", 700))
    assert folding_digest(folded("exact", 700)) == digest
    assert folding_digest(folded("exact", 7000)) != digest
    assert folding_digest(folded("exact", 7000, mvau_style="sparse")) != folding_digest(folded("exact", 7000))


def test_the_slowest_unit_says_how_fast_it_is_where_it_was_placed_and_routed(monkeypatch):
    def timed(*mhz: float) -> LayerTiming:
        return LayerTiming("MVAU", Routed(mhz, 10, 0, 5, 0, 0), Implemented("2024.1", "xck26", 5.0, -1.0, None))

    layers = {"MVAU_0": timed(90.0, 80.0, 85.0), "MVAU_1": timed(70.0), "MVAU_2": timed()}
    facts = replace(sample_facts(), timing=TimingReport("nextpnr", "ECP5-85F", (1, 2, 3), layers))
    monkeypatch.setattr(facts_module, "read_facts", lambda results, target_fps: facts)
    record = read_record(Point.of(BuildConfig(model="quant_resnet8_w4a4_a2q_14b")), {})
    assert (record.ecp5_mhz, record.vivado_mhz) == (70.0, 1000 / 6)
