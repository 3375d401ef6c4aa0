from __future__ import annotations

from dataclasses import replace

from pipeline.compare.plots.widths import widths_by_layer
from tests.compare.sample import sample_record, sample_records


def test_each_network_has_its_proven_widths_beside_those_of_its_data_types():
    (plot,) = widths_by_layer(sample_records())
    by_type, *proven = plot.figure.data
    assert list(by_type.x) == 5 * [20, 15]
    assert list(by_type.y) == [place for trace in proven for place in trace.y]
    assert {trace.name: list(trace.x) for trace in proven} == {
        "proven, no bound": [16, 13],
        "proven, A2Q, P = 12": [16, 11],
        "proven, A2Q, P = 14": [16, 13],
        "proven, A2Q+, P = 12": [16, 11],
        "proven, A2Q+, P = 14": [16, 13],
    }
    assert [name.split()[0] for name in plot.figure.layout.yaxis.ticktext] == ["MVAU_0", "MVAU_1"]


def test_markers_of_a_layer_stay_in_its_row_and_apart():
    (plot,) = widths_by_layer(sample_records())
    heights = [trace.y[1] for trace in plot.figure.data[1:]]
    assert len(set(heights)) == 5 and all(abs(height - 1) < 0.5 for height in heights)


def test_networks_of_other_layers_have_their_own():
    one = sample_record()
    other = sample_record(p=12, layers=(replace(one.layers[0], layer="MVAU_7"), one.layers[1]))
    assert len(widths_by_layer([one, other])) == 2
