"""The text of summary.md: one page that says what was built, how good it is, and how each figure came to be."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from a2q_driver.speed import FIGURES, LATENCY, STEADY_FPS
from pipeline.dataflow.roles import Accumulating
from pipeline.devices.resources import PART_KEYS, Resources
from pipeline.kernels.matrix_vector import STYLES
from pipeline.kernels.threshold_search import MAX_THRESHOLDS
from pipeline.models.resolve import Weights
from pipeline.report.boards import boards_section
from pipeline.report.facts import BuildFacts
from pipeline.report.finn import finn_section
from pipeline.report.markdown import duration, number, percent, span, table
from pipeline.report.speed import speed_table
from pipeline.report.super_resolution import SuperResolution
from pipeline.static_timing.estimate import OPTIMISTIC, PESSIMISTIC, place
from pipeline.synthesis.synth import ResourceReport
from pipeline.synthesis.timing import LayerTiming

__all__ = ["CYCLES_FIGURE", "LUTS_FIGURE", "WIDTHS_FIGURE", "summary"]

LUTS_FIGURE = "luts_per_layer.png"
CYCLES_FIGURE = "cycles_per_layer.png"
WIDTHS_FIGURE = "accumulator_widths.png"
RESTORED_FIGURE = "super_resolution.png"

_FIFOS_SHOWN = 12
_RANGES_SHOWN = 3
_NO_BOUND = (
    "No layer claims a bound: neither the file nor the configuration says what P the network was trained for. A Brevitas "
    "network that was says it in a file of `pipeline.export_qonnx`; else `accumulators: {bits: 12}` in the configuration "
    "does, or `bits: {conv1: 12}` for some layers."
)
_WEIGHTS_KNOWN = {
    "trained": "accuracy quoted from the training",
    "synthetic": "drawn, so accuracy means nothing",
    "user's file": "as given",
}


def summary(facts: BuildFacts) -> str:
    """summary.md, in Markdown. Its figures lie beside it."""
    sections = (
        _overview(facts),
        *([_restored(facts.restored, facts.model.weights)] if facts.restored else []),
        _verification(facts),
        _accumulators(facts),
        _speed(facts),
        *([_choice(facts)] if facts.folded.choices else []),
        *([_requantization(facts)] if facts.folded.requantized else []),
        _resources(facts),
        boards_section(facts),
        *([finn_section(facts.exported, facts)] if facts.exported else []),
        _longest_paths(facts),
        _timing(facts),
        _fifos(facts),
        _stages(facts),
    )
    return "\n\n".join(sections) + "\n"


def _overview(facts: BuildFacts) -> str:
    model, network, resources = facts.model, facts.network, facts.resources
    used, share = resources.total, resources.utilization
    widths = facts.certificate.layers
    accumulators = (
        f"{span((layer.bits_used for layer in widths), 'bits')} by the policy {facts.certificate.policies}; "
        f"{span((layer.bits['datatype'] for layer in widths), 'bits')} by data types alone"
    )
    latency = f"{duration(facts.latency_ns)}, {number(network.first_frame_cycle)} cycles"
    if facts.target_latency_ns is not None:
        verdict = "**missed**" if facts.is_late else "reached"
        latency += f" (target {facts.target_latency_ns:,g} ns {verdict})"
    counts = (
        f"{number(used.lut)} LUT ({percent(share['LUT'])}), {number(used.ff)} FF ({percent(share['FF'])}), "
        f"{number(used.bram_36k)} BRAM ({percent(share['BRAM_18K'])}), {number(used.uram)} URAM, {number(used.dsp)} DSP"
    )
    if resources.exceeded:
        counts += f": **does not fit**, {resources.excess}"
    witnessed = f"both ends of the range reached in simulation in {facts.witnessed} of {len(widths)} layers"
    rows = [
        ["weights", model.provenance, _WEIGHTS_KNOWN[model.weights]],
        _measured(facts),
        ["golden frames", model.golden_source, f"the frames of every check below; the input was {facts.seen.input}"],
        ["input", _input(facts), _input_known(facts)],
        *_on_host(facts),
        *_outputs(facts),
        ["accumulators", accumulators, f"proven; {witnessed}"],
        [
            STEADY_FPS,
            _steady(facts),
            f"cycles simulated; {network.clock_mhz:g} MHz configured, not timed: by Longest paths {facts.estimated.verdict}",
        ],
        [LATENCY, latency, f"cycles simulated, at the same clock, {FIGURES[LATENCY]}"],
        [f"{resources.board} ({resources.part})", counts, "counted by synthesis"],
        _bitstream(facts),
    ]
    return f"# {model.name}\n\n" + table(["", "", "how it is known"], rows, left=3)


def _measured(facts: BuildFacts) -> list[str]:
    """The accuracy of the integers."""
    accuracy = facts.accuracy
    if accuracy.main is None:
        return ["accuracy", "not measured", accuracy.reason]
    known = f"measured on the integer graph, which the hardware equals, in {accuracy.seconds:.1f} s"
    return ["accuracy", str(accuracy), known]


def _on_host(facts: BuildFacts) -> list[list[str]]:
    """What the driver computes before the first and behind the last layer, as real numbers."""
    graph = facts.folded.graph
    before, after = graph.input_transform, graph.output_transform
    first = ", ".join(step.op for step in before.steps) if before else ""
    last = ", ".join(step.op for step in after.steps) if after and not graph.gives_labels else ""
    if graph.outputs:
        ends = {output.name: ", ".join(step.op for step in output.steps) for output in graph.outputs}
        last = ", ".join(f"{steps} for {name}" for name, steps in ends.items() if steps)
    texts = [f"before the first layer {first}" if first else "", f"behind the last layer {last}" if last else ""]
    if not any(texts):
        return []
    known = (
        "equal on golden frames: the input's integers in every element, what is behind the last layer but for rounding"
    )
    return [["on the host, by the driver", "; ".join(filter(None, texts)), known]]


def _outputs(facts: BuildFacts) -> list[list[str]]:
    """The outputs, where there are several."""
    parts = [f"{output.name} ({' × '.join(map(str, output.shape)) or 1})" for output in facts.folded.graph.outputs]
    if not parts:
        return []
    return [["outputs", ", ".join(parts), "one behind the other in the output stream, in this order"]]


def _restored(restored: SuperResolution, weights: Weights) -> str:
    rows = [
        ["the network", f"{restored.psnr:.2f}", *(f"{end:.2f}" for end in restored.ends)],
        ["bicubic interpolation", f"{restored.bicubic_psnr:.2f}", *(f"{end:.2f}" for end in restored.bicubic_ends)],
    ]
    text = (
        f"## Super resolution\n\nImages {restored.factor} times as high and wide, as the integers of the hardware's reference "
        f"are: {restored.images}. PSNR in dB against the originals, in RGB and over all pixels, borders included:\n\n"
        + table(["", "mean", "least", "most"], rows)
    )
    if weights == "synthetic":
        text += "\n\nThe weights were drawn, so the network's images mean nothing."
    return f"{text}\n\n![what the network makes of images]({RESTORED_FIGURE})"


def _bitstream(facts: BuildFacts) -> list[str]:
    made = facts.bitfile
    if made is None:
        return ["bitstream", f"none: the {facts.resources.board} has no processors beside its logic", "not supported"]
    if made.vivado is None or made.utilization is None:
        text = "none: Vivado was not on PATH; the same build makes one where it is"
        return ["bitstream", text, "`deploy/` is for the simulated board"]
    share = f", {number(made.accelerator.lut)} of them the accelerator's" if made.accelerator else ""
    counts = f"{number(made.utilization.lut)} LUT{share}, {number(made.utilization.ff)} FF"
    return [
        "bitstream",
        f"{counts}; {made.clock_mhz:g} MHz kept with {made.wns_ns:g} ns to spare",
        f"measured by Vivado {made.vivado} on the routed design",
    ]


def _input(facts: BuildFacts) -> str:
    quantizer = facts.input_quantizer
    if quantizer is None:
        return "integers, by the network's own quantizer"
    same = ""
    if quantizer.same_top1 is not None:
        same = f"top-1 stays the same on {number(quantizer.same_top1)} of {number(quantizer.frames)} golden frames, "
    return (
        f"float, given an 8-bit quantizer for {quantizer}: {same}outputs differ by up to "
        f"{quantizer.largest_difference:.3g}"
    )


def _input_known(facts: BuildFacts) -> str:
    if facts.input_quantizer is None:
        return "read from the network"
    return "measured on golden frames that did not choose the quantizer"


def _steady(facts: BuildFacts) -> str:
    if facts.throughput_fps is None or facts.network.steady_cycles is None:
        return "not observed: one frame was simulated"
    if isinstance(facts.target_fps, str):
        bound = facts.folded.bound
        target = f"the most that is estimated to fit{f', {bound.sentence}' if bound else ''}"
    else:
        verdict = "reached" if facts.throughput_fps >= facts.target_fps else "missed"
        target = f"target {facts.target_fps:,.0f} frames/s {verdict}"
    cycles = number(facts.network.steady_cycles)
    return f"{facts.throughput_fps:,.0f}, {cycles} cycles between frames ({target})"


def _verification(facts: BuildFacts) -> str:
    steps = ("export", "streamline", "dataflow", "accumulators", "finn", "cppsim", "rtlsim", "verify")
    costs = {stage.name: stage for stage in facts.stages}
    text = (
        "## Verification\n\n"
        "From dataflow on every step is an equality of integers in every element; before it, of real numbers but for "
        "rounding. A build stops at the first that fails.\n\n"
    )
    left_out = {}
    if facts.model.kind != "brevitas":
        left_out["export"] = "not needed"
    if facts.exported is None and facts.cross_check is None:
        left_out["finn"] = "not asked for"
    if facts.cpp is None:
        left_out["cppsim"] = "not asked for"
    if facts.gates is None:
        left_out["verify"] = "not asked for"
    rows = [[s, left_out.get(s, "SUCCESS"), costs[s].summary] for s in steps]
    text += table(["step", "result", "what was found"], rows, left=3)
    if facts.cpp:
        text += (
            f"\n\nThe C++ of `hls/` was compiled by {facts.cpp.compiler} with the headers of {facts.cpp.headers}: what Vitis "
            "HLS would make of it was not simulated."
        )
    text += f"\n\n{_ranges(facts)}"
    files = [f"`verification_output/{output.file}` ({output.frames} frames)" for output in facts.verified]
    return text + (f"\n\nOutputs: {', '.join(files)}." if files else "")


def _ranges(facts: BuildFacts) -> str:
    """How much of every stream's range golden frames reached."""
    streams = facts.seen.streams
    text = (
        f"The golden frames reached the whole range of {facts.seen.whole} of {len(streams)} streams; "
        "`report/golden_ranges.json` has every one, with what it may carry and what it carried."
    )
    least = sorted((name for name in streams if streams[name].share < 1), key=lambda name: streams[name].share)
    if least:
        shown = [f"{name} {percent(streams[name].share)}, {streams[name]}" for name in least[:_RANGES_SHOWN]]
        text += f" The least of all: {'; '.join(shown)}."
    return text


