from __future__ import annotations

import json

import pytest

from pipeline.dataflow.folding_config import FoldingConfig
from pipeline.errors import ConfigError


def test_names_of_finn_are_ours_without_the_backend():
    config = FoldingConfig.parse(
        {"MVAU_hls_0": {"PE": 2}, "MVAU_hls_3": {"SIMD": 4}, "FMPadding_rtl_1": {"SIMD": 2}}, "f"
    )
    assert {name: entry.values for name, entry in config.layers.items()} == {
        "MVAU_0": {"PE": 2},
        "MVAU_3": {"SIMD": 4},
        "FMPadding_1": {"SIMD": 2},
    }


def test_backends_that_finn_counts_apart_go_by_their_order():
    config = FoldingConfig.parse({"MVAU_hls_0": {"PE": 2}, "MVAU_rtl_0": {"PE": 4}, "MVAU_rtl_1": {"PE": 8}}, "f")
    assert [(name, entry.key) for name, entry in config.layers.items()] == [
        ("MVAU_0", "MVAU_hls_0"),
        ("MVAU_1", "MVAU_rtl_0"),
        ("MVAU_2", "MVAU_rtl_1"),
    ]


def test_what_has_no_meaning_is_told():
    content = {
        "Defaults": {"mem_mode": ["internal_decoupled", ["MVAU_hls"]], "resType": ["lut", "all"]},
        "MVAU_hls_0": {"PE": 2, "SIMD": 2, "ram_style": "auto", "resType": "lut"},
        "LabelSelect_hls_0": {"PE": 5},
        "StreamingFIFO_rtl_0": {"depth": 32, "impl_style": "rtl"},
        "partition": {"id": 1},
    }
    config = FoldingConfig.parse(content, "f")
    assert config.ignored == (
        *("partition", "MVAU_hls_0.resType", "LabelSelect_hls_0.PE"),
        *("StreamingFIFO_rtl_0.impl_style", "Defaults.resType"),
    )
    assert config.layers["MVAU_0"].values == {"PE": 2, "SIMD": 2, "ram_style": "auto"}
    assert config.defaults == {"MVAU": {"mem_mode": "internal_decoupled"}}
    assert config.layers["StreamingFIFO_0"].values == {"depth": 32}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "object of objects"),
        ({"MVAU_0": 3}, "object of objects"),
        ({"MVAU_0": {"PE": "4"}}, r"MVAU_0.PE = '4'; expected an integer of 1 or more"),
        ({"MVAU_0": {"PE": 0}}, "MVAU_0.PE = 0"),
        ({"Defaults": {"PE": [3]}}, r"Defaults.PE = \[3\]"),
        ({"MVAU_0": {"ram_style": "uram"}}, "ram_style = 'uram'; expected one of auto, distributed, block, ultra"),
        ({"MVAU_0": {"mem_mode": 3}}, "mem_mode = 3; expected one of internal_embedded, internal_decoupled, external"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "folding.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message) as caught:
        FoldingConfig.load(path)
    assert str(path) in str(caught.value)


def test_memory_modes_of_older_files_are_understood():
    config = FoldingConfig.parse({"MVAU_0": {"mem_mode": "const"}, "MVAU_1": {"mem_mode": "decoupled"}}, "f")
    assert [entry.values["mem_mode"] for entry in config.layers.values()] == ["internal_embedded", "internal_decoupled"]


def test_a_file_that_is_not_there_or_not_json_is_refused(tmp_path):
    path = tmp_path / "folding.json"
    with pytest.raises(ConfigError, match=r"folding\.json cannot be read: No such file or directory\.$"):
        FoldingConfig.load(path)
    path.write_text('{"MVAU_0": {')
    with pytest.raises(ConfigError, match=r"folding\.json is not JSON: .*line 1 column"):
        FoldingConfig.load(path)
