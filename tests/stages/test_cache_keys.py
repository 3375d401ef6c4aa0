"""What a change makes run again: of an option, of a stage's own code, of the code of others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipeline import fingerprint
from pipeline.config import BuildConfig, config_for, load_config
from pipeline.errors import ConfigError
from pipeline.files import PACKAGES
from pipeline.flow import build
from pipeline.progress import Screen
from pipeline.stage import Context, declared_options
from pipeline.stages import STAGES

MODEL = "quant_tfc_w2a2"
CODE = PACKAGES["pipeline"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model has been built until `fold`."""
    folder = tmp_path_factory.mktemp("builds")
    assert run(folder) == ["resolve", "export", "streamline", "dataflow", "accumulators", "fold"]
    return folder


def run(folder: Path, **overrides) -> list[str]:
    """The stages that a build with `overrides` until `fold` runs anew."""
    config = load_config(config_for(MODEL), {"model": MODEL, "golden_frames": 16, **overrides})
    result = build(config, folder / "out", STAGES, Screen(Console(quiet=True)), until="fold")
    return [stage.name for stage in result.stages if not stage.cached]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, []),
        ({"target_fps": 1000}, ["fold"]),
        ({"synth_clk_period_ns": 4.0}, ["fold"]),
        ({"accumulators": {"policy": "datatype"}}, ["accumulators", "fold"]),
        ({"output": "logits"}, ["dataflow", "accumulators", "fold"]),
        ({"check_overflow": True}, []),
        ({"simulation": {"frames": 7}}, []),
        ({"simulation": {"cppsim_frames": 0}}, []),
    ],
    ids=str,
)
def test_only_what_depends_on_a_field_runs(folder: Path, overrides: dict, expected: list[str]) -> None:
    assert run(folder, **overrides) == expected


def test_without_frames_nothing_is_run_in_cpp(tmp_path: Path) -> None:
    stage = next(stage for stage in STAGES if stage.name == "cppsim")
    said: list[str] = []
    options = declared_options(BuildConfig(simulation={"cppsim_frames": 0}), stage.reads)
    context = Context(tmp_path, options, {}, said.append, lambda *_: None, lambda name: tmp_path)
    assert stage.run(context).startswith("none: the HLS C++ was not run")
    assert not said and not list(tmp_path.iterdir())


def test_a_stream_that_is_too_wide_for_cpp_ends_the_build_only_where_cpp_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.codegen.hls.HLS_WORD_BITS", 100)

    def run_until(until: str, **overrides) -> dict[str, str]:
        config = load_config(config_for(MODEL), {"model": MODEL, "golden_frames": 16, "target_fps": 1e6, **overrides})
        result = build(config, folder / "wide", STAGES, Screen(Console(quiet=True)), until=until)
        return {stage.name: stage.summary for stage in result.stages}

    refused = r"layer MVAU_0 has no HLS C\+\+: its input .* Vitis HLS takes at most 100"
    assert re.search(refused, run_until("codegen")["codegen"])
    assert not (folder / "wide" / "hls").exists()
    with pytest.raises(ConfigError, match=refused):
        run_until("cppsim")
    assert run_until("cppsim", simulation={"cppsim_frames": 0})["cppsim"].startswith("none")
    with pytest.raises(ConfigError, match=refused):
        run_until("codegen", preferred_impl_style={"MVAU_0": "hls"})


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_no_key_holds_the_code_of_another_stage_or_of_what_runs_stages(stage) -> None:
    reached = fingerprint.modules(stage.run)
    modules = {path.relative_to(CODE).as_posix() for path in reached if path.is_relative_to(CODE)}
    assert "stage.py" in modules
    assert not {name for name in modules if name.startswith(("stages/", "compare/", "training/"))}
    assert not modules & {"flow.py", "config.py", "progress.py", "cli.py", "deployment.py"}
    in_the_report = {"report/summary.py", "report/figures.py", "report/facts.py"}
    assert in_the_report <= modules if stage.name == "report" else not in_the_report & modules


def test_a_change_of_a_module_changes_the_keys_of_the_stages_that_reach_it_alone(monkeypatch) -> None:
    digest = fingerprint.file

    def changed_by(name: str) -> set[str]:
        before = {stage.name: fingerprint.code(stage.run) for stage in STAGES}
        with monkeypatch.context() as patch:
            patch.setattr(fingerprint, "file", lambda path: "changed" if path == CODE / name else digest(path))
            return {stage.name for stage in STAGES if fingerprint.code(stage.run) != before[stage.name]}

    assert changed_by("report/summary.py") == {"report"}
    assert changed_by("frontend/streamline/streamline.py") == {"streamline"}
    assert changed_by("codegen/layer_bench.py") == {"rtlsim", "verify", "report"}, (
        "gate level and rtlsim share the bench of layers"
    )
    assert not changed_by("flow.py") and not changed_by("config.py")
    assert changed_by("stage.py") == {stage.name for stage in STAGES}


QUICK = """
import sys
from pathlib import Path
from pipeline import stages, fingerprint
from pipeline.config import BuildConfig
from pipeline.flow import code_version, user_inputs
for stage in stages.STAGES:
    user_inputs(stage, BuildConfig()), code_version(stage)
heavy = ("torch", "brevitas", "onnx", "onnxruntime", "qonnx", "finn", "scipy", "matplotlib", "da4ml", "pyosys", "jinja2")
print([name for name in heavy if name in sys.modules])
"""


def test_what_a_build_with_nothing_to_do_needs_of_stages_imports_no_heavy_package() -> None:
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
