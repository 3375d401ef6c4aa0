"""Runs the stages of a build in order, each only where its result is not already at hand.

`pipeline/stage.py` says how a stage is written.

Of what a stage writes, PUBLISHED is linked into the build's folder as soon as the stage is complete, or fails with a
VerificationError. Where it fails with a TimingError, that is added to what the stage published before; so is
report/unsupported.json where a network cannot be built, until the stage is complete.

A stage's key is the SHA-256 digest of: the contents of the results it needs, the options it reads, the content of
the files its options name (`files`), its code (its function and every module of `pipeline` and `a2q_driver` that this
imports, found by reading them), other sources it uses (`sources`, patterns relative to the repository), the variables of
the environment that it reads (`variables`), and the versions of the packages and programs it calls. Same key, same result:
it is not run again. `tests/test_keys.py` runs every stage, and fails for what one opens without its key. See
`pipeline/cache.py` for how results are kept.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
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
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError

from pipeline import faults, fingerprint
from pipeline.cache import CACHE, LOG, Cache, Entry, Slot, held
from pipeline.config import BuildConfig
from pipeline.errors import (
    A2QError,
    ConfigError,
    Obstacle,
    ResourceError,
    TimingError,
    UnsupportedError,
    VerificationError,
)
from pipeline.files import matching
from pipeline.progress import Screen
from pipeline.scratch import sweep
from pipeline.stage import Context, Stage, declared_options
from pipeline.tools.process import file_size_limit
from pipeline.tools.programs import PROGRAMS

__all__ = [
    "BUILD_RECORD",
    "PUBLISHED",
    "UNSUPPORTED",
    "BuildResult",
    "StageRun",
    "build",
    "code_version",
    "user_inputs",
]

PUBLISHED = (
    *("report", "intermediate_models", "finn", "stitched_ip", "hls", "verification_output", "bitfile", "deploy"),
    *("summary.md", "report.html", "auto_folding_config.json", "*.png"),
)
BUILD_RECORD = Path("report", "build.json")
UNSUPPORTED = Path("report", "unsupported.json")  # what cannot be built of a network
_MANIFEST = ".published.json"
_LOCK = ".lock"
_LOGS = "logs"
_SET_UP = "set-up"
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)  # what says of a path that it is not to be written
_NAMES_SHOWN = 5
_FULL_MIB = 8  # with less than this left, what failed is taken to have failed for want of space


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

    Results are kept in `out`/../.a2q-cache. Where another build writes to `out`, this one waits for its end. Raises what a
    stage raises on purpose, and InternalError from anything else; stages that were complete stay so. Raises ConfigError
    where `out` holds files of the names that a build gives its own, and that no build put there; ResourceError where the machine is at fault, whichever way it showed: a full
    disk, a limit on sizes of files, a folder that cannot be written or holds another list of published files.
    """
    names = [stage.name for stage in stages]
    stages = _up_to(stages, until)
    out = out.absolute()
    started = datetime.now(UTC).isoformat("T", "seconds")
    build = _Build(config, out, Cache(out.parent / CACHE), screen, names, started, time.monotonic())
    done: dict[str, Entry] = {}
    stage_name = _SET_UP
    try:
        with _set_up(build):
            for stage in stages:
                stage_name = stage.name
                with faults.in_stage(stage.name):
                    done[stage.name] = _run_or_reuse(build, stage, done)
            stage_name = "report"
            _write_record(build)
    except Exception as error:
        fault = _of_the_machine(error, build, stage_name)
        if fault is None:
            raise
        raise fault from error
    results = {name: entry.folder for name, entry in done.items()}
    return BuildResult(out, tuple(build.runs), time.monotonic() - build.begun, results)


@contextlib.contextmanager
def _set_up(build: _Build) -> Iterator[None]:
    """Hold the build's folder for as long as the block, ready to be written to."""
    build.out.mkdir(parents=True, exist_ok=True)
    with held(
        build.out / _LOCK, lambda: build.screen.note(f"another build writes to {build.out}; waiting for its end")
    ):
        build.cache.folder.mkdir(exist_ok=True)
        _take(build.out)
        sweep()
        build.cache.sweep()
        yield


