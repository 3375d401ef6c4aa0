"""Each quantizer against QONNX's own operator, in every bit of float32; each that has no exact form refused by name."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from qonnx.custom_op.general.intquant import resolve_rounding_mode
from qonnx.custom_op.registry import getCustomOp

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.quantization import convert_input_quantizer
from pipeline.frontend.conversion.tensors import HostTensor
from pipeline.frontend.streamline.obstacles import Obstacles
from pipeline.frontend.streamline.quantizers import ROUNDINGS, check_quantizers, read_quantizer

DOMAIN = "qonnx.custom_op.general"
LEVELS = np.concatenate([np.arange(-40, 41) / 4, [-1e6, 1e6, -1e-45, 1e-45, -0.0, 0.49999997, -0.49999997]])
ATTRIBUTES = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}


def quantizer_node(op: str, operands, version: int = 1, **attributes) -> tuple[onnx.NodeProto, dict[str, np.ndarray]]:
    names = [f"c{i}" for i in range(len(operands))]
    node = helper.make_node(op, ["x", *names], ["y"], f"{op}_0", domain=DOMAIN, **attributes)
    arrays = [o if isinstance(o, np.ndarray) else np.asarray(o, np.float32) for o in operands]
    return node, dict(zip(names, arrays, strict=True))


def quant(scale=1.0, zero_point=0.0, bits=4.0, op: str = "Quant", **attributes):
    return quantizer_node(op, (scale, zero_point, bits), **{**ATTRIBUTES, **attributes})


def by_qonnx(node: onnx.NodeProto, operands: dict[str, np.ndarray], x: np.ndarray, version: int = 1) -> np.ndarray:
    context = {"x": x, **operands}
    getCustomOp(node, version).execute_node(context, None)
    return context["y"]


def by_us(node: onnx.NodeProto, operands: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    quantizer = read_quantizer(node, list(operands.values()))
    integers = quantizer.integers(torch.from_numpy(x.copy()))
    assert quantizer.lo <= integers.min() and integers.max() <= quantizer.hi
    return integers.numpy() * quantizer.scale


def by_the_driver(node: onnx.NodeProto, operands: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    quantizer = read_quantizer(node, list(operands.values()))
    builder = LayerBuilder()
    convert_input_quantizer(builder, node, HostTensor.whole((x.size,), (x.size,)), quantizer)
    return builder.input_transform.apply(x[None]).ravel().astype(np.float32) * quantizer.scale


def test_rounding_modes_are_qonnxs() -> None:
    x = (np.arange(-60, 61) / 8).astype(np.float32)
    for mode, function in ROUNDINGS.items():
        assert np.array_equal(function(torch.from_numpy(x)).numpy(), resolve_rounding_mode(mode)(x)), mode
    # the table in QONNX's description of the operator
    halves = torch.tensor([5.5, 2.5, -2.5, -5.5])
    assert ROUNDINGS["HALF_UP"](halves).tolist() == [6, 3, -3, -6]
    assert ROUNDINGS["HALF_DOWN"](halves).tolist() == [5, 2, -2, -5]
    assert ROUNDINGS["ROUND"](halves).tolist() == [6, 2, -2, -6]


@pytest.mark.parametrize("rounding", [*ROUNDINGS, "round", "Half_Up", "half_down"])
@pytest.mark.parametrize("bits", [1, 1.5, 2, 3.5, 4, 6.25, 8])
def test_quant_is_qonnxs(bits: float, rounding: str) -> None:
    for signed, narrow, zero_point, scale in itertools.product((0, 1), (0, 1), (0, 3, -2), (0.5, 0.3)):
        node, operands = quant(scale, zero_point, bits, signed=signed, narrow=narrow, rounding_mode=rounding)
        x = (LEVELS * np.float32(scale)).astype(np.float32)
        expected = by_qonnx(node, operands, x)
        assert np.array_equal(by_us(node, operands, x), expected)
        assert np.array_equal(by_the_driver(node, operands, x), expected)


def test_a_width_that_is_not_whole_reaches_its_rounded_limits() -> None:
    node, operands = quant(1.0, 0.0, 3.5)
    quantizer = read_quantizer(node, list(operands.values()))
    assert (quantizer.lo, quantizer.hi) == (-6, 5)


def test_intquant_and_integer_widths() -> None:
    x = LEVELS.astype(np.float32)
    node, operands = quant(0.5, 0.0, np.array(4, np.int32), op="IntQuant")
    assert np.array_equal(by_us(node, operands, x), by_qonnx(node, operands, x))


def test_channels_have_scales_and_zero_points() -> None:
    x = np.broadcast_to(LEVELS[:, None], (len(LEVELS), 3)).astype(np.float32)
    for bits in (1.0, 4.0):
        node, operands = quant(np.array([[0.5, 1, 0.3]], np.float32), np.array([[0, 3, -2]], np.float32), bits)
        assert np.array_equal(by_us(node, operands, x), by_qonnx(node, operands, x))


def test_bipolar_is_qonnxs() -> None:
    x = LEVELS.astype(np.float32)
    for scale in (0.5, 100.0):  # a quotient by 100 of the smallest number is zero
        node, operands = quantizer_node("BipolarQuant", (scale,))
        expected = by_qonnx(node, operands, x)
        assert expected[x == 0].tolist() == [scale] * 2
        assert np.array_equal(by_us(node, operands, x), expected)
        assert np.array_equal(by_the_driver(node, operands, x), expected)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_trunc_is_qonnxs(rounding: str) -> None:
    x = np.arange(-300, 300, 0.25) * 0.125  # of a truncation's integers, and between them, which it rounds first
    x = x.astype(np.float32)
    for output_bits in (2.0, 4.0, 9.0):
        node, operands = quantizer_node("Trunc", (0.125, 0.0, 8.0, output_bits), rounding_mode=rounding)
        assert np.array_equal(by_us(node, operands, x), by_qonnx(node, operands, x))
    for output_scale, signed, narrow in itertools.product((0.0625, 0.25, 1.1), (0, 1), (0, 1)):
        node, operands = quantizer_node(
            "Trunc", (0.125, 0.0, 8.0, output_scale, 4.0), rounding_mode=rounding, signed=signed, narrow=narrow
        )
        assert np.array_equal(by_us(node, operands, x), by_qonnx(node, operands, x, 2))
    node, operands = quantizer_node("Trunc", (0.125, 0.0, 8.0, 0.5, 4.0), rounding_mode=rounding)  # signed, not narrow
    assert np.array_equal(by_us(node, operands, x), by_qonnx(node, operands, x, 2))


REFUSED = {
    "scale of zero": (quant(0.0), "scale of 0; it must be finite and positive"),
    "negative scale": (quant(-0.5), "scale of -0.5"),
    "scale of NaN": (quant(np.nan), "scale of nan"),
    "infinite scale": (quant(np.inf), "scale of inf"),
    "one bad scale of many": (quant(np.array([1, -2, 1], np.float32)), "scale of -2"),
    "scale that float32 does not hold": (quant(np.array(0.1, np.float64)), "scale of 0.1; .*float32"),
    "scale beyond float32": (quant(np.array(1e300, np.float64)), r"scale of 1e\+300; .*float32"),
    "empty scale": (quant(np.zeros(0, np.float32)), "shape"),
    "scale of another type": (quant(np.array(True)), "type bool"),
    "zero point of NaN": (quant(1.0, np.nan), "zero point of nan"),
    "infinite zero point": (quant(1.0, np.inf), "zero point of inf"),
    "zero point that is not whole": (quant(1.0, 0.25), "zero point of 0.25; it must be whole"),
    "width of NaN": (quant(1.0, 0.0, np.nan), "bit width of nan"),
    "infinite width": (quant(1.0, 0.0, np.inf), "bit width of inf"),
    "width of zero": (quant(1.0, 0.0, 0.0), "bit width of 0; expected 1 to 32"),
    "negative width": (quant(1.0, 0.0, -1.0), "bit width of -1"),
    "huge width": (quant(1.0, 0.0, 1e9), r"bit width of 1e\+09"),
    "width a channel": (quant(1.0, 0.0, np.array([2, 4], np.float32)), "bit width that differs"),
    "unknown rounding": (quant(rounding_mode="STOCHASTIC"), "rounds by 'STOCHASTIC'; supported are ROUND"),
    "rounding not UTF-8": (quant(rounding_mode=b"\xff\xfe"), "rounds by"),
    "rounding a number": (quant(rounding_mode=1), "rounding_mode of type INT; expected STRING"),
    "signed a float": (quant(signed=1.0), "signed of type FLOAT; expected INT"),
    "too few operands": (quantizer_node("Quant", (1.0, 0.0), **ATTRIBUTES), "3 operands; expected 4"),
    "Trunc with a zero point": (quantizer_node("Trunc", (1.0, 2.0, 8.0, 4.0), rounding_mode="FLOOR"), "zero point"),
    "Trunc of half a bit": (quantizer_node("Trunc", (1.0, 0.0, 8.0, 4.5), rounding_mode="FLOOR"), "drops 3.5 bits"),
    "Trunc to a scale of NaN": (
        quantizer_node("Trunc", (1.0, 0.0, 8.0, np.nan, 4.0), rounding_mode="FLOOR"),
        "output scale of nan",
    ),
    "Trunc with narrow of 2": (
        quantizer_node("Trunc", (1.0, 0.0, 8.0, 2.0, 4.0), rounding_mode="FLOOR", narrow=2),
        "narrow 2; expected one of 0, 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_exact_form_is_refused(case: str) -> None:
    (node, operands), expected = REFUSED[case]
    with pytest.raises(UnsupportedError, match=f"{node.name}.*{expected}"):
        read_quantizer(node, list(operands.values()))


@pytest.mark.parametrize(
    ("op", "operands", "name"),
    [("Quant", (1, 0, 4), "signed"), ("Quant", (1, 0, 4), "narrow"), ("Trunc", (1, 0, 8, 4), "rounding_mode")],
)
def test_an_attribute_that_qonnx_requires_is_required(op: str, operands, name: str) -> None:
    attributes = {key: value for key, value in ATTRIBUTES.items() if key != name}
    if op == "Trunc":
        attributes = {}
    node, constants = quantizer_node(op, operands, **attributes)
    with pytest.raises(Exception, match=f"Required attribute {name}"):
        by_qonnx(node, constants, np.zeros(1, np.float32))
    with pytest.raises(UnsupportedError, match=f"{op}_0 leaves out {name}, which QONNX requires"):
        read_quantizer(node, list(constants.values()))


def test_rounding_left_out_is_to_the_nearest_even() -> None:
    node, operands = quantizer_node("Quant", (1.0, 0.0, 4.0), signed=1, narrow=0)
    x = LEVELS.astype(np.float32)
    assert np.array_equal(by_us(node, operands, x), by_qonnx(node, operands, x))


def test_an_operand_that_is_no_constant_is_refused() -> None:
    node, operands = quant()
    with pytest.raises(UnsupportedError, match="Quant_0 takes its scale from another node"):
        read_quantizer(node, [None, *list(operands.values())[1:]])


def model(node: onnx.NodeProto, operands: dict[str, np.ndarray], imports: dict[str, int]) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in operands.items()]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([node], "g", values[:1], values[1:], tensors)
    opsets = [helper.make_opsetid(*entry) for entry in {"": 13, **imports}.items()]
    return helper.make_model(graph, opset_imports=opsets)


TRUNC_1 = quantizer_node("Trunc", (1.0, 0.0, 8.0, 4.0), rounding_mode="FLOOR")
TRUNC_2 = quantizer_node("Trunc", (1.0, 0.0, 8.0, 2.0, 4.0), rounding_mode="FLOOR")


def checked(m: onnx.ModelProto) -> None:
    obstacles = Obstacles()
    check_quantizers(m, obstacles)
    if obstacles:
        raise obstacles.error("The model", m.graph.node)


def test_the_version_is_the_one_that_the_model_imports() -> None:
    for imports, right, wrong in (
        ({}, TRUNC_1, TRUNC_2),
        ({DOMAIN: 1}, TRUNC_1, TRUNC_2),
        ({DOMAIN: 2}, TRUNC_2, TRUNC_1),
        ({DOMAIN: 7}, TRUNC_2, TRUNC_1),
    ):
        checked(model(*right, imports))
        with pytest.raises(UnsupportedError, match=f"Trunc_0 has .* version {imports.get(DOMAIN, 1)} of {DOMAIN}"):
            checked(model(*wrong, imports))
    with pytest.raises(UnsupportedError, match="version 0 .*there is none"):
        checked(model(*TRUNC_1, {DOMAIN: 0}))


def test_the_domain_is_one_of_qonnxs() -> None:
    node, operands = quant()
    for domain in ("onnx.brevitas", "finn.custom_op.general"):
        node.domain = domain
        checked(model(node, operands, {}))
    node.domain = "my.domain"
    with pytest.raises(UnsupportedError, match="Quant_0 is of the domain my.domain"):
        checked(model(node, operands, {"my.domain": 1}))
