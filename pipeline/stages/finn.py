"""The stage finn; its work is in `pipeline/finn/export.py`."""

from __future__ import annotations

from importlib.metadata import version

from pipeline.devices.boards import board_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS, NETWORK

__all__ = ["STAGE"]


def run(context: Context) -> str:
    options = context.options
    if not options.finn:
        return "none: no model of FINN's nodes was asked for (finn: true)"

    from pipeline.dataflow.storage import load_graph
    from pipeline.devices.boards import load_board
    from pipeline.finn import export
    from pipeline.folding import fold
    from pipeline.verification.frames import simulated_frames

    folded = fold.load(context.inputs["fold"])
    frames, _ = simulated_frames(folded.graph, context.inputs["resolve"], options.simulation.frames, again=False)
    result = export.run(
        load_graph(context.inputs["accumulators"]),
        folded.graph,
        folded.max_cycles,
        frames,
        load_board(options.board),
        options.synth_clk_period_ns,
        context.folder,
        version=version("finn-plus"),
        on_progress=lambda done, total: context.progress(done, total, "frames"),
    )
    widths = "the same accumulators" if result.same_widths else "accumulators no wider"
    line = (
        f"finn/model.onnx: {len(result.nodes)} nodes, by FINN's own execution equal in {result.tensors} tensors of "
        f"{result.frames} frames, by its analysis with {widths}; by its estimate {result.slowest.cycles} cycles a frame in "
        f"{result.slowest.layer}"
    )
    return "; ".join([line, *result.notes])


STAGE = Stage(
    "finn",
    "the layers as a model of FINN's nodes, proven by FINN, where that is asked for",
    run,
    reads=("finn", "board", "synth_clk_period_ns", "simulation.frames"),
    needs=("resolve", "accumulators", "fold"),
    packages=("finn-plus", "qonnx", *NETWORK, *LAYERS),
    sources=("hw/boards/*.yaml",),
    files=lambda options: board_files(options.board),
)
