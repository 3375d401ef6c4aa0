from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline import cache
from pipeline.cache import Cache, Entry, read_entry

CERTIFICATE = "report/accumulators.json"


def keep(folder: Path) -> Entry:
    with Cache(folder).slot("stage", "0" * 64, lambda: None) as slot:
        assert slot.entry is None
        (slot.partial / "report").mkdir()
        (slot.partial / CERTIFICATE).write_text('{"bits_used": 14}')
        (slot.partial / "golden.npy").write_bytes(bytes(range(256)) * 8)
        (slot.partial / cache.LOG).write_text("14 bits\n")
        return slot.commit("14 bits, proven", 1.5, 20.0)


def change(path: Path, before: str, after: str) -> None:
    """Change the text of a kept file in place, and leave no trace of it in size or time."""
    state = path.stat()
    path.chmod(0o644)
    content = path.read_bytes()
    assert before.encode() in content and len(before) == len(after)
    with path.open("r+b") as stream:
        stream.write(content.replace(before.encode(), after.encode()))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (state.st_mtime_ns, state.st_size)


def test_what_was_kept_is_found(tmp_path):
    entry = keep(tmp_path)
    assert read_entry(entry.folder) == entry


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (CERTIFICATE, "14", "13"),
        ("golden.npy", "ABC", "ABD"),
        (cache.LOG, "14", "13"),
        ("entry.json", "14 bits", "13 bits"),
        ("entry.json", '"seconds": 1.5', '"seconds": 1.4'),
    ],
)
def test_a_flipped_digit_is_seen(tmp_path, name, before, after):
    entry = keep(tmp_path)
    change(entry.folder / name, before, after)
    assert read_entry(entry.folder) is None
    assert keep(tmp_path) == entry and read_entry(entry.folder) == entry, "made again"


def test_of_large_files_certificates_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_HASHED_BYTES", 10)
    entry = keep(tmp_path)
    change(entry.folder / "golden.npy", "ABC", "ABD")
    assert read_entry(entry.folder) == entry, "size and time are all that is looked at of a large file"
    change(entry.folder / CERTIFICATE, "14", "13")
    assert read_entry(entry.folder) is None


def test_a_large_file_that_was_edited_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_HASHED_BYTES", 10)
    entry = keep(tmp_path)
    os.utime(entry.folder / "golden.npy")
    assert read_entry(entry.folder) is None


def test_files_that_came_or_went_are_seen(tmp_path):
    entry = keep(tmp_path)
    (entry.folder / "more").write_text("")
    assert read_entry(entry.folder) is None
    (entry.folder / "more").unlink()
    assert read_entry(entry.folder) == entry
    (entry.folder / "golden.npy").unlink()
    assert read_entry(entry.folder) is None


@pytest.mark.parametrize("text", ["", "[]", "7", '"text"', "{}", '{"record": 1}', '{"record": "", "files": []}'])
def test_a_record_of_another_shape_is_none(tmp_path, text):
    entry = keep(tmp_path)
    record = entry.folder / "entry.json"
    record.chmod(0o644)
    record.write_text(text)
    assert read_entry(entry.folder) is None


def test_what_another_version_kept_is_none(tmp_path):
    entry = keep(tmp_path)
    path = entry.folder / "entry.json"
    record = json.loads(path.read_text())
    del record["record"]
    path.chmod(0o644)
    path.write_text(json.dumps(record))
    assert read_entry(entry.folder) is None


def test_what_killed_builds_left_is_swept_and_what_another_one_makes_is_not(tmp_path):
    entry, cache = keep(tmp_path), Cache(tmp_path)
    left = entry.folder.with_name("left.partial")
    left.mkdir()
    with cache.slot("stage", "1" * 64, lambda: None) as slot:
        (slot.partial / "file").write_text("")
        cache.sweep()
        assert (slot.partial / "file").exists() and not left.exists()
    assert read_entry(entry.folder) == entry
