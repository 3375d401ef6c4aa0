from __future__ import annotations

import gzip
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.codegen.rtl import rtl_sources
from pipeline.devices.resources import Resources
from pipeline.errors import ToolError
from pipeline.static_timing.circuit import flatten
from pipeline.tools import process, yosys, yosys_worker
from pipeline.tools.netlist import read_netlist
from pipeline.tools.yosys import PRIMITIVES, SynthesisResult, Unit

LANE = """module lane (input wire clk_i, input wire [3:0] a_i, output logic [7:0] sum_o);
  always_ff @(posedge clk_i) sum_o <= sum_o + 8'(a_i);
endmodule
"""
TOP = """module pair #(parameter int unsigned Lanes = 2)
  (input wire clk_i, input wire [4*Lanes-1:0] a_i, output wire [8*Lanes-1:0] sums_o);
  for (genvar i = 0; i < Lanes; i++) begin : gen_lane
    lane u_lane (.clk_i(clk_i), .a_i(a_i[4*i+:4]), .sum_o(sums_o[8*i+:8]));
  end
endmodule
"""


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    (tmp_path / "lane.sv").write_text(LANE)
    (tmp_path / "pair.sv").write_text(TOP)
    return [tmp_path / "lane.sv", tmp_path / "pair.sv"]


def test_counts_every_instance_of_a_module_that_is_mapped_once(sources, tmp_path):
    for lanes in (1, 2):
        unit = Unit("pair", sources, parameters={"Lanes": lanes})
        (result,) = yosys.synthesize([unit], "xcup", cache=tmp_path / f"cache {lanes}")
        assert result.total.ff == 8 * lanes
        assert result.by_module["lane"] == result.total
        if lanes == 1:
            one = result.total
    assert result.total == one * 2
    assert one.lut and one.carry and not one.dsp


