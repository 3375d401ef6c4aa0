"""report: the page and the figures that a reader of a build looks at first.

Requires the results of all earlier stages. Ensures summary.md and the figures that it shows, side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.report.facts import BuildFacts, read_facts
from pipeline.report.figures import draw_cycles, draw_luts, draw_widths
from pipeline.report.summary import CYCLES_FIGURE, LUTS_FIGURE, WIDTHS_FIGURE, summary

__all__ = ["run"]


def run(results: Mapping[str, Path], folder: Path, *, target_fps: float | str) -> BuildFacts:
    """Write `folder`/summary.md and its figures.

    `results` has the folder of every earlier stage, in the order they ran; see `pipeline/report/facts.py`. `target_fps`
    is what the build was asked for, "max" included. Returns the
    facts that the report is made of. Raises ModelError for a result that is missing or damaged.
    """
    facts = read_facts(results, target_fps)
    folder.mkdir(parents=True, exist_ok=True)
    draw_luts(facts, folder / LUTS_FIGURE)
    draw_cycles(facts, folder / CYCLES_FIGURE)
    draw_widths(facts, folder / WIDTHS_FIGURE)
    (folder / "summary.md").write_text(summary(facts))
    return facts
