"""report: the page and the figures that a reader of a build looks at first.

Requires the results of all earlier stages. Ensures summary.md and the figures that it shows, side by side, and FINN's own
estimate of the layers in the folder report. For a network that makes larger images of images these are there, too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.dataflow.storage import load_graph
from pipeline.devices.boards import BOARD_FILE, Board
from pipeline.devices.resources import Resources
from pipeline.finn.estimate import KEYS, estimate
from pipeline.report import graph as graph_file
from pipeline.report import onnx_view, page
from pipeline.report.facts import BuildFacts, read_facts
from pipeline.report.figures import draw_cycles, draw_luts, draw_widths
from pipeline.report.graph import network_graph
from pipeline.report.onnx_view import write_onnx_view
from pipeline.report.summary import CYCLES_FIGURE, LUTS_FIGURE, RESTORED_FIGURE, WIDTHS_FIGURE, summary
from pipeline.report.super_resolution import RESTORED_FILE, draw_restored, restore

__all__ = ["FINN_FILE", "run"]

FINN_FILE = "estimate_layer_resources_finn.json"


def run(
    results: Mapping[str, Path],
    folder: Path,
    board: Board,
    *,
    target_fps: float | str,
    target_latency_ns: float | None = None,
) -> BuildFacts:
    """Write `folder`/summary.md, its figures, report/FINN_FILE, and report/BOARD_FILE, the file of `board`; for super
    resolution, report/RESTORED_FILE, the PSNR of what the network makes of photographs. The page, report/graph.json, and the
    integer and the hardware graph as ONNX to look at are there, too.

    `results` has the folder of every earlier stage, in the order they ran; see `pipeline/report/facts.py`. `target_fps`
    and `target_latency_ns` are what the build was asked for, "max" included. Returns the facts that the report is made
    of. Raises ModelError for a result that is missing or damaged.
    """
    facts = read_facts(results, target_fps, target_latency_ns)
    facts = replace(facts, board=board, finn={layer.name: estimate(layer, board) for layer in facts.folded.graph})
    (folder / "report").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(board.file, folder / "report" / BOARD_FILE)
    (folder / "report" / FINN_FILE).write_text(json.dumps(_finns(facts.finn), indent=2) + "\n")
    facts = replace(facts, restored=restore(facts.folded.graph, facts.model))
    if facts.restored:
        (folder / "report" / RESTORED_FILE).write_text(json.dumps(facts.restored.as_json(), indent=2) + "\n")
        draw_restored(facts.restored, folder / RESTORED_FIGURE)
    draw_luts(facts, folder / LUTS_FIGURE)
    draw_cycles(facts, folder / CYCLES_FIGURE)
    draw_widths(facts, folder / WIDTHS_FIGURE)
    text = summary(facts)
    (folder / "summary.md").write_text(text)
    graph = network_graph(facts)
    (folder / "report" / graph_file.FILE).write_text(json.dumps(graph, indent=1) + "\n")
    views = folder / onnx_view.FOLDER
    views.mkdir()
    write_onnx_view(load_graph(results["dataflow"]), views / onnx_view.INTEGER_FILE)
    write_onnx_view(facts.folded.graph, views / onnx_view.HARDWARE_FILE)
    (folder / page.FILE).write_text(page.to_html(facts, graph, text, folder))
    return facts


def _finns(estimates: Mapping[str, Mapping[str, Resources]]) -> dict[str, Any]:
    """By layer and FINN's unit, with FINN's keys; null where FINN has no unit or no estimate of it."""
    content: dict[str, Any] = {
        name: {unit: taken.to_report(KEYS) for unit, taken in of_units.items()} or None
        for name, of_units in estimates.items()
    }
    how = "estimated by FINN's code (finn-plus) for its own units, with the folding and accumulators of each layer"
    return {**content, "how": how}
