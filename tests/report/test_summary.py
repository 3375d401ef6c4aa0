from __future__ import annotations

from dataclasses import replace

import numpy as np

from a2q_driver.input_transform import HostStep, InputTransform
from a2q_driver.network_output import NetworkOutput
from a2q_driver.output_steps import OutputStep
from pipeline.dataflow.requantize import Requantizer
from pipeline.devices.boards import board_names
from pipeline.devices.resources import Resources
from pipeline.finn.record import FinnExport, FinnNodeCost, Widths
from pipeline.folding.fit import Bound, Fit
from pipeline.folding.fold import MvauChoice
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.thresholding import Thresholding
from pipeline.report.summary import CYCLES_FIGURE, LUTS_FIGURE, WIDTHS_FIGURE, summary
from pipeline.report.super_resolution import Restored, SuperResolution
from pipeline.synthesis.timing import LayerTiming, TimingReport
from pipeline.tools.nextpnr import Routed
from pipeline.tools.vitis_hls import Estimated
from pipeline.tools.vivado import Implemented
from pipeline.verification.comparison import AccumulatorExtremes
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
    assert "cycles simulated; 200 MHz configured, not timed: by Longest paths the clock wanted, 200 MHz, " in text
    assert f"{FACTS.resources.total.lut:,} LUT" in text and "counted by synthesis" in text


def test_an_image_has_no_top1():
    text = summary(replace(FACTS, input_quantizer=replace(FACTS.input_quantizer, same_top1=None)))
    assert "quantizer for 0 to 255: outputs differ by up to 0.125 |" in text and "top-1 stays" not in text


def test_what_the_host_computes_is_named_for_each_output():
    transform = InputTransform(
        (4, 6, 6), (6, 6, 4), (HostStep("take", np.zeros((4, 6, 6), np.int32)),), np.float32(1), 0, 0, 7
    )
    softmax, whole = OutputStep("softmax", (0,), numbers=(0,)), np.arange(4)
    largest = OutputStep("argmax", (0,), numbers=(0, 0))
    outputs = NetworkOutput("class", whole, (softmax, largest)), NetworkOutput("plain", whole.reshape(2, 2))
    graph = replace(FACTS.folded.graph, input_transform=transform, outputs=outputs)
    text = summary(replace(FACTS, folded=replace(FACTS.folded, graph=graph)))
    assert "before the first layer take; behind the last layer softmax, argmax for class |" in text
    assert "| class (1), plain (2 × 2) |" in text


def test_restored_images_have_their_psnr():
    image = np.zeros((2, 2, 3), np.uint8)
    restored = SuperResolution(
        2, "two crops", (Restored(image, image, image, image, 20, 22), Restored(image, image, image, image, 21, 26))
    )
    text = summary(replace(FACTS, restored=restored))
    assert rows(text, "Super resolution")[1:] == [
        ["| the network", "24.00", "22.00", "26.00 |"],
        ["| bicubic interpolation", "20.50", "20.00", "21.00 |"],
    ]
    assert "two crops" in text and "mean nothing" not in text and "Super resolution" not in summary(FACTS)
    drawn = replace(FACTS, restored=restored, model=replace(FACTS.model, weights="synthetic"))
    assert "The weights were drawn, so the network's images mean nothing." in summary(drawn)


def test_what_does_not_fit_is_said_in_the_overview():
    assert "does not fit" not in summary(FACTS)
    capacity = replace(FACTS.resources.capacity, lut=FACTS.resources.total.lut - 1)
    text = summary(sample_facts(resources=replace(FACTS.resources, capacity=capacity)))
    lut = FACTS.resources.total.lut
    assert f"**does not fit**, {lut:,} LUT of {lut - 1:,} |" in text


