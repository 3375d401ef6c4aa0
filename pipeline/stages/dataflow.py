"""The stage dataflow; its work is in `pipeline/frontend/conversion/dataflow.py`."""

from __future__ import annotations

from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS, NETWORK

__all__ = ["STAGE"]


def run(context: Context) -> str:
    import onnx

    from pipeline.frontend.conversion import dataflow
    from pipeline.models import resolve

    record, frames = resolve.load(context.inputs["resolve"])
    output = context.options.output
    top1 = None if output is None else output == "top1"
    if record.anchors and top1 is None:
        top1 = False  # of one cell, too, boxes are made and no class
    result = dataflow.run(
        onnx.load(context.inputs["streamline"] / "model.onnx"),
        frames,
        context.folder,
        top1=top1,
        name=record.name,
    )
    line = (
        f"{len(result.graph.layers)} layers on integers; {result.quantizers} tensors equal in every element of "
        f"{result.frames} golden frames; the input was {result.seen.input}"
    )
    if result.graph.outputs:
        line += f"; outputs {', '.join(part.name for part in result.graph.outputs)}, whole, one behind the other"
    elif output is None and not result.top1:
        why = "boxes are made of it" if record.anchors else "it is not a number for each class"
        line += f"; the output is whole, as {why}"
    if result.on_host:
        line += f"; {result.on_host} computed on the host, by the driver, as real numbers equal but for rounding"
    if result.left_out:
        line += f"; {result.left_out} left out, " + (
            "as the label is the same" if result.top1 else "as logits are asked for"
        )
    return line


STAGE = Stage(
    "dataflow",
    "hardware layers on integers, equal to the network in every element",
    run,
    reads=("output",),
    needs=("resolve", "streamline"),
    packages=("qonnx", *NETWORK, *LAYERS),
)
