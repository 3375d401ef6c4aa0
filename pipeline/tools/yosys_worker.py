"""One Yosys run in a process of its own: an error in Yosys ends the process that holds it.

Reads a job as JSON from standard input: `read`, the commands that load the design; `synthesize`, those that map it.
Between them the design is simplified, see `pipeline/tools/rtlil.py`. Commands name files relative to the working
directory. Prints Yosys' log.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pipeline.tools.rtlil import fold_constant_reads, merge_equal_modules


def _main() -> None:
    from pyosys import libyosys

    job = json.load(sys.stdin)
    loaded = libyosys.Design()
    for command in [*job["read"], "write_rtlil loaded.il"]:
        libyosys.run_pass(command, loaded)
    text = fold_constant_reads(Path("loaded.il").read_text())
    Path("simplified.il").write_text(merge_equal_modules(text))
    design = libyosys.Design()
    for command in ["read_rtlil simplified.il", *job["synthesize"]]:
        libyosys.run_pass(command, design)


if __name__ == "__main__":
    _main()