def test_every_board_is_said_to_hold_it_or_not():
    used = Resources(lut=100_000, ff=100_000, bram_18k=400, uram=32)
    resources = replace(FACTS.resources, total=used)
    table = {row[0].strip("|* "): row[1:] for row in rows(summary(sample_facts(resources=resources)), "Boards")[1:]}
    assert set(table) == set(board_names())
    assert table["KV260"] == ["too much BRAM", "85.4 %", "42.7 %", "138.9 %", "50.0 %", "0.0 % |"]
    assert table["ZCU104"][0] == "fits" and table["ZCU104"][3:5] == ["64.1 %", "33.3 %"]
    assert table["ZCU102"][0] == "too much URAM" and table["ZCU102"][4] == "32 of none"
    assert table["Pynq-Z2"][0] == "too much LUT, BRAM, URAM; counted for xcup, this is xc7"
    without = {row[0].strip("|* "): row[1:] for row in rows(summary(FACTS), "Boards")[1:]}
    assert without["Pynq-Z2"][0] == "fits; counted for xcup, this is xc7" and without["Pynq-Z2"][4] == "–"


def test_what_fold_advised_is_repeated():
    assert "`fold` said" not in summary(FACTS)
    fit = Fit("KV260", {"LUT": (200_000, 117_120)}, 250_000, ("mvau_style auto",), ("ZCU104", "U250"))
    text = summary(sample_facts(folded=replace(FACTS.folded, fit=fit)))
    assert (
        "Before synthesis, `fold` said: DOES NOT FIT the KV260: 200,000 LUT of 117,120 estimated. What is estimated to "
        "fit: target_fps 800 or less; mvau_style auto at this rate; a larger board as it is: ZCU104, U250."
    ) in text


def test_chosen_memories_are_named():
    assert "UltraRAM" not in summary(FACTS)
    layers = tuple(
        replace(layer, ram_style="ultra") if layer.name == "MVAU_1" else layer for layer in FACTS.folded.graph
    )
    graph = replace(FACTS.folded.graph, layers=layers)
    text = summary(sample_facts(folded=replace(FACTS.folded, graph=graph)))
    assert (
        "By `ram_style` those of MVAU_1 are in UltraRAM, which is loaded over a stream at start-up; the others" in text
    )


def test_the_overview_says_whether_there_is_a_bitstream():
    assert "| none: Vivado was not on PATH" in summary(FACTS)
    assert "| none: the KV260 has no processors beside its logic" in summary(sample_facts(bitfile=None))
    placed, part = Resources(lut=30_000, ff=40_000), Resources(lut=25_000)
    made = replace(FACTS.bitfile, vivado="2024.2", utilization=placed, accelerator=part, wns_ns=0.125, clock_mhz=200.0)
    text = summary(sample_facts(bitfile=made))
    assert "| 30,000 LUT, 25,000 of them the accelerator's, 40,000 FF; 200 MHz kept with 0.125 ns to spare |" in text
    assert "measured by Vivado 2024.2" in text


def test_throughput_is_the_clock_over_the_observed_cycles():
    network = replace(FACTS.network, steady_cycles=400_000)
    assert sample_facts(network=network).throughput_fps == 500.0
    assert "| steady frames/s | 500, 400,000 cycles between frames (target 1,000 frames/s missed) |" in summary(
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
        [int(row[column].strip("*").replace(",", "")) for row in table[: totals + 1]] for column in (1, 3)
    )
    assert sum(luts[:totals]) == luts[totals] == FACTS.resources.total.lut
    assert estimates[totals] == round(sum(estimate.lut for estimate in FACTS.folded.estimates.values()))
    assert abs(sum(estimates[:totals]) - estimates[totals]) <= totals  # each row is rounded
    assert "stitched network in one run" not in by_name
    assert by_name["utilization"][9] == "–"  # the part of the sample has no URAM


