from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from pipeline.compare.points import Axes, points
from pipeline.compare.task import Failed
from pipeline.compare.view import View
from tests.compare.sample import sample_record

CHOSEN = points(["quant_tfc_w2a2"], Axes(("exact", "fixed:3", "target")))
EXACT, FIXED, TARGET = CHOSEN


@pytest.fixture
def view() -> View:
    return View(Console(file=StringIO(), width=300), CHOSEN)


def event(point, what: str, stage: str, **more) -> dict:
    return {"point": point.slug, "where": "host:7", "what": what, "stage": stage, **more}


def tell(view: View) -> None:
    view.event(event(EXACT, "done", "resolve", text="found", seconds=9.0, cached=True))
    view.event(event(EXACT, "running", "export"))
    view.event(event(EXACT, "done", "export", text="exported", seconds=2.5, cached=False))
    view.event(event(EXACT, "note", "fold", text="fold: another build is making this result; waiting for it"))
    view.event(event(FIXED, "running", "accumulators"))
    view.failed(FIXED, Failed("accumulators", "3 bits [are] not enough"))
    view.built(EXACT, sample_record())


def test_without_a_terminal_there_is_a_line_for_all_that_took_time(view):
    with view.shown():
        tell(view)
    assert view.console.file.getvalue().splitlines() == [
        "quant_tfc_w2a2 · exact · KV260 · 20000 fps: export           2.5 s",
        "quant_tfc_w2a2 · exact · KV260 · 20000 fps: fold: another build is making this result; waiting for it",
        "quant_tfc_w2a2 · fixed:3 · KV260 · 20000 fps: FAILED in accumulators: 3 bits [are] not enough",
        "quant_tfc_w2a2 · exact · KV260 · 20000 fps: 10,851 steady frames/s, 25,124 LUT",
    ]


def test_in_a_terminal_there_is_one_table_with_a_row_for_each_build():
    console = Console(file=StringIO(), width=300, force_terminal=True)
    view = View(console, CHOSEN)
    with view.shown():
        tell(view)
        view.event(event(TARGET, "advance", "synth", text="3/9 layers"))
    last = console.file.getvalue().rpartition("build  ")[2].splitlines()
    assert [" ".join(line.split()) for line in last[1:4]] == [
        "quant_tfc_w2a2 · exact · KV260 · 20000 fps 0 s 10,851 steady frames/s, 25,124 LUT",
        "quant_tfc_w2a2 · fixed:3 · KV260 · 20000 fps accumulators 0 s FAILED in accumulators: 3 bits [are] not enough",
        "quant_tfc_w2a2 · target · KV260 · 20000 fps host:7 synth 0 s 3/9 layers",
    ]


def test_what_comes_late_changes_nothing(view):
    view.built(EXACT, sample_record())
    before = view.console.file.getvalue()
    view.event(event(EXACT, "done", "report", text="", seconds=1.0, cached=False))
    assert view.console.file.getvalue() == before


def test_the_stage_of_a_point_is_the_last_that_was_told(view):
    assert view.stage_of(EXACT) == "set-up"
    view.event(event(EXACT, "running", "rtlsim"))
    assert view.stage_of(EXACT) == "rtlsim"


def test_the_reference_of_a_folding_need_not_be_compared(view):
    view.event(
        {
            "point": "quant_tfc_w2a2-other",
            "where": "host:7",
            "what": "done",
            "stage": "fold",
            "text": "",
            "seconds": 3.0,
            "cached": False,
        }
    )
    assert "quant_tfc_w2a2-other (for its folding): fold             3.0 s" in view.console.file.getvalue()
