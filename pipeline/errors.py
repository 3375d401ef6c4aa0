"""The errors of this package, as one tree.

A2QError                    everything this package raises on purpose; the command line prints it and exits with 1
├── InputError              what the user gave: a name, a file, a value
│   ├── ModelError          a model that cannot be found, read or trusted
│   ├── ConfigError         a build configuration, folding file or board that cannot be used
│   └── UnsupportedError    a network with something that cannot be built, named
├── VerificationError       two things that must be equal are not: a stage changed the network
├── AccumulatorError        an accumulator policy that does not hold for a layer
├── ToolError               an external tool failed or is not there
│   ├── DeadlockError       a simulation in which a stream stopped moving
│   └── TimingError         a bitstream that does not keep its clock
└── ResourceError           the machine: a full disk, a lock that another build holds
InternalError               what nobody foresaw in a stage: a fault of this package

The command line exits with

0    when all went well
1    after an A2QError, or where what was compared differs
2    for options that it does not take
70   after a fault of this package: an exception that is none of these; see `pipeline.faults`
130  when it is interrupted
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "A2QError",
    "AccumulatorError",
    "ConfigError",
    "DeadlockError",
    "InputError",
    "InternalError",
    "ModelError",
    "Obstacle",
    "ResourceError",
    "TimingError",
    "ToolError",
    "UnsupportedError",
    "VerificationError",
]

_REMEDY = re.compile(r"; |\. (?=[A-Z])")  # between what is wrong and what to do, as messages are written


class A2QError(Exception):
    """The base of every error of this package. Its text is a full sentence: where, what was found, what to do.

    Do what the message says; `--verbose` shows where in the code it comes from.
    """


class InputError(A2QError):
    """An input of the user that cannot be used.

    Look at the name, path or value that the message shows, and at what it says is expected in its place.
    """


class ModelError(InputError):
    """A model that cannot be found, read or trusted.

    `a2q models` lists the names; a file must be whole, a QONNX file, or a checkpoint of the network that it is for.
    """


class ConfigError(InputError):
    """A build configuration, a folding file or a board that cannot be used.

    The message names the file, the key and what it may be; `a2q options` lists all keys, `a2q boards` the boards.
    """


@dataclass(frozen=True)
class Obstacle:
    """A node that cannot be built: its name, its operator, and the sentence on it.

    The name and the operator are empty where it is the network as a whole that cannot be built.
    """

    node: str
    operator: str
    message: str

    @property
    def reason(self) -> str:
        """What is wrong, without the name of the node.

        >>> Obstacle("a", "Gelu", "Gelu node a is not supported: it falls and grows. Train with Relu.").reason
        'is not supported: it falls and grows'
        """
        return self._parts[0]

    @property
    def remedy(self) -> str:
        """What to do about it; empty where the reason says that already.

        >>> Obstacle("a", "Gelu", "Gelu node a is not supported: it falls and grows. Train with Relu.").remedy
        'Train with Relu.'
        """
        return self._parts[1]

    @property
    def _parts(self) -> tuple[str, str]:
        reason, *rest = _REMEDY.split(self.message.removeprefix(f"{self.operator} node {self.node} "), maxsplit=1)
        return reason.rstrip("."), rest[0] if rest else ""


class UnsupportedError(InputError):
    """A network with an operator, a type or a shape that cannot be built.

    Change the nodes that the message and report/unsupported.json name, as they say.

    `obstacles` are all nodes that stand in the way, where a network was looked at as a whole; `report`, once it is
    written, the file that lists them.
    """

    report: Path | None = None

    def __init__(self, text: str, obstacles: Sequence[Obstacle] = ()) -> None:
        super().__init__(text)
        self.obstacles = tuple(obstacles)

    def __str__(self) -> str:
        return f"{self.args[0]}\nAll of it is in {self.report}." if self.report else str(self.args[0])


class VerificationError(A2QError):
    """Two things that must be equal are not.

    It is a fault of this package, or of a file that was changed under it: send the message and the build's logs/ to who maintains it.
    """


class AccumulatorError(A2QError):
    """An accumulator policy that does not hold for a layer.

    Take the policy exact, give the layer more bits, or train it for fewer: the message has the bits that its weights need.
    """


class ToolError(A2QError):
    """An external tool failed, or is not installed.

    Read the tool's own words in the message and in logs/; install what it names, or put it on PATH.
    """


class DeadlockError(ToolError):
    """A simulation in which a stream stopped moving.

    Where a folding file sets depths of FIFOs, take them out: those that are found here are proven enough. Else it is a fault of
    this package.
    """


class TimingError(ToolError):
    """A bitstream that does not keep its clock; it is in `folder`, with the reports on it.

    Build with a slower clock (`synth_clk_period_ns`), or with the options that the longest paths of the summary suggest.
    """

    def __init__(self, text: str, folder: Path) -> None:
        super().__init__(text, folder)
        self.folder = folder

    def __str__(self) -> str:
        return f"{self.args[0]}\nThe bitstream, not to be trusted at this clock, and its reports are in {self.folder}."


class ResourceError(A2QError):
    """The machine ran out of something, or another build holds it.

    Free space or memory, or wait; then the same command goes on where it was.
    """


class InternalError(RuntimeError):
    """A fault of this package in `stage`, raised from the exception that shows it; `log` has the traceback, if any.

    Send the log to who maintains it. What the stages before it have built is kept.
    """

    def __init__(self, text: str, stage: str, log: Path | None) -> None:
        super().__init__(text, stage, log)
        self.stage = stage
        self.log = log

    def __str__(self) -> str:
        return str(self.args[0])
