"""Time that the C++ of a network takes: to compile, to run one image in ap_int, and many in native integers, the layers
side by side with streams as deep as they are written out."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from simulation import folded

from pipeline.codegen.hls import write_network
from pipeline.tools.gxx import build_program
from pipeline.tools.pool import side_by_side


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="quant_resnet8_w4a4_a2q_14b", help="a model's name")
    parser.add_argument("--weights", default="trained", choices=("trained", "synthetic"))
    parser.add_argument("--frames", type=int, default=100, help="in native integers")
    options = parser.parse_args()
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        graph = folded(options.model, options.weights, Path(scratch))
        network = write_network(graph, Path(scratch, "hls"), "finn_design")
        stream = graph.streams[graph.input]
        frames = np.random.default_rng(0).integers(
            stream.type.lo, stream.type.hi + 1, (options.frames, *stream.shape), np.int64
        )
        times = [time.monotonic()]
        program = build_program(
            [network.whole, *network.layers], Path(scratch, "objects"), include=network.include, jobs=workers
        )
        times.append(time.monotonic())
        program.run(network.whole.layer, [frames[:1]], "strict")
        times.append(time.monotonic())
        parts = [[part] for part in np.array_split(frames, workers)]
        side_by_side([partial(program.run, network.whole.layer, part, "bounded") for part in parts], workers)
        times.append(time.monotonic())
    compiled, strict, fast = np.diff(times)
    table = Table(f"C++ of {options.model}", "seconds", "bound", box=None)
    table.add_row(f"{len(network.layers)} layers and the network compiled", f"{compiled:.1f}", "120")
    table.add_row("one frame in ap_int", f"{strict:.1f}", "60")
    table.add_row(f"{options.frames} frames in native integers", f"{fast:.1f}", "60" if options.frames == 100 else "")
    Console().print(table)


if __name__ == "__main__":
    _main()
