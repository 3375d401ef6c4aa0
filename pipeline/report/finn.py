"""The section of the summary on the layers as FINN's nodes."""

from __future__ import annotations

from pipeline.finn.record import FinnExport
from pipeline.report.facts import BuildFacts
from pipeline.report.markdown import number, table

__all__ = ["finn_section"]

_RESOURCES = ("LUT", "BRAM_18K", "URAM", "DSP")  # FINN's names


def finn_section(exported: FinnExport, facts: BuildFacts) -> str:
    """FINN's model, how it was proven, and FINN's estimates of its nodes beside what was observed and counted here."""
    widths = "the same as here in every layer" if exported.same_widths else "nowhere wider than here"
    text = (
        "## FINN\n\n"
        f"`finn/model.onnx` has the layers as {len(exported.nodes)} nodes of FINN (finn-plus {exported.version}). FINN's execution of "
        f"them is equal in every element of {exported.tensors} tensors in {exported.frames} golden frames; the accumulators that its "
        f"MinimizeAccumulatorWidth finds are {widths}. `finn/dataflow_build_config.json` goes on from there, with Vivado: "
        "docs/finn.md.\n\n"
    )
    if exported.notes:
        text += f"Not as here: {'; '.join(exported.notes)}.\n\n"
    layers = {layer.name: layer for layer in facts.folded.graph}
    rows = []
    for name in dict.fromkeys(node.layer for node in exported.nodes):
        nodes = [node for node in exported.nodes if node.layer == name]
        here = layers.get(name)
        counted = facts.resources.layers.get(name)
        rows.append(
            [
                name,
                ", ".join(node.op_type for node in nodes),
                number(max(node.cycles for node in nodes)),
                number(here.cycles()) if here else "–",
                *(number(sum(node.resources.get(key, 0) for node in nodes)) for key in _RESOURCES),
                number(counted.total.lut) if counted else "–",
                number(counted.total.dsp) if counted else "–",
            ]
        )
    here_total = facts.resources.total
    rows.append(
        [
            "**all**",
            "",
            number(exported.slowest.cycles),
            number(facts.folded.max_cycles),
            *(number(exported.total(key)) for key in _RESOURCES),
            number(here_total.lut),
            number(here_total.dsp),
        ]
    )
    header = ["layer", "FINN's nodes", "cycles", "here", *_RESOURCES, "LUT here", "DSP here"]
    return (
        text
        + "Cycles a frame, and resources of FINN's units, are FINN's own estimates; those here are the folding's cycles and Yosys' "
        "counts, FIFOs and width converters in the sum alone. FINN estimates no LUTs for units of DSPs (MVAU_rtl), nor for those "
        "that it says 0 of.\n\n" + table(header, rows, left=2)
    )
