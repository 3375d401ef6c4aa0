from __future__ import annotations

from benchmarks.networks import page
from pipeline.files import ROOT


def test_the_page_in_docs_is_what_the_benchmark_prints() -> None:
    """But for the measured rows: what it says of networks, data and trained checkpoints is that of their records."""
    assert (ROOT / "docs" / "networks.md").read_text().startswith(page())
