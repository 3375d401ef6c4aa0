"""Runs the stages of a build in order, each only where its result is not already at hand.

How a stage is written
----------------------
A stage's work is a function in `pipeline/stages/<name>.py`, which knows nothing of caches. `pipeline/plan.py`
declares it to the flow as a `Stage`: a name, a line that says what it does, and a thin function `run(context) ->
str`, which

- imports what it needs inside itself, so that a build with nothing to do imports neither torch nor onnx;
- reads its options from `context.options`, which holds the config fields named in `reads` and no others;
- reads earlier results from `context.inputs[<stage>]`, a folder for each stage named in `needs`;
- writes to `context.folder`, an empty folder, nothing elsewhere, and no absolute path of it into a file;
- tells `context.log(line)` and `context.progress(done, total, what)` how it goes; what it prints is logged too;
- keeps parts of its work that are worth more than one result, such as compiled models, in `context.shared(name)`;
- returns its line of summary.

Of what a stage writes, PUBLISHED is linked into the build's folder as soon as the stage is complete, or fails with a
VerificationError.

A stage's key is the SHA-256 digest of: the contents of the results it needs, the options it reads, the content of
the files its options name (`files`), its code (the function in `plan.py` and every module of `pipeline` and `a2q_driver`
that it imports, found by reading them), other sources it uses (`sources`, patterns relative to the repository) and the
versions of the packages and programs it calls. Same key, same result: it is not run again. See `pipeline/cache.py` for
how results are kept.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Self

from pipeline import faults, fingerprint
from pipeline.cache import LOG, Cache, Entry, Slot
from pipeline.config import BuildConfig
from pipeline.errors import A2QError, ConfigError, ResourceError, VerificationError
from pipeline.progress import Screen

__all__ = [
    "BUILD_RECORD",
    "PUBLISHED",
    "BuildResult",
    "Context",
    "Stage",
    "StageRun",
    "asked_of",
    "build",
    "made_by",
]

PUBLISHED = (
    *("report", "intermediate_models", "stitched_ip", "hls", "verification_output", "bitfile", "deploy"),
    *("summary.md", "auto_folding_config.json", "*.png"),
)
BUILD_RECORD = Path("report", "build.json")
_MANIFEST = ".published.json"
_REPOSITORY = Path(__file__).resolve().parents[1]
_FULL_MIB = 8  # with less than this left, what failed is taken to have failed for want of space


def _no_files(options: Mapping[str, Any]) -> Sequence[Path]:
    return ()


@dataclass(frozen=True)
class Stage:
    """What the flow knows of a stage; see the module's docstring."""

    name: str
    summary: str
    run: Callable[[Context], str]
    reads: tuple[str, ...] = ()  # config fields, dotted
    needs: tuple[str, ...] = ()  # earlier stages
    packages: tuple[str, ...] = ()  # distributions whose versions count
    programs: tuple[str, ...] = ()  # programs on PATH whose versions count
    sources: tuple[str, ...] = ()  # patterns of files of the repository that count, Python imports apart
    files: Callable[[Mapping[str, Any]], Sequence[Path]] = _no_files  # the user's files that its options name


@dataclass(frozen=True)
class Context:
    """What a stage is given to run."""

    folder: Path
    options: Mapping[str, Any]
    inputs: Mapping[str, Path]
    log: Callable[[str], None]
    progress: Callable[[int, int, str], None]
    shared: Callable[[str], Path]


@dataclass(frozen=True)
class StageRun:
    """A finished stage of a build. `seconds` and `peak_mib` (resident, child processes included) are of when it ran."""

    name: str
    key: str
    summary: str
    cached: bool
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class BuildResult:
    """A finished build: the folder, its stages, and the seconds that this build took, cached stages and all.

    `results` has the folder of each stage's result, by the stage's name: read-only.
    """

    folder: Path
    stages: tuple[StageRun, ...]
    seconds: float
    results: Mapping[str, Path]


@dataclass
class _Build:
    config: BuildConfig
    out: Path
    cache: Cache
    screen: Screen
    stages: Sequence[str]  # all there are, also those that this build stops before
    started: str
    begun: float
    runs: list[StageRun] = field(default_factory=list)

    def later(self, stage: Stage) -> Sequence[str]:
        return self.stages[self.stages.index(stage.name) + 1 :]


