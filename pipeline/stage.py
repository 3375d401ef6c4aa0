"""A stage of a build: `Stage` is its description for the flow, `Context` the argument of its function.

A stage is a file of `pipeline/stages/`. It holds a function `run(context) -> str` and the `Stage` that declares it. The
function

- imports what it needs inside itself, so that a build with nothing to do imports neither torch nor onnx;
- reads its options from `context.options`, the configuration of which it sees the fields named in `reads` and no others;
- reads earlier results from `context.inputs[<stage>]`, a folder for each stage named in `needs`;
- writes to `context.folder`, an empty folder, nothing elsewhere, and no absolute path of it into a file;
- tells `context.log(line)` and `context.progress(done, total, what)` how it goes; what it prints is logged too;
- keeps parts of its work that are worth more than one result, such as compiled models, in `context.shared(name)`;
- returns its line of summary.

Work that other code reads the results of, or that needs heavy packages, is in a module of the stage's name in a lower
room, such as `pipeline/folding/fold.py`: no stage imports another, so that a stage's key holds no code of another stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pipeline.config import BuildConfig

__all__ = ["Context", "Stage", "declared_options"]


def _no_files(options: BuildConfig) -> Sequence[Path]:
    return ()


@dataclass(frozen=True)
class Stage:
    """The description of a stage for the flow.

    `run` is given a `Context`. `files` lists the user's files that options name; it sees the fields of `reads` alone.
    """

    name: str
    summary: str
    run: Callable[[Context], str]
    reads: tuple[str, ...] = ()  # config fields, dotted
    needs: tuple[str, ...] = ()  # earlier stages
    packages: tuple[str, ...] = ()  # distributions whose versions count
    programs: tuple[str, ...] = ()  # of pipeline/tools/programs.py, whose versions and variables count
    variables: tuple[str, ...] = ()  # other variables of the environment that count
    sources: tuple[str, ...] = ()  # patterns of files of the repository that count, Python imports apart
    files: Callable[[BuildConfig], Sequence[Path]] = _no_files


@dataclass(frozen=True)
class Context:
    """The argument of a stage's function; see the module's docstring."""

    folder: Path
    options: BuildConfig
    inputs: Mapping[str, Path]
    log: Callable[[str], None]
    progress: Callable[[int, int, str], None]
    shared: Callable[[str], Path]


def declared_options(config: BuildConfig, reads: Sequence[str]) -> BuildConfig:
    """`config` with the fields `reads`, dotted for those of a section: to read another one raises AttributeError.

    A stage's key holds the options that the stage declares, so one that it reads undeclared must not go unnoticed.
    """
    return cast("BuildConfig", _Declared(config, tuple(reads), ""))


class _Declared:
    """A configuration, or a section of one, of which the fields of `_reads` can be read; `_prefix` is its dotted place."""

    __slots__ = ("_prefix", "_reads", "_section")

    def __init__(self, section: BaseModel, reads: tuple[str, ...], prefix: str) -> None:
        self._section, self._reads, self._prefix = section, reads, prefix

    def __getattr__(self, name: str) -> Any:
        place = f"{self._prefix}{name}"
        if place in self._reads:
            return getattr(self._section, name)
        if any(read.startswith(f"{place}.") for read in self._reads):
            return _Declared(getattr(self._section, name), self._reads, f"{place}.")
        raise AttributeError(f"the option {place} is read, but `reads` of the stage does not name it")
