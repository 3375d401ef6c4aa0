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

    a2q build quant_espcn_x2_w4a4_a2q_13b --weights synthetic
    a2q build quant_mobilenetv1_w4a4_a2q_13b --weights synthetic --input-shape 3,224,224

`a2q models` lists what is trained, and the families. A name is a family, how many times its channels, and its bits:
`quant_unetx0.5_w4a4_a2q_13b`. Besides classifiers of images there are

| family | what it is | takes | gives |
|:--|:--|:--|:--|
| `espcn_x2`, `_x3`, `_x4` | super resolution (ESPCN); eight releases of Brevitas have weights | images of any size | images 2, 3, 4 times as large |
| `unet` | segmentation, three sizes (U-Net) | images whose sides are multiples of 4 | a number for each class and pixel |
| `tinyyolo` | a detector of YOLOv2's kind; boxes are made on the host | images | 5 anchors a cell of 16 × 16 pixels |
| `dscnn` | keyword spotting (DS-CNN of MLPerf Tiny) | 49 × 10 features from −1 to 1 | 12 classes |
| `vgg10` | modulations of radio signals (VGG10), one dimension | 2 × 1 × 1024 numbers from −2 to 2 | 24 classes |

`resnet8` is the topology of MLPerf Tiny's. There is no data set for these five here, so no training: `--weights synthetic`,
the path of a checkpoint, or a release. A network that gives no number for each class has its whole output as integers
(`output: logits`), image by image; its driver gives the real numbers. The summary of a network whose output is a larger
image of its input has the PSNR of what it makes of photographs, beside that of bicubic interpolation, and
`super_resolution.png` shows some of them.

## How far they are built, and in what time

What `python benchmarks/networks.py` measured, with synthetic weights, at the input that the name stands for or at the one
that is given, cold, for a KV260, until the stage in the column `built to`, with {frames} golden frames. `front end` is
resolve to accumulators, `fold` the choice of PE, SIMD and FIFOs for {fps:,} frames a second, `cppsim` and `rtlsim` the
exact simulations in C++ and of the RTL; in seconds of wall-clock time on two cores beside other work, and `CPU` is the
processor time of the whole command. Frames a second, LUTs and BRAM are estimates of `fold`, not counts; `simulated` are
the frames a second by the cycles that the simulation of the RTL took, at 300 MHz.

| network | input | built to | front end | fold | cppsim | rtlsim | CPU | frames/s | simulated | LUT | BRAM |
|:--|:--|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|"""


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
        done = subprocess.run([*command, "--out", str(out)], check=False, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        shape = network.input_shape.replace(",", " × ") or _of_name(network.name)
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()[-1]
            seconds = time.monotonic() - begun
            return f"| `{network.name}` | {shape} | none, after {seconds:.0f} s: {said} | – | – | – | – | {cpu:.0f} | – | – | – | – |"
        stages = {s["name"]: s["seconds"] for s in json.loads((out / "report" / "build.json").read_text())["stages"]}
        resources = json.loads((out / "report" / "estimate_layer_resources.json").read_text())["total"]
        rate = json.loads((out / "report" / "estimate_network_performance.json").read_text())
        simulation = out / "report" / "rtlsim_performance.json"
        simulated = (
            f"{json.loads(simulation.read_text())['stable_throughput[images/s]']:,.0f}" if simulation.exists() else "–"
        )
    front_end = sum(stages[stage] for stage in _FRONT_END)
    simulations = " | ".join(f"{stages[stage]:.0f}" if stage in stages else "–" for stage in ("cppsim", "rtlsim"))
    figures = (
        f"{rate['estimated_throughput_fps']:,.0f} | {simulated} | {resources['LUT']:,.0f} | "
        f"{resources['BRAM_18K'] / 2:,.1f}"
    )
    times = f"{front_end:.1f} | {stages['fold']:.1f} | {simulations} | {cpu:.0f}"
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
