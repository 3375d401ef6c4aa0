"""Tables that the command line prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from pipeline.datasets.catalog import DATASETS
from pipeline.errors import InputError, ModelError
from pipeline.flow import BUILD_RECORD, Stage
from pipeline.models.names import FAMILIES, MODELS, TRAINED, Family, recorded
from pipeline.models.registry import checkpoint_facts
from pipeline.report.markdown import percent

__all__ = ["family_table", "model_table", "show_build", "stage_table"]


def model_table() -> Table:
    """The networks with a checkpoint: name, data set, what is known of it, and where it comes from.

    After those of this repository and the releases come the ones that were trained in the working directory, but for
    those that a name cannot mean because the repository has one of that name.
    """
    table = Table(
        Column("model", no_wrap=True), Column("data set", no_wrap=True), "top-1", "zeros", "‖w‖₁", "from", box=None
    )
    for spec in MODELS.values():
        dataset = DATASETS[spec.dataset].title
        if spec.url:
            table.add_row(spec.name, dataset, f"{spec.published_top1:.1f} %", "", "", "release")
        else:
            table.add_row(spec.name, dataset, *_figures(checkpoint_facts(spec)), "here")
    for path in sorted(TRAINED.glob("**/*.pth")):
        with suppress(OSError, ValueError, ModelError):  # a record that cannot be read is reported to who builds it
            record = json.loads(path.with_suffix(".json").read_text())
            dataset = DATASETS[recorded(path.stem, record).dataset].title
            if path.stem not in MODELS:
                table.add_row(path.stem, dataset, *_figures(record), "trained")
    return table


def _figures(facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """Top-1, sparsity and the largest ‖w‖₁, each empty where it is not known."""
    top1, sparsity, norm = (facts.get(key) for key in ("top1", "sparsity", "largest_l1"))
    return (
        "" if top1 is None else percent(top1),
        "" if sparsity is None else percent(sparsity),
        "" if norm is None else str(norm),
    )


def family_table() -> Table:
    """The families of networks that can be trained, and what they take by default."""
    table = Table("family", "data set", "input", "classes", box=None)
    groups: dict[Family, list[str]] = {}
    for name, family in FAMILIES.items():
        groups.setdefault(replace(family, depth=None), []).append(name)
    for family, names in groups.items():
        shape = "×".join(map(str, family.input_shape))
        table.add_row(" ".join(names), DATASETS[family.dataset].title, shape, str(family.num_classes))
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
