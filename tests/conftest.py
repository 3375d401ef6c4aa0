from __future__ import annotations

import os

# Before torch is imported: several workers with a thread for each core would wait for each other's threads, which made
# tests that train ten times slower.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