def _accumulators(facts: BuildFacts) -> str:
    header = ["layer", "weights", "K", "N", "M", "data types", "ℓ1 bound", "exact", "trained for", "used"]
    units = {unit.name: unit for unit in facts.folded.graph.accumulating}
    rows = []
    for layer in facts.certificate.layers:
        rows.append(
            [
                layer.layer,
                f"`{layer.source}`" if layer.source else "",
                layer.k,
                layer.n,
                layer.m,
                layer.bits["datatype"],
                layer.bits["l1"],
                layer.bits["exact"],
                layer.claimed or "–",
                f"**{span(units[layer.layer].lane_accumulator_bits())}**",
                f"{number(layer.lowest.value)} to {number(layer.highest.value)}",
                _reached(facts.reached(layer.layer)),
            ]
        )
    return (
        "## Accumulators\n\n"
        "Bits of the widest row; a sum has K inputs of N bits and weights of M bits. `exact` is the range of the "
        "weights that are there: no input leaves it, and a witness input reaches each end. The proof and the witnesses "
        "are in `report/accumulators.json`, and `python3 report/check_certificate.py` computes them anew of "
        "`report/weights.npz` and the inputs' ranges and policies that stand in the proof, without anything of this "
        "project. The last column says which ends of the range the hardware's accumulators reached in simulation."
        + (" Each PE is as wide as its own rows need." if facts.certificate.per_pe else "")
        + (
            f" {_NO_BOUND}"
            if not _claims(facts)
            else f" {facts.certificate.claims[0].upper()}{facts.certificate.claims[1:]}."
        )
        + "\n\n"
        + table([*header, "proven range", "reached"], rows, left=2)
        + f"\n\n![accumulator widths by layer]({WIDTHS_FIGURE})"
    )


