from __future__ import annotations

import json
import math
import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from a2q_driver.manifest import ACCELERATOR, DMA
from pipeline.board_design import hwh
from pipeline.errors import ToolError
from tests.board_design.designs import DESIGNS, check_golden

EVERY_DESIGN = pytest.mark.parametrize("name", DESIGNS)


@EVERY_DESIGN
def test_the_handoff_is_the_golden_one(name):
    check_golden(f"{name}.hwh", hwh.render(DESIGNS[name]))


@EVERY_DESIGN
def test_it_names_what_the_script_makes(name):
    """tests/board_design/test_tcl.py shows that the script makes what is described."""
    design = DESIGNS[name]
    root = ElementTree.fromstring(hwh.render(design).encode())
    modules = {module.get("INSTANCE"): module for module in root.iter("MODULE")}
    assert {cell: module.get("VLNV") for cell, module in modules.items()} == {c.name: c.vlnv for c in design.cells}
    for cell in design.cells:
        module = modules[cell.name]
        shown = {element.get("NAME"): element.get("VALUE") for element in module.find("PARAMETERS")}
        assert cell.parameters.items() <= shown.items()
        buses = {bus.get("NAME"): bus for bus in module.iter("BUSINTERFACE")}
        assert set(buses) == {interface.name for interface in cell.interfaces}
        ports = {port.get("NAME") for port in module.iter("PORT")}
        assert {element.get("PHYSICAL") for element in module.iter("PORTMAP")} <= ports
    registers = {
        element.get("INSTANCE"): (int(element.get("BASEVALUE"), 16), int(element.get("HIGHVALUE"), 16))
        for element in modules["ps"].iter("MEMRANGE")
    }
    assert registers == {cell: (base, base + size - 1) for cell, (base, size) in design.address_map.items()}
    hwh.verify(hwh.render(design), design)


@EVERY_DESIGN
def test_each_clock_has_its_frequency(name):
    design = DESIGNS[name]
    root = ElementTree.fromstring(hwh.render(design).encode())
    shown = {
        f"{module.get('INSTANCE')}/{port.get('NAME')}": int(port.get("CLKFREQUENCY"))
        for module in root.iter("MODULE")
        for port in module.iter("PORT")
        if port.get("CLKFREQUENCY")
    }
    clocks = [net for net in design.nets if net.kind == "clk"]
    assert shown == {pin: round(net.mhz * 1e6) for net in clocks for pin in (net.source, *net.sinks)}
    of_buses = {parameter.get("VALUE") for parameter in root.iter("PARAMETER") if parameter.get("NAME") == "FREQ_HZ"}
    assert of_buses == {str(round(design.clock_mhz * 1e6))}


@EVERY_DESIGN
def test_every_connection_is_named_at_both_ends(name):
    root = ElementTree.fromstring(hwh.render(DESIGNS[name]).encode())
    wires = {
        (module.get("INSTANCE"), port.get("NAME"), end.get("INSTANCE"), end.get("PORT"))
        for module in root.iter("MODULE")
        for port in module.iter("PORT")
        for end in port.iter("CONNECTION")
    }
    assert wires == {(b, q, a, p) for a, p, b, q in wires}
    assert {("axi_dma_0", "m_axis_mm2s_tlast", "a2q_accelerator_0", "s_axis_0_tlast")} < wires
    drivers = {(m.get("INSTANCE"), p.get("NAME")): p.get("DIR") for m in root.iter("MODULE") for p in m.iter("PORT")}
    for (a, p), direction in drivers.items():
        others = {drivers[b, q] for one, pin, b, q in wires if (one, pin) == (a, p)}
        assert direction not in others


