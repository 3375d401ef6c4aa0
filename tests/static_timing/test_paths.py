from __future__ import annotations

import pytest

from pipeline.errors import ToolError
from pipeline.static_timing.circuit import flatten
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.estimate import timing_of
from pipeline.static_timing.network import Network
from pipeline.static_timing.paths import Path, TimingGraph
from tests.static_timing.netlists import cell, design, instance, module

CLOCK = 1
IN = {"clk_i": [CLOCK]}
US = CELL_DELAYS["xcup"]
OPTIMISTIC, PESSIMISTIC = 0, 1


def paths(netlist: dict, net: int = OPTIMISTIC, family: str = "xcup", count: int = 10) -> list[Path]:
    graph = TimingGraph(flatten(netlist), CELL_DELAYS[family])
    return timing_of(Network({"unit": graph}, {}), net).worst("unit", count)


def flip_flop(d: int | str, q: int, **pins: int | str) -> dict:
    return cell("FDRE", C=CLOCK, D=d, Q=q, **({"CE": "1", "R": "0"} | pins))


CHAIN = [
    flip_flop("0", 10),
    cell("LUT2", I0=10, I1="1", O=11),
    cell("LUT6", I0=11, I1="0", I2="0", I3="0", I4="0", I5=10, O=12),
    cell("LUT3", I0=12, I1="0", I2="0", O=13),
    flip_flop(13, 14),
]


@pytest.mark.parametrize("family", ["xcup", "xc7"])
@pytest.mark.parametrize("net", [OPTIMISTIC, PESSIMISTIC])
def test_three_luts_take_three_nets_and_the_flip_flop_lies_beside_the_last(family, net):
    delays = CELL_DELAYS[family]
    (path,) = paths(design(module(CHAIN, IN, names={"from_q": [10], "to_q": [14]})), net, family)
    expected = delays.clk_to_q + 3 * (delays.nets[net].base + delays.lut) + delays.setup_d + delays.uncertainty
    assert path.ns == pytest.approx(expected) and path.mhz == pytest.approx(1000 / expected)
    assert (path.luts, path.carries) == (3, 0)
    assert [hop.cell for hop in path.hops] == ["FDRE", "LUT2", "LUT6", "LUT3", "FDRE"]
    assert (path.start.signal, path.end.signal, path.end.pin) == ("from_q", "to_q", "D")
    assert sum(hop.net_ns + hop.cell_ns for hop in path.hops) + delays.uncertainty == pytest.approx(path.ns)


def test_a_carry_chain_costs_its_entry_its_steps_and_its_exit():
    """Twelve bits: into the first of three CARRY4 through a LUT beside it, out of the third, to a flip-flop beside that."""
    cells = [
        flip_flop("0", 10),
        cell("LUT2", I0=10, I1="1", O=11),
        cell(
            "CARRY4", CYINIT="0", CI="0", DI=["0"] * 4, S=[11, "0", "0", "0"], O=[20, 21, 22, 23], CO=[24, 25, 26, 27]
        ),
        cell("CARRY4", CYINIT="0", CI=27, DI=["0"] * 4, S=["0"] * 4, O=[30, 31, 32, 33], CO=[34, 35, 36, 37]),
        cell("CARRY4", CYINIT="0", CI=37, DI=["0"] * 4, S=["0"] * 4, O=[40, 41, 42, 43], CO=[44, 45, 46, 47]),
        flip_flop(43, 50),
    ]
    (path,) = paths(design(module(cells, IN)))
    entered = US.clk_to_q + US.nets[0].base + US.lut + US.carry_entry
    assert path.ns == pytest.approx(entered + US.carry_step + US.carry_exit + US.setup_d + US.uncertainty)
    assert (path.luts, path.carries) == (1, 1)


def test_a_sum_that_goes_on_to_a_lut_leaves_its_slice():
    cells = [
        flip_flop("0", 10),
        cell(
            "CARRY4", CYINIT="0", CI="0", DI=["0"] * 4, S=[10, "0", "0", "0"], O=[20, 21, 22, 23], CO=[24, 25, 26, 27]
        ),
        cell("LUT1", I0=20, O=30),
        flip_flop(30, 31),
    ]
    (path,) = paths(design(module(cells, IN)))
    nets = 2 * US.nets[0].base + US.carry_to_net
    assert path.ns == pytest.approx(US.clk_to_q + nets + US.carry_sum + US.lut + US.setup_d + US.uncertainty)


