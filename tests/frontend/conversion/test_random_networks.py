"""Random networks equal QONNX's executor in every integer, or are refused with the node's name."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dataflow.random_networks import RandomNetwork, compare

COUNT, TOGETHER = 160, 40


@pytest.mark.parametrize("first", range(0, COUNT, TOGETHER))
def test_random_networks_are_exact(first: int) -> None:
    results = {seed: compare(RandomNetwork(seed)) for seed in range(first, first + TOGETHER)}
    assert not {seed: result.wrong for seed, result in results.items() if result.wrong}
    built = [result for result in results.values() if not result.refused]
    assert len(built) >= 0.6 * TOGETHER, {seed: result.refused for seed, result in results.items()}
    # that float32 moves a value over a boundary stays the exception
    frames = sum(result.frames for result in built)
    assert sum(result.in_double for result in built) <= 0.1 * frames
    assert sum(result.undecided for result in built) <= 0.01 * frames


def test_the_networks_have_every_feature() -> None:
    networks = [RandomNetwork(seed) for seed in range(COUNT)]
    draws = set().union(*(network.draws for network in networks))
    operators = {node.op_type for network in networks for node in network.nodes}
    assert operators >= {
        *("Quant", "IntQuant", "BipolarQuant", "Trunc", "Conv", "MatMul", "Gemm", "BatchNormalization", "Relu"),
        *("LeakyRelu", "Clip", "Sigmoid", "Tanh", "Add", "Sub", "Mul", "Div", "Neg", "MaxPool", "AveragePool"),
        *(
            "GlobalAveragePool",
            "ReduceMean",
            "Flatten",
            "Reshape",
            "PRelu",
            "Elu",
            "Selu",
            "Celu",
            "Softplus",
            "Softsign",
        ),
        *("HardSigmoid", "ThresholdedRelu", "Erf", "Abs", "Sin"),
        *("Concat", "ConvTranspose", "DepthToSpace", "Pad", "Resize", "Slice", "SpaceToDepth"),
        *("Split", "GlobalMaxPool", "ReduceMax"),
    }
    assert draws >= {f"{bits} bits" for bits in range(1, 17)}
    assert draws >= {
        f"rounding {mode}" for mode in ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
    }
    assert draws >= {
        *("1-D convolution", "1-D MaxPool", "ceil_mode", "dilated MaxPool"),
        *("several outputs", "an end on the host", "host linear", "host nearest", "host Transpose", "host Slice"),
        *("signed", "unsigned", "narrow", "full range", "fractional width", "zero point", "zero point a channel"),
        *("scale a channel", "weight scale a channel", "bipolar weights", "depthwise", "grouped", "stride"),
        *(
            "uneven pads",
            "padded convolution",
            "padded MaxPool",
            "padded AveragePool",
            "1 × 1",
            "bias",
            "residual",
            "dilated convolution",
        ),
        *("table of Swish", "table of HardSwish", "table of Mish", "table of Gelu", "table of square"),
        *(
            "table of difference",
            "Trunc of version 1",
            "Trunc of version 2",
            "top1",
            "logits",
            "product",
            "gate",
            "dyadic",
            "real scales",
            "host steps",
        ),
    }
    assert sum(network.exact for network in networks) >= COUNT // 5


def test_frames_reach_every_level_of_the_input() -> None:
    counted = 0
    for seed in range(20):
        network = RandomNetwork(seed)
        result = compare(network)
        # the host's steps stand between the frames and the levels
        if result.refused or network.undo or any(draw.startswith("host ") for draw in network.draws):
            continue
        seen = np.unique(result.streams["input"])
        assert len(seen) == 2 or np.array_equal(seen, np.arange(seen.min(), seen.max() + 1)), seed
        counted += 1
    assert counted >= 5
