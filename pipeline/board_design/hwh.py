"""The hardware handoff (.hwh) of the block design: what pynq reads to know a bitstream's cells, addresses and clocks.

Vivado writes one beside each block design. `render` writes what pynq needs of it without Vivado, in the same elements
and attributes, from the description that Vivado's script is made of.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from a2q_driver.manifest import ACCELERATOR, DMA
from pipeline.board_design.description import BlockDesign, Cell, Interface, Net
from pipeline.errors import ToolError

__all__ = ["complete", "render", "verify"]

# Signals of a bus by channel: name, bits (d: as many as data, b: as bytes), and m where the manager drives it
_LITE = {
    "r": "ARADDR 32 m, ARPROT 3 m, ARVALID 1 m, ARREADY 1 s, RDATA d s, RRESP 2 s, RVALID 1 s, RREADY 1 m",
    "w": "AWADDR 32 m, AWPROT 3 m, AWVALID 1 m, AWREADY 1 s, WDATA d m, WSTRB b m, WVALID 1 m, WREADY 1 s, BRESP 2 s, "
    "BVALID 1 s, BREADY 1 m",
}
_BURST = {
    "r": "ARLEN 8 m, ARSIZE 3 m, ARBURST 2 m, ARCACHE 4 m, RLAST 1 s",
    "w": "AWLEN 8 m, AWSIZE 3 m, AWBURST 2 m, AWCACHE 4 m, WLAST 1 m",
}
_STREAM = "TDATA d m, TKEEP b m, TLAST 1 m, TVALID 1 m, TREADY 1 s"

_ARCHITECTURES = {"zynq7": "zynq", "zynq_ultra": "zynquplus"}
_ADDRESS_BLOCKS = {DMA: "Reg", ACCELERATOR: "reg0"}  # as Vivado calls those of PG021, and of a packaged IP


def render(design: BlockDesign) -> str:
    """The .hwh of `design`, the same for the same design. Vivado's own names more pins and parameters."""
    root = Element("EDKSYSTEM", EDWVERSION="1.2")
    system = design.board.processing_system
    assert system is not None  # describe() refuses boards without one
    device, package, speed = _split_part(design.board.part)
    SubElement(
        root,
        "SYSTEMINFO",
        ARCH=_ARCHITECTURES[system.kind],
        BOARD=design.board.board_part,
        DEVICE=device,
        NAME=design.name,
        PACKAGE=package,
        SPEEDGRADE=speed,
    )
    SubElement(root, "EXTERNALPORTS")
    SubElement(root, "EXTERNALINTERFACES")
    modules = SubElement(root, "MODULES")
    wires = _Wires(design)
    for cell in design.cells:
        _add_module(modules, design, cell, wires)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n{ElementTree.tostring(root, "unicode")}\n'


def complete(text: str) -> str:
    """Vivado's .hwh `text` with what pynq 4.0 looks for and does not find in that of a Zynq-7000.

    It sets an enabled clock of the programmable logic to the frequency that the parameter of a Zynq UltraScale+ names,
    whatever the processing system, and fails with a TypeError where there is none. What is there stays as it is.

    Raises ToolError for a text without a processing system.
    """
    match = re.search(
        r'<MODULE [^>]*MODTYPE="(processing_system7|zynq_ultra_ps_e)"[^>]*>.*?<PARAMETERS>', text, re.DOTALL
    )
    if not match:
        raise ToolError("the hardware handoff (.hwh) that Vivado wrote has no processing system in it")
    end = text.index("</PARAMETERS>", match.end())
    known = dict(re.findall(r'<PARAMETER NAME="(\w+)" VALUE="([^"]*)"', text[match.end() : end]))
    missing = {
        _pynq_frequency(i): known[f"PCW_ACT_FPGA{i}_PERIPHERAL_FREQMHZ"]
        for i in range(4)
        if _pynq_frequency(i) not in known and f"PCW_ACT_FPGA{i}_PERIPHERAL_FREQMHZ" in known
    }
    lines = "".join(f'\n        <PARAMETER NAME="{name}" VALUE="{value}"/>' for name, value in missing.items())
    return text[: match.end()] + lines + text[match.end() :]


def verify(text: str, design: BlockDesign) -> None:
    """Raise ToolError unless the registers in the .hwh `text` have the addresses that `design` gives them."""
    ranges = {
        entry.get("INSTANCE"): (entry.get("BASEVALUE", ""), entry.get("HIGHVALUE", ""))
        for entry in ElementTree.fromstring(text.lstrip("\ufeff").encode()).iter("MEMRANGE")
        if entry.get("MEMTYPE") == "REGISTER"
    }
    for name, span in design.address_map.items():
        if tuple(int(bound, 16) for bound in ranges.get(name, ())) != tuple(int(bound, 16) for bound in _bounds(*span)):
            raise ToolError(
                f"Vivado gave the registers of {name} the addresses {' to '.join(ranges.get(name, ('none',)))}; "
                f"expected {' to '.join(_bounds(*span))}."
            )


