from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from pipeline.config import BuildConfig, load_config
from pipeline.devices.boards import ProcessingSystem, _BoardFile, board_names, load_board, read_board
from pipeline.errors import ConfigError
from pipeline.files import BOARDS
from pipeline.stage import declared_options
from pipeline.stages import STAGES


def test_every_board_can_be_read_and_names_the_source_of_each_figure():
    for name in board_names():
        board = load_board(name)
        system = board.processing_system
        sources = {"part", "board_part", "LUT", "FF", "BRAM36", "URAM", "DSP", "clock_mhz", "processing_system"}
        assert set(board.sources) == sources | (
            {"reference_clock_mhz", "pll_multiplier", "memory"} if system else set()
        )
        assert all(board.sources.values())
        assert board.family == ("xc7" if board.part.startswith("xc7") else "xcup")
        assert board.capacity.ff == 2 * board.capacity.lut


def test_the_boards_that_are_promised_are_there():
    zynq_ultra = {"KV260", "KR260", "AUP-ZU3", "ZCU104", "Ultra96-V2", "ZCU102", "RFSoC2x2"}
    kinds = dict.fromkeys(zynq_ultra, "zynq_ultra") | {"Pynq-Z1": "zynq7", "Pynq-Z2": "zynq7", "U250": None}
    systems = {name: load_board(name).processing_system for name in board_names()}
    assert {name: system and system.kind for name, system in systems.items()} == kinds


def test_what_a_processing_system_gives():
    system = load_board("Pynq-Z2").processing_system
    assert (system.pll_mhz, system.memory_base, system.memory_size) == (1000.0, 0, 512 << 20)
    for name in board_names():
        system = load_board(name).processing_system
        # both documents say what a PLL reaches: UG585, and UG1085 after it is halved
        assert system is None or 750 <= system.pll_mhz <= 1600


@pytest.mark.parametrize("name", ["KV260", "kv260", "KV260_SOM", "kv260-som"])
def test_names_and_aliases(name):
    assert load_board(name).part == "xck26-sfvc784-2LV-c"


def test_an_unknown_board_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'KV26'.*KV260, Pynq-Z1"):
        load_board("KV26")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("family: xcup", "family: ice40", "family is 'ice40'; expected xcup or xc7"),
        ("family: xcup", "family: xc7", "part is 'xck26-sfvc784-2LV-c'; expected a part of the family xc7, as xc7z020"),
        ("clock_mhz: 300", "clock_mhz: 0", "clock_mhz is 0; expected a number of megahertz from 1"),
        (
            "clock_mhz: 300",
            "clock_mhz: 1",
            "clock_mhz is 1; expected 6.25 to 667, which the clock manager of a zynq_ul",
        ),
        ("clock_mhz: 300", "clock_mhz: 900", "clock_mhz is 900; expected 6.25 to 667"),
        ("clock_mhz: 300", "clock_mhz: .inf", "clock_mhz is inf; expected"),
        ("clock_mhz: 300", "clock_mhz: .nan", "clock_mhz is nan; expected"),
        ("clock_mhz: 300", "clock_mhz: '200'", "clock_mhz is '200'; expected"),
        ("clock_mhz: 300", "clock_mhz: true", "clock_mhz is true; expected"),
        ("clock_mhz: 300", "clock_mhz: [200]", r"clock_mhz is \[200\]; expected"),
        ("clock_mhz: 300", "clock_mhz: 1e9", "clock_mhz is 1000000000.0; expected"),
        ("LUT: 117120", "LUT: -1", "capacity.LUT is -1; expected a count"),
        ("LUT: 117120", "LUT: 117120.0", "capacity.LUT is 117120.0; expected a count"),
        ("LUT: 117120, ", "", "capacity.LUT is missing; expected a count"),
        ("LUT: 117120, ", "LUT: 117120, LUT: 1, ", "line 7, column 25: the key 'LUT' stands in line 7 already"),
        ("aliases: [KV260_SOM]\n", "", "aliases is missing; expected a list"),
        ("aliases: [KV260_SOM]", "aliases: KV260_SOM", "aliases is 'KV260_SOM'; expected a list"),
        ("aliases: [KV260_SOM]", "aliases: [kv-260]", "name and aliases are KV260, kv-260; expected each once"),
        ("aliases: [KV260_SOM]", "aliases: [Sim]", "name and aliases are KV260, Sim; expected .* none to be sim"),
        ("name: KV260\n", "name: [\n", "is not YAML: line "),
        (
            "name: KV260\n",
            "name: 'KV260}; exec reboot #'\n",
            "name is 'KV260}; exec reboot #'; expected letters, digits",
        ),
        ("name: KV260\n", 'name: "KV260\\n"\n', "name is 'KV260.n'; expected letters, digits"),
        ("name: KV260\n", "name: ../KV260\n", "name is '../KV260'; expected letters, digits"),
        ("name: KV260\n", "name: 260\n", "name is 260; expected letters, digits"),
        ("part: xck26-sfvc784-2LV-c\n", "part: '[exec reboot]'\n", r"part is '\[exec reboot\]'; expected a part of"),
        (
            "kind: zynq_ultra",
            "kind: zynq7",
            "processing_system.kind is zynq7, in the family xcup; expected zynq_ultra, or none",
        ),
        ("pll_multiplier: 45", "pll_multiplier: 4.5", "system.pll_multiplier is 4.5; expected a whole number"),
        ("pll_multiplier: 45", "pll_multiplier: 90", "has a PLL of 2999.97 MHz, .*; expected 750 to 1600"),
        (
            "reference_clock_mhz: 33.333\n  pll_multiplier: 45",
            "reference_clock_mhz: 20\n  pll_multiplier: 75",
            "pll_multiplier is 75; expected up to 62",
        ),
        (
            "reference_clock_mhz: 33.333\n",
            "reference_clock_mhz: 0\n",
            "reference_clock_mhz is 0; expected a number of megahertz",
        ),
        ("memory_size: 0x80000000", "memory_size: 2 GB", "memory_size is '2 GB'; expected a number of bytes"),
        (
            "memory_size: 0x80000000",
            "memory_size: 0x180000000",
            "memory_size is 6442450944; expected a number of bytes",
        ),
        ("memory_base: 0x00000000", "memory_base: -1", "memory_base is -1; expected an address"),
        (
            "memory_base: 0x00000000",
            "memory_base: 0xC0000000",
            "memory_size is 0x80000000 from 0xc0000000 on; expected",
        ),
        ("  pll_multiplier: 45\n", "", "processing_system.pll_multiplier is missing; expected a whole number"),
        ('"xilinx.com:kv260_som:part0:*"', "kv260_som", "board_part is 'kv260_som'; expected Vivado's name"),
        ('"xilinx.com:kv260_som:part0:*"', "'a:b:part0:[exit]'", "board_part is .*; expected Vivado's name"),
        ("  memory: ", "  other: ", "sources has 'memory' missing; expected exactly part, .*, memory"),
        ('"DS987, DSP slices"', "3", "sources.DSP is 3; expected a mapping of figures to the documents"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, old, new, message):
    text = (BOARDS / "kv260.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message) as caught:
        read_board(path)
    assert str(path) in str(caught.value)


def test_a_name_of_two_boards_is_refused_with_both_files(tmp_path, monkeypatch):
    text = (BOARDS / "zcu104.yaml").read_text()
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text.replace("name: ZCU104", "name: Mine"))
    monkeypatch.setattr("pipeline.devices.boards.BOARDS", tmp_path)
    assert board_names() == ("ZCU104", "Mine")
    (tmp_path / "b.yaml").write_text(text.replace("name: ZCU104\naliases: []", "name: Mine\naliases: [zcu-104]"))
    with pytest.raises(ConfigError, match=r"boards in .*a\.yaml and .*b\.yaml are both called zcu-104"):
        load_board("Mine")


