"""Time and peak memory from export to fold of ResNet-18 with synthetic weights; FINN's builder takes 264 s for it."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from whole_build import measured_build

FRONT_END = ("export", "streamline", "dataflow", "accumulators", "fold")


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="quant_resnet18_w4a4_a2q_12b", help="a model's name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        found = measured_build(Path(scratch, "build"), options.model, "--weights", "synthetic", "--until", "fold")
    table = Table(f"front end of {options.model}", "seconds", "bound", "peak MiB", "bound", box=None)
    for name in FRONT_END:
        table.add_row(name, f"{found.stages[name]:.1f}")
    total = sum(found.stages[name] for name in FRONT_END)
    table.add_row("export to fold", f"{total:.1f}", "90", f"{found.peak_mib:.0f}", "8192")
    Console().print(table)


if __name__ == "__main__":
    _main()
