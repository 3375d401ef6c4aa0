"""The stage package; its work is in `pipeline/package.py`."""

from __future__ import annotations

import json

from pipeline.devices.boards import board_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS, NETWORK

__all__ = ["STAGE"]


def run(context: Context) -> str:
    import numpy as np

    from pipeline import package
    from pipeline.codegen import accelerator
    from pipeline.codegen.rtl import describe_stitched
    from pipeline.devices.boards import load_board
    from pipeline.folding import fold
    from pipeline.models import resolve
    from pipeline.synthesis import bitfile

    board = load_board(context.options.board)
    if board.processing_system is None:
        return f"none, as there is no block design for the {board.name}"
    graph = fold.load(context.inputs["fold"]).graph
    made = bitfile.load(context.inputs["bitfile"] / "bitfile")
    design = describe_stitched(
        graph, context.inputs["codegen"] / "stitched_ip", check_overflow=context.options.check_overflow
    )
    record, raw = resolve.load(context.inputs["resolve"])
    simulated = json.loads((context.inputs["rtlsim"] / "report" / "rtlsim_performance.json").read_text())
    (outputs,) = (context.inputs["rtlsim"] / "verification_output").glob("*_SUCCESS.npy")
    result = package.run(
        graph,
        record,
        raw[simulated["golden_frames"]],
        np.load(outputs),
        design.folder,
        [*(source.name for source in design.sources), f"{accelerator.TOP}.v"],
        context.inputs["accumulators"] / "report",
        board,
        accelerator.config_hash(design.folder),
        made.clock_mhz,
        made.address_map,
        made.hwh,
        made.bit,
        context.folder / "deploy",
    )
    kind = "with the bitstream" if result.bitstream == "vivado" else "for the simulated board only"
    return f"{result.files} files, {result.frames} golden frames, {kind}; see docs/deploy.md"


STAGE = Stage(
    "package",
    "all that a board needs, in one folder",
    run,
    reads=("board", "check_overflow"),
    needs=("resolve", "accumulators", "fold", "codegen", "rtlsim", "bitfile"),
    packages=(*NETWORK, *LAYERS),
    sources=("LICENSE", "NOTICE", "hw/rtl/*.sv", "hw/boards/*.yaml", "hw/driver/*", "hw/driver/a2q_driver/*.py"),
    files=lambda options: board_files(options.board),
)