def _take(out: Path) -> None:
    """Make `out` a build's folder, if it is none. Raises ConfigError where a build would replace files of the user's."""
    if (out / _MANIFEST).exists():
        _read_manifest(out)
        return
    names = (path.name for path in out.iterdir())
    taken = sorted(name for name in names if any(fnmatch(name, pattern) for pattern in (*PUBLISHED, _LOGS)))
    if taken:
        raise ConfigError(
            f"{out} holds {_some(taken)}, which no build put there: {_MANIFEST}, the list of what builds did, is missing. A build "
            "might replace it. Build into another folder with --out, or move it away."
        )
    _write_manifest({}, out)


def _up_to(stages: Sequence[Stage], until: str | None) -> Sequence[Stage]:
    if until is None:
        return stages
    names = [stage.name for stage in stages]
    if until not in names:
        raise ConfigError(f"There is no stage called {until!r}. The stages are: {', '.join(names)}.")
    return stages[: names.index(until) + 1]


def _run_or_reuse(build: _Build, stage: Stage, done: Mapping[str, Entry]) -> Entry:
    key = _key(stage, build.config, done)
    waiting = f"{stage.name}: another build is making this result; waiting for it"
    with build.cache.slot(stage.name, key, lambda: build.screen.note(waiting)) as slot:
        entry = slot.entry or _run(build, stage, done, slot)
        _publish(entry.folder, build.out, stage.name, key, build.later(stage))
        _replace(entry.folder / LOG, _log_of(build.out, stage))
    run = StageRun(stage.name, key, entry.summary, slot.entry is not None, entry.seconds, entry.peak_mib)
    build.runs.append(run)
    build.screen.done(stage.name, run.summary, run.seconds, cached=run.cached)
    if not run.cached:
        _write_record(build)
    return entry


def _key(stage: Stage, config: BuildConfig, done: Mapping[str, Entry]) -> str:
    return fingerprint.combine(
        {
            **user_inputs(stage, config),
            **code_version(stage),
            "needs": {name: done[name].content for name in stage.needs},
            "programs": {name: PROGRAMS[name].key() for name in stage.programs},
            "variables": {name: fingerprint.variable(name) for name in stage.variables},
        }
    )


def user_inputs(stage: Stage, config: BuildConfig) -> dict[str, object]:
    """The user's part of a stage's key: the options it reads, and the content of the files that they name."""
    return {
        "options": config.as_json(stage.reads),
        "files": [fingerprint.file(path) for path in stage.files(declared_options(config, stage.reads))],
    }


def code_version(stage: Stage) -> dict[str, object]:
    """The part of a stage's key that is the same for every build of this checkout in this environment."""
    sources = matching(stage.sources)
    return {
        "stage": stage.name,
        "code": fingerprint.code(stage.run),
        "sources": fingerprint.combine({name: fingerprint.file(path) for name, path in sources.items()}),
        "packages": {name: fingerprint.package_version(name) for name in stage.packages},
        "python": sys.version_info[:2],
    }


def _run(build: _Build, stage: Stage, done: Mapping[str, Entry], slot: Slot) -> Entry:
    screen = build.screen
    with _log_file(slot.partial / LOG, _log_of(build.out, stage)) as stream:

        def log(text: str) -> None:
            stream.write(text.rstrip("\n") + "\n")
            stream.flush()
            screen.log(text.rstrip("\n"))

        printed = _LineWriter(log)
        context = Context(
            folder=slot.partial,
            options=declared_options(build.config, stage.reads),
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
                if isinstance(error, TimingError):
                    error.folder = build.out / error.folder.relative_to(slot.partial)
                log(f"{type(error).__name__}: {error}")
                fault = _of_the_machine(error, build, stage.name, slot.partial)  # before the partial result is removed
                if fault is not None:
                    raise fault from error
                if isinstance(error, VerificationError):  # what differs is worth a look
                    _publish(slot.partial, build.out, stage.name, "", build.later(stage))
                elif isinstance(error, UnsupportedError) and error.obstacles:
                    _write_obstacles(error.obstacles, slot.partial / UNSUPPORTED)
                    error.report = build.out / UNSUPPORTED
                    _add(slot.partial, build.out, stage.name)
                elif isinstance(error, TimingError):  # so is this, and what was made before is as good as it was
                    _add(slot.partial, build.out, stage.name)
                raise
            printed.end()
    return slot.commit(summary, time.monotonic() - begun, memory.mib)


def _write_obstacles(obstacles: Sequence[Obstacle], path: Path) -> None:
    """report/unsupported.json: each node that cannot be built, in the order of the graph."""
    nodes = [{"node": o.node, "operator": o.operator, "reason": o.reason, "remedy": o.remedy} for o in obstacles]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"obstacles": nodes}, indent=2) + "\n")


