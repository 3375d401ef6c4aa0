"""The stage cppsim; its work is in `pipeline/verification/cppsim.py`."""

from __future__ import annotations

import os

from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS, NETWORK

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from pipeline.accumulators.witness import witnesses
    from pipeline.codegen import hls
    from pipeline.folding import fold
    from pipeline.verification import cppsim
    from pipeline.verification.frames import simulated_frames

    count = context.options.simulation.cppsim_frames
    if not count:
        return "none: the HLS C++ was not run, as no frames were asked for (simulation: {cppsim_frames: 0})"
    graph = fold.load(context.inputs["fold"]).graph
    hls.check_widths(graph)
    frames, chosen = simulated_frames(graph, context.inputs["resolve"], count, again=False)
    result = cppsim.run(
        graph,
        hls.describe_network(graph, context.inputs["codegen"] / "hls", hls.NETWORK_FUNCTION),
        frames,
        chosen,
        witnesses(graph),
        context.shared("g++"),
        context.folder / "verification_output",
        workers=len(os.sched_getaffinity(0)),
        log=context.log,
        on_progress=context.progress,
    )
    result.save(context.folder / "report")
    return result.summary


STAGE = Stage(
    "cppsim",
    "every layer and the whole network in C++, exact",
    run,
    reads=("simulation.cppsim_frames",),
    needs=("resolve", "fold", "codegen"),
    packages=("hls4ml", *NETWORK, *LAYERS),
    programs=("g++", "vitis_hls"),
    variables=("XILINX_HLS",),
    sources=("hw/tb/*.hpp",),
)
