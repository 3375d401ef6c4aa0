"""YAML as users write it: the file is read as it stands, or refused at once.

A plain word means what it means in the core schema of YAML 1.2. A word that YAML 1.1 takes for something else (`on`,
`1_000`, `010`, `12:30`, a date) is refused, as readers differ in what they take it for. So is what no configuration
needs: a key twice, anchors and aliases, tags, keys that are no text, several documents, and more levels of nesting than
any of them has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError
from pipeline.text_file import invisible, read_text, shown

__all__ = ["parse_yaml", "read_yaml"]

_MOST_BYTES = 64 << 10
_MOST_LEVELS = 16
_MOST_DIGITS = 40

# the core schema (YAML 1.2.2, section 10.3.2); leading zeros and 0o are left out, as YAML 1.1 counts them in eights
_NULL = ("null", "Null", "NULL", "~", "")
_BOOL = {text: value for value in (True, False) for text in (f"{value}".lower(), f"{value}", f"{value}".upper())}
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FRACTION = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?(0|[1-9][0-9]*)[eE][-+]?[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_IN_EIGHTS = re.compile(r"0o[0-7]+|[-+]?0[0-9]+([eE][-+]?[0-9]+)?")


def read_yaml(path: Path, called: str) -> Any:
    """The content of the YAML file `path`, which errors call `called`; None if the file is empty.

    Raises ConfigError, with the line and with what to do, for a file that cannot be read or that is not taken.
    """
    return parse_yaml(read_text(path, called, _MOST_BYTES), called)


def parse_yaml(text: str, called: str) -> Any:
    """The value of the YAML `text`, as `read_yaml` reads it of a file."""
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        return None if root is None else _value(root)
    except _Refused as error:
        raise ConfigError(f"{called}, {_place(error.problem_mark)}: {error.problem}.") from None
    except yaml.composer.ComposerError as error:
        place = _place(error.problem_mark)
        raise ConfigError(f"{called}, {place}: another document begins. Leave one in the file.") from None
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark or error.context_mark)
        raise ConfigError(f"{called} is not YAML: {place}: {error.problem}.") from None
    except (ValueError, OverflowError):  # of an escaped character or a version that cannot be
        place = _place(loader.get_mark())
        raise ConfigError(f"{called} is not YAML: {place}: a number that is too large.") from None


class _Refused(yaml.MarkedYAMLError):
    """YAML that has no place in a configuration."""

    def __init__(self, place: yaml.Node | yaml.Event, problem: str) -> None:
        super().__init__(problem=problem, problem_mark=place.start_mark)  # type: ignore[arg-type]  # or of libyaml


class _Loader(yaml.SafeLoader):
    """PyYAML's parser, which stops at once at what could grow or nest without end."""

    _levels = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise _Refused(event, f"{shown(sign + event.anchor)} is an anchor or an alias. Write the value out")
        if getattr(event, "tag", None) is not None:
            raise _Refused(event, f"{shown(event.tag)} is a tag. Leave it out")
        if self._levels == _MOST_LEVELS:
            raise _Refused(event, f"lists and mappings are nested more than {_MOST_LEVELS} deep. Nest them less deep")
        self._levels += 1
        node = super().compose_node(parent, index)
        self._levels -= 1
        return node


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(child) for child in node.value]
    if isinstance(node, yaml.ScalarNode):
        if character := invisible(node.value):
            raise _Refused(node, f"the character {character} cannot be seen. Take it out")
        return node.value if node.style else _plain(node)
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, child in node.value:
        name = _value(key) if isinstance(key, yaml.ScalarNode) else None
        if not isinstance(name, str):
            what = shown(key.value) if isinstance(key, yaml.ScalarNode) else "that is a list or a mapping"
            raise _Refused(key, f"the key {what} is no text. Write a name, in quotes if it looks like something else")
        if name in values:
            raise _Refused(key, f"the key {shown(name)} stands in line {lines[name]} already. Take one of the two out")
        lines[name] = key.start_mark.line + 1
        values[name] = _value(child)
    return values


def _plain(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """The value of a word without quotes."""
    text = node.value
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    number = next((kind for kind in (_WHOLE, _HEXADECIMAL, _FRACTION, _NOT_FINITE) if kind.fullmatch(text)), None)
    if number and len(text) > _MOST_DIGITS:
        raise _Refused(node, f"{shown(text)} is a number of more than {_MOST_DIGITS} digits. Shorten it")
    if number in (_WHOLE, _HEXADECIMAL):
        return int(text, 10 if number is _WHOLE else 16)
    if number:
        return float(text.replace(".", "") if number is _NOT_FINITE else text)
    if _IN_EIGHTS.fullmatch(text) or _more_in_1_1(text):
        raise _Refused(
            node,
            f"readers of YAML differ in what {shown(text)} means. Put it into quotes if it is text; else write true, "
            "false, or a number in tens without underscores and leading zeros",
        )
    return text


def _more_in_1_1(text: str) -> bool:
    """Whether YAML 1.1 takes a plain `text` for more than that."""
    patterns = yaml.SafeLoader.yaml_implicit_resolvers.get(text[0], ())
    return text in ("y", "Y", "n", "N") or any(pattern.match(text) for _, pattern in patterns)


def _place(mark: yaml.Mark | None) -> str:
    assert mark is not None  # all errors of a text have one
    return f"line {mark.line + 1}, column {mark.column + 1}"