def _log_of(out: Path, stage: Stage) -> Path:
    return out / _LOGS / f"{stage.name}.txt"


@contextlib.contextmanager
def _log_file(path: Path, destination: Path) -> Iterator[io.TextIOBase]:
    """A log in a result in the making; a failed stage's log is kept, though its result is not."""
    try:
        with path.open("w", errors="replace") as stream:
            yield stream
    except BaseException:
        with contextlib.suppress(OSError):
            _replace(path, destination)
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
    files = _files_of(result)
    names = sorted(files)
    published = _read_manifest(out)
    _keep_users(files, published, out)
    before = published.get(stage)
    same = before is not None and before.key == key
    owned = before.files if before else []
    if same and owned == names:
        _link(files, out)
        return
    # a build that is killed from here on leaves no file that the next one takes for the user's
    claimed = _Published(key="", files=sorted({*owned, *names}))
    _write_manifest({**published, stage: claimed}, out)
    _link(files, out)
    gone = set(owned)
    if not same:
        gone.update(name for other in later if other in published for name in published.pop(other).files)
    published[stage] = _Published(key=key, files=names)
    for name in gone.difference(*(entry.files for entry in published.values())):
        (out / name).unlink(missing_ok=True)
        for folder in Path(name).parents[:-1]:
            with contextlib.suppress(OSError):  # it holds something else
                (out / folder).rmdir()
    _write_manifest(published, out)


def _add(result: Path, out: Path, stage: str) -> None:
    """Link what a stage publishes into the build's folder, beside what it published before, until it publishes again."""
    files = _files_of(result)
    published = _read_manifest(out)
    _keep_users(files, published, out)
    before = published.get(stage, _Published(key="", files=[]))
    published[stage] = _Published(key=before.key, files=sorted({*before.files, *files}))
    _write_manifest(published, out)
    _link(files, out)


def _files_of(result: Path) -> dict[str, Path]:
    """What of `result` is published, by its path in the build's folder."""
    files: dict[str, Path] = {}
    for path in sorted(result.iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in PUBLISHED):
            inner = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
            files.update({p.relative_to(result).as_posix(): p for p in inner})
    return files


def _link(files: Mapping[str, Path], out: Path) -> None:
    for name, path in files.items():
        _replace(path, out / name)


def _keep_users(files: Mapping[str, Path], published: Mapping[str, _Published], out: Path) -> None:
    """Raise ConfigError where `out` holds something else under the name of one of `files`, which no build put there."""
    known = {name for entry in published.values() for name in entry.files}
    taken = sorted(
        name for name in files if name not in known and (out / name).is_file() and not _same(files[name], out / name)
    )
    if taken:
        raise ConfigError(
            f"{out} holds {_some(taken)}, which no build put there, and which this build would replace. Build into another "
            "folder with --out, or move it away."
        )


