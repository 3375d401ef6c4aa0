"""Compare what the accelerator gives, image by image, with what it must: by itself with the package's golden frames.

Exits with 0 if all are equal, with 1 if one differs, with 2 if it could not be tried, and with 70 after a fault of its own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from a2q_driver.accelerator import Accelerator
from a2q_driver.command_line import add_batch_option, add_board_options, load_array, open_accelerator, run, start_file
from a2q_driver.errors import ShapeError
from a2q_driver.manifest import verify
from a2q_driver.speed import FILLING_FPS, WALL_CLOCK_FPS

_SHOWN = 10  # of the images that differ
_STEPS = {"pack": "packing", "send": "sending", "wait": "waiting", "fetch": "fetching", "unpack": "unpacking"}


def _main() -> int:
    options = _options()
    given = load_array(options.inputfile) if options.inputfile else None
    expected = load_array(options.expected) if options.expected else None
    labels = load_array(options.labels) if options.labels else None
    if options.json:
        start_file(options.json)
    with open_accelerator(options, options.batchsize) as accelerator:
        if given is None or expected is None:
            given, expected = _golden(accelerator.package)
        expected = _checked(expected, given, accelerator)
        if labels is not None and labels.shape != given.shape[:1]:
            raise ShapeError(f"Labels of shape {labels.shape} for {len(given)} images; expected one label an image.")
        if labels is not None and accelerator.transforms.several:
            raise ShapeError("Labels for a network with several outputs; --labels is for a network that gives classes.")
        got = accelerator.execute(given)
        result = _compared(got, expected, labels, accelerator)
    _show(result, got, expected)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if result["wrong"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputfile", type=Path, help="frames to run, as for driver.py; needs --expected")
    parser.add_argument("--expected", type=Path, help="the integers of the output stream that each must give")
    parser.add_argument("--labels", type=Path, help="the right class of each; the share of right outputs is printed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found to a file, too")
    add_batch_option(parser, "frames a transfer (default: as many as fit 4 MiB)")
    add_board_options(parser)
    options = parser.parse_args()
    if (options.inputfile is None) != (options.expected is None):
        parser.error("--inputfile and --expected go together")
    if options.labels and not options.inputfile:
        parser.error("--labels needs --inputfile and --expected")
    return options


def _golden(package: Path) -> tuple[np.ndarray, np.ndarray]:
    """The package's golden frames, images where it has them, and the outputs that they must give."""
    manifest = verify(package, ())
    name = next(name for name in ("golden/images.npy", "golden/input.npy") if name in manifest["files"])
    verify(package, (name, "golden/expected_output.npy"))
    return load_array(package / name), load_array(package / "golden" / "expected_output.npy")


def _checked(expected: np.ndarray, given: np.ndarray, accelerator: Accelerator) -> np.ndarray:
    """`expected` as (N, *output.shape). Raises ShapeError where that cannot be."""
    shape = (len(given), *accelerator.output.shape)
    if expected.size != np.prod(shape) or len(expected) != len(given) or not len(given):
        raise ShapeError(f"Expected outputs of shape {expected.shape} for {len(given)} frames; they give {shape}.")
    return expected.reshape(shape)


def _compared(
    got: np.ndarray, expected: np.ndarray, labels: np.ndarray | None, accelerator: Accelerator
) -> dict[str, Any]:
    count, batch, clock = len(got), accelerator.last_batch, accelerator.clock_mhz
    host = "simulator" if accelerator.simulated else "host"
    wrong = np.flatnonzero((got != expected).reshape(count, -1).any(axis=1))
    right = None
    if labels is not None:
        outputs = accelerator.transforms.real(got)  # what stands behind them may be no number for each class
        classes = outputs if accelerator.transforms.gives_label else outputs.reshape(count, -1).argmax(axis=1)
        right = int((classes == labels).sum())
    return {
        "model": accelerator.manifest["model"],
        "weights": accelerator.manifest["weights"],
        "simulated": accelerator.simulated,
        "images": count,
        "wrong": wrong.tolist(),
        "top1": None if right is None else right / count,
        "right": right,
        "cycles": batch.counted.cycles,
        "fclk[mhz]": clock,
        "throughput_by_cycles[images/s]": count * clock * 1e6 / batch.counted.cycles,
        f"{host}_seconds": batch.seconds["all"],
        f"{host}_throughput[images/s]": count / batch.seconds["all"],
        f"{host}_seconds_by_step": {step: batch.seconds.get(step, 0.0) for step in _STEPS},
    }


def _show(result: dict[str, Any], got: np.ndarray, expected: np.ndarray) -> None:
    count, wrong = result["images"], result["wrong"]
    for index in wrong[:_SHOWN]:
        print(f"image {index}: {_short(got[index])} instead of {_short(expected[index])}")
    if len(wrong) > _SHOWN:
        print(f"… and {len(wrong) - _SHOWN} more")
    print(f"{result['model']}: {count - len(wrong)} of {count} images give exactly the integers that they must")
    if result["top1"] is not None:
        print(f"top-1: {100 * result['top1']:.1f} % ({result['right']} of {count}); {result['weights']}")
    print(
        f"accelerator: {result['throughput_by_cycles[images/s]']:,.0f} {FILLING_FPS} at {result['fclk[mhz]']:g} MHz, from the "
        f"{result['cycles']:,} cycles that it counted for them"
    )
    host = "simulator" if result["simulated"] else "host"
    steps = result[f"{host}_seconds_by_step"]
    times = ", ".join(f"{name} {steps[step]:.3f}" for step, name in _STEPS.items())
    whose = "of this simulation, not of a board" if result["simulated"] else "from integers to integers"
    print(
        f"{host}: {result[f'{host}_throughput[images/s]']:,.1f} {WALL_CLOCK_FPS}, {whose}: {result[f'{host}_seconds']:.3f} s "
        f"({times})"
    )


def _short(values: np.ndarray) -> str:
    listed = ", ".join(map(str, values.ravel()[:_SHOWN].tolist()))
    return f"[{listed}, …]" if values.size > _SHOWN else f"[{listed}]"


if __name__ == "__main__":
    run(_main)
