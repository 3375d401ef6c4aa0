"""Text that a user brings: of a regular file, of bounded size, in UTF-8, without characters that cannot be seen; and how
messages show values and choices."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ConfigError

__all__ = ["count", "either", "invisible", "read_text", "shown"]

_SPACES = str.maketrans("", "", "\t\n\r")
_SHOWN = 80  # characters of a value that a message shows


def read_text(path: Path, called: str, most: int) -> str:
    """The text of the file `path`, which errors call `called`, of at most `most` bytes.

    Raises ConfigError for what is no regular file (a folder, a pipe, a device), for a larger file, and for one that is
    not UTF-8 or holds a character that cannot be seen.
    """
    try:
        # without O_NONBLOCK a pipe would wait for who writes it
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise ConfigError(f"{called} cannot be read: it is no regular file. Name a file of text.")
            content = stream.read(most + 1)
    except IsADirectoryError:
        raise ConfigError(f"{called} cannot be read: it is a folder. Name a file of text.") from None
    except OSError as error:
        raise ConfigError(f"{called} cannot be read: {error.strerror}.") from None
    if len(content) > most:
        raise ConfigError(f"{called} is larger than {most >> 10} KiB, which no such file needs. Name another one.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{called}, line {number}: this is not UTF-8. Save the file as text in UTF-8.") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if character := invisible(line):
            raise ConfigError(f"{called}, line {number}: the character {character} cannot be seen. Take it out.")
    return text


def invisible(text: str) -> str:
    """The first character of `text` that cannot be seen, as U+0000; empty if all can be, or are plain white space."""
    if text.translate(_SPACES).isprintable():
        return ""
    return next(f"U+{ord(c):04X}" for c in text if c not in "\t\n\r" and not c.isprintable())


def either(choices: Sequence[str], word: str = "or") -> str:
    """A choice in words, or with `word` an enumeration.

    >>> either(["rtl"]), either(["a", "b", "c"]), either(["a", "b"], "and")
    ('rtl', 'a, b or c', 'a and b')
    """
    *others, last = choices
    return f"{', '.join(others)} {word} {last}" if others else last


def shown(value: object) -> str:
    """`value` as Python writes it, no longer than fits into a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def count(number: int, what: str) -> str:
    """`number` of `what`, in words.

    >>> count(1, "build"), count(2, "build")
    ('1 build', '2 builds')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
