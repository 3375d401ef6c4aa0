from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.config import BuildConfig
from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import ConfigError
from pipeline.folding.fold import fold
from pipeline.folding.impl_styles import ImplStyles, impl_styles
from pipeline.kernels.mvau import MVAU
from tests.dataflow.residual import residual_network

GRAPH = fold(residual_network()).graph  # two MVAUs, a Thresholding, FIFOs, …


@pytest.fixture
def of(tmp_path: Path):
    """The styles for an option and the content of a file of FINN."""

    def styles(preferred: str | Mapping[str, str] = "rtl", content: object = None) -> ImplStyles:
        if content is None:
            return impl_styles(GRAPH, preferred)
        path = tmp_path / "styles.json"
        path.write_text(json.dumps(content))
        return impl_styles(GRAPH, preferred, path)

    return styles


def in_hls(styles: ImplStyles) -> list[str]:
    return [name for name, style in styles.styles.items() if style == "hls"]


def changed(graph: LayerGraph, name: str, layer: MVAU) -> LayerGraph:
    return replace(graph, layers=tuple(layer if other.name == name else other for other in graph))


def test_everything_is_rtl_where_nothing_is_asked_for(of):
    assert of().styles == {layer.name: "rtl" for layer in GRAPH}


def test_all_in_hls_are_all_with_a_form_in_it(of):
    everything = [layer.name for layer in GRAPH if layer.op_type != "StreamingFIFO"]
    assert in_hls(of("hls")) == everything
    assert in_hls(of(content={"Defaults": {"preferred_impl_style": ["hls", "all"]}})) == everything
    assert in_hls(of(content={"Defaults": {"preferred_impl_style": "hls"}})) == everything


@pytest.mark.parametrize(
    ("preferred", "expected"),
    [
        ({"MVAU_1": "hls"}, ["MVAU_1"]),
        ({"MVAU": "hls"}, ["MVAU_0", "MVAU_1"]),
        ({"MVAU_0": "rtl", "MVAU": "hls"}, ["MVAU_1"]),
        ({"MVAU": "rtl", "Thresholding_0": "hls"}, ["Thresholding_0"]),
    ],
)
def test_a_layers_own_style_comes_before_that_of_its_operator(of, preferred, expected):
    assert in_hls(of(preferred)) == expected
    file = {key: {"preferred_impl_style": style} for key, style in preferred.items() if key[-1].isdigit()}
    operators = [item for key, style in preferred.items() if not key[-1].isdigit() for item in (style, [key])]
    assert in_hls(of(content={"Defaults": {"preferred_impl_style": operators}, **file})) == expected


def test_a_sparse_mvau_is_an_mvau(of):
    sparse = GRAPH.layer("MVAU_1").styled("sparse", {})
    graph = changed(GRAPH, "MVAU_1", sparse)
    assert in_hls(impl_styles(graph, {"MVAU": "hls"})) == ["MVAU_0", "MVAU_1"]
    assert in_hls(impl_styles(graph, {"MVAU": "rtl", "SparseMVAU": "hls"})) == ["MVAU_1"]


def test_a_file_as_finn_ships_one_loads_unchanged(of):
    shipped = {
        "Defaults": {"preferred_impl_style": ["rtl", ["MVAU", "Thresholding"]]},
        "": {"preferred_impl_style": ""},
    }
    assert of("rtl", shipped) == ImplStyles(of().styles, ())
    assert "MVAU_0" not in in_hls(of("hls", shipped)) and "FMPadding_0" in in_hls(of("hls", shipped))


def test_the_examples_of_the_documentation(of):
    page = (Path(__file__).parents[2] / "docs" / "hls.md").read_text()
    (file,) = (line for line in page.splitlines() if line.startswith('    {"Defaults"'))
    assert in_hls(of(content=json.loads(file))) == ["MVAU_0"]
    (option,) = (line for line in page.splitlines() if line.startswith("    preferred_impl_style:"))
    assert BuildConfig(**yaml.safe_load(option)).preferred_impl_style == {
        "MVAU": "hls",
        "MVAU_3": "rtl",
        "Pool_0": "hls",
    }


