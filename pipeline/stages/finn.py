"""The stage finn; its work is in `pipeline/finn/cross_check.py` and `pipeline/finn/export.py`."""

from __future__ import annotations

from importlib.metadata import version

from pipeline.devices.boards import board_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS, NETWORK

__all__ = ["STAGE"]


def run(context: Context) -> str:
    options = context.options
    lines = []
    if options.verify.finn:
        lines.append(_cross_check(context))
    if options.finn:
        lines.append(_export(context))
    return (
        "; ".join(lines)
        or "none: neither a model of FINN's nodes (finn: true) nor its check (verify: {finn: true}) was asked for"
    )


def _cross_check(context: Context) -> str:
    import onnx

    from pipeline.dataflow.finn_node import FOLDING_FILE
    from pipeline.dataflow.storage import load_graph
    from pipeline.finn.cross_check import cross_check
    from pipeline.models import resolve
    from pipeline.verification.frames import simulated_frames

    graph = load_graph(context.inputs["accumulators"])
    given = context.inputs["resolve"]
    record, raw = resolve.load(given)
    _, chosen = simulated_frames(graph, given, context.options.simulation.frames, again=False)
    result = cross_check(
        onnx.load(context.inputs["streamline"] / "model.onnx"),
        graph,
        raw[list(chosen)],
        context.folder,
        version=version("finn-plus"),
        nodes=onnx.load(given / record.file) if (given / FOLDING_FILE).is_file() else None,
        on_progress=lambda done, total: context.progress(done, total, "frames"),
    )
    for name in result.missing:
        context.log(f"not compared: {name}")
    for name in result.floats:
        context.log(f"left in floats: {name}")
    return str(result)


def _export(context: Context) -> str:
    from pipeline.dataflow.storage import load_graph
    from pipeline.devices.boards import load_board
    from pipeline.finn import export
    from pipeline.folding import fold
    from pipeline.verification.frames import simulated_frames

    options = context.options
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
    "FINN's streamlining of the network beside the layers, and these as FINN's nodes, where that is asked for",
    run,
    reads=("finn", "verify.finn", "board", "synth_clk_period_ns", "simulation.frames"),
    needs=("resolve", "streamline", "accumulators", "fold"),
    packages=("finn-plus", "qonnx", "onnxruntime", *NETWORK, *LAYERS),
    sources=("hw/boards/*.yaml",),
    files=lambda options: board_files(options.board),
)
