"""docs/ as a site: built without a warning, and the pages that are made of the code."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import errors
from pipeline.dataflow.registry import kernels

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """All pages. Strict: a link that leads nowhere, and a page that is in no menu, are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "-f",
        "docs/site/mkdocs.yml",
        "-d",
        folder,
    ]
    done = subprocess.run(
        list(map(str, command)),
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


def words(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", page.read_text()))


def test_every_page_of_docs_is_there(site):
    for source in (ROOT / "docs").glob("*.md"):
        assert (site / f"{source.stem}.html").is_file(), source.name
    assert "From an accumulator-aware quantized network" in words(site / "index.html")
    assert "How modules talk" in words(site / "hardware.html")


def test_every_kernel_and_every_error_has_its_place(site):
    of_kernels, of_errors = words(site / "kernels.html"), words(site / "errors.html")
    own = [name for name, kernel in kernels().items() if kernel.__module__.startswith("pipeline.")]
    assert own and all(name in of_kernels for name in own)
    kinds = [name for name in errors.__all__ if name != "Obstacle"]
    assert kinds and all(name in of_errors for name in kinds)
    for name in kinds:
        what, remedy = getattr(errors, name).__doc__.split("\n\n")[:2]
        plain = " ".join(remedy.replace("`", "").split())
        assert what.strip() and plain and plain[-30:] in " ".join(re.sub(r"\s+(?=[;,.:])", "", of_errors).split()), name
    assert "130" in of_errors


def test_it_loads_nothing_from_elsewhere(site):
    page = (site / "index.html").read_text()
    loaded = re.findall(r"""<(?:script|link|img)[^>]*?(?:src|href)=["']?(https?://[^"'\s>]+)""", page)
    assert [address for address in loaded if "arxiv" not in address] == []
