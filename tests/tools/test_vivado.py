from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pipeline.devices.resources import Resources
from pipeline.errors import ToolError
from pipeline.tools import vivado
from pipeline.tools.vivado import Implemented
from tests.tools import vivado_stand_in


@pytest.fixture
def program(tmp_path: Path, monkeypatch):
    """Puts a shell script called `vivado` on PATH, alone."""

    def put(text: str) -> Path:
        path = tmp_path / "bin" / "vivado"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
        return path

    return put


def test_it_is_found_on_path(program):
    path = program('echo "Vivado v2023.1.1 (64-bit)"')
    assert vivado.find() == path
    assert vivado.version() == "2023.1.1"


def test_where_it_is_not_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vivado.find() is None
    for call in (vivado.version, lambda: vivado.run(tmp_path / "a.tcl", [], tmp_path)):
        with pytest.raises(ToolError, match="no program called vivado is on PATH"):
            call()


def test_a_program_that_does_not_tell_its_version_is_refused(program):
    program("echo no licence >&2; exit 2")
    with pytest.raises(ToolError, match="-version ended with status 2 and names no version; it prints: 'no licence'"):
        vivado.version()


def test_the_command_line_and_what_is_printed(program, tmp_path):
    program('for word in "$@"; do echo "$word"; done; pwd')
    lines = []
    script = tmp_path / "a script.tcl"
    status = vivado.run(script, ["a b", "2"], tmp_path / "new" / "run", on_line=lines.append)
    assert status == 0
    batch = ["-mode", "batch", "-nolog", "-nojournal", "-notrace", "-source", str(script)]
    assert lines == [*batch, "-tclargs", "a b", "2", str(tmp_path / "new" / "run")]
    assert (tmp_path / "new" / "run" / vivado.LOG).read_text().splitlines() == lines


def test_the_first_error_is_told(program, tmp_path):
    program(
        """echo "INFO: begins"
        echo "CRITICAL WARNING: [Synth 8-1] what is it"
        echo "ERROR: [Synth 8-439] module 'rom' not found" >&2
        echo "ERROR: [Common 17-39] failed due to earlier errors."
        exit 1"""
    )
    with pytest.raises(ToolError) as raised:
        vivado.run(tmp_path / "a.tcl", [], tmp_path / "run")
    assert str(raised.value) == (
        "Vivado ended with status 1: ERROR: [Synth 8-439] module 'rom' not found The whole log is "
        f"{tmp_path / 'run' / 'vivado.log'}."
    )


@pytest.mark.parametrize(("text", "last_line"), [("echo killed; exit 137", "killed"), ("exit 1", "it printed nothing")])
def test_where_there_is_none_the_last_line_is_told(program, tmp_path, text, last_line):
    program(text)
    with pytest.raises(ToolError, match=rf"status \d+: {last_line} The whole log"):
        vivado.run(tmp_path / "a.tcl", [], tmp_path / "run")


def test_a_status_that_means_something_is_returned(program, tmp_path):
    program("exit 3")
    assert vivado.run(tmp_path / "a.tcl", [], tmp_path / "run", statuses=(0, 3)) == 3


