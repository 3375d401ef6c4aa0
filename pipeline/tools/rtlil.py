"""RTLIL, Yosys' text format: what is done to designs that the SystemVerilog front end gives, and Yosys itself lacks.

The front end makes one module of every instance. Where the hierarchy is kept, an MVAU of 16 × 32 multipliers then holds
512 equal modules, and Yosys maps each of them anew. Merging them changes no count: nothing is optimized across a module
boundary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["merge_equal_modules"]

_CELL = re.compile(r"^(  cell )(\\\S+)( .*)$", re.MULTILINE)
_LOCATION = re.compile(r"^ *attribute \\(?:src|hdlname) .*\n", re.MULTILINE)
_NUMBERED = re.compile(r"(?:(?<=\s)|(?<=\$))([^\s$]*\$)(\d+)")


@dataclass(frozen=True)
class _Module:
    name: str
    head: str  # the attribute lines before `module`
    body: str


def merge_equal_modules(text: str) -> str:
    """`text` with one module kept of each set of equal ones, and their instances pointed at it.

    Two modules are equal if their text is, names of the module itself, source locations and the numbers of generated
    names apart, and if their submodules are equal. A module with the attribute `top` is always kept.
    """
    preamble, modules = _split(text)
    by_name = {module.name: module for module in modules}
    names: dict[str, str] = {}  # canonical content → name
    representative: dict[str, str] = {}
    places = {name: place for place, name in enumerate(by_name)}

    def visit(name: str) -> str:
        if name not in representative:
            module = by_name[name]
            body = _with_cells(module.body, {cell: visit(cell) for cell in _cells(module.body) if cell in by_name})
            by_name[name] = _Module(name, module.head, body)
            prefix = name if "attribute \\top " in module.head else ""
            # names of modules may end in a number that tells them apart: the place in the text stands for each
            text = _with_cells(body, {cell: f"\\{places[cell]}" for cell in _cells(body) if cell in places})
            representative[name] = names.setdefault(prefix + _renumber(_LOCATION.sub("", module.head + text)), name)
        return representative[name]

    for module in modules:
        visit(module.name)
    chosen = set(names.values())
    return _join(preamble, [module for module in by_name.values() if module.name in chosen])


def _cells(body: str) -> list[str]:
    """The types of the cells that are instances of modules, each once, in the order of the text.

    The order decides which of equal modules is kept, and a netlist must not depend on how a process orders a set.
    """
    return list(dict.fromkeys(match[2] for match in _CELL.finditer(body)))


def _with_cells(body: str, types: Mapping[str, str]) -> str:
    """`body` with other types of cells, where `types` has one."""
    return _CELL.sub(lambda match: f"{match[1]}{types.get(match[2], match[2])}{match[3]}", body)


def _split(text: str) -> tuple[str, list[_Module]]:
    """The lines before the first module, and the modules."""
    preamble: list[str] = []
    head: list[str] = []
    body: list[str] | None = None
    modules: list[_Module] = []
    name = ""
    for line in text.splitlines(keepends=True):
        if body is not None:
            if line.rstrip() == "end":
                modules.append(_Module(name, "".join(head), "".join(body)))
                head, body = [], None
            else:
                body.append(line)
        elif line.startswith("module "):
            name, body = line.split()[1], []
        elif line.startswith("attribute "):
            head.append(line)
        elif line.strip():
            preamble.append(line)
    return "".join(preamble), modules


def _join(preamble: str, modules: list[_Module]) -> str:
    return preamble + "\n".join(f"{module.head}module {module.name}\n{module.body}end\n" for module in modules)


def _renumber(text: str) -> str:
    """`text` with the numbers of generated names ($procmux$123_Y) counted from 0, for each stem, as they appear."""
    numbers: dict[str, dict[str, int]] = {}

    def number(match: re.Match[str]) -> str:
        seen = numbers.setdefault(match[1], {})
        return f"{match[1]}{seen.setdefault(match[2], len(seen))}"

    return _NUMBERED.sub(number, text)
