"""What the manifest finds wrong with a package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from a2q_driver.errors import PackageError
from a2q_driver.manifest import MANIFEST, file_hash, read_manifest, verify, write_manifest

FACTS = {
    "model": "tiny",
    "weights": "none",
    "board": "KV260",
    "part": "xck26-sfvc784-2LV-c",
    "family": "xcup",
    "clock_mhz": 200.0,
    "config_hash": "0" * 64,
    "bitstream": {"kind": "simulation", "file": "bitfile/finn-accel.bit"},
    "address_map": {},
    "streams": {},
    "rtl": {"top": "a2q_accelerator", "sources": []},
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "bitfile").mkdir()
    (tmp_path / "bitfile" / "finn-accel.bit").write_bytes(b"bits")
    (tmp_path / "README.md").write_text("read me\n")
    write_manifest(tmp_path, FACTS)
    return tmp_path


def test_a_whole_package_is_accepted(package):
    manifest = verify(package)
    assert manifest == read_manifest(package) == {"format": 1, **FACTS, "files": manifest["files"]}
    digest = hashlib.sha256(b"bits").hexdigest()
    assert manifest["files"]["bitfile/finn-accel.bit"] == file_hash(package / "bitfile" / "finn-accel.bit") == digest
    assert list(manifest["files"]) == ["README.md", "bitfile/finn-accel.bit"]


def test_a_changed_file_is_found(package):
    (package / "README.md").write_text("read me!\n")
    with pytest.raises(PackageError, match=r"README.md has changed: its SHA-256 is .*\. Copy the folder deploy/"):
        verify(package)
    verify(package, ["bitfile/finn-accel.bit"])


def test_a_missing_file_is_found(package):
    (package / "bitfile" / "finn-accel.bit").unlink()
    for names in (None, ["bitfile/finn-accel.bit"]):
        with pytest.raises(PackageError, match=r"finn-accel.bit is missing"):
            verify(package, names)


def test_a_file_that_is_not_listed_is_found(package):
    (package / "bitfile" / "other.bit").write_bytes(b"bits")
    with pytest.raises(PackageError, match=r"other.bit is not listed"):
        verify(package)
    with pytest.raises(PackageError, match=r"other.bit is not listed"):
        verify(package, ["bitfile/other.bit"])


def test_what_python_leaves_is_no_fault(package):
    (package / "driver" / "__pycache__").mkdir(parents=True)
    (package / "driver" / "__pycache__" / "driver.cpython-310.pyc").write_bytes(b"code")
    verify(package)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "format list; this driver reads format 1"),
        (json.dumps({"format": 2}), "format 2; this driver reads format 1"),
        (json.dumps({"format": 1, **FACTS}), "has files = None; expected a value of type dict"),
        (
            json.dumps({"format": 1, **FACTS, "config_hash": 7, "files": {}}),
            "config_hash = 7; expected a value of type str",
        ),
        *(
            (
                json.dumps({"format": 1, **FACTS, "files": {}, "runtime_weights": weights}),
                "expected a file and the number",
            )
            for weights in (None, [], {"file": "weights.bin"}, {"file": 1, "words": 1}, {"file": "a", "words": True})
        ),
    ],
)
def test_a_manifest_that_is_none_is_refused(package, text, message):
    (package / MANIFEST).unlink()
    if text is not None:
        (package / MANIFEST).write_text(text)
    with pytest.raises(PackageError, match=message):
        verify(package)