def _claims(facts: BuildFacts) -> bool:
    return any(layer.claimed is not None for layer in facts.certificate.layers)


def _reached(ends: tuple[bool, bool]) -> str:
    return {(True, True): "both", (True, False): "lowest", (False, True): "highest", (False, False): "neither"}[ends]


def _speed(facts: BuildFacts) -> str:
    network = facts.network
    rows = []
    for layer in facts.folded.graph.computing:
        run = facts.layers[layer.name]
        name = f"**{layer.name}**" if layer.name == facts.folded.slowest else layer.name
        observed = "–" if run.observed_cycles is None else number(run.observed_cycles)
        rows.append([name, *layer.parallelism(), run.predicted_cycles, observed, layer.latency()])
    return (
        "## Speed\n\n"
        "The stitched network, predicted by the model of streams and observed in Verilator on "
        f"{network.frames} frames; {number(network.total_cycles)} cycles in all. The same outputs came with random "
        f"gaps on every port ({network.stalled_frames} frames). Figures are at {network.clock_mhz:g} MHz, the clock configured.\n\n"
        + speed_table(facts)
        + "\n\nEvery layer alone, in clock cycles between frames, neither starved nor stalled; the slowest in bold. "
        "`depth` is its pipeline: cycles from the last input that an output needs to that output.\n\n"
        + table(["layer", "PE", "SIMD", "predicted", "observed", "depth"], rows)
        + f"\n\n![cycles by layer]({CYCLES_FIGURE})"
    )