VIVADO_ZYNQ7 = """\ufeff<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<EDKSYSTEM EDWVERSION="1.2" TIMESTAMP="Wed Feb 12 16:19:27 2020" VIVADOVERSION="2019.2">
  <MODULES>
    <MODULE FULLNAME="/axi_dma_0" INSTANCE="axi_dma_0" MODTYPE="axi_dma" VLNV="xilinx.com:ip:axi_dma:7.1">
      <PARAMETERS>
        <PARAMETER NAME="c_include_sg" VALUE="0"/>
      </PARAMETERS>
    </MODULE>
    <MODULE CONFIGURABLE="TRUE" FULLNAME="/ps" INSTANCE="ps" MODTYPE="processing_system7" VLNV="x:ip:x:5.5">
      <DOCUMENTS/>
      <PARAMETERS>
        <PARAMETER NAME="PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ" VALUE="125.000000"/>
        <PARAMETER NAME="PCW_ACT_FPGA1_PERIPHERAL_FREQMHZ" VALUE="10.000000"/>
      </PARAMETERS>
    </MODULE>
  </MODULES>
</EDKSYSTEM>
"""


def test_what_pynq_does_not_find_in_that_of_a_zynq7_is_added():
    completed = hwh.complete(VIVADO_ZYNQ7)
    added = [
        '        <PARAMETER NAME="PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ" VALUE="125.000000"/>\n',
        '        <PARAMETER NAME="PSU__CRL_APB__PL1_REF_CTRL__ACT_FREQMHZ" VALUE="10.000000"/>\n',
    ]
    lines, before = completed.splitlines(keepends=True), VIVADO_ZYNQ7.splitlines(keepends=True)
    at = before.index("      <DOCUMENTS/>\n") + 2
    assert lines == [*before[:at], *added, *before[at:]]
    assert hwh.complete(completed) == completed


def test_all_others_are_left_as_they_are():
    for design in DESIGNS.values():
        assert hwh.complete(hwh.render(design)) == hwh.render(design)
    with pytest.raises(ToolError, match="no processing system"):
        hwh.complete("<EDKSYSTEM/>")


def test_other_addresses_are_refused():
    design = DESIGNS["kv260"]
    text = hwh.render(design)
    hwh.verify("\ufeff" + text, design)
    with pytest.raises(ToolError, match=f"{DMA} the addresses 0xA0020000 to 0xA002FFFF; expected 0xA0000000"):
        hwh.verify(text.replace("0xA0000000", "0xA0020000").replace("0xA000FFFF", "0xA002FFFF"), design)
    without = re.sub(rf'<MEMRANGE [^>]*INSTANCE="{ACCELERATOR}"[^>]*>', "", text)
    with pytest.raises(ToolError, match=f"{ACCELERATOR} the addresses none; expected 0xA0010000"):
        hwh.verify(without, design)


_ASK_PYNQ = """
import json, sys
from pathlib import Path
from pynq.pl_server.embedded_device import DEFAULT_XCLBIN, _unify_dictionaries
from pynq.pl_server.hwh_parser import _HWHUltrascale, _HWHZynq
from pynq.pl_server.xclbin_parser import XclBin
from pynq.ps import _ClocksUltrascale, _ClocksZynq
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

parser = RuntimeMetadataParser(Metadata(input=sys.argv[1]))
_unify_dictionaries(parser, XclBin(xclbin_data=DEFAULT_XCLBIN))  # as a device does when it takes a bitstream
parser.refresh_hierarchy_dict()
older, clocks = {"processing_system7": (_HWHZynq, _ClocksZynq), "zynq_ultra_ps_e": (_HWHUltrascale, _ClocksUltrascale)}[
    parser.family_ps
]
older = older(sys.argv[1])
frequency = parser.clock_dict[0]["frequency"]
if frequency is not None:
    set_to = object.__new__(clocks)._get_2_divisors(round(float(sys.argv[2]), 6), frequency, 6, 6)
keep = ("type", "phys_addr", "addr_range", "parameters")
print(json.dumps({
    "ps_name": parser.ps_name,
    "family_ps": parser.family_ps,
    "clocks": {str(i): clock for i, clock in parser.clock_dict.items()},
    "ips": {name: {key: ip.get(key) for key in keep} for name, ip in parser.ip_dict.items()},
    "memories": sorted(parser.mem_dict.keys()),
    "older": {name: ip.get("phys_addr") for name, ip in older.ip_dict.items()},
    "older_clocks": [older.clock_dict[0]["divisor0"], older.clock_dict[0]["divisor1"]],
    "set_to": frequency and set_to,
}))
"""


