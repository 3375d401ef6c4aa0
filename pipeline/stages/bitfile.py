"""The stage bitfile; its work is in `pipeline/synthesis/bitfile.py`."""

from __future__ import annotations

import os

from pipeline.devices.boards import board_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from pipeline.codegen import accelerator
    from pipeline.codegen.rtl import describe_stitched
    from pipeline.devices.boards import load_board
    from pipeline.folding import fold
    from pipeline.synthesis import bitfile

    options = context.options
    board = load_board(options.board)
    if board.processing_system is None:
        return f"none: the {board.name} has no processors beside its logic, and block designs are made around those"
    graph = fold.load(context.inputs["fold"]).graph
    design = describe_stitched(graph, context.inputs["codegen"] / "stitched_ip", check_overflow=options.check_overflow)
    widths = accelerator.stream_widths(design)
    result = bitfile.run(
        design.folder,
        board,
        options.synth_clk_period_ns,
        context.folder / "bitfile",
        input_stream_bytes=widths.input,
        output_stream_bytes=widths.output,
        layers=design.instances,
        work=context.shared("vivado"),
        jobs=len(os.sched_getaffinity(0)),
        log=context.log,
    )
    return result.summary


STAGE = Stage(
    "bitfile",
    "the block design for the board, and its bitstream where Vivado is on PATH",
    run,
    reads=("board", "synth_clk_period_ns", "check_overflow"),
    needs=("fold", "codegen"),
    packages=LAYERS,
    programs=("vivado",),
    sources=("hw/boards/*.yaml", "hw/boards/templates/*"),
    files=lambda options: board_files(options.board),
)