def test_what_vitis_hls_estimates_stands_below_the_count_of_the_rtl():
    estimated = Estimated("2022.2", "xck26", 5.0, Resources(lut=432, ff=765, bram_18k=3), 5.5, 100, 101)
    names = ["MVAU_0", next(layer.name for layer in FACTS.folded.graph if layer.op_type.endswith("Converter"))]
    layers = FACTS.resources.layers | {
        name: replace(FACTS.resources.layers[name], impl_style="hls", hls=estimated) for name in names
    }
    text = summary(sample_facts(resources=replace(FACTS.resources, layers=layers)))
    table = [[cell.strip("|* ") for cell in row] for row in rows(text, "Resources")]
    luts = {row[0]: row[3].strip("*") for row in table}
    places = list(luts)
    for name in names:
        label = f"{name} in HLS C++, estimated by Vitis HLS 2022.2"
        assert luts[label] == "432"
    assert places.index(f"{names[0]} in HLS C++, estimated by Vitis HLS 2022.2") == places.index(names[0]) + 1
    assert luts["total"] == f"{FACTS.resources.total.lut:,}"
    assert "By `preferred_impl_style`: 2 layers in HLS C++ 864 LUT, estimated by Vitis HLS 2022.2; in RTL " in text
    assert "Slower in HLS C++ than the clock, by its estimate: " in text
    assert all(f"{name} (5.5 ns for 5)" in text for name in names)
    assert "preferred_impl_style" not in summary(FACTS)


def test_where_vitis_hls_was_not_there_the_page_says_so():
    layers = FACTS.resources.layers | {"MVAU_0": replace(FACTS.resources.layers["MVAU_0"], impl_style="hls")}
    text = summary(sample_facts(resources=replace(FACTS.resources, layers=layers)))
    assert (
        "1 layer of style hls counted in RTL, as there is no vitis_hls on PATH. The accelerator holds the RTL" in text
    )


def test_the_whole_network_is_shown_where_it_was_counted():
    resources = replace(FACTS.resources, whole=Resources(lut=4321))
    assert "| stitched network in one run |  |  | 4,321 |" in summary(sample_facts(resources=resources))


def test_estimates_stand_beside_counts_with_their_median_error():
    counted = {name: Resources(lut=100) for name in FACTS.resources.layers}
    matrices = [layer.name for layer in FACTS.folded.graph if isinstance(layer, MVAU)]
    estimates = {name: Resources(lut=100.0) for name in counted}
    estimates |= {name: Resources(lut=lut) for name, lut in zip(matrices, (110.0, 70.0, 105.0, 100.0), strict=True)}
    layers = {name: replace(FACTS.resources.layers[name], total=total) for name, total in counted.items()}
    resources = replace(FACTS.resources, layers=layers, total=sum(counted.values(), Resources()))
    text = summary(sample_facts(resources=resources, folded=replace(FACTS.folded, estimates=estimates)))
    assert "Of the MVAUs' LUTs the median error is 7.5 %, of the total it is −0." in text
    assert "## Choice" not in text


def test_what_was_chosen_is_explained():
    more = {"unrolled": None, "sparse": 1234.5, "dsp": -300.0}
    more_dsp = {"unrolled": None, "sparse": 0.0, "dsp": 20.0}
    choice = MvauChoice("folded", {"pe": 2, "simd": 9}, 648, 410.4, 0.0, more, more_dsp)
    facts = sample_facts(folded=replace(FACTS.folded, choices={"MVAU_1": choice}))
    (row,) = rows(summary(facts), "Choice")[1:]
    counted = f"{facts.resources.layers['MVAU_1'].total.lut}"
    assert row[0].strip("| ") == "MVAU_1" and row[1] == "648"
    assert row[4] == "auto" and row[5:8] == ["410", counted, "0"]
    assert row[8:] == ["**chosen**", "–", "+ 1,234 LUT", "− 300 LUT, + 20 DSP |"]


def test_the_fastest_is_called_so():
    assert "(the most that is estimated to fit)" in summary(sample_facts(target_fps="max"))
    bound = Bound("MVAU_1", 1024, {"DSP": (1410, 1248)})
    text = summary(sample_facts(target_fps="max", folded=replace(FACTS.folded, bound=bound)))
    assert f"(the most that is estimated to fit, {bound.sentence})" in text
    assert (
        "bound by DSP: 1,024 cycles would take 1,410 DSP of 1,248 estimated, deep FIFOs apart, most of it in MVAU_1"
        in text
    )


