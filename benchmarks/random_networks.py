"""Random networks against QONNX's executor, more of them than the tests run.

    python benchmarks/random_networks.py --count 2000 --first 1000

Prints how many were built and are equal in every integer, how many were refused and for what, and each seed that
differs; the exit code is 1 if any does. A seed alone makes its network: tests/dataflow/random_networks.py.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the networks are of the tests

from pipeline.errors import A2QError
from tests.dataflow.random_networks import Comparison, RandomNetwork, compare


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="networks")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    counts, refusals, failing = Counter(), Counter(), []
    for seed in range(arguments.first, arguments.first + arguments.count):
        network = RandomNetwork(seed)
        try:
            result = compare(network)
        except A2QError as error:  # anything else is a fault of its own, and its traceback is wanted
            result = Comparison(wrong=f"{type(error).__name__}: {error}")
        if result.wrong:
            failing.append(seed)
            print(f"seed {seed}: {result.wrong}")
        elif result.refused:
            refusals[_kind(result.refused)] += 1
        else:
            counts["exact in float32" if network.exact else "with real scales"] += 1
            counts.update(
                frames=result.frames, elements=result.elements, in_double=result.in_double, undecided=result.undecided
            )
    equal = counts["exact in float32"] + counts["with real scales"]
    print(f"{arguments.count} networks: {equal} equal, {refusals.total()} refused, {len(failing)} wrong")
    print(
        f"equal: {counts['exact in float32']} whose every value float32 holds, {counts['with real scales']} others; "
        f"{counts['elements']} integers of {counts['frames']} frames, of which {counts['in_double']} differ from "
        f"float32 and are equal in double, {counts['undecided']} of them up to a value that double does not tell from a "
        "boundary"
    )
    for kind, count in refusals.most_common():
        print(f"refused {count:4}: {kind}")
    print("failing seeds:", ", ".join(map(str, failing)) or "none")
    return 1 if failing else 0


def _kind(message: str) -> str:
    """A refusal without its names and numbers."""
    return re.sub(r"\b\w+_\d+\w*|-?\d+(\.\d+)?(e[+-]\d+)?", "…", message)[:100]


if __name__ == "__main__":
    sys.exit(main())
