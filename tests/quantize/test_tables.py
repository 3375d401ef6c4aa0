"""`a2q benchmark` of a file of quantizations: every cell with every seed, once; pages beside what is published."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import ConfigError, InputError
from pipeline.files import PTQ_CONFIGS
from pipeline.quantize import quantize
from pipeline.quantize.tables import load_tables
from pipeline.quantize.tables_page import HEADER, published_figures

ROWS = """
rows:
  - {method: [minmax_channel, mse_channel], bias_correct: [true], bits: [W4A32]}
  - {method: gptq/mse_channel, bits: W3A3, accumulator: 11}
  - {bits: [W32A8, W32A4], act_method: minmax}
"""


def benchmark(path: Path, out: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["benchmark", str(path), "--out", str(out)], env={"COLUMNS": "300"})
    return result.exit_code, result.output


def test_every_cell_is_done_with_every_seed_and_kept(
    float_checkpoint: Path, mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ptq_published.csv").write_text(
        "model,method,bits,imagenet_top1_percent\nResNet-18,PTQ/minmax_layer,W32A32,69.76\n"
        "ResNet-18,PTQ/minmax_channel+bias_correct,W4A32,58.57\n"
    )
    monkeypatch.setenv("A2Q_DATA", str(tmp_path))
    path = tmp_path / "small.yaml"
    shared = f"{{network: {float_checkpoint}, data_folder: {mnist}, images: 32}}"
    path.write_text(f"quantize: {shared}\nseeds: [0, 1]\npublished: {{{float_checkpoint.stem}: ResNet-18}}{ROWS}")
    code, output = benchmark(path, tmp_path / "out")
    assert code == 0, output
    with (tmp_path / "out" / "tables.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["method"], row["weight_bits"], row["act_bits"], row["seed"]) for row in rows][:4] == [
        ("minmax_channel + bias_correct", "4", "32", "0"),
        ("minmax_channel + bias_correct", "4", "32", "1"),
        ("mse_channel + bias_correct", "4", "32", "0"),
        ("mse_channel + bias_correct", "4", "32", "1"),
    ]
    assert len(rows) == 10 and {row["widest_sum"] for row in rows if row["P"] == "11"} <= {"9", "10", "11"}
    page = (tmp_path / "out" / "tables.md").read_text()
    assert "*ResNet-18* | *58.57*" in page and "*ResNet-18 69.76%*" in page and " ± " in page

    shown = re.findall(r"<td[^>]*>([^<]*)</td>", (tmp_path / "out" / "tables.html").read_text())
    first = dict(zip(HEADER, shown, strict=False))
    assert (first["bits"], first["method"], first["P"], first["seeds"]) == (
        "W4A32",
        "minmax_channel + bias_correct",
        "–",
        "2",
    )
    assert first["published"] == "58.57 (ResNet-18)" and " ± " in first["top-1"]
    float_top1 = 100 * float(rows[0]["float_top1"])
    assert float(first["lost against float"]) == pytest.approx(float_top1 - float(first["top-1"].split()[0]), abs=0.02)
    assert len(shown) == 5 * len(HEADER)

    def again(*_arguments: object) -> None:
        raise AssertionError("what is done is not done again")

    (tmp_path / "out" / "tables.md").unlink()
    with (tmp_path / "out" / "runs.jsonl").open("a") as stream:
        stream.write('{"key": "what was being wr')
    monkeypatch.setattr(quantize, "quantize", again)
    code, output = benchmark(path, tmp_path / "out")
    assert code == 0, output
    assert (tmp_path / "out" / "tables.md").read_text() == page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rows: [{bits: W4A4}]", "quantize is missing; expected a mapping"),
        ("quantize: {}\nrows: [{bits: 4}]", "row 1: bits is 4; expected such as W4A4"),
        ("quantize: {}\nrows: [{bits: [W4A4, W9A4]}]", "wrong.yaml, row 1: weight_bits is 9"),
        ("quantize: {}\nrows: [{}, {method: foo}]", "wrong.yaml, row 2: method is 'foo'; expected"),
        ("quantize: {}\nrows: [{}, {bits: []}]", "row 2: bits is []; expected a value"),
        ("quantize: {}\nrows: [{seed: [1, 2]}]", "row 1: seed is given; every row is quantized with each of `seeds`"),
        ("quantize: {seed: 7}\nrows: [{}]", "quantize has a seed; all rows"),
        ("quantize: {}\nrows: [{bits: W4A4, act_bits: 3}]", "row 1: act_bits stands beside bits"),
        ("quantize: {}\nrows: [{method: [mse_channel, mse_channel]}]", "W4A4 mse_channel is there already"),
        ("quantize: {}\nseeds: [1, 1]\nrows: [{}]", "seeds is [1, 1]; expected each once"),
        ("quantize: {}\nrows: [{bitz: W4A4}]", "there is no option 'bitz'"),
        ("quantize: {network: 'net.py:Net'}\nrows: [{}]", "expected a float network of `a2q models`, or a family"),
    ],
)
def test_what_cannot_be_is_said_with_its_row(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_tables(path)
    assert said in str(error.value)


def test_a_published_model_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2Q_DATA", str(tmp_path))
    assert published_figures("ResNet-18") == {}
    (tmp_path / "ptq_published.csv").write_text("model,method,bits,imagenet_top1_percent\n")
    with pytest.raises(InputError, match="no figures of 'ResNet-18'"):
        published_figures("ResNet-18")


def test_tables_are_no_single_quantization() -> None:
    result = CliRunner().invoke(app, ["quantize", "tables.yaml"], env={"COLUMNS": "300"})
    assert result.exit_code != 0 and "is of tables, of many quantizations: a2q benchmark tables.yaml" in result.output


def test_the_tables_that_come_with_the_project_are_ones() -> None:
    counts = {}
    for path in PTQ_CONFIGS.glob("*tables.yaml"):
        config, cells = load_tables(path)
        assert config.seeds == (0, 1, 2)
        counts[path.stem] = len(cells)
    assert counts["tables"] > 100 and set(counts) == {"tables", "vit4_tables", "cnv_tables", "resnet20_tables"}


def test_weights_of_a_row_are_beside_the_file_or_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    (data / "models").mkdir(parents=True)
    (data / "models" / "float.pth").touch()
    path = tmp_path / "rows.yaml"
    path.write_text("quantize: {network: resnet20, state: models/float.pth}\nrows: [{bits: W4A4}]\n")

    def state() -> Path | None:
        return load_tables(path)[1][0].state

    assert state() == tmp_path / "models" / "float.pth"  # which an error is to name
    monkeypatch.setenv("A2Q_DATA", str(data))
    assert state() == data / "models" / "float.pth"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "float.pth").touch()
    assert state() == tmp_path / "models" / "float.pth"
