from __future__ import annotations

from pipeline.compare.plots.luts import luts_against_p
from pipeline.report.purposes import PURPOSES
from tests.compare.sample import sample_record, sample_records


def test_bars_are_stacked_by_purpose_up_to_the_luts():
    records = sample_records()
    (plot,) = luts_against_p(records)
    *bars, sums = plot.figure.data
    assert [bar.name for bar in bars] == list(PURPOSES)
    lengths = [sum(parts) for parts in zip(*(bar.x for bar in bars), strict=True)]
    assert lengths == list(sums.x) and sorted(lengths) == sorted(record.lut for record in records)
    labels = dict(zip(plot.figure.layout.yaxis.ticktext, sums.x, strict=True))
    for record in records:
        if (record.method, record.p, record.policy, record.per_pe) == ("a2q_plus", 12, "exact", True):
            assert labels["A2Q+, P = 12, exact per PE"] == record.lut


def test_bars_go_by_p_with_space_between_networks():
    (plot,) = luts_against_p([sample_record(p=14), sample_record(p=12), sample_record(method="", p=None)])
    assert list(plot.figure.layout.yaxis.ticktext) == ["no bound, exact", "A2Q, P = 12, exact", "A2Q, P = 14, exact"]
    assert list(plot.figure.data[0].y) == [0, 1.5, 3]


def test_each_board_rate_and_kind_of_weights_has_its_own():
    other = [{"board": "ZCU104"}, {"target_fps": 500.0}, {"weights": "synthetic"}, {"network": "quant_tfc_w2a2"}]
    plots = luts_against_p([sample_record(**axis) for axis in ({}, *other)])
    assert len(plots) == len({plot.key for plot in plots}) == 5
    assert [plot.how.startswith("The weights are UNTRAINED.") for plot in plots] == [False, False, False, True, False]
