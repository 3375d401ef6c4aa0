"""What `import pipeline` gives. The examples of docs/library.md are run by tests/test_wheel.py."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from pipeline.api import BuildResult

ROOT = Path(__file__).resolve().parents[1]


def test_everything_public_is_there_typed_and_on_the_page() -> None:
    tree = ast.parse(Path(pipeline.__file__).read_text())
    (checked,) = (n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    typed = {alias.name: imported.module for imported in checked.body for alias in imported.names}
    assert typed == pipeline._MODULES and sorted(typed) == pipeline.__all__
    assert Path(pipeline.__file__).with_name("py.typed").is_file()
    page = (ROOT / "docs" / "library.md").read_text()
    for name, module in typed.items():
        assert getattr(pipeline, name) is getattr(sys.modules[module], name)
        assert f"pipeline.{name}" in page or f"`{name}`" in page, f"docs/library.md has no {name}"
    assert set(pipeline.__all__) <= set(dir(pipeline))
    with pytest.raises(AttributeError, match="no attribute 'biuld'"):
        pipeline.biuld  # noqa: B018


def test_its_import_brings_nothing_but_the_standard_library() -> None:
    script = "import sys, pipeline; print([m for m in sys.modules if m in ('numpy', 'pydantic', 'rich', 'torch')])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_figures_are_on_the_page_and_none_where_the_build_stopped_before() -> None:
    page = (ROOT / "docs" / "library.md").read_text()
    table = page[page.index("| attribute |") : page.index("The folder's `summary.md`")]
    listed = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    figures = {name for name in vars(BuildResult) if not name.startswith("_")}
    assert {"folder", "stages", "seconds", "results", *figures} == {*listed, "top1_how"}
    result = BuildResult(Path("none"), (), 0.0, {})
    assert {name: getattr(result, name) for name in figures} == {name: None for name in figures} | {"top1_how": ""}


def test_figures_are_of_the_results_of_this_build(tmp_path: Path) -> None:
    """A folder may hold reports of an earlier build that went further."""
    (tmp_path / "report").mkdir()
    report = {"steady_cycles": 500, "latency_cycles": 900, "fclk[mhz]": 100.0, "N": 3}
    (tmp_path / "report" / "rtlsim_performance.json").write_text(json.dumps(report))
    assert BuildResult(tmp_path, (), 0.0, {}).cycles is None
    result = BuildResult(tmp_path, (), 0.0, {"rtlsim": tmp_path})
    assert (result.cycles, result.latency_cycles, result.frames_per_second) == (500, 900, 200_000.0)
    (tmp_path / "report" / "rtlsim_performance.json").write_text("{}")
    with pytest.raises(pipeline.A2QError, match="cannot be read: KeyError"):
        BuildResult(tmp_path, (), 0.0, {"rtlsim": tmp_path}).frames_per_second  # noqa: B018


def test_a_build_to_the_layer_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"accumulators": {"policy": "datatype"}, "golden_frames": 16, "weights": "synthetic"}
    result = pipeline.build("quant_tfc_w2a2", until="fold", progress=False, **options)
    assert capsys.readouterr().out == ""
    assert result.folder == tmp_path / "build" / "quant_tfc_w2a2"
    assert [run.name for run in result.stages] == list(result.results)
    assert result.stages[-1].name == "fold" and result.lut is None and result.top1 is None
    by_type = json.loads((result.folder / "report" / "accumulators.json").read_text())["layers"]
    assert result.accumulator_bits == {layer["layer"]: layer["bits"]["datatype"] for layer in by_type}
    assert len(result.graph.layers) > len(pipeline.load_graph(result.results["dataflow"]).layers)  # FIFOs
    assert result.lut_estimated > 500
    config = pipeline.load_config("base.yaml", {"model": "quant_tfc_w2a2", **options})
    again = pipeline.build(config, out=result.folder, until="dataflow")
    assert "dataflow        cached" in capsys.readouterr().out
    assert again.accumulator_bits is None and all(run.cached for run in again.stages)
    folding = tmp_path / "folding.json"
    folding.write_bytes((result.folder / "auto_folding_config.json").read_bytes())
    for rate, said in ((1e6, "; target_fps = 1,000,000 is missed"), ("max", "; target_fps = max is left only what")):
        fixed = pipeline.build(
            config.model_copy(update={"folding_config_file": folding, "target_fps": rate}), until="fold"
        )
        assert said in fixed.stages[-1].summary and " is missed" not in result.stages[-1].summary
    assert pipeline.load_graph(str(result.results["dataflow"])).name == result.graph.name


@pytest.mark.parametrize("figure", ["top1", "accumulator_bits", "graph", "lut_estimated", "lut", "cycles"])
def test_a_figure_whose_result_is_gone_says_so(tmp_path: Path, figure: str) -> None:
    results = dict.fromkeys(("resolve", "accumulators", "fold", "synth", "rtlsim"), tmp_path)
    with pytest.raises(pipeline.A2QError, match=r"cannot be read: .* Build it again"):
        getattr(BuildResult(tmp_path, (), 0.0, results), figure)


def test_a_board_s_file_is_a_path_too() -> None:
    path = ROOT / "hw" / "boards" / "kv260.yaml"
    assert pipeline.load_board(path).name == pipeline.load_board(str(path)).name == "KV260"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("quant_tfc",), {}, "There is no model called 'quant_tfc'. Did you mean quant_tfc_w4a4"),
        ((), {"board": "KV261"}, "pipeline.build: There is no board called 'KV261'"),
        ((), {"until": "infer"}, "There is no stage called 'infer'"),
        ((), {"target_fbs": 3}, "pipeline.build: there is no option 'target_fbs'. Did you mean target_fps"),
        ((), {"config": "none.yaml"}, "The configuration .*none.yaml cannot be read: No such file"),
        ((pipeline.BuildConfig(),), {"board": "KV260"}, "beside it board. Put options into it with model_copy"),
        ((pipeline.BuildConfig.model_construct(seed="abc"),), {}, "BuildConfig: seed is 'abc'; expected a whole"),
        ((), {"board": Path("none.yaml")}, "The board file .*none.yaml cannot be read"),
        (("x" * 300,), {}, "There is no model called 'xxx"),
        ((), {"out": ""}, "out is ''; expected a path"),
        ((), {"out": 3}, "out is 3; expected a path"),
        ((), {"out": b"x"}, "out is b'x'; expected a path"),
        ((), {"out": "a\0b"}, r"out is 'a\\x00b'; expected a path"),
        ((), {"config": 3}, "config is 3; expected a path"),
    ],
)
def test_what_cannot_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple, options: dict, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pipeline.A2QError, match=message):
        pipeline.build(*arguments, **options)
    assert not list(tmp_path.iterdir())
