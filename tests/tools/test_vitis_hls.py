from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.codegen import hls
from pipeline.codegen.hls import HlsLayer, write_layer
from pipeline.dataflow.types import IntType
from pipeline.devices.resources import Resources
from pipeline.errors import ToolError
from pipeline.kernels.mvau import MVAU
from pipeline.tools import vitis_hls
from pipeline.tools.vitis_hls import Estimated
from tests.tools import vitis_hls_stand_in
from tests.tools.vivado_stand_in import StandIn

PART = "xck26-sfvc784-2LV-c"
LAYER = MVAU(
    "MVAU_0",
    ("in",),
    ("out",),
    weights=np.arange(-4, 4).reshape(2, 4),
    input_type=IntType(0, 3),
    output_type=IntType(0, 1),
    pixels=(1, 2),
    bias=np.array([3, -5]),
    thresholds=np.array([[2], [4]]),
    pe=2,
    simd=2,
)


@pytest.fixture
def synthesize(tmp_path: Path, monkeypatch):
    """Synthesizes LAYER, or the one that is given, with the stand-in, which behaves as it is told."""
    installed = []

    def run(layer: MVAU = LAYER, period_ns: float = 5.0, part: str = PART, **behaviour) -> tuple[Estimated, StandIn]:
        folder = tmp_path / f"stand in {len(installed)}"
        installed.append(folder)
        stand_in = vitis_hls_stand_in.install(folder, monkeypatch, **behaviour)
        written = write_layer(layer, tmp_path / "generated code" / str(len(installed)))
        return vitis_hls.synthesize(written, part, period_ns, tmp_path / "cache folder"), stand_in

    return run


def test_what_is_found_is_what_the_report_says(synthesize):
    estimated, _ = synthesize()
    assert estimated == Estimated(
        version="2022.2",
        part=PART,
        period_ns=5.0,
        utilization=Resources(lut=1234, ff=2345, bram_18k=3, dsp=2),
        estimated_period_ns=3.512,
        latency_cycles=2309,
        interval_cycles=2310,
    )
    assert estimated.how == "estimated by Vitis HLS 2022.2"


def test_the_sources_are_complete_and_read_with_synthesis(synthesize):
    assert synthesize(reads_sources=True)[0].utilization.lut == 1234


def test_the_script_is_run_beside_the_sources_with_part_and_clock(synthesize, tmp_path):
    _, stand_in = synthesize(period_ns=4.167)
    assert stand_in.calls == [
        ["vitis_hls", "-f", "MVAU_0.tcl"],
        ["open_project", "-reset", "MVAU_0_prj"],
        ["set_top", "MVAU_0"],
        ["add_files", "-cflags", "-std=c++14 -Iinclude", "MVAU_0.cpp"],
        ["open_solution", "-reset", "solution1"],
        ["set_part", PART],
        ["create_clock", "-period", "4.167"],
        ["csynth_design"],
    ]
    assert [path.suffix for path in (tmp_path / "cache folder").iterdir()] == [".json"]  # its work is gone


def test_newer_versions_run_it_by_another_name(synthesize):
    estimated, stand_in = synthesize(program="vitis-run")
    assert stand_in.calls[0] == ["vitis-run", "--mode", "hls", "--tcl", "MVAU_0.tcl"]
    assert estimated.how == "estimated by Vitis HLS 2025.1"


def test_the_same_layer_is_synthesized_once(synthesize):
    first, _ = synthesize()
    again, stand_in = synthesize(LUT="99")
    assert again == first and not stand_in.record.exists()
    assert synthesize(LUT="99", period_ns=4.0)[0].utilization.lut == 99
    assert synthesize(LUT="98", part="xczu7ev-ffvc1156-2-e")[0].utilization.lut == 98
    assert synthesize(replace(LAYER, weights=LAYER.weights[::-1]), LUT="97")[0].utilization.lut == 97


@pytest.mark.parametrize("latency", ["undef", "?", "-"])
def test_cycles_that_depend_on_the_data_are_unknown(synthesize, latency):
    estimated, _ = synthesize(latency=latency)
    assert estimated.latency_cycles is None and estimated.interval_cycles is None


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (
            {"failing": "csynth_design", "message": "[HLS 207-3777] use of undeclared identifier 'sums'"},
            r"(?s)status 1; the whole log is .*console\.log\. It ends:\n.*undeclared identifier 'sums'\n.*failed\.$",
        ),
        ({"failing": "set_part", "message": "[HLS 200-1023] Part is not installed."}, r"Part is not installed\."),
        (
            {"without": "report"},
            r"left no report as expected in .*MVAU_0_prj/solution1/syn/report/csynth\.xml \(.*No such",
        ),
        ({"without": "LUT"}, r"left no report as expected in .* \(no LUT\)"),
        ({"without": "AreaEstimates"}, r"left no report as expected in .* \(no AreaEstimates/Resources\)"),
        ({"LUT": "many"}, r"left no report as expected in .*'many'"),
    ],
)
def test_a_failure_is_an_error_and_the_work_is_kept(synthesize, tmp_path, behaviour, message):
    with pytest.raises(ToolError, match=message):
        synthesize(**behaviour)
    (work,) = (tmp_path / "cache folder").glob("*/work")
    assert (work / vitis_hls.LOG).is_file() and (work / "MVAU_0.cpp").is_file()


def test_what_does_not_compile_for_synthesis_is_told(synthesize, monkeypatch, tmp_path):
    def broken(layer: MVAU, folder: Path) -> HlsLayer:
        written = hls.write_layer(layer, folder)
        written.source.write_text(
            f"{written.source.read_text()}\n#ifdef __SYNTHESIS__\nint missing = absent;\n#endif\n"
        )
        return written

    monkeypatch.setattr("tests.tools.test_vitis_hls.write_layer", broken)
    with pytest.raises(ToolError, match=r"absent. was not declared"):
        synthesize(reads_sources=True)


def test_where_it_is_not_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vitis_hls.find() is None
    written = write_layer(LAYER, tmp_path / "generated")
    for call in (vitis_hls.version, lambda: vitis_hls.synthesize(written, PART, 5.0, tmp_path)):
        with pytest.raises(ToolError, match="no program called vitis_hls or vitis-run is on PATH"):
            call()


def test_a_program_that_does_not_tell_its_version_is_refused(tmp_path, monkeypatch):
    program = tmp_path / "vitis_hls"
    program.write_text("#!/bin/sh\necho no licence >&2; exit 2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(ToolError, match="-version ended with status 2 and names no version; it prints: 'no licence'"):
        vitis_hls.version()
