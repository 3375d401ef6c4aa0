"""accelerator_shell: registers, transfers, counters and resets of a whole a2q_accelerator, as a processor and a DMA see
them. Three layers stand for all widths: beats of a byte, of three bytes in slots of four, and wider than a stream."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from a2q_driver.packing import stream_bytes
from pipeline.codegen.accelerator import TOP, stream_words, write_accelerator
from pipeline.codegen.rtl import rtl_sources, write_design
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.thresholding import Thresholding
from pipeline.tools.board_model import build_library
from pipeline.tools.verilator import lint
from tests.hw.simulated_board import HASH, SLVERR, Accelerator, Board, Register, build_accelerator

LIMIT = 100_000  # cycles; no run here takes as many
UINT4, UINT8 = IntType(0, 15), IntType(0, 255)
LEVELS = np.sort(np.random.default_rng(5).integers(0, 256, (3, 63)), axis=1)
LAYERS = {
    "one_byte": FMPadding("pad", ("x",), ("y",), (3, 4, 2), UINT4, (0, 0, 2, 1), 9, 2),
    "three_bytes": Thresholding("levels", ("x",), ("y",), (2, 3, 3), UINT8, IntType(0, 63), LEVELS, 3),
    "seventy_bytes": FMPadding("pad", ("x",), ("y",), (1, 2, 70), UINT8, (0, 0, 0, 1), 200, 70),
}
WORDS = {"one_byte": (12, 25), "three_bytes": (6, 6), "seventy_bytes": (4, 6)}  # of a frame, in and out
STREAMS = {"one_byte": (1, 1), "three_bytes": (4, 4), "seventy_bytes": (64, 64)}  # bytes
READ_ONLY = [*range(0x00, 0x18, 4), 0x1C, 0x24, 0x28, *range(0x30, 0x54, 4)]
STARTED = {
    0x00: 0x41325131,
    0x04: 0x00010001,
    0x08: 0x01234567,
    0x0C: 0x89ABCDEF,
    0x10: 0x8796A5B4,
    0x14: 0xC3D2E1F0,
    0x18: 0,
    0x1C: 0,
    0x20: 1,
    **dict.fromkeys((0x24, 0x28, 0x30, 0x34, 0x38, 0x3C, 0x40, 0x44, 0x50), 0),
}
LOADED = {1: 2, 4: 6, 64: 140}  # elements of 4 bits a beat of the networks that load weights, by the bytes of a word
RESET, LOAD = 1, 2  # of CONTROL
BUSY, MISALIGNED, WEIGHTS_LOADED = 1, 2, 16  # of STATUS


@pytest.fixture(scope="module")
def accelerators(tmp_path_factory):
    return {name: build_accelerator([layer], tmp_path_factory.mktemp(name)) for name, layer in LAYERS.items()}


@pytest.fixture(params=LAYERS)
def accelerator(request, accelerators):
    return accelerators[request.param]


def loading_layers(simd: int) -> list:
    """A layer that loads its weights, one that has them, another that loads; words of 32 bits and others."""
    rng = np.random.default_rng(simd)
    first, second = rng.integers(-3, 4, (4, 2 * simd)), rng.integers(-7, 8, (4, 4))
    last = np.array([[2, 0, -1, 2], [0, -2, 2, 0], [1, 2, 0, -2]])
    steps = np.sort(rng.integers(-40, 41, (4, 15)), axis=1)
    return [
        MVAU("first", ("x",), ("s",), first, UINT4, UINT4, (1, 2), steps, pe=2, simd=simd, ram_style="ultra"),
        MVAU("second", ("s",), ("t",), second, UINT4, UINT4, (1, 2), steps, pe=2, simd=2),
        SparseMVAU("last", ("t",), ("y",), last, UINT4, IntType(-128, 127), (1, 2), pe=2, simd=2, ram_style="ultra"),
    ]


@pytest.fixture(scope="module")
def loading_accelerators(tmp_path_factory):
    return {
        n: build_accelerator(loading_layers(simd), tmp_path_factory.mktemp(f"loads_{n}")) for n, simd in LOADED.items()
    }


@pytest.fixture(params=LOADED)
def loading(request, loading_accelerators):
    """Their weights come over streams of 1, 4 and 64 bytes."""
    return loading_accelerators[request.param]


@pytest.fixture
def small(accelerators):
    """A word in is a word out, and the layer is never busy: what the shell does shows."""
    return accelerators["three_bytes"]


def exchange(board: Board, words: np.ndarray, room: int, seed: int) -> tuple[np.ndarray, list[int]]:
    """Send `words` and take `room` words with random gaps on both sides. Returns them, and which had TLAST, from 1."""
    rng = np.random.default_rng(seed)
    sent, got, pending, parts, ends = 0, 0, False, [], []
    while sent < len(words) or got < room:
        end = min(sent + max(int(rng.integers(-3, 6)), int(pending)), len(words))
        wanted = min(max(int(rng.integers(-3, 6)), 0), room - got)
        offered = words[sent:end]
        run = board.run(int(rng.integers(1, 9)), offered, wanted, last=end == len(words))
        sent += run.taken
        pending = run.taken < len(offered)
        got += len(run.words)
        ends += [got] if run.ended == 1 else []
        parts.append(run.words)
        assert board.cycles < LIMIT
    return np.concatenate(parts), ends


# -- registers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_registers_after_reset(accelerator, seed):
    board = accelerator.board(seed)
    assert {address: board.read(address) for address in STARTED} == STARTED
    name = next(name for name, layer in LAYERS.items() if accelerator.layers == (layer,))
    words = board.read(Register.INPUT_WORDS), board.read(Register.OUTPUT_WORDS)
    assert words == WORDS[name] == tuple(map(stream_words, (*accelerator.design.inputs, *accelerator.design.outputs)))
    assert (board.input_bytes, board.output_bytes) == STREAMS[name]
    assert board.read(Register.LOCK) == 0


def test_what_is_no_register_answers_with_an_error(small):
    board = small.board(1)
    known = {*STARTED, Register.LOCK, Register.INPUT_WORDS, Register.OUTPUT_WORDS}
    for address in (*range(0x60), *range(0x60, 0x1000, 4), 0x1000):
        if address not in known:
            assert board.try_read(address) == (SLVERR, 0), hex(address)
            assert board.try_write(address, 0) == SLVERR, hex(address)


@pytest.mark.parametrize("seed", range(3))
def test_writes_to_what_is_read_only_are_refused_and_change_nothing(small, seed):
    board = small.board(seed)
    before = [board.read(address) for address in READ_ONLY]
    for address in READ_ONLY:
        assert board.try_write(address, 0xFFFFFFFF) == SLVERR, hex(address)
    assert [board.read(address) for address in READ_ONLY] == before


def test_batch_and_control_keep_what_they_are_given(small):
    board = small.board(2)
    for batch in (5, 0x89ABCDEF, 0xFFFFFFFF):
        board.write(Register.BATCH, batch)
        assert board.try_write(Register.BATCH, 0) == SLVERR
        assert board.read(Register.BATCH) == batch
    board.write(Register.CONTROL, 0xFFFFFFFE)
    assert (board.read(Register.CONTROL), board.read(Register.BATCH)) == (0, 0xFFFFFFFF)
    board.write(Register.CONTROL, 0xFFFFFFFF)
    assert (board.read(Register.CONTROL), board.read(Register.BATCH)) == (1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_first_that_reads_the_lock_has_it_until_it_is_freed(small, seed):
    board = small.board(seed)
    assert [board.read(Register.LOCK) for _ in range(3)] == [0, 1, 1]
    assert board.try_write(Register.LOCK, 1) == SLVERR
    assert board.read(Register.LOCK) == 1
    board.write(Register.LOCK, 0)
    assert [board.read(Register.LOCK) for _ in range(2)] == [0, 1]
    board.reset()
    assert [board.read(Register.LOCK) for _ in range(2)] == [0, 1]


# -- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_frames_are_exact_with_random_gaps_on_both_sides(accelerator, seed):
    board = accelerator.board(seed)
    frames = accelerator.frames(12, seed)
    expected = accelerator.expected(frames)
    got, ends = exchange(board, accelerator.words(frames), len(expected), seed)
    np.testing.assert_array_equal(got, expected)
    words = len(expected) // len(frames)
    assert ends == list(range(words, len(expected) + 1, words))
    assert (board.read(Register.FRAMES_IN), board.read(Register.FRAMES_OUT)) == (12, 12)
    assert board.read(Register.STATUS) == 0


def test_a_word_moves_in_every_cycle(accelerator):
    board = accelerator.board()
    board.write(Register.BATCH, 1000)
    board.run(10)  # out of reset
    cycles = []
    for count in (20, 60):
        frames = accelerator.frames(count)
        expected = accelerator.expected(frames)
        run = board.run(LIMIT, accelerator.words(frames), len(expected))
        np.testing.assert_array_equal(run.words, expected)
        cycles.append(run.cycles)
    words = max(stream_words(accelerator.design.inputs[0]), stream_words(accelerator.design.outputs[0]))
    assert cycles[1] - cycles[0] == 40 * words


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_every_batch_of_frames_ends_with_tlast(accelerator, batch):
    board = accelerator.board(batch)
    board.write(Register.BATCH, batch)
    for transfer in range(3):
        frames = accelerator.frames(batch, transfer)
        expected = accelerator.expected(frames)
        run = board.run(LIMIT, accelerator.words(frames), 2 * len(expected))
        assert run.ended == 1
        np.testing.assert_array_equal(run.words, expected)
    assert board.run(50, None, 1).words.size == 0


def test_writing_the_batch_begins_a_transfer(small):
    board = small.board()
    board.write(Register.BATCH, 5)
    frames = small.frames(4)
    words, expected = small.words(frames), small.expected(frames)
    run = board.run(LIMIT, words[:12], 12)
    assert (len(run.words), run.ended) == (12, 2)
    board.write(Register.BATCH, 2)
    run = board.run(LIMIT, words[12:], 100)
    assert run.ended == 1
    np.testing.assert_array_equal(run.words, expected[12:])


def test_what_is_offered_stays_the_same_when_the_batch_is_written(small):
    board = small.board()
    board.write(Register.BATCH, 2)
    words = small.words(small.frames(1))
    board.run(50, words, 5)  # the last word of the frame is offered, without TLAST
    board.write(Register.BATCH, 1)
    assert board.run(50, None, 1).ended == 2
    assert board.run(50, words, 10).ended == 1


# -- what is watched --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "last", "misaligned"), [(6, True, 0), (12, True, 0), (12, False, 0), (7, True, 1)])
def test_tlast_in_the_middle_of_a_frame_is_noticed(small, sent, last, misaligned):
    board = small.board(sent)
    words = small.words(small.frames(3))
    board.run(LIMIT, words[:sent], 100, last=last)
    assert board.read(Register.STATUS) >> 1 & 1 == misaligned
    board.run(LIMIT, words[sent:], 100)
    assert board.read(Register.STATUS) >> 1 & 1 == misaligned  # sticky
    board.reset()
    assert board.read(Register.STATUS) == 0


def test_a_transfer_of_part_of_a_word_is_misaligned_and_of_part_of_a_register_refused(small, monkeypatch):
    """What the library's interface cannot do: a top that takes a byte away from every word."""
    folder = small.design.folder
    text = (folder / f"{TOP}.v").read_text()
    text = text.replace(f"module {TOP} (", "module partial (")
    text = text.replace("(s_axis_0_tkeep)", "(4'b0111)").replace("(s_axi_control_wstrb)", "(4'b1011)")
    (folder / "partial.v").write_text(text)
    library = build_library(folder, "partial", [*small.design.sources, folder / "partial.v"], folder / "models")
    monkeypatch.chdir(folder)
    board = Board(library, 0)
    words = small.words(small.frames(1))
    board.run(LIMIT, words, 6, last=False)
    assert board.read(Register.STATUS) == 0
    board.run(LIMIT, words, 6)
    assert board.read(Register.STATUS) == 2
    assert board.try_write(Register.BATCH, 7) == SLVERR
    assert board.read(Register.BATCH) == 1