def _pynq_frequency(clock: int) -> str:
    """The parameter that pynq 4.0 reads the frequency of a clock from."""
    return f"PSU__CRL_APB__PL{clock}_REF_CTRL__ACT_FREQMHZ"


class _Wires:
    """The connections of the pins of a design: the pin that drives each, and those that each drives."""

    def __init__(self, design: BlockDesign) -> None:
        self.loose: dict[str, Net] = {}  # the pins that belong to no interface
        self.driver: dict[str, str] = {}
        self.driven: dict[str, list[str]] = {}
        for net in design.nets:
            self.loose |= dict.fromkeys((net.source, *net.sinks), net)
            for sink in net.sinks:
                self._connect(net.source, sink)
        for link in design.links:
            manager, subordinate = _end(design, link.manager), _end(design, link.subordinate)
            theirs = _signals(subordinate[1])
            for signal, (_, by_manager) in _signals(manager[1]).items():
                if signal in theirs:
                    ends = [f"{cell.name}/{_pin(interface, signal)}" for cell, interface in (manager, subordinate)]
                    self._connect(*(ends if by_manager else reversed(ends)))

    def _connect(self, source: str, sink: str) -> None:
        self.driver[sink] = source
        self.driven.setdefault(source, []).append(sink)

    def of(self, cell: Cell) -> list[str]:
        """The names of the pins of `cell` that belong to no interface."""
        return [pin.partition("/")[2] for pin in self.loose if pin.startswith(f"{cell.name}/")]

    def add_port(self, ports: Element, cell: Cell, pin: str, bits: int = 1, drives: bool = True) -> None:
        """Add the pin of `cell`; `drives` says whether it does where it is not connected."""
        name = f"{cell.name}/{pin}"
        others = self.driven.get(name) or ([self.driver[name]] if name in self.driver else [])
        driver = self.driver.get(name, name)
        net = self.loose.get(name)
        attributes = {"DIR": "I" if name in self.driver or not (drives or name in self.driven) else "O"}
        if net and net.mhz is not None:
            attributes["CLKFREQUENCY"] = _hertz(net.mhz)
        if bits > 1:
            attributes |= {"LEFT": str(bits - 1), "RIGHT": "0"}
        attributes |= {"NAME": pin, "SIGIS": net.kind if net else "undef"}
        if others:
            attributes["SIGNAME"] = driver.replace("/", "_")
        port = SubElement(ports, "PORT", dict(sorted(attributes.items())))
        if others:
            connections = SubElement(port, "CONNECTIONS")
            for other in others:
                instance, _, at = other.partition("/")
                SubElement(connections, "CONNECTION", INSTANCE=instance, PORT=at)


def _add_module(modules: Element, design: BlockDesign, cell: Cell, wires: _Wires) -> None:
    processors = cell is design.processing_system
    kind = "BUS" if cell.type == "smartconnect" else "PERIPHERAL"
    module = SubElement(
        modules,
        "MODULE",
        {
            "FULLNAME": f"/{cell.name}",
            "HWVERSION": cell.vlnv.rpartition(":")[2],
            "INSTANCE": cell.name,
            "IPTYPE": kind,
            "IS_ENABLE": "1",
            **({"IS_PL": "FALSE"} if processors else {"MODCLASS": kind}),
            "MODTYPE": cell.type,
            "VLNV": cell.vlnv,
        },
    )
    parameters = SubElement(module, "PARAMETERS")
    _add_parameters(parameters, {**cell.parameters, **cell.derived})
    _add_parameters(parameters, {"Component_Name": f"{design.name}_{cell.name}_0", "EDK_IPTYPE": kind})
    if cell.name in design.address_map:
        first, last = _bounds(*design.address_map[cell.name])
        _add_parameters(parameters, {"C_BASEADDR": first, "C_HIGHADDR": last})
    if cell.type == "processing_system7":
        _add_parameters(parameters, {_pynq_frequency(0): cell.derived[design.pl_clock_parameter]})  # see complete()
    ports = SubElement(module, "PORTS")
    for pin in wires.of(cell):
        wires.add_port(ports, cell, pin)
    buses = SubElement(module, "BUSINTERFACES")
    for interface in cell.interfaces:
        for signal, (bits, by_manager) in _signals(interface).items():
            drives = by_manager == interface.manager
            wires.add_port(ports, cell, _pin(interface, signal), bits, drives)
        _add_interface(buses, design, cell, interface)
    _add_memory_map(module, design, cell)


