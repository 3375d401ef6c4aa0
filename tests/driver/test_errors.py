"""The tree of errors is drawn as it is, and each of them says what to do."""

from __future__ import annotations

import re

import pytest

from a2q_driver import errors


def test_the_tree_in_the_docstring_is_the_tree():
    drawn, path = {}, []
    for line in errors.__doc__.splitlines():
        match = re.match(r"([ │├└─]*)(\w+Error)\s+\w", line)
        if match:
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            drawn[match[2]] = path[-2] if depth else "Exception"
    assert drawn == {name: getattr(errors, name).__bases__[0].__name__ for name in errors.__all__}


def test_every_error_is_public():
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_says_what_to_do(name):
    error = getattr(errors, name)
    text = str(error("The thing is broken."))
    assert text == f"The thing is broken. {error.advice}"
    assert re.fullmatch(r"[A-Z].*[a-z)]\.", error.advice), error.advice
