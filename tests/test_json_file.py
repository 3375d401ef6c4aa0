from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.json_file import read_json


def test_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text('{"a": [1, -2.5, "ü", true, null], "": {}}')
    assert read_json(path, "It") == {"a": [1, -2.5, "ü", True, None], "": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1, "a": 1}', "has the key 'a' twice in one object"),
        ('{"a": {"b": 1, "b": 2}}', "has the key 'b' twice in one object"),
        ('{"a": NaN}', "has 'NaN', which is no finite number"),
        ('{"a": -Infinity}', "has '-Infinity', which is no finite number"),
        ('{"a": 1e999}', "has '1e999', which is no finite number"),
        ('{"a": ' + "9" * 5000 + "}", "a number of more than 40 digits"),
        ('{"a": "x\\u0000"}', r"has the character U\+0000, which cannot be seen, in 'x.x00'"),
        ('{"\\ud800": 1}', r"has the character U\+D800, which cannot be seen"),
        ('{"a": \0}', r", line 1: the character U\+0000 cannot be seen"),
        ("[" * 17 + "]" * 17, "has more than 16 lists or objects one in another"),
        ("[" * 200_000, "has more than 16 lists or objects one in another"),
        ('{"a":' * 100_000, "has more than 16 lists or objects one in another"),
        ('{"MVAU_0": {', "is not JSON: .*line 1 column"),
        ("", "is not JSON: Expecting value"),
        (b'{"a": "\xff"}', ", line 1: this is not UTF-8"),
        (" " * (4 << 20) + "1", "is larger than 4096 KiB"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_refused_at_once(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError, match=rf"The file .*some\.json.*{message}"):
        read_json(path, f"The file {path}")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "some.json")
    with pytest.raises(ConfigError, match=r"some\.json cannot be read: it is no regular file"):
        read_json(tmp_path / "some.json", f"The file {tmp_path / 'some.json'}")
