"""The screen of a build: a line a stage, a spinner or bar while one runs, plain lines without a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["Screen"]

_QUIET_SECONDS = 2.0


class Screen:
    """The lines of one build on `console`. With `verbose` the stages' logs are shown too."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.console = console
        self.verbose = verbose
        self._progress: Progress | None = None

    @contextmanager
    def running(self, stage: str) -> Iterator[None]:
        """While a stage runs: a spinner, which becomes a bar when the stage says how far it is. Without a terminal,
        a line once it has run for two seconds.
        """
        if not self.console.is_terminal:
            timer = threading.Timer(_QUIET_SECONDS, lambda: self.note(f"{stage:<13} running"))
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.fields[stage]:<12}"),
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns, console=self.console, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as progress:
            progress.add_task("", total=None, stage=stage)
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None

    def advance(self, done: int, total: int, what: str) -> None:
        """The running stage has done `done` of `total`."""
        if self._progress is not None:
            task = self._progress.task_ids[0]
            self._progress.update(task, completed=done, total=total, description=f"{done}/{total} {what}")

    def log(self, text: str) -> None:
        """A line of the running stage's log."""
        if self.verbose:
            self.console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)
        elif self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description=text[:60])

    def done(self, stage: str, summary: str, seconds: float, *, cached: bool) -> None:
        """The line of a finished stage. `seconds` is what it took when it ran."""
        mark = "cached" if cached else f"{seconds:.1f} s"
        self.console.print(f"{stage:<13} {mark:>8}  {escape(summary)}", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        self.console.print(escape(text), highlight=False, soft_wrap=True)