def _choice(facts: BuildFacts) -> str:
    rows = []
    for name, choice in facts.folded.choices.items():
        other = [
            "**chosen**" if style == choice.style else _more(choice.more_lut[style], choice.more_dsp[style])
            for style in STYLES
        ]
        layer = facts.folded.graph.layer(name)
        counted = facts.resources.layers[name].total.lut
        sizes = (number(round(choice.lut)), number(counted), number(choice.dsp))
        memory = getattr(layer, "ram_style", "–")
        rows.append([name, f"{choice.cycles:,}", *layer.parallelism(), memory, *sizes, *other])
    return (
        "## Choice\n\n"
        "What computes each matrix where `mvau_style` is auto: all layers together take the fewest LUTs that meet the "
        "rate and fit the board, by estimates; a DSP counts as ten. The last columns say how many LUTs and DSPs the whole "
        "network would take more with another style in that layer and all other matrices as they are; a dash, that it would miss "
        "the rate or not fit.\n\n"
        + table(["layer", "cycles", "PE", "SIMD", "ram_style", "LUT estimated", "counted", "DSP", *STYLES], rows)
    )


def _requantization(facts: BuildFacts) -> str:
    rows = []
    for layer in facts.folded.requantized:
        requantizer = layer.requantizer
        assert requantizer is not None
        lo, hi = layer.value_range()
        common, bits = requantizer.common_multiplier, f"{requantizer.multiplier_bits} bits"
        if requantizer.dsps:
            bits += f" in {requantizer.dsps} DSP{'s' if requantizer.dsps > 1 else ''} a lane"
        rows.append(
            [
                layer.name,
                f"{len(lo)} × {layer.level_steps}",
                bits if common is None else "none" if common == 1 else f"{common} in all, {bits}",
                requantizer.shift,
                "half to even" if requantizer.half_even else "down",
                f"{number(int(lo.min()))} to {number(int(hi.max()))}",
                number(int((hi - lo + 1).sum())),
            ]
        )
    header = ["layer", "thresholds", "multipliers", "shift", "rounded", "range", "integers"]
    return (
        "## Requantization\n\n"
        "These layers have a multiplication, an addition and a shift a channel in the place of their thresholds, where "
        "that is estimated to take fewer LUTs (`activation_style`), or where there would be more than "
        f"{MAX_THRESHOLDS} a channel. **Equal, not approximated**: both are non-decreasing, "
        "and were compared at every threshold, one below it, and at both ends of the proven range of each channel, "
        "which makes them equal at every integer of it. `report/requantizers.json` has the numbers of every channel.\n\n"
        + table(header, rows)
    )


