"""A kernel with accumulators that is no MatrixVector goes through all that asks for accumulators, and nothing names it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pytest

from pipeline.accumulators.certificate import write_proof
from pipeline.accumulators.witness import witnesses
from pipeline.codegen.rtl import write_design
from pipeline.dataflow import registry
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.roles import Accumulating
from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.errors import AccumulatorError, VerificationError
from pipeline.folding.estimate import ResourceModel
from pipeline.folding.fold import fold, write_reports
from pipeline.kernels.mvau import MVAU
from pipeline.stages.accumulators import assign
from pipeline.verification.comparison import AccumulatorExtremes, as_frames

UINT2 = IntType(0, 3)
PIXELS, CHANNELS, TAPS = (2, 2), 4, 9


@dataclass(frozen=True, eq=False)
class Depthwise(Accumulating):
    """The sum of each channel's own taps: an input pixel holds a window, the taps of all channels one after the other."""

    weights: np.ndarray
    input_type: IntType
    pixels: tuple[int, int]
    bias: np.ndarray | None = None
    accumulator_bits: tuple[int, ...] | None = None
    pe: int = 1

    op_type: ClassVar[str] = "Depthwise"
    module: ClassVar[str] = "depthwise"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe"}
    lut_purpose: ClassVar[str] = "glue"
    sets_rate: ClassVar[bool] = True

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream((*self.pixels, self.weights.size), self.input_type, self.pe),)

    def outputs(self) -> tuple[Stream, ...]:
        lows, highs = self.accumulator_range()
        return (Stream((*self.pixels, len(self.weights)), IntType(int(lows.min()), int(highs.max())), self.pe),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        taps = inputs[0].reshape(*inputs[0].shape[:3], self.weights.shape[1], len(self.weights)).astype(np.int64)
        sums = (taps * self.weights.T).sum(axis=3)
        return (sums if self.bias is None else sums + self.bias,)

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        return 3

    def inputs_needed(self) -> np.ndarray:
        folds = len(self.weights) // self.pe
        pixels = np.arange(1, self.pixels[0] * self.pixels[1] + 1)
        return np.repeat(pixels * folds * self.weights.shape[1], folds)

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(len(self.weights))}

    def demand(self, family: str) -> Demand:
        demand = Demand(self.op_type)
        demand.add(accumulators=sum(self.lane_accumulator_bits()))
        return demand

    def op_and_param_counts(self) -> dict[str, int]:
        return {f"param_weight_{self.weight_type.bits}b": self.weights.size}

    def lane_accumulator_bits(self) -> tuple[int, ...]:
        bits = self.accumulator_bits or self.exact_accumulator_bits()
        return tuple(max(bits[lane :: self.pe]) for lane in range(self.pe))

    def pixel_of(self, row: int, elements: np.ndarray) -> np.ndarray:
        taps = np.full((len(elements), len(self.weights)), self.input_type.lo)
        taps[:, row] = elements
        return taps.ravel()

    def parameters(self) -> dict[str, int | str]:
        return {"Pe": self.pe}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        weights = draw.random.integers(-7, 8, (CHANNELS, TAPS))
        return cls("layer", ("x",), ("y",), weights=weights, input_type=UINT2, pixels=PIXELS)


registry._KERNELS.pop("Depthwise")  # other tests see the kernels that there are, whoever imports this file


@pytest.fixture(scope="module", autouse=True)
def registered():
    registry.register(Depthwise)
    yield
    registry._KERNELS.pop("Depthwise")


@pytest.fixture
def graph() -> LayerGraph:
    """A matrix that makes the windows of a Depthwise."""
    rng = np.random.default_rng(0)
    thresholds = np.tile([1, 8, 20], (CHANNELS * TAPS, 1))
    matrix = MVAU(
        "MVAU_0", ("in",), ("mid",), rng.integers(-7, 8, (CHANNELS * TAPS, 4)), UINT2, UINT2, PIXELS, thresholds
    )
    weights, bias = rng.integers(-7, 8, (CHANNELS, TAPS)), rng.integers(-50, 50, CHANNELS)
    depthwise = Depthwise("Depthwise_0", ("mid",), ("out",), weights, UINT2, PIXELS, bias, source="dw.weight")
    return LayerGraph("toy", (matrix, depthwise), "in", "out")


@pytest.fixture
def fitted(monkeypatch):
    """What a fit to synthesis would add to the coefficients."""
    shipped = ResourceModel.load("xcup")._coefficients
    factors = {"lut": {"accumulators": 2.0}, "ff": {"accumulators": 1.0}}
    monkeypatch.setattr(ResourceModel, "load", lambda family: ResourceModel(family, {**shipped, "Depthwise": factors}))


def test_its_widths_are_proven_and_its_proof_is_checked(graph, tmp_path):
    assigned, certificate = assign(graph, per_pe=True)
    layer = assigned.layer("Depthwise_0")
    assert layer.accumulator_bits == layer.exact_accumulator_bits()
    assert certificate.layer("Depthwise_0").k == TAPS
    write_proof(certificate, assigned.accumulating, tmp_path)
    subprocess.run([sys.executable, tmp_path / "check_certificate.py"], check=True, capture_output=True)
    save_graph(assigned, tmp_path)
    assert load_graph(tmp_path).layer("Depthwise_0").accumulator_bits == layer.accumulator_bits


def test_a_policy_for_it_alone_can_fail(graph):
    with pytest.raises(AccumulatorError, match=r"Depthwise_0 \(dw.weight\)"):
        assign(graph, overrides={"dw": "target"}, stated_bits={"dw": 4})


def test_its_witnesses_reach_both_ends_of_its_range(graph):
    layer = graph.layer("Depthwise_0")
    inputs = as_frames(witnesses(graph)["Depthwise_0"], layer.inputs()[0].shape)
    (sums,) = layer.reference(inputs)
    lows, highs = layer.accumulator_range()
    assert (sums.min(), sums.max()) == (lows.min(), highs.max())
    AccumulatorExtremes.of(layer, (int(sums.min()), int(sums.max())))
    with pytest.raises(VerificationError, match="Depthwise_0"):
        AccumulatorExtremes.of(layer, (int(sums.min()) - 1, int(sums.max())))


def test_it_sets_the_rate_and_is_counted_by_the_reports(graph, fitted, tmp_path):
    folded = fold(graph, 2 * graph.layer("Depthwise_0").cycles() // CHANNELS)
    layer = folded.graph.layer("Depthwise_0")
    assert layer.pe == 2 and folded.estimates["Depthwise_0"].lut == 2 * sum(layer.lane_accumulator_bits())
    assert folded.choices == {} and set(folded.cycles) >= {"MVAU_0", "Depthwise_0"}
    write_reports(folded, tmp_path, 5.0)
    counts = json.loads((tmp_path / "report" / "op_and_param_counts.json").read_text())
    assert counts["Depthwise_0"] == {"param_weight_4b": CHANNELS * TAPS}
    config = json.loads((tmp_path / "auto_folding_config.json").read_text())
    assert config["Depthwise_0"] == {"PE": 2}


def test_a_debug_build_watches_its_accumulators(graph, tmp_path):
    (layer,) = (replace(layer, output_names=("y",)) for layer in graph if layer.op_type == "Depthwise")
    write_design([layer], ["mid"], ["y"], tmp_path, "top", check_overflow=True)
    text = (tmp_path / "top.sv").read_text()
    assert ".CheckOverflow(1)" in text and ".overflow_o(overflow[0])" in text.replace(" ", "")
