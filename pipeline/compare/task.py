"""The work of a comparison's worker: find a folding, build a point, and send back the results.

Both are pure in what they return: a worker that is killed loses nothing, as another does its task from the stages that
are in the cache, or from the beginning where there is none.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from distributed import get_worker
from rich.console import Console

from pipeline import fingerprint
from pipeline.compare.collection import digest_of
from pipeline.compare.folding import Folding, read_folding, references
from pipeline.compare.points import Point
from pipeline.compare.record import PointRecord, read_record
from pipeline.config import BuildConfig
from pipeline.errors import A2QError, ToolError
from pipeline.flow import build, code_version, user_inputs
from pipeline.progress import Screen
from pipeline.stages import STAGES

__all__ = ["Built", "Failed", "Place", "build_point", "checkout", "find_folding", "keys"]

_COLLECTED = ("report/*.json", "summary.md", "report.html", "auto_folding_config.json", "*.png")
_FOLDINGS = ".foldings"
_one_at_a_time = threading.Lock()  # a build takes over its process's output


@dataclass(frozen=True)
class Place:
    """The surroundings of a worker's build: the folder `work`, the `checkout` that it must have, and whom it tells.

    What happens is logged as events of `topic`; with `verbose` also what tools say.
    """

    work: Path
    checkout: str
    topic: str
    verbose: bool


@dataclass(frozen=True)
class Built:
    """A finished point: its record, and its small files by path as digests of `contents`."""

    record: PointRecord
    files: dict[str, str]
    contents: dict[str, bytes] = field(repr=False)


@dataclass(frozen=True)
class Failed:
    """A build that ended with an error, and the stage that it ended in."""

    stage: str
    message: str


@cache
def checkout() -> str:
    """The digest of what builds: this repository's code and sources, the versions of its packages."""
    parts = {stage.name: fingerprint.combine(code_version(stage)) for stage in STAGES}
    return fingerprint.combine({**parts, "record": fingerprint.code(read_record)})


def keys(points: Sequence[Point], made: str) -> dict[str, str]:
    """By point (its slug), the digest of all that its record follows from, `made` being the checkout.

    Of another machine's programs, such as its C++ compiler, nothing is in it: what is built does not depend on them.
    """
    known: dict[str, dict[str, object]] = {}
    alike = {
        slug: [_inputs_digest(config, known) for config in configs] for slug, configs in references(points).items()
    }
    return {
        point.slug: fingerprint.combine(
            {
                "checkout": made,
                "name": point.name,
                "own": _inputs_digest(point.config, known),
                "alike": alike[point.slug],
            }
        )
        for point in points
    }


def _inputs_digest(config: BuildConfig, known: dict[str, dict[str, object]]) -> str:
    """The digest of what `config` asks of the stages; `known` is what was found of the same options before."""
    parts = {}
    for stage in STAGES:
        label = f"{stage.name} {config.as_json(stage.reads)}"
        if label not in known:  # data sets are read for it
            known[label] = user_inputs(stage, config)
        parts[stage.name] = fingerprint.combine(known[label])
    return fingerprint.combine(parts)


def find_folding(candidates: Sequence[BuildConfig], place: Place) -> Folding | Failed:
    """The folding of the first of `candidates` that can be folded; the failure of the last one, if none can."""
    failed = Failed("fold", "nothing to fold")
    for config in candidates:
        point = Point.of(config)
        with _reported(point, place) as reporter:
            try:
                return read_folding(config, build(config, place.work / point.slug, STAGES, reporter, until="fold"))
            except A2QError as error:
                failed = Failed(reporter.stage, str(error))
    return failed


def build_point(point: Point, folding: Folding | Failed, place: Place) -> Built | Failed:
    """Build `point`, folded as `folding` says, in its folder of `place.work`."""
    if isinstance(folding, Failed):
        return folding
    with _reported(point, place) as reporter:
        try:
            config = folding.given_to(point.config, place.work / _FOLDINGS)
            result = build(config, place.work / point.slug, STAGES, reporter)
            record = read_record(point, result.results)
        except A2QError as error:
            return Failed(reporter.stage, str(error))
    paths = sorted(path for pattern in _COLLECTED for path in result.folder.glob(pattern))
    contents = {path.relative_to(result.folder).as_posix(): path.read_bytes() for path in paths}
    files = {name: digest_of(content) for name, content in contents.items()}
    return Built(record, files, {files[name]: content for name, content in contents.items()})


@contextmanager
def _reported(point: Point, place: Place) -> Iterator[Reporter]:
    """While a build of this process runs, and its screen."""
    worker = get_worker()
    where = f"{socket.gethostname()}:{os.getpid()}"
    reporter = Reporter(
        lambda event: worker.log_event(place.topic, {"point": point.slug, "where": where, **event}), place.verbose
    )
    with _one_at_a_time:
        if checkout() != place.checkout:
            raise ToolError(
                f"The worker {where} has another checkout or environment of this repository "
                "than the one that compares. Give all workers the same."
            )
        yield reporter


class Reporter(Screen):
    """A build's screen on a worker: what there is to show becomes events, which `tell` sends. `stage` is the last."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], verbose: bool) -> None:
        super().__init__(Console(quiet=True), verbose=verbose)
        self.stage = "set-up"
        self._tell = tell

    @contextmanager
    def running(self, stage: str) -> Iterator[None]:
        self.stage = stage
        self._tell({"what": "running", "stage": stage})
        yield

    def advance(self, done: int, total: int, what: str) -> None:
        self._tell({"what": "advance", "stage": self.stage, "text": f"{done}/{total} {what}"})

    def log(self, text: str) -> None:
        if self.verbose:
            self._tell({"what": "log", "stage": self.stage, "text": text})

    def done(self, stage: str, summary: str, seconds: float, *, cached: bool) -> None:
        self.stage = stage
        self._tell({"what": "done", "stage": stage, "text": summary, "seconds": seconds, "cached": cached})

    def note(self, text: str) -> None:
        self._tell({"what": "note", "stage": self.stage, "text": text})
