from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.scratch import scratch_folder, sweep


def test_a_folder_is_there_as_long_as_the_block(tmp_path):
    with scratch_folder("test", tmp_path) as folder:
        (folder / "file").write_text("")
        with scratch_folder("test", tmp_path) as other:
            sweep(tmp_path)
            assert folder != other and [path.name for path in folder.iterdir()] == ["file"]
    assert not list(tmp_path.iterdir())


def test_it_goes_with_an_exception_but_for_those_that_are_worth_a_look(tmp_path):
    with pytest.raises(KeyError), scratch_folder("test", tmp_path, keep_after=ValueError):
        raise KeyError
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError), scratch_folder("test", tmp_path, keep_after=ValueError) as folder:
        (folder / "file").write_text("")
        raise ValueError
    sweep(tmp_path)
    assert (folder / "file").is_file()


def test_what_a_killed_process_left_is_swept_and_what_another_one_uses_is_not(tmp_path):
    script = f"""
from pathlib import Path
from pipeline.scratch import scratch_folder
with scratch_folder("test", Path({str(tmp_path)!r})) as folder:
    (folder / "file").write_text("")
    print(folder, flush=True)
    input()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as process:
        left = Path(process.stdout.readline().strip())
        sweep(tmp_path)
        assert (left / "file").is_file()
        process.kill()
        process.wait(30)
    assert (left / "file").is_file()
    with scratch_folder("test", tmp_path):  # as does a build, and whoever makes one beside it
        assert not left.parent.exists()


def test_nothing_else_is_swept(tmp_path):
    (tmp_path / "a2q-of-the-user").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".made-by").touch()
    (tmp_path / "a2q-link").symlink_to("elsewhere")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a2q-link", "a2q-of-the-user", "elsewhere"]
    assert (tmp_path / "elsewhere" / ".made-by").exists()