def _more(lut: float | None, dsp: float | None) -> str:
    if lut is None or dsp is None:
        return "–"
    return f"{_signed(lut)} LUT" + (f", {_signed(dsp)} DSP" if round(dsp) else "")


def _signed(amount: float) -> str:
    return f"{'+' if amount >= 0 else '−'} {number(abs(round(amount)))}"


def _or_dash(value: int | None) -> str:
    return "–" if value is None else number(value)


def _resources(facts: BuildFacts) -> str:
    resources = facts.resources
    rows = []
    between: dict[str, list[str]] = {}
    for layer in facts.folded.graph:
        if layer.between_layers:
            between.setdefault(layer.op_type, []).append(layer.name)
        else:
            estimate = round(facts.folded.estimates[layer.name].lut)
            cells = _cells(resources.layers[layer.name].total)
            rows.append([layer.name, estimate, _finn_lut(facts, [layer.name]), *cells])
            rows += _rows_in_hls(resources, [layer.name])
    for op_type, names in between.items():
        counted = sum((resources.layers[name].total for name in names), Resources())
        estimate = round(sum(facts.folded.estimates[name].lut for name in names))
        rows.append([f"{len(names)} × {op_type}", estimate, _finn_lut(facts, names), *_cells(counted)])
        rows += _rows_in_hls(resources, names)
    estimated = sum(estimate.lut for estimate in facts.folded.estimates.values())
    totals = [f"**{number(cell)}**" for cell in (round(estimated), *_cells(resources.total))]
    rows.append(["**total**", totals[0], "", *totals[1:]])
    if resources.whole:
        rows.append(["stitched network in one run", "", "", *_cells(resources.whole)])
    capacity = {**resources.capacity.to_report(PART_KEYS), "BRAM": resources.capacity.bram_36k}
    share = {**resources.utilization, "BRAM": resources.utilization["BRAM_18K"]}
    header = ["layer", "LUT", "in RAM", "in SRL", "FF", "carry", "BRAM", "URAM", "DSP"]
    rows.append([f"{resources.board} has", "", "", *(capacity.get(column, "") for column in header[1:])])
    rows.append(["utilization", "", "", *(percent(share[column]) if column in share else "" for column in header[1:])])
    return (
        "## Resources\n\n"
        f"{resources.method[0].upper()}{resources.method[1:]}. BRAM in blocks of 36 Kb; `in RAM` and "
        "`in SRL` are the LUTs that serve as memories and shift registers. Counts of placed designs differ.\n\n"
        + table([header[0], "LUT estimated", "FINN's estimate", *header[1:]], rows)
        + _in_hls(resources)
        + f"\n\n{_weight_memory(facts)}"
        + f"\n\nEstimates are those that foldings are chosen by, of a model fitted to what Yosys counts. {_accuracy(facts)}"
        + _beside_finn(facts)
        + f"\n\n![LUTs by layer]({LUTS_FIGURE})\n\nIn an MVAU, sliding windows are the copy of its window that it replays, FIFOs "
        "the buffer of its results. Glue is handshakes, control, width converters, and the small arithmetic of other layers."
    )


