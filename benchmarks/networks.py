"""How far each network by name is built, and in what time: docs/networks.md.

    python benchmarks/networks.py > docs/networks.md

Weights are synthetic, so that all that is measured is there for everyone. With names, those alone are built, and with
`--until` to another stage than the table says.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_FRONT_END = ("resolve", "export", "streamline", "dataflow", "accumulators")
_FRAMES = 4  # golden ones, and no more than that are simulated

_PAGE = """# Networks by name

What `benchmarks/networks.py` wrote: every family of networks with synthetic weights, at the input that its name stands for
or at the one that is given, built cold for a KV260 until the stage in the column `built to`, with {frames} golden frames.
`front end` is resolve to accumulators, `fold` the choice of PE, SIMD and FIFOs for {fps:,} frames a second; both in seconds
of wall-clock time on two cores, in which other work was done, and `CPU` is the processor time of the whole build.
Frames a second, LUTs and BRAM are estimates of `fold`, not counts; a folding that cannot reach the rate on the board is the
fastest that was found. docs/results.md has what was built to the end.

| network | input | built to | front end | fold | CPU | frames/s | LUT | BRAM |
|:--|:--|:--|--:|--:|--:|--:|--:|--:|"""


@dataclass(frozen=True)
class Network:
    """A network, the stage until which it is built, its input where that is not its name's, and the rate wanted."""

    name: str
    until: str = "fold"
    input_shape: str = ""
    target_fps: int = 100


_NETWORKS = (
    Network("quant_tfc_w2a2"),
    Network("quant_cnv_w2a2"),
    *(Network(f"quant_vgg{depth}_w4a4_a2q_13b") for depth in (11, 13, 16, 19)),
    *(Network(f"quant_resnet{depth}_w4a4_a2q_13b") for depth in (8, 20, 32, 44, 56, 110, 18, 34, 50, 101, 152)),
    Network("quant_mobilenetv1_w4a4_a2q_13b"),
    Network("quant_mobilenetv1_w4a4_a2q_13b", input_shape="3,224,224"),
    Network("quant_mobilenetv2_w4a4_a2q_14b"),
    Network("quant_espcn_x2_w4a4_a2q_13b"),
    Network("quant_espcn_x2_w4a4_a2q_plus_13b"),
    Network("quant_espcn_x2_w8a8_a2q_16b"),
    Network("quant_espcn_x3_w4a4_a2q_13b"),
    Network("quant_unet_w4a4"),
    Network("quant_unet_w4a4_a2q_13b"),
    Network("quant_dscnn_w4a4"),
    Network("quant_vgg10_w4a4_a2q_13b"),
    Network("quant_tinyyolo_w4a4_a2q_13b"),
)


def row(network: Network) -> str:
    """The row of `network` in the table, which is built for it."""
    arguments = ["--weights", "synthetic", "--target-fps", str(network.target_fps), "--until", network.until]
    arguments += ["--input-shape", network.input_shape] if network.input_shape else []
    arguments += ["--set", f"golden_frames={_FRAMES}"]
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        out = Path(scratch, "build")
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", "from pipeline.cli import app; app()", "build", network.name, *arguments]
        done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        shape = network.input_shape.replace(",", " × ") or _of_name(network.name)
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()[-1]
            seconds = time.monotonic() - begun
            return f"| `{network.name}` | {shape} | none, after {seconds:.0f} s: {said} | – | – | {cpu:.0f} | – | – | – |"
        stages = {s["name"]: s["seconds"] for s in json.loads((out / "report" / "build.json").read_text())["stages"]}
        resources = json.loads((out / "report" / "estimate_layer_resources.json").read_text())["total"]
        rate = json.loads((out / "report" / "estimate_network_performance.json").read_text())
    front_end = sum(stages[stage] for stage in _FRONT_END)
    figures = f"{rate['estimated_throughput_fps']:,.0f} | {resources['LUT']:,.0f} | {resources['BRAM_18K'] / 2:,.1f}"
    times = f"{front_end:.1f} | {stages['fold']:.1f} | {cpu:.0f}"
    return f"| `{network.name}` | {shape} | {network.until} | {times} | {figures} |"


def _of_name(name: str) -> str:
    from pipeline.models.names import find

    return " × ".join(map(str, find(name).input_shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="networks; all where none is named")
    parser.add_argument("--until", help="the last stage, for all of them")
    options = parser.parse_args()
    chosen = [network for network in _NETWORKS if not options.names or network.name in options.names]
    chosen += [Network(name) for name in options.names if name not in {network.name for network in _NETWORKS}]
    print(_PAGE.format(frames=_FRAMES, fps=Network("").target_fps), flush=True)
    for network in chosen:
        until = options.until or network.until
        print(row(Network(network.name, until, network.input_shape, network.target_fps)), flush=True)


if __name__ == "__main__":
    main()
