from __future__ import annotations

from dataclasses import replace

from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.report.summary import CYCLES_FIGURE, LUTS_FIGURE, WIDTHS_FIGURE, summary
from pipeline.resources.model import Estimate
from pipeline.stages.fold import MvauChoice
from pipeline.stages.rtlsim import AccumulatorExtremes
from pipeline.tools.yosys import Utilization
from tests.report.sample import sample_facts

FACTS = sample_facts()


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of all table rows under `heading`."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.split(" | ")] for line in section.splitlines() if line.startswith("| ")]


def test_the_overview_says_what_is_known_and_how():
    text = summary(FACTS)
    assert text.startswith("# residual\n")
    assert "top-1 81.2 % on 10,000 images | accuracy quoted from the training" in text
    assert "top-1 stays the same on 254 of 256 golden frames, outputs differ by up to 0.125" in text
    assert "both ends of the range reached in simulation in 4 of 4 layers" in text
    assert "cycles simulated; 200 MHz configured, not timed" in text
    assert f"{FACTS.resources.total.lut:,} LUT" in text and "counted by synthesis" in text


def test_what_does_not_fit_is_said_in_the_overview():
    assert "does not fit" not in summary(FACTS)
    capacity = {**FACTS.resources.capacity, "LUT": FACTS.resources.total.lut - 1}
    text = summary(sample_facts(resources=replace(FACTS.resources, capacity=capacity)))
    assert "**does not fit**, too much LUT |" in text


def test_the_overview_says_whether_there_is_a_bitstream():
    assert "| none: Vivado was not on PATH" in summary(FACTS)
    assert "| none: the KV260 has no processors beside its logic" in summary(sample_facts(bitfile=None))
    placed = {"LUT": 30_000, "FF": 40_000}
    made = replace(
        FACTS.bitfile, vivado="2024.2", utilization=placed, accelerator={"LUT": 25_000}, wns_ns=0.125, clock_mhz=200.0
    )
    text = summary(sample_facts(bitfile=made))
    assert "| 30,000 LUT, 25,000 of them the accelerator's, 40,000 FF; 200 MHz kept with 0.125 ns to spare |" in text
    assert "measured by Vivado 2024.2" in text


def test_throughput_is_the_clock_over_the_observed_cycles():
    network = replace(FACTS.network, steady_cycles=400_000)
    assert sample_facts(network=network).throughput_fps == 500.0
    assert "500 frames/s, 400,000 cycles between frames (target 1,000 frames/s missed)" in summary(
        sample_facts(network=network)
    )
    assert "frames/s reached)" in summary(FACTS)


def test_one_frame_gives_no_throughput():
    text = summary(sample_facts(network=replace(FACTS.network, steady_cycles=None)))
    assert "not observed: one frame was simulated" in text


def test_synthetic_weights_are_called_so():
    model = replace(FACTS.model, weights="synthetic", provenance="synthetic weights, not trained")
    assert "synthetic weights, not trained | drawn, so accuracy means nothing" in summary(sample_facts(model=model))


def test_a_network_with_its_own_quantizer_says_so():
    assert "integers, by the network's own quantizer" in summary(sample_facts(input_quantizer=None))


def test_the_width_of_each_pe_is_told():
    first = next(layer for layer in FACTS.folded.graph if isinstance(layer, MVAU) and layer.pe > 1)
    widest = max(first.lane_accumulator_bits())
    narrower = replace(first, accumulator_bits=tuple(widest - row % first.pe for row in range(first.mh)))
    layers = tuple(narrower if layer is first else layer for layer in FACTS.folded.graph)
    folded = replace(FACTS.folded, graph=replace(FACTS.folded.graph, layers=layers))
    text = summary(sample_facts(folded=folded, certificate=replace(FACTS.certificate, per_pe=True)))
    assert "Each PE is as wide as its own rows need." in text and "Each PE" not in summary(FACTS)
    (row,) = [row for row in rows(text, "Accumulators") if row[0].strip("| ") == first.name]
    assert row[9] == f"**{widest - first.pe + 1} to {widest}**"