def _rows_in_hls(resources: ResourceReport, names: Sequence[str]) -> list[list[int | float | str]]:
    """A row for each layer of which Vitis HLS had the C++, without what it does not tell."""
    rows: list[list[int | float | str]] = []
    for name in names:
        if estimate := resources.layers[name].hls:
            lut, _, _, ff, _, *memories = _cells(estimate.utilization)
            rows.append([f"{name} in HLS C++, {estimate.how}", "", "", lut, "", "", ff, "", *memories])
    return rows


def _in_hls(resources: ResourceReport) -> str:
    """The section on the layers that `preferred_impl_style` wants in HLS C++, if there are any."""
    if not resources.in_hls:
        return ""
    text = (
        f"\n\nBy `preferred_impl_style`: {resources.in_hls}. The accelerator holds the RTL of every layer, so the total "
        "and the utilization are those of the RTL."
    )
    slow = [
        f"{name} ({layer.hls.estimated_period_ns:.4g} ns for {layer.hls.period_ns:.4g})"
        for name, layer in resources.layers.items()
        if layer.hls and layer.hls.estimated_period_ns > layer.hls.period_ns
    ]
    return text + (f" Slower in HLS C++ than the clock, by its estimate: {', '.join(slow)}." if slow else "")


def _weight_memory(facts: BuildFacts) -> str:
    layers = facts.folded.graph.accumulating
    stored = sum(layer.weight_memory_bits() for layer in layers)
    dense = sum(layer.weights.size * layer.weight_type.bits for layer in layers)
    return (
        f"The weights take {stored / 1e6:.3g} Mbit of memory, with the indices of sparse layers; all of them stored one "
        f"by one would take {dense / 1e6:.3g} Mbit.{_memories(layers)}"
    )


_IN = {
    "distributed": "in LUTs",
    "block": "in block RAM",
    "ultra": "in UltraRAM, which is loaded over a stream at start-up",
}


def _memories(layers: Sequence[Accumulating]) -> str:
    """The memories of weights, where the choice was not left to synthesis."""
    parts = []
    for style, where in _IN.items():
        if names := [layer.name for layer in layers if getattr(layer, "ram_style", "auto") == style]:
            parts.append(f"those of {', '.join(names)} are {where}")
    return f" By `ram_style` {'; '.join(parts)}; the others are in what synthesis finds cheapest." if parts else ""


def _accuracy(facts: BuildFacts) -> str:
    """How far the estimates are off, by layer and in all."""
    counted = {name: layer.total.lut for name, layer in facts.resources.layers.items()}
    total = sum(estimate.lut for estimate in facts.folded.estimates.values()) / facts.resources.total.lut - 1
    errors = [
        abs(facts.folded.estimates[layer.name].lut / counted[layer.name] - 1)
        for layer in facts.folded.graph.accumulating
    ]
    return f"Of the MVAUs' LUTs the median error is {percent(median(errors))}, of the total it is {'+' if total > 0 else '−'}{percent(abs(total))}."


def _finn_lut(facts: BuildFacts, names: Sequence[str]) -> float | str:
    """FINN's estimate of the LUTs of layers together, and the DSPs of a unit of which it knows nothing else; a dash where it
    has none of one of them."""
    estimates = [next(iter(units.values())) for name in names if (units := facts.finn.get(name))]
    if len(estimates) < len(names):
        return "–"
    total = sum(estimates, Resources())
    return f"{number(total.lut)}, {number(total.dsp)} DSP" if total.dsp else total.lut


