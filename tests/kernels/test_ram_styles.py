"""Weights in LUTs, block RAM and UltraRAM: the same results and cycles, what the memories become, and loading them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.codegen.rtl import WEIGHT_FILE, describe_design, write_design
from pipeline.dataflow.layer import Memory
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, DeadlockError
from pipeline.kernels.matrix_vector import RAM_STYLES
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.vvau import VVAU
from pipeline.synthesis import synth
from pipeline.tools.verilator import build_model, lint
from tests.kernels.matrices import matrix_layer
from tests.kernels.side_by_side import simulate_side_by_side

UINT4, INT4 = IntType(0, 15), IntType(-8, 7)
_folded = partial(matrix_layer, MVAU)
_sparse = partial(matrix_layer, SparseMVAU)
_folded_ultra = partial(_folded, ram_style="ultra")
_sparse_ultra = partial(_sparse, ram_style="ultra")

# between what loads there are layers that do not; the words of what loads are 1 to 128 bits wide
LAYERS = {
    "folded_ultra": _folded_ultra(8, 24, UINT4, 4, 15, pe=4, simd=8),  # 128 bits
    "distributed": _folded(6, 10, IntType(0, 7), 5, 6, bias=True, pe=3, simd=2, ram_style="distributed"),
    "one_word": _folded_ultra(3, 5, INT4, 2, 2, output_lo=-1, pe=3, simd=5),  # 30 bits
    "two_parts_and_a_bias": _folded_ultra(4, 9, INT4, 4, bias=True, pe=2, simd=9),  # 72 bits
    "block": _folded(6, 10, IntType(0, 7), 5, 6, bias=True, pe=3, simd=2, ram_style="block"),
    "one_multiplier": _folded_ultra(4, 6, UINT4, 1, 3),  # 2 bits
    "depthwise_ultra": matrix_layer(VVAU, 6, 9, UINT4, 4, 15, pe=3, ram_style="ultra"),  # 12 bits
    "sparse_ultra": _sparse_ultra(8, 24, UINT4, 4, 15, density=0.3, pe=4, simd=4, lanes=2),
    "sparse_distributed": _sparse(6, 12, INT4, 4, 7, pe=3, simd=4, ram_style="distributed"),
    "sparse_block": _sparse(6, 12, INT4, 4, 7, pe=3, simd=4, ram_style="block"),
    "one_entry": _sparse_ultra(1, 1, IntType(0, 255), 8),
    "sparse_with_a_bias": _sparse_ultra(4, 9, INT4, 8, bias=True, density=0.6, pe=2, simd=3, lanes=2),
    "three_banks": replace(_folded_ultra(130, 64, UINT4, 3, 3), pixels=(1, 1)),  # 8,320 words
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(LAYERS.values()), tmp_path_factory.mktemp("ram_styles"))


def test_hardware_is_exact_however_weights_are_stored(simulated):
    simulated.assert_exact()


def test_loading_costs_no_cycle_afterwards(simulated):
    simulated.assert_cycles()
    simulated.assert_latency()


# -- the weight stream ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Two layers that load with a FIFO between, one behind the other."""
    first = replace(_folded_ultra(4, 12, UINT4, 4, 15, pe=2, simd=12), name="first", output_names=("middle",))
    fifo = StreamingFIFO(
        "fifo", ("middle",), ("between",), first.outputs()[0].shape, first.output_type, lanes=2, depth=4
    )
    second = replace(_sparse_ultra(6, 4, UINT4, 4, density=0.7, pe=2, simd=2), name="second", input_names=("between",))
    layers = (first, fifo, second)
    folder = tmp_path_factory.mktemp("chain")
    design = write_design(layers, ["x"], ["y"], folder, "chain")
    frames = np.random.default_rng(0).integers(0, 16, (3, *first.inputs()[0].shape))
    (middle,) = first.reference(frames)
    return layers, build_model(design, folder), frames, second.reference(middle)[0]


def _with_words(model, words, folder):
    """`model` with other words on its weight stream."""
    folder.mkdir()
    for path in model.design.folder.glob("*.mem"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / WEIGHT_FILE).write_bytes(np.asarray(words, "<u4").tobytes())
    return replace(model, design=replace(model.design, folder=folder))


