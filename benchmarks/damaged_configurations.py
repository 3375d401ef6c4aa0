"""Damaged configurations, boards, and files of folding and of styles: how many are read, refused, or fail.

Each must be read or refused in a sentence that names the file. What fails is printed with its seed; `--seed` shows one.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the generator stands with the tests

from tests.damage.configurations import KINDS, Damaged, Outcome, damaged, outcome

_RESULTS = ("valid", "refused", "failed")
_LIMIT_S = 20  # of one file, before it counts as a hang


def _outcome(file: Damaged, folder: Path) -> Outcome:
    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {_LIMIT_S} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(_LIMIT_S)
    try:
        return outcome(file, folder)
    finally:
        signal.alarm(0)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="files (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="show this file alone, and what becomes of it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.seed is not None:
            file = damaged(options.seed)
            print(f"{file.kind}: {', '.join(file.changes)}")
            print((file.content or b"").decode(errors="backslashreplace"))
            print(_outcome(file, folder))
            return
        counts: Counter[tuple[str, str]] = Counter()
        for seed in range(options.first, options.first + options.count):
            file = damaged(seed)
            outcome = _outcome(file, folder)
            counts[file.kind, outcome.result] += 1
            if outcome.result == "failed":
                print(f"seed {seed}, {file.kind} ({', '.join(file.changes)}): {outcome.text}")
    table = Table("", *_RESULTS, box=None, title=f"{options.count} damaged files")
    for kind in KINDS:
        table.add_row(kind, *(f"{counts[kind, result]:,}" for result in _RESULTS))
    totals = {result: sum(counts[kind, result] for kind in KINDS) for result in _RESULTS}
    table.add_row("all", *(f"{totals[result]:,}" for result in _RESULTS))
    Console().print(table)
    sys.exit(1 if totals["failed"] else 0)


if __name__ == "__main__":
    _main()
