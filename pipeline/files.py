"""Where the files are that belong to this package and are not Python: hw/, build_configs/, the licence.

In a checkout they stand beside the package; an installed wheel carries them inside it, in the folder `shipped`.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = [
    "BOARDS",
    "BUILD_CONFIGS",
    "DRIVER",
    "GATE_MODELS",
    "HLS",
    "PACKAGES",
    "ROOT",
    "RTL",
    "TESTBENCHES",
    "TRAIN_CONFIGS",
]

_PACKAGE = Path(str(files("pipeline")))
_SHIPPED = _PACKAGE / "shipped"

ROOT = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent
RTL = ROOT / "hw" / "rtl"
HLS = ROOT / "hw" / "hls"
TESTBENCHES = ROOT / "hw" / "tb"
GATE_MODELS = ROOT / "hw" / "gate_level"  # of vendors' cells
BOARDS = ROOT / "hw" / "boards"
DRIVER = ROOT / "hw" / "driver"
BUILD_CONFIGS = ROOT / "build_configs"
TRAIN_CONFIGS = BUILD_CONFIGS / "train"
PACKAGES = {"pipeline": _PACKAGE, "a2q_driver": DRIVER / "a2q_driver"}  # the folders of this project's Python
