"""One Yosys run in a process of its own: an error in Yosys ends the process that holds it.

Reads a job as JSON from standard input: `read`, the commands that load the design; `synthesize`, those that map it.
Between them, equal modules are merged. Commands name files relative to the working directory. Prints Yosys' log.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pipeline.tools.rtlil import merge_equal_modules


def _main() -> None:
    from pyosys import libyosys

    job = json.load(sys.stdin)
    loaded = libyosys.Design()
    for command in [*job["read"], "write_rtlil loaded.il"]:
        libyosys.run_pass(command, loaded)
    Path("merged.il").write_text(merge_equal_modules(Path("loaded.il").read_text()))
    design = libyosys.Design()
    for command in ["read_rtlil merged.il", *job["synthesize"]]:
        libyosys.run_pass(command, design)


if __name__ == "__main__":
    _main()