def test_busy_cycles_and_frames_are_counted_to_the_cycle(small):
    board = small.board()
    rng = np.random.default_rng(3)
    words = small.words(small.frames(9))
    sent = got = busy = 0
    offering = False
    while got < len(words):
        busy += sent % 6 != 0 or sent // 6 != got // 6
        offering = sent < len(words) and (offering or rng.random() < 0.6)
        run = board.run(1, words[sent : sent + 1] if offering else None, int(rng.random() < 0.6), last=False)
        offering = offering and run.taken == 0
        sent += run.taken
        got += len(run.words)
    assert board.read(Register.STATUS) == 0
    assert board.read(Register.CYCLES_LO) == busy
    assert board.read(Register.CYCLES_HI) == 0
    assert (board.read(Register.FRAMES_IN), board.read(Register.FRAMES_OUT)) == (9, 9)


def test_stalls_are_counted_in_the_cycles_in_which_they_are(small):
    """Each counter runs with the clock while its stall lasts, and stands still otherwise."""
    board = small.board()
    counters = {
        "starved": Register.INPUT_STARVED,
        "in_stalled": Register.INPUT_STALLED,
        "out_stalled": Register.OUTPUT_STALLED,
        "busy": Register.CYCLES_LO,
    }

    def running() -> set[str]:
        names = set()
        for name, address in counters.items():
            first, began = board.read(address), board.cycles
            board.run(17)
            rate = (board.read(address) - first) / (board.cycles - began)
            assert rate in (0, 1), name
            names |= {name} if rate else set()
        return names

    words = small.words(small.frames(20))
    board.write(Register.BATCH, 1000)
    assert running() == set()
    board.run(50, words[:4], 4, last=False)
    assert running() == {"starved", "busy"}
    board.run(50, words[4:6], 1, last=False)  # the frame is in, its last word waits
    assert running() == {"out_stalled", "busy"}
    assert board.run(50, None, 9).words.shape[0] == 1
    assert running() == set()
    run = board.run(50, words[6:], 0, last=False)  # nothing is taken until nothing more fits
    assert 0 < run.taken < len(words) - 6
    total = board.read(Register.INPUT_STALLED)
    began = board.cycles
    board.run(30, words[6 + run.taken :], 0, last=False)
    assert board.read(Register.INPUT_STALLED) - total == board.cycles - began
    assert board.run(LIMIT, words[6 + run.taken :], len(words) - 6).words.shape[0] == len(words) - 6
    assert running() == set()