def _beside_finn(facts: BuildFacts) -> str:
    """FINN's own estimate, and its error for the MVAUs that have a counterpart in FINN."""
    text = (
        "\n\nFINN's estimate is what FINN's code says of its own units with the same folding; a dash stands where it has "
        "no such unit, or no estimate of its LUTs."
    )
    in_dsps = [layer.name for layer in facts.folded.graph if [*facts.finn.get(layer.name, ())] == ["MVAU_rtl"]]
    if in_dsps:
        finns_dsps = sum(facts.finn[name]["MVAU_rtl"].dsp for name in in_dsps)
        ours_dsps = sum(facts.resources.layers[name].total.dsp for name in in_dsps)
        text += (
            f" For the {len(in_dsps)} in DSPs it is that of `MVAU_rtl`: FINN's model counts the DSPs of its multipliers alone, "
            f"{number(finns_dsps)} in these layers, which have {number(ours_dsps)} here with those of sums and scales, and no LUT "
            "for what stands around them."
        )
    names = [layer.name for layer in facts.folded.graph if "MVAU_hls" in facts.finn.get(layer.name, ())]
    if not names:
        return text
    counted = {name: facts.resources.layers[name].total.lut for name in names}
    ours = median(abs(facts.folded.estimates[name].lut / lut - 1) for name, lut in counted.items())
    finns = median(abs(facts.finn[name]["MVAU_hls"].lut / lut - 1) for name, lut in counted.items())
    dsps = sum(facts.finn[name]["MVAU_rtl"].dsp for name in names)
    return (
        f"{text} For the folded MVAUs it is that of `MVAU_hls` with multipliers of LUTs: of what is counted here its median "
        f"error is {percent(finns)}, that of the estimates beside it {percent(ours)}. For `MVAU_rtl`, which takes DSPs, FINN "
        f"estimates 0 LUT and {number(dsps)} DSP in these layers. `docs/estimator.md` has the errors on many layers."
    )


def _cells(used: Resources) -> list[int | float]:
    return [used.lut, used.lutram, used.srl, used.ff, used.carry, used.bram_36k, used.uram, used.dsp]


def _longest_paths(facts: BuildFacts) -> str:
    estimate = facts.estimated
    text = (
        f"## Longest paths\n\n**Estimated, not measured**: {estimate.mhz(PESSIMISTIC):.0f} MHz with a pessimistic, "
        f"{estimate.mhz(OPTIMISTIC):.0f} MHz with an optimistic delay of nets; {estimate.verdict}. "
        f"{estimate.method[0].upper()}{estimate.method[1:]}. The {len(estimate.worst)} worst by the pessimistic one:"
    )
    rows = [
        [
            *(place(path.start), place(path.end)),
            *(f"{path.ns:.2f}", round(path.mhz), path.luts, path.carries, path.fan_out),
        ]
        for path in estimate.worst
    ]
    header = ["from", "to", "ns", "MHz", "LUTs in a row", "carry chains", "largest fan-out"]
    return (
        f"{text}\n\n{table(header, rows, left=2)}\n\n`report/timing_estimate.json` has each of them cell by cell, and the "
        "longest of every layer; docs/timing.md has the model, and how far it is to be believed."
    )


def _timing(facts: BuildFacts) -> str:
    timing, board = facts.timing, facts.resources
    if timing is None:
        return (
            "## Timing\n\nNo place and route was asked for, so nothing measured says what clock the hardware reaches; "
            "`timing: {place_and_route: true}` in the build's configuration measures every MVAU alone."
        )
    seeds = f"{len(timing.seeds)} seeds" if len(timing.seeds) > 1 else "one seed"
    text = (
        f"## Timing\n\nFmax of each MVAU, placed and routed on a Lattice {timing.device}, by {timing.method}; the "
        f"median of {seeds}, the least and the most. **That is another device than the {board.board}'s**, of 40 nm with 4-input LUTs: "
        "the figures compare layers with each other and say nothing of the board's clock."
    )
    if timing.slowest_mhz is not None:
        text += f" The slowest is {timing.slowest}, {number(round(timing.slowest_mhz))} MHz."
    made = next((layer.vivado for layer in timing.layers.values() if layer.vivado), None)
    header = ["layer", "MHz on ECP5", "least", "most", "LUT4", "FF"]
    if made:
        header += ["MHz by Vivado", "slack ns", "LUT", "FF", "carry", "BRAM", "URAM", "DSP"]
        text += (
            f"\n\nMeasured by Vivado {made.version} for {made.part}, each MVAU alone out of context, placed and routed for a "
            f"clock of {made.period_ns:.4g} ns: Fmax is 1000 / (period − worst slack). Beside the rest of a network it can be "
            "less."
        )
        if timing.slowest_mhz_by_vivado is not None:
            text += f" The slowest is {timing.slowest_by_vivado}, {number(round(timing.slowest_mhz_by_vivado))} MHz."
    else:
        text += f" Vivado was not on PATH, so nothing was measured for {board.part}."
    rows = [[name, *_on_ecp5(layer), *(_by_vivado(layer) if made else [])] for name, layer in timing.layers.items()]
    problems = [f"- {name} {kind}: {why}." for name, layer in timing.layers.items() for kind, why in _problems(layer)]
    return "\n\n".join([text, table(header, rows), *(["\n".join(problems)] if problems else [])])


