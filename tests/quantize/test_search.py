"""The front, the choice, and that a search goes on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.quantize.search import Trial, chosen, front

runner = CliRunner()


def trial(bits: str, top1: float, lut: int, failed: str = "") -> Trial:
    return Trial(int(bits[1]), int(bits[3]), f"ptq_{bits}", top1, top1, 12, lut, failed)


def test_a_front_has_what_none_is_better_than_in_both() -> None:
    trials = [
        trial("W2A2", 0.60, 5000),
        trial("W3A2", 0.70, 6000),
        trial("W4A2", 0.69, 5900),
        trial("W3A3", 0.78, 7000),
        trial("W4A3", 0.77, 8000),
        trial("W2A4", 0.90, 100, "cannot be built"),
    ]
    assert [t.bits for t in front(trials)] == ["W2A2", "W4A2", "W3A2", "W3A3"]
    pick, reason = chosen(front(trials))
    assert pick.bits == "W3A3" and reason == "no other comes within 1% of its top-1 of 78.00%"


def test_the_choice_is_the_cheapest_of_nearly_the_best() -> None:
    pick, reason = chosen(front([trial("W3A3", 0.775, 7000), trial("W4A4", 0.78, 9000), trial("W2A3", 0.7, 5000)]))
    assert pick.bits == "W3A3"
    assert "7,000 in place of the 9,000 of W4A4, for 0.50% less" in reason


def test_a_search_writes_its_front_and_goes_on_with_what_it_knows(
    float_checkpoint: Path, mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.quantize.search._BITS", (3,))
    monkeypatch.setattr("pipeline.quantize.images._CHOOSING", 64)
    out = tmp_path / "search"
    arguments = ["quantize", float_checkpoint, "--search", "--accumulator", 11, "--data-folder", mnist, "--images", 32]

    def search(*more: object) -> str:
        given = [*map(str, arguments), "--method", "gpfq/mse_channel", "--out", str(out), *map(str, more)]
        result = runner.invoke(app, given, env={"COLUMNS": "300"})
        return result.output.replace("\n", " ")

    first = search()
    assert "chosen " in first and "W3A3 " in first and "LUTs" in first, first
    kept = sorted(path.name for path in out.iterdir())
    assert {"search.json", "search.md", "search.png"} <= set(kept)
    trials = [json.loads(path.read_text()) for path in out.glob("*.trial.json")]
    assert len(trials) == 1 and all(t["lut"] > 0 and t["widest"] <= 11 for t in trials)
    page = (out / "search.md").read_text()
    assert "64 images of the" in page and ", chosen |" in page
    again = search()
    assert again.count(", as known") == len(trials) and again.count("LUTs, as known") == len(trials)
    other = search("--seed", 1)
    assert "holds another search; seed differs" in other
