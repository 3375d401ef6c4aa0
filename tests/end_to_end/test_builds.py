"""Whole builds, cold, from checkpoint or file to counted LUTs, on real networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import qonnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from rich.console import Console

from pipeline import package
from pipeline.config import config_for, load_config
from pipeline.dataflow.storage import load_graph
from pipeline.datasets import catalog
from pipeline.deployment import validate_build
from pipeline.flow import build
from pipeline.folding.fold import load
from pipeline.models import resolve
from pipeline.progress import Screen
from pipeline.stages import STAGES
from pipeline.static_timing.slowest_paths import Size, expected, slowest_paths

DATA = Path(os.environ.get("A2Q_DATA", ""), "models")
needs_data = pytest.mark.skipif(
    not (os.environ.get("A2Q_DATA") and DATA.is_dir()), reason="A2Q_DATA names no folder with others' networks"
)
pytestmark = pytest.mark.timeout(2400)  # twenty minutes beside other work on a slow machine


class Build:
    """A build, finished or only `until` a stage, and what it left behind."""

    def __init__(self, model: str, folder: Path, until: str | None = None, **overrides) -> None:
        config = load_config(config_for(model), {"model": model, **overrides})
        self.out = folder / "out"
        self.result = build(config, self.out, STAGES, Screen(Console(quiet=True)), until=until)
        self.stages = {run.name: run for run in self.result.stages}
        self.cache = folder / ".a2q-cache"

    def report(self, name: str) -> dict:
        return json.loads((self.out / "report" / f"{name}.json").read_text())

    def stage(self, name: str) -> Path:
        return self.cache / name / self.stages[name].key[:16]

    def simulated(self) -> np.ndarray:
        """What the stitched RTL gave for the golden frames."""
        (path,) = self.out.glob("verification_output/verify_stitched_ip_rtlsim_*_SUCCESS.npy")
        return np.load(path)

    def check(self) -> None:
        """What holds for every build."""
        self.check_simulation()
        self.check_requantizers()
        assert self.report("ooc_synth_and_timing")["LUT"] > 0
        assert (self.out / "summary.md").is_file()
        package.verify(self.out / "deploy")
        checker = self.out / "deploy" / "report" / "check_certificate.py"
        subprocess.run([sys.executable, "-I", "-S", checker], check=True)
        assert list(self.out.glob("*.png"))

    def check_requantizers(self) -> None:
        """What the report says of requantizers gives the levels of the thresholds, at every integer of the proven range."""
        units = load(self.stage("fold")).requantized
        for unit in units:
            said = self.report("requantizers")[unit.name]
            shift, half_even = said["shift"], said["rounding"] == "half to even"
            channels = zip(
                unit.thresholds, *(said[name] for name in ("multipliers", "addends", "from", "to")), strict=True
            )
            for thresholds, multiplier, addend, first, last in channels:
                values = np.arange(first, last + 1)
                sums = values * multiplier + addend
                levels = sums >> shift
                levels -= (levels & 1) * (half_even & (sums == levels << shift))
                reached = np.searchsorted(thresholds, values, side="right")
                np.testing.assert_array_equal(
                    np.clip(levels, said["lowest"], said["highest"]), said["lowest"] + reached
                )

    def check_simulation(self) -> None:
        """What holds from `rtlsim` on."""
        graph = load_graph(self.stage("fold"))
        _, raw = resolve.load(self.stage("resolve"))
        cpp = self.report("cppsim")
        frames = graph.input_transform.apply(raw[cpp["network"]["golden_frames"]])
        assert cpp["network"]["fast_frames"] == len(frames) == min(100, len(raw))
        given = np.load(self.out / "verification_output" / "verify_cppsim_0_SUCCESS.npy")
        np.testing.assert_array_equal(given, graph.run(frames))
        performance = self.report("rtlsim_performance")
        frames = graph.input_transform.apply(raw[performance["golden_frames"]])
        assert performance["stalled"]["frames"] == performance["N"] == len(frames)
        np.testing.assert_array_equal(self.simulated(), graph.run(frames))
        assert not list(self.out.glob("verification_output/*FAIL*"))
        layers = self.report("rtlsim_layers")
        certificates = self.report("accumulators")["layers"]
        for entry in certificates:
            assert entry["bits_used"] == entry["bits"]["exact"] <= entry["bits"]["datatype"]
            accumulator = layers[entry["layer"]]["accumulator"]
            assert accumulator["observed"] == accumulator["proven"] == entry["range"]
            assert cpp["layers"][entry["layer"]]["accumulator"] == accumulator
        predicted = self.report("estimate_network_performance")["max_cycles"]
        observed = self.report("rtlsim_performance")["steady_cycles"]
        assert abs(observed - predicted) <= 0.1 * predicted


def check_clock(built: Build) -> None:
    """Every layer keeps the configured clock by the pessimistic estimate, and `fold` expected none of them to be faster than
    it is."""
    timing = built.report("timing_estimate")
    late = {name: layer["ns"] for name, layer in timing["layers"].items() if layer["ns"]["pessimistic"] > 1000 / 300}
    assert not late
    assert "out of reach" not in built.stages["fold"].summary
    known = slowest_paths("xcup")
    for layer in load(built.stage("fold")).graph:
        of_table = expected(Size.of(layer, "xcup"), known[layer.op_type])["pessimistic"]
        ns = timing["layers"][layer.name]["ns"]["pessimistic"]
        assert ns <= of_table + 0.01, f"{layer.name}: benchmarks/slowest_paths.py has to be run again"


def test_the_default_network_from_its_checkpoint_to_the_simulated_board(tmp_path, capfd):
    built = Build("quant_resnet8_w4a4_a2q_14b", tmp_path, verify={"gate_level": True})
    built.check()
    gates = built.report("gate_level")
    compared = [name for entry in gates["units"] for name in entry["layers"]]
    assert sorted(compared) == sorted(built.report("ooc_synth_and_timing")["layers"])
    assert min(entry["cycles"] for entry in gates["units"]) > 10_000
    hidden = [entry for entry in built.report("accumulators")["layers"] if entry["P_claimed"]]
    assert len(hidden) == 8
    assert all(entry["bits"]["exact"] <= entry["P_claimed"] == 14 for entry in hidden)
    check_clock(built)
    performance = built.report("rtlsim_performance")
    assert performance["N"] >= 10
    assert performance["steady_cycles"] <= 30_000
    if catalog.files("cifar10", "test"):
        record, _ = resolve.load(built.stage("resolve"))
        assert "CIFAR-10" in record.golden_source
    said: list[str] = []
    assert validate_build(built.result, None, 20, said.append) == 0
    printed = capfd.readouterr().out
    assert "quant_resnet8_w4a4_a2q_14b: 20 of 20 images give exactly the integers that they must" in printed
    assert "at 300 MHz, from the" in printed


def test_a_kept_network_by_its_name(tmp_path):
    Build("quant_tfc_w2a2", tmp_path).check()


def test_a_debug_build_of_sparse_units_on_the_simulated_board(tmp_path):
    """No accumulator overflows: the board's driver raises an error if one sets its flag."""
    built = Build("quant_tfc_w2a2", tmp_path, mvau_style="sparse", check_overflow=True)
    built.check()
    assert "CheckOverflow(1)" in (built.out / "stitched_ip" / "finn_design_wrapper.sv").read_text()
    assert validate_build(built.result, None, None, lambda line: None) == 0


