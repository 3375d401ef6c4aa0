from __future__ import annotations

import pytest

from pipeline.config import BuildConfig
from pipeline.dataflow import storage
from pipeline.dataflow.registry import kernels
from pipeline.folding.fold import fold
from pipeline.stage import Context, declared_options
from pipeline.stages import STAGES
from pipeline.static_timing import slowest_paths
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.slowest_paths import Measured, Size, clock_warning, slowest_of_each_size
from tests.dataflow.residual import residual_network


def took(optimistic: float, pessimistic: float, lut: int = 0, words: int = 0) -> Measured:
    return Measured(Size(lut, words), {"optimistic": optimistic, "pessimistic": pessimistic})


KNOWN = {"MVAU": [took(3.0, 4.5), took(4.0, 5.5, lut=100, words=2000)], "Pool": [took(3.5, 4.0)]}
SMALL = Size(9, 9)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(slowest_paths, "slowest_paths", lambda family: KNOWN)


@pytest.mark.parametrize(
    ("period_ns", "warning"),
    [
        (4.5, ""),
        (
            4.2,
            "4.2 ns may be out of reach on UltraScale+, speed grade -2: MVAU of about this size took up to 4.5 ns in other builds",
        ),
        (
            3.8,
            "3.8 ns may be out of reach on UltraScale+, speed grade -2: MVAU and 1 more of about this size took up to 4.5 ns in other",
        ),
        (
            3.2,
            "3.2 ns is out of reach on UltraScale+, speed grade -2: Pool of about this size took up to 3.5 ns in other builds",
        ),
    ],
)
def test_a_clock_is_compared_with_what_kinds_of_layers_took(period_ns, warning):
    said = clock_warning([("MVAU", SMALL), ("Pool", SMALL), ("MVAU", SMALL)], "xcup", "xck26-2", period_ns)
    assert said.startswith(warning) and bool(said) == bool(warning)
    if said:
        assert "(estimated, " in said and said.endswith("timing estimates this one)")


@pytest.mark.parametrize(
    ("size", "ns"),
    [(Size(0, 9), 4.5), (Size(9, 0), 4.5), (Size(100, 2000), 5.5), (Size(60, 1500), 5.5), (Size(300, 900), 5.5)],
)
def test_a_layer_is_expected_to_take_what_the_one_closest_to_its_size_took(size, ns):
    assert clock_warning([("MVAU", size)], "xcup", "xck26-2", ns) == ""
    assert f"took up to {ns} ns" in clock_warning([("MVAU", size)], "xcup", "xck26-2", ns - 0.1)


def test_the_grade_of_the_part_is_told_where_the_delays_are_of_another():
    assert "speed grade -2 (xczu3eg-sbva484-1-e is of grade -1, with other delays): " in clock_warning(
        [("Pool", SMALL)], "xcup", "xczu3eg-sbva484-1-e", 3.0
    )


def test_a_kind_that_nothing_is_known_of_is_named():
    assert clock_warning([("MVAU", SMALL), ("New", SMALL)], "xcup", "xck26-2", 5.0) == "no clock is known of New"


def test_the_table_has_the_slowest_layer_of_each_size():
    layers = [took(2, 4), took(3, 3), took(2, 5, lut=9)]
    assert slowest_of_each_size(layers) == [took(3, 4), took(2, 5, lut=9)]


def test_fold_warns_of_a_clock_that_is_out_of_reach_and_only_of_that(monkeypatch, tmp_path):
    (declared,) = (stage for stage in STAGES if stage.name == "fold")
    graph = residual_network()
    storage.save_graph(graph, tmp_path / "accumulators")
    kinds = {layer.op_type: [took(2.0, 3.0)] for layer in fold(graph).graph}
    asked = []

    def known(family: str) -> dict:
        asked.append(family)
        return {**kinds, "accelerator_shell": [took(3.1, 6.2)]}

    monkeypatch.setattr(slowest_paths, "slowest_paths", known)

    def line(**options) -> str:
        values = declared_options(BuildConfig(**options), declared.reads)
        inputs = {"accumulators": tmp_path / "accumulators", "resolve": tmp_path / "resolve"}
        folder = tmp_path / str(len(asked))
        folder.mkdir()
        ignore = lambda *done: None
        return declared.run(Context(folder, values, inputs, ignore, ignore, lambda name: tmp_path / name))

    assert (
        "3.333 ns may be out of reach on UltraScale+, speed grade -2 (xck26-sfvc784-2LV-c is of grade -2LV, with other delays): accelerator_shell of about this size took up to 6.2 ns"
        in line()
    )
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
            *kernels(),
            "accelerator_shell",
        }
    )
    assert all(0 < row.ns["optimistic"] <= row.ns["pessimistic"] < 30 for rows in known.values() for row in rows)
