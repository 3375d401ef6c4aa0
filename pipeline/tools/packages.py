"""Where tools that come as Python packages are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pipeline.errors import ToolError

__all__ = ["package_folder"]


def package_folder(name: str) -> Path:
    """The folder of the Python package `name`. Raises ToolError where it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ToolError(f"the Python package `{name}` is not installed; `make setup` installs it")
    return Path(spec.origin).parent
