"""Functions between two quantizers: those that only rise become thresholds, those that fall and grow a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline.executor import graph_output
from pipeline.frontend.streamline.inference import infer
from pipeline.frontend.streamline.obstacles import Obstacles
from pipeline.frontend.streamline.operands import check_operands
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import executed

Build = Callable[[Network], object]


def convert(n: Network) -> tuple[LayerGraph, np.ndarray, np.ndarray]:
    """The graph of a network that ends in a quantizer, its integers, and those of QONNX's executor, on all inputs."""
    model, obstacles = n.model(), Obstacles()
    frames = np.linspace(-9, 9, 64 * int(np.prod(n.shape))).reshape(64, *n.shape[1:]).astype(np.float32)
    infer(model, obstacles, lambda node, tensors: check_operands(model, node, tensors))
    if obstacles:
        raise obstacles.error("The network", model.graph.node)
    graph = dataflow.convert(model, frames, top1=False).graph
    found = graph.run(graph.input_transform.apply(frames))
    real = executed(n.model(), frames)[graph_output(n.model().graph)]
    if real.ndim == 4:
        real = real.transpose(0, 2, 3, 1)
    expected = np.round(real.reshape(found.shape) / graph.output_transform.scale)
    return graph, found, expected


def exact(n: Network) -> LayerGraph:
    graph, found, expected = convert(n)
    assert np.array_equal(found, expected)
    assert len(np.unique(found)) > 2
    return graph


# operator, its attributes, and the slopes or the exponent
RISING: dict[str, tuple[str, dict, tuple]] = {
    "LeakyRelu": ("LeakyRelu", {"alpha": 0.3}, ()),
    "PRelu": ("PRelu", {}, ([[[0.5]], [[0.0]], [[2.0]]],)),
    "ThresholdedRelu": ("ThresholdedRelu", {"alpha": 0.75}, ()),
    "Elu": ("Elu", {"alpha": 0.7}, ()),
    "Celu": ("Celu", {"alpha": 1.5}, ()),
    "Selu": ("Selu", {}, ()),
    "Softplus": ("Softplus", {}, ()),
    "Softsign": ("Softsign", {}, ()),
    "HardSigmoid": ("HardSigmoid", {"alpha": 0.15, "beta": 0.4}, ()),
    "HardSigmoid that falls": ("HardSigmoid", {"alpha": -0.3, "beta": 0.4}, ()),
    "Sigmoid": ("Sigmoid", {}, ()),
    "Tanh": ("Tanh", {}, ()),
    "Erf": ("Erf", {}, ()),
    "Floor": ("Floor", {}, ()),
    "Sign": ("Sign", {}, ()),
    "Clip": ("Clip", {}, (np.float32(-0.4), np.float32(2.2))),
}
TABLES: dict[str, tuple[str, dict, tuple]] = {
    "Abs": ("Abs", {}, ()),
    "Gelu": ("Gelu", {}, ()),
    "Gelu by tanh": ("Gelu", {"approximate": "tanh"}, ()),
    "HardSwish": ("HardSwish", {}, ()),
    "Mish": ("Mish", {}, ()),
    "Sin": ("Sin", {}, ()),
    "square": ("Pow", {}, (np.float32(2),)),
    "PRelu that falls": ("PRelu", {}, ([[[0.5]], [[-0.5]], [[2.0]]],)),
    "LeakyRelu that falls": ("LeakyRelu", {"alpha": -0.25}, ()),
    "Elu that falls": ("Elu", {"alpha": -0.5}, ()),
    "ThresholdedRelu below zero": ("ThresholdedRelu", {"alpha": -1.0}, ()),
}


def sums(n: Network) -> None:
    """Sums of 12 bits, as many a channel."""
    n.quant(0.1, 8)
    n.conv(2, 3, 1, scale=0.37)


@pytest.mark.parametrize("case", RISING)
def test_a_function_that_rises_becomes_thresholds(case: str) -> None:
    operator, options, operands = RISING[case]
    n = Network(2, 3, 4)
    n.opset = 20
    sums(n)
    n.add(operator, *operands, **options)
    n.quant(0.11317, 7)
    graph = exact(n)
    assert [layer.op_type for layer in graph.layers] == ["MVAU"]


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.parametrize("bits", [3, 8])
def test_a_function_that_falls_and_grows_becomes_a_table(case: str, bits: int) -> None:
    operator, options, operands = TABLES[case]
    n = Network(2, 3, 4)
    n.opset = 20
    sums(n)
    n.quant(0.11 if bits == 8 else 0.9, bits)
    n.add(operator, *operands, **options)
    n.add("Mul", np.float32(1.3))
    n.quant(0.13731, 5)
    graph = exact(n)
    assert [layer.op_type for layer in graph.layers] == ["MVAU", "Lookup"]
    table = graph.layers[-1].table
    assert len(table) == (3 if "PRelu" in case else 1)


@pytest.mark.parametrize("case", TABLES)
def test_of_many_sums_it_is_refused_by_name(case: str) -> None:
    operator, options, operands = TABLES[case]
    n = Network(2, 3, 4)
    n.opset = 20
    n.quant(0.1, 8)
    n.conv(2, 3, 1, bits=8)
    n.add(operator, *operands, **options)
    n.quant(0.1, 4)
    with pytest.raises(UnsupportedError, match=rf"{operator}_3 is a function that falls and grows.* Put a quantizer"):
        convert(n)


