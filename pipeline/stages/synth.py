"""The stage synth; its work is in `pipeline/synthesis/synth.py`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.devices.boards import board_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import CPP, HARDWARE, LAYERS

if TYPE_CHECKING:
    from pipeline.config import BuildConfig

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from pipeline.devices.boards import load_board
    from pipeline.folding import fold
    from pipeline.folding.impl_styles import impl_styles
    from pipeline.synthesis import synth

    options = context.options
    graph = fold.load(context.inputs["fold"]).graph
    report = synth.run(
        graph,
        load_board(options.board),
        context.folder / "report",
        cache=context.shared("yosys"),
        whole=options.synthesis.whole,
        check_overflow=options.check_overflow,
        styles=impl_styles(graph, options.preferred_impl_style, options.specialize_layers_config_file).styles,
        clock_period_ns=options.synth_clk_period_ns,
        netlists=context.folder / "netlists",
        workers=len(os.sched_getaffinity(0)),
        on_progress=lambda done, total: context.progress(done, total, "layers"),
    )
    context.log(report.method)
    for name, layer in report.layers.items():
        context.log(f"{name}: {layer.total}")
    share = report.utilization["LUT"] or 0.0
    too_large = f"; DOES NOT FIT: {report.excess}; summary.md says which boards hold it" if report.exceeded else ""
    dsps = f" {report.total.dsp:,} DSP," if report.total.dsp else ""
    line = f"{report.total.lut:,} LUT, {share:.1%} of {report.part} on {report.board},{dsps} counted by Yosys"
    return line + (f"; {report.in_hls}" if report.in_hls else "") + too_large


def files(options: BuildConfig) -> list[Path]:
    styles = [options.specialize_layers_config_file] if options.specialize_layers_config_file else []
    return board_files(options.board) + styles


STAGE = Stage(
    "synth",
    "LUT, FF, carry, BRAM, URAM and DSP, counted by Yosys; of HLS C++ by Vitis HLS where it is on PATH",
    run,
    reads=(
        *("board", "fpga_part", "synth_clk_period_ns", "synthesis.whole", "check_overflow"),
        *("preferred_impl_style", "specialize_layers_config_file"),
    ),
    needs=("fold",),
    packages=("pyosys", *LAYERS),
    programs=("vitis_hls", "vitis-run"),
    sources=(*HARDWARE, *CPP, "hw/boards/*.yaml", "pipeline/tools/yosys_worker.py"),
    files=files,
)
