"""Time and peak memory from resolve to fold of the whole ResNet-18, with synthetic weights, cold; then with nothing
changed, and with another frame rate. FINN's builder takes 264 s from export to its estimates for this network.

Processor time is what a busy machine changes least; more of it than twice the wall-clock means more than two cores.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from whole_build import measured_build

FRONT_END = ("resolve", "export", "streamline", "dataflow", "accumulators", "fold")


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="quant_resnet18_w4a4_a2q_12b", help="a model's name")
    options = parser.parse_args()
    arguments = (options.model, "--weights", "synthetic", "--until", "fold")
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        out = Path(scratch, "build")
        cold = measured_build(out, *arguments)
        cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
        warm = measured_build(out, *arguments)
        slower = measured_build(out, *arguments, "--target-fps", "500")
    table = Table(f"front end of {options.model}", "seconds", "bound", "peak MiB", "bound", box=None)
    for name in FRONT_END:
        table.add_row(f"  {name}", f"{cold.stages[name]:.1f}")
    total = sum(cold.stages[name] for name in FRONT_END)
    table.add_row("resolve to fold", f"{total:.1f}", "60", f"{cold.peak_mib:.0f}", "12288")
    table.add_row("  processor time of the command", f"{cpu.ru_utime + cpu.ru_stime:.1f}")
    table.add_row("nothing changed", f"{warm.seconds:.1f}", "5")
    table.add_row(f"another target_fps: {', '.join(slower.stages)}", f"{slower.seconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    _main()
