"""Whether a change of the code leaves what is built as it was: six builds before and after it, byte for byte.

    python benchmarks/same_builds.py build before
    … change the code …
    python benchmarks/same_builds.py build after
    python benchmarks/same_builds.py compare before after

`build` writes the six builds into a folder, each into one of its own; those that are there already are made anew where the
code has changed. `compare` names every file of stitched_ip/, hls/, deploy/, report/ and the summary that is there on one
side only or differs, with its first line that does, and ends with exit code 1. Times, memory, keys of the cache and versions
of tools are left out of the reports: they differ from run to run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

BUILDS: dict[str, tuple[str, ...]] = {
    "default": (),
    "180kfps": ("--config", "build_configs/quant_resnet8_w4a4_180kfps.yaml"),
    "tfc": ("quant_tfc_w2a2",),
    "kws": ("--config", "build_configs/kwsmlp_w3a3.yaml"),
    "nn2fpga_resnet8": ("--config", "build_configs/nn2fpga_resnet8_a4w4b32.yaml"),
    "resnet18": ("quant_resnet18_w4a4_a2q_12b", "--weights", "synthetic", "--until", "codegen"),
}
_FOLDERS = ("stitched_ip", "hls", "deploy", "report")
_CHANGING = {"seconds", "compile_seconds", "run_seconds", "started", "key", "peak_mib", "cached", "version", "versions"}
_TIMES = re.compile(
    r"\b\d+(\.\d+)? (s|min|minutes|seconds|MiB|GiB)\b"
    r"|(?<=\| )(\*\*)?\d+\.\d(\*\*)? \| (\*\*)?[\d,]+(\*\*)?(?= \|)"  # of the table of stages
)
_ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="Where the six builds go.")],
    only: Annotated[list[str] | None, typer.Option(help=f"Some of {', '.join(BUILDS)}.")] = None,
) -> None:
    """Make the builds."""
    for name in only or BUILDS:
        command = ["build", *BUILDS[name], "--out", str(folder.absolute() / name)]
        print(f"{name}: a2q {' '.join(command)}", flush=True)
        if subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import app; app()", *command], cwd=_ROOT, check=False
        ).returncode:
            raise SystemExit(f"{name} could not be built")


@app.command()
def compare(before: Path, after: Path) -> None:
    """Compare two folders of builds."""
    differences = 0
    for name in sorted(
        {path.name for folder in (before, after) for path in folder.iterdir() if path.is_dir() and path.name in BUILDS}
    ):
        files = {file for folder in (before, after) for file in _files(folder / name)}
        lines = [line for file in sorted(files) if (line := _difference(before / name / file, after / name / file))]
        print(f"{name}: {len(files)} files, {len(lines)} differ")
        print("".join(f"  {line}\n" for line in lines), end="")
        differences += len(lines)
        if not files:
            raise SystemExit(f"{name} holds nothing that could be compared")
    raise SystemExit(1 if differences else 0)


def _files(folder: Path) -> Iterator[Path]:
    for name in _FOLDERS:
        yield from (path.relative_to(folder) for path in (folder / name).rglob("*") if path.is_file())
    yield from (path.relative_to(folder) for path in folder.glob("*.md"))


def _difference(before: Path, after: Path) -> str:
    """A line on how two files differ; empty where they do not."""
    for path, side in ((before, "after"), (after, "before")):
        if not path.is_file():
            return f"{path} is there {side} only"
    one, other = _content(before), _content(after)
    if one == other:
        return ""
    lines = zip(one.splitlines(), other.splitlines(), strict=False)
    first = next(
        (f"{x[:100]!r} before, {y[:100]!r} after" for x, y in lines if x != y), "one goes on where the other ends"
    )
    return f"{after}: {first}"


def _content(path: Path) -> str | bytes:
    """What is to be equal of a file."""
    data = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_steady(json.loads(data)), indent=1)
    return _TIMES.sub("… s", data.decode()) if path.suffix == ".md" else data


def _steady(value: object) -> object:
    """`value` of a report without what differs from run to run."""
    if isinstance(value, dict):
        return {key: _steady(item) for key, item in value.items() if key not in _CHANGING}
    if isinstance(value, list):
        return [_steady(item) for item in value]
    return _TIMES.sub("… s", value) if isinstance(value, str) else value


if __name__ == "__main__":
    app()
