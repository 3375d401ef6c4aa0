"""What one layer takes at a vector a cycle: as a graph of adders, and folded, with a multiplier for every weight.

Both are counted by Yosys for UltraScale+, thresholds included. The window before them is the same for both and is left
out. Takes a minute or two a network.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from whole_build import measured_build

from pipeline.dataflow.storage import load_graph
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.synthesis import synth

_MODELS = ["quant_resnet8_w4a4_a2q_12b", "quant_resnet8_w4a4_a2q_13b", "quant_resnet8_w4a4_a2q_plus_13b"]


def layer_of(model: str, name: str, folder: Path) -> MatrixVector:
    """The MVAU `name` of a kept network, as a build into `folder` has it before it is folded."""
    measured_build(folder / "build", model, "--until", "accumulators")
    (path,) = folder.glob(".a2q-cache/accumulators/*/graph.json")
    return load_graph(path.parent).layer(name)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=_MODELS, help="names of kept networks")
    parser.add_argument("--layer", default="MVAU_1")
    options = parser.parse_args()
    table = Table("network", "zeros", "unrolled LUT", "folded LUT", "ratio", box=None)
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        for model in options.models:
            layer = layer_of(model, options.layer, Path(scratch, model))
            unrolled = layer.styled("unrolled", {"digits": 1})
            folded = layer.styled("folded", {"pe": layer.mh, "simd": layer.mw})
            one, other = synth.count([unrolled, folded], "xcup", cache=Path(scratch, "cache"))
            zeros = f"{(layer.weights == 0).mean():.1%}"
            table.add_row(model, zeros, f"{one.lut:,}", f"{other.lut:,}", f"1 : {other.lut / one.lut:.1f}")
    console = Console()
    console.print(f"{options.layer}, {layer.mh} × {layer.mw}, a vector a cycle, counted by Yosys")
    console.print(table)


if __name__ == "__main__":
    _main()
