"""What all tools have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.errors import ToolError
from pipeline.tools.tool import Package, Program, Tool

SHELL = Package("numpy", title="The shell")


@dataclass(frozen=True)
class Made:
    count: int
    parts: tuple[int, ...]


def load(fields) -> Made:
    return Made(fields["count"], tuple(fields["parts"]))


def cached(cache: Path, make: Callable[[Path], Made]) -> Made:
    return SHELL.cached(cache, "key", load, make, keep_after=ToolError)


def test_a_result_is_made_once_in_a_folder_that_goes(tmp_path):
    folders = []

    def make(folder: Path) -> Made:
        folders.append(folder)
        (folder / "work.txt").touch()
        assert not (tmp_path / "new" / "cache" / "key.json").exists()
        return Made(3, (1, 2))

    first = cached(tmp_path / "new" / "cache", make)
    assert cached(tmp_path / "new" / "cache", make) == first == Made(3, (1, 2))
    assert len(folders) == 1 and folders[0].is_relative_to(tmp_path / "new" / "cache")
    assert [path.name for path in (tmp_path / "new" / "cache").iterdir()] == ["key.json"]


@pytest.mark.parametrize(("error", "stays"), [(ToolError("no"), True), (KeyboardInterrupt(), False)])
def test_what_fails_leaves_no_result_and_its_work_where_that_is_asked_for(tmp_path, error, stays):
    def make(folder: Path) -> Made:
        (folder / "work.txt").touch()
        raise error

    with pytest.raises(type(error)):
        cached(tmp_path, make)
    assert not list(tmp_path.glob("*.json")) and bool(list(tmp_path.glob("*/work/work.txt"))) == stays


def shell(tool: Tool, script: str, folder: Path, log: Path, **options) -> int:
    folder.mkdir(exist_ok=True)
    return tool.run(["sh", "-c", script], folder, log=log, **options)


def test_a_log_elsewhere_is_there_only_after_a_failure(tmp_path):
    work, log = tmp_path / "work", tmp_path / "key.log"
    with pytest.raises(ToolError) as raised:
        shell(SHELL, "seq 30; echo why >&2; exit 3", work, log)
    end = "\n".join(map(str, range(12, 31)))
    assert str(raised.value) == f"The shell ended with status 3; the whole log is {log}. It ends:\n{end}\nwhy"
    assert log.read_text().splitlines() == [*map(str, range(1, 31)), "why"]
    with pytest.raises(ToolError, match=r"^the mapping of top ended with status 1; .* It ends:\n\(empty\)$"):
        shell(SHELL, "exit 1", work, log, what="the mapping of top")
    assert shell(SHELL, "pwd; exit 2", work, log, statuses=(0, 2)) == 2
    assert not log.exists() and (work / "key.log").read_text() == f"{work}\n"


def test_the_first_error_is_told_where_that_says_more(tmp_path):
    tool, log = replace(SHELL, first_error="ERROR"), tmp_path / "log.txt"
    with pytest.raises(ToolError) as raised:
        shell(tool, "echo begun; echo ERROR: one; echo ERROR: two; exit 1", tmp_path, log)
    assert str(raised.value) == f"The shell ended with status 1: ERROR: one The whole log is {log}."


def test_lines_are_told_as_they_come(tmp_path):
    lines: list[str] = []

    def answer(line: str) -> None:
        lines.append(line)
        (tmp_path / "answer").touch()

    script = "echo one; until [ -e answer ]; do sleep 0.01; done; printf 'two\\nthree'"
    assert shell(SHELL, script, tmp_path, tmp_path / "log.txt", on_line=answer) == 0
    assert lines == ["one", "two", "three"]
    assert (tmp_path / "log.txt").read_text() == "one\ntwo\nthree"


def test_a_content_key_tells_facts_and_files_apart():
    files = [("a", b"1"), ("b", b"2")]
    keys = {
        SHELL.content_key(["x", "y"], files),
        SHELL.content_key(["xy"], files),
        SHELL.content_key(["x", "y"], files[::-1]),
        SHELL.content_key(["x", "y"], [("a", b"2"), ("b", b"1")]),
        Package("onnx").content_key(["x", "y"], files),
    }
    assert len(keys) == 5 and SHELL.content_key(["x", "y"], files) in keys


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    absent = Package("no-such-package")
    assert absent.find() is None
    for call in (absent.require, absent.version, absent.key, absent.script):
        with pytest.raises(
            ToolError, match=r"^the Python package `no-such-package` is not installed; `pip install no-"
        ):
            call()
    with pytest.raises(ToolError, match="^get it$"):
        replace(absent, missing="get it").require()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"^g\+\+ is not on PATH; install it and try again\.$"):
        Program("g++", "--version", number=None).require()
