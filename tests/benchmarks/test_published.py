from __future__ import annotations

import json
from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from benchmarks.estimator import published
from benchmarks.estimator.calibrate import fit
from benchmarks.estimator.drawn import large_layers, side_by_side_layers
from benchmarks.estimator.published import ESTIMATOR_CSV, ESTIMATOR_PAGE, LeftOut, page, relative
from pipeline.dataflow.random_layers import Draw
from pipeline.devices.resources import Resources
from pipeline.folding.estimate import COEFFICIENTS, ResourceModel
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO

CONTENT = json.loads(COEFFICIENTS.read_text())
ROWS = published.read(ESTIMATOR_CSV)


def test_the_page_is_what_coefficients_and_layers_give():
    assert ESTIMATOR_PAGE.read_text() == page(CONTENT, ROWS)


@pytest.mark.parametrize("resource", ["lut", "ff"])
def test_the_errors_beside_the_coefficients_are_those_of_the_layers(resource):
    assert ROWS
    for family, kind in {(row.family, row.kind) for row in ROWS}:
        entry = CONTENT["families"][family][kind]
        rows = [row for row in ROWS if (row.family, row.kind) == (family, kind)]
        errors = [relative(getattr(row, f"{resource}_predicted"), getattr(row, resource)) for row in rows]
        assert len(rows) == entry["layers"]
        assert round(median(errors), 4) == entry[f"{resource}_error"]["median"]
        assert round(max(errors), 4) == entry[f"{resource}_error"]["worst"]


def test_every_kind_of_every_family_is_on_the_page():
    text = page(CONTENT, ROWS)
    for kinds in CONTENT["families"].values():
        for kind, entry in kinds.items():
            assert f"| {kind} | {entry['layers']} |" in text


def test_finns_error_is_stated_beside_ours():
    row = LeftOut("xcup", "MVAU", "a layer", 100, 1000, 1100.0, 500, 500.0, "MVAU_hls", 1500)
    assert "| MVAU_hls | 1 | 10.0 % | 10.0 % | 50.0 % | 50.0 % | 1.50 |" in page(CONTENT, [row])
    assert "FINN's unit" not in page(CONTENT, [replace(row, finn_unit="", finn_lut=0)])


def test_layers_are_written_and_read_back(tmp_path):
    published.write(ROWS, tmp_path / "layers.csv")
    assert published.read(tmp_path / "layers.csv") == ROWS
    assert (tmp_path / "layers.csv").read_text() == ESTIMATOR_CSV.read_text()


def test_the_plot_is_drawn(tmp_path):
    published.draw(ROWS, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_factors_that_counts_were_made_with_are_found_again():
    draw = Draw(3)
    layers = [StreamingFIFO.draw(draw) for _ in range(20)]
    factors = {"registers": 1.5, "memory": 1.0, "counters": 4.0, "layer": 3.0}
    counts = [Resources(lut=round(sum(f * x.demand("xcup").terms[t] for t, f in factors.items()))) for x in layers]
    fitted = fit(layers, counts, "xcup")
    assert fitted.entry["lut_error"]["worst"] < 0.1
    assert fitted.entry["lut"]["memory"] == pytest.approx(1.0, rel=0.05)
    assert [row.lut for row in fitted.left_out] == [count.lut for count in counts]
    assert all(row.finn_unit == "StreamingFIFO_rtl" for row in fitted.left_out)


def test_a_layer_is_predicted_without_itself():
    draw = Draw(3)
    layers = [StreamingFIFO.draw(draw) for _ in range(20)]
    counts = [Resources(lut=round(x.demand("xcup").terms["memory"]) + 10, ff=10) for x in layers]
    odd = [replace(count, lut=count.lut + (5000 if i == 7 else 0)) for i, count in enumerate(counts)]
    usual, changed = fit(layers, counts, "xcup").left_out[7], fit(layers, odd, "xcup").left_out[7]
    assert changed.lut == usual.lut + 5000
    assert changed.lut_predicted == usual.lut_predicted


def test_drawn_layers_are_the_same_ones_for_a_seed_and_some_are_large():
    one, other = large_layers((0, 1)), large_layers((0, 1))
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(one, other, strict=True))
    assert max(layer.weights.size for layer in one) == 512 * 4608
    several = side_by_side_layers((0, 2))
    assert all(layer.m > 1 for layer in several) and any(getattr(layer, "taps", 1) > 1 for layer in several)
    model = ResourceModel.load("xcup")
    assert all(model.layer(layer).lut > 0 for layer in one)


def test_what_is_known_without_a_fit_is_no_part_of_it():
    draw = Draw(3)
    layers = [SparseMVAU.draw(draw) for _ in range(40)]
    demands = [layer.demand("xcup") for layer in layers]
    assert all(demand.lut and demand.ff for demand in demands), "of the FIFOs"
    counts = [
        Resources(lut=demand.lut + round(2 * demand.terms["accumulators"]), ff=demand.ff + 900) for demand in demands
    ]
    entry = fit(layers, counts, "xcup").entry
    assert entry["lut_error"]["worst"] < 0.01 and entry["ff_error"]["worst"] < 0.01
    assert entry["lut"]["accumulators"] == pytest.approx(2, rel=0.02)
    assert entry["ff"]["layer"] == pytest.approx(900, rel=0.02)
