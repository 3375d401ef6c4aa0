from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from a2q_driver.manifest import ACCELERATOR, DMA
from pipeline.board_design import hwh, tcl
from pipeline.board_design.description import describe
from pipeline.config import BuildConfig
from pipeline.devices.boards import load_board
from pipeline.devices.resources import Resources
from pipeline.errors import ConfigError, TimingError, ToolError, UnsupportedError
from pipeline.flow import build
from pipeline.progress import Screen
from pipeline.stage import Context, Stage
from pipeline.synthesis import bitfile
from tests.tools import vivado_stand_in

KV260 = load_board("KV260")
STREAMS = {"input_stream_bytes": 8, "output_stream_bytes": 2}
LAYERS = {"u_mvau_1": "MVAU_1", "u_fifo_2": "StreamingFIFO_2"}
TOO_SLOW = {
    *("finn-accel.bit", "finn-accel.hwh", bitfile.SCRIPT, bitfile.DESCRIPTION),
    *("utilization.rpt", "utilization.xml", "timing_summary.rpt", "worst_paths.txt", "result.txt"),
}


@pytest.fixture
def rtl(tmp_path: Path) -> Path:
    folder = tmp_path / "stitched_ip"
    folder.mkdir()
    (folder / "a2q_accelerator.v").write_text("module a2q_accelerator; endmodule\n")
    (folder / "weights.mem").write_text("0\n")
    return folder


@pytest.fixture
def without(tmp_path, monkeypatch) -> None:
    """No Vivado."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a stand-in for Vivado on PATH."""

    def install(board=KV260, period_ns=5.0, change=lambda text: text, **changes):
        behaviour = {"period": f"{period_ns:.3f}", "pl_clock": "99.999001"} | changes
        handoff = tmp_path / "handoff.hwh"
        handoff.write_text(change(hwh.render(describe(board, period_ns, **STREAMS))))
        return vivado_stand_in.install(tmp_path, monkeypatch, handoff=str(handoff), **behaviour)

    return install


def run(rtl: Path, tmp_path: Path, board=KV260, period_ns=5.0, **options) -> bitfile.BitfileResult:
    return bitfile.run(
        rtl, board, period_ns, tmp_path / "bitfile", **STREAMS, layers=LAYERS, work=tmp_path / "work", **options
    )


@pytest.mark.usefixtures("without")
class TestWithoutVivado:
    def test_the_project_is_written_with_how_to_run_it(self, rtl, tmp_path):
        result = run(rtl, tmp_path)
        folder = tmp_path / "bitfile"
        assert {path.name for path in folder.iterdir()} == {
            *(bitfile.FILE, bitfile.SCRIPT, bitfile.DESCRIPTION, "finn-accel.hwh")
        }
        design = describe(KV260, 5.0, **STREAMS)
        assert (folder / bitfile.SCRIPT).read_text() == tcl.render(design)
        assert result.hwh.read_text() == hwh.render(design)
        assert (result.vivado, result.bit, result.utilization, result.wns_ns) == (None, None, None, None)
        assert (result.clock_mhz, result.pl_clock_mhz) == (200.0, 100.0) == (design.clock_mhz, design.pl_clock_mhz)
        assert result.address_map == design.address_map
        assert result.summary == (
            "no bitstream, as vivado is not on PATH: run the same build where it is (its script is bitfile/build.tcl)"
        )
        assert not (tmp_path / "work").exists()

    def test_it_is_read_again(self, rtl, tmp_path):
        result = run(rtl, tmp_path)
        assert bitfile.load(tmp_path / "bitfile") == result

    def test_nothing_in_it_depends_on_where_and_when(self, rtl, tmp_path):
        run(rtl, tmp_path)
        first = {path.name: path.read_bytes() for path in (tmp_path / "bitfile").iterdir()}
        other = tmp_path / "elsewhere"
        other.mkdir()
        run(rtl, other)
        assert {path.name: path.read_bytes() for path in (other / "bitfile").iterdir()} == first
        assert not any(str(tmp_path).encode() in content for content in first.values())

    def test_the_description_is_plain(self, rtl, tmp_path):
        run(rtl, tmp_path)
        content = json.loads((tmp_path / "bitfile" / bitfile.DESCRIPTION).read_text())
        assert (content["board"], content["part"]) == ("KV260", KV260.part)
        assert content["address_map"] == {DMA: [0xA0000000, 0x10000], ACCELERATOR: [0xA0010000, 0x1000]}
        assert [cell["name"] for cell in content["cells"]][:4] == ["ps", "clk_wiz_0", DMA, ACCELERATOR]

    def test_a_card_without_processors_is_refused_and_nothing_written(self, rtl, tmp_path):
        with pytest.raises(UnsupportedError, match="A bitstream for the U250 cannot be made"):
            run(rtl, tmp_path, load_board("U250"), 4.0)
        assert not (tmp_path / "bitfile").exists()

    def test_a_clock_that_cannot_be_made_is_refused_and_nothing_written(self, rtl, tmp_path):
        with pytest.raises(
            ConfigError, match="A bitstream for the KV260 cannot have a clock of .* = 200: .* 1.5 to 160"
        ):
            run(rtl, tmp_path, KV260, 200.0)
        assert not (tmp_path / "bitfile").exists()


