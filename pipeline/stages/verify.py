"""The stage verify; its work is in `pipeline/verification/gate_level.py`."""

from __future__ import annotations

import os

from pipeline.stage import Context, Stage
from pipeline.stages.groups import HARDWARE, LAYERS, NETWORK

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from pipeline.folding import fold
    from pipeline.synthesis import synth
    from pipeline.verification import gate_level
    from pipeline.verification.frames import simulated_frames

    options = context.options
    if not options.verify.gate_level:
        return "none: no gate-level simulation was asked for (verify: {gate_level: true})"
    graph = fold.load(context.inputs["fold"]).graph
    frames, _ = simulated_frames(graph, context.inputs["resolve"], options.verify.frames, again=True)
    report = gate_level.run(
        graph,
        synth.load_netlists(context.inputs["synth"] / "netlists"),
        frames,
        context.shared("verilator"),
        context.folder / "report",
        stall_seed=options.simulation.stall_seed,
        check_overflow=options.check_overflow,
        workers=len(os.sched_getaffinity(0)),
        log=context.log,
        on_progress=lambda done, total: context.progress(done, total, "netlists"),
    )
    return report.summary


STAGE = Stage(
    "verify",
    "the netlists that were counted, beside the SystemVerilog in every cycle, where that is asked for",
    run,
    reads=("verify.gate_level", "verify.frames", "simulation.stall_seed", "check_overflow"),
    needs=("resolve", "fold", "synth"),
    packages=("verilator", "pyosys", *NETWORK, *LAYERS),
    programs=("g++",),
    sources=(*HARDWARE, "hw/tb/*.cpp", "hw/gate_level/*.sv"),
)
