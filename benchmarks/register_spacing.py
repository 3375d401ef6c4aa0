"""How many levels of adders should lie between two registers: flip-flops against the clock, by place and route.

The adder graph of one unrolled layer of a kept network, for whole elements and for digits of a bit, as a unit alone.
Placed and routed by nextpnr on an ECP5, three seeds each; the medians count.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import fields
from pathlib import Path

from whole_build import measured_build

from pipeline.adder_graph.module import AdderGraphModule
from pipeline.dataflow.storage import load_graph
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.tools import nextpnr

_HEADER = ("digit bits", "levels", "latency", "registers", "LUT4", "CCU2C", "FF", "MHz", "least", "most")
_COLUMN = 11


def layer_of(model: str, name: str, folder: Path) -> MatrixVector:
    """The MVAU `name` of a kept network, as a build into `folder` has it before it is folded."""
    measured_build(folder / "build", model, "--until", "accumulators")
    (path,) = folder.glob(".cache/accumulators/*/graph.json")
    return load_graph(path.parent).layer(name)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="quant_resnet8_w4a4_a2q_12b")
    parser.add_argument("--layer", default="MVAU_1")
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    print(f"{options.model}, {options.layer}, on {nextpnr.DEVICE} (nextpnr {nextpnr.version()})")
    print("".join(f"{name:>{_COLUMN}}" for name in _HEADER))
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        layer = layer_of(options.model, options.layer, Path(scratch))
        same = {field.name: getattr(layer, field.name) for field in fields(MatrixVector)}
        for digits in (1, layer.input_type.bits):
            unrolled = UnrolledMVAU(**same, digits=digits)
            for levels in options.levels:
                module = AdderGraphModule(unrolled.graph, unrolled.digit_type, levels)
                source = Path(scratch, "graph.sv")
                source.write_text(module.text("graph"))
                found = nextpnr.route("graph", [source], seeds=options.seeds, cache=Path(scratch, "routed"))
                counts = (module.latency, module.register_bits, found.lut4, found.carry, found.ff)
                rates = (found.median_mhz, min(found.mhz), max(found.mhz))
                cells = [str(unrolled.digit_bits), str(levels), *(f"{count:,}" for count in counts)]
                cells += [f"{rate:.0f}" for rate in rates]
                print("".join(f"{cell:>{_COLUMN}}" for cell in cells), flush=True)  # each takes minutes


if __name__ == "__main__":
    _main()
