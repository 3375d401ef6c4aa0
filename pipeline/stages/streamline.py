"""The stage streamline; its work is in `pipeline/frontend/streamline/streamline.py`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.stage import Context, Stage
from pipeline.stages.groups import NETWORK

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["STAGE"]


def run(context: Context) -> str:
    import numpy as np
    import onnx

    from pipeline.frontend.streamline import streamline
    from pipeline.models import resolve
    from pipeline.models.export import Golden

    record, _ = resolve.load(context.inputs["resolve"])
    source = context.inputs["export"]
    golden = Golden.load(source / "golden.npz")
    steps = context.folder / "intermediate_models"
    steps.mkdir()
    names: list[str] = []

    def keep(name: str, model: ModelProto) -> None:
        context.log(name)
        names.append(name)
        streamline.save_step(steps, len(names), name, model)

    result = streamline.streamline(
        onnx.load(source / "model.onnx"), golden.inputs, golden.outputs, keep, ends=record.ends
    )
    onnx.save(result.model, context.folder / "model.onnx")
    verified = context.folder / "verification_output"
    verified.mkdir()
    np.save(verified / "verify_streamlined_python_0_SUCCESS.npy", result.outputs)
    added = result.input_quantizer
    (context.folder / "input_quantizer.json").write_text(json.dumps(asdict(added) if added else None) + "\n")
    line = (
        f"{len(names)} transformation{'' if len(names) == 1 else 's'}, outputs of {result.checked} golden frames unchanged "
        "but for rounding after each"
    )
    if added:
        change = f"outputs differ by up to {added.largest_difference:.3g} on {added.frames} golden frames"
        if added.same_top1 is not None:
            change = f"top-1 the same on {added.same_top1} of {added.frames} golden frames"
        line += f"; the input quantized to 8 bits over {added}: {change} that had no part in that"
    return line


STAGE = Stage(
    "streamline",
    "QONNX transformations, each proven to leave the golden outputs as they were",
    run,
    needs=("resolve", "export"),
    packages=("finn-plus", "qonnx", "onnxruntime", *NETWORK),
)