def test_the_same_content_is_synthesized_once(sources, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = yosys.synthesize([Unit("lane", sources[:1])], "xc7", cache=cache)
    key = Unit("lane", sources[:1]).key("xc7")
    assert sorted(path.name for path in cache.iterdir()) == [f"{key}.json", f"{key}.netlist.json.gz"]
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert yosys.synthesize([Unit("lane", sources[:1])], "xc7", cache=cache) == first
    with pytest.raises(ToolError):
        yosys.synthesize([Unit("lane", sources[:1])], "xcup", cache=cache)


def test_the_netlist_is_what_was_counted(sources, tmp_path):
    pair = Unit("pair", sources)
    (counted,) = yosys.synthesize([pair], "xcup", cache=tmp_path / "cache")
    design = read_netlist(yosys.netlist(pair, "xcup", cache=tmp_path / "cache"))
    assert sorted(design["modules"]) == ["lane", "pair"], "two equal lanes are one module"
    kinds = Counter(cell.kind for cell in flatten(design).cells)
    assert kinds["FDRE"] == counted.total.ff and kinds["CARRY4"] == counted.total.carry
    assert sum(count for kind, count in kinds.items() if kind.startswith("LUT")) == counted.total.lut
    assert "sum_o" in design["modules"]["lane"]["netnames"]
    assert design.keys() == {"creator", "modules"}


def test_a_netlist_is_the_same_to_the_bit_in_any_company_and_with_any_seed_of_hashes(tmp_path, monkeypatch):
    units = [adder(tmp_path), *fifo_and_rom(tmp_path / "units", 40)]
    netlists = []
    for seed, order in enumerate((units, units[::-1], units[:1])):
        monkeypatch.setenv("PYTHONHASHSEED", str(seed))
        cache = tmp_path / str(seed)
        yosys.synthesize(order, "xcup", cache=cache)
        netlists.append({unit.top: yosys.netlist(unit, "xcup", cache=cache).read_bytes() for unit in order})
    assert netlists[0] == netlists[1]
    assert netlists[2].items() < netlists[0].items()


def test_an_adder_takes_a_look_up_table_a_bit_whatever_its_wires_are_called(tmp_path):
    """Yosys has met some names before it reads any design, and orders by that."""
    units = [adder(tmp_path, row=name) for name in ("row", "A", "Q")]
    for unit, counted in zip(units, yosys.synthesize(units, "xcup", cache=tmp_path / "cache"), strict=True):
        assert counted.total.lut == unit.parameters["Width"]


def adder(folder: Path, row: str = "row") -> Unit:
    """A digit adder, in which another name stands for the wire `row`."""
    (source,) = (path for path in rtl_sources() if path.stem == "digit_adder")
    written = folder / f"called {row}" / source.name
    written.parent.mkdir()
    written.write_text(re.sub(r"\brow\b", row, source.read_text()))
    return Unit("digit_adder", [written], parameters={"Width": 8, "FactorWidth": 6})


def test_a_count_whose_netlist_is_gone_is_made_again(sources, tmp_path):
    unit = Unit("lane", sources[:1])
    before = yosys.synthesize([unit], "xc7", cache=tmp_path / "cache")
    yosys.netlist(unit, "xc7", cache=tmp_path / "cache").unlink()
    assert yosys.netlist(unit, "xc7", cache=tmp_path / "cache").is_file()
    assert yosys.synthesize([unit], "xc7", cache=tmp_path / "cache") == before


def test_yosys_reads_a_netlist_that_it_gave(sources, tmp_path):
    file = yosys.netlist(Unit("pair", sources), "xcup", cache=tmp_path / "cache")
    (tmp_path / "pair.json").write_bytes(gzip.decompress(file.read_bytes()))
    commands = "read_json pair.json; hierarchy -check -top pair; flatten; tee -q -o stat.json stat -json"
    script = f"from pyosys import libyosys; [libyosys.run_pass(c.strip()) for c in {commands!r}.split(';')]"
    library = "read_verilog -lib -specify +/xilinx/cells_sim.v; "
    subprocess.run(
        [sys.executable, "-c", script.replace("read_json", library + "read_json")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (counted,) = yosys.synthesize([Unit("pair", sources)], "xcup", cache=tmp_path / "cache")
    kinds = json.loads((tmp_path / "stat.json").read_text())["design"]["num_cells_by_type"]
    assert kinds["FDRE"] == counted.total.ff and kinds["CARRY4"] == counted.total.carry


def test_the_key_covers_everything_a_run_reads(sources, tmp_path):
    memory = tmp_path / "m.mem"
    memory.write_text("0\n")
    unit = Unit("pair", sources, [memory], {"Lanes": 2})
    keys = {unit.key("xcup"), unit.key("xc7")}
    keys.add(replace(unit, top="lane").key("xcup"))
    keys.add(replace(unit, parameters={"Lanes": 3}).key("xcup"))
    keys.add(replace(unit, sources=sources[:1]).key("xcup"))
    memory.write_text("1\n")
    keys.add(unit.key("xcup"))
    sources[0].write_text(LANE + "\n")
    keys.add(unit.key("xcup"))
    assert len(keys) == 7


def test_together_they_are_counted_as_alone_in_one_run(tmp_path, monkeypatch):
    """Memories of the same name with other contents, modules of the same name with other parameters."""
    units = [unit for i, depth in enumerate((2, 40, 300)) for unit in fifo_and_rom(tmp_path / str(i), depth)]
    alone = [
        result for i, unit in enumerate(units) for result in yosys.synthesize([unit], "xcup", cache=tmp_path / f"c{i}")
    ]
    runs = []
    run = process.run
    monkeypatch.setattr(process, "run", lambda *given, **named: runs.append(1) or run(*given, **named))
    together = yosys.synthesize(units, "xcup", cache=tmp_path / "cache")
    assert together == alone
    assert len({result.total.lut for result in alone}) > 3
    assert len(runs) == 1
    assert yosys.synthesize([units[4], units[1]], "xcup", cache=tmp_path / "cache") == [alone[4], alone[1]]
    assert len(runs) == 1


def fifo_and_rom(folder: Path, depth: int) -> list[Unit]:
    folder.mkdir()
    rtl = {path.stem: path for path in rtl_sources()}
    (folder / "fifo.sv").write_text(
        f"""module fifo (input wire c, input wire r, input wire iv, output wire ir, input wire [7:0] i,
  output wire ov, input wire o_r, output wire [7:0] o);
  streaming_fifo #(.Width(8), .Depth({depth})) u_fifo (.clk_i(c), .rst_ni(r), .in_valid_i(iv), .in_ready_o(ir),
    .in_data_i(i), .out_valid_o(ov), .out_ready_i(o_r), .out_data_o(o));
endmodule
"""
    )
    (folder / "words.mem").write_text("".join(f"{i * i % 251:02x}\n" for i in range(depth)))
    (folder / "lookup.sv").write_text(
        f"""module lookup (input wire c, input wire [{(depth - 1).bit_length() - 1}:0] a, output wire [7:0] d);
  rom #(.Width(8), .Depth({depth}), .File("words.mem")) u_rom (.clk_i(c), .en_i(1'b1), .address_i(a), .data_o(d));
endmodule
"""
    )
    return [
        Unit("fifo", yosys.needed_sources(folder / "fifo.sv", rtl.values())),
        Unit("lookup", yosys.needed_sources(folder / "lookup.sv", rtl.values()), [folder / "words.mem"]),
    ]


def test_an_error_in_yosys_is_told_with_the_end_of_its_log(tmp_path):
    source = tmp_path / "broken.sv"
    source.write_text("module broken (output wire a);\n  assign a = missing;\nendmodule\n")
    with pytest.raises(ToolError, match="synthesis of broken by Yosys ended with status 1") as caught:
        yosys.synthesize([Unit("broken", [source])], "xcup", cache=tmp_path / "cache")
    assert "undeclared identifier 'missing'" in str(caught.value)
    (log,) = (tmp_path / "cache").glob("*.log")
    assert str(log) in str(caught.value) and "SLANG frontend" in log.read_text()
    assert not list((tmp_path / "cache").glob("*.json"))


def test_a_missing_package_is_told_with_what_to_do(sources, tmp_path, monkeypatch):
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ToolError, match="needs the Python package `pyosys`.*`pip install pyosys`.*make setup"):
        yosys.synthesize([Unit("lane", sources)], "xcup", cache=tmp_path)


def test_an_unknown_family_is_refused():
    with pytest.raises(ToolError, match="family xc2v cannot be synthesized; these can: xc7, xcup"):
        yosys.recipe("xc2v")


def test_two_files_of_one_name_are_refused(sources, tmp_path):
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "lane.sv"
    twin.write_text(LANE)
    with pytest.raises(ToolError, match=r"two files of one design are called lane\.sv"):
        yosys.synthesize([Unit("pair", [*sources, twin])], "xcup", cache=tmp_path / "cache")


def test_only_the_files_that_the_top_needs_are_read(sources, tmp_path):
    stranger = tmp_path / "stranger.sv"
    stranger.write_text("module stranger; endmodule\n")
    assert yosys.needed_sources(sources[1], [stranger, *sources]) == sources


def stat(**modules: dict[str, int]) -> dict:
    return {"modules": {f"\\{name}": {"num_cells_by_type": cells} for name, cells in modules.items()}}


def test_counting_goes_down_the_hierarchy():
    counted = stat(
        top={"a": 2, "LUT6": 1}, a={"b$x": 3, "CARRY4": 1}, **{"b$x": {"RAM32M16": 1, "FDRE": 2, "MUXF7": 4}}
    )
    total, modules = yosys.count_primitives(counted, "top")
    assert modules == {
        "top": Resources(lut=1),
        "a": Resources(carry=2),
        "b": Resources(lut=48, lutram=48, ff=12),
    }
    assert total == Resources(lut=49, lutram=48, ff=12, carry=2)


def test_a_cell_of_unknown_cost_is_an_error():
    with pytest.raises(ToolError, match=r"left 2 cells \$mul in module top.*PRIMITIVES"):
        yosys.count_primitives(stat(top={"$mul": 2}), "top")


def test_memories_are_counted_by_what_they_take():
    assert PRIMITIVES["RAMB36E2"] == PRIMITIVES["RAMB18E2"] * 2
    assert (PRIMITIVES["RAMB18E2"] * 3).bram_36k == 1.5
    assert PRIMITIVES["RAM64M"].lut == PRIMITIVES["RAM64M"].lutram == 4
    assert PRIMITIVES["SRLC32E"] == Resources(lut=1, srl=1)


def test_cached_results_are_whole(sources, tmp_path):
    (result,) = yosys.synthesize([Unit("lane", sources[:1])], "xc7", cache=tmp_path / "c")
    (entry,) = (tmp_path / "c").glob("*.json")
    content = json.loads(entry.read_text())
    assert result == SynthesisResult(Resources(**content["total"]), {"lane": Resources(**content["by_module"]["lane"])})
    assert sorted(os.listdir(tmp_path / "c")) == [entry.name, f"{entry.stem}.netlist.json.gz"]


def test_a_source_that_changes_while_it_is_read_is_not_kept_under_its_old_name(tmp_path, monkeypatch):
    source = tmp_path / "unit.sv"
    source.write_text("module unit (input wire a_i, output wire b_o);\n  assign b_o = a_i;\nendmodule\n")
    copy = yosys._copy

    def after_an_edit(files, folder):
        source.write_text(source.read_text().replace("= a_i", "= !a_i"))
        copy(files, folder)

    monkeypatch.setattr(yosys, "_copy", after_an_edit)
    with pytest.raises(ToolError, match="sources of unit were changed while they were read"):
        yosys.synthesize([yosys.Unit("unit", [source])], "xcup", cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.json"))


@pytest.mark.parametrize("family", yosys.FAMILIES)
def test_only_what_is_meant_for_dsps_is_put_into_them(family, tmp_path):
    """A multiplication beside it stays in look-up tables; the DSP has all registers of the module."""
    top = tmp_path / "products.sv"
    top.write_text(
        "module products (\n  input wire clk_i, input wire signed [8:0] a_i, b_i, input wire signed [17:0] c_i,\n"
        "  output wire signed [17:0] p_o, output logic signed [17:0] q_o\n);\n"
        "  multiply_add #(.AWidth(9), .BWidth(9), .Width(18)) u_multiply_add (\n"
        "    .clk_i(clk_i), .en_i(1'b1), .a_i(a_i), .b_i(b_i), .c_i(c_i), .p_o(p_o)\n  );\n"
        "  always_ff @(posedge clk_i) q_o <= a_i * b_i;\nendmodule\n"
    )
    unit = Unit("products", yosys.needed_sources(top, rtl_sources()))
    (counted,) = yosys.synthesize([unit], family, cache=tmp_path / "cache")
    assert counted.by_module["multiply_add"] == Resources(dsp=1)
    beside = counted.by_module["products"]
    assert beside.dsp == 0 and beside.lut > 50 and beside.ff == 18


@pytest.mark.parametrize("family", yosys.FAMILIES)
def test_memories_are_mapped_as_synth_xilinx_maps_them(family, tmp_path, monkeypatch):
    """Its commands for memories stand one by one in the recipe: those for primitives that a unit has none of are left out."""
    units = [unit for depth in (40, 2000) for unit in fifo_and_rom(tmp_path / str(depth), depth)]
    counted = yosys.synthesize(units, family, cache=tmp_path / "one by one", workers=2)
    assert any(result.total.bram_18k for result in counted) and any(result.total.lutram for result in counted)
    monkeypatch.setattr(
        yosys,
        "_memory_commands",
        lambda family: [f"{yosys_worker.FOR_MEMORIES}{yosys.recipe(family)} -run map_memory:map_ffram"],
    )
    assert counted == yosys.synthesize(units, family, cache=tmp_path / "at once", workers=2)


@pytest.mark.parametrize("family", yosys.FAMILIES)
def test_modules_without_logic_are_left_out_of_the_mapping_to_look_up_tables_alone(
    family, sources, tmp_path, monkeypatch
):
    """The commands of synth_xilinx for it stand one by one in the recipe: counts are what it gives in one piece."""
    units = [Unit("pair", sources), *fifo_and_rom(tmp_path / "units", 40)]
    counted = yosys.synthesize(units, family, cache=tmp_path / "one by one", workers=2)
    assert counted[0].by_module["pair"] == Resources() != counted[0].by_module["lane"]
    monkeypatch.setattr(yosys, "_LUT_COMMANDS", (f"{yosys.recipe(family)} -run map_luts:finalize",))
    assert counted == yosys.synthesize(units, family, cache=tmp_path / "at once", workers=2)


def test_counts_are_kept_as_they_come_and_told(tmp_path):
    """A unit that fails ends the run; what was counted before is not counted again."""
    source = tmp_path / "broken.sv"
    source.write_text("module broken (output wire a);\n  assign a = missing;\nendmodule\n")
    units = [adder(tmp_path), Unit("broken", [source]), *fifo_and_rom(tmp_path / "units", 40)]
    told: list[tuple[int, int]] = []
    with pytest.raises(ToolError, match="undeclared identifier 'missing'"):
        yosys.synthesize(units, "xcup", cache=tmp_path, on_progress=lambda *step: told.append(step))
    assert told == [(0, 4), (1, 4)]
    assert [path.stem for path in tmp_path.glob("*.json")] == [units[0].key("xcup")]
    yosys.synthesize(units[:1], "xcup", cache=tmp_path, on_progress=lambda *step: told.append(step))
    assert told[2:] == [(1, 1)]
