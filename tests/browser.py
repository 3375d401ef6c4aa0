"""A headless browser that opens pages of the tests, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["dom_of", "needs_browser"]

_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(_BROWSER is None, reason="no Chromium is installed")


def dom_of(page: Path, *flags: str) -> str:
    """The elements of `page` after its scripts have run, as HTML."""
    command = [
        _BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={page.parent / 'profile'}",
        "--virtual-time-budget=20000", "--window-size=1400,1000", *flags, "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
