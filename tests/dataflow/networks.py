"""Small QONNX graphs by hand, for tests."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Network"]


class Network:
    """Builds a graph node by node: every method appends a node to the last tensor, or to those given."""

    opset = 13
    quantizers_version = 2  # of QONNX's operators: 1 has another Trunc
    output_shape: tuple[int, ...] | None = None  # where a test wants a file that ONNX's checker accepts
    more_outputs: tuple[str, ...] = ()  # tensors that are outputs too, before the last

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape = (1, *shape)
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.last = "input"

    def constant(self, value, dtype=np.float32) -> str:
        name = f"c{len(self.arrays)}"
        self.arrays[name] = np.asarray(value, dtype)
        return name

    def add(self, op: str, *operands, at: str | None = None, **options) -> str:
        """Append `op`, named <op>_<index>; its first operand is `at` or the last tensor, arrays become constants."""
        names = [o if isinstance(o, str) else self.constant(o) for o in operands]
        return self.node(op, [at or self.last, *names], **options)

    def node(self, op: str, inputs: list[str], **options) -> str:
        name = f"{op}_{len(self.nodes)}"
        domain = "qonnx.custom_op.general" if op in ("Quant", "IntQuant", "BipolarQuant", "Trunc") else ""
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name, domain=domain, **options))
        self.last = f"{name}_out"
        return self.last

    def quant(self, scale=1.0, bits=4, *, zero=0.0, signed=1, narrow=0, at=None, rounding="ROUND") -> str:
        return self.add("Quant", scale, zero, float(bits), at=at, signed=signed, narrow=narrow, rounding_mode=rounding)

    def weights(self, *shape: int, scale=1.0, bits=4) -> str:
        """Quantized random weights; leaves the last tensor as it was."""
        last = self.last
        span = 2 ** (bits - 1)
        values = self.rng.integers(-span + 1, span, shape) * np.asarray(scale)
        name = self.quant(scale, bits, narrow=1, at=self.constant(values))
        self.last = last
        return name

    def conv(self, inputs: int, outputs: int, kernel=3, *, scale=0.25, bits=4, bias=None, at=None, **options) -> str:
        kernels = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight = self.weights(outputs, inputs // options.get("group", 1), *kernels, scale=scale, bits=bits)
        rest = [] if bias is None else [self.constant(bias)]
        return self.node("Conv", [at or self.last, weight, *rest], kernel_shape=list(kernels), **options)

    def matmul(self, inputs: int, outputs: int, *, scale=0.25, bits=4) -> str:
        return self.add("MatMul", self.weights(inputs, outputs, scale=scale, bits=bits))

    def batch_norm(self, channels: int) -> str:
        gamma = self.rng.normal(size=channels)
        gamma[0], gamma[-1] = 0.0, -abs(gamma[-1])  # a dead channel, and one that falls
        return self.add(
            "BatchNormalization",
            *(gamma, self.rng.normal(size=channels), self.rng.normal(size=channels), self.rng.random(channels) + 0.5),
        )

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.shape)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, self.output_shape)
                for name in (*self.more_outputs, self.last)
            ],
            [numpy_helper.from_array(array, name) for name, array in self.arrays.items()],
        )
        opsets = [
            helper.make_opsetid("", self.opset),
            helper.make_opsetid("qonnx.custom_op.general", self.quantizers_version),
        ]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def frames(self, count: int = 3) -> np.ndarray:
        return self.rng.normal(0, 3, (count, *self.shape[1:])).astype(np.float32)
