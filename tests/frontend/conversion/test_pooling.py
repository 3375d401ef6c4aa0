"""Average pooling against QONNX's executor: what is counted at the border is what ONNX says."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline.executor import graph_output, run_graph
from tests.dataflow.networks import Network
from tests.dataflow.random_networks import compare, executed

FRAMES = np.random.default_rng(0).integers(0, 16, (6, 2, 4, 4)).astype(np.float32) / 2


def padded_average(**options) -> Network:
    network = Network(2, 4, 4)
    network.quant(0.5, 4, signed=0)
    network.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], **options)
    network.quant(0.25, 5, signed=0)
    network.conv(2, 3, 1)
    return network


def test_padding_is_not_counted_by_default() -> None:
    model = padded_average().model()
    expected = executed(model, FRAMES)[graph_output(model.graph)]
    assert np.array_equal(run_graph(model, FRAMES), expected)
    counted = padded_average(count_include_pad=1).model()
    assert not np.array_equal(run_graph(counted, FRAMES), expected)


@pytest.mark.parametrize("options", [{}, {"count_include_pad": 0}])
def test_an_average_that_does_not_count_its_padding_is_refused(options: dict) -> None:
    with pytest.raises(UnsupportedError, match="AveragePool_1 pads without counting the padding"):
        dataflow.convert(padded_average(**options).model(), FRAMES, top1=False)


def test_an_average_that_counts_its_padding_is_exact() -> None:
    result = compare(padded_average(count_include_pad=1), FRAMES)
    assert not result.wrong and not result.refused and not result.in_double
