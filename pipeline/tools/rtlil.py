"""RTLIL, Yosys' text format: merging modules that are equal.

The SystemVerilog front end makes one module of every instance. Where the hierarchy is kept, an MVAU of 16 × 32
multipliers then holds 512 equal modules, and Yosys maps each of them anew. Merging them first changes no count, since
nothing is optimized across a module boundary, and saves most of the time.
"""

from __future__ import annotations

import re
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
    kept: dict[str, str] = {}  # canonical content → name
    representative: dict[str, str] = {}

    def visit(name: str) -> str:
        if name not in representative:
            module = by_name[name]
            body = _CELL.sub(
                lambda m: f"{m[1]}{visit(m[2])}{m[3]}" if m[2] in by_name else m[0],
                module.body,
            )
            by_name[name] = _Module(name, module.head, body)
            own = name if "attribute \\top " in module.head else ""
            content = own + _renumber(_LOCATION.sub("", module.head + body))
            representative[name] = kept.setdefault(content, name)
        return representative[name]

    for module in modules:
        visit(module.name)
    chosen = set(kept.values())
    parts = [f"{m.head}module {m.name}\n{m.body}end\n" for m in by_name.values() if m.name in chosen]
    return preamble + "\n".join(parts)


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


def _renumber(text: str) -> str:
    """`text` with the numbers of generated names ($procmux$123_Y) counted from 0, for each stem, in order of appearance."""
    numbers: dict[str, dict[str, int]] = {}

    def number(match: re.Match) -> str:
        seen = numbers.setdefault(match[1], {})
        return f"{match[1]}{seen.setdefault(match[2], len(seen))}"

    return _NUMBERED.sub(number, text)