def build(
    config: BuildConfig, out: Path, stages: Sequence[Stage], screen: Screen, *, until: str | None = None
) -> BuildResult:
    """Run `stages` for `config` and lay out the build in `out`; stop after the stage `until`, if given.

    Results are kept in `out`/../.cache. Raises what a stage raises on purpose, and InternalError from anything else;
    stages that were complete stay so. Raises ResourceError for a full disk, whichever way it showed.
    """
    names = [stage.name for stage in stages]
    stages = _up_to(stages, until)
    out = out.absolute()
    started = datetime.now(UTC).isoformat("T", "seconds")
    build = _Build(config, out, Cache(out.parent / ".cache"), screen, names, started, time.monotonic())
    done: dict[str, Entry] = {}
    stage_name = "set-up"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for stage in stages:
            stage_name = stage.name
            with faults.in_stage(stage.name):
                done[stage.name] = _run_or_reuse(build, stage, done)
        stage_name = "report"
        _write_record(build)
    except Exception as error:
        if isinstance(error, ResourceError) or not _disk_is_full(error, out.parent):
            raise
        raise _full(build.cache, stage_name) from error
    results = {name: entry.folder for name, entry in done.items()}
    return BuildResult(out, tuple(build.runs), time.monotonic() - build.begun, results)


def _up_to(stages: Sequence[Stage], until: str | None) -> Sequence[Stage]:
    if until is None:
        return stages
    names = [stage.name for stage in stages]
    if until not in names:
        raise ConfigError(f"There is no stage called {until!r}. The stages are: {', '.join(names)}.")
    return stages[: names.index(until) + 1]


def _run_or_reuse(build: _Build, stage: Stage, done: Mapping[str, Entry]) -> Entry:
    options = build.config.read(stage.reads)
    key = _key(stage, options, done)
    waiting = f"{stage.name}: another build is making this result; waiting for it"
    with build.cache.slot(stage.name, key, lambda: build.screen.note(waiting)) as slot:
        entry = slot.found or _run(build, stage, options, done, slot)
        _publish(entry.folder, build.out, stage.name, key, build.later(stage))
        _replace(entry.folder / LOG, _log_of(build.out, stage))
    run = StageRun(stage.name, key, entry.summary, slot.found is not None, entry.seconds, entry.peak_mib)
    build.runs.append(run)
    build.screen.done(stage.name, run.summary, run.seconds, cached=run.cached)
    if not run.cached:
        _write_record(build)
    return entry


def _key(stage: Stage, options: Mapping[str, Any], done: Mapping[str, Entry]) -> str:
    return fingerprint.combine(
        {
            **asked_of(stage, options),
            **made_by(stage),
            "needs": {name: done[name].content for name in stage.needs},
            "programs": {name: fingerprint.program_version(name) for name in stage.programs},
        }
    )


def asked_of(stage: Stage, options: Mapping[str, Any]) -> dict[str, object]:
    """What of a stage's key is the user's: the options it reads, and the content of the files that they name."""
    return {
        "options": json.dumps({name: options[name] for name in stage.reads}, sort_keys=True, default=str),
        "files": [fingerprint.file(path) for path in stage.files(options)],
    }


def made_by(stage: Stage) -> dict[str, object]:
    """What of a stage's key is the same for every build of this checkout in this environment."""
    sources = sorted({path for pattern in stage.sources for path in _REPOSITORY.glob(pattern) if path.is_file()})
    return {
        "stage": stage.name,
        "code": fingerprint.code(stage.run),
        "sources": fingerprint.files(sources, _REPOSITORY),
        "packages": {name: fingerprint.package_version(name) for name in stage.packages},
        "python": sys.version_info[:2],
    }


