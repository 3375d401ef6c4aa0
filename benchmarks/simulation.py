"""Speed of the simulation of a stitched network: frames and clock cycles a second of wall-clock time."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from whole_build import measured_build

from pipeline.codegen.rtl import write_design
from pipeline.dataflow.graph import LayerGraph
from pipeline.folding import fold
from pipeline.tools.verilator import build_model


def folded(model: str, weights: str, folder: Path) -> LayerGraph:
    """The graph of the network `model`, built in `folder` as far as its folding."""
    measured_build(folder / "build", model, "--weights", weights, "--until", "fold")
    (result,) = (path for path in (folder / ".a2q-cache" / "fold").iterdir() if path.is_dir())
    return fold.load(result).graph


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="quant_resnet8_w4a4_a2q_14b", help="a model's name")
    parser.add_argument("--weights", default="trained", choices=("trained", "synthetic"))
    parser.add_argument("--frames", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        graph = folded(options.model, options.weights, Path(scratch))
        design = write_design(graph.layers, [graph.input], [graph.output], Path(scratch, "design"), "stitched")
        begun = time.monotonic()
        model = build_model(design, Path(scratch, "models"), simulation_models=True)
        compiled = time.monotonic()
        stream = graph.streams[graph.input]
        frames = np.random.default_rng(0).integers(
            stream.type.lo, stream.type.hi + 1, (options.frames, *stream.shape), np.int64
        )
        result = model.run({graph.input: frames})
        seconds = time.monotonic() - compiled
    table = Table(f"simulation of {options.model}", "", box=None)
    table.add_row("compilation", f"{compiled - begun:.1f} s")
    table.add_row("frames", f"{options.frames}")
    table.add_row("cycles", f"{result.cycles:,}")
    table.add_row("frames/s", f"{options.frames / seconds:.2f}")
    table.add_row("cycles/s", f"{result.cycles / seconds:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    _main()
