"""Top-1 of the default network on the 10,000 test images: Brevitas, and the integer graph that becomes hardware.

They must agree image by image; the exit status is 1 if they do not. Needs CIFAR-10 in A2Q_DATA.
"""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from pipeline.errors import InputError
from pipeline.training.command import evaluate_command


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", default="quant_resnet8_w4a4_a2q_14b")
    options = parser.parse_args()
    begun = time.monotonic()
    try:
        table, equal = evaluate_command(options.model, None, None, options.images)
    except InputError as error:
        print(f"accuracy: {error}")
        return 2
    table.add_row("both", f"{time.monotonic() - begun:.0f} s")
    Console().print(table)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
