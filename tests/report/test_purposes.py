from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import load_board
from pipeline.devices.resources import Resources
from pipeline.files import RTL
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.report.purposes import COLOURS, PURPOSES, layer_lut_by_purpose, lut_by_purpose, module_purposes
from pipeline.synthesis import synth
from pipeline.synthesis.synth import LayerResources
from tests.kernels.matrices import matrix_layer

UINT4 = IntType(0, 15)


def layer(op_type: str, **luts: int | tuple[int, int]) -> LayerResources:
    """A layer of which modules take LUTs; of a pair, the second is how many of them are memory."""
    pairs = {module: lut if isinstance(lut, tuple) else (lut, 0) for module, lut in luts.items()}
    modules = {module: Resources(lut=lut, lutram=memory) for module, (lut, memory) in pairs.items()}
    return LayerResources(op_type, sum(modules.values(), Resources()), modules)


def taken(resources: LayerResources) -> dict[str, int]:
    return {purpose: lut for purpose, lut in layer_lut_by_purpose(resources).items() if lut}


def test_every_module_of_the_hardware_has_a_purpose():
    generated = {"layer_adder_graph"}
    assert set(module_purposes()) - generated == {path.stem for path in Path(RTL).glob("*.sv")}
    assert set(module_purposes().values()) == set(PURPOSES) == set(COLOURS)
    assert len(set(COLOURS.values())) == len(PURPOSES)


def test_a_memory_belongs_to_the_layer_that_it_is_in():
    assert taken(layer("StreamingFIFO", simple_dual_port_ram=8, streaming_fifo=5, ooc=1)) == {"FIFOs": 14}
    assert taken(layer("ConvolutionInputGenerator", simple_dual_port_ram=8, convolution_input_generator=5)) == {
        "sliding windows": 13
    }
    assert taken(layer("FMPadding", fm_padding=3, spill_register=2)) == {"sliding windows": 5}
    assert taken(layer("SparseMVAU", simple_dual_port_ram=8, streaming_fifo=5, rom=7)) == {
        "weight memory": 7,
        "sliding windows": 8,
        "FIFOs": 5,
    }
    assert taken(layer("LabelSelect", rom=7, digit_adder=20, product_pair=2, label_select=3)) == {"glue": 32}


def test_the_vector_that_an_mvau_replays_is_a_window_and_its_control_glue():
    assert taken(layer("MVAU", mvau=(30, 24), mvau_pe=9, rom=(4, 4))) == {
        "accumulators": 9,
        "weight memory": 4,
        "sliding windows": 24,
        "glue": 6,
    }


_LAYERS = {
    "folded": (
        matrix_layer(MVAU, 8, 16, UINT4, 4, 15, pe=2, simd=4),
        {
            "multipliers",
            "adder trees",
            "accumulators",
            "thresholds",
            "weight memory",
            "sliding windows",
            "FIFOs",
            "glue",
        },
    ),
    "sparse": (
        matrix_layer(SparseMVAU, 8, 24, UINT4, 4, density=0.3, pe=2, simd=4),
        {"multipliers", "accumulators", "weight memory", "sliding windows", "FIFOs", "glue"},
    ),
    "unrolled": (matrix_layer(UnrolledMVAU, 4, 8, UINT4, 4, digits=2), {"adder trees", "accumulators", "FIFOs"}),
    "windows": (
        ConvolutionInputGenerator("w", ("x",), ("y",), shape=(4, 4, 2), type=UINT4, kernel=(2, 2), stride=(1, 1)),
        {"sliding windows"},
    ),
    "fifo": (StreamingFIFO("f", ("x",), ("y",), shape=(4, 4, 2), type=UINT4, lanes=2, depth=16), {"FIFOs"}),
}


@pytest.mark.parametrize("kind", _LAYERS)
def test_the_purposes_of_what_synthesis_counts_add_up(kind: str, tmp_path: Path):
    layer, purposes = _LAYERS[kind]
    graph = LayerGraph(kind, (layer,), *layer.input_names, *layer.output_names)
    report = synth.run(graph, load_board("KV260"), tmp_path, cache=tmp_path / "cache")
    luts = lut_by_purpose(report)
    assert tuple(luts) == PURPOSES and sum(luts.values()) == report.total.lut
    assert {purpose for purpose, lut in luts.items() if lut} == purposes
