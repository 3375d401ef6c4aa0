"""The simulated board: PYNQ.remote's services over the Verilator model of a package's RTL.

    python -m pipeline.board_sim --package DEPLOY --library LIB.so [--host 127.0.0.1] [--port 7967]

It runs in the environment of pynq (standard library, numpy, grpc and pynq.remote alone), so that the unmodified client
of pynq 4.0.0 drives it as it drives a board. Only `server` and `__main__` import grpc and pynq.
"""

import sys

from pipeline.files import DRIVER

# What reads a package's manifest is in the boards' driver, which is not installed where pynq is.
sys.path.append(str(DRIVER))
