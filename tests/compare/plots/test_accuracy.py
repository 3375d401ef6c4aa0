from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.compare.plots.accuracy import accuracy_against_luts, accuracy_against_p, pareto_front, sparsity_against_p
from tests.compare.sample import sample_record, sample_records


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1))
def test_the_front_is_what_no_other_point_beats(points):
    front = pareto_front(points)
    beaten = {p for p in points for q in points if q != p and q[0] <= p[0] and q[1] >= p[1]}
    assert set(front) == set(points) - beaten and front == sorted(front)


def test_every_build_with_an_accuracy_is_a_point():
    records = sample_records()
    (plot,) = accuracy_against_luts([*records, sample_record(weights="synthetic", p=13)])
    front, *series = plot.figure.data
    points = [point for trace in series for point in zip(trace.x, trace.y, strict=True)]
    assert sorted(points) == sorted((record.lut, record.top1) for record in records)
    assert list(zip(front.x, front.y, strict=True)) == pareto_front(points)
    named = [(x, y) for trace in series for x, y, text in zip(trace.x, trace.y, trace.text, strict=True) if text]
    assert sorted(named) == pareto_front(points)
    assert "1 of 6 networks have no known accuracy and are not shown." in plot.how


def test_names_go_towards_the_middle_of_the_plot():
    (plot,) = accuracy_against_luts(sample_records())
    places = dict(pair for trace in plot.figure.data[1:] for pair in zip(trace.x, trace.textposition, strict=True))
    assert (places[min(places)], places[max(places)]) == ("top right", "top left")


def test_accuracies_of_different_kinds_are_not_put_together():
    records = [sample_record(), sample_record(p=12, top1_how="quoted: published, on ImageNet")]
    assert [len(plots(records)) for plots in (accuracy_against_luts, accuracy_against_p)] == [2, 2]


def test_a_line_a_method_over_p_and_a_level_one_without_a_bound():
    (plot,) = accuracy_against_p(sample_records())
    lines = {trace.name: list(zip(trace.x, trace.y, strict=True)) for trace in plot.figure.data}
    assert lines == {
        "quant_resnet8_w4a4, A2Q": [(12, 75.6), (14, 80.66)],
        "quant_resnet8_w4a4, A2Q+": [(12, 79.43), (14, 81.01)],
        "quant_resnet8_w4a4, no bound": [(11.5, 80.98), (14.5, 80.98)],
    }


def test_sparsity_is_drawn_in_percent_and_untrained_weights_dashed():
    (plot,) = sparsity_against_p([sample_record(p=12), sample_record(p=13, weights="synthetic", sparsity=0.7)])
    trained, drawn = plot.figure.data
    assert (list(trained.y), trained.line.dash) == ([87.5], "solid")
    assert (list(drawn.y), drawn.line.dash, drawn.name) == ([70.0], "dash", "quant_resnet8_w4a4, A2Q, untrained")
    assert "UNTRAINED" in plot.how


def test_a_single_network_is_no_line_over_p():
    for plots in (accuracy_against_p, sparsity_against_p):
        for records, why in (
            ([sample_record(), sample_record(policy="target")], "single network"),
            ([sample_record(method="", p=None)], "none of these networks"),
        ):
            (plot,) = plots(records)
            assert plot.figure is None and why in plot.how
