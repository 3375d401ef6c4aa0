from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.board_design import hwh, tcl
from pipeline.errors import ToolError
from pipeline.tools import vivado
from tests.board_design.designs import DESIGNS, check_golden
from tests.tools import vivado_stand_in

EVERY_DESIGN = pytest.mark.parametrize("name", DESIGNS)


@pytest.fixture
def rtl(tmp_path: Path) -> Path:
    folder = tmp_path / "some rtl"
    folder.mkdir()
    (folder / "a2q_accelerator.v").write_text("module a2q_accelerator; inner u (); endmodule\n")
    (folder / "inner.sv").write_text(
        'module inner; rom #(.File("a.mem")) u (); rom #(.File("aa.mem")) v (); endmodule\n'
    )
    (folder / "rom.sv").write_text('module rom #(parameter File = ""); endmodule // a.mem\n')
    (folder / "a.mem").write_text("0\n")
    (folder / "aa.mem").write_text("1\n")
    (folder / "finn_design_wrapper.f").write_text("rom.sv\n")
    return folder


@pytest.fixture
def build(tmp_path: Path, rtl: Path, monkeypatch):
    """Runs the script of a design with the stand-in; gives the exit status and the stand-in."""

    def run(design, statuses=(0,), folder=rtl, **behaviour):
        handoff = tmp_path / "handoff.hwh"
        handoff.write_text(hwh.render(design))
        stand_in = vivado_stand_in.install(tmp_path, monkeypatch, handoff=str(handoff), **behaviour)
        script = tmp_path / "build.tcl"
        script.write_text(tcl.render(design))
        arguments = [str(folder), str(tmp_path / "output"), str(tmp_path / "work"), "3"]
        return vivado.run(script, arguments, tmp_path / "run", statuses=statuses), stand_in

    return run


@EVERY_DESIGN
def test_the_script_is_the_golden_one(name):
    assert tcl.render(DESIGNS[name]) == tcl.render(DESIGNS[name])
    check_golden(f"{name}.tcl", tcl.render(DESIGNS[name]))


def test_the_script_for_a_unit_alone_is_the_golden_one():
    text = tcl.render_out_of_context("out_of_context.tcl", "xck26-sfvc784-2LV-c", 5.0)
    check_golden("out_of_context.tcl", text)


@pytest.mark.parametrize("text", ["KV260\nexec reboot", "[exec reboot]", "$x", "a;b", "a\\"])
def test_a_board_that_is_called_like_a_command_is_not_written(text):
    design = DESIGNS["kv260"]
    with pytest.raises(ValueError, match="cannot be written into a Tcl script"):
        tcl.render(replace(design, board=replace(design.board, name=text)))
    with pytest.raises(ValueError, match="cannot be written into a Tcl script"):
        tcl.render_out_of_context("out_of_context.tcl", text, 5.0)


@EVERY_DESIGN
def test_it_makes_the_design_that_is_described(build, name):
    design = DESIGNS[name]
    status, stand_in = build(design)
    assert status == 0
    cells = {words[-1]: words[words.index("-vlnv") + 1] for words in stand_in.of("create_bd_cell")}
    assert cells == {cell.name: cell.vlnv for cell in design.cells}
    settings = {words[2]: words[1].split() for words in stand_in.of("set_property") if words[0] == "-dict"}
    assert settings == {
        cell.name: [word for key, value in cell.parameters.items() for word in (f"CONFIG.{key}", value)]
        for cell in design.cells
        if cell.parameters
    }
    assert stand_in.of("connect_bd_intf_net") == [[link.manager, link.subordinate] for link in design.links]
    assert stand_in.of("connect_bd_net") == [[net.source, *net.sinks] for net in design.nets]
    assigned = [
        (words[-2], words[-1], int(words[1], 16), int(words[3], 16)) for words in stand_in.of("assign_bd_address")
    ]
    assert assigned == [
        *(("ps/Data", f"{c}/{design.cell(c).registers.name}/*", *span) for c, span in design.address_map.items()),
        *((f"axi_dma_0/{space}", design.memory_segment, *design.memory) for space in ("Data_MM2S", "Data_S2MM")),
    ]
    order = [words[0] for words in stand_in.calls]
    assert order.index("validate_bd_design") < order.index("launch_runs") < order.index("write_bitstream")
    # the preset comes before the parameters, which change what it set
    assert order.index("apply_bd_automation") < order.index("set_property", order.index("create_bd_cell"))


