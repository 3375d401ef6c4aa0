"""One Yosys run in a process of its own: an error in Yosys ends the process that holds it.

Reads a job as JSON from standard input: `designs`, for each the folder it lies in and the command that loads it; `top`,
a module in which they are to stand side by side, or null for a single one as it is; `synthesize`, the commands that map
them. In between they are simplified, see `pipeline/tools/rtlil.py`. Commands name files relative to the folder, the last
ones to the working directory. Prints Yosys' log.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from pathlib import Path

from pipeline.tools.rtlil import merge_equal_modules, side_by_side


def _main() -> None:
    from pyosys import libyosys

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and Yosys does not look whether it could write
    job = json.load(sys.stdin)
    texts = []
    for folder, read in job["designs"]:
        with contextlib.chdir(folder):
            loaded = libyosys.Design()
            for command in (read, "write_rtlil loaded.il"):
                libyosys.run_pass(command, loaded)
            texts.append(Path("loaded.il").read_text())
    text = side_by_side(texts, job["top"]) if job["top"] else texts[0]
    Path("simplified.il").write_text(merge_equal_modules(text))
    design = libyosys.Design()
    # a memory of one word is a constant: known before anything is mapped, it makes what compares with it smaller
    for command in ["read_rtlil simplified.il", "opt_mem", *job["synthesize"]]:
        libyosys.run_pass(command, design)


if __name__ == "__main__":
    _main()
