"""The screen of a comparison: a table with a row a point in a terminal, else a line whenever there is news."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Column, Table

from a2q_driver.speed import STEADY_FPS
from pipeline.compare.points import Point
from pipeline.compare.record import Failure, PointRecord
from pipeline.compare.task import Failed

__all__ = ["View"]

_REFRESHES = 2  # a second
_SHOWN = 60  # characters


@dataclass
class _Row:
    name: str
    worker: str = ""  # host:pid
    stage: str = ""
    text: str = "waiting"
    begun: float | None = None
    ended: float | None = None

    def seconds(self) -> str:
        if self.begun is None:
            return ""
        return f"{(self.ended or time.monotonic()) - self.begun:.0f} s"


class View:
    """The rows of one comparison on `console`; what reaches it from other threads is put in order."""

    def __init__(self, console: Console, points: Sequence[Point]) -> None:
        self.console = console
        self._rows = {point.slug: _Row(point.name) for point in points}
        self._live: Live | None = None
        self._lock = RLock()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While builds run."""
        if not self.console.is_terminal:
            yield
            return
        with Live(
            get_renderable=self._table, console=self.console, refresh_per_second=_REFRESHES, redirect_stderr=False
        ) as self._live:
            try:
                yield
            finally:
                self._live.refresh()
                self._live = None

    def event(self, event: Mapping[str, Any]) -> None:
        """Show an `event` of a worker's build; a folding's reference may be none of the points."""
        with self._lock:
            row = self._rows.setdefault(event["point"], _Row(f"{event['point']} (for its folding)"))
            if row.ended is not None:
                return
            row.begun = row.begun or time.monotonic()
            row.worker, row.stage, text = event["where"], event["stage"], event.get("text", "")
            match event["what"]:
                case "running" | "advance":
                    row.text = text
                case "done":
                    row.text = text
                    if not event["cached"]:
                        self._line(f"{row.name}: {row.stage:<13} {event['seconds']:>6.1f} s")
                case "note":
                    row.text = text
                    self._line(f"{row.name}: {text}")
                case "log":
                    self.console.print(f"{row.name}: {text}", highlight=False, markup=False, soft_wrap=True)

    def reused(self, point: Point, record: PointRecord) -> None:
        """The point was there."""
        self._end(point, "", f"{_figures(record)} (kept)")

    def built(self, point: Point, record: PointRecord) -> None:
        self._end(point, "", _figures(record))

    def failed(self, point: Point, failure: Failure | Failed) -> None:
        self._end(point, failure.stage, f"FAILED in {failure.stage}: {failure.message}")

    def stage_of(self, point: Point) -> str:
        """The stage that a point was last heard of in."""
        with self._lock:
            return self._rows[point.slug].stage or "set-up"

    def note(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _end(self, point: Point, stage: str, text: str) -> None:
        with self._lock:
            row = self._rows[point.slug]
            row.worker, row.stage, row.text, row.ended = "", stage, text, time.monotonic()
            self._line(f"{row.name}: {text}")

    def _line(self, text: str) -> None:
        if self._live is None:
            self.note(text)

    def _table(self) -> Table:
        table = Table(Column("build", no_wrap=True), "worker", "stage", Column("time", justify="right"), "", box=None)
        with self._lock:
            for row in self._rows.values():
                text = row.text if len(row.text) <= _SHOWN else f"{row.text[:_SHOWN]}…"
                table.add_row(escape(row.name), row.worker, row.stage, row.seconds(), escape(text))
        return table


def _figures(record: PointRecord) -> str:
    rate = f"{record.fps:,.0f} {STEADY_FPS}, " if record.fps else ""
    return f"{rate}{record.lut:,} LUT"
