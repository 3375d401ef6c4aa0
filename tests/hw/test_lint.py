"""Every module of hw/rtl, and what is generated around them, as Verilator's linter, slang, the synthesis front end and the
list of what Vivado takes see them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.codegen.accelerator import write_accelerator
from pipeline.codegen.rtl import rtl_sources, write_design
from pipeline.dataflow.registry import kernels
from pipeline.tools import verilator, yosys
from pipeline.tools.tool import Package
from tests.hw import constructs
from tests.hw.every_kernel import EVERY_KERNEL
from tests.hw.simulated_board import HASH
from tests.kernels.side_by_side import apart

MODULES = rtl_sources()
LISTED = constructs.Constructs.load()
SILENT = {
    "unused-net": "what is not used is named so, as Verilator checks",
    "unused-but-set-net": "likewise",
    "useless-cast": "with other parameters it has a use",
    "shift-count-overflow": "of the address in a memory of one bank no bit is left",
    "sign-conversion": "genvars, loop variables and '0 beside signed numbers; the widths are the same, else another speaks",
    "arith-op-mismatch": "likewise",
    "sign-compare": "genvars and $clog2 are signed, sizes are not; both are small",
}
FORBIDDEN = {
    "a text as a typed parameter": ('parameter string Name = "auto"', "", "string of text"),
    "a text in a vector": ('parameter logic [31:0] Name = "auto"', "", "logic [] of text"),
    "a type as a parameter": ("parameter type T = logic", "", "TypeParameterDeclaration"),
    "a real parameter": ("parameter real X = 0.5", "", "real"),
    "a parameter of a type of its own": ("parameter p::t X = 0", "", "p::t"),
    "a cast of $signed": ("", "assign y = x & 8'($signed(x[3:0]));", "cast of a signed operand"),
    "a cast of a signed net": ("", "wire signed [3:0] s = x[3:0]; assign y = 8'(s);", "cast of a signed operand"),
    "a signed cast that is widened": ("", "assign y = signed'(x[3:0]);", "a sign that is extended"),
    "a signed cast": ("", "assign y = signed'(x);", "cast to a signed number"),
    "a signed net that is widened": ("", "wire signed [3:0] s = x[3:0]; assign y = s;", "a sign that is extended"),
    "a signed net that is widened in a sum": (
        "",
        "wire signed [3:0] s = x[3:0]; wire signed [7:0] t = s + s;",
        "a sign that is extended",
    ),
    "a signed net that is widened in a product with one that is not a name": (
        "",
        "wire signed [3:0] s = x[3:0]; wire signed [7:0] t = s * (s + 4'sd1);",
        "a sign that is extended",
    ),
    "the function $signed": ("", "assign y = $signed(x);", "$signed"),
    "a select downwards": ("", "assign y[3:0] = x[7-:4];", "DescendingRangeSelect"),
    "an arithmetic shift": ("", "assign y = $signed(x) >>> 2;", "ArithmeticShiftRightExpression"),
    "a task that is not listed": ("", "initial $monitor(x);", "$monitor"),
    "a net type": ("", "tri z = x[0];", "TriKeyword"),
    "an operator": ("", "assign y = x inside {8'd1, 8'd2};", "InsideExpression"),
    "a block": ("", "always_latch if (x[0]) y = x;", "AlwaysLatchBlock"),
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> list[list[Path]]:
    """The files of designs with every kernel: as they are, with watched accumulators, and as an accelerator."""
    layers = apart(EVERY_KERNEL)
    streams = (
        [stream for layer in layers for stream in layer.input_names],
        [s for layer in layers for s in layer.output_names],
    )
    designs = [
        write_design(layers, *streams, tmp_path_factory.mktemp("kernels"), f"kernels_{watched}", check_overflow=watched)
        for watched in (False, True)
    ]
    loading = next(layer for layer in EVERY_KERNEL if layer.loads_weights)
    folder = tmp_path_factory.mktemp("accelerator")
    inner = write_design([loading], loading.input_names, loading.output_names, folder, "network", check_overflow=True)
    return [*(design.sources for design in designs), [*inner.sources, write_accelerator(inner, folder, HASH)]]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_lints_without_a_warning(path: Path):
    assert verilator.lint(MODULES, path.stem) == ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_is_read_for_synthesis(path: Path, tmp_path: Path):
    memories = [
        tmp_path / "zeros.mem",
        tmp_path / "zeros_0.mem",
        tmp_path / "zeros_0_0_0.mem",
        tmp_path / "zeros_0000.mem",
    ]  # those of one lane, of a bank, and of a column, where names have a beginning in common
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


# -- what is generated, with hw/rtl around it -------------------------------------------------------------------------


def test_every_kernel_is_among_them():
    assert {type(layer) for layer in EVERY_KERNEL} == set(kernels().values())


def test_is_made_of_what_vivado_takes(generated):
    for sources in generated:
        assert not (rest := constructs.unlisted(sources, LISTED)), "\n".join(map(str, rest))


def test_slang_has_no_warning(generated):
    for sources in generated:
        assert not (said := constructs.warnings(sources, SILENT)), "\n".join(said)


# -- the list ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parameter", "body", "name"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_is_not_listed_is_shown_with_its_place(parameter: str, body: str, name: str, tmp_path: Path):
    path = tmp_path / "module.sv"
    path.write_text(
        f"module m #(\n  {parameter or 'parameter int A = 1'}\n) (\n  input wire [7:0] x, output logic [7:0] y\n);\n"
        f"  {body}\nendmodule\n"
    )
    line = 6 if body else 2
    shown = [str(item) for item in constructs.unlisted([path], LISTED)]
    assert any(f"module.sv:{line}: {name}: " in text for text in shown), shown
    assert constructs.main([str(path)]) == 1


def test_what_is_listed_is_not_shown(tmp_path: Path, capsys):
    path = tmp_path / "module.sv"
    path.write_text(
        'module m #(\n  parameter Style = "auto"\n) (\n  input wire [3:0] x, output wire [7:0] y\n);\n'
        '  assign y = {{4{x[3]}}, x};\n  wire [7:0] z = 8\'(x);\n  if (Style == "none") $error("%m: no style");\nendmodule\n'
    )
    assert constructs.main([str(path)]) == 0
    path.write_text(
        "module m (\n  input wire signed [3:0] x, input wire signed [7:0] y, output wire signed [11:0] z\n);\n"
        "  assign z = x * y;\nendmodule\n"
    )
    assert constructs.main([str(path)]) == 0
    assert capsys.readouterr().out == ""


def test_what_is_no_systemverilog_is_said(tmp_path: Path):
    path = tmp_path / "module.sv"
    path.write_text("module m;\n  assign\nendmodule\n")
    with pytest.raises(ValueError, match=r"module\.sv:2: expected"):
        constructs.main([str(path)])


def test_all_that_is_listed_is_needed(generated):
    files = [MODULES, *generated]
    used = {(item.section, item.name) for sources in files for item in constructs.constructs_of(sources)}
    for section in ("nodes", "tokens", "system", "parameters"):
        for name in getattr(LISTED, section):
            assert (section, name) in used, (
                f"{name} of {section} is in no module: leave it out of {constructs.LIST.name}"
            )


def test_witnesses_that_are_installed_hold_what_they_are_named_for():
    """finn-plus has finn-rtllib; of the others the list says where they are."""
    folder = Package("finn").require()
    seen: dict[str, set[tuple[str, str]]] = {}
    for section in ("nodes", "tokens", "system", "parameters"):
        for name, files in getattr(LISTED, section).items():
            assert files, name
            for file in files:
                assert file.split("/")[0] in LISTED.sources, file
                if file.startswith("finn-rtllib/"):
                    if file not in seen:
                        seen[file] = {(item.section, item.name) for item in constructs.constructs_of([folder / file])}
                    assert (section, name) in seen[file], (file, name)
    assert len(seen) >= 16
