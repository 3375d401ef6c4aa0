"""JSON as users write it: a key once, finite numbers, text that can be seen, no endless nesting."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.text_file import invisible, read_text, shown

__all__ = ["read_json"]

_MOST_BYTES = 4 << 20
_MOST_LEVELS = 16
_MOST_DIGITS = 40
_TOO_DEEP = f"has more than {_MOST_LEVELS} lists or objects one in another. Nest them less deep"


def read_json(path: Path, called: str) -> Any:
    """The content of the JSON file `path`, which errors call `called`.

    Raises ConfigError, with what to do, for a file that cannot be read or that is not taken.
    """
    text = read_text(path, called, _MOST_BYTES)
    try:
        content = json.loads(
            text, object_pairs_hook=_once, parse_int=_whole, parse_float=_finite, parse_constant=_no_number
        )
        _check(content, _MOST_LEVELS)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{called} is not JSON: {error}.") from None
    except RecursionError:
        raise ConfigError(f"{called} {_TOO_DEEP}.") from None
    except _Refused as error:
        raise ConfigError(f"{called} {error}.") from None
    return content


class _Refused(Exception):
    """JSON to Python that has no place in a configuration."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = {}
    for key, value in pairs:
        if key in content:
            raise _Refused(f"has the key {shown(key)} twice in one object. Take one of the two out")
        content[key] = value
    return content


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise _Refused(f"has {shown(text)}, a number of more than {_MOST_DIGITS} digits. Shorten it")
    return int(text)


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _no_number(text)


def _no_number(text: str) -> float:
    raise _Refused(f"has {shown(text)}, which is no finite number. Write one")


def _check(content: Any, levels: int) -> None:
    if not levels:
        raise _Refused(_TOO_DEEP)
    if isinstance(content, str) and (character := invisible(content)):
        raise _Refused(f"has the character {character}, which cannot be seen, in {shown(content)}. Take it out")
    if isinstance(content, dict):
        for key, value in content.items():
            _check(key, levels)
            _check(value, levels - 1)
    if isinstance(content, list):
        for value in content:
            _check(value, levels - 1)
