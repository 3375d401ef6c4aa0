"""Registers of the processing system: those that pynq itself reads and writes, and no other.

pynq sets the clocks of the programmable logic (`pynq.ps`) and, on Zynq UltraScale+, the width of the AXI ports
(`RemoteDevice.set_axi_port_width`). Registers keep what is written to them; they begin as a booted board has them.
Addresses and fields: UG585 (Zynq-7000) and UG1087 (Zynq UltraScale+), as `pynq.ps` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.board_sim.errors import BusError

__all__ = ["ProcessorRegisters", "Window"]


@dataclass(frozen=True)
class Window:
    """Addresses that one thing answers at."""

    name: str
    base: int
    size: int

    def holds(self, address: int, length: int = 4) -> bool:
        """Whether `length` bytes from `address` on lie in the window."""
        return self.base <= address and address + length <= self.base + self.size


# Blocks of registers: (name, base, {offset: value after boot}).
# Zynq-7000: a 50 MHz crystal times PLL_FDIV (18:12): ARM 1300, DDR 1050 MHz, IO as the board has it; the processor at
# 650 MHz, clocks of the logic at IO / DIVISOR0 (13:8) / DIVISOR1 (25:20).
_ZYNQ_7 = [
    (
        "SLCR",
        0xF8000000,
        {
            0x100: 26 << 12,  # ARM_PLL_CTRL
            0x104: 21 << 12,  # DDR_PLL_CTRL
            0x120: 0x1F000200,  # ARM_CLK_CTRL
            **{offset: 1 << 20 | 10 << 8 for offset in (0x170, 0x180, 0x190, 0x1A0)},  # FPGA0…3_CLK_CTRL
        },
    ),
]

# Zynq UltraScale+: a 33.333 MHz crystal times FBDIV (14:8), halved by DIV2 (16): RPLL and VPLL 1500, APLL 1200, DPLL
# 1067 MHz, IOPLL as the board has it; the processor at 1200 MHz, clocks of the logic at IOPLL / DIVISOR0 (13:8) /
# DIVISOR1 (21:16), the first one active (24).
_DIV2 = 1 << 16
_ZYNQ_ULTRASCALE = [
    (
        "CRL_APB",
        0xFF5E0000,
        {
            0x30: _DIV2 | 90 << 8,  # RPLL_CTRL
            0xC0: 1 << 24 | 1 << 16 | 15 << 8,  # PL0_REF_CTRL
            **{offset: 1 << 16 | 15 << 8 for offset in (0xC4, 0xC8, 0xCC)},  # PL1…3_REF_CTRL
        },
    ),
    (
        "CRF_APB",
        0xFD1A0000,
        {
            0x20: _DIV2 | 72 << 8,  # APLL_CTRL
            0x2C: _DIV2 | 64 << 8,  # DPLL_CTRL
            0x38: _DIV2 | 90 << 8,  # VPLL_CTRL
            0x60: 3 << 24 | 1 << 8,  # ACPU_CTRL
        },
    ),
    ("FPD_SLCR", 0xFD615000, {0x0: 2 << 10 | 2 << 8}),  # AXI_FS: both ports 128 bits wide
    ("LPD_SLCR", 0xFF419000, {0x0: 2 << 8}),  # AXI_FS
    *(
        (f"AFIFM{i}", base, {0x0: 0, 0x14: 0})  # RDCTRL and WRCTRL: 128 bits wide
        for i, base in enumerate((0xFD360000, 0xFD370000, 0xFD380000, 0xFD390000, 0xFD3A0000, 0xFD3B0000, 0xFF9B0000))
    ),
]

# the register of the PLL that clocks the logic, and what it holds: IO_PLL_CTRL, IOPLL_CTRL
_PLL = {"xc7": lambda times: (0xF8000108, times << 12), "xcup": lambda times: (0xFF5E0020, _DIV2 | 2 * times << 8)}
_BLOCKS = {"xc7": _ZYNQ_7, "xcup": _ZYNQ_ULTRASCALE}
_BLOCK_BYTES = 0x1000


class ProcessorRegisters:
    """The registers of `family`, "xc7" or "xcup", as they are after boot.

    `pll_multiplier` is that of the PLL which the clocks of the logic are divided from, after it is halved where it is.
    """

    def __init__(self, family: str, pll_multiplier: int) -> None:
        self.windows = [Window(name, base, _BLOCK_BYTES) for name, base, _ in _BLOCKS[family]]
        self._values = {
            base + offset: value for _, base, registers in _BLOCKS[family] for offset, value in registers.items()
        }
        address, value = _PLL[family](pll_multiplier)
        self._values[address] = value

    def read(self, address: int) -> int:
        """The register at `address`. Raises BusError where the board has none."""
        self._check(address, "Reading")
        return self._values[address]

    def write(self, address: int, value: int) -> None:
        """Keep `value` at `address`. Raises BusError where the board has no register."""
        self._check(address, "Writing")
        self._values[address] = value

    def _check(self, address: int, what: str) -> None:
        if address not in self._values:
            raise BusError(
                f"{what} 0x{address:08X}: of the processing system's registers the simulated board has only those of "
                "the clocks and the AXI ports that pynq itself uses."
            )
