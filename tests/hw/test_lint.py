"""Every module of hw/rtl, as Verilator's linter and the synthesis front end see it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.stages.codegen import rtl_sources
from pipeline.tools import verilator, yosys

MODULES = rtl_sources()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_lints_without_a_warning(path: Path):
    assert verilator.lint(MODULES, path.stem) == ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_is_read_for_synthesis(path: Path, tmp_path: Path):
    memories = [
        tmp_path / "zeros.mem",
        tmp_path / "zeros_0.mem",
    ]  # that of one lane where names have a beginning in common
    for memory in memories:
        memory.write_text("0\n")
    files = re.findall(r"parameter (\w*File)(s?) = ", path.read_text())
    wrapper = tmp_path / "wrapper.sv"
    overrides = ", ".join(f'.{name}{several}("{"zeros" if several else "zeros.mem"}")' for name, several in files)
    wrapper.write_text(f"module wrapper;\n  {path.stem} #({overrides}) u_module ();\nendmodule\n")
    yosys.parse("wrapper", yosys.needed_sources(wrapper, MODULES), memories=memories, cache=tmp_path / "cache")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_holds_the_module_it_is_named_after_and_keeps_nettypes_to_itself(path: Path):
    text = path.read_text()
    assert re.findall(r"^module (\w+)", text, re.MULTILINE) == [path.stem]
    code = [line for line in text.splitlines() if line and not line.startswith("//")]
    assert (code[0], code[-1]) == ("`default_nettype none", "`default_nettype wire")
