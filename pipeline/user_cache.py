"""The folder of the files that several builds and projects share: downloads, data sets, compiled runtimes."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """The environment's A2Q_CACHE, or the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("A2Q_CACHE") or user_cache_path("a2q"))
