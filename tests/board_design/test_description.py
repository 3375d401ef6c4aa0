from __future__ import annotations

import math
from dataclasses import replace

import pytest

from a2q_driver.manifest import ACCELERATOR, DMA
from pipeline.board_design.description import describe
from pipeline.devices.boards import board_names, load_board
from pipeline.errors import ConfigError, UnsupportedError
from tests.board_design.designs import DESIGNS

WITH_PROCESSORS = [name for name in board_names() if load_board(name).processing_system]


@pytest.mark.parametrize("board", WITH_PROCESSORS)
def test_every_board_divides_the_same_clock_for_the_clock_manager(board):
    loaded = load_board(board)
    design = describe(loaded, loaded.clock_period_ns, input_stream_bytes=1, output_stream_bytes=1)
    derived = design.processing_system.derived
    assert design.pl_clock_mhz == float(derived[design.pl_clock_parameter]) == 100.0
    assert design.clock_mhz == pytest.approx(loaded.clock_mhz)
    (divisors,) = {
        tuple(int(derived[f"{prefix}DIVISOR{j}"]) for j in range(2))
        for prefix in ("PCW_FCLK0_PERIPHERAL_", "PSU__CRL_APB__PL0_REF_CTRL__")
        if f"{prefix}DIVISOR0" in derived
    }
    # exactly, but for what the presets round 33.3333… MHz to
    rounded = 0 if loaded.family == "xc7" else 1.1e-4
    assert loaded.processing_system.pll_mhz / math.prod(divisors) == pytest.approx(100.0, rel=rounded, abs=0)
    assert all(1 <= divisor <= 63 for divisor in divisors)  # the dividers' registers have six bits


@pytest.mark.parametrize(
    ("period_ns", "mhz", "asked"), [(5.0, 200.0, "200.000"), (7.0, 1000 / 7, "142.857"), (1.5, 2000 / 3, "666.667")]
)
def test_the_clock_is_the_one_that_was_asked_for(period_ns, mhz, asked):
    design = describe(load_board("KV260"), period_ns, input_stream_bytes=1, output_stream_bytes=1)
    assert design.clock_mhz == mhz
    manager = design.cell("clk_wiz_0")
    assert manager.parameters["CLKOUT1_REQUESTED_OUT_FREQ"] == asked
    assert float(manager.derived["PRIM_IN_FREQ"]) == design.pl_clock_mhz
    (net,) = [net for net in design.nets if net.source == design.clock_pin]
    assert (net.kind, net.mhz) == ("clk", mhz)
    # all but the clock manager
    assert {sink.partition("/")[0] for sink in net.sinks} == {cell.name for cell in design.cells} - {"clk_wiz_0"}


@pytest.mark.parametrize(
    ("board", "periods", "message"),
    [
        ("KV260", (1.499, 160.001, 1000.0), r"its clock manager gives 6.25 to 667 MHz. Give 1.5 to 160\."),
        ("Pynq-Z2", (2.155, 213.22), r"its clock manager gives 4.69 to 464 MHz. Give 2.156 to 213.219\."),
    ],
)
def test_a_clock_that_cannot_be_made_is_refused_with_those_that_can(board, periods, message):
    for period_ns in periods:
        with pytest.raises(ConfigError, match=f"{board} cannot have .* synth_clk_period_ns = {period_ns:g}: {message}"):
            describe(load_board(board), period_ns, input_stream_bytes=1, output_stream_bytes=1)
    for period_ns in map(float, message.rpartition("Give ")[2].removesuffix("\\.").split(" to ")):
        describe(load_board(board), period_ns, input_stream_bytes=1, output_stream_bytes=1)


@pytest.mark.parametrize("multiplier", [1, 46])
def test_a_board_whose_pll_does_not_divide_to_the_clock_is_refused(multiplier):
    board = load_board("KV260")
    board = replace(board, processing_system=board.processing_system.model_copy(update={"pll_multiplier": multiplier}))
    with pytest.raises(ConfigError, match=r"KV260 cannot divide 100 MHz from a PLL of .*; expected .* a multiple"):
        describe(board, 5.0, input_stream_bytes=1, output_stream_bytes=1)


def test_a_card_without_processors_is_refused_in_one_sentence():
    board = load_board("U250")
    with pytest.raises(
        UnsupportedError, match="A bitstream for the U250 cannot be made: .* XDMA shell .* not supported"
    ):
        describe(board, 4.0, input_stream_bytes=1, output_stream_bytes=1)


@pytest.mark.parametrize("width", [0, 3, 128])
def test_a_width_that_no_stream_has_is_refused(width):
    with pytest.raises(ValueError, match=f"a stream of {width} bytes"):
        describe(load_board("KV260"), 5.0, input_stream_bytes=1, output_stream_bytes=width)


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
class TestDesign:
    def test_links_join_a_manager_with_a_subordinate(self, design):
        linked = []
        for link in design.links:
            ends = []
            for end in (link.manager, link.subordinate):
                cell, _, interface = end.partition("/")
                ends.append(design.cell(cell).interface(interface))
            assert (ends[0].manager, ends[1].manager) == (True, False)
            assert (ends[0].protocol == "AXIS") == (ends[1].protocol == "AXIS")
            assert ends[0].bits == ends[1].bits
            linked += [link.manager, link.subordinate]
        everything = [f"{cell.name}/{interface.name}" for cell in design.cells for interface in cell.interfaces]
        assert sorted(linked) == sorted(everything)

    def test_every_cell_is_clocked_and_reset(self, design):
        clocked = {sink.partition("/")[0] for net in design.nets if net.kind == "clk" for sink in net.sinks}
        reset = {sink.partition("/")[0] for net in design.nets if net.kind == "rst" for sink in net.sinks}
        assert clocked == {cell.name for cell in design.cells}
        assert all((net.kind == "clk") == (net.mhz is not None) for net in design.nets)
        assert reset == clocked - {"ps"}

    def test_the_reset_ends_after_the_clock_is_steady(self, design):
        (net,) = [net for net in design.nets if net.source == "clk_wiz_0/locked"]
        assert net.sinks == ("system_reset/dcm_locked",)

    def test_addresses_are_those_that_drivers_expect(self, design):
        bases = {
            "zynq7": {DMA: (0x40400000, 0x10000), ACCELERATOR: (0x43C00000, 0x1000)},
            "zynq_ultra": {DMA: (0xA0000000, 0x10000), ACCELERATOR: (0xA0010000, 0x1000)},
        }
        assert dict(design.address_map) == bases[design.board.processing_system.kind]

    def test_the_dma_is_as_wide_as_the_streams_and_at_least_32_bits_to_memory(self, design):
        dma = design.cell(DMA).parameters | design.cell(DMA).derived
        for stream, memory, width in (
            ("c_m_axis_mm2s_tdata_width", "c_m_axi_mm2s_data_width", design.input_stream_bytes),
            ("c_s_axis_s2mm_tdata_width", "c_m_axi_s2mm_data_width", design.output_stream_bytes),
        ):
            assert dma[stream] == str(8 * width)
            assert dma[memory] == str(max(32, 8 * width))
