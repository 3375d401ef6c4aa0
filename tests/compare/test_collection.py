from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.compare.collection import Collection, digest_of
from pipeline.errors import VerificationError
from tests.compare.sample import sample_record

RECORD = sample_record().sealed()
CONTENTS = {digest_of(content): content for content in (b"{}", b"# net\n")}
FILES = {"report/a.json": digest_of(b"{}"), "report/b.json": digest_of(b"{}"), "summary.md": digest_of(b"# net\n")}


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    store = Collection(tmp_path / "compare")
    store.add("net", "key", RECORD, FILES, CONTENTS)
    return store


def files(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_what_was_put_in_is_found_by_its_key(collection):
    assert collection.find("net", "key") == RECORD
    assert collection.find("net", "another key") is None and collection.find("other", "key") is None
    stored = files(collection.folder / "points" / "net")
    del stored["point.json"]
    assert stored == {name: CONTENTS[digest] for name, digest in FILES.items()}
    assert files(collection.folder / "objects") == CONTENTS, "equal files once"


def test_what_was_removed_is_laid_out_again(collection):
    summary = collection.folder / "points" / "net" / "summary.md"
    summary.unlink()
    assert collection.find("net", "key") == RECORD
    assert summary.read_text() == "# net\n"


def test_files_of_an_earlier_build_go(collection):
    collection.add("net", "new", RECORD, {"summary.md": FILES["summary.md"]}, {})
    assert set(files(collection.folder / "points" / "net")) == {"point.json", "summary.md"}


@pytest.mark.parametrize("name", ["objects", "record"])
def test_what_was_tampered_with_is_not_found_until_it_is_put_in_again(collection, name):
    if name == "objects":
        path = collection.folder / "objects" / FILES["summary.md"]
        changed = b"# another\n"
    else:
        path = collection.folder / "points" / "net" / "point.json"
        changed = path.read_bytes().replace(b'"lut": 25124', b'"lut": 1')
    assert changed != path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(changed)
    assert collection.find("net", "key") is None
    collection.add("net", "key", RECORD, FILES, CONTENTS)
    assert collection.find("net", "key") == RECORD
    assert (collection.folder / "points" / "net" / "summary.md").read_text() == "# net\n"


def test_a_content_that_changed_on_its_way_is_refused(collection):
    with pytest.raises(VerificationError, match="net: a file came back with the SHA-256"):
        collection.add("net", "key", RECORD, FILES, {FILES["summary.md"]: b"# spoilt\n"})
    assert collection.find("net", "key") == RECORD
