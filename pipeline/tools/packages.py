"""Python packages that an extra of this project brings."""

from __future__ import annotations

from pipeline.errors import ToolError
from pipeline.tools.tool import Package

__all__ = ["require_extra"]


def require_extra(extra: str, *names: str) -> None:
    """Raise ToolError where one of the Python packages `names`, which the `extra` of this project brings, is missing."""
    missing = next((name for name in names if Package(name).find() is None), None)
    if missing is not None:
        raise ToolError(
            f"The Python package `{missing}` is not installed; `pip install 'a2q-pipeline[{extra}]'` installs all that "
            f"`a2q {extra}` needs."
        )
