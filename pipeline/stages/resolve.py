"""The stage resolve; its work is in `pipeline/models/resolve.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.frontend.data_files import data_files
from pipeline.models.golden import data_files as golden_files
from pipeline.models.names import downloaded, is_path, located
from pipeline.models.user_class import source_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import NETWORK

if TYPE_CHECKING:
    from pipeline.config import BuildConfig

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from pipeline.models import resolve

    options = context.options
    record, _ = resolve.run(
        options.model,
        options.weights,
        options.seed,
        options.golden_frames,
        options.golden_inputs,
        context.folder,
        input_range=options.input_range,
        model_class=options.model_class,
        input_shape=options.input_shape,
    )
    context.log(f"golden frames: {record.golden_source}")
    return f"{record.name}: {record.provenance}; golden frames: {record.golden_source}"


def files(options: BuildConfig) -> list[Path]:
    """The model's own file, the code that makes it, and the data that golden frames may be read from."""
    model = located(options.model) if options.weights == "trained" else options.model
    # a release that was put there or downloaded meanwhile is another checkpoint
    checkpoints = [Path(model)] if is_path(model) else [path for path in [downloaded(model)] if path and path.is_file()]
    checkpoints += [file for path in checkpoints for file in data_files(path)]  # of an .onnx file
    code = source_files(options.model_class) if options.model_class else []
    return checkpoints + code + golden_files(options.golden_inputs)


STAGE = Stage(
    "resolve",
    "find the model, check it, and choose golden frames",
    run,
    reads=("model", "weights", "seed", "golden_frames", "golden_inputs", "input_range", "model_class", "input_shape"),
    packages=("qonnx", "onnxruntime", "pillow", "scikit-learn", *NETWORK),
    sources=("pipeline/models/checkpoints/*",),
    files=files,
)
