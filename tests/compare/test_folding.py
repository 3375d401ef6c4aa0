from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.compare.folding import Folding, reference_for, references
from pipeline.compare.points import Axes, points
from pipeline.compare.record import folding_digest
from pipeline.config import BuildConfig
from pipeline.folding import fold
from pipeline.stages.accumulators import assign
from tests.dataflow.residual import residual_network

POLICIES = ("exact", "fixed:32", "datatype")
NAMES = ("quant_resnet8_w4a4_a2q_12b", "quant_resnet8_w4a4_a2q_plus_14b", "quant_resnet8_w4a4")


def groups(names=NAMES, config: Path | None = None, **axes) -> list[set[str]]:
    """The models and policies of the points of each group that shares a reference."""
    chosen = points(names, Axes(**{"policies": POLICIES, **axes}), config)
    whole = references(chosen)
    return [
        {f"{point.model} {point.policy}" for point in chosen if whole[point.slug] is alike}
        for alike in {id(alike): alike for alike in whole.values()}.values()
    ]


def test_networks_that_differ_in_p_and_policy_share_a_reference_where_all_is_folded(tmp_path):
    config = tmp_path / "folded.yaml"
    config.write_text("mvau_style: folded\n")
    assert groups(config=config) == [{f"{name} {policy}" for name in NAMES for policy in POLICIES}]
    assert len(groups(config=config, boards=("KV260", "ZCU104"), target_fps=("100", "200"))) == 4
    assert len(groups((*NAMES, "quant_tfc_w2a2"), config)) == 2


def test_networks_have_their_own_where_styles_are_chosen_or_weights_are_the_circuit(tmp_path):
    config = tmp_path / "auto.yaml"
    for styles in ("auto", "sparse", "{MVAU_1: folded}"):
        config.write_text(f"mvau_style: {styles}\n")
        assert groups(config=config) == [{f"{name} {policy}" for policy in POLICIES} for name in NAMES]


def test_the_reference_is_exact_whether_it_is_compared_or_not():
    chosen = points(NAMES[:1], Axes(("fixed:32", "datatype/pe")))
    (alike,) = {id(reference): reference for reference in references(chosen).values()}.values()
    assert [config.accumulators.policy for config in alike] == ["exact"]
    assert not alike[0].accumulators.per_pe


def built(policy: str, config: BuildConfig) -> fold.Folded:
    graph, _ = assign(residual_network(blocks=2), policy)
    rate = config.target_fps
    budget = rate if rate == "max" else fold.cycle_budget(rate, config.synth_clk_period_ns)
    return fold.fold(graph, budget, config.folding_config_file, mvau_style=config.mvau_style)


@pytest.mark.parametrize("styles", ["folded", "sparse", "dsp", "auto", {"MVAU_0": "unrolled", "MVAU_1": "sparse"}])
@pytest.mark.parametrize("rate", [100_000.0, 170_000.0, "max"])
def test_another_policy_is_folded_as_the_reference_is(tmp_path, styles, rate):
    config = BuildConfig(mvau_style=styles, target_fps=rate)
    reference = built("exact", config)
    fold.write_reports(reference, tmp_path, config.synth_clk_period_ns)
    folding = Folding(
        config,
        json.loads((tmp_path / "auto_folding_config.json").read_text()),
        reference.max_cycles,
    )
    assert folding.given_to(config, tmp_path / "foldings") == config == reference_for(config)
    wide = config.model_copy(update={"accumulators": config.accumulators.model_copy(update={"policy": "fixed:40"})})
    given = folding.given_to(wide, tmp_path / "foldings")
    other = built("fixed:40", given)
    if any("taps" in fields for fields in folding.layers.values()):  # whose lanes do not hold sums of 40 bits
        assert other.max_cycles <= reference.max_cycles and not other.ignored
        assert folding_digest(other.graph) != folding_digest(reference.graph)
        return
    assert folding_digest(other.graph) == folding_digest(reference.graph)
    assert other.max_cycles == reference.max_cycles
    depths = [
        [layer.depth for layer in graph if layer.op_type == "StreamingFIFO"] for graph in (other.graph, reference.graph)
    ]
    assert depths[0] == depths[1] and not other.ignored
    assert given.folding_config_file.parent == tmp_path / "foldings"