def test_an_interrupt_ends_it(program, tmp_path):
    program(
        "trap 'echo ended > ended; exit 0' TERM\n"
        "echo begun; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; done; echo late > late"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vivado.run(tmp_path / "a.tcl", [], tmp_path / "run", on_line=interrupt)
    assert (tmp_path / "run" / "ended").is_file() and not (tmp_path / "run" / "late").is_file()


def test_the_stand_in_runs_scripts(tmp_path, monkeypatch):
    stand_in = vivado_stand_in.install(tmp_path, monkeypatch)
    script = tmp_path / "a.tcl"
    script.write_text(
        'puts "[file tail [info script]] in [version -short]: [lindex $argv 0]"\nno_command_of_vivado 1\n'
    )
    assert vivado.version() == "2024.2"
    with pytest.raises(ToolError, match='invalid command name "no_command_of_vivado"'):
        vivado.run(script, ["a {b"], tmp_path / "run")
    assert (tmp_path / "run" / vivado.LOG).read_text().startswith("a.tcl in 2024.2: a {b\n")
    assert stand_in.calls[1] == ["version", "-short"]


TABLE = """<?xml version="1.0"?>
<RptDoc><section><table>
<tablerow>{head}</tablerow>
<tablerow>{row}</tablerow>
</table></section></RptDoc>
"""


def table(**columns: str) -> str:
    head = "".join(f'<tableheader contents="{name.replace("_", " ")}"/>' for name in columns)
    row = "".join(f'<tablecell contents="{value}"/>' for value in columns.values())
    return TABLE.format(head=head, row=row)


def test_the_table_of_a_7_series_part_has_no_ultra_rams(tmp_path):
    columns = {"Instance": "top", "Module": "(top)", "Total_LUTs": "5", "Logic_LUTs": "4", "LUTRAMs": "1", "SRLs": "0"}
    path = tmp_path / "utilization.xml"
    path.write_text(table(**columns, FFs="7", RAMB36="1", RAMB18="1", DSP48_Blocks="2"))
    assert vivado.read_utilization(path) == {"top": Resources(lut=5, lutram=1, ff=7, bram_18k=3, dsp=2)}


@pytest.mark.parametrize("text", ["<", "<RptDoc/>", table(Instance="top", Total_LUTs="many"), table(Instance="top")])
def test_another_table_is_refused(tmp_path, text):
    path = tmp_path / "utilization.xml"
    path.write_text(text)
    with pytest.raises(ToolError, match="Vivado's table of resources .* is not as expected"):
        vivado.read_utilization(path)


PART = "xck26-sfvc784-2LV-c"


@pytest.fixture
def route(tmp_path: Path, monkeypatch):
    """Places and routes a unit with the stand-in, which behaves as it is told; gives the result and the stand-in."""
    source = tmp_path / "ooc.sv"
    source.write_text(
        'module ooc (input wire ap_clk, input wire a, output wire b);\n  rom #(.File("a.mem")) u ();\nendmodule\n'
    )
    (tmp_path / "a.mem").write_text("0\n")
    installed = []

    def run(period_ns: float = 5.0, **behaviour: str) -> tuple[Implemented, vivado_stand_in.StandIn]:
        folder = tmp_path / f"stand-in {len(installed)}"
        folder.mkdir()
        installed.append(folder)
        stand_in = vivado_stand_in.install(folder, monkeypatch, **behaviour)
        options = {"memories": [tmp_path / "a.mem"], "part": PART, "period_ns": period_ns, "cache": tmp_path / "cache"}
        return vivado.route("ooc", [source], **options), stand_in

    return run


@pytest.mark.parametrize(("slack", "fmax"), [("0.125", 1000 / 4.875), ("-0.25", 1000 / 5.25), ("0.000", 200.0)])
def test_fmax_is_where_the_slowest_path_has_no_slack(route, slack, fmax):
    routed, _ = route(wns=slack)
    assert (routed.version, routed.part, routed.period_ns, routed.problem) == ("2024.2", PART, 5.0, "")
    assert routed.wns_ns == float(slack) and routed.fmax_mhz == pytest.approx(fmax, rel=1e-12)


def test_the_resources_are_those_of_the_unit_without_the_registers_around_it(route):
    routed, _ = route()
    assert routed.resources == Resources(lut=2200, lutram=90, srl=10, ff=1200, carry=2, bram_18k=7, uram=2)
    written = routed.to_json()
    assert list(written["resources"].items()) == [
        *(
            ("URAM", 2),
            ("LUT", 2200),
            ("LUTRAM", 90),
            ("SRL", 10),
            ("FF", 1200),
            ("BRAM_18K", 7),
            ("DSP", 0),
            ("Carry", 2),
        )
    ]
    assert Implemented.from_json(written) == routed


def test_it_is_synthesized_and_routed_out_of_context_at_the_clock_that_is_asked_for(route, tmp_path):
    _, stand_in = route(period_ns=4.167)
    order = [words[0] for words in stand_in.calls]
    steps = ["read_verilog", "read_xdc", "create_clock", "synth_design", "opt_design", "place_design", "route_design"]
    assert [name for name in order if name in steps] == steps
    assert order.index("report_utilization") > order.index("route_design")
    assert stand_in.of("synth_design") == [["-mode", "out_of_context", "-top", "harness", "-part", PART]]
    assert stand_in.of("create_clock") == [["-name", "clk_i", "-period", "4.167", "clk_i"]]
    assert ["-id", "Synth 8-4445", "-new_severity", "ERROR"] in stand_in.of("set_msg_config")
    assert list((tmp_path / "cache").glob("*.json")) == list((tmp_path / "cache").iterdir())  # its work is gone


def test_the_same_unit_is_routed_once(route, tmp_path):
    first, _ = route()
    again, stand_in = route(wns="1.000")
    assert again == first and not stand_in.record.exists()
    other, _ = route(period_ns=4.0, wns="1.000")
    assert other.wns_ns == 1.0
    (tmp_path / "a.mem").write_text("1\n")
    assert route(wns="1.000")[0].wns_ns == 1.0


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("place_design", "[DRC UTLZ-1] Resource utilization: LUT as Logic over-utilized in Top Level Design"),
        ("place_design", "[Place 30-640] Place Check : This design requires more RAMB18 cells than are available"),
    ],
)
def test_a_unit_that_the_part_does_not_hold_is_an_answer(route, step, message):
    routed, _ = route(failing=step, message=message)
    assert routed.problem == f"does not fit: {message.partition('] ')[2]}"
    assert routed.fmax_mhz is None and routed.wns_ns is None and routed.resources is None
    assert routed.to_json()["resources"] == {} and Implemented.from_json(routed.to_json()) == routed


def test_a_unit_that_is_not_routed_in_full_is_an_answer(route):
    routed, stand_in = route(routed="0")
    assert routed.problem == "not every net could be routed" and routed.fmax_mhz is None
    assert not stand_in.of("get_timing_paths")


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (
            {
                "failing": "synth_design",
                "message": "[Common 17-345] A valid license was not found for feature Synthesis",
            },
            r"Vivado ended with status 1: ERROR: \[Common 17-345\] A valid license was not found .*vivado\.log",
        ),
        ({"wns": ""}, r"Vivado ended with status 1: ERROR: \[A2Q\] no path of harness is timed"),
        ({"without": "utilization.xml"}, r"Vivado ended well but left no complete result\.txt and utilization\.xml"),
    ],
)
def test_a_failure_is_an_error_and_the_work_is_kept(route, tmp_path, behaviour, message):
    with pytest.raises(ToolError, match=message):
        route(**behaviour)
    (work,) = (tmp_path / "cache").glob("*/work")
    assert (work / vivado.LOG).is_file() and (work / "rtl" / "harness.v").is_file()