def _add_interface(buses: Element, design: BlockDesign, cell: Cell, interface: Interface) -> None:
    end = f"{cell.name}/{interface.name}"
    manager = next((link.manager for link in design.links if end in (link.manager, link.subordinate)), end)
    stream = interface.protocol == "AXIS"
    types = ("INITIATOR", "TARGET") if stream else ("MASTER", "SLAVE")
    attributes = {
        "BUSNAME": manager.replace("/", "_"),
        "NAME": interface.name,
        "TYPE": types[0] if interface.manager else types[1],
        "VLNV": f"xilinx.com:interface:{'axis' if stream else 'aximm'}:1.0",
    }
    if stream:
        facts = {"TDATA_NUM_BYTES": str(interface.bits // 8), "HAS_TKEEP": "1", "HAS_TLAST": "1"}
    else:
        attributes["DATAWIDTH"] = str(interface.bits)
        facts = {"DATA_WIDTH": str(interface.bits), "PROTOCOL": interface.protocol, "ADDR_WIDTH": "32"}
    bus = SubElement(buses, "BUSINTERFACE", dict(sorted(attributes.items())))
    _add_parameters(bus, facts | {"FREQ_HZ": _hertz(design.clock_mhz)})
    maps = SubElement(bus, "PORTMAPS")
    for signal in _signals(interface):
        SubElement(maps, "PORTMAP", LOGICAL=signal, PHYSICAL=_pin(interface, signal))


def _add_memory_map(module: Element, design: BlockDesign, cell: Cell) -> None:
    """Add the ranges that the managers of `cell` reach: the processors the registers, the DMA the DRAM."""
    system = design.processing_system
    if cell is system:
        control = next(interface for interface in cell.interfaces if interface.manager)
        ranges = [
            (_ADDRESS_BLOCKS[name], span, name, control.name, "REGISTER", design.cell(name).registers.name)
            for name, span in design.address_map.items()
        ]
    elif cell.name == DMA:
        memory = next(interface for interface in system.interfaces if not interface.manager)
        block = design.memory_segment.rpartition("/")[2]
        managers = [
            interface.name for interface in cell.interfaces if interface.manager and interface.protocol != "AXIS"
        ]
        ranges = [(block, design.memory, system.name, manager, "MEMORY", memory.name) for manager in managers]
    else:
        return
    area = SubElement(module, "MEMORYMAP")
    for block, span, instance, manager, kind, subordinate in ranges:
        first, last = _bounds(*span)
        SubElement(
            area,
            "MEMRANGE",
            ADDRESSBLOCK=block,
            BASENAME="C_BASEADDR",
            BASEVALUE=first,
            HIGHNAME="C_HIGHADDR",
            HIGHVALUE=last,
            INSTANCE=instance,
            IS_DATA="TRUE",
            IS_INSTRUCTION="TRUE",
            MASTERBUSINTERFACE=manager,
            MEMTYPE=kind,
            SLAVEBUSINTERFACE=subordinate,
        )
    peripherals = SubElement(module, "PERIPHERALS")
    for instance in dict.fromkeys(entry[2] for entry in ranges):
        SubElement(peripherals, "PERIPHERAL", INSTANCE=instance)


def _add_parameters(parent: Element, values: dict[str, str]) -> None:
    for name, value in values.items():
        SubElement(parent, "PARAMETER", NAME=name, VALUE=value)


def _signals(interface: Interface) -> dict[str, tuple[int, bool]]:
    """The signals of `interface`: bits, and whether the manager drives them."""
    if interface.protocol == "AXIS":
        lines = [_STREAM]
    else:
        lines = [_LITE[channel] for channel in interface.channels]
        if interface.protocol != "AXI4LITE":
            lines += [_BURST[channel] for channel in interface.channels]
    bits = {"d": interface.bits, "b": interface.bits // 8}
    signals = {}
    for signal in ", ".join(lines).split(", "):
        name, width, driver = signal.split()
        signals[name] = (bits[width] if width in bits else int(width), driver == "m")
    return signals


def _pin(interface: Interface, signal: str) -> str:
    """The pin of `signal`: in capitals where all of the prefix is, as on a processing_system7."""
    capitals = interface.pins.startswith(("M_AXI", "S_AXI"))
    return interface.pins + (signal if capitals else signal.lower())


def _end(design: BlockDesign, end: str) -> tuple[Cell, Interface]:
    name, _, interface = end.partition("/")
    cell = design.cell(name)
    return cell, cell.interface(interface)


def _hertz(mhz: float) -> str:
    return str(round(mhz * 1e6))


def _bounds(base: int, size: int) -> tuple[str, str]:
    """The first and the last address."""
    return f"0x{base:08X}", f"0x{base + size - 1:08X}"


def _split_part(part: str) -> tuple[str, str, str]:
    """Device, package and speed grade, as Vivado writes them.

    >>> _split_part("xc7z020clg400-1"), _split_part("xck26-sfvc784-2LV-c")
    (('7z020', 'clg400', '-1'), ('xck26', 'sfvc784', '-2LV'))
    """
    if seven := re.fullmatch(r"xc(7z\d+)([a-z]+\d+)(-\d\w*)", part):
        device, package, speed = seven.groups()
    else:
        device, package, speed = part.split("-")[:3]
        speed = f"-{speed}"
    return device, package, speed
