from __future__ import annotations

from pipeline.compare.ratios import NO_RATIOS, describe_ratios, group_by_policy
from pipeline.compare.table import to_markdown
from tests.compare.sample import sample_record, sample_records


def test_records_that_differ_in_their_policy_alone_are_a_group():
    groups = group_by_policy(sample_records())
    assert [len(group.records) for group in groups] == [5, 5, 5, 5, 4]
    one = sample_record(policy="exact")
    others = [
        sample_record(policy="datatype", **axis)
        for axis in ({"board": "ZCU104"}, {"target_fps": "max"}, {"seed": 1}, {"weights": "synthetic"}, {"p": 12})
    ]
    assert [group.records for group in group_by_policy([one, *others])] == [(record,) for record in (one, *others)]


def test_a_ratio_is_over_the_luts_of_the_policy_with_one_width_a_layer():
    wide = sample_record(policy="datatype", lut=2000)
    per_pe = sample_record(policy="datatype", per_pe=True, lut=1500)
    (group,) = group_by_policy([per_pe, wide])
    assert group.ratio(per_pe, "datatype") == 0.75 and group.ratio(wide, "datatype") == 1.0
    assert group.ratio(per_pe, "fixed:32") is None


def test_what_was_found_is_said_against_both_references():
    luts = {"fixed:32": 4000, "datatype": 3000, "exact": 2500}
    (group,) = group_by_policy([sample_record(policy=policy, lut=lut) for policy, lut in luts.items()])
    assert group.title == "quant_resnet8_w4a4_a2q_14b on KV260 at 10,000 frames/s"
    assert group.finding() == (
        "of the 4,000 LUT with fixed:32, datatype takes 0.750, exact takes 0.625; "
        "of the 3,000 LUT with datatype, exact takes 0.833. Their foldings are the same."
    )


def test_a_ratio_above_one_is_said_too():
    records = [sample_record(policy="fixed:32", lut=1000), sample_record(policy="exact", lut=1100)]
    assert "exact takes 1.100" in group_by_policy(records)[0].finding()


def test_foldings_that_differ_are_named():
    first = sample_record(policy="fixed:32", lut=1000)
    same, other = sample_record(policy="datatype"), sample_record(policy="exact", folding="ffff0000")
    assert "are the same" in group_by_policy([first, same])[0].finding()
    text = group_by_policy([first, same, other])[0].finding()
    assert "are the same" not in text and "exact is folded otherwise than fixed:32" in text


def test_without_a_reference_there_is_no_ratio():
    for records in ([sample_record(policy="exact")], [sample_record(policy="fixed:32")]):
        assert describe_ratios(records) == []
    assert to_markdown([sample_record(p=12), sample_record()], []).count(NO_RATIOS) == 1


def test_titles_say_untrained_and_the_seed_where_it_differs():
    records = [sample_record(weights="synthetic", seed=seed, target_fps="max") for seed in (0, 1)]
    assert [group.title for group in group_by_policy(records)] == [
        f"quant_resnet8_w4a4_a2q_14b with untrained weights on KV260 at the most frames/s that fit, seed {seed}"
        for seed in (0, 1)
    ]