def _same(path: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.samefile(other) or (other.is_file() and filecmp.cmp(path, other, shallow=False))
    return False


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {len(names) - _NAMES_SHOWN} more" if names[_NAMES_SHOWN:] else "")


def _read_manifest(out: Path) -> dict[str, _Published]:
    """The published results of each stage in the folder `out`. Raises ResourceError for a list of another shape."""
    manifest = out / _MANIFEST
    if not manifest.exists():
        return {}
    try:
        return _MANIFEST_TYPE.validate_json(manifest.read_bytes(), strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise ResourceError(
            f"{manifest} is not the list of published files that a build keeps there: {place and f'at {place}, '}"
            f"{problem['msg']}. Build into another folder with --out, or remove {out}, which is soon built again from what "
            "is beside it."
        ) from None


def _write_manifest(published: dict[str, _Published], out: Path) -> None:
    _write(out / _MANIFEST, _MANIFEST_TYPE.dump_json(published, indent=1).decode() + "\n")


def _verify_published(name: str) -> str:
    """`name`, if a build may remove the file of that name from its folder."""
    top, *below = name.split("/")
    if ".." in below or "\0" in name or not any(fnmatch(top, pattern) for pattern in PUBLISHED):
        raise ValueError(f"{name!r} is no file that a build publishes")
    return name


class _Published(BaseModel, extra="forbid"):
    """The published result of a stage: its key, and the paths of its files, relative to the build's folder."""

    key: str
    files: list[Annotated[str, AfterValidator(_verify_published)]]


_MANIFEST_TYPE = TypeAdapter(dict[str, _Published])


def _replace(source: Path, target: Path) -> None:
    """Make `target` the file `source`, in one step: a link where the file system can, else a copy."""
    with contextlib.suppress(OSError):
        if target.samefile(source):
            return
    with _passing(target) as passing:
        try:
            os.link(source, passing)
        except OSError:
            shutil.copy2(source, passing)


def _write(path: Path, text: str) -> None:
    with _passing(path) as passing:
        passing.write_text(text)


@contextlib.contextmanager
def _passing(target: Path) -> Iterator[Path]:
    """A file beside `target` that takes its place at the end of the block. Raises OSError in the name of `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    passing = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield passing
        passing.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error
    finally:
        with contextlib.suppress(OSError):
            passing.unlink(missing_ok=True)


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


def _of_the_machine(
    error: BaseException, build: _Build, stage: str, partial: Path | None = None
) -> ResourceError | None:
    """What `error` is where not the network but the machine is at fault; None where it is not, or `error` says so itself.

    Libraries hide why they could not write. So a disk with nothing left, and a file in the folder `partial` that is as
    large as a file may be, count as the cause of whatever failed.
    """
    if isinstance(error, ResourceError):
        return None
    hidden = isinstance(error, A2QError | OSError | RuntimeError)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            if cause.errno in (errno.ENOSPC, errno.EDQUOT):
                return _full(build, stage)
            if cause.errno == errno.EFBIG:
                return _too_large(stage, cause.filename)
            if _is_refused(cause, build, stage):
                return _refused(cause, build)
        cause = cause.__cause__ or cause.__context__
    limit = file_size_limit()
    if hidden and limit is not None and partial is not None:
        for path in partial.rglob("*"):
            if path.is_file() and path.stat().st_size >= limit:
                return _too_large(stage, path.name)
    if hidden and shutil.disk_usage(_existing(build.out)).free < _FULL_MIB * 2**20:
        return _full(build, stage)
    return None


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _full(build: _Build, stage: str) -> ResourceError:
    parent = _existing(build.out.parent)
    free = shutil.disk_usage(parent).free / 2**20
    return ResourceError(
        f"The disk that holds {parent} is full ({free:.0f} MiB free): the stage {stage} could not write its results. "
        f"Free some space, or build into another folder with --out. Results of earlier builds take "
        f"{build.cache.size_mib():.0f} MiB in {build.cache.folder} and may be deleted. {_kept(stage)}"
    )


def _too_large(stage: str, name: str | None) -> ResourceError:
    what, limit = f"the file {Path(name).name}" if name else "a file", file_size_limit()
    if limit is None:
        why = "its file system takes none as large. Build into a folder of another one with --out."
    else:
        why = f"no file of this process may have more than {limit:,} bytes (`ulimit -f`). Raise the limit."
    return ResourceError(f"The stage {stage} could not write {what}: {why} {_kept(stage)}")


def _is_refused(error: OSError, build: _Build, stage: str) -> bool:
    """Whether `error` is of the build's folder, or the cache's, and these are at fault."""
    if stage == _SET_UP:
        return True
    names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    if any(name.is_relative_to(build.out) for name in names):
        return True
    return error.errno in _REFUSED and any(name.is_relative_to(build.cache.folder) for name in names)


def _refused(error: OSError, build: _Build) -> ResourceError:
    return ResourceError(
        f"{error.filename} cannot be written: {error.strerror}. A build writes to {build.out}, and keeps its results in "
        f"{build.cache.folder}: give a folder beside which it may write with --out. Nothing that was there is lost."
    )


def _kept(stage: str) -> str:
    return f"The stages before {stage} are kept: run the same command again to go on."
