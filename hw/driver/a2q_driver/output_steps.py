"""What the host does with the real outputs: the float part of the network behind its last quantized layer.

Only numpy, in float64. Exponentials and logarithms are those of the machine's numpy: real numbers agree with the
network's to rounding, where the integers before them are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["OPERAND", "OutputStep", "apply_steps", "outputs_of"]

_NO_OPERAND = np.zeros(0)
OPERAND = -1  # among the inputs of a step


@dataclass(frozen=True, eq=False)
class OutputStep:
    """One operation on frames (N, ...), called `op`, which is one of those of `apply_steps`.

    `inputs` says what it reads: 0 is what the steps begin with, i > 0 what step i − 1 gives, OPERAND its own constant
    `operand`. `numbers` are its parameters, in the order in which its description has them; axes count without the
    batch.
    """

    op: str
    inputs: tuple[int, ...]
    operand: np.ndarray = field(default_factory=lambda: _NO_OPERAND)
    numbers: tuple[float, ...] = ()


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−x)), of exponents that are not positive: no exponential overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def _top(x: np.ndarray, axis: int, count: int, largest: bool) -> np.ndarray:
    """The places of the `count` largest or smallest elements, in order, of equal ones the first."""
    order = np.argsort(-x if largest else x, axis=axis, kind="stable")
    return np.take(order, np.arange(count), axis=axis)


def _axis(numbers: tuple[float, ...]) -> int:
    return int(numbers[0]) + 1


def _integers(numbers: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers)


_UNARY = {
    "sigmoid": lambda x, numbers: _sigmoid(x),
    "tanh": lambda x, numbers: np.tanh(x),
    "exp": lambda x, numbers: np.exp(x),
    "log": lambda x, numbers: np.log(x),
    "sqrt": lambda x, numbers: np.sqrt(x),
    "abs": lambda x, numbers: np.abs(x),
    "neg": lambda x, numbers: -x,
    "reciprocal": lambda x, numbers: 1 / x,
    "softplus": lambda x, numbers: np.logaddexp(x, 0),
    # alpha
    "leaky_relu": lambda x, numbers: np.where(x >= 0, x, x * numbers[0]),
    # alpha, beta
    "hard_sigmoid": lambda x, numbers: np.clip(x * numbers[0] + numbers[1], 0, 1),
    # the least, the most
    "clip": lambda x, numbers: np.clip(x, numbers[0], numbers[1]),
    # the axis
    "softmax": lambda x, numbers: np.exp(_log_softmax(x, _axis(numbers))),
    "log_softmax": lambda x, numbers: _log_softmax(x, _axis(numbers)),
    # the axis, and whether it stays, with one element
    "argmax": lambda x, numbers: _kept(np.argmax(x, axis=_axis(numbers)), numbers),
    # the axis, how many, and whether the largest
    "top_indices": lambda x, numbers: _top(x, _axis(numbers), int(numbers[1]), bool(numbers[2])),
    "top_values": lambda x, numbers: np.take_along_axis(
        x, _top(x, _axis(numbers), int(numbers[1]), bool(numbers[2])), _axis(numbers)
    ),
    # the shape of a frame
    "reshape": lambda x, numbers: x.reshape(len(x), *_integers(numbers)),
    # the axes of a frame in their new order
    "transpose": lambda x, numbers: x.transpose(0, *(axis + 1 for axis in _integers(numbers))),
    # the axis, and the places on it
    "take": lambda x, numbers: np.take(x, _integers(numbers[1:]), axis=_axis(numbers)),
}

_BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: np.power(x, y),
}

CONCAT = "concat"  # of any number of inputs; the axis


def _kept(places: np.ndarray, numbers: tuple[float, ...]) -> np.ndarray:
    return np.expand_dims(places, _axis(numbers)) if numbers[1] else places


def outputs_of(real: np.ndarray, layout: np.ndarray, steps: tuple[OutputStep, ...]) -> np.ndarray:
    """What `steps` give for `real` (N, ...), frames of the output stream; `layout` has, for each element of the tensor that
    the steps begin with, its place in a frame."""
    return apply_steps(real.reshape(len(real), -1)[:, layout], steps)


def apply_steps(outputs: np.ndarray, steps: tuple[OutputStep, ...]) -> np.ndarray:
    """What the last of `steps` gives for real `outputs` (N, ...): float64, or int64 where it is indices."""
    values = [np.asarray(outputs, np.float64)]
    for step in steps:
        inputs = [step.operand if index == OPERAND else values[index] for index in step.inputs]
        if step.op in _UNARY:
            result = _UNARY[step.op](inputs[0], step.numbers)
        elif step.op in _BINARY:
            result = _BINARY[step.op](*inputs)
        elif step.op == CONCAT:
            result = np.concatenate(inputs, axis=_axis(step.numbers))
        else:
            raise ValueError(f"a step called {step.op!r}, which this driver does not know")
        values.append(result)
    return values[-1]
