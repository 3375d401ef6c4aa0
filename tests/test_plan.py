"""What a change makes run again, of the stages as they are declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.config import config_for, load_config
from pipeline.errors import ConfigError
from pipeline.flow import Context, build
from pipeline.plan import STAGES
from pipeline.progress import Screen

MODEL = "quant_tfc_w2a2"


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
    context = Context(
        tmp_path, {"simulation.cppsim_frames": 0}, {}, said.append, lambda *_: None, lambda name: tmp_path
    )
    assert stage.run(context).startswith("none: the HLS C++ was not run")
    assert not said and not list(tmp_path.iterdir())


def test_a_stream_that_is_too_wide_for_cpp_ends_the_build_only_where_cpp_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.codegen.hls._WIDEST", 100)

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
