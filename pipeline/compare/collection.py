"""The results that a comparison collects of its builds, by the content of the files.

    <folder>/objects/<SHA-256>        the content of a file, once, however many builds have it
    <folder>/points/<point>/          a build's small files, links to these
    <folder>/points/<point>/point.json   what it was built from (`key`), its record, and its files

A point whose key is the same, and whose files are what they were, is not built again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.compare.record import PointRecord
from pipeline.errors import ModelError, VerificationError

__all__ = ["Collection", "digest_of"]

_POINT = "point.json"


def digest_of(content: bytes) -> str:
    """The SHA-256 of `content` in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


class Collection:
    """The collected builds in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def points(self) -> set[str]:
        """The points, by slug, that were collected, also before."""
        return {path.parent.name for path in self.folder.glob(f"points/*/{_POINT}")}

    def find(self, slug: str, key: str) -> PointRecord | None:
        """The record of the point `slug` if it was built from the same; its files are laid out again if they are not."""
        try:
            content = json.loads((self._place(slug) / _POINT).read_text())
            if content["key"] != key:
                return None
            record = PointRecord.from_json(json.dumps(content["record"]))
            for digest in content["files"].values():
                if digest_of(self._object(digest).read_bytes()) != digest:
                    return None
            self._lay_out(slug, content["files"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ModelError):
            return None
        return record

    def add(
        self, slug: str, key: str, record: PointRecord, files: Mapping[str, str], contents: Mapping[str, bytes]
    ) -> None:
        """Keep the build of the point `slug`: its `files` by path, as digests of `contents`.

        Raises VerificationError for a content that is not what its digest says.
        """
        for digest, content in contents.items():
            if digest_of(content) != digest:
                raise VerificationError(
                    f"{slug}: a file came back with the SHA-256 {digest_of(content)}, but {digest} was sent. "
                    "Compare again; what was built is kept where it was built."
                )
            if not self._object(digest).is_file() or digest_of(self._object(digest).read_bytes()) != digest:
                _write(self._object(digest), content)
        self._lay_out(slug, files)
        point = {"key": key, "record": json.loads(record.to_json()), "files": dict(files)}
        _write(self._place(slug) / _POINT, (json.dumps(point, indent=1) + "\n").encode())

    def _object(self, digest: str) -> Path:
        return self.folder / "objects" / digest

    def _place(self, slug: str) -> Path:
        return self.folder / "points" / slug

    def _lay_out(self, slug: str, files: Mapping[str, str]) -> None:
        place = self._place(slug)
        for path in [entry for entry in place.rglob("*") if entry.is_file()]:
            if path.relative_to(place).as_posix() not in (*files, _POINT):
                path.unlink()
        for name, digest in files.items():
            path = place / name
            if not (path.is_file() and path.samefile(self._object(digest))):
                _link(self._object(digest), path)


def _link(source: Path, target: Path) -> None:
    """Make `target` the file `source`, in one step: a link where the file system can, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    passing = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source, passing)
    except OSError:
        passing.write_bytes(source.read_bytes())
    passing.replace(target)


def _write(path: Path, content: bytes) -> None:
    """`content` as the read-only file `path`, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(f".{path.name}.{os.getpid()}")
    passing.write_bytes(content)
    passing.chmod(0o444)
    passing.replace(path)
