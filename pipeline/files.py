"""The files that belong to this package and are not Python: hw/, build_configs/, the licence.

In a checkout they stand beside the package; an installed wheel carries them inside it, in the folder `shipped`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

__all__ = [
    "BENCHMARKS",
    "BOARDS",
    "BUILD_CONFIGS",
    "DRIVER",
    "GATE_MODELS",
    "HLS",
    "IS_CHECKOUT",
    "PACKAGES",
    "PTQ_CONFIGS",
    "ROOT",
    "RTL",
    "TESTBENCHES",
    "TRAIN_CONFIGS",
    "matching",
]

_PACKAGE = Path(str(files("pipeline"))).resolve()
_SHIPPED = _PACKAGE / "shipped"

IS_CHECKOUT = not _SHIPPED.is_dir()
ROOT = _PACKAGE.parent if IS_CHECKOUT else _SHIPPED
RTL = ROOT / "hw" / "rtl"
HLS = ROOT / "hw" / "hls"
TESTBENCHES = ROOT / "hw" / "tb"
GATE_MODELS = ROOT / "hw" / "gate_level"  # of vendors' cells
BOARDS = ROOT / "hw" / "boards"
DRIVER = ROOT / "hw" / "driver"
BUILD_CONFIGS = ROOT / "build_configs"
PTQ_CONFIGS = BUILD_CONFIGS / "ptq"
TRAIN_CONFIGS = BUILD_CONFIGS / "train"
BENCHMARKS = BUILD_CONFIGS / "benchmark"
PACKAGES = {"pipeline": _PACKAGE, "a2q_driver": DRIVER / "a2q_driver"}  # the folders of this project's Python


def matching(patterns: Iterable[str]) -> dict[str, Path]:
    """The files that match `patterns`, which are relative to the repository, by their names there, also of a wheel."""
    matches = {}
    for pattern in patterns:
        root = _PACKAGE.parent if pattern.startswith("pipeline/") else ROOT
        matches.update({path.relative_to(root).as_posix(): path for path in root.glob(pattern) if path.is_file()})
    return dict(sorted(matches.items()))
