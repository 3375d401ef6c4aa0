from __future__ import annotations

import json

import pytest

from pipeline.errors import ConfigError
from pipeline.folding.folding_config import FoldingConfig
from tests.dataflow.residual import residual_network

GRAPH = residual_network()  # two MVAUs


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
        "Defaults": {"mem_mode": ["internal_decoupled", ["MVAU_hls"]], "preferred_impl_style": ["hls", "all"]},
        "MVAU_hls_0": {"PE": 2, "SIMD": 2, "ram_style": "auto", "resType": "lut", "pumpedCompute": 0},
        "LabelSelect_hls_0": {"PE": 5},
        "StreamingFIFO_rtl_0": {"depth": 32, "impl_style": "rtl"},
        "partition": {"id": 1},
    }
    config = FoldingConfig.parse(content, "f")
    assert config.ignored == (
        *("partition", "MVAU_hls_0.pumpedCompute", "LabelSelect_hls_0.PE"),
        *("StreamingFIFO_rtl_0.impl_style", "Defaults.preferred_impl_style"),
    )
    assert config.layers["MVAU_0"].values == {"PE": 2, "SIMD": 2, "ram_style": "auto", "resType": "lut"}
    assert config.defaults == {"MVAU": {"mem_mode": "internal_decoupled"}}
    assert config.layers["StreamingFIFO_0"].values == {"depth": 32}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "object of objects"),
        ({"MVAU_0": 3}, "object of objects"),
        ({"MVAU_0": {"PE": "4"}}, r"MVAU_0.PE = '4'; expected an integer of 1 or more"),
        ({"MVAU_0": {"PE": 0}}, "MVAU_0.PE = 0"),
        ({"MVAU_0": {"PE": [2, 4]}}, r"MVAU_0.PE = \[2, 4\]; expected an integer of 1 or more, up to 1048576"),
        ({"MVAU_0": {"PE": 2.0}}, "MVAU_0.PE = 2.0; expected an integer"),
        ({"MVAU_0": {"PE": True}}, "MVAU_0.PE = True; expected an integer"),
        ({"MVAU_0": {"SIMD": -4}}, "MVAU_0.SIMD = -4; expected an integer"),
        ({"MVAU_0": {"SIMD": None}}, "MVAU_0.SIMD = None; expected an integer"),
        ({"StreamingFIFO_0": {"depth": 10**12}}, "StreamingFIFO_0.depth = 1000000000000; expected an integer"),
        ({"MVAU_0": {"mem_mode": ["const"]}}, r"mem_mode = \['const'\]; expected one of"),
        ({"MVAU_0": {"ram_style": {"a": 1}}}, r"ram_style = \{'a': 1\}; expected one of"),
        ({"MVAU_0": [2]}, r"has 'MVAU_0': \[2\]; it must be an object of objects"),
        ({"Defaults": [2]}, r"has 'Defaults': \[2\]; it must be an object of objects"),
        ({"Defaults": {"PE": [3]}}, r"Defaults.PE = \[3\]"),
        ({"Defaults": {"PE": [3, 4]}}, r"Defaults.PE = \[3, 4\]; expected \[value, operators\]"),
        ({"Defaults": {"PE": [3, [None]]}}, r"Defaults.PE = \[3, \[None\]\]; expected \[value, operators\]"),
        ({"Defaults": {"PE": [3, ["MVAU_hls_0"]]}}, r"Defaults.PE = .*; expected \[value, operators\]"),
        ({"Defaults": {"PE": [[2], "all"]}}, r"Defaults.PE = \[2\]; expected an integer"),
        ({"MVAU_0": {"resType": "DSP"}}, "MVAU_0.resType = 'DSP'; expected one of auto, lut, dsp"),
        ({"MVAU_0": {"ram_style": "uram"}}, "ram_style = 'uram'; expected one of auto, distributed, block, ultra"),
        ({"MVAU_0": {"mem_mode": 3}}, "mem_mode = 3; expected one of internal_embedded, internal_decoupled, external"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "folding.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message) as caught:
        FoldingConfig.load(path, GRAPH)
    assert str(path) in str(caught.value)


def test_memory_modes_of_older_files_are_understood():
    config = FoldingConfig.parse({"MVAU_0": {"mem_mode": "const"}, "MVAU_1": {"mem_mode": "decoupled"}}, "f")
    assert [entry.values["mem_mode"] for entry in config.layers.values()] == ["internal_embedded", "internal_decoupled"]


def test_a_file_that_is_not_there_or_not_json_is_refused(tmp_path):
    path = tmp_path / "folding.json"
    with pytest.raises(ConfigError, match=r"folding\.json cannot be read: No such file or directory\.$"):
        FoldingConfig.load(path, GRAPH)
    path.write_text('{"MVAU_0": {')
    with pytest.raises(ConfigError, match=r"folding\.json is not JSON: .*line 1 column"):
        FoldingConfig.load(path, GRAPH)


def test_a_key_twice_is_refused(tmp_path):
    path = tmp_path / "folding.json"
    path.write_text('{"MVAU_0": {"PE": 1}, "MVAU_0": {"PE": 2}}')
    with pytest.raises(ConfigError, match=r"folding\.json has the key 'MVAU_0' twice"):
        FoldingConfig.load(path, GRAPH)


@pytest.mark.parametrize("name", ["StreamingFCLayer_Batch", "MatrixVectorActivation", "MVAU_hls", "MVAU_rtl", "MVAU"])
def test_what_every_release_calls_a_matrix_is_folded_alike(name):
    content = {
        "Defaults": {"SIMD": [2, [name]]},
        "Thresholding_Batch_0": {"PE": 2, "ram_style": "distributed"},
        f"{name}_0": {"PE": 2, "SIMD": 3, "mem_mode": "decoupled"},
        f"{name}_1": {"PE": 4},
        "LabelSelect_Batch_0": {"PE": 1},
    }
    config = FoldingConfig.parse(content, "f", GRAPH)
    assert config.wanted(GRAPH.layer("MVAU_0")) == {"PE": 2, "SIMD": 3, "mem_mode": "internal_decoupled"}
    assert config.wanted(GRAPH.layer("MVAU_1")) == {"PE": 4, "SIMD": 2}
    assert config.wanted(GRAPH.layer("Thresholding_0")) == {"PE": 2}
    assert config.without_layer(GRAPH.layers) == ("LabelSelect_Batch_0",)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([f"MVAU_hls_{i}" for i in range(5)], "this one has no 'MVAU_hls_2', 'MVAU_hls_3', 'MVAU_hls_4'. It has 'Dup"),
        ([f"StreamingFCLayer_Batch_{i}" for i in range(9)], "has no 'StreamingFCLayer_Batch_2', .* and 3 more. It has"),
        (["VVAU_hls_0", "Lookup_hls_0"], "this one has no 'VVAU_hls_0', 'Lookup_hls_0'. It has"),
        (["encoder.0", "partition"], "this one has no 'encoder.0', 'partition'. It has"),
    ],
)
def test_a_file_of_another_network_is_refused(tmp_path, keys, message):
    path = tmp_path / "folding.json"
    path.write_text(json.dumps({"Defaults": {}, **{key: {"PE": 1} for key in keys}}))
    with pytest.raises(ConfigError, match=message) as caught:
        FoldingConfig.load(path, GRAPH)
    assert str(path) in str(caught.value)


def test_a_few_more_layers_are_none_of_another_network():
    content = {"MVAU_0": {"PE": 2}, "MVAU_7": {"PE": 2}, "VVAU_0": {"PE": 1}, "FMPadding_9": {"SIMD": 1}, "x": {}}
    config = FoldingConfig.parse(content, "f", GRAPH)
    assert config.without_layer(GRAPH.layers) == ("MVAU_7", "VVAU_0", "FMPadding_9") and config.ignored == ("x",)
    content = {"Defaults": {"PE": [2, ["MatrixVectorActivation", "VVAU_hls", "Pool"]], "depth": [9, "StreamingFIFO"]}}
    assert FoldingConfig.parse(content, "f", GRAPH).ignored == ("Defaults.PE of VVAU", "Defaults.PE of Pool")
    for content in ({}, {"Defaults": {"PE": [1, "all"]}, "x": {}}, {"StreamingFIFO_3": {"depth": 4}}):
        FoldingConfig.parse(content, "f", GRAPH)
