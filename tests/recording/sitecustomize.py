"""Writes down what a Python process opens: files, folders, programs, and variables of the environment.

Python loads this file where its folder is on PYTHONPATH, so that it is loaded by processes too that a stage starts. Each
line of the file that A2Q_TEST_RECORD names is a JSON list: A2Q_TEST_STAGE, a kind, a name, and the code that asked for
it, which is the file of the innermost frame that is not of Python's own library.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
import threading

_LIBRARY = sysconfig.get_paths()["stdlib"]
_PACKAGES = sysconfig.get_paths()["purelib"]
_VARIABLE = "A2Q_TEST_STAGE"

stage = os.environ.get(_VARIABLE, "")
_copying = threading.local()


def enter(name: str) -> None:
    """Write down from here on that the stage `name` asked."""
    global stage
    stage = os.environ[_VARIABLE] = name


def write(kind: str, name: str, code: str) -> None:
    """Add a line to the record."""
    os.write(_record, json.dumps([stage, kind, name, code]).encode() + b"\n")


def _code() -> str:
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_code.co_filename
        library = name.startswith((_LIBRARY, "<frozen")) and not name.startswith(_PACKAGES)
        if not library and name != __file__:
            return name
        frame = frame.f_back
    return ""


def _audit(event: str, arguments: tuple) -> None:
    if not stage:
        return
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes | os.PathLike):
        write(event, os.path.abspath(os.fsdecode(arguments[0])), _code())
    elif event == "ctypes.dlopen" and arguments[0]:
        write("open", os.path.abspath(os.fsdecode(arguments[0])), _code())
    elif event == "subprocess.Popen":
        code = _code()
        for word in arguments[1]:
            write("argument", os.fsdecode(word), code)
        write("program", os.fsdecode(arguments[0]), code)


class _Environment(type(os.environ)):
    """The environment, of which copies are not written down: a program that is started is given all of it."""

    def keys(self):
        _copying.left = len(self)
        return super().keys()

    def __getitem__(self, name):
        left = getattr(_copying, "left", 0)
        if left:
            _copying.left = left - 1
        elif stage:
            write("variable", name, _code())
        return super().__getitem__(name)


if "A2Q_TEST_RECORD" in os.environ:
    _record = os.open(os.environ["A2Q_TEST_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.environ.__class__ = _Environment
    sys.addaudithook(_audit)
    which = shutil.which

    def _which(command, *given, **named):
        if stage:
            write("program", os.fsdecode(command), _code())
        return which(command, *given, **named)

    shutil.which = _which