def written(path: Path, *changes: tuple[str, str]) -> Path:
    """The file of the KV260 with `changes`, at `path`."""
    text = (BOARDS / "kv260.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


MINE = (("name: KV260\n", "name: Mine\n"), ("aliases: [KV260_SOM]", "aliases: []"))


def test_a_file_of_the_users_is_a_board(tmp_path):
    path = written(tmp_path / "mine.yaml", *MINE, ("LUT: 117120", "LUT: 1000"))
    board = load_board(str(path))
    assert (board.name, board.capacity.lut, board.file) == ("Mine", 1000, path)
    assert "Mine" not in board_names()
    assert load_board(str(BOARDS / "kv260.yaml")) == load_board("KV260")


@pytest.mark.parametrize("name", ["KV260", "kv-260", "Mine\naliases: [kv260-som] #"])
def test_a_file_of_the_users_has_no_name_of_another_board(tmp_path, name):
    path = written(
        tmp_path / "mine.yaml",
        ("name: KV260\naliases: [KV260_SOM]", f"name: {name}" + "\naliases: []" * ("\n" not in name)),
    )
    with pytest.raises(
        ConfigError, match=r"The board file .*mine.yaml: name and aliases are .*; expected other names than"
    ):
        load_board(str(path))


def test_a_configuration_names_a_file_beside_it(tmp_path):
    path = written(tmp_path / "mine.yaml", *MINE, ("clock_mhz: 300", "clock_mhz: 125"))
    (tmp_path / "config.yaml").write_text("board: mine.yaml\n")
    config = load_config(tmp_path / "config.yaml")
    assert (config.board, config.board_name, config.synth_clk_period_ns) == (str(path), "Mine", 8.0)
    with pytest.raises(ConfigError, match="what is given over the file: The board file .*gone.yaml cannot be read"):
        load_config(tmp_path / "config.yaml", {"board": str(tmp_path / "gone.yaml")})


def test_the_content_of_a_file_is_in_the_keys_of_the_stages_that_read_it(tmp_path):
    path = written(tmp_path / "mine.yaml", *MINE)
    readers = [stage for stage in STAGES if "board" in stage.reads]
    assert {stage.name for stage in readers} >= {"fold", "synth", "timing", "bitfile", "package", "report"}
    assert all(path in stage.files(declared_options(BuildConfig(board=str(path)), stage.reads)) for stage in readers)
    assert not any(stage.files(declared_options(BuildConfig(board="KV260"), stage.reads)) for stage in readers)


def test_the_documented_file_is_a_board_and_every_key_is_explained(tmp_path):
    text = (BOARDS.parents[1] / "docs" / "boards.md").read_text()
    example = re.search(r"\n((?:    .*\n)+)\nEvery key must be there", text)[1]
    path = tmp_path / "mine.yaml"
    path.write_text(textwrap.dedent(example))
    board = load_board(str(path))
    assert board.name == "AUP-ZU3-4GB" and board.part == load_board("AUP-ZU3").part
    keys = [*_BoardFile.model_fields, *_BoardFile.model_fields["capacity"].annotation.model_fields]
    for key in (*keys, *ProcessingSystem.model_fields):
        assert f"`{key}`" in text, key
