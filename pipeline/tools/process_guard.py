"""Kills the programs of a process that has ended; see `pipeline/tools/process.py`.

Run as a program, the leader of their process group, with the number of that process. Its standard input is a pipe that
only that process holds, so that it ends with it. A process that was forked off may hold it too: then the guard sees
within a second that it has another parent.
"""

from __future__ import annotations

import os
import select
import signal
import sys

_SECONDS = 1.0

if __name__ == "__main__":
    while os.getppid() == int(sys.argv[1]) and not select.select([0], [], [], _SECONDS)[0]:
        pass
    os.killpg(0, signal.SIGKILL)
