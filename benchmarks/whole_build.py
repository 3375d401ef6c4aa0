"""Time and peak memory of a whole build: cold, from an empty folder, and warm, with nothing changed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Measurement:
    """Wall-clock seconds of a command, and the most memory its stages held, in MiB, all processes together."""

    seconds: float
    peak_mib: float
    stages: dict[str, float]  # seconds by stage, of those that ran


def measured_build(out: Path, *arguments: str) -> Measurement:
    """Run `a2q build` with `arguments` into `out`. Raises CalledProcessError if it fails."""
    begun = time.monotonic()
    command = [sys.executable, "-c", "from pipeline.cli import app; app()", "build", *arguments, "--out", str(out)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    seconds = time.monotonic() - begun
    stages = json.loads((out / "report" / "build.json").read_text())["stages"]
    ran = [stage for stage in stages if not stage["cached"]]
    return Measurement(seconds, max((s["peak_mib"] for s in ran), default=0.0), {s["name"]: s["seconds"] for s in ran})


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="quant_resnet8_w4a4_a2q_14b", help="a model's name or a .onnx file")
    parser.add_argument("--weights", default="trained", choices=("trained", "synthetic"))
    options = parser.parse_args()
    arguments = (options.model, *(("--weights", "synthetic") if options.weights == "synthetic" else ()))
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        cold = measured_build(Path(scratch, "build"), *arguments)
        warm = measured_build(Path(scratch, "build"), *arguments)
    table = Table(f"build of {options.model}", "seconds", "bound", "peak MiB", "bound", box=None)
    table.add_row("cold", f"{cold.seconds:.1f}", "600", f"{cold.peak_mib:.0f}", "6144")
    for name, seconds in cold.stages.items():
        table.add_row(f"  {name}", f"{seconds:.1f}")
    table.add_row("warm", f"{warm.seconds:.1f}", "3")
    Console().print(table)


if __name__ == "__main__":
    _main()
