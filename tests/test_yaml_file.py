from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.yaml_file import read_yaml

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def read(tmp_path: Path):
    def read_content(content: str | bytes):
        path = tmp_path / "some.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_yaml(path, f"The file {path}")

    return read_content


@pytest.mark.parametrize(
    "path",
    sorted([*REPOSITORY.glob("build_configs/**/*.yaml"), *REPOSITORY.glob("hw/boards/*.yaml")]),
    ids=lambda path: path.stem,
)
def test_what_is_shipped_means_what_pyyaml_takes_it_for(path: Path) -> None:
    assert read_yaml(path, "It") == yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("'true'", "true"),
        ("0", 0),
        ("-17", -17),
        ("+3", 3),
        ("0x1F", 31),
        ("1.50", 1.5),
        ("-.5", -0.5),
        ("2.", 2.0),
        ("1e-3", 0.001),
        ("1.0E+3", 1000.0),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("1.2.3", "1.2.3"),
        ("fixed:32", "fixed:32"),
        ("xck26-sfvc784-2LV-c", "xck26-sfvc784-2LV-c"),
        ("'010'", "010"),
        ("\ufeff{a: [1, x], b: {c: ''}}", {"a": [1, "x"], "b": {"c": ""}}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("--- {a: ü}\n...\n", {"a": "ü"}),
    ],
)
def test_what_is_read(read, text: str, value: object) -> None:
    content = read(text)
    assert content == value and type(content) is type(value)


def test_a_number_that_is_none_is_read_as_that(read) -> None:
    assert math.isnan(read(".nan"))


@pytest.mark.parametrize(
    "word",
    [
        *("on", "Off", "yes", "NO", "y", "n"),
        *("010", "-017", "08", "0o17", "1_000", "0b11", "1_0.5", "0x_ff", "08e1"),
        *("12:30", "12:30:45", "1:2.5", "2001-12-14", "2001-12-14t21:59:43.10-05:00"),
        *("=", "<<"),
    ],
)
def test_a_word_that_readers_differ_in_is_refused(read, word: str) -> None:
    with pytest.raises(ConfigError, match="line 2, column 4: readers of YAML differ in what .* Put it into quotes"):
        read(f"a: 1\nb: {word}\n")
    assert read(f"a: 1\nb: '{word}'\n") == {"a": 1, "b": word}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' stands in line 1 already"),
        ("a: {b: 1, 'b': 2}\n", "line 1, column 11: the key 'b' stands in line 1 already"),
        ("a: 1\n3: 2\n", "line 2, column 1: the key '3' is no text"),
        ("true: 2\n", "the key 'true' is no text"),
        ("? \n: 2\n", "the key '' is no text"),
        ("? [a]\n: 2\n", "the key that is a list or a mapping is no text"),
        ("a: &x 1\nb: *x\n", "line 1, column 4: '&x' is an anchor or an alias. Write the value out"),
        ("a: *x\n", "line 1, column 4: '[*]x' is an anchor or an alias"),
        ("a: !!python/object/apply:os.system ['true']\n", "column 4: 'tag:yaml.org,2002:python.* is a tag"),
        ("a: !!str 3\n", "line 1, column 4: 'tag:yaml.org,2002:str' is a tag. Leave it out"),
        ("a: !x 3\n", "column 4: '!x' is a tag"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: another document begins. Leave one"),
        ("a: " + "[" * 16 + "]" * 16, "line 1, column 19: lists and mappings are nested more than 16 deep"),
        ("[" * 60_000, "column 17: lists and mappings are nested more than 16 deep"),
        ("- " * 30_000, "lists and mappings are nested more than 16 deep"),
        ("{a: " * 15_000, "lists and mappings are nested more than 16 deep"),
        ("a: " + "9" * 5000, "a number of more than 40 digits"),
        ("a: 0x" + "9" * 5000, "a number of more than 40 digits"),
        ("a: 1\nb: \0\n", r"line 2: the character U\+0000 cannot be seen"),
        ("a: 1\nb: \x1b[31m\n", r"line 2: the character U\+001B"),
        ("a: \u202e1\n", r"line 1: the character U\+202E"),
        ('a: "x\\0"\n', r"line 1, column 4: the character U\+0000"),
        ('"a\\ud800": 1\n', r"line 1, column 1: the character U\+D800"),
        ('a: "\\UFFFFFFFF"\n', "is not YAML: line 1, column 7: a number that is too large"),
        (f"%YAML 1.{'9' * 5000}\n--- a\n", "is not YAML: line 1, column .*: a number that is too large"),
        (b"a: 1\nb: \xff\n", "line 2: this is not UTF-8"),
        ("a: 1\n".encode("utf-16"), "line 1: this is not UTF-8"),
        ("a: [\n", "is not YAML: line 2, column 1: expected the node content"),
        ("a: 1\n  b: 2\n", "is not YAML: line 2, column 4: mapping values are not allowed here"),
        ("\ta: 1\n", "is not YAML: line 1, column 1: found character"),
        ("%YAML 3.0\n--- a\n", "is not YAML: line 1, column 1: found incompatible YAML document"),
        ("x" * (64 << 10) + "x", "is larger than 64 KiB"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_refused_at_once(read, content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(content)
    assert "some.yaml" in str(caught.value) and len(str(caught.value)) < 400 + len(os.getcwd())


def test_billions_of_laughs_are_not_written_out(read) -> None:
    lines = ["l0: &l0 [lol]", *(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 12))]
    with pytest.raises(ConfigError, match="'&l0' is an anchor or an alias"):
        read("\n".join(lines))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "cannot be read: it is a folder"),
        (lambda path: os.mkfifo(path), "cannot be read: it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "cannot be read: it is no regular file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"#" * ((64 << 10) + 1)), "is larger than 64 KiB"),
    ],
    ids=["none", "folder", "pipe", "device", "loop", "huge"],
)
def test_what_is_no_file_of_text(tmp_path: Path, make, message: str) -> None:
    path = tmp_path / "some.yaml"
    make(path)
    with pytest.raises(ConfigError, match=rf"The file .*some\.yaml {message}"):
        read_yaml(path, f"The file {path}")