def test_the_deepest_fifos_are_listed_and_the_rest_counted():
    table = rows(summary(FACTS), "FIFOs")[1:]
    depths = [int(row[3].replace(",", "")) for row in table]
    assert depths == sorted(depths, reverse=True) and len(depths) == 12
    fifos = sum(isinstance(layer, StreamingFIFO) for layer in FACTS.folded.graph)
    assert f"{fifos - 12} more have depths of" in summary(FACTS)


def test_figures_are_shown_and_stages_summed():
    text = summary(FACTS)
    assert all(f"]({name})" in text for name in (LUTS_FIGURE, CYCLES_FIGURE, WIDTHS_FIGURE))
    assert "| **sum, peak** | **24.0** | **415** |" in text
    assert "| rtlsim | SUCCESS | rtlsim is fine |" in text
    assert "| cppsim | SUCCESS | cppsim is fine |" in text
    assert "compiled by g++ 12.2.0 with the headers of hls4ml 1.3.0" in text
    assert "`verification_output/verify_stitched_ip_rtlsim_0_SUCCESS.npy` (10 frames)" in text


def test_a_simulation_that_was_not_asked_for_is_called_so():
    text = summary(sample_facts(cpp=None))
    assert "| cppsim | not asked for | cppsim is fine |" in text and "compiled by" not in text
    assert "| verify | not asked for | verify is fine |" in text


def test_finns_estimate_stands_beside_ours():
    folded = {layer.name: layer for layer in FACTS.folded.graph if isinstance(layer, MVAU)}
    first = next(iter(folded))
    finn = {name: {"MVAU_hls": Resources(lut=300), "MVAU_rtl": Resources(dsp=7)} for name in folded}
    finn |= {layer.name: () for layer in FACTS.folded.graph if layer.name not in finn}
    counts = FACTS.resources.layers | {
        name: replace(FACTS.resources.layers[name], total=Resources(lut=200)) for name in folded
    }
    text = summary(sample_facts(finn=finn, resources=replace(FACTS.resources, layers=counts)))
    table = {row[0].strip("|* "): row for row in rows(text, "Resources")}
    assert table["layer"][1:4] == ["LUT estimated", "FINN's estimate", "LUT"]
    assert table[first][2:4] == ["300", "200"]
    others = [layer.name for layer in FACTS.folded.graph if layer.name in table and layer.name not in folded]
    assert others and all(table[name][2] == "–" for name in others)
    assert "its median error is 50.0 %" in text and "in DSPs it is that" not in text
    assert f"FINN estimates 0 LUT and {7 * len(folded)} DSP in these layers" in text


def test_of_what_takes_dsps_finns_estimate_is_said_to_know_nothing_else():
    finn = {layer.name: () for layer in FACTS.folded.graph} | {"MVAU_0": {"MVAU_rtl": Resources(dsp=7)}}
    counts = FACTS.resources.layers | {
        "MVAU_0": replace(FACTS.resources.layers["MVAU_0"], total=Resources(lut=200, dsp=9))
    }
    text = summary(sample_facts(finn=finn, resources=replace(FACTS.resources, layers=counts)))
    (row,) = (row for row in rows(text, "Resources") if row[0].strip("|* ") == "MVAU_0")
    assert row[2] == "0, 7 DSP"
    assert "For the 1 in DSPs it is that of `MVAU_rtl`" in text and "7 in these layers, which have 9 here" in text


def test_without_folded_mvaus_finns_error_is_not_stated():
    text = summary(sample_facts(finn={layer.name: () for layer in FACTS.folded.graph}))
    assert "a dash stands where it has no such unit" in text
    assert "MVAU_hls" not in text


