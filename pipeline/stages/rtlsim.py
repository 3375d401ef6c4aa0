"""The stage rtlsim; its work is in `pipeline/verification/rtlsim.py`."""

from __future__ import annotations

from dataclasses import replace

from pipeline.stage import Context, Stage
from pipeline.stages.groups import HARDWARE, LAYERS, NETWORK

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from a2q_driver.speed import LATENCY
    from pipeline.accumulators.witness import witnesses
    from pipeline.codegen.rtl import describe_stitched
    from pipeline.folding import fold
    from pipeline.verification import comparison, rtlsim
    from pipeline.verification.frames import simulated_frames

    options = context.options
    graph = fold.load(context.inputs["fold"]).graph
    frames, chosen = simulated_frames(graph, context.inputs["resolve"], options.simulation.frames, again=True)
    design = describe_stitched(graph, context.inputs["codegen"] / "stitched_ip", check_overflow=options.check_overflow)
    seed = options.simulation.stall_seed
    work, verified = context.shared("verilator"), context.folder / "verification_output"
    layers, network = rtlsim.run(
        design, graph, frames, witnesses(graph), work, verified, stall_seed=seed, log=context.log
    )
    distinct = comparison.labels_among(graph, frames)
    labels = f" of {distinct} class{'es' if distinct > 1 else ''}" if distinct else ""
    network = replace(network, golden_frames=chosen)
    rtlsim.write_report(layers, network, options.synth_clk_period_ns, context.folder / "report")
    cycles = f"{LATENCY} {network.first_frame_cycle} cycles"
    if network.steady_cycles:
        cycles = f"{network.steady_cycles} cycles between frames, {cycles}"
    if (target := options.target_latency_ns) is not None:
        took = network.first_frame_cycle * options.synth_clk_period_ns
        verdict = "LATE: more than" if took > target * (1 + 1e-9) else "within"
        cycles += f", {took:.4g} ns, {verdict} {target:g} ns"
    return f"{network.frames} frame{'s' if network.frames > 1 else ''}{labels} exact, with and without stalls; {cycles}"


STAGE = Stage(
    "rtlsim",
    "every layer and the whole network in Verilator, exact",
    run,
    reads=("simulation.frames", "simulation.stall_seed", "synth_clk_period_ns", "target_latency_ns", "check_overflow"),
    needs=("resolve", "fold", "codegen"),
    packages=("verilator", *NETWORK, *LAYERS),
    programs=("g++",),
    sources=(*HARDWARE, "hw/tb/*.cpp", "hw/tb/*.sv"),
)
