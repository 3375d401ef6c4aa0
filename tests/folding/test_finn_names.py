from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.dataflow.finn_node import OPERATORS
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError
from pipeline.folding.finn_names import Names
from pipeline.folding.fold import fold
from pipeline.folding.folding_config import FoldingConfig
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool

UINT2 = IntType(0, 3)


class _Chain:
    """Layers one after another on frames of 2-bit integers."""

    def __init__(self, size: int, channels: int) -> None:
        self.shape = (size, size, channels)
        self.layers: list[Layer] = []

    def add(self, kind: type[Layer], **fields) -> None:
        index = sum(isinstance(layer, kind) for layer in self.layers)
        name, end = f"{kind.op_type}_{index}", f"s{len(self.layers)}"
        self.layers.append(kind(name, (end,), (f"s{len(self.layers) + 1}",), **fields))

    def windows(self, kernel: int, stride: int) -> None:
        self.add(ConvolutionInputGenerator, shape=self.shape, type=UINT2, kernel=(kernel,) * 2, stride=(stride,) * 2)
        rows = (self.shape[0] - kernel) // stride + 1
        self.shape = (rows, rows, self.shape[2])

    def convolution(self, kernel: int, stride: int = 1) -> None:
        columns = kernel**2 * self.shape[2]
        if kernel > 1 or stride > 1:
            self.windows(kernel, stride)
        self.add(
            MVAU,
            weights=np.ones((self.shape[2], columns), int),
            input_type=UINT2,
            output_type=UINT2,
            pixels=self.shape[:2],
            thresholds=np.tile([1, 2, 3], (self.shape[2], 1)),
        )

    def pool(self, kernel: int, stride: int, function: str = "max") -> None:
        self.windows(kernel, stride)
        self.add(
            Pool,
            pixels=self.shape[:2],
            channels=self.shape[2],
            window=kernel**2,
            type=UINT2,
            function=function,
            shift=2 if function == "sum" else 0,
        )

    def graph(self) -> LayerGraph:
        return LayerGraph("chain", tuple(self.layers), "s0", f"s{len(self.layers)}")


def chain() -> LayerGraph:
    """Two convolutions, a maximum, a convolution, a 1×1 one with a stride, a maximum of windows that overlap."""
    made = _Chain(22, 2)
    made.convolution(3)
    made.convolution(3)
    made.pool(2, 2)
    made.convolution(3)
    made.convolution(1, 2)
    made.pool(3, 1)
    return made.graph()


GRAPH = chain()


def named(*keys: str, graph: LayerGraph = GRAPH) -> dict[str, str]:
    """The layer that each of a file's names means, if any."""
    layers, _ = Names.read(keys, "The file").of(graph)
    known = {layer.name for layer in graph}
    return {key: name for name, key in layers.items() if name in known}


def test_an_operator_of_today_is_not_renamed() -> None:
    today = {layer.op_type for layer in GRAPH} | {"Thresholding", "AddStreams", "StreamingFIFO", "VVAU"}
    assert not today & OPERATORS.keys()
    assert not set(OPERATORS.values()) & OPERATORS.keys()


def test_today_every_window_is_counted() -> None:
    keys = [f"ConvolutionInputGenerator_rtl_{i}" for i in range(6)] + ["Pool_hls_0", "Pool_hls_1", "MVAU_hls_3"]
    assert named(*keys) == {key: key.replace("_rtl", "").replace("_hls", "") for key in keys}
    assert Names.read(keys, "The file").of(GRAPH)[1] == ""


@pytest.mark.parametrize("matrix", ["StreamingFCLayer_Batch", "MatrixVectorActivation"])
def test_up_to_0_9_a_maximum_and_a_stride_have_no_windows(matrix: str) -> None:
    file = Names.read(
        [
            *("ConvolutionInputGenerator_0", f"{matrix}_0", "ConvolutionInputGenerator_1", f"{matrix}_1"),
            *("StreamingMaxPool_Batch_0", "ConvolutionInputGenerator_2", f"{matrix}_2", "DownSampler_0", f"{matrix}_3"),
            *("ConvolutionInputGenerator_3", "Pool_Batch_0", "ConvolutionInputGenerator_4"),
        ],
        "The file",
    )
    layers, note = file.of(GRAPH)
    assert {key: name for name, key in layers.items()} == {
        "ConvolutionInputGenerator_0": "ConvolutionInputGenerator_0",
        "ConvolutionInputGenerator_1": "ConvolutionInputGenerator_1",
        "StreamingMaxPool_Batch_0": "Pool_0",
        "ConvolutionInputGenerator_2": "ConvolutionInputGenerator_3",
        "DownSampler_0": "ConvolutionInputGenerator_4",
        "ConvolutionInputGenerator_3": "ConvolutionInputGenerator_5",
        "Pool_Batch_0": "Pool_1",
        **{f"{matrix}_{i}": f"MVAU_{i}" for i in range(4)},
        "ConvolutionInputGenerator_4": "none for ConvolutionInputGenerator_4",
    }
    assert note == (
        "FINN counts in another way: StreamingMaxPool_Batch_0 is Pool_0, ConvolutionInputGenerator_2 is "
        "ConvolutionInputGenerator_3, DownSampler_0 is ConvolutionInputGenerator_4, ConvolutionInputGenerator_3 is "
        "ConvolutionInputGenerator_5 and 1 more"
    )
    folded = fold(GRAPH).graph
    assert file.of(folded) == (layers, note)


