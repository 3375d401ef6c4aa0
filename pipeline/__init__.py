"""From an accumulator-aware quantized network to a verified FPGA accelerator."""

import os

# Compiled by TorchScript, Brevitas' modules call no hooks: A2Q's penalty and EP-init would do nothing, without a word,
# and exports would fail. Its own default, before its import.
os.environ["BREVITAS_JIT"] = "0"

# The threads of torch (OpenMP) and numpy (OpenBLAS) spin while they wait for each other. Beside any other work, a second
# build for one, they then take three times the processor time and five times as long. Read when these are loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")  # 2^10 cycles, then asleep