@EVERY_DESIGN
def test_results_are_where_they_were_asked_for(build, tmp_path, name):
    build(DESIGNS[name])
    files = sorted(path.name for path in (tmp_path / "output").iterdir())
    assert files == [
        "finn-accel.bit",
        "finn-accel.hwh",
        "result.txt",
        "timing_summary.rpt",
        "utilization.rpt",
        "utilization.xml",
        "worst_paths.txt",
    ]
    lines = (tmp_path / "output" / "result.txt").read_text().splitlines()
    assert lines[0] == "vivado 2024.2"
    assert lines[2:] == [
        *("clock_mhz 100.000000", "pl_clock_mhz 100.000000", "strategy Performance_ExtraTimingOpt"),
        *("wns_ns 0.125", "whs_ns 0.011", "tries Performance_ExtraTimingOpt 0.125 0.011"),
    ]


def test_the_clock_is_what_was_timed(build, tmp_path):
    build(DESIGNS["kv260"], period="5.001", pl_clock="99.999001")
    lines = (tmp_path / "output" / "result.txt").read_text().splitlines()
    assert lines[2:4] == ["clock_mhz 199.960008", "pl_clock_mhz 99.999001"]


def test_a_design_without_its_clock_gets_no_bitstream(build):
    with pytest.raises(ToolError, match="0 clocks come from a2q_i/clk_wiz_0/clk_out1, expected 1"):
        build(DESIGNS["kv260"], period="")


def test_the_newest_board_files_are_taken(build):
    _, stand_in = build(DESIGNS["kv260"])
    assert ["board_part", "xilinx.com:kv260_som:part0:1.4", "current_project"] in stand_in.of("set_property")


def test_board_files_that_are_missing_are_named_with_what_to_do(build):
    with pytest.raises(
        ToolError, match=r"Vivado knows no board tul\.com\.tw:pynq-z2:part0:\*\. Install its board files"
    ):
        build(DESIGNS["pynq_z2"], boards="xilinx.com:kv260_som:part0:1.4")


def test_another_version_of_an_ip_will_do(build):
    older = [ip.replace("zynq_ultra_ps_e:3.5", "zynq_ultra_ps_e:3.3") for ip in vivado_stand_in.IPS]
    _, stand_in = build(DESIGNS["kv260"], ips=" ".join([*older, "xilinx.com:ip:zynq_ultra_ps_e:3.4"]))
    assert ["-type", "ip", "-vlnv", "xilinx.com:ip:zynq_ultra_ps_e:3.4", "ps"] in stand_in.of("create_bd_cell")


def test_an_ip_that_is_missing_is_named(build):
    ips = [ip for ip in vivado_stand_in.IPS if "axi_dma" not in ip]
    with pytest.raises(ToolError, match="Vivado has no IP xilinx.com:ip:axi_dma:7.1"):
        build(DESIGNS["kv260"], ips=" ".join(ips))


def test_memories_are_found_from_wherever_a_run_works(build, tmp_path):
    _, stand_in = build(DESIGNS["kv260"])
    copies = tmp_path / "work" / "rtl"
    text = (copies / "inner.sv").read_text()
    assert (
        text == f'module inner; rom #(.File("{copies}/a.mem")) u (); rom #(.File("{copies}/aa.mem")) v (); endmodule\n'
    )
    assert (copies / "aa.mem").read_text() == "1\n"
    assert (copies / "rom.sv").read_text().endswith("// a.mem\n")
    assert ["-norecurse", " ".join(str(copies / name) for name in ("a.mem", "aa.mem"))] in [
        [words[0], words[1].replace("{", "").replace("}", "")] for words in stand_in.of("add_files")
    ]
    kinds = [words for words in stand_in.of("set_property") if words[0] == "file_type"]
    assert [words[1] for words in kinds] == ["Memory Initialization Files"]
    assert ["-id", "Synth 8-4445", "-new_severity", "ERROR"] in stand_in.of("set_msg_config")


