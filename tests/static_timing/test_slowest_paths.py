from __future__ import annotations

import pytest

from pipeline.config import BuildConfig
from pipeline.dataflow import storage
from pipeline.dataflow.layer import Kernel
from pipeline.folding.fold import fold
from pipeline.stage import Context, declared_options
from pipeline.stages import STAGES
from pipeline.static_timing import slowest_paths
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.slowest_paths import clock_warning
from tests.dataflow.residual import residual_network

KNOWN = {"MVAU": {"optimistic": 3.0, "pessimistic": 4.5}, "Pool": {"optimistic": 3.5, "pessimistic": 4.0}}


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(slowest_paths, "slowest_paths", lambda family: KNOWN)


@pytest.mark.parametrize(
    ("period_ns", "warning"),
    [
        (4.5, ""),
        (4.2, "4.2 ns may be out of reach on UltraScale+, speed grade -2: MVAU took up to 4.5 ns in other builds"),
        (3.8, "3.8 ns may be out of reach on UltraScale+, speed grade -2: MVAU and 1 more took up to 4.5 ns in other"),
        (3.2, "3.2 ns is out of reach on UltraScale+, speed grade -2: Pool took up to 3.5 ns in other builds"),
    ],
)
def test_a_clock_is_compared_with_what_kinds_of_layers_took(period_ns, warning):
    said = clock_warning(["MVAU", "Pool", "MVAU"], "xcup", period_ns)
    assert said.startswith(warning) and bool(said) == bool(warning)
    if said:
        assert "(estimated, " in said and said.endswith("timing estimates this one)")


def test_a_kind_that_nothing_is_known_of_is_named():
    assert clock_warning(["MVAU", "New"], "xcup", 5.0) == "no clock is known of New"


def test_fold_warns_of_a_clock_that_is_out_of_reach_and_only_of_that(monkeypatch, tmp_path):
    (declared,) = (stage for stage in STAGES if stage.name == "fold")
    graph = residual_network()
    storage.save_graph(graph, tmp_path / "accumulators")
    kinds = {layer.op_type: {"optimistic": 2.0, "pessimistic": 3.0} for layer in fold(graph).graph}
    asked = []

    def known(family: str) -> dict:
        asked.append(family)
        return {**kinds, "accelerator_shell": {"optimistic": 3.1, "pessimistic": 6.2}}

    monkeypatch.setattr(slowest_paths, "slowest_paths", known)

    def line(**options) -> str:
        values = declared_options(BuildConfig(**options), declared.reads)
        inputs = {"accumulators": tmp_path / "accumulators"}
        folder = tmp_path / str(len(asked))
        folder.mkdir()
        told = lambda *done: None
        return declared.run(Context(folder, values, inputs, told, told, lambda name: tmp_path / name))

    assert "3.333 ns may be out of reach on UltraScale+, speed grade -2: accelerator_shell took up to 6.2 ns" in line()
    assert "out of reach" not in line(synth_clk_period_ns=6.5)
    assert "out of reach" not in line(board="U250"), "no processors, no shell"
    assert "3 ns is out of reach on 7-series, speed grade -1" in line(board="PYNQ-Z2", synth_clk_period_ns=3)
    assert asked == ["xcup", "xcup", "xcup", "xc7"]


@pytest.mark.parametrize("family", CELL_DELAYS)
def test_the_table_is_of_kinds_of_layers_that_there_are(monkeypatch, family):
    monkeypatch.undo()
    known = slowest_paths.slowest_paths(family)
    assert (
        {"MVAU", "accelerator_shell"}
        <= {*known}
        <= {
            *(kind.op_type for kind in storage._CLASSES.values() if issubclass(kind, Kernel)),
            "accelerator_shell",
        }
    )
    assert all(0 < ns["optimistic"] <= ns["pessimistic"] < 30 for ns in known.values())