CELLS = {"lut4": 1234, "carry": 5, "ff": 678, "lutram": 0, "bram_18k": 0}
ON_ECP5 = {
    "MVAU_0": LayerTiming("MVAU", Routed((71.2, 68.0, 74.9), **CELLS), None),
    "MVAU_1": LayerTiming("MVAU", Routed((), **CELLS, problem="does not fit: more DP16KD than the device has"), None),
    "MVAU_2": LayerTiming("MVAU", Routed((150.0, 140.0, 155.0), **CELLS), None),
}
TIMING = TimingReport("nextpnr 1.0, each layer alone", "ECP5-85F, speed grade 6", (1, 2, 3), ON_ECP5)


def test_the_worst_paths_are_named_by_layer_and_signal_and_called_estimated():
    text = summary(FACTS)
    assert (
        "**Estimated, not measured**: 200 MHz with a pessimistic, 250 MHz with an optimistic delay of nets; the clock "
        "wanted, 200 MHz, is within reach of both. Estimated from netlists by hand. The 1 worst"
    ) in text
    assert rows(text, "Longest paths") == [
        ["| from", "to", "ns", "MHz", "LUTs in a row", "carry chains", "largest fan-out |"],
        ["| MVAU_0: data_q[3]", "StreamingFIFO_1: stored_q[0]", "5.00", "200", "1", "0", "165 |"],
    ]


def timing_section(text: str) -> str:
    return text.split("## Timing\n")[1].split("\n## ")[0]


def test_where_no_place_and_route_was_asked_for_that_is_all_that_is_said():
    section = timing_section(summary(FACTS)).strip()
    assert section.startswith("No place and route was asked for, so nothing measured says") and "\n" not in section
    assert "`timing: {place_and_route: true}`" in section


def test_frequencies_of_another_device_are_called_so():
    text = summary(sample_facts(timing=TIMING))
    section = timing_section(text)
    assert "Lattice ECP5-85F, speed grade 6, by nextpnr 1.0, each layer alone; the median of 3 seeds" in section
    assert "**That is another device than the KV260's**" in section and "say nothing of the board's clock" in section
    assert "The slowest is MVAU_0, 71 MHz." in section
    assert "Vivado was not on PATH, so nothing was measured for xck26." in section
    assert rows(text, "Timing") == [
        ["| layer", "MHz on ECP5", "least", "most", "LUT4", "FF |"],
        ["| MVAU_0", "71", "68", "75", "1,234", "678 |"],
        ["| MVAU_1", "–", "–", "–", "1,234", "678 |"],
        ["| MVAU_2", "150", "140", "155", "1,234", "678 |"],
    ]
    assert "- MVAU_1 on the ECP5: does not fit: more DP16KD than the device has." in section
    # the rate is at the configured clock as before
    assert "cycles simulated; 200 MHz configured, not timed: by Longest paths the clock wanted, 200 MHz, " in text


def test_what_vivado_measured_stands_beside_it():
    used = Resources(lut=900, ff=640, carry=44, bram_18k=3, uram=1, dsp=2)
    made = [
        Implemented("2024.2", "xck26", 5.0, -1.25, used),
        Implemented("2024.2", "xck26", 5.0, 1.0, used),
        Implemented("2024.2", "xck26", 5.0, None, None, "not every net could be routed"),
    ]
    both = {
        name: replace(entry, vivado=measured) for (name, entry), measured in zip(ON_ECP5.items(), made, strict=True)
    }
    text = summary(sample_facts(timing=replace(TIMING, layers=both)))
    section = timing_section(text)
    assert "Measured by Vivado 2024.2 for xck26, each MVAU alone out of context" in section
    assert "for a clock of 5 ns: Fmax is 1000 / (period − worst slack)" in section
    assert "The slowest is MVAU_0, 160 MHz." in section and "not on PATH" not in section
    table = rows(text, "Timing")
    assert table[0][6:] == ["MHz by Vivado", "slack ns", "LUT", "FF", "carry", "BRAM", "URAM", "DSP |"]
    assert table[1][6:] == ["160", "-1.250", "900", "640", "44", "1.5", "1", "2 |"]
    assert table[2][6:8] == ["250", "1.000"] and table[3][6:] == [*["–"] * 7, "– |"]
    assert "- MVAU_2 by Vivado: not every net could be routed." in section