def test_an_unrolled_network_is_exact_at_its_rate(tmp_path):
    """Its LUTs are counted by benchmarks/luts_by_accumulator.py, which takes longer than tests may."""
    fast = {"mvau_style": "auto", "target_fps": 180_000, "synth_clk_period_ns": 5.0}  # no time to wait between frames
    built = Build("quant_resnet8_w4a4_a2q_12b", tmp_path, until="rtlsim", **fast)
    built.check_simulation()
    assert built.report("rtlsim_performance")["steady_cycles"] <= 1100
    assert "unrolled" in {layer["style"] for layer in built.report("mvau_styles")["layers"].values()}
    assert built.report("estimate_layer_resources")["total"]["LUT"] < 117_120


def test_super_resolution_by_name_is_exact_in_simulation(tmp_path):
    """From synthetic weights, for images of 8 × 8 pixels and an eighth of the channels, but with every layer."""
    small = {"weights": "synthetic", "input_shape": (3, 8, 8), "golden_frames": 4, "target_fps": 20_000}
    built = Build("quant_espcn_x2x0.125_w4a4_a2q_12b", tmp_path, until="rtlsim", **small)
    built.check_simulation()
    assert built.simulated().shape[1:] == (16, 16, 3)


@pytest.mark.parametrize("kind", ["subpixel", "nn_resize"])
def test_networks_for_super_resolution_of_others(kind: str, tmp_path):
    """Those of QONNX's wheel, trained with A2Q, on images of 8 × 8 pixels in place of 128 × 128, to their RTL."""
    model = onnx.load(Path(qonnx.__file__).parent / "data/onnx/bsd300x3-espcn" / kind / "quant_model.onnx")
    for size in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_value = 8
    onnx.save(model, tmp_path / f"{kind}.onnx")
    wanted = {"input_range": (0, 1), "golden_frames": 2, "target_fps": 8000, "until": "codegen"}
    built = Build(str(tmp_path / f"{kind}.onnx"), tmp_path, **wanted)
    graph = load_graph(built.stage("fold"))
    _, frames = resolve.load(built.stage("resolve"))
    outputs = graph.run(graph.input_transform.apply(frames))
    # subpixel has no quantizer at its input; pixels of 8 bits, as these frames are, need none
    wrapper = ModelWrapper(model).transform(InferShapes())
    source, target = wrapper.graph.input[0].name, wrapper.graph.output[0].name
    expected = np.concatenate([execute_onnx(wrapper, {source: frame[None]})[target] for frame in frames])
    np.testing.assert_array_equal(outputs.transpose(0, 3, 1, 2), np.round(expected * 255))


@needs_data
def test_the_mlp_on_digits(tmp_path):
    Build(str(DATA / "TFC_2W2A.onnx"), tmp_path).check()


@needs_data
def test_keyword_spotting_gives_its_authors_answer(tmp_path):
    """The golden input and its class come with the network."""
    folder = DATA / "kws_golden"
    built = Build(str(DATA / "kwsmlp_w3a3.onnx"), tmp_path, golden_inputs=folder / "input.npy")
    built.check()
    (expected,) = np.load(folder / "expected_output.npy")
    assert set(built.simulated().ravel().tolist()) == {expected}


@needs_data
def test_a_residual_network_with_biases_and_power_of_two_scales(tmp_path):
    """At a rate at which its synthesis is short. Requantizers need no multipliers then."""
    built = Build(str(DATA / "nn2fpga_resnet8_a4w4b32.onnx"), tmp_path, output="logits", target_fps=2000)
    built.check()
    units = built.report("requantizers")
    assert len(units) >= 9 and sum(set(unit["multipliers"]) == {1} for unit in units.values()) >= 9
