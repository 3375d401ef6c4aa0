"""The block design, described once.

A DMA reads frames from DRAM and writes what the accelerator makes of them back; the processors reach the registers of
both. One clock drives everything: a clock manager makes it of the processing system's clock 0, which is the same on all
boards, as what the processing system can divide itself is too coarse (of 1500 MHz 187.5 and 214.3, and no 200).
`tcl.py` makes the design in Vivado, `hwh.py` tells pynq of it: neither names a cell, a parameter or an address that does
not stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from a2q_driver.manifest import ACCELERATOR, DMA
from a2q_driver.packing import WIDEST_STREAM
from pipeline.devices.boards import Board, ProcessingSystem
from pipeline.errors import ConfigError, UnsupportedError

__all__ = ["BlockDesign", "Cell", "Interface", "Link", "Net", "check_clock", "describe"]

_CLOCK_MANAGER = "clk_wiz_0"
_PL_CLOCK_MHZ = 100.0
_LENGTH_BITS = 26  # the most there is: transfers of up to 64 MiB less one byte (PG021, buffer length register)
_BURST = "64"  # beats, as PYNQ's base designs have it: the most that stays within 4 KiB on the widest bus; 16 otherwise
_CLOCKS = range(4)  # a processing system gives the programmable logic four
_ROUNDED = 0.001  # a reference clock of 33.333 or 33.33 MHz stands for 100/3


@dataclass(frozen=True)
class Interface:
    """A bus of a cell: `protocol` is AXI4LITE, AXI4, AXI3 or AXIS, `bits` the width of its data.

    The manager (or the stream's source) drives addresses and data. `channels` says what a memory-mapped bus carries: r,
    w or rw. Its pins are called `pins` followed by the signal's name.
    """

    name: str
    protocol: str
    manager: bool
    bits: int
    pins: str
    channels: str = "rw"


@dataclass(frozen=True)
class Cell:
    """An IP: `parameters` are set in Vivado; what Vivado derives from them, and pynq looks at, stands in `derived`."""

    name: str
    vlnv: str
    parameters: Mapping[str, str]
    derived: Mapping[str, str]
    interfaces: tuple[Interface, ...]

    @property
    def type(self) -> str:
        """The third part of `vlnv`."""
        return self.vlnv.split(":")[2]

    def interface(self, name: str) -> Interface:
        return next(interface for interface in self.interfaces if interface.name == name)

    @property
    def registers(self) -> Interface:
        """The bus by which the cell's registers are reached. Raises StopIteration where it has none."""
        return next(
            interface for interface in self.interfaces if interface.protocol == "AXI4LITE" and not interface.manager
        )


@dataclass(frozen=True)
class Link:
    """A connection of two interfaces, each `cell/interface`."""

    manager: str
    subordinate: str


@dataclass(frozen=True)
class Net:
    """A wire from the pin `source` to the pins `sinks`, each `cell/pin`.

    `kind` is clk, with its frequency in `mhz`; rst, which is active low; or undef for any other.
    """

    kind: str
    source: str
    sinks: tuple[str, ...]
    mhz: float | None = None


@dataclass(frozen=True)
class BlockDesign:
    """A block design. `cells` begin with the processing system.

    `clock_period_ns` was asked for; `clock_mhz` is the same as a frequency, that of all that the pin `clock_pin` drives.
    It is made of the processing system's clock 0 of `pl_clock_mhz`, and is off by as much as that is off on a board; its
    cell reports that one as the parameter `pl_clock_parameter`. `address_map` gives base and size in bytes of the
    registers of each cell that has some; `memory` those of the DRAM that the DMA reaches, `memory_segment` its name in
    Vivado. `automation` is Vivado's rule that applies the board's preset to the processing system, and its
    configuration.
    """

    name: str
    board: Board
    clock_period_ns: float
    clock_mhz: float
    clock_pin: str
    pl_clock_mhz: float
    pl_clock_parameter: str
    cells: tuple[Cell, ...]
    links: tuple[Link, ...]
    nets: tuple[Net, ...]
    address_map: Mapping[str, tuple[int, int]]
    memory: tuple[int, int]
    memory_segment: str
    automation: tuple[str, str]
    input_stream_bytes: int
    output_stream_bytes: int

    @property
    def processing_system(self) -> Cell:
        return self.cells[0]

    def cell(self, name: str) -> Cell:
        return next(cell for cell in self.cells if cell.name == name)


@dataclass(frozen=True)
class _System:
    """The differences between kinds of processing systems, other than their parameters."""

    vlnv: str
    control: Interface
    memory: Interface
    memory_segment: str
    clock: str  # the pin that gives it
    clock_parameter: str
    interface_clocks: tuple[str, str]  # the pins that take the clock of the two interfaces
    reset: str
    automation: tuple[str, str]
    dma_base: int
    accelerator_base: int


_SYSTEMS = {
    "zynq7": _System(
        vlnv="xilinx.com:ip:processing_system7:5.5",
        control=Interface("M_AXI_GP0", "AXI3", True, 32, "M_AXI_GP0_"),
        memory=Interface("S_AXI_HP0", "AXI3", False, 64, "S_AXI_HP0_"),
        memory_segment="S_AXI_HP0/HP0_DDR_LOWOCM",
        clock="FCLK_CLK0",
        clock_parameter="PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ",
        interface_clocks=("M_AXI_GP0_ACLK", "S_AXI_HP0_ACLK"),
        reset="FCLK_RESET0_N",
        automation=(
            "xilinx.com:bd_rule:processing_system7",
            'make_external "FIXED_IO, DDR" apply_board_preset "1" Master "Disable" Slave "Disable"',
        ),
        dma_base=0x40400000,  # within M_AXI_GP0, 0x40000000 to 0x7FFFFFFF (UG585, system-level address map)
        accelerator_base=0x43C00000,
    ),
    "zynq_ultra": _System(
        vlnv="xilinx.com:ip:zynq_ultra_ps_e:3.5",
        control=Interface("M_AXI_HPM0_FPD", "AXI4", True, 32, "maxigp0_"),
        memory=Interface("S_AXI_HP0_FPD", "AXI4", False, 128, "saxigp2_"),
        memory_segment="SAXIGP2/HP0_DDR_LOW",
        clock="pl_clk0",
        clock_parameter="PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ",
        interface_clocks=("maxihpm0_fpd_aclk", "saxihp0_fpd_aclk"),
        reset="pl_resetn0",
        automation=("xilinx.com:bd_rule:zynq_ultra_ps_e", 'apply_board_preset "1"'),
        dma_base=0xA0000000,  # within M_AXI_HPM0_FPD, 0xA0000000 to 0xAFFFFFFF (UG1085, system address map)
        accelerator_base=0xA0010000,
    ),
}


def describe(board: Board, clock_period_ns: float, *, input_stream_bytes: int, output_stream_bytes: int) -> BlockDesign:
    """The block design for `board` around an accelerator with streams of the given widths in bytes.

    Raises UnsupportedError for a board without a processing system, ConfigError for a clock that its clock manager does
    not give and for a board whose processing system cannot feed that, ValueError for a width that no stream has.
    """
    for width in (input_stream_bytes, output_stream_bytes):
        if not 1 <= width <= WIDEST_STREAM or width & (width - 1):
            raise ValueError(f"a stream of {width} bytes; expected a power of two up to {WIDEST_STREAM}")
    if board.processing_system is None:
        raise UnsupportedError(
            f"A bitstream for the {board.name} cannot be made: it is a PCI Express card without a processing system, "
            "and the XDMA shell that such cards need is not supported. `a2q boards` lists the boards that have one."
        )
    system = _SYSTEMS[board.processing_system.kind]
    check_clock(board, clock_period_ns)
    clock_mhz = 1000 / clock_period_ns
    parameters = _zynq7 if board.processing_system.kind == "zynq7" else _zynq_ultra
    settings, derived = parameters(board.processing_system, system, _divisor(board.name, board.processing_system))
    cells = (
        Cell("ps", system.vlnv, settings, derived, (system.control, system.memory)),
        _clock_manager(clock_mhz),
        _dma(input_stream_bytes, output_stream_bytes),
        _accelerator(input_stream_bytes, output_stream_bytes),
        _interconnect("control_interconnect", [system.control.bits], [32, 32]),
        _interconnect(
            "memory_interconnect",
            [_memory_bits(input_stream_bytes), _memory_bits(output_stream_bytes)],
            [system.memory.bits],
        ),
        Cell("system_reset", "xilinx.com:ip:proc_sys_reset:5.0", {}, {}, ()),
    )
    links = (
        Link(f"ps/{system.control.name}", "control_interconnect/S00_AXI"),
        Link("control_interconnect/M00_AXI", f"{DMA}/S_AXI_LITE"),
        Link("control_interconnect/M01_AXI", f"{ACCELERATOR}/s_axi_control"),
        Link(f"{DMA}/M_AXI_MM2S", "memory_interconnect/S00_AXI"),
        Link(f"{DMA}/M_AXI_S2MM", "memory_interconnect/S01_AXI"),
        Link("memory_interconnect/M00_AXI", f"ps/{system.memory.name}"),
        Link(f"{DMA}/M_AXIS_MM2S", f"{ACCELERATOR}/s_axis_0"),
        Link(f"{ACCELERATOR}/m_axis_0", f"{DMA}/S_AXIS_S2MM"),
    )
    clocked = (
        *(f"ps/{pin}" for pin in system.interface_clocks),
        *(f"{DMA}/{pin}" for pin in ("s_axi_lite_aclk", "m_axi_mm2s_aclk", "m_axi_s2mm_aclk")),
        *(f"{ACCELERATOR}/ap_clk", "control_interconnect/aclk", "memory_interconnect/aclk"),
        "system_reset/slowest_sync_clk",
    )
    reset = (
        *(f"{DMA}/axi_resetn", f"{ACCELERATOR}/ap_rst_n"),
        *("control_interconnect/aresetn", "memory_interconnect/aresetn"),
    )
    clock_pin = f"{_CLOCK_MANAGER}/clk_out1"
    nets = (
        Net("clk", f"ps/{system.clock}", (f"{_CLOCK_MANAGER}/clk_in1",), _PL_CLOCK_MHZ),
        Net("clk", clock_pin, clocked, clock_mhz),
        Net("rst", f"ps/{system.reset}", (f"{_CLOCK_MANAGER}/resetn", "system_reset/ext_reset_in")),
        Net("undef", f"{_CLOCK_MANAGER}/locked", ("system_reset/dcm_locked",)),
        Net("rst", "system_reset/peripheral_aresetn", reset),
    )
    return BlockDesign(
        name="a2q",
        board=board,
        clock_period_ns=clock_period_ns,
        clock_mhz=clock_mhz,
        clock_pin=clock_pin,
        pl_clock_mhz=_PL_CLOCK_MHZ,
        pl_clock_parameter=system.clock_parameter,
        cells=cells,
        links=links,
        nets=nets,
        address_map={DMA: (system.dma_base, 0x10000), ACCELERATOR: (system.accelerator_base, 0x1000)},
        memory=(board.processing_system.memory_base, board.processing_system.memory_size),
        memory_segment=f"ps/{system.memory_segment}",
        automation=system.automation,
        input_stream_bytes=input_stream_bytes,
        output_stream_bytes=output_stream_bytes,
    )


def check_clock(board: Board, period_ns: float) -> None:
    """Raise ConfigError unless the clock manager of `board` gives a clock of `period_ns`; without one, any may be."""
    if board.processing_system is None:
        return
    slowest, fastest = board.processing_system.manager_mhz
    least, most = board.processing_system.clock_periods_ns
    if not least <= period_ns <= most:
        raise ConfigError(
            f"A bitstream for the {board.name} cannot have a clock of synth_clk_period_ns = {period_ns:g}: its clock "
            f"manager gives {slowest:g} to {fastest:g} MHz. Give {least:g} to {most:g}."
        )


def _divisor(board: str, system: ProcessingSystem) -> int:
    """The divisor of the PLL's frequency for the clock of the programmable logic."""
    pll_mhz = system.pll_mhz
    divisor = round(pll_mhz / _PL_CLOCK_MHZ)
    if abs(pll_mhz - divisor * _PL_CLOCK_MHZ) > _ROUNDED * pll_mhz:
        raise ConfigError(
            f"The processing system of the {board} cannot divide {_PL_CLOCK_MHZ:g} MHz from a PLL of "
            f"{pll_mhz:g} MHz; expected reference_clock_mhz times pll_multiplier to be a multiple of it in the "
            "board's file."
        )
    return divisor


def _number(value: float) -> str:
    """`value` with up to six decimals, without zeros at its end.

    >>> _number(50.0), _number(33.333)
    ('50', '33.333000')
    """
    return f"{value:g}" if value == int(value) else f"{value:.6f}"


def _zynq7(processors: ProcessingSystem, system: _System, divisor: int) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters of a processing_system7 (PG082), and what Vivado derives from them."""
    settings = {
        "PCW_USE_M_AXI_GP0": "1",
        "PCW_USE_M_AXI_GP1": "0",
        "PCW_USE_S_AXI_HP0": "1",
        "PCW_S_AXI_HP0_DATA_WIDTH": str(system.memory.bits),
        "PCW_EN_CLK0_PORT": "1",
        "PCW_EN_RST0_PORT": "1",
        **{f"PCW_FPGA_FCLK{i}_ENABLE": str(int(i == 0)) for i in _CLOCKS},
        "PCW_FPGA0_PERIPHERAL_FREQMHZ": _number(_PL_CLOCK_MHZ),
    }
    derived = {
        "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": _number(processors.reference_clock_mhz),
        "PCW_IOPLL_CTRL_FBDIV": str(processors.pll_multiplier),
        system.clock_parameter: f"{_PL_CLOCK_MHZ:.6f}",
    }
    for i in _CLOCKS:
        derived[f"PCW_FCLK{i}_PERIPHERAL_CLKSRC"] = "IO PLL"
        for j in range(2):
            derived[f"PCW_FCLK{i}_PERIPHERAL_DIVISOR{j}"] = str(divisor if i == j == 0 else 1)
    return settings, derived


def _zynq_ultra(processors: ProcessingSystem, system: _System, divisor: int) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters of a zynq_ultra_ps_e (PG201), and what Vivado derives from them."""
    settings = {
        "PSU__USE__M_AXI_GP0": "1",
        "PSU__USE__M_AXI_GP1": "0",
        "PSU__USE__M_AXI_GP2": "0",
        "PSU__MAXIGP0__DATA_WIDTH": str(system.control.bits),
        "PSU__USE__S_AXI_GP2": "1",
        "PSU__SAXIGP2__DATA_WIDTH": str(system.memory.bits),
        "PSU__USE__IRQ0": "0",
        "PSU__USE__FABRIC__RST": "1",
        **{f"PSU__FPGA_PL{i}_ENABLE": str(int(i == 0)) for i in _CLOCKS},
        "PSU__OVERRIDE__BASIC_CLOCK": "0",  # some presets fix all divisors
        "PSU__CRL_APB__PL0_REF_CTRL__SRCSEL": "IOPLL",
        "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": _number(_PL_CLOCK_MHZ),
    }
    derived = {
        # pynq writes the widths of the ports that it finds here to registers of the processing system
        "C_MAXIGP0_DATA_WIDTH": str(system.control.bits),
        "C_SAXIGP2_DATA_WIDTH": str(system.memory.bits),
        "PSU__PSS_REF_CLK__FREQMHZ": _number(processors.reference_clock_mhz),
        "PSU__CRL_APB__IOPLL_CTRL__FBDIV": str(2 * processors.pll_multiplier),
        "PSU__CRL_APB__IOPLL_CTRL__DIV2": "1",
        system.clock_parameter: f"{_PL_CLOCK_MHZ:.6f}",
    }
    for i in _CLOCKS:
        if i:
            derived[f"PSU__CRL_APB__PL{i}_REF_CTRL__SRCSEL"] = "IOPLL"
        for j in range(2):
            derived[f"PSU__CRL_APB__PL{i}_REF_CTRL__DIVISOR{j}"] = str(divisor if i == j == 0 else 1)
    return settings, derived


def _clock_manager(clock_mhz: float) -> Cell:
    """A Clocking Wizard (PG065) with an MMCM.

    Of 100 MHz that makes each whole number of megahertz from 7 to 399 exactly, and all that it gives to 0.1 %. The
    frequency of its input is that of the pin which drives it: Vivado propagates it.
    """
    return Cell(
        _CLOCK_MANAGER,
        "xilinx.com:ip:clk_wiz:6.0",
        {
            "PRIM_SOURCE": "No_buffer",  # the processing system's clock comes from one
            "CLKOUT1_REQUESTED_OUT_FREQ": f"{clock_mhz:.3f}",
            "USE_LOCKED": "true",
            "USE_RESET": "true",
            "RESET_TYPE": "ACTIVE_LOW",
            "RESET_PORT": "resetn",
        },
        {"PRIM_IN_FREQ": f"{_PL_CLOCK_MHZ:.3f}"},
        (),
    )


def _memory_bits(stream_bytes: int) -> int:
    """Data bits of the DMA's bus to memory: those of the stream, and at least 32, the least there is (PG021)."""
    return max(32, 8 * stream_bytes)


def _dma(input_bytes: int, output_bytes: int) -> Cell:
    """AXI DMA (PG021) in direct register mode, both ways, buffers aligned to its bus. pynq reads these parameters."""
    read, write = _memory_bits(input_bytes), _memory_bits(output_bytes)
    return Cell(
        DMA,
        "xilinx.com:ip:axi_dma:7.1",
        {
            "c_include_sg": "0",
            "c_sg_include_stscntrl_strm": "0",
            "c_sg_length_width": str(_LENGTH_BITS),
            "c_addr_width": "32",
            "c_include_mm2s": "1",
            "c_include_mm2s_dre": "0",
            "c_m_axi_mm2s_data_width": str(read),
            "c_m_axis_mm2s_tdata_width": str(8 * input_bytes),
            "c_mm2s_burst_size": _BURST,
            "c_include_s2mm": "1",
            "c_include_s2mm_dre": "0",
            "c_m_axi_s2mm_data_width": str(write),
            "c_s2mm_burst_size": _BURST,
        },
        {"c_micro_dma": "0", "c_s_axis_s2mm_tdata_width": str(8 * output_bytes)},  # the stream's, by propagation
        (
            Interface("S_AXI_LITE", "AXI4LITE", False, 32, "s_axi_lite_"),
            Interface("M_AXI_MM2S", "AXI4", True, read, "m_axi_mm2s_", "r"),
            Interface("M_AXI_S2MM", "AXI4", True, write, "m_axi_s2mm_", "w"),
            Interface("M_AXIS_MM2S", "AXIS", True, 8 * input_bytes, "m_axis_mm2s_"),
            Interface("S_AXIS_S2MM", "AXIS", False, 8 * output_bytes, "s_axis_s2mm_"),
        ),
    )


def _accelerator(input_bytes: int, output_bytes: int) -> Cell:
    return Cell(
        ACCELERATOR,
        "a2q:pipeline:a2q_accelerator:1.0",
        {},
        {},
        (
            Interface("s_axi_control", "AXI4LITE", False, 32, "s_axi_control_"),
            Interface("s_axis_0", "AXIS", False, 8 * input_bytes, "s_axis_0_"),
            Interface("m_axis_0", "AXIS", True, 8 * output_bytes, "m_axis_0_"),
        ),
    )


def _interconnect(name: str, managers: list[int], subordinates: list[int]) -> Cell:
    """A SmartConnect (PG247) for managers and subordinates with so many bits of data."""
    return Cell(
        name,
        "xilinx.com:ip:smartconnect:1.0",
        {"NUM_SI": str(len(managers)), "NUM_MI": str(len(subordinates))},
        {},
        (
            *(Interface(f"S{i:02}_AXI", "AXI4", False, bits, f"S{i:02}_AXI_") for i, bits in enumerate(managers)),
            *(Interface(f"M{i:02}_AXI", "AXI4", True, bits, f"M{i:02}_AXI_") for i, bits in enumerate(subordinates)),
        ),
    )
