"""One Yosys run in a process of its own: an error in Yosys ends the process that holds it.

Reads a job as JSON from standard input: `read`, the commands that load the design; `synthesize`, those that map it. Between
them, equal modules are merged. Commands name files relative to the working directory. Prints Yosys' log, and leaves
`usage.json` with the run's time and peak memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from pipeline.tools.rtlil import merge_equal_modules


def _main() -> None:
    from pyosys import libyosys

    job = json.load(sys.stdin)
    start = time.perf_counter()
    loaded = libyosys.Design()
    for command in [*job["read"], "write_rtlil loaded.il"]:
        libyosys.run_pass(command, loaded)
    Path("merged.il").write_text(merge_equal_modules(Path("loaded.il").read_text()))
    design = libyosys.Design()
    for command in ["read_rtlil merged.il", *job["synthesize"]]:
        libyosys.run_pass(command, design)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    usage = {"seconds": round(time.perf_counter() - start, 2), "peak_mib": round(peak / 1024)}
    Path("usage.json").write_text(json.dumps(usage))


if __name__ == "__main__":
    _main()
