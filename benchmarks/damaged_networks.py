"""Damages many small network files and says what became of them: counts by outcome, and every failure with its seed."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the damages are of the tests

_TIMEOUT = 60  # seconds for one file; a thousand times what one takes


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=2000, help="how many files")
    parser.add_argument("--verbose", action="store_true", help="print every outcome")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    failures: list[str] = []
    begun, seed, end = time.monotonic(), options.first, options.first + options.count
    while seed < end:  # one process for all, and another after one that died
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_work, args=(theirs, seed, end), daemon=True)
        process.start()
        theirs.close()
        while seed < end:
            result, line = _next(ours)
            counts[result] += 1
            if result not in ("built", "refused"):
                failures.append(f"seed {seed}, {result}: {line}")
            if options.verbose:
                print(seed, result, line, flush=True)
            seed += 1
            if result in ("hung", "died"):
                process.kill()
                break
        process.join()
    table = Table(f"{options.count} damaged files", "number", box=None)
    for result, number in counts.most_common():
        table.add_row(result, str(number))
    table.add_row("seconds", f"{time.monotonic() - begun:.0f}")
    Console().print(table)
    print(*failures, sep="\n")
    sys.exit(bool(failures))


def _next(connection: Connection) -> tuple[str, str]:
    try:
        if not connection.poll(_TIMEOUT):
            return "hung", f"not done in {_TIMEOUT} s"
        return connection.recv()
    except EOFError:
        return "died", "the process ended"


def _work(connection: Connection, first: int, end: int) -> None:
    from tests.frontend.streamline.damage import damaged_file, outcome

    warnings.simplefilter("ignore")
    for seed in range(first, end):
        what, content = damaged_file(seed)
        with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
            path = Path(scratch, f"damaged{seed}.onnx")
            path.write_bytes(content)
            try:
                result, line = outcome(path, Path(scratch))
            except Exception as error:  # noqa: BLE001  every failure is a result
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{place.filename}:{place.lineno}"
                result, line = type(error).__name__, f"{' '.join(str(error).split())[:300]} ({where})"
        connection.send((result, f"{what}: {line}"))


if __name__ == "__main__":
    _main()