def test_nothing_waits_at_full_speed(small):
    board = small.board()
    words = small.words(small.frames(50))
    board.write(Register.BATCH, 50)
    board.run(10)  # out of reset
    run = board.run(LIMIT, words, len(words))
    assert len(run.words) == len(words)
    assert [board.read(a) for a in (Register.INPUT_STARVED, Register.INPUT_STALLED, Register.OUTPUT_STALLED)] == [0] * 3
    assert board.read(Register.CYCLES_LO) == run.cycles - 1  # all but the one in which the first word was taken


def test_overflows_of_a_debug_build_are_flagged_by_layer_until_reset(tmp_path):
    """34 layers that give what they get; two have no bit for the sign of a 1. Bit 31 stands for all that follow."""
    bit, names = IntType(0, 1), ["x", *(f"s{i}" for i in range(33)), "y"]
    layers = [
        MVAU(
            f"l{i}",
            (names[i],),
            (names[i + 1],),
            np.array([[1]]),
            bit,
            bit,
            (1, 2),
            accumulator_bits=(2 - (i in (4, 33)),),
        )
        for i in range(34)
    ]
    accelerator = build_accelerator(layers, tmp_path, check_overflow=True)
    assert len(accelerator.design.overflow_layers) == 34
    top = tmp_path / f"{TOP}.v"
    assert lint([*accelerator.design.sources, top], TOP) == ""
    board = accelerator.board(1)

    def flags_after(frames: np.ndarray) -> int:
        expected = accelerator.expected(frames)
        run = board.run(LIMIT, accelerator.words(frames), len(expected))
        np.testing.assert_array_equal(run.words, expected)
        flags = board.read(Register.OVERFLOW_FLAGS)
        assert board.read(Register.STATUS) == 0b1000 | (flags != 0) << 2
        return flags

    zero, one = np.zeros((1, 1, 2, 1), np.int64), np.array([[[[0], [1]]]])
    assert flags_after(zero) == 0
    assert flags_after(one) == 1 << 4 | 1 << 31
    assert flags_after(zero) == 1 << 4 | 1 << 31
    board.reset()
    assert board.read(Register.OVERFLOW_FLAGS) == 0
    assert flags_after(zero) == 0


