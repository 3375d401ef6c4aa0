"""The float end of a network as the steps that the driver computes, compared with the network's own operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch

from a2q_driver.output_steps import OPERAND, OutputStep, apply_steps
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.frontend.streamline.executor import fixed_operands
from pipeline.frontend.streamline.host_end import HostEnd
from pipeline.frontend.streamline.nodes import attributes, describe
from pipeline.frontend.streamline.operators import CLASSIFIER_ENDS, MOVES, OPERATORS

__all__ = ["HostPart"]

_ROUNDING = 2.0**-40  # of two runtimes' double, of the largest number of a tensor
_SAME = {
    **{
        name: name.lower() for name in ("Abs", "Add", "Div", "Exp", "Log", "Mul", "Neg", "Pow", "Reciprocal", "Sigmoid")
    },
    **{name: name.lower() for name in ("Softplus", "Sqrt", "Sub", "Tanh")},
    "LogSoftmax": "log_softmax",
    "Softmax": "softmax",
}


class HostPart:
    """The steps of `end`, nodes of `model` behind a tensor of `shape` (1, ...)."""

    def __init__(self, model: onnx.ModelProto, end: HostEnd, shape: tuple[int, ...]) -> None:
        self._end, self._constants = end, fixed_operands(model.graph, end.nodes)
        self._zeros = np.zeros(shape)
        shapes = {name: value.shape for name, value in self._reference(self._zeros).items()}
        self._steps: list[OutputStep] = []
        self._places = {end.source: 0}  # of the tensors' values, as steps count them
        for node in end.nodes:
            self._translate(node, shapes)

    @property
    def steps(self) -> tuple[OutputStep, ...]:
        """What the driver computes; the last step gives the network's output."""
        return tuple(self._steps)

    @property
    def source(self) -> str:
        """The tensor that the steps begin with."""
        return self._end.source

    @property
    def rank(self) -> int:
        """The axes of the output, the batch included."""
        return apply_steps(self._zeros, self.steps).ndim

    def compare(self, real: np.ndarray) -> None:
        """Raise VerificationError where the steps give something else than the nodes for `real` (N, ...), both in double."""
        expected = list(self._reference(real).values())[-1]
        actual = apply_steps(real, self.steps)
        finite = np.abs(expected[np.isfinite(expected)])
        rounding = _ROUNDING * float(finite.max(initial=1.0))
        if actual.shape != expected.shape or not np.allclose(actual, expected, rtol=0, atol=rounding, equal_nan=True):
            raise VerificationError(
                f"What the driver computes for {self._end} is another number than the network's own operators give, by more "
                f"than the rounding of double, {rounding:.3g}."
            )

    def _reference(self, real: np.ndarray) -> dict[str, np.ndarray]:
        """Every tensor of the end, calculated by torch."""
        values = {name: torch.from_numpy(np.array(array)) for name, array in self._constants.items()}
        values[self._end.source] = torch.from_numpy(np.asarray(real, np.float64))
        for node in self._end.nodes:
            operands = [values[name] if name else None for name in node.input]
            values[node.output[0]] = OPERATORS[node.op_type](attributes(node), *operands)
        return {name: values[name].numpy() for name in (self._end.source, *(n.output[0] for n in self._end.nodes))}

    def _add(
        self, op: str, inputs: tuple[int, ...], numbers: tuple[float, ...] = (), operand: np.ndarray | None = None
    ) -> int:
        chosen = {} if operand is None else {"operand": operand}
        self._steps.append(OutputStep(op, inputs, numbers=tuple(float(number) for number in numbers), **chosen))
        return len(self._steps)

    def _translate(self, node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
        name, options, operator = node.output[0], attributes(node), node.op_type
        before, after = shapes.get(node.input[0], ()), shapes[name]
        operands = [self._constants.get(operand) for operand in node.input[1:]]
        place = self._places.get(node.input[0], OPERAND)
        if operator in ("Add", "Sub", "Mul", "Div", "Pow"):
            self._places[name] = self._binary(node, len(after))
        elif operator == "Transpose":
            self._places[name] = self._add("transpose", (place,), tuple(axis - 1 for axis in options["perm"][1:]))
        elif operator in MOVES:
            self._places[name] = place if before == after else self._add("reshape", (place,), after[1:])
        elif operator in CLASSIFIER_ENDS:
            self._places[name] = self._add(_SAME[operator], (place,), (options["axis"] % len(before) - 1,))
        elif operator == "Concat":
            inputs = tuple(self._places[operand] for operand in node.input)
            self._places[name] = self._add("concat", inputs, (options["axis"] % len(after) - 1,))
        elif operator == "Gather":
            assert operands[0] is not None  # see `check_operands`
            axis = options.get("axis", 0) % len(before)
            places = operands[0] % before[axis]
            place = self._add("take", (place,), (axis - 1, *places.ravel()))
            self._places[name] = self._add("reshape", (place,), after[1:]) if places.ndim == 0 else place
        elif operator == "Slice":
            self._places[name] = self._slice(node, place, before)
        elif operator in ("Relu", "Clip"):
            least, most, *_ = (*operands, None, None)
            lo, hi = options.get("min", least), options.get("max", most)
            bounds = (
                (0.0, np.inf) if operator == "Relu" else (-np.inf if lo is None else lo, np.inf if hi is None else hi)
            )
            self._places[name] = self._add("clip", (place,), bounds)
        elif operator == "LeakyRelu":
            self._places[name] = self._add("leaky_relu", (place,), (options.get("alpha", 0.01),))
        elif operator == "HardSigmoid":
            self._places[name] = self._add(
                "hard_sigmoid", (place,), (options.get("alpha", 0.2), options.get("beta", 0.5))
            )
        else:
            self._places[name] = self._add(_SAME[operator], (place,))

    def _binary(self, node: onnx.NodeProto, rank: int) -> int:
        constant = next((self._constants[name] for name in node.input if name in self._constants), None)
        inputs = tuple(OPERAND if name in self._constants else self._places[name] for name in node.input)
        if constant is not None:
            if constant.ndim == rank and constant.shape[0] != 1:
                raise UnsupportedError(
                    f"{describe(node)} has a constant of shape {constant.shape}, which enlarges the batch."
                )
            constant = np.asarray(constant, np.float64)
        return self._add(_SAME[node.op_type], inputs, operand=constant)

    def _slice(self, node: onnx.NodeProto, place: int, shape: tuple[int, ...]) -> int:
        for axis, size in enumerate(shape):
            line = torch.arange(size).reshape([size if other == axis else 1 for other in range(len(shape))])
            whole = line.expand(shape)
            operands = [
                None if name not in self._constants else torch.from_numpy(np.array(self._constants[name]))
                for name in node.input[1:]
            ]
            kept = OPERATORS["Slice"](attributes(node), whole, *operands)
            places = kept[tuple(slice(None) if other == axis else 0 for other in range(len(shape)))].tolist()
            if axis and places != list(range(size)):
                place = self._add("take", (place,), (axis - 1, *places))
        return place