def test_a_bitstream_with_what_was_measured(rtl, tmp_path, stand_in):
    program = stand_in(period="5.001")
    lines = []
    result = run(rtl, tmp_path, jobs=5, log=lines.append)
    folder = tmp_path / "bitfile"
    assert result.bit == folder / "finn-accel.bit" and result.bit.read_text() == "a bitstream"
    assert (result.board, result.part, result.vivado) == ("KV260", KV260.part, "2024.2")
    assert (result.clock_mhz, result.pl_clock_mhz) == (199.960008, 99.999001)
    assert (result.wns_ns, result.whs_ns) == (0.125, 0.011)
    whole = Resources(lut=12345, lutram=900, srl=445, ff=9876, bram_18k=17, dsp=4)
    assert result.utilization == whole
    assert result.accelerator == Resources(lut=10000, lutram=700, srl=300, ff=8000, bram_18k=13)
    assert result.summary == (
        "a bitstream for the KV260 by Vivado 2024.2: 12,345 LUT, 199.96 MHz kept with 0.125 ns to spare "
        "by the strategy Performance_ExtraTimingOpt, the slowest path in MVAU_1 to StreamingFIFO_2"
    )
    assert [
        (path.kind, path.begins_in, path.ends_in, path.slack_ns, path.levels) for path in result.worst_paths[:2]
    ] == [
        ("setup", "MVAU_1", "StreamingFIFO_2", 0.125, 0),
        ("setup", "MVAU_1", "StreamingFIFO_2", 0.135, 1),
    ]
    assert len(result.worst_paths) == 10
    assert bitfile.load(folder) == result
    written = json.loads((folder / bitfile.FILE).read_text())["utilization"]
    assert list(written.items()) == [
        *(("URAM", 0), ("LUT", 12345), ("LUTRAM", 900), ("SRL", 445), ("FF", 9876), ("BRAM_18K", 17), ("DSP", 4))
    ]
    reports = {"utilization.rpt", "utilization.xml", "timing_summary.rpt", "worst_paths.txt", "result.txt"}
    assert reports < {path.name for path in folder.iterdir()}
    assert lines[-2] == "A2Q TRY Performance_ExtraTimingOpt setup 0.125 ns, hold 0.011 ns"
    assert lines[-1] == "A2Q DONE setup 0.125 ns, hold 0.011 ns at 199.960008 MHz"
    assert list((tmp_path / "work").iterdir()) == []
    command = program.of("vivado")[0]
    assert command[5:7] == ["-source", str(folder / bitfile.SCRIPT)] and command[8] == str(rtl) and command[-1] == "5"
    assert ["synth_1", "-jobs", "5"] in program.of("launch_runs")


def test_the_handoff_is_vivados_with_what_pynq_needs(rtl, tmp_path, stand_in):
    board = load_board("Pynq-Z2")
    of_pynq = "PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ"

    def as_vivado_does(text: str) -> str:
        return text.replace(f'        <PARAMETER NAME="{of_pynq}" VALUE="100.000000" />\n', "<!-- by Vivado -->")

    stand_in(board, 10.0, as_vivado_does)
    result = run(rtl, tmp_path, board, 10.0)
    text = result.hwh.read_text()
    assert "<!-- by Vivado -->" in text
    assert f'<PARAMETER NAME="{of_pynq}" VALUE="100.000000"/>' in text


def test_a_design_that_is_too_slow_for_its_clock(rtl, tmp_path, stand_in):
    stand_in(wns="-0.123", paths="u_mvau_1 axi_dma_0/U0")
    with pytest.raises(TimingError) as raised:
        run(rtl, tmp_path)
    (project,) = (tmp_path / "work").iterdir()
    too_slow = tmp_path / "bitfile" / "too_slow"
    message, title, *paths, where_project, where = str(raised.value).splitlines()
    tries = ", ".join(f"{strategy} -0.123 0.011" for strategy in tcl.STRATEGIES)
    assert message == (
        "On the KV260 the design does not keep its clock, synth_clk_period_ns = 5 (200 MHz): at best the worst slack is "
        f"-0.123 ns to setup and 0.011 ns to hold (strategies with both: {tries}). It would have kept a "
        "synth_clk_period_ns of 5.13 (195 MHz): give that or more."
    )
    assert where == f"The bitstream, not to be trusted at this clock, and its reports are in {too_slow}."
    assert (
        where_project == f"Vivado's project is in {project} until the next try." and (project / "vivado.log").is_file()
    )
    assert title == "The slowest paths:" and len(paths) == 10
    assert paths[3] == (
        "  MVAU_1 to axi_dma_0, -0.093 ns, 3 levels of logic, "
        "a2q_i/a2q_accelerator_0/inst/u_design/u_mvau_1/u_pe/sum_q_reg[3]/C to a2q_i/axi_dma_0/U0/valid_q_reg/D"
    )
    assert {path.name for path in too_slow.iterdir()} == TOO_SLOW
    assert (too_slow / "finn-accel.bit").read_text() == "a bitstream"
    assert list((tmp_path / "bitfile").iterdir()) == [too_slow]