def _run(build: _Build, stage: Stage, options: Mapping[str, Any], done: Mapping[str, Entry], slot: Slot) -> Entry:
    screen = build.screen
    with _log_file(slot.partial / LOG, _log_of(build.out, stage)) as stream:

        def log(text: str) -> None:
            stream.write(text.rstrip("\n") + "\n")
            stream.flush()
            screen.log(text.rstrip("\n"))

        printed = _LineWriter(log)
        context = Context(
            folder=slot.partial,
            options=options,
            inputs={name: done[name].folder for name in stage.needs},
            log=log,
            progress=screen.advance,
            shared=lambda name: build.cache.shared(stage.name, name),
        )
        begun = time.monotonic()
        with (
            screen.running(stage.name),
            _PeakMemory() as memory,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            try:
                with faults.in_stage(stage.name, _log_of(build.out, stage), stream):
                    summary = stage.run(context)
            except BaseException as error:
                printed.end()
                log(f"{type(error).__name__}: {error}")
                if _disk_is_full(error, build.out.parent):  # looked at here, before the partial result is removed
                    raise _full(build.cache, stage.name) from error
                if isinstance(error, VerificationError):  # what differs is worth a look
                    _publish(slot.partial, build.out, stage.name, "", build.later(stage))
                raise
            printed.end()
    return slot.commit(summary, time.monotonic() - begun, memory.mib)


def _log_of(out: Path, stage: Stage) -> Path:
    return out / "logs" / f"{stage.name}.txt"


@contextlib.contextmanager
def _log_file(path: Path, kept: Path) -> Iterator[io.TextIOBase]:
    """A log in a result in the making; a failed stage's log is kept, though its result is not."""
    try:
        with path.open("w", errors="replace") as stream:
            yield stream
    except BaseException:
        with contextlib.suppress(OSError):
            _replace(path, kept)
        raise


class _LineWriter(io.TextIOBase):
    """Gives whole lines of what is written to `log`."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._open = ""

    def write(self, text: str) -> int:
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def end(self) -> None:
        if self._open:
            self._log(self._open)
            self._open = ""


class _PeakMemory:
    """The most memory that this process and its children held at once, looked at five times a second, in MiB."""

    def __enter__(self) -> Self:
        import psutil

        self.mib = 0.0
        self._stop = threading.Event()
        self._psutil = psutil
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        process = self._psutil.Process()
        while True:
            held = process.memory_info().rss
            with contextlib.suppress(self._psutil.Error):
                for child in process.children(recursive=True):
                    with contextlib.suppress(self._psutil.Error):
                        held += child.memory_info().rss
            self.mib = max(self.mib, held / 2**20)
            if self._stop.wait(0.2):
                return


def _publish(result: Path, out: Path, stage: str, key: str, later: Sequence[str]) -> None:
    """Link what a stage publishes into the build's folder, and remove what it published before and does no more.

    Where it was another result before, what the stages `later` published goes too: it is of that other result.
    """
    files = {}
    for path in sorted(result.iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in PUBLISHED):
            inner = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
            files.update({p.relative_to(result).as_posix(): p for p in inner})
    for name, path in files.items():
        _replace(path, out / name)
    manifest = out / _MANIFEST
    try:
        published = json.loads(manifest.read_text())
        before = published.get(stage, {"key": "", "files": []})
        same, owned = before["key"] == key, before["files"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        published, same, owned = {}, False, []
    names = sorted(files)
    if same and owned == names:
        return
    gone = set(owned)
    if not same:
        gone.update(name for other in later for name in published.pop(other, {"files": []})["files"])
    published[stage] = {"key": key, "files": names}
    for name in gone.difference(*(each["files"] for each in published.values())):
        (out / name).unlink(missing_ok=True)
        for folder in Path(name).parents[:-1]:
            with contextlib.suppress(OSError):  # it holds something else
                (out / folder).rmdir()
    _write(manifest, json.dumps(published, indent=1) + "\n")


def _replace(source: Path, target: Path) -> None:
    """Make `target` the file `source`, in one step: a link where the file system can, else a copy."""
    with contextlib.suppress(OSError):
        if target.samefile(source):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    passing = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source, passing)
    except OSError:
        shutil.copy2(source, passing)
    passing.replace(target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(f".{path.name}.{os.getpid()}")
    passing.write_text(text)
    passing.replace(path)


def _write_record(build: _Build) -> None:
    """report/build.json: what was built, and what each stage so far took."""
    record = {
        "model": build.config.model,
        "config": build.config.model_dump(mode="json"),
        "started": build.started,
        "seconds": round(time.monotonic() - build.begun, 3),
        "stages": [asdict(run) for run in build.runs],
    }
    _write(build.out / BUILD_RECORD, json.dumps(record, indent=2) + "\n")


def _disk_is_full(error: BaseException, folder: Path) -> bool:
    """Whether a full disk lies behind `error`: it says so, or something else failed while nothing was left."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, A2QError | OSError | RuntimeError):
        return shutil.disk_usage(folder).free < _FULL_MIB * 2**20
    return False


def _full(cache: Cache, stage: str) -> ResourceError:
    free = shutil.disk_usage(cache.folder.parent).free / 2**20
    return ResourceError(
        f"The disk that holds {cache.folder.parent} is full ({free:.0f} MiB free): the stage {stage} could not write "
        f"its results. Free some space, or build into another folder with --out. Results of earlier builds take "
        f"{cache.size_mib():.0f} MiB in {cache.folder} and may be deleted. The stages before {stage} are kept: run "
        "the same command again to go on."
    )
