"""gate_level: netlists beside their SystemVerilog, what memories become included, and that a fault in a netlist is found."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.codegen.rtl import describe_design
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.synthesis import synth
from pipeline.tools import yosys
from pipeline.tools.gates import count_cells
from pipeline.tools.netlist import read_netlist
from pipeline.verification import gate_level
from pipeline.verification.gate_level_shell import ShellRun, simulate_shell
from tests.kernels.matrices import matrix_layer
from tests.kernels.requantized import requantized_thresholding
from tests.kernels.test_activation import near_thresholds

UINT4 = IntType(0, 15)
SHAPE = (12, 12, 16)


def memories(ram_style: str) -> LayerGraph:
    """FIFOs of several widths, two of them equal, and a matrix with weights in `ram_style`."""
    matrix = matrix_layer(MVAU, 4, 16, UINT4, 4, 3, pe=1, simd=16, ram_style=ram_style)
    layers = (
        StreamingFIFO("short", ("s0",), ("s1",), shape=SHAPE, type=UINT4, lanes=2, depth=5),
        StreamingFIFO("narrow", ("s1",), ("s2",), shape=SHAPE, type=UINT4, lanes=2, depth=1200),
        StreamingDataWidthConverter("join", ("s2",), ("s3",), shape=SHAPE, type=UINT4, in_lanes=2, out_lanes=16),
        StreamingFIFO("wide", ("s3",), ("s4",), shape=SHAPE, type=UINT4, lanes=16, depth=400),
        StreamingFIFO("twin", ("s4",), ("s5",), shape=SHAPE, type=UINT4, lanes=16, depth=400),
        replace(matrix, name="matrix", input_names=("s5",), output_names=("s6",), pixels=SHAPE[:2]),
    )
    return LayerGraph("memories", layers, "s0", "s6")


class Simulation:
    """The netlists of a graph in a family, and their simulation."""

    def __init__(self, graph: LayerGraph, family: str, folder: Path) -> None:
        self.graph, self.folder, self.family = graph, folder, family
        units = {layer.name: synth.unit(layer, folder / layer.name) for layer in graph}
        yosys.synthesize(list(units.values()), family, cache=folder / "yosys")
        self.netlists = {name: yosys.netlist(unit, family, cache=folder / "yosys") for name, unit in units.items()}

    def with_shell(self) -> Simulation:
        """The same with what stands between the graph and the processors."""
        units = synth.surroundings(self.graph)
        yosys.synthesize(list(units.values()), self.family, cache=self.folder / "yosys")
        around = {name: yosys.netlist(unit, self.family, cache=self.folder / "yosys") for name, unit in units.items()}
        result = object.__new__(Simulation)
        result.graph, result.folder, result.family = self.graph, self.folder, self.family
        result.netlists = self.netlists | around
        return result

    def run(self, **changed: Path) -> gate_level.GateLevelReport:
        frames = np.random.default_rng(0).integers(0, 16, (1, *SHAPE))
        netlists = self.netlists | changed
        report = self.folder / "report"
        return gate_level.run(self.graph, netlists, frames, self.folder / "models", report, stall_seed=1)

    def primitives(self) -> Counter[str]:
        return sum((Counter(count_cells(read_netlist(path))) for path in self.netlists.values()), Counter())

    def changed(self, layer: str, change: Callable[[dict], None]) -> Path:
        """The netlist of `layer` after `change`."""
        netlist = read_netlist(self.netlists[layer])
        change(netlist)
        path = self.folder / "changed.json.gz"
        path.write_bytes(gzip.compress(json.dumps(netlist).encode()))
        return path


@pytest.fixture(scope="module")
def simulation(tmp_path_factory) -> Simulation:
    return Simulation(memories("ultra"), "xcup", tmp_path_factory.mktemp("xcup"))


@pytest.fixture(scope="module")
def fifo(simulation) -> Simulation:
    """Its first layer alone."""
    alone = object.__new__(Simulation)
    layer = simulation.graph.layer("short")
    alone.graph, alone.folder, alone.family = (
        LayerGraph("short", (layer,), *layer.input_names, *layer.output_names),
        simulation.folder / "alone",
        simulation.family,
    )
    alone.folder.mkdir()
    alone.netlists = {"short": simulation.netlists["short"]}
    return alone


def test_netlists_agree_in_every_cycle_with_memories_of_ultrascale(simulation):
    used = simulation.primitives()
    assert used["RAMB18E2"] and used["RAMB36E2"] and used["URAM288"] and used["RAM32M16"] and used["CARRY4"]
    report = simulation.run()
    layers = {run.layers: run for run in report.units}
    assert list(layers) == [("short",), ("narrow",), ("join",), ("wide", "twin"), ("matrix",)]
    for run in report.units:
        assert run.frames == 1 and run.cells > 0
        assert run.cycles > 2 * 12 * 12 * 8  # stalled half of the time
    beats = {run.layers[0]: run.beats for run in report.units}
    assert beats["short"] >= 12 * 12 * 8 and beats["join"] >= 12 * 12
    assert gate_level.load(simulation.folder / "report" / gate_level.FILE) == report
    assert report.summary.startswith("5 netlists of 6 layers, ")
    assert "no difference from the SystemVerilog" in report.summary


def test_netlists_agree_in_every_cycle_with_memories_of_7_series(tmp_path):
    simulation = Simulation(memories("block"), "xc7", tmp_path)
    used = simulation.primitives()
    assert used["RAMB18E1"] and used["RAMB36E1"] and used["RAM32M"] and used["CARRY4"]
    assert len(simulation.run().units) == 5


@pytest.mark.parametrize(("family", "block"), [("xcup", "DSP48E2"), ("xc7", "DSP48E1")])
def test_netlists_with_multipliers_in_dsps_agree_in_every_cycle(family, block, tmp_path):
    """One DSP and two of a lane, which has its operands on either side."""
    one, two = (requantized_thresholding(4, IntType.of_bits(bits, signed=True), 15, pe=2) for bits in (12, 20))
    layers = [
        replace(layer.with_multipliers_in_dsps(family), name=name, input_names=ends[:1], output_names=ends[1:])
        for name, layer, ends in (("one", one, ("x", "y")), ("two", two, ("u", "v")))
    ]
    assert [layer.requantizer.dsps for layer in layers] == [1, 2]
    for layer in layers:
        (tmp_path / layer.name).mkdir()
        simulation = Simulation(
            LayerGraph("dsps", (layer,), *layer.input_names, *layer.output_names), family, tmp_path / layer.name
        )
        assert simulation.primitives()[block] == 2 * layer.requantizer.dsps
        frames = near_thresholds(layer)
        report = gate_level.run(
            simulation.graph, simulation.netlists, frames, tmp_path / "models", tmp_path / "report", stall_seed=1
        )
        assert report.units[0].beats >= frames.size // 2
        if layer.name == "one":
            with pytest.raises(VerificationError, match="differs from its SystemVerilog"):
                gate_level.run(
                    simulation.graph,
                    {layer.name: simulation.changed(layer.name, lambda netlist: unregister(netlist, block))},
                    frames, tmp_path / "models", tmp_path / "report", stall_seed=1,
                )  # fmt: skip


def unregister(netlist: dict, block: str) -> None:
    """The first DSP without the register at its addend."""
    dsp = next(c for m in netlist["modules"].values() for c in m["cells"].values() if c["type"] == block)
    dsp["parameters"]["CREG"] = "0" * len(dsp["parameters"]["CREG"])


@pytest.mark.parametrize(("family", "block"), [("xcup", "DSP48E2"), ("xc7", "DSP48E1")])
def test_netlists_with_sums_in_dsps_agree_in_every_cycle(family, block, tmp_path):
    layer = matrix_layer(DspMVAU, 6, 12, UINT4, 4, bias=True, density=0.4, pe=6, simd=3, family=family)
    graph = LayerGraph("dsps", (replace(layer, name="matrix"),), "x", "y")
    simulation = Simulation(graph, family, tmp_path)
    assert simulation.primitives()[block] == layer.dsps
    frames = np.random.default_rng(0).integers(0, 16, (3, *layer.inputs()[0].shape))
    report = gate_level.run(graph, simulation.netlists, frames, tmp_path / "models", tmp_path / "report", stall_seed=1)
    assert report.units[0].beats >= frames.size // 12
    with pytest.raises(VerificationError, match="differs from its SystemVerilog"):
        changed = {"matrix": simulation.changed("matrix", lambda netlist: never_load(netlist, block))}
        gate_level.run(graph, changed, frames, tmp_path / "models", tmp_path / "report", stall_seed=1)


def test_netlists_of_chains_of_dsps_that_start_from_a_constant_agree_in_every_cycle(tmp_path):
    layer = matrix_layer(DspMVAU, 3, 12, UINT4, 4, pe=3, simd=12, segments=2)
    graph = LayerGraph("dsps", (replace(layer, name="matrix"),), "x", "y")
    simulation = Simulation(graph, "xcup", tmp_path)
    assert simulation.primitives()["DSP48E2"] == layer.dsps == 12
    frames = np.random.default_rng(0).integers(0, 16, (3, *layer.inputs()[0].shape))
    gate_level.run(graph, simulation.netlists, frames, tmp_path / "models", tmp_path / "report", stall_seed=1)


def never_load(netlist: dict, block: str) -> None:
    """The first accumulator that begins no sum."""
    cells = (c for m in netlist["modules"].values() for c in m["cells"].values() if c["type"] == block)
    dsp = next(cell for cell in cells if "".join(map(str, cell["connections"]["OPMODE"][1:4])) == "111")
    dsp["connections"]["OPMODE"][0] = "0"


def flip(netlist: dict) -> None:
    """One bit of one look-up table."""
    tables = [c for m in netlist["modules"].values() for c in m["cells"].values() if c["type"] == "LUT3"]
    init = tables[0]["parameters"]["INIT"]
    tables[0]["parameters"]["INIT"] = init[:-1] + str(1 - int(init[-1]))


def test_a_bit_of_a_look_up_table_is_noticed(fifo):
    with pytest.raises(VerificationError) as caught:
        fifo.run(short=fifo.changed("short", flip))
    text = str(caught.value)
    assert text.startswith("the netlist of layer short differs from its SystemVerilog: ")
    assert any(f": {port} is 0x" in text for port in ("s_axis_0_tready", "m_axis_0_tvalid", "m_axis_0_tdata"))
    assert " instead of 0x" in text and " in cycle " in text


def test_a_primitive_without_a_model_is_refused(fifo):
    def exchange(netlist: dict) -> None:
        cell = next(c for m in netlist["modules"].values() for c in m["cells"].values() if c["type"].startswith("FD"))
        cell["type"] = "DSP58"

    with pytest.raises(
        UnsupportedError, match="of short: the netlist holds DSP58, of which there is no simulation model"
    ):
        fifo.run(short=fifo.changed("short", exchange))


# -- what stands between the network and the processors -----------------------------------------------------------------


@pytest.fixture(scope="module")
def shell(fifo) -> Simulation:
    """The FIFO with its shell."""
    return fifo.with_shell()


def test_the_shell_is_driven_at_random_beside_its_netlist(shell):
    report = shell.run()
    (run,) = report.surroundings
    assert run.name == "accelerator_shell" and run.cells > 500 and run.cycles >= 50_000
    assert run.frames > 10 and run.beats > 10_000
    assert [unit.layers for unit in report.units] == [("short",)]
    assert gate_level.load(shell.folder / "report" / gate_level.FILE) == report
    assert "; nor of accelerator_shell, " in report.summary and report.summary.endswith(" cycles of random traffic")


class Shell:
    """The netlists around `layers`, and their simulation."""

    def __init__(self, layers: list, folder: Path) -> None:
        self.folder = folder
        graph = LayerGraph("around", tuple(layers), *layers[0].input_names, *layers[-1].output_names)
        units = synth.surroundings(graph)
        yosys.synthesize(list(units.values()), "xcup", cache=folder / "yosys")
        netlists = {name: yosys.netlist(unit, "xcup", cache=folder / "yosys") for name, unit in units.items()}
        self.netlists = {name: read_netlist(path) for name, path in netlists.items()}
        self.design = describe_design(graph.layers, [graph.input], [graph.output], Path(), "network")

    def run(self, **options: int) -> dict[str, ShellRun]:
        scratch, models = self.folder / "scratch", self.folder / "models"
        scratch.mkdir(exist_ok=True)
        return {run.name: run for run in simulate_shell(self.design, self.netlists, scratch, models, **options)}


def test_a_shell_that_loads_weights_and_its_converter_agree_with_their_netlists(tmp_path):
    wide = FMPadding("pad", ("x",), ("s",), (1, 2, 70), IntType(0, 255), (0, 0, 0, 1), 200, 70)
    narrow = StreamingDataWidthConverter("part", ("s",), ("t",), (1, 3, 70), IntType(0, 255), in_lanes=70, out_lanes=2)
    weights = np.random.default_rng(0).integers(-3, 4, (2, 70))
    last = MVAU(
        "last", ("t",), ("y",), weights, IntType(0, 255), IntType(-(2**17), 2**17 - 1), (1, 3), pe=2, simd=2,
        ram_style="ultra",
    )  # fmt: skip
    runs = Shell([wide, narrow, last], tmp_path).run(seed=1, cycles=20_000)
    assert runs.keys() == {"accelerator_shell", "input_converter"}
    assert all(run.beats > 1000 and run.frames > 10 for run in runs.values())


@pytest.fixture(scope="module")
def small_shell(tmp_path_factory) -> Shell:
    """It loads weights."""
    weights = np.random.default_rng(0).integers(-3, 4, (2, 4))
    layer = MVAU("last", ("x",), ("y",), weights, UINT4, IntType(-512, 511), (1, 3), pe=2, simd=2, ram_style="ultra")
    return Shell([layer], tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("kind", ["LUT3", "FDRE"])
def test_a_fault_in_the_shell_is_noticed(small_shell, kind):
    """A look-up table that gives the opposite, a flip-flop that no reset reaches."""
    broken = copy(small_shell)
    broken.netlists = deepcopy(small_shell.netlists)
    cells = (c for m in broken.netlists["accelerator_shell"]["modules"].values() for c in m["cells"].values())
    cell = next(c for c in cells if c["type"] == kind and c["connections"].get("R") != ["0"])
    if kind == "FDRE":
        cell["connections"]["R"] = ["0"]
    else:
        init = cell["parameters"]["INIT"]
        cell["parameters"]["INIT"] = init.translate(str.maketrans("01", "10"))
    with pytest.raises(VerificationError, match="the netlist of the module accelerator_shell differs from its System"):
        for seed in range(8):
            broken.run(seed=seed, cycles=20_000)


def test_a_reset_of_three_cycles_is_enough_for_the_shell_in_any_state(small_shell):
    for seed in range(40):  # the states that the two begin in
        small_shell.run(seed=seed, cycles=400, reset_cycles=3)


def test_a_reset_of_one_cycle_leaves_open_what_the_header_says(small_shell):
    """It shows that the comparison sees a reset that is too short, too."""
    ports = set()
    for seed in range(40):
        try:
            small_shell.run(seed=seed, cycles=400, reset_cycles=1)
        except VerificationError as error:
            ports.add(str(error).split(": ")[1].split()[0])
    to_network = {"core_in_valid_o", "core_in_data_o", "core_out_ready_o", "weights_valid_o", "weights_data_o"}
    assert "core_in_valid_o" in ports and ports <= {*to_network, "out_last_o"}
