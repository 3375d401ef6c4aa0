"""Where tools that come as Python packages are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pipeline.errors import ToolError

__all__ = ["package_folder", "require_extra"]


def package_folder(name: str) -> Path:
    """The folder of the Python package `name`. Raises ToolError where it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ToolError(f"the Python package `{name}` is not installed; `pip install {name}` installs it")
    return Path(spec.origin).parent


def require_extra(extra: str, *names: str) -> None:
    """Raise ToolError where one of the Python packages `names`, which the `extra` of this project brings, is missing."""
    missing = next((name for name in names if importlib.util.find_spec(name) is None), None)
    if missing is not None:
        raise ToolError(
            f"The Python package `{missing}` is not installed; `pip install 'a2q-pipeline[{extra}]'` installs all that "
            f"`a2q {extra}` needs."
        )