def test_each_is_folded_as_what_it_is_here() -> None:
    content = {
        "StreamingFCLayer_Batch_0": {"PE": 2},
        "StreamingMaxPool_Batch_0": {"PE": 1},
        "ConvolutionInputGenerator_2": {"SIMD": 2},
        "DownSampler_0": {"SIMD": 1},
    }
    config = FoldingConfig.parse(content, "f", GRAPH)
    assert config.ignored == ("StreamingMaxPool_Batch_0.PE",)
    assert {layer.name: config.wanted(layer) for layer in GRAPH if config.wanted(layer)} == {
        "MVAU_0": {"PE": 2},
        "ConvolutionInputGenerator_3": {"SIMD": 2},
        "ConvolutionInputGenerator_4": {"SIMD": 1},
    }


def test_a_file_of_0_10_without_its_maxima_is_told_by_its_number_of_windows() -> None:
    keys = [f"ConvolutionInputGenerator_hls_{i}" for i in range(5)]
    assert named(*keys, "MVAU_hls_0")["ConvolutionInputGenerator_hls_2"] == "ConvolutionInputGenerator_3"
    assert named(*keys, "Pool_hls_0")["ConvolutionInputGenerator_hls_2"] == "ConvolutionInputGenerator_2"
    assert named(*keys[:4])["ConvolutionInputGenerator_hls_2"] == "ConvolutionInputGenerator_2"


def test_a_global_pool_has_no_windows_where_the_file_names_one() -> None:
    made = _Chain(6, 2)
    made.convolution(3)
    made.pool(4, 4, "sum")
    graph = made.graph()
    assert named("GlobalAccPool_Batch_0", graph=graph) == {"GlobalAccPool_Batch_0": "Pool_0"}
    assert named("ConvolutionInputGenerator_1", "Pool_0", graph=graph) == {
        "ConvolutionInputGenerator_1": "ConvolutionInputGenerator_1",
        "Pool_0": "Pool_0",
    }


def test_depthwise_convolutions_are_counted_apart_from_matrices() -> None:
    keys = ("MVAU_rtl_0", "Vector_Vector_Activate_Batch_0", "MVAU_rtl_1", "VVAU_hls_1")
    assert named(*keys) == {"MVAU_rtl_0": "MVAU_0", "MVAU_rtl_1": "MVAU_1"}
    first = next(layer for layer in GRAPH if layer.name == "MVAU_0")
    layers = tuple(replace(layer, name="VVAU_0") if layer is first else layer for layer in GRAPH)
    assert named("VVAU_hls_0", graph=replace(GRAPH, layers=layers)) == {"VVAU_hls_0": "VVAU_0"}


def test_backends_that_are_counted_apart_are_told() -> None:
    assert Names.read(["MVAU_hls_0", "MVAU_rtl_0", "MVAU_hls_1"], "The file").of(GRAPH)[1] == (
        "FINN counts in another way: MVAU_rtl_0 is MVAU_1, MVAU_hls_1 is MVAU_2"
    )
    assert Names.read(["MVAU_hls_0", "MVAU_rtl_1", "StreamingFIFO_rtl_0"], "The file").of(GRAPH)[1] == ""


def test_kinds_of_an_operator_are_counted_apart_in_files_order() -> None:
    keys = ("ConvolutionInputGenerator1D_0", "ConvolutionInputGenerator_0", "ConvolutionInputGenerator1D_1")
    graph = replace(GRAPH, layers=GRAPH.layers[:4], output="s4")
    assert named(*keys, graph=graph) == {keys[0]: "ConvolutionInputGenerator_0", keys[1]: "ConvolutionInputGenerator_1"}


@pytest.mark.parametrize(
    "key", ["", "MVAU", "MVAU_", "MVAU_00", "MVAU_-1", "MVAU_1.5", "MVAU_٣", "MVAU_0\n", "_0", "MVAU_9999999"]
)
def test_what_is_no_layers_name(key: str) -> None:
    assert Names.read([key], "The file").others == (key,)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["MVAU_2", "MVAU_hls_0"], "The file has MVAU_2 and MVAU_hls_0: FINN counts MVAU_hls apart"),
        (["MVAU_rtl_0", "MVAU_hls_1"], None),  # counted together
        (
            ["MVAU_rtl_0", "MVAU_hls_2"],
            "The file has MVAU_hls_2, and not all before it: FINN counts MVAU_rtl and MVAU_hls apart",
        ),
        (["MVAU_rtl_1", "MVAU_hls_0"], "The file has MVAU_rtl_1, and not all before it"),
    ],
)
def test_names_that_do_not_say_which_layer_they_are_of_are_refused(keys, message):
    if message is None:
        assert list(Names.read(keys, "The file").keys) == ["MVAU_0", "MVAU_1"]
        return
    with pytest.raises(ConfigError, match=message):
        Names.read(keys, "The file")