def swish(n: Network, x: str) -> None:
    n.node("Mul", [x, n.node("Sigmoid", [x])])


def hard_swish(n: Network, x: str) -> None:
    n.node("Mul", [n.add("HardSigmoid", at=x, alpha=0.2, beta=0.5), x])


def mish(n: Network, x: str) -> None:
    n.node("Mul", [x, n.node("Tanh", [n.node("Softplus", [x])])])


def gelu(n: Network, x: str) -> None:
    """As torch exports it."""
    n.add("Div", np.float32(1.4142135), at=x)
    n.node("Mul", [x, n.add("Add", np.float32(1), at=n.add("Erf"))])
    n.add("Mul", np.float32(0.5))


def gelu_by_tanh(n: Network, x: str) -> None:
    cube = n.add("Mul", np.float32(0.044715), at=n.add("Pow", np.float32(3), at=x))
    inner = n.add("Mul", np.float32(0.7978845), at=n.node("Add", [x, cube]))
    n.node("Mul", [n.add("Mul", np.float32(0.5), at=x), n.add("Add", np.float32(1), at=n.node("Tanh", [inner]))])


def quantized_swish(n: Network, x: str) -> None:
    """As networks in QDQ have it: both factors are quantized."""
    n.node("Mul", [x, n.quant(1 / 256, 8, signed=0, at=n.node("Sigmoid", [x]))])


def of_two_quantizers(n: Network, x: str) -> None:
    """Of one that is a function of the other, and through a third."""
    y = n.quant(0.2, 5, at=n.add("Tanh", at=x))
    z = n.quant(0.3, 4, at=n.add("Abs", at=y))
    n.node("Sub", [n.node("Mul", [z, x]), n.add("Sin", at=y)])


def quotient(n: Network, x: str) -> None:
    """x / (1 + exp(−x))."""
    n.node("Div", [x, n.add("Add", np.float32(1), at=n.add("Exp", at=n.add("Neg", at=x)))])


PAIRS = [swish, hard_swish, mish, gelu, gelu_by_tanh, quantized_swish, of_two_quantizers, quotient]


@pytest.mark.parametrize("build", PAIRS, ids=lambda build: build.__name__)
def test_a_product_of_functions_of_one_tensor_is_a_table(build: Callable[[Network, str], None]) -> None:
    n = Network(2, 3, 4)
    n.opset = 20
    sums(n)
    build(n, n.quant(0.11, 7))
    n.quant(0.07, 5)
    graph = exact(n)
    assert [layer.op_type for layer in graph.layers] == ["MVAU", "Lookup"]


def test_a_table_may_stand_before_a_padded_convolution_and_a_pool() -> None:
    n = Network(2, 6, 6)
    sums(n)
    swish(n, n.quant(0.2, 6))
    n.quant(0.1, 4)
    n.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    n.conv(3, 2, pads=[1, 1, 1, 1])
    n.quant(0.3719, 5)
    exact(n)


def test_a_table_that_turns_out_to_rise_becomes_thresholds() -> None:
    n = Network(2, 3, 4)
    sums(n)
    x = n.quant(0.2, 6, signed=0)
    n.node("Mul", [x, x])
    n.quant(0.5, 4)
    assert [layer.op_type for layer in exact(n).layers] == ["MVAU", "Thresholding"]


@pytest.mark.parametrize(
    ("operator", "message"),
    [("Sqrt", "for some of which it has no value"), ("Log", "for some of which it has no value")],
)
def test_values_outside_of_a_domain_are_refused_by_name(operator: str, message: str) -> None:
    n = Network(2, 3, 4)
    sums(n)
    n.add(operator)
    n.quant(0.1, 4)
    with pytest.raises(UnsupportedError, match=rf"{operator}_3 reads values from .*{message}"):
        convert(n)


def test_inside_of_their_domain_they_are_thresholds() -> None:
    n = Network(2, 3, 4)
    sums(n)
    n.add("Exp", at=n.add("Clip", np.float32(-2), np.float32(2)))
    n.add("Sqrt", at=n.add("Log", at=n.add("Add", np.float32(1))))
    n.quant(0.1, 4)
    assert [layer.op_type for layer in exact(n).layers] == ["MVAU"]


def test_a_pole_is_refused() -> None:
    n = Network(2, 3, 4)
    sums(n)
    n.quant(0.5, 4)
    n.add("Reciprocal")
    n.quant(0.1, 4)
    with pytest.raises(UnsupportedError, match="Quant_5 reads inf for the integer 0 .* every value must be finite"):
        convert(n)


def test_a_maximum_of_what_falls_and_grows_is_refused() -> None:
    n = Network(2, 4, 4)
    sums(n)
    n.quant(0.5, 4)
    n.add("Abs")
    n.add("MaxPool", kernel_shape=[2, 2])
    n.quant(0.1, 4)
    with pytest.raises(UnsupportedError, match="MaxPool_5 takes the largest of a real-valued tensor"):
        convert(n)


def test_a_quotient_of_two_tensors_is_refused() -> None:
    n = Network(2, 3, 4)
    x = n.quant(0.1, 4)
    a, b = (n.quant(0.5, 4, at=n.conv(2, 3, 1, at=x)) for _ in range(2))
    n.node("Div", [a, b])
    n.quant(0.1, 4)
    with pytest.raises(UnsupportedError, match="Div_7 joins two tensors"):
        convert(n)
