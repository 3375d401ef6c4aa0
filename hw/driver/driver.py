"""Run frames through the accelerator of this package, or measure how fast it takes them. FINN's options."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from a2q_driver.command_line import add_batch_option, add_board_options, load_array, open_accelerator, run, start_file

_METRICS = Path("nw_metrics.txt")  # as FINN calls it


def _main() -> int:
    options = _options()
    if options.exec_mode == "execute":
        frames = load_array(options.inputfile)
        start_file(options.outputfile)
        with open_accelerator(options, options.batchsize) as accelerator:
            outputs = accelerator.execute(frames)
        with options.outputfile.open("wb") as stream:  # by that very name
            np.save(stream, outputs)
        print(f"outputs of {len(frames)} frames written to {options.outputfile}")
    else:
        start_file(_METRICS)
        with open_accelerator(options, None) as accelerator:
            metrics = accelerator.throughput_test(options.batchsize or 1)
        _METRICS.write_text(str(metrics))
        for name, how in metrics["how"].items():
            print(f"{name} = {metrics[name]:.9g}, {how}")
        print(f"results written to {_METRICS}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exec_mode", choices=("execute", "throughput_test"), default="execute")
    add_batch_option(
        parser, "frames a transfer (default: as many as fit 4 MiB); in a throughput test the frames in all (default: 1)"
    )
    parser.add_argument(
        "--inputfile",
        type=Path,
        default=Path("input.npy"),
        help="frames as the network takes them, uint8 images where its preprocessing is known, or integers of the input "
        "stream (default: %(default)s)",
    )
    parser.add_argument(
        "--outputfile",
        type=Path,
        default=Path("output.npy"),
        help="where the integers of the output stream go (default: %(default)s)",
    )
    add_board_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(_main)
