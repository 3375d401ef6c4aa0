"""From an accumulator-aware quantized network to a verified FPGA accelerator."""

import os

# Compiled by TorchScript, Brevitas' modules call no hooks: A2Q's penalty and EP-init would do nothing, without a word,
# and exports would fail. Its own default, before its import.
os.environ["BREVITAS_JIT"] = "0"