def test_the_clock_that_would_have_done_is_reckoned_from_the_one_that_was_timed(rtl, tmp_path, stand_in):
    stand_in(wns="-0.123", period="5.050")
    with pytest.raises(TimingError, match=r"It would have kept a synth_clk_period_ns of 5\.18 "):
        run(rtl, tmp_path)


@pytest.mark.parametrize(
    ("slack", "advice", "titles"),
    [
        (
            {"whs": "-0.02"},
            "Setup is kept, but the hold violation remains at any clock: the paths say where it is.",
            ["The worst paths to hold:"],
        ),
        (
            {"wns": "-0.1", "whs": "-0.05"},
            (
                "Setup would have been kept at a synth_clk_period_ns of 5.1 (196 MHz), but the hold violation remains at "
                "any clock: the paths say where it is."
            ),
            ["The slowest paths:", "The worst paths to hold:"],
        ),
    ],
    ids=["hold", "both"],
)
def test_a_hold_violation_is_not_mended_by_a_slower_clock(rtl, tmp_path, stand_in, slack, advice, titles):
    stand_in(**slack)
    with pytest.raises(TimingError) as raised:
        run(rtl, tmp_path)
    message, *lines = str(raised.value).splitlines()
    assert message.endswith(f"). {advice}") and "It would have kept" not in message
    assert [line for line in lines if line.startswith("The ") and line.endswith(":")] == titles
    worst = lines[lines.index("The worst paths to hold:") + 1 :][:10]
    assert worst[0].startswith(f"  MVAU_1 to StreamingFIFO_2, {float(slack['whs']):.3f} ns, 0 levels of logic, ")
    assert all(line.startswith("  MVAU_1 to StreamingFIFO_2, ") for line in worst)


def test_a_build_keeps_a_bitstream_that_is_too_slow_until_it_succeeds(rtl, tmp_path, stand_in, monkeypatch):
    def make(context: Context) -> str:
        folder, work = context.folder / "bitfile", context.shared("vivado")
        return bitfile.run(rtl, KV260, 5.0, folder, **STREAMS, layers=LAYERS, work=work).summary

    def build_it() -> None:
        build(BuildConfig(), out, (Stage("bitfile", "", make),), Screen(Console(file=StringIO())))

    out = tmp_path / "out"
    too_slow = out / "bitfile" / "too_slow"
    stand_in(wns="-0.123")
    for _ in range(2):  # Vivado's project of the first try goes
        with pytest.raises(TimingError, match=f"its reports are in {too_slow}\\.$"):
            build_it()
        assert {path.name for path in too_slow.iterdir()} == TOO_SLOW
        assert list((out / "bitfile").iterdir()) == [too_slow]
        assert "finn-accel" in (too_slow / "build.tcl").read_text()
    monkeypatch.setenv("BEHAVIOUR", os.environ["BEHAVIOUR"].replace("wns {-0.123}", "wns {0.123}"))
    build_it()
    assert (out / "bitfile" / "finn-accel.bit").is_file() and not too_slow.exists()


def test_an_error_of_vivado_is_told_and_its_project_kept(rtl, tmp_path, stand_in):
    stand_in(failing="synth_1")
    with pytest.raises(
        ToolError, match=r"ERROR: \[Synth 8-439\] module 'rom' not found The whole log is .*vivado\.log"
    ):
        run(rtl, tmp_path)
    (project,) = (tmp_path / "work").iterdir()
    assert (project / "vivado.log").is_file() and project.name.startswith("KV260-")
    with pytest.raises(ToolError):
        run(rtl, tmp_path)
    assert list((tmp_path / "work").iterdir()) == [project]  # begun anew in the same folder


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("bit", r"Vivado left no finn-accel\.bit; its project"),
        ("utilization.xml", r"left no utilization\.xml"),
        ("hwh", r"Vivado ended with status 1: ERROR: \[A2Q\] Vivado wrote no a2q\.hwh"),
    ],
)
def test_an_output_that_is_missing_is_named(rtl, tmp_path, stand_in, missing, message):
    stand_in(without=missing)
    with pytest.raises(ToolError, match=message):
        run(rtl, tmp_path)


def test_other_addresses_are_an_error(rtl, tmp_path, stand_in):
    stand_in(change=lambda text: text.replace("0xA0010000", "0xA0020000").replace("0xA0010FFF", "0xA0020FFF"))
    with pytest.raises(
        ToolError, match="a2q_accelerator_0 the addresses 0xA0020000 to 0xA0020FFF; expected 0xA0010000"
    ):
        run(rtl, tmp_path)


@pytest.mark.parametrize("text", ["", "clock_mhz 100\nwns_ns 0\nwhs_ns 0\nstrategy a\n", "clock_mhz\n"])
def test_incomplete_facts_are_refused(tmp_path, text):
    path = tmp_path / "result.txt"
    path.write_text(text)
    with pytest.raises(ToolError, match="Vivado left no complete result.txt"):
        bitfile._read_facts(path)
