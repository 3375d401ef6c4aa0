"""From an accumulator-aware quantized network to a verified FPGA accelerator."""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Compiled by TorchScript, Brevitas' modules call no hooks: A2Q's penalty and EP-init would do nothing, without a word,
# and exports would fail. Its own default, before its import.
os.environ["BREVITAS_JIT"] = "0"

# Read when torch (OpenMP) and numpy (OpenBLAS) are loaded, whose threads spin while they wait for each other: beside any
# other work, a second build for one, that takes three times the processor time and up to five times as long. torch's can
# sleep instead; of numpy's, whose matrix products are small here, there is one.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if TYPE_CHECKING:
    from pipeline.models.qonnx_export import export_qonnx

__all__ = ["export_qonnx"]

_MODULES = {"export_qonnx": "pipeline.models.qonnx_export"}  # imported when they are asked for: torch takes seconds


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