def test_memories_that_share_a_parameter_are_found_too(build, rtl, tmp_path):
    (rtl / "inner.sv").write_text('module inner; search #(.ThresholdFiles("b_ThresholdFiles")) u (); endmodule\n')
    for name in ("b_ThresholdFiles_0.mem", "b_ThresholdFiles_12_3.mem"):
        (rtl / name).write_text("0\n")
    build(DESIGNS["kv260"])
    copies = tmp_path / "work" / "rtl"
    assert f'.ThresholdFiles("{copies}/b_ThresholdFiles")' in (copies / "inner.sv").read_text()
    assert (copies / "b_ThresholdFiles_12_3.mem").is_file()


def test_without_memories_there_are_none_to_add(build, rtl):
    for path in rtl.glob("*.mem"):
        path.unlink()
    status, stand_in = build(DESIGNS["kv260"])
    assert status == 0
    assert not [words for words in stand_in.of("set_property") if words[0] == "file_type"]


def test_the_interfaces_of_the_accelerator_have_its_clock_and_reset(build):
    _, stand_in = build(DESIGNS["kv260"])
    associated = stand_in.of("ipx::associate_bus_interfaces")
    assert [words[1] for words in associated if words[0] == "-busif"] == ["s_axi_control", "s_axis_0", "m_axis_0"]
    assert all(words[-3:-1] == ["-clock", "ap_clk"] for words in associated if words[0] == "-busif")
    assert associated[-1][:4] == ["-clock", "ap_clk", "-reset", "ap_rst_n"]


@pytest.mark.parametrize("slack", [{"wns": "-0.001"}, {"whs": "-0.2"}])
def test_the_bitstream_of_a_design_that_is_too_slow_is_set_aside(build, tmp_path, slack):
    status, stand_in = build(DESIGNS["kv260"], statuses=(0, tcl.TIMING_STATUS), **slack)
    assert status == tcl.TIMING_STATUS
    aside = tmp_path / "output" / tcl.TOO_SLOW
    assert stand_in.of("write_bitstream") == [["-force", str(aside / "finn-accel.bit")]]
    assert (aside / "finn-accel.hwh").is_file() and not (tmp_path / "output" / "finn-accel.hwh").exists()
    marker = f"A2Q TIMING setup {slack.get('wns', '0.125')} ns, hold {slack.get('whs', '0.011')} ns at 100.000000 MHz"
    assert marker in (tmp_path / "run" / vivado.LOG).read_text().splitlines()


def implemented(stand_in) -> list[str]:
    """The strategy of each implementation run, in the order in which they were launched."""
    strategies = {words[2]: words[1] for words in stand_in.of("set_property") if words[0] == "strategy"}
    return [strategies[words[0]] for words in stand_in.of("launch_runs") if words[0] != "synth_1"]


def test_strategies_are_tried_until_one_keeps_the_clock(build, tmp_path):
    status, stand_in = build(DESIGNS["kv260"], wns="-0.3 0.02 0.5")
    assert status == 0
    assert implemented(stand_in) == list(tcl.STRATEGIES[:2])
    facts = (tmp_path / "output" / "result.txt").read_text()
    assert f"strategy {tcl.STRATEGIES[1]}\nwns_ns 0.02\n" in facts
    assert f"tries {tcl.STRATEGIES[0]} -0.3 0.011, {tcl.STRATEGIES[1]} 0.02 0.011\n" in facts