def test_requantizers_are_named_with_what_is_proven_of_them():
    folded = FACTS.folded
    plain = tuple(
        replace(layer, requantizer=None) if isinstance(layer, MVAU | Thresholding) else layer for layer in folded.graph
    )
    text = summary(sample_facts(folded=replace(folded, graph=replace(folded.graph, layers=plain))))
    assert "## Requantization" not in text
    layers = tuple(layer.with_requantizer() if layer.name in ("MVAU_1", "Thresholding_0") else layer for layer in plain)
    text = summary(sample_facts(folded=replace(folded, graph=replace(folded.graph, layers=layers))))
    assert "equal at every integer of it" in text
    header, *units = rows(text, "Requantization")
    assert header[:4] == ["| layer", "thresholds", "multipliers", "shift"]
    lo, hi = folded.graph.layer("MVAU_1").accumulator_range()
    name, thresholds, multipliers, shift, rounded, reach, integers = units[0]
    assert (name, thresholds, multipliers, shift, rounded) == ("| MVAU_1", "4 × 3", "none", "0", "down")
    assert reach == f"{lo.min()} to {hi.max()}" and integers == f"{(hi - lo + 1).sum()} |"
    assert units[1][:2] == ["| Thresholding_0", "1 × 3"] and units[1][5:] == ["0 to 6", "7 |"]
    one = next(layer for layer in layers if layer.name == "MVAU_1")
    by_2 = Requantizer(2 * one.requantizer.multipliers, 2 * one.requantizer.addends, one.requantizer.shift + 1, dsps=2)
    in_dsps = tuple(replace(layer, requantizer=by_2) if layer is one else layer for layer in layers)
    text = summary(sample_facts(folded=replace(folded, graph=replace(folded.graph, layers=in_dsps))))
    assert rows(text, "Requantization")[1][2].endswith(" bits in 2 DSPs a lane")


def test_the_latency_stands_beside_what_was_asked_for():
    facts = sample_facts()
    took = facts.latency_ns
    assert took == facts.network.first_frame_cycle * 1e3 / facts.network.clock_mhz
    assert "target" not in next(line for line in summary(facts).splitlines() if line.startswith("| latency"))
    for target, verdict in ((took, "reached"), (took - 1, "**missed**")):
        text = summary(sample_facts(target_latency_ns=target))
        assert f"{facts.network.first_frame_cycle} cycles (target {target:,g} ns {verdict})" in text


def test_finns_nodes_stand_beside_the_layers_where_they_were_asked_for():
    assert "## FINN\n" not in summary(FACTS)
    unit = FACTS.folded.graph.accumulating[0]
    nodes = (
        FinnNodeCost("MVAU_hls_0", "MVAU_hls", unit.name, 1234, {"LUT": 900.0, "DSP": 3.0}),
        FinnNodeCost("Thresholding_rtl_0", "Thresholding_rtl", unit.name, 64, {"LUT": 100.0}),
    )
    widths = (Widths(unit.name, "INT14", "INT13"),)
    text = summary(replace(FACTS, exported=FinnExport("1.6.1", 10, 42, widths, nodes, ("MVAU_9: sparse here",))))
    assert "equal in every element of 42 tensors in 10 golden frames" in text and "nowhere wider than here" in text
    assert "Not as here: MVAU_9: sparse here." in text
    layer, everything = rows(text, "FINN")[1:]
    counted = FACTS.resources.layers[unit.name].total.lut
    assert layer[:3] == [f"| {unit.name}", "MVAU_hls, Thresholding_rtl", "1,234"]
    assert layer[4:8] == ["1,000", "0", "0", "3"] and layer[8] == f"{counted:,}"
    assert everything[2] == "1,234" and everything[4] == "1,000"
