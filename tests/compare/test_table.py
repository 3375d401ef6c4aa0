from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.compare.record import PointRecord
from pipeline.compare.table import draw_table, to_csv, to_json, to_markdown, write
from pipeline.report.purposes import PURPOSES
from tests.compare.sample import sample_failure, sample_record, sample_records


def cells(records: list[PointRecord]) -> list[dict[str, str]]:
    table = draw_table(records)
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def test_a_row_has_what_a_user_compares():
    (row,) = cells([sample_record(policy="exact", per_pe=True)])
    assert row == {
        "model": "quant_resnet8_w4a4_a2q_14b",
        "policy": "exact per PE",
        "P": "14",
        "top-1": "80.66 %",
        "LUT": "25,124",
        "of the board": "21.5 %",
        "FF": "17,732",
        "BRAM": "17.5",
        "URAM": "0",
        "DSP": "0",
        "steady frames/s": "10,851",
        "cycles": "18,432",
        "accumulator bits": "13 to 16",
    }


def test_board_and_rate_have_columns_where_they_differ():
    rows = cells([sample_record(), sample_record(board="ZCU104", target_fps="max")])
    assert [(row["board"], row["target"]) for row in rows] == [("KV260", "10,000"), ("ZCU104", "max")]


def test_frequencies_have_columns_and_a_source_where_there_are_any():
    records = [sample_record(policy="fixed:32", ecp5_mhz=78.4), sample_record()]
    rows = cells(records)
    assert [row["MHz on ECP5"] for row in rows] == ["78", "–"] and "MHz by Vivado" not in rows[0]
    assert "MHz on ECP5: of the slowest MVAU" in to_markdown(records, [])
    assert "MHz" not in " ".join(cells([sample_record()])[0]) and "ECP5" not in to_markdown([sample_record()], [])


def test_ratios_stand_in_the_table():
    rows = cells([sample_record(policy=policy, lut=lut) for policy, lut in (("fixed:32", 4000), ("exact", 3000))])
    assert [row["LUT / fixed:32"] for row in rows] == ["1.000", "0.750"]


def test_rows_of_a_network_stand_together():
    records = sample_records()
    shuffled = records[::2] + records[1::2]
    models = [row["model"] for row in cells(shuffled)]
    assert sum(a != b for a, b in pairwise(models)) == len(set(models)) - 1


def test_untrained_is_said_in_place_of_an_accuracy():
    untrained = sample_record(weights="synthetic")
    assert [row["top-1"] for row in cells([untrained, sample_record(top1=None)])] == ["untrained", "–"]
    assert "UNTRAINED: synthetic weights, not trained" in to_markdown([untrained], [])
    assert "UNTRAINED" not in to_markdown([sample_record()], [])


def test_what_was_not_observed_is_a_dash():
    row, _ = cells([sample_record(cycles=None, fps=None, p=None, method=""), sample_record()])
    assert row["cycles"] == row["steady frames/s"] == row["P"] == "–"


def test_what_no_build_has_is_no_column():
    (row,) = cells([sample_record(p=None, method="")])
    assert "P" not in row and "LUT / fixed:32" not in row and "LUT" in row


def test_what_is_too_much_for_the_board_is_named():
    large = sample_record(lut=120_000, bram_36k=150.0)
    assert cells([large])[0]["of the board"] == "102.5 %, too much lut, bram_36k"
    assert "more of a resource" not in to_markdown([sample_record()], [])
    assert "1 accelerator takes more of a resource than the board has." in to_markdown([large], [])


def test_the_markdown_says_how_many_what_failed_and_how_figures_are_known():
    text = to_markdown(sample_records(), [sample_failure()])
    assert "24 accelerators of 5 networks on KV260, for 10,000 frames/s at 200 MHz. 1 build failed." in text
    assert "| accumulators | Layer MVAU_1: channel 3 needs 12 bits, but the policy fixed:8 gives 8. |" in text
    assert "counted by synthesis" in text and "simulated (Verilator)" in text
    assert "top-1 of" not in text and "Top-1 80.66 %, measured on the 10,000 images" in text


def test_the_csv_holds_every_number():
    records = [sample_record(policy="fixed:32", lut=4001), sample_record(policy="exact", lut=3000, cycles=None)]
    rows = list(csv.DictReader(io.StringIO(to_csv(records))))
    for row, record in zip(rows, records, strict=True):
        assert (row["name"], int(row["lut"]), float(row["fps"])) == (record.name, record.lut, record.fps)
        assert float(row["top1"]) == record.top1 and row["cycles"] == ("" if record.cycles is None else "18432")
        assert sum(int(row[f"lut_{purpose.replace(' ', '_')}"]) for purpose in PURPOSES) == record.lut
        assert float(row["lut_over_fixed_32"]) == record.lut / 4001 and row["lut_over_datatype"] == ""
        assert float(row["capacity_bram_36k"]) == 144
    assert (rows[1]["accumulator_bits_min"], rows[1]["accumulator_bits_max"]) == ("13", "16")


def test_the_json_holds_the_records():
    records, failures = sample_records(), [sample_failure()]
    content = json.loads(to_json(records, failures))
    assert [PointRecord.from_json(json.dumps(record)) for record in content["records"]] == records
    assert content["failures"] == [asdict(failures[0])]
    assert content["lut_ratios"][records[1].name] == {"fixed:32": records[1].lut / records[0].lut, "datatype": 1.0}


@pytest.mark.parametrize("records", [[], sample_records()[:1]])
def test_all_files_are_written_even_if_every_build_failed(records: list[PointRecord], tmp_path: Path):
    folder = tmp_path / "compare" / "one"
    text = write(records, [sample_failure()], folder)
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(files) == {f"comparison.{ending}" for ending in ("md", "csv", "json", "html")}
    assert files["comparison.md"] == text and files["comparison.csv"] == to_csv(records)
    assert all("fixed:8" in files[f"comparison.{ending}"] for ending in ("md", "json", "html"))


def test_a_network_for_super_resolution_has_its_psnr():
    restoring = sample_record(network="quant_espcn_x2_w4a4", top1=None, top1_how="", psnr=27.514)
    table = draw_table([restoring])
    assert table.rows[0][table.header.index("PSNR")] == "27.51 dB" and "top-1" not in table.header
    text = to_markdown([restoring], [])
    assert "PSNR: of what the integers" in text and "PSNR 27.51 dB over 8 crops" in text
    assert "PSNR" not in to_markdown([sample_record()], [])