def test_every_mvau_has_its_widths_and_its_reached_ends():
    table = rows(summary(FACTS), "Accumulators")[1:]
    assert [row[0].strip("| ") for row in table] == [x.name for x in FACTS.folded.graph if isinstance(x, MVAU)]
    entry = FACTS.certificate.layers[0]
    assert table[0][9] == f"**{entry.bits_used}**" and table[0][8] == "14"
    assert all(row[-1].startswith("both") for row in table)
    name = entry.layer
    short = AccumulatorExtremes((entry.lowest.value, entry.highest.value), (entry.lowest.value, 0))
    changed = {**FACTS.layers, name: replace(FACTS.layers[name], accumulator=short)}
    facts = sample_facts(layers=changed)
    assert rows(summary(facts), "Accumulators")[1][-1].startswith("lowest")
    assert facts.witnessed == 3


def test_resources_add_up_and_fifos_share_a_row():
    table = rows(summary(FACTS), "Resources")[1:]
    fifos = [layer for layer in FACTS.folded.graph if isinstance(layer, StreamingFIFO)]
    by_name = {row[0].strip("|* "): row for row in table}
    assert f"{len(fifos)} × StreamingFIFO" in by_name
    totals = list(by_name).index("total")
    estimates, luts = (
        [int(row[column].strip("*").replace(",", "")) for row in table[: totals + 1]] for column in (1, 2)
    )
    assert sum(luts[:totals]) == luts[totals] == FACTS.resources.total.lut
    assert estimates[totals] == round(sum(estimate.lut for estimate in FACTS.folded.estimates.values()))
    assert abs(sum(estimates[:totals]) - estimates[totals]) <= totals  # each row is rounded
    assert "stitched network in one run" not in by_name
    assert by_name["utilization"][8] == "–"  # the part of the sample has no URAM


def test_the_whole_network_is_shown_where_it_was_counted():
    resources = replace(FACTS.resources, whole=Utilization(lut=4321))
    assert "| stitched network in one run |  | 4,321 |" in summary(sample_facts(resources=resources))


def test_estimates_stand_beside_counts_with_their_median_error():
    counted = {name: Utilization(lut=100) for name in FACTS.resources.layers}
    matrices = [layer.name for layer in FACTS.folded.graph if isinstance(layer, MVAU)]
    estimates = {name: Estimate(lut=100.0) for name in counted}
    estimates |= {name: Estimate(lut=lut) for name, lut in zip(matrices, (110.0, 70.0, 105.0, 100.0), strict=True)}
    layers = {name: replace(FACTS.resources.layers[name], total=own) for name, own in counted.items()}
    resources = replace(FACTS.resources, layers=layers, total=sum(counted.values(), Utilization()))
    text = summary(sample_facts(resources=resources, folded=replace(FACTS.folded, estimates=estimates)))
    assert "Of the MVAUs' LUTs the median error is 7.5 %, of the total it is −0." in text
    assert "## Choice" not in text


def test_what_was_chosen_is_explained():
    choice = MvauChoice("folded", {"pe": 2, "simd": 9}, 648, 410.4, {"unrolled": None, "sparse": 1234.5})
    facts = sample_facts(folded=replace(FACTS.folded, choices={"MVAU_1": choice}))
    (row,) = rows(summary(facts), "Choice")[1:]
    counted = f"{facts.resources.layers['MVAU_1'].total.lut}"
    assert row[0].strip("| ") == "MVAU_1" and row[1] == "648"
    assert row[4:] == ["410", counted, "**chosen**", "–", "+ 1,234 |"]


def test_the_fastest_is_called_so():
    assert "(the most that is estimated to fit)" in summary(sample_facts(target_fps="max"))


def test_the_deepest_fifos_are_listed_and_the_rest_counted():
    table = rows(summary(FACTS), "FIFOs")[1:]
    depths = [int(row[3].replace(",", "")) for row in table]
    assert depths == sorted(depths, reverse=True) and len(depths) == 12
    fifos = sum(isinstance(layer, StreamingFIFO) for layer in FACTS.folded.graph)
    assert f"{fifos - 12} more have depths of" in summary(FACTS)


def test_figures_are_shown_and_stages_summed():
    text = summary(FACTS)
    assert all(f"]({name})" in text for name in (LUTS_FIGURE, CYCLES_FIGURE, WIDTHS_FIGURE))
    assert "| **sum, peak** | **16.5** | **410** |" in text
    assert "| rtlsim | SUCCESS | rtlsim is fine |" in text
    assert "`verification_output/verify_stitched_ip_rtlsim_0_SUCCESS.npy` (10 frames)" in text