def test_where_none_keeps_it_the_best_is_what_is_reported(build, tmp_path):
    _, stand_in = build(DESIGNS["kv260"], statuses=(tcl.TIMING_STATUS,), wns="-0.300 -0.100 -0.200")
    assert implemented(stand_in) == list(tcl.STRATEGIES)
    assert [words[0] for words in stand_in.of("open_run")] == ["impl_1", "impl_2", "impl_3", "impl_2"]
    paths = (tmp_path / "output" / "worst_paths.txt").read_text().splitlines()
    kinds, slack, *_ = zip(*(line.split("\t") for line in paths), strict=True)
    assert set(kinds) == {"setup"} and len(kinds) == 10
    assert [float(text) for text in slack[:3]] == [-0.1, -0.09, -0.08]


def test_one_that_a_slower_clock_mends_is_better_than_one_that_violates_hold(build, tmp_path):
    build(DESIGNS["kv260"], statuses=(tcl.TIMING_STATUS,), wns="-0.300", whs="-0.010 0.011 -0.020")
    assert f"strategy {tcl.STRATEGIES[1]}\n" in (tmp_path / "output" / "result.txt").read_text()


@pytest.mark.parametrize(
    ("slack", "kinds"),
    [({"wns": "-0.1", "whs": "-0.05"}, ["setup", "hold"]), ({"whs": "-0.05"}, ["hold"]), ({"wns": "-0.1"}, ["setup"])],
)
def test_the_worst_paths_are_of_what_is_violated(build, tmp_path, slack, kinds):
    build(DESIGNS["kv260"], statuses=(tcl.TIMING_STATUS,), **slack)
    paths = (tmp_path / "output" / "worst_paths.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in paths] == [kind for kind in kinds for _ in range(10)]


@pytest.mark.parametrize(
    ("failing", "wns", "tried"),
    [("impl_2", "-0.3 0.5 0.02", 3), ("impl_1", "-0.3 0.02", 2), ("impl_1 impl_2", "-0.3 -0.3 0.02", 3)],
)
def test_a_strategy_that_fails_is_no_reason_not_to_try_the_others(build, tmp_path, failing, wns, tried):
    status, stand_in = build(DESIGNS["kv260"], wns=wns, failing=failing)
    assert status == 0
    assert implemented(stand_in) == list(tcl.STRATEGIES[:tried])
    assert (tmp_path / "output" / "finn-accel.bit").is_file()
    facts = (tmp_path / "output" / "result.txt").read_text()
    assert f"strategy {tcl.STRATEGIES[tried - 1]}\nwns_ns 0.02\n" in facts
    log = (tmp_path / "run" / vivado.LOG).read_text()
    for run in failing.split():
        strategy = tcl.STRATEGIES[int(run[-1]) - 1]
        assert f"WARNING: [A2Q] {strategy} is given up: the run {run} ended with the status" in log
        assert f"{strategy} failed" in facts


def test_where_the_last_strategy_fails_the_best_is_opened_again(build, tmp_path):
    _, stand_in = build(DESIGNS["kv260"], statuses=(tcl.TIMING_STATUS,), wns="-0.300 -0.100", failing="impl_3")
    assert [words[0] for words in stand_in.of("open_run")] == ["impl_1", "impl_2", "impl_2"]
    assert (tmp_path / "output" / tcl.TOO_SLOW / "finn-accel.bit").is_file()


def test_where_all_strategies_fail_the_first_says_why(build, tmp_path):
    with pytest.raises(ToolError, match=r"module 'rom' not found"):
        build(DESIGNS["kv260"], failing="impl_1 impl_2 impl_3")
    lines = (tmp_path / "run" / vivado.LOG).read_text().splitlines()
    assert lines[-1] == "ERROR: [A2Q] the run impl_1 ended with the status synth_design ERROR"
    assert not (tmp_path / "output" / "result.txt").exists()


def test_it_is_retimed_and_optimised_before_and_after_routing(build):
    _, stand_in = build(DESIGNS["kv260"])
    settings = stand_in.of("set_property")
    assert ["STEPS.SYNTH_DESIGN.ARGS.RETIMING", "true", "synth_1"] in settings
    assert ["synth_checkpoint_mode", "None", "a2q.bd"] in settings  # else the accelerator has a synthesis of its own
    for step in ("PHYS_OPT_DESIGN", "POST_ROUTE_PHYS_OPT_DESIGN"):
        enabled = settings.index([f"STEPS.{step}.IS_ENABLED", "true", "impl_1"])
        assert enabled > settings.index(["strategy", tcl.STRATEGIES[0], "impl_1"])  # which sets all steps anew


def test_what_the_dma_has_no_use_for_is_left_out_of_its_addresses(build, tmp_path):
    _, stand_in = build(DESIGNS["kv260"])
    spaces = ("axi_dma_0/Data_MM2S", "axi_dma_0/Data_S2MM")
    others = ("HP0_DDR_HIGH", "HP0_LPS_OCM", "HP0_QSPI")
    assert stand_in.of("exclude_bd_addr_seg") == [
        ["-target_address_space", space, f"/ps/SAXIGP2/{other}"] for space in spaces for other in others
    ]
    log = (tmp_path / "run" / vivado.LOG).read_text()
    assert "WARNING: [A2Q] /ps/SAXIGP2/HP0_DDR_HIGH stays open to axi_dma_0/Data_MM2S: beyond the 32 bits" in log


def test_on_a_7_series_board_there_is_nothing_else(build):
    assert not build(DESIGNS["pynq_z2"])[1].of("exclude_bd_addr_seg")


def test_the_packaged_accelerator_takes_any_clock(build):
    assert ["ipi_drc", "ignore_freq_hz true", "current_core"] in build(DESIGNS["kv260"])[1].of("set_property")


@pytest.mark.parametrize("run", ["synth_1", "impl_1 impl_2 impl_3"])
def test_the_error_of_a_run_is_what_is_told(build, run):
    with pytest.raises(ToolError, match=r"Vivado ended with status 1: ERROR: \[Synth 8-439\] module 'rom' not found"):
        build(DESIGNS["kv260"], failing=run)


def test_a_folder_without_the_accelerator_is_refused(build, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ToolError, match=r"empty holds no a2q_accelerator\.v"):
        build(DESIGNS["kv260"], folder=tmp_path / "empty")


def test_what_is_no_folder_is_refused(build, tmp_path):
    with pytest.raises(ToolError, match="there is no folder .*none; give the folder"):
        build(DESIGNS["kv260"], folder=tmp_path / "none")


def test_no_arguments_show_how_it_is_called(tmp_path, monkeypatch):
    vivado_stand_in.install(tmp_path, monkeypatch)
    script = tmp_path / "build.tcl"
    script.write_text(tcl.render(DESIGNS["kv260"]))
    with pytest.raises(ToolError, match=r"-tclargs RTL \[OUTPUT \[WORK \[JOBS\]\]\]"):
        vivado.run(script, [], tmp_path / "run")


def test_the_rtl_alone_will_do(tmp_path, rtl, monkeypatch):
    design = DESIGNS["kv260"]
    (tmp_path / "handoff.hwh").write_text(hwh.render(design))
    stand_in = vivado_stand_in.install(tmp_path, monkeypatch, handoff=str(tmp_path / "handoff.hwh"))
    script = tmp_path / "carried" / "build.tcl"
    script.parent.mkdir()
    script.write_text(tcl.render(design))
    vivado.run(script, [str(rtl)], tmp_path / "run")
    assert (script.parent / "finn-accel.bit").is_file()
    assert (tmp_path / "run" / "vivado_project" / "project").is_dir()
    assert stand_in.of("launch_runs")[0] == ["synth_1", "-jobs", "2"]


def test_a_name_that_tcl_would_read_is_refused():
    board = replace(DESIGNS["kv260"].board, part="xck26}; exit")
    with pytest.raises(ValueError, match="cannot be written into a Tcl script"):
        tcl.render(replace(DESIGNS["kv260"], board=board))