def test_the_words_of_all_layers_are_in_the_file_in_their_order(chain):
    layers, model, _, _ = chain
    first, _, second = layers
    words = model.design.weight_words
    assert words.dtype == np.uint32
    memories = [memory for memory in (first.loaded_memory(), second.loaded_memory()) if memory]
    assert len(words) == sum(-(-memory.width // 32) * len(memory.words) for memory in memories) > len(memories)
    np.testing.assert_array_equal(words, np.concatenate([memory.stream() for memory in memories]))
    assert (model.design.folder / WEIGHT_FILE).read_bytes() == words.astype("<u4").tobytes()
    described = describe_design(layers, ["x"], ["y"], model.design.folder, "chain")
    np.testing.assert_array_equal(described.weight_words, words)
    assert not list(model.design.folder.glob("*WeightFile.mem"))
    assert not list(model.design.folder.glob("*WalkFile.mem"))


def test_the_generated_top_lints_clean(chain):
    assert lint(chain[1].design.sources, "chain") == ""


def test_padding_behind_the_last_word_is_ignored(chain, tmp_path):
    _, model, frames, expected = chain
    longer = np.append(model.design.weight_words, np.arange(1, 8, dtype=np.uint32))
    for stalls in (None, 1):
        result = _with_words(model, longer, tmp_path / str(stalls)).run({"x": frames}, stalls=stalls)
        np.testing.assert_array_equal(result.outputs["y"], expected)


def test_nothing_is_computed_while_a_word_is_missing(chain, tmp_path):
    _, model, frames, _ = chain
    words = model.design.weight_words
    short = _with_words(model, words[:-1], tmp_path / "short")
    count = len(words) - 1
    for stalls in (None, 0, 1):  # with stalls input is offered at once; the first layer, which is loaded, takes some
        with pytest.raises(
            DeadlockError, match=rf"s_axis_weights: {count} of {count} beats moved.*\n.*\n.*m_axis_0: 0 of"
        ):
            short.run({"x": frames}, stalls=stalls, idle_limit=500)


def test_a_layer_that_is_not_loaded_takes_no_input(chain, tmp_path):
    _, model, frames, _ = chain
    nearly = _with_words(model, [0], tmp_path / "nearly")
    with pytest.raises(DeadlockError, match=r"s_axis_0: 0 of \d+ beats moved; valid 1, ready 0"):
        nearly.run({"x": frames}, stalls=0, idle_limit=500)


def test_what_is_computed_is_what_was_loaded(chain, tmp_path):
    (first, _, second), model, frames, _ = chain
    other = replace(first, weights=first.weights * (np.arange(12) != 3))  # its sums fit the widths of the others'
    assert other.weight_type == first.weight_type
    memory = second.loaded_memory()
    assert memory is not None
    words = np.concatenate([other.weight_memory().stream(), memory.stream()])
    result = _with_words(model, words, tmp_path / "other").run({"x": frames})
    (middle,) = other.reference(frames)
    np.testing.assert_array_equal(result.outputs["y"], second.reference(middle)[0])
    assert (result.outputs["y"] != chain[3]).any()


def test_nothing_is_loaded_where_all_is_constant(tmp_path):
    layer = _folded(4, 6, UINT4, 4, pe=2, simd=2, ram_style="block")
    design = write_design([layer], ["x"], ["y"], tmp_path, "top")
    assert not len(design.weight_words) and not (tmp_path / WEIGHT_FILE).exists()
    assert "s_axis_weights" not in (tmp_path / "top.sv").read_text()


# -- what they become -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """Estimated and counted: a layer of each kind in each style, 16 and some 30 words deep."""
    layers = [
        replace(layer, ram_style=style)
        for layer in (_folded(4, 16, UINT4, 4, pe=2, simd=2), _sparse(8, 24, UINT4, 4, density=0.3, pe=2, simd=4))
        for style in RAM_STYLES
    ]
    counts = synth.count(layers, "xcup", cache=tmp_path_factory.mktemp("yosys"))
    return [(layer, layer.demand("xcup"), count) for layer, count in zip(layers, counts, strict=True)]


def test_memories_are_of_the_kind_that_is_asked_for(counted):
    for layer, _, count in counted:
        assert (count.bram_18k > 0) == (layer.ram_style == "block"), layer
        assert (count.uram > 0) == (layer.ram_style == "ultra"), layer


def test_blocks_are_estimated_exactly(counted):
    for layer, wanted, count in counted:
        assert (wanted.bram_18k, wanted.uram) == (count.bram_18k, count.uram), layer


# -- the Python side --------------------------------------------------------------------------------------------------


def test_a_word_is_cut_into_parts_low_bits_first():
    memory = Memory(65, (1 << 64 | 0x0123_4567_89AB_CDEF, 5))
    assert memory.stream().tolist() == [0x89AB_CDEF, 0x0123_4567, 1, 5, 0, 0]


def test_where_weights_are_has_finns_name():
    assert LAYERS["block"].mem_mode == LAYERS["sparse_block"].mem_mode == "internal_decoupled"
    unrolled = matrix_layer(UnrolledMVAU, 2, 4, UINT4, 3)
    assert unrolled.mem_mode == "internal_embedded" and not unrolled.loads_weights


def test_an_unknown_style_is_refused():
    with pytest.raises(ConfigError, match="ram_style = bram; expected one of auto, distributed, block, ultra"):
        replace(LAYERS["block"], ram_style="bram")