@pytest.fixture
def ask_pynq():
    """What the real pynq package reads from a .hwh, in the environment whose Python A2Q_BOARD_PYTHON names."""
    python = Path(os.environ.get("A2Q_BOARD_PYTHON", ""))
    if not python.is_file():
        pytest.skip("A2Q_BOARD_PYTHON does not name the Python of an environment with pynq")

    def ask(path: Path, pll_mhz: float = 1000.0) -> dict:
        command = [str(python), "-W", "ignore", "-c", _ASK_PYNQ, str(path), str(pll_mhz)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


@EVERY_DESIGN
def test_pynq_reads_it(ask_pynq, tmp_path, name):
    design = DESIGNS[name]
    path = tmp_path / "finn-accel.hwh"
    path.write_text(hwh.render(design))
    read = ask_pynq(path, design.board.processing_system.pll_mhz)
    assert (read["ps_name"], read["family_ps"]) == ("ps", design.processing_system.type)
    assert read["memories"] == ["PSDDR"]
    assert set(read["ips"]) == {"ps", DMA, ACCELERATOR}
    for cell, (base, size) in design.address_map.items():
        ip = read["ips"][cell]
        assert (ip["type"], ip["phys_addr"], ip["addr_range"]) == (design.cell(cell).vlnv, base, size)
        assert design.cell(cell).parameters.items() <= ip["parameters"].items()
        assert read["older"][cell] == base
    dma = read["ips"][DMA]["parameters"]
    expected = {"c_include_sg": 0, "c_micro_dma": 0, "c_include_mm2s": 1, "c_include_s2mm": 1, "c_include_mm2s_dre": 0}
    expected |= {"c_include_s2mm_dre": 0, "c_sg_length_width": 26}
    expected |= {"c_m_axi_mm2s_data_width": max(32, 8 * design.input_stream_bytes)}
    expected |= {"c_m_axi_s2mm_data_width": max(32, 8 * design.output_stream_bytes)}
    assert {key: int(dma[key]) for key in expected} == expected
    assert read["clocks"]["0"]["enable"] == 1
    assert read["clocks"]["0"]["frequency"] == design.pl_clock_mhz == 100.0
    assert [read["clocks"][i]["enable"] for i in "123"] == [0, 0, 0]
    divided = round(design.board.processing_system.pll_mhz / design.pl_clock_mhz)
    assert read["clocks"]["0"]["divisor0"] * read["clocks"]["0"]["divisor1"] == divided
    assert math.prod(read["set_to"]) == divided
    assert read["older_clocks"] == [read["clocks"]["0"]["divisor0"], read["clocks"]["0"]["divisor1"]]
    system = read["ips"]["ps"]["parameters"]
    widths = {key: value for key, value in system.items() if re.fullmatch(r"C_[MS]AXIGP\d_DATA_WIDTH", key)}
    ports = {"C_MAXIGP0_DATA_WIDTH": "32", "C_SAXIGP2_DATA_WIDTH": "128"}
    assert widths == (ports if design.board.family == "xcup" else {})


def test_pynq_reads_the_clock_of_one_that_vivado_wrote(ask_pynq, tmp_path):
    """pynqmetadata comes with one for a Zynq-7000, in which pynq 4.0 finds no frequency."""
    python = Path(os.environ["A2Q_BOARD_PYTHON"])
    script = "import pynqmetadata; print(pynqmetadata.__path__[0])"
    package = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    vivados = Path(package, "tests", "hwhs", "resizer.hwh")
    if not vivados.is_file():
        pytest.skip("this pynqmetadata comes without the .hwh of its own tests")
    assert ask_pynq(vivados)["clocks"]["0"]["frequency"] is None
    path = tmp_path / "finn-accel.hwh"
    path.write_text(hwh.complete(vivados.read_text(encoding="utf-8")), encoding="utf-8")
    assert ask_pynq(path)["clocks"]["0"]["frequency"] == 100.0