def test_only_the_pessimistic_net_is_slower_the_more_it_drives():
    def longest(loads: int, net: int) -> float:
        enables = [flip_flop("0", 100 + i, CE=10) for i in range(loads)]
        return paths(design(module([flip_flop("0", 10), *enables], IN)), net)[0].ns

    for net in US.nets:
        index = US.nets.index(net)
        assert longest(16, index) == pytest.approx(US.clk_to_q + net.base + US.setup_enable + US.uncertainty), (
            "as many as lie around"
        )
        assert longest(256, index) == pytest.approx(longest(16, index) + 4 * net.per_doubling)
    assert US.nets[OPTIMISTIC].per_doubling == 0 < US.nets[PESSIMISTIC].per_doubling
    assert (
        paths(design(module([flip_flop("0", 10), *(flip_flop("0", 100 + i, CE=10) for i in range(99))], IN)))[0].fan_out
        == 99
    )


def test_a_lut_with_two_loads_lies_beside_its_flip_flop_only_optimistically():
    cells = [*CHAIN, cell("LUT1", I0=13, O=15), flip_flop(15, 16)]
    ends = {net: {path.end.signal: path.ns for path in paths(netlist, net)} for net in (0, 1) for netlist in [
        design(module(cells, IN, names={"to_q": [14], "other_q": [16]}))
    ]}  # fmt: skip
    alone = {net: paths(design(module(CHAIN, IN)), net)[0].ns for net in (0, 1)}
    assert ends[OPTIMISTIC]["to_q"] == pytest.approx(alone[OPTIMISTIC])
    assert ends[PESSIMISTIC]["to_q"] == pytest.approx(alone[PESSIMISTIC] + US.nets[PESSIMISTIC].base)


@pytest.mark.parametrize(("registered", "took"), [("0", US.bram_clk_to_out), ("1", US.bram_clk_to_out_registered)])
def test_a_block_ram_starts_late_without_its_register_and_is_sampled_early(registered, took):
    cells = [
        flip_flop("0", 10),
        cell("RAMB18E2", {"DOA_REG": registered}, CLKARDCLK=CLOCK, ADDRARDADDR=[10], DOUTADOUT=[11]),
        flip_flop(11, 12),
    ]
    by_end = {path.end.cell: path for path in paths(design(module(cells, IN)))}
    into, out_of = by_end["RAMB18E2"], by_end["FDRE"]
    nets = US.nets[0].base + US.uncertainty
    assert into.ns == pytest.approx(US.clk_to_q + US.bram_setup + nets)
    assert out_of.start.cell == "RAMB18E2" and out_of.ns == pytest.approx(took + US.setup_d + nets)


@pytest.mark.parametrize(("registered", "setup"), [("0", US.dsp_setup_sum), ("1", US.dsp_setup)])
def test_a_dsp_is_sampled_at_its_registers_and_starts_at_its_sum(registered, setup):
    cells = [
        flip_flop("0", 10),
        cell("DSP48E2", {"CREG": registered}, CLK=CLOCK, A=["0"], B=["1"], C=[10], CEP=["1"], P=[11]),
        flip_flop(11, 12),
        cell("DSP48E2", {"CREG": "1"}, CLK=CLOCK, A=[10], B=["1"], C=["0"], CEP=["1"], P=[13]),
    ]
    by_end = {(path.end.cell, path.end.pin): path for path in paths(design(module(cells, IN)))}
    nets = US.nets[0].base + US.uncertainty
    assert by_end["DSP48E2", "C"].ns == pytest.approx(US.clk_to_q + setup + nets)
    assert by_end["DSP48E2", "A"].ns == pytest.approx(US.clk_to_q + US.dsp_setup + nets)
    assert by_end["FDRE", "D"].ns == pytest.approx(US.dsp_clk_to_out + US.setup_d + nets)


def test_an_accumulator_in_a_dsp_has_no_registers_before_its_sum():
    dsp = cell(
        "DSP48E2", {"CREG": "0", "USE_MULT": "NONE"}, CLK=CLOCK, A=[10], B=["0"], C=[10], OPMODE=[10], CEP=[10], P=[11]
    )
    by_end = {path.end.pin: path.ns for path in paths(design(module([flip_flop("0", 10), dsp], IN)))}
    nets = US.nets[0].base + US.uncertainty
    for pin in ("A", "C", "OPMODE"):
        assert by_end[pin] == pytest.approx(US.clk_to_q + US.dsp_setup_sum + nets)
    assert by_end["CEP"] == pytest.approx(US.clk_to_q + US.setup_enable + nets)


