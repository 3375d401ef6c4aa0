"""The stage accuracy; its work is in `pipeline/verification/accuracy.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.models.golden import data_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS, NETWORK

if TYPE_CHECKING:
    from pipeline.config import BuildConfig

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from pipeline.dataflow.storage import load_graph
    from pipeline.models import resolve
    from pipeline.verification import accuracy

    record, _ = resolve.load(context.inputs["resolve"])
    result = accuracy.measure(
        load_graph(context.inputs["dataflow"]),
        record,
        context.options.accuracy_images,
        lambda done, total: context.progress(done, total, "images"),
    )
    result.save(context.folder / "report")
    return f"{result}, on the integers of the hardware" if result.metrics else str(result)


def files(options: BuildConfig) -> list[Path]:
    """The test sets that images may be read from."""
    return [] if options.accuracy_images == 0 else data_files(None)


STAGE = Stage(
    "accuracy",
    "how well the integers do on the network's own data set",
    run,
    reads=("accuracy_images",),
    needs=("resolve", "dataflow"),
    packages=("pillow", *NETWORK, *LAYERS),
    files=files,
)