# -- reset ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_reset_in_the_middle_of_a_frame_leaves_nothing_of_it(accelerator, cut):
    board = accelerator.board(cut)
    frames = accelerator.frames(3, cut)
    words, expected = accelerator.words(frames), accelerator.expected(frames)
    board.write(Register.BATCH, 3)
    assert board.read(Register.LOCK) == 0
    board.run(40, words[:cut], cut // 2)
    board.write(Register.CONTROL, 1)
    held = board.run(30, words, 50)
    assert (held.taken, len(held.words), held.cycles) == (0, 0, 30)
    assert {address: board.read(address) for address in STARTED if address != Register.CONTROL} == {
        address: value for address, value in STARTED.items() if address != Register.CONTROL
    }
    board.run(1)  # the DMA is reset, too
    board.write(Register.CONTROL, 0)
    got, ends = exchange(board, words, len(expected), cut)
    np.testing.assert_array_equal(got, expected)
    assert ends == [len(expected) // 3, 2 * len(expected) // 3, len(expected)]
    assert (board.read(Register.FRAMES_IN), board.read(Register.FRAMES_OUT)) == (3, 3)


def test_however_short_the_reset_is_held_for_eight_cycles(small):
    board = small.board()
    words = small.words(small.frames(1))
    assert board.run(1, words[:1]).taken == 0  # at power-up, too
    waited = board.run(LIMIT, words[:1], last=False).cycles
    assert waited >= 8
    board.write(Register.CONTROL, 1)
    board.write(Register.CONTROL, 0)
    assert board.run(LIMIT, words[:1], last=False).cycles >= 8
    assert board.read(Register.STATUS) == 1


# -- weights that are loaded ------------------------------------------------------------------------------------------


def weight_stream(accelerator: Accelerator) -> np.ndarray:
    """The weights as words of the DMA's stream, uint8 (n, bytes a word), the last one padded with zeros."""
    width = stream_bytes(accelerator.design.inputs[0].bytes)
    content = accelerator.design.weight_words.astype("<u4").tobytes()
    return np.frombuffer(content + bytes(-len(content) % width), np.uint8).reshape(-1, width)


def send(board: Board, words: np.ndarray, seed: int) -> None:
    """Send `words` with random gaps, in transfers that end anywhere."""
    rng = np.random.default_rng(seed)
    sent, pending = 0, False
    while sent < len(words):
        end = min(sent + max(int(rng.integers(-3, 6)), int(pending)), len(words))
        run = board.run(int(rng.integers(1, 9)), words[sent:end], last=bool(rng.integers(2)))
        pending = run.taken < end - sent
        sent += run.taken
        assert board.cycles < LIMIT


def load(board: Board, accelerator: Accelerator, seed: int = 0) -> None:
    board.write(Register.CONTROL, LOAD)
    send(board, weight_stream(accelerator), seed)
    board.run(50)
    assert board.read(Register.STATUS) == WEIGHTS_LOADED
    board.write(Register.CONTROL, 0)


def check_frames(board: Board, accelerator: Accelerator, seed: int = 0) -> None:
    before = np.array([board.read(Register.FRAMES_IN), board.read(Register.FRAMES_OUT)])
    frames = accelerator.frames(5, seed)
    expected = accelerator.expected(frames)
    got, _ = exchange(board, accelerator.words(frames), len(expected), seed)
    np.testing.assert_array_equal(got, expected)
    assert board.read(Register.STATUS) == WEIGHTS_LOADED
    assert (np.array([board.read(Register.FRAMES_IN), board.read(Register.FRAMES_OUT)]) - before == 5).all()


@pytest.mark.parametrize("seed", range(3))
def test_loaded_weights_give_exact_frames(loading, seed):
    board = loading.board(seed)
    assert board.read(Register.WEIGHT_WORDS) == len(loading.design.weight_words) > 0
    assert (board.read(Register.CONTROL), board.read(Register.STATUS)) == (0, 0)
    load(board, loading, seed)
    assert (board.read(Register.FRAMES_IN), board.read(Register.CYCLES_LO)) == (0, 0)
    check_frames(board, loading, seed)


def test_weights_come_in_at_full_speed(loading):
    board = loading.board()
    words, stream = len(loading.design.weight_words), weight_stream(loading)
    board.run(10)  # out of reset
    board.write(Register.CONTROL, LOAD)
    cycles = board.run(LIMIT, stream).cycles
    parts = stream.size // 4  # of 32 bits, those of zeros at the end too
    assert max(len(stream), parts) - 16 <= cycles <= max(len(stream), parts) + 3
    assert words <= parts < words + 16
    board.run(50)
    assert board.read(Register.STATUS) == WEIGHTS_LOADED


def test_the_weights_are_loaded_with_the_last_word_and_no_sooner(loading_accelerators):
    accelerator = loading_accelerators[4]
    board = accelerator.board()
    stream = weight_stream(accelerator)
    board.write(Register.CONTROL, LOAD)
    send(board, stream[:-1], 1)
    board.run(50)
    assert board.read(Register.STATUS) == 0
    send(board, stream[-1:], 1)
    board.run(50)
    assert board.read(Register.STATUS) == WEIGHTS_LOADED
    send(board, np.full((7, 4), 0xFF, np.uint8), 1)  # what comes then is lost
    board.run(50)
    board.write(Register.CONTROL, 0)
    check_frames(board, accelerator)


def test_frames_before_the_weights_do_not_pass(loading):
    board = loading.board()
    frames = loading.frames(2)
    run = board.run(200, loading.words(frames), 100)
    assert (len(run.words), board.read(Register.STATUS)) == (0, BUSY)
    assert board.try_write(Register.CONTROL, LOAD) == SLVERR
    assert board.read(Register.CONTROL) == 0
    board.write(Register.CONTROL, RESET | LOAD)  # that is for the reset to take away
    assert board.read(Register.CONTROL) == RESET | LOAD
    assert board.run(50, weight_stream(loading)).taken == 0
    board.run(1)  # the DMA is reset, too
    load(board, loading)
    check_frames(board, loading)


def test_no_load_begins_while_a_frame_is_inside(loading_accelerators):
    """Neither in the middle of its way in, nor before its last word is out; the frame comes to no harm."""
    accelerator = loading_accelerators[4]
    board = accelerator.board(1)
    load(board, accelerator)
    frames = accelerator.frames(1)
    words, expected = accelerator.words(frames), accelerator.expected(frames)
    taken, got = 0, np.empty((0, board.output_bytes), np.uint8)
    while len(got) < len(expected):
        offered = words[taken : taken + 1] if taken < len(words) else None
        run = board.run(1, offered, len(expected) - len(got), last=False)
        taken += run.taken
        got = np.concatenate([got, run.words])
        if taken and len(got) < len(expected):
            assert board.try_write(Register.CONTROL, LOAD) == SLVERR
            assert board.read(Register.CONTROL) == 0
    np.testing.assert_array_equal(got, expected)
    load(board, accelerator, 3)  # the weights are there: these are lost
    check_frames(board, accelerator)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_reset_in_the_middle_of_a_load_begins_it_anew(loading, share):
    board = loading.board()
    stream = weight_stream(loading)
    cut = int(share * len(stream)) | 1  # in the middle of 32 bits, where a word has 8
    board.write(Register.CONTROL, LOAD)
    send(board, stream[: min(cut, len(stream) - 1)], 2)
    assert board.read(Register.STATUS) == 0
    board.reset()
    load(board, loading)
    check_frames(board, loading)
    board.reset()
    assert board.read(Register.STATUS) == 0  # after a whole one, too
    load(board, loading, 1)
    check_frames(board, loading, 1)


def test_a_load_that_was_left_goes_on_where_it_was(loading):
    board = loading.board()
    stream = weight_stream(loading)
    cut = len(stream) // 2 | 1
    board.write(Register.CONTROL, LOAD)
    send(board, stream[:cut], 1)
    board.write(Register.CONTROL, 0)
    assert (board.read(Register.STATUS), board.read(Register.CONTROL)) == (0, 0)
    board.write(Register.CONTROL, LOAD)
    send(board, stream[cut:], 2)
    board.run(50)
    board.write(Register.CONTROL, 0)
    check_frames(board, loading)


def test_what_loads_no_weights_does_not_take_any(small):
    board = small.board()
    board.write(Register.CONTROL, LOAD)
    assert (board.read(Register.CONTROL), board.read(Register.STATUS), board.read(Register.WEIGHT_WORDS)) == (0, 0, 0)
    frames = small.frames(2)
    np.testing.assert_array_equal(board.run(LIMIT, small.words(frames), 12).words, small.expected(frames)[:6])


# -- several boards ---------------------------------------------------------------------------------------------------


def test_several_boards_of_several_libraries_run_at_once(accelerators):
    def run(job):
        accelerator, seed = job
        board = accelerator.board(seed)
        frames = accelerator.frames(20, seed)
        expected = accelerator.expected(frames)
        got, _ = exchange(board, accelerator.words(frames), len(expected), seed)
        return np.array_equal(got, expected)

    jobs = [(accelerator, seed) for seed in range(3) for accelerator in accelerators.values()]
    boards = [accelerator.board(7) for accelerator, _ in jobs]  # alive meanwhile
    for board in boards[::2]:
        board.write(Register.BATCH, 3)
    assert all(map(run, jobs))
    assert [board.read(Register.BATCH) for board in boards] == [3, 1] * (len(boards) // 2) + [3] * (len(boards) % 2)


def test_boards_run_in_threads(accelerators):
    boards = [(a, a.board(seed)) for seed in range(2) for a in accelerators.values()]

    def run(pair):
        accelerator, board = pair
        frames = accelerator.frames(100)
        expected = accelerator.expected(frames)
        got, _ = exchange(board, accelerator.words(frames), len(expected), 1)
        return np.array_equal(got, expected)

    with ThreadPoolExecutor(len(boards)) as pool:
        assert all(pool.map(run, boards))


def test_a_board_without_its_memory_files_is_none(small, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="gave no board"):
        Board(small.library, 0)
    assert "readmem file not found" in capfd.readouterr().err


def test_a_word_that_is_taken_beside_a_run_counts_in_the_next(small):
    board = small.board()
    board.write(Register.BATCH, 1000)
    words, expected = (make(small.frames(4)) for make in (small.words, small.expected))
    run = board.run(50, words, 1)
    taken = run.taken
    assert board.run(0, words[taken:]).taken == 0
    board.run(1, words[taken:], 1)  # makes room; the word that is offered is taken while the register is read
    for _ in range(3):
        board.read(Register.STATUS)
    rest = board.run(LIMIT, words[taken:], len(words))
    assert rest.taken == len(words) - taken
    assert board.read(Register.FRAMES_IN) == 4
    np.testing.assert_array_equal(rest.words, expected[2 : 2 + len(rest.words)])


# -- the generated top ------------------------------------------------------------------------------------------------


def test_the_top_lints_clean(accelerator):
    design = accelerator.design
    assert lint([*design.sources, design.folder / f"{TOP}.v"], TOP) == ""


def test_the_top_of_what_loads_weights_lints_clean(loading):
    design = loading.design
    assert lint([*design.sources, design.folder / f"{TOP}.v"], TOP) == ""


@pytest.mark.parametrize(
    "parameters",
    [
        {"InputWords": 1, "OutputWords": 1, "InputBytes": 1, "OutputBytes": 64},
        {"InputWords": 2**31, "OutputWords": 3, "OverflowFlags": 32, "Debug": 1},
        {"InputWords": 16, "OverflowFlags": 33, "Debug": 1},
        {"InputBytes": 1, "WeightWords": 1},
        {"InputBytes": 16, "WeightWords": 2**31},
    ],
)
def test_the_shell_lints_clean_with_other_parameters(parameters):
    assert lint(rtl_sources(), "accelerator_shell", parameters) == ""


def test_the_top_is_verilog_2001(small, loading):
    """Yosys reads it as such: without -sv it knows no word of SystemVerilog."""
    paths = " ".join(str(accelerator.design.folder / f"{TOP}.v") for accelerator in (small, loading))
    script = f"from pyosys import libyosys; libyosys.run_pass('read_verilog -overwrite {paths}', libyosys.Design())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_top_has_the_names_that_vivado_infers_interfaces_from(small):
    text = (small.design.folder / f"{TOP}.v").read_text()
    channels = {"aw": "addr prot", "w": "data strb", "b": "resp", "ar": "addr prot", "r": "data resp"}
    ports = [f"s_axi_control_{c}{s}" for c, signals in channels.items() for s in (*signals.split(), "valid", "ready")]
    ports += [f"{side}_axis_0_t{s}" for side in "sm" for s in ("data", "keep", "valid", "ready", "last")]
    for port in ("ap_clk", "ap_rst_n", *ports):
        assert text.count(f" {port}\n") + text.count(f" {port},\n") == 1, port
    assert "ASSOCIATED_BUSIF s_axi_control:s_axis_0:m_axis_0, ASSOCIATED_RESET ap_rst_n" in text


def test_an_unchanged_top_is_not_written_again(small, tmp_path):
    path = write_accelerator(small.design, tmp_path, HASH)
    before = path.stat().st_mtime_ns
    assert write_accelerator(small.design, tmp_path, HASH) == path
    assert path.stat().st_mtime_ns == before
    write_accelerator(small.design, tmp_path, "0" * 64)
    assert path.stat().st_mtime_ns != before


def test_what_is_no_accelerator_is_refused(small, tmp_path):
    two = AddStreams("add", ("a", "b"), ("y",), (1, 1, 2), (UINT4, UINT4))
    design = write_design([two], ["a", "b"], ["y"], tmp_path, "two")
    with pytest.raises(UnsupportedError, match="two has 2 inputs and 1 outputs"):
        write_accelerator(design, tmp_path, HASH)
    for wrong in ("", HASH[1:], HASH.upper(), "g" * 64):
        with pytest.raises(ValueError, match="expected a SHA-256"):
            write_accelerator(small.design, tmp_path, wrong)


def test_a_library_of_the_same_sources_is_used_again(small):
    folder = small.design.folder
    before = small.library.stat().st_mtime_ns
    names = [path.name if path.parent == folder else path for path in (*small.design.sources, folder / f"{TOP}.v")]
    assert build_library(folder, TOP, names, folder / "models") == small.library
    assert small.library.stat().st_mtime_ns == before