def test_names_of_older_releases(of):
    content = {
        "Defaults": {"preferred_impl_style": ["hls", ["MatrixVectorActivation"]]},
        "StreamingFCLayer_Batch_1": {"preferred_impl_style": "rtl"},
        "AddStreams_Batch_0": {"preferred_impl_style": "hls"},
    }
    assert in_hls(of(content=content)) == ["MVAU_0", "AddStreams_0"]


def test_an_empty_string_is_no_preference(of):
    content = {"Defaults": {"preferred_impl_style": ["hls", ["MVAU"]]}, "MVAU_1": {"preferred_impl_style": ""}}
    assert in_hls(of(content=content)) == ["MVAU_0"]
    assert in_hls(of({"MVAU_1": "hls"}, content)) == ["MVAU_0", "MVAU_1"]


def test_what_of_a_file_has_no_effect_is_told(of):
    styles = of(
        {"MVAU_0": "hls"},
        {
            "MVAU_0": {"preferred_impl_style": "rtl", "PE": 2},
            "VVAU_3": {"preferred_impl_style": "hls"},
            "MVAU_7": {"preferred_impl_style": ""},
            "partition": {"preferred_impl_style": "hls"},
        },
    )
    assert in_hls(styles) == ["MVAU_0"]
    assert sorted(styles.ignored) == ["MVAU_0 (the configuration says hls)", "MVAU_0.PE", "VVAU_3", "partition"]


def test_a_layer_that_is_not_there_is_refused(of):
    with pytest.raises(
        ConfigError, match=r"preferred_impl_style names MVAU_9, which is no layer and no operator .*MVAU_0"
    ):
        of({"MVAU_9": "hls"})


@pytest.mark.parametrize("name", ["StreamingFIFO_0", "StreamingFIFO"])
def test_a_layer_without_a_form_in_hls_is_refused_where_it_is_asked_for(of, name):
    with pytest.raises(ConfigError, match=r"layer StreamingFIFO_0 is to be in HLS C\+\+ .* Choose rtl for it"):
        of({name: "hls"})
    file = (
        {name: {"preferred_impl_style": "hls"}}
        if name[-1] == "0"
        else {"Defaults": {"preferred_impl_style": ["hls", [name]]}}
    )
    with pytest.raises(
        ConfigError, match=r"\(preferred_impl_style of .*styles\.json is hls\).* a FIFO is the depth of a"
    ):
        of(content=file)


@pytest.mark.parametrize("preferred", ["hls", {"MVAU": "hls"}, {"MVAU_1": "hls"}])
def test_weights_that_are_loaded_at_start_up_are_refused(preferred):
    loaded = replace(GRAPH.layer("MVAU_1"), ram_style="ultra", source="conv2")
    graph = changed(GRAPH, "MVAU_1", loaded)
    message = (
        r"layer MVAU_1 \(conv2\) is to be in HLS C\+\+ .* in UltraRAM .* Choose rtl for it, or block or distributed"
    )
    with pytest.raises(ConfigError, match=message):
        impl_styles(graph, preferred)
    assert impl_styles(graph, {"MVAU_0": "hls"}).styles["MVAU_1"] == "rtl"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"The specialize_layers_config_file .*styles\.json cannot be read: No such file"),
        ("{", r"The specialize_layers_config_file .*styles\.json is not JSON"),
        ("[1]", r"The specialize_layers_config_file .*styles\.json holds \[1\]; it must be an object of objects"),
        ('{"MVAU_0": {"preferred_impl_style": "vhdl"}}', "has MVAU_0.preferred_impl_style = 'vhdl'; expected one of rtl, hls"),
        ('{"MVAU_0": {"preferred_impl_style": ["hls"]}}', r"has MVAU_0.preferred_impl_style = \['hls'\]; expected one of"),
        ('{"MVAU_0": {}, "MVAU_0": {}}', r"The specialize_layers_config_file .*styles\.json has the key 'MVAU_0' twice"),
        ('{"MVAU_0": "hls"}', "has 'MVAU_0': 'hls'; it must be an object of objects"),
        ('{"Defaults": {"preferred_impl_style": ["hls", ["MVAU"], "rtl"]}}', r"expected \[value, operators\]"),
        ('{"Defaults": {"preferred_impl_style": ["hls", 3]}}', r"expected \[value, operators\]"),
        ('{"VVAU_0": {"preferred_impl_style": "hls"}}', r"styles\.json is of another network: this one has no 'VVAU_0'"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "styles.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        impl_styles(GRAPH, "rtl", path)
