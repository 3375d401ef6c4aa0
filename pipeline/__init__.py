"""From an accumulator-aware quantized network to a verified FPGA accelerator. The library is what `__all__` names.

>>> import pipeline
>>> result = pipeline.build("quant_tfc_w2a2", out="build/tfc")  # doctest: +SKIP
>>> result.lut  # doctest: +SKIP
"""

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
    from pipeline.api import BuildResult, build
    from pipeline.config import BuildConfig, load_config
    from pipeline.dataflow.graph import LayerGraph
    from pipeline.dataflow.storage import load_graph
    from pipeline.dataflow.types import IntType
    from pipeline.devices.boards import load_board
    from pipeline.errors import A2QError
    from pipeline.models.qonnx_export import export_qonnx

__all__ = [
    "A2QError",
    "BuildConfig",
    "BuildResult",
    "IntType",
    "LayerGraph",
    "build",
    "export_qonnx",
    "load_board",
    "load_config",
    "load_graph",
]

# Where each name is, which is imported when it is asked for: pydantic takes a part of a second, torch takes seconds.
_MODULES = {
    "A2QError": "pipeline.errors",
    "BuildConfig": "pipeline.config",
    "BuildResult": "pipeline.api",
    "IntType": "pipeline.dataflow.types",
    "LayerGraph": "pipeline.dataflow.graph",
    "build": "pipeline.api",
    "export_qonnx": "pipeline.models.qonnx_export",
    "load_board": "pipeline.devices.boards",
    "load_config": "pipeline.config",
    "load_graph": "pipeline.dataflow.storage",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
