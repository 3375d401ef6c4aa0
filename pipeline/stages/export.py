"""The stage export; its work is in `pipeline/models/export.py`."""

from __future__ import annotations

from pipeline.stage import Context, Stage
from pipeline.stages.groups import NETWORK
from pipeline.text_file import count

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from pipeline.models import export, resolve

    folder = context.inputs["resolve"]
    record, frames = resolve.load(folder)
    if record.kind == "qonnx":
        export.take_qonnx(folder / record.file, frames, context.folder)
        return f"the file as it is, run on {len(frames)} golden frames"
    network = resolve.load_network(record, folder)
    _, _, result = export.export_brevitas(network, frames, context.folder, record.network_record)
    return (
        f"{count(result.layers, 'layer')} {'holds' if result.layers == 1 else 'hold'} Brevitas' integers; outputs agree on {result.frames} golden frames to "
        f"{result.largest_difference:.1g}"
    )


STAGE = Stage(
    "export",
    "write QONNX, proven to hold the integers that the network computes",
    run,
    needs=("resolve",),
    packages=("qonnx", "onnxruntime", *NETWORK),
)