def test_a_memory_of_luts_is_read_through_like_a_lut_and_written_at_the_clock():
    cells = [
        flip_flop("0", 10),
        cell("RAM32M", WCLK=CLOCK, ADDRA=[10, "0", "0", "0", "0"], DIA=[10, "0"], WE="1", DOA=[11, 12]),
        flip_flop(11, 13),
    ]
    by_end = {path.end.pin: path for path in paths(design(module(cells, IN, names={"q": [10], "out_q": [13]})))}
    assert by_end["D"].ns == pytest.approx(US.clk_to_q + 2 * US.nets[0].base + US.lut + US.setup_d + US.uncertainty)
    assert by_end["D"].luts == 1
    assert set(by_end) == {"D", "DIA"}, "nothing is written at a read address"
    assert by_end["DIA"].ns == pytest.approx(US.clk_to_q + US.nets[0].base + US.lutram_setup + US.uncertainty)


def test_constants_and_clocks_are_no_paths():
    cells = [cell("LUT2", I0="0", I1="1", O=10), flip_flop(10, 11)]
    assert paths(design(module(cells, IN))) == []


def test_an_input_comes_from_a_register_and_an_output_goes_to_one():
    netlist = design(module([cell("LUT1", I0=2, O=3)], {"a_i": [2]}, {"y_o": [3]}))
    (path,) = paths(netlist)
    assert path.ns == pytest.approx(US.clk_to_q + 2 * US.nets[0].base + US.lut + US.uncertainty)
    assert [hop.cell for hop in path.hops] == ["input", "LUT1", "output"]
    assert (path.start.signal, path.end.signal) == ("a_i", "y_o")


def test_a_reset_may_go_everywhere_at_no_cost_and_an_enable_may_not():
    def longest(port: str) -> float:
        resets = [flip_flop("0", 100 + i, R=2) for i in range(1000)]
        return paths(design(module(resets, {**IN, port: [2]})), PESSIMISTIC)[0].ns

    assert (
        longest("rst_ni")
        == longest("ap_rst_n")
        == pytest.approx(US.clk_to_q + US.nets[1].base + US.setup_reset + US.uncertainty)
    )
    assert longest("clear_i") > longest("rst_ni") + 0.5


def test_bits_of_a_register_are_one_path():
    cells = [flip_flop("0", 10), *(cell("LUT1", I0=10, O=20 + i) for i in range(8))]
    cells += [flip_flop(20 + i, 30 + i) for i in range(8)]
    (path,) = paths(design(module(cells, IN, names={"start_q": [10], "word_q": range(30, 38)})))
    assert path.end.signal.startswith("word_q[")


def test_what_is_behind_a_border_is_followed_and_called_by_its_module():
    """An inverter in a module of its own is absorbed by the LUT behind it, and a wire through a module is a wire."""
    ports = {"a_i": "input", "y_o": "output"}
    inverter = module([cell("INV", I=1, O=2)], {"a_i": [1]}, {"y_o": [2]}, source="inverter", top=False)
    wire = module([], {"a_i": [1]}, {"y_o": [1]}, source="wire", top=False)
    tied = module([], {"a_i": [1]}, {"y_o": ["1"]}, source="tied", top=False)
    inner = module(
        [cell("LUT2", I0=2, I1=5, O=3), flip_flop(3, 4)],
        {"clk_i": [1], "a_i": [2], "b_i": [5]}, {"y_o": [4]}, {"kept_q": [4]}, source="inner", top=False,
    )  # fmt: skip
    cells = {
        "$ff": flip_flop("0", 10),
        "u_inverter": instance("inverter", ports, a_i=10, y_o=11),
        "u_wire": instance("wire", ports, a_i=11, y_o=12),
        "u_tied": instance("tied", ports, a_i=10, y_o=14),
        "u_inner": instance("inner", {**ports, "clk_i": "input", "b_i": "input"}, clk_i=CLOCK, a_i=12, b_i=14, y_o=13),
    }
    top = module(cells, IN, names={"q": [10]})
    (path,) = paths(design(top, inverter=inverter, wire=wire, tied=tied, inner=inner))
    assert [hop.cell for hop in path.hops] == ["FDRE", "LUT2", "FDRE"]
    assert (path.end.signal, path.end.module) == ("u_inner.kept_q", "inner")


def test_a_loop_without_a_register_is_named():
    cells = [cell("LUT2", I0=10, I1="0", O=11), cell("LUT2", I0=11, I1="0", O=10)]
    with pytest.raises(
        ToolError, match=r"a loop that no register breaks goes through a LUT2 of the top \(module unit\)"
    ):
        paths(design(module(cells)))


def test_a_primitive_without_delays_is_named():
    with pytest.raises(ToolError, match="a cell MULT18X18 in module unit, of which no delays are known"):
        paths(design(module([cell("MULT18X18", A=10, O=11)])))
