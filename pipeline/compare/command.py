"""The work of `a2q compare`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from pipeline.compare.collection import Collection
from pipeline.compare.points import Axes, points
from pipeline.compare.run import compare
from pipeline.compare.table import write
from pipeline.compare.view import View
from pipeline.errors import ModelError
from pipeline.models.names import is_path
from pipeline.text_file import count

__all__ = ["compare_command", "default_folder"]


def compare_command(
    names: Sequence[str],
    axes: Axes,
    config: Path | None,
    weights: str | None,
    settings: Sequence[str],
    out: Path | None,
    work: Path,
    scheduler: str | None,
    jobs: int | None,
    console: Console,
    verbose: bool,
) -> bool:
    """Build and compare, and print the table; whether no build failed. Raises ModelError for a file that is not there."""
    chosen = points(names, axes, config, weights, settings)
    for model in (point.config.model for point in chosen):
        if is_path(model) and not Path(model).is_file():
            raise ModelError(
                f"There is no file {model}. Give the path of a QONNX file or a checkpoint, or a model's name."
            )
    folder = out or default_folder(names)
    for place in (folder, work):
        place.mkdir(parents=True, exist_ok=True)
    view = View(console, chosen)
    comparison = compare(chosen, folder, work, view, scheduler=scheduler, jobs=jobs, verbose=verbose)
    text = write(comparison.records, comparison.failures, folder)
    view.note("")
    console.print(
        Markdown(text, hyperlinks=False) if console.is_terminal else text, markup=False, highlight=False, soft_wrap=True
    )
    reused = len(comparison.records) - comparison.built
    view.note(
        f"{folder / 'comparison.html'}: {count(len(comparison.records), 'build')}, {reused} of them kept from before, "
        f"{len(comparison.failures)} failed; the same as comparison.md, .csv and .json"
    )
    if others := Collection(folder).points() - {point.slug for point in chosen}:
        view.note(
            f"{count(len(others), 'build')} of earlier comparisons {'is' if len(others) == 1 else 'are'} kept there too, "
            "and not in these tables: they come back with the names and axes that they were built by"
        )
    return not comparison.failures


def default_folder(names: Sequence[str]) -> Path:
    """The folder of a comparison if none is named: compare/<the first of the models>.

    >>> default_folder(["quant_resnet8_w4a4_a2q_*"]).as_posix()
    'compare/quant_resnet8_w4a4_a2q'
    """
    first = Path(names[0]).stem if names[0].endswith((".onnx", ".pth")) else names[0]
    return Path("compare", re.sub(r"[^\w.]+", "_", first).strip("_") or "all")
