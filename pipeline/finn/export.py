"""The layer graph into FINN: finn/ with the model, its settings and golden frames, proven by FINN's own code.

Ensures that FINN's execution of every node equals the layer graph in every element of the golden frames, that FINN's
analysis needs no accumulator wider than the certificate's, and that FINN's SpecializeLayers takes the model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from finn.util.basic import alveo_part_map, pynq_part_map

from pipeline.dataflow.graph import LayerGraph
from pipeline.devices.boards import Board
from pipeline.finn import check
from pipeline.finn.model import FinnModel, to_finn
from pipeline.finn.record import FILE, FinnExport
from pipeline.finn.releases import RELEASES, Release

__all__ = ["run"]

_FOLDING, _STYLES, _FIFOS = "folding_config.json", "specialize_layers.json", "fifo_config.json"
_FOLDED = ("PE", "SIMD", "ram_style", "resType", "mem_mode", "inFIFODepths", "outFIFODepths", "depthwise")
_OUTPUTS = ("estimate_reports", "stitched_ip", "rtlsim_performance", "out_of_context_synth")
_BOARD_OUTPUTS = ("bitfile", "pynq_driver", "deployment_package")


def run(
    graph: LayerGraph,
    folded: LayerGraph,
    budget: int,
    frames: np.ndarray,
    board: Board,
    clock_period_ns: float,
    folder: Path,
    *,
    version: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FinnExport:
    """Write `folder`/finn and `folder`/report/finn.json for the layers of `graph`, folded like `folded`.

    `frames` are integers (N, H, W, C). Raises UnsupportedError for layers that FINN has no nodes for, VerificationError
    where FINN computes something else.
    """
    exported = to_finn(graph, folded, budget)
    tensors = check.check_frames(exported, frames, on_progress)
    widths = check.check_widths(exported)
    model = check.specialized(exported, board.part)
    nodes = check.costs(exported, model, board.part)
    result = FinnExport(version, len(frames), tensors, widths, nodes, exported.notes)
    target = folder / "finn"
    target.mkdir(parents=True)
    exported.model.save(str(target / "model.onnx"))
    np.save(target / "input.npy", frames.astype(np.float32))
    outputs = exported.graph.run(frames)
    np.save(target / "expected_output.npy", outputs.astype(np.float32))
    _write(target / _STYLES, _styles(exported))
    _write(target / _FOLDING, _folding(model))
    depths = check.fifo_depths(model, board.part)
    _write(
        target / _FIFOS,
        {
            "fifo_depths": depths,
            "impl_style": dict.fromkeys(depths, "rtl"),
            "ram_style": dict.fromkeys(depths, "auto"),
        },
    )
    for release in RELEASES:
        _write(target / release.config, _settings(release, board, clock_period_ns, graph.name))
    (folder / "report").mkdir(parents=True, exist_ok=True)
    _write(folder / "report" / FILE, asdict(result))
    return result


def _styles(exported: FinnModel) -> dict[str, dict[str, str]]:
    """What FINN's SpecializeLayers is told of each matrix; names are those before it."""
    styles: dict[str, dict[str, str]] = {"Defaults": {}}
    for node in exported.model.graph.node:
        if node.op_type in ("MVAU", "VVAU"):
            styles[node.name] = {"preferred_impl_style": check.attribute(node, "preferred_impl_style")}
    return styles


def _folding(model: Any) -> dict[str, dict[str, Any]]:
    """The folding of the specialized nodes, by FINN's names of them."""
    folding: dict[str, dict[str, Any]] = {"Defaults": {}}
    for node in model.graph.node:
        values = {name: check.attribute(node, name) for name in _FOLDED}
        folding[node.name] = {name: value for name, value in values.items() if value is not None}
    return folding


def _settings(release: Release, board: Board, clock_period_ns: float, network: str) -> dict[str, Any]:
    """The settings of a flow of `release`, paths being relative to the folder."""
    name = next((name for name, part in pynq_part_map.items() if part == board.part), None)
    settings: dict[str, Any] = {
        "output_dir": f"build_{network}",
        "synth_clk_period_ns": math.floor(clock_period_ns * 1000) / 1000,
        "generate_outputs": [*_OUTPUTS, *(_BOARD_OUTPUTS if name else ())],
        "steps": list(release.steps),
        "folding_config_file": _FOLDING,
        "specialize_layers_config_file": _STYLES,
        "standalone_thresholds": True,
        "minimize_bit_width": False,  # widths are those of the certificate
        "auto_fifo_depths": True,  # of FINN's units, whose latencies are others than ours
        "verify_steps": ["stitched_ip_rtlsim"],
        "verify_input_npy": "input.npy",
        "verify_expected_output_npy": "expected_output.npy",
    }
    if name:
        settings |= {"board": name, "shell_flow_type": "vivado_zynq"}
    elif board.part in alveo_part_map.values():
        settings |= {"board": next(name for name, part in alveo_part_map.items() if part == board.part)}
    else:
        settings |= {"fpga_part": board.part}
    return settings


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")
