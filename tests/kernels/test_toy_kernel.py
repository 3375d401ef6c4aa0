"""A kernel is one class: a toy that is defined here goes through all that asks kernels, and nothing else names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pytest

from pipeline.codegen.rtl import write_design
from pipeline.dataflow import registry
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer, Shape, Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.resources import Resources
from pipeline.folding.estimate import ResourceModel
from pipeline.folding.fold import fold
from pipeline.folding.folding_config import FoldingConfig
from pipeline.folding.stitching import stitch
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.report.purposes import layer_lut_by_purpose
from pipeline.synthesis.synth import LayerResources
from tests.dataflow.residual import residual_network

UINT4 = IntType(0, 15)
SHAPE = (4, 4, 8)


@dataclass(frozen=True, eq=False)
class Larger(Layer):
    """The larger one of the elements of two streams of frames of `shape`."""

    shape: Shape
    type: IntType
    pe: int = 1

    op_type: ClassVar[str] = "Larger"
    module: ClassVar[str] = "larger"
    finn_attributes: ClassVar[Mapping[str, str]] = {"PE": "pe"}
    lut_purpose: ClassVar[str] = "glue"

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.pe),) * 2

    def outputs(self) -> tuple[Stream, ...]:
        return (Stream(self.shape, self.type, self.pe),)

    def reference(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.maximum(*inputs).astype(np.int64),)

    def cycles(self) -> int:
        return self.inputs()[0].beats

    def latency(self) -> int:
        return 1

    def inputs_needed(self) -> np.ndarray:
        return np.arange(1, self.cycles() + 1, dtype=np.int64)

    def legal_values(self) -> dict[str, tuple[int, ...]]:
        return {"pe": divisors(self.shape[2])}

    def demand(self, family: str) -> Demand:
        demand = Demand(self.op_type)
        demand.add(compared=self.pe * self.type.bits)
        return demand

    def parameters(self) -> dict[str, int | str]:
        return {"Pe": self.pe, "Width": self.type.bits}

    def connections(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, str]:
        ends = [*((f"in{i}", name) for i, name in enumerate(inputs)), ("out", outputs[0])]
        return {f"{end}_{part}": f"{name}_{part}" for end, name in ends for part in ("valid", "ready", "data")}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        return cls("layer", ("x", "z"), ("y",), **draw.stream())


registry._KERNELS.pop("Larger")  # other tests see the kernels that there are, whoever imports this file


@pytest.fixture(scope="module", autouse=True)
def registered():
    registry.register(Larger)
    yield
    registry._KERNELS.pop("Larger")


@pytest.fixture
def graph() -> LayerGraph:
    """The residual network, with the larger one of its output and itself behind it."""
    before = residual_network(size=4, channels=8)
    kind = before.streams[before.output].type
    both = DuplicateStreams("DuplicateStreams_9", (before.output,), ("a", "b"), shape=SHAPE, type=kind, copies=2)
    return replace(
        before, layers=(*before.layers, both, Larger("Larger_0", ("a", "b"), ("end",), SHAPE, kind)), output="end"
    )


@pytest.fixture
def fitted(monkeypatch):
    """What a fit to synthesis would add to the coefficients."""
    shipped = ResourceModel.load("xcup")._coefficients
    factors = {"lut": {"compared": 1.5}, "ff": {"compared": 1.0}}
    monkeypatch.setattr(ResourceModel, "load", lambda family: ResourceModel(family, {**shipped, "Larger": factors}))


def test_it_is_stored(graph, tmp_path):
    save_graph(graph, tmp_path)
    again = load_graph(tmp_path)
    frames = np.random.default_rng(0).integers(0, 4, (3, *graph.streams[graph.input].shape))
    assert type(again.layer("Larger_0")) is Larger
    np.testing.assert_array_equal(again.run(frames), graph.run(frames))


def test_it_is_folded_estimated_and_stitched(graph, fitted):
    """At a rate that needs four lanes of it."""
    folded = fold(graph, SHAPE[0] * SHAPE[1] * 2, mvau_style="unrolled")
    layer = folded.graph.layer("Larger_0")
    assert layer.finn_folding() == {"PE": layer.pe} and layer.pe >= 4
    assert folded.estimates["Larger_0"].lut == 1.5 * layer.pe * layer.type.bits
    assert folded.cycles["Larger_0"] == SHAPE[0] * SHAPE[1] * SHAPE[2] // layer.pe
    assert all(name.endswith("_fifo") for name in layer.input_names)


def test_a_folding_file_sets_its_pe(graph, fitted):
    wanted = FoldingConfig.parse({"Larger_0": {"PE": 2}, "MVAU_0": {"PE": 8, "SIMD": 8}}, "folding.json", graph)
    assert not wanted.ignored
    assert fold(graph, None, {"Larger_0": {"PE": 2}}).graph.layer("Larger_0").pe == 2


def test_without_factors_the_estimate_says_what_to_run(graph):
    with pytest.raises(KeyError, match="Larger has no factors .* benchmarks.estimator.calibrate --kind Larger"):
        fold(graph, None)


def test_its_instance_stands_in_the_stitched_network(graph, tmp_path):
    stitched = stitch(graph)
    write_design(stitched.layers, [stitched.input], [stitched.output], tmp_path, "top")
    text = (tmp_path / "top.sv").read_text()
    assert "larger #(" in text and ".in1_data(" in text


def test_its_luts_have_their_purpose():
    resources = LayerResources("Larger", Resources(lut=7), {"larger": Resources(lut=7)})
    assert layer_lut_by_purpose(resources)["glue"] == 7
