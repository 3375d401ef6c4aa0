"""The licence is stated, and what NOTICE says of generated code and of packages holds."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import da4ml
import hls4ml
import pytest

from pipeline.codegen import hls
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from tests.driver.packages import logits_graph, make_package

ROOT = Path(__file__).parents[1]
LIBRARIES = {
    "da4ml": Path(da4ml.__file__).parent,
    "hls4ml": Path(hls4ml.__file__).parent / "templates" / "vivado" / "ap_types",
}
SOURCES = (".v", ".sv", ".vhd", ".h", ".hh", ".hpp", ".cpp", ".tcl")


def test_the_licence_is_stated_once_and_files_are_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "BSD-3-Clause"
    assert project["license-files"] == ["LICENSE", "NOTICE"]
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("BSD 3-Clause License\n\nCopyright (c) 2026, the a2q-pipeline authors\n")
    assert text.count("\n1. ") == text.count("\n2. ") == text.count("\n3. ") == 1


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> list[Path]:
    """What a build with an unrolled layer writes and packs: sources, scripts, and the driver."""
    folder = tmp_path_factory.mktemp("generated")
    graph = logits_graph()
    (layer,) = graph.layers
    unrolled = UnrolledMVAU(**{f.name: getattr(layer, f.name) for f in fields(MatrixVector) if f.init})
    graph = replace(graph, layers=(unrolled,))
    make_package(folder, graph)
    hls.write_network(graph, folder / "hls", "network")
    return [path for path in folder.rglob("*") if path.is_file()]


def lines(paths: list[Path]) -> dict[str, Path]:
    """The lines that say something, with a file that has each."""
    stripped = {line.strip(): path for path in paths for line in path.read_text(errors="replace").splitlines()}
    return {line: path for line, path in stripped.items() if len(line) > 24 and any(map(str.isalpha, line))}


@pytest.mark.parametrize("name", LIBRARIES)
def test_nothing_of_a_library_is_in_what_is_generated(generated, name):
    theirs = lines([path for path in LIBRARIES[name].rglob("*") if path.suffix in SOURCES])
    ours = lines([path for path in generated if path.suffix in (*SOURCES, ".py", ".mem")])
    assert len(theirs) > 100 and len(ours) > 1000
    shared = {line: (str(ours[line]), str(theirs[line])) for line in ours.keys() & theirs.keys()}
    assert not shared


def test_no_header_of_a_library_is_copied(generated):
    shipped = {path.name for folder in LIBRARIES.values() for path in folder.rglob("*") if path.suffix in SOURCES}
    assert "ap_int.h" in shipped
    assert not shipped & {path.name for path in generated}


def test_notice_names_what_is_neither_shipped_nor_ours():
    notice = (ROOT / "NOTICE").read_text()
    for name in ("da4ml (LGPL 3.0)", "plotly.js", "china.jpg", "AXI DMA", "Brevitas' release files"):
        assert name in notice
