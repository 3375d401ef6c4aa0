"""Tables that the command line prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Column, Table

from pipeline.errors import InputError
from pipeline.flow import BUILD_RECORD, Stage
from pipeline.models.names import MODELS
from pipeline.models.registry import checkpoint_facts

__all__ = ["model_table", "show_build", "stage_table"]


def model_table() -> Table:
    """The registry: name, accumulator width, data set, and where the checkpoint comes from."""
    table = Table(Column("model", no_wrap=True), "method", "P", "data set", "checkpoint", box=None)
    for spec in MODELS.values():
        source = (
            f"download, {spec.top1}" if spec.url else f"in this repository, top-1 {checkpoint_facts(spec)['top1']:.1%}"
        )
        table.add_row(spec.name, spec.method, str(spec.accumulator_bits), spec.dataset, source)
    table.add_row("<path>.onnx", "", "", "", "any QONNX file of supported operators")
    return table


def stage_table(stages: Sequence[Stage]) -> Table:
    """The stages in order, and the config fields that each reads."""
    table = Table("stage", "what it does", "reads of the config", box=None)
    for stage in stages:
        table.add_row(stage.name, stage.summary, ", ".join(stage.reads))
    return table


def show_build(build: Path) -> tuple[str, Table]:
    """The text of a build's summary.md, empty if it has none yet, and the table of its stages.

    Raises InputError where `build` is neither a build's folder nor the name of one in build/.
    """
    folder = next((f for f in (build, Path("build", build)) if (f / BUILD_RECORD).is_file()), None)
    if folder is None:
        known = sorted(path.parents[1].name for path in Path("build").glob(f"*/{BUILD_RECORD}"))
        builds = f"The builds in build/ are: {', '.join(known)}." if known else "There are no builds in build/."
        raise InputError(f"There is no build in {build}: {build / BUILD_RECORD} is missing. {builds}")
    try:
        record = json.loads((folder / BUILD_RECORD).read_text())
        table = Table("stage", "time", "peak", "result", box=None)
        for stage in record["stages"]:
            cost = (f"{stage['seconds']:.1f} s", f"{stage['peak_mib']:.0f} MiB")
            table.add_row(stage["name"], *cost, escape(stage["summary"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"The record {folder / BUILD_RECORD} is damaged ({error}). Build it again.") from None
    summary = folder / "summary.md"
    return summary.read_text() if summary.is_file() else "", table