def _on_ecp5(layer: LayerTiming) -> list[int | str]:
    cells, reached = layer.ecp5, layer.ecp5.mhz
    median = cells.median_mhz
    rates = "–––" if median is None else [round(rate) for rate in (median, min(reached), max(reached))]
    return [*rates, cells.lut4, cells.ff]


def _by_vivado(layer: LayerTiming) -> list[int | float | str]:
    made = layer.vivado
    if made is None or made.fmax_mhz is None or made.resources is None:
        return list("––––––––")
    used = made.resources
    counts = (used.lut, used.ff, used.carry, used.bram_36k, used.uram, used.dsp)
    return [round(made.fmax_mhz), f"{made.wns_ns:.3f}", *counts]


def _problems(layer: LayerTiming) -> list[tuple[str, str]]:
    """The figures that are missing, and why."""
    problems = [("on the ECP5", layer.ecp5.problem)]
    if layer.vivado:
        problems.append(("by Vivado", layer.vivado.problem))
    return [(kind, why) for kind, why in problems if why]


def _fifos(facts: BuildFacts) -> str:
    fifos = facts.folded.graph.fifos
    if not fifos:
        return "## FIFOs\n\nThere are none: no two layers are joined by a stream."
    streams = facts.folded.graph.streams
    deepest = sorted(fifos, key=lambda fifo: -fifo.depth)
    shown, others = deepest[:_FIFOS_SHOWN], deepest[_FIFOS_SHOWN:]
    rows = []
    for fifo in shown:
        writer, reader = streams[fifo.input_names[0]].producer, streams[fifo.output_names[0]].consumer
        bits = fifo.lanes * fifo.type.bits
        least = facts.folded.deadlock_bounds.get(fifo.name)
        rows.append(
            [fifo.name, f"{writer} → {reader}", bits, fifo.depth, facts.network.fifo_peaks[fifo.name], _or_dash(least)]
        )
    text = (
        "## FIFOs\n\n"
        "Depths and peaks in beats. Depths are by analysis, peaks were observed in simulation, stalls "
        "included; `safe` is a depth that is proven to be enough against deadlock where paths meet again; less may do.\n\n"
        + table(["FIFO", "between", "bits a beat", "depth", "peak", "safe"], rows, left=2)
    )
    if others:
        text += (
            f"\n\n{len(others)} more have depths of {span(fifo.depth for fifo in others)}; "
            "`report/rtlsim_performance.json` lists them all."
        )
    return text


def _stages(facts: BuildFacts) -> str:
    rows = [[stage.name, f"{stage.seconds:.1f}", f"{stage.peak_mib:,.0f}"] for stage in facts.stages]
    seconds, peak = sum(s.seconds for s in facts.stages), max(s.peak_mib for s in facts.stages)
    rows.append(["**sum, peak**", f"**{seconds:.1f}**", f"**{peak:,.0f}**"])
    return (
        "## Stages\n\n"
        "Wall-clock time and memory, all processes together, measured when each stage ran; a cached stage is "
        "not run again. The stage report, which writes this page, is not among them.\n\n"
        + table(["stage", "seconds", "peak MiB"], rows)
    )
