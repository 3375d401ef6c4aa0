"""RTLIL, Yosys' text format: what is done to designs that the SystemVerilog front end gives, and Yosys itself lacks.

The front end makes one module of every instance. Where the hierarchy is kept, an MVAU of 16 × 32 multipliers then holds
512 equal modules, and Yosys maps each of them anew. And what reads a memory file word by word at constant addresses
becomes thousands of read ports, which Yosys compares pair by pair. Neither changes a count: nothing is optimized across
a module boundary, and a word of a read-only memory is a constant. Both take minutes off an MVAU of 8-bit outputs. And
as Yosys takes seconds to begin, whatever the design, small ones are put side by side into one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["fold_constant_reads", "merge_equal_modules", "side_by_side"]

_CELL = re.compile(r"^(  cell )(\\\S+)( .*)$", re.MULTILINE)
_LOCATION = re.compile(r"^ *attribute \\(?:src|hdlname) .*\n", re.MULTILINE)
_NUMBERED = re.compile(r"(?:(?<=\s)|(?<=\$))([^\s$]*\$)(\d+)")
_MEMORY_CELL = re.compile(
    r"^(?:  attribute .*\n)*  cell \$(memrd|memwr|meminit)(?:_v2)? \S+\n((?:    .*\n)*)  end\n", re.MULTILINE
)
_CONSTANT = re.compile(r"(\d+)'([01]+)|(\d+)")


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
            body = _CELL.sub(lambda m: f"{m[1]}{visit(m[2])}{m[3]}" if m[2] in by_name else m[0], module.body)
            by_name[name] = _Module(name, module.head, body)
            own = name if "attribute \\top " in module.head else ""
            content = own + _renumber(_LOCATION.sub("", module.head + body))
            representative[name] = kept.setdefault(content, name)
        return representative[name]

    for module in modules:
        visit(module.name)
    chosen = set(kept.values())
    return _join(preamble, [module for module in by_name.values() if module.name in chosen])


def side_by_side(texts: Sequence[str], top: str) -> str:
    """One design of those in `texts`: a module `top` that holds an instance of the top module of each.

    The modules of the i-th get names that end in $<i>. The instances are not connected, but kept.
    """
    preambles, together, instances = [], [], []
    for i, text in enumerate(texts):
        preamble, modules = _split(text)
        preambles.append(preamble)
        own = {module.name: f"{module.name}${i}" for module in modules}
        for module in modules:
            body = _CELL.sub(lambda m, own=own: f"{m[1]}{own.get(m[2], m[2])}{m[3]}", module.body)
            together.append(_Module(own[module.name], module.head, body))
            if "attribute \\top " in module.head:
                instances.append(f"  attribute \\keep 1\n  cell {own[module.name]} \\u_{i}\n  end\n")
    together.append(_Module(f"\\{top}", "attribute \\top 1\n", "".join(instances)))
    return _join(max(preambles, key=_autoidx), together)


def _autoidx(preamble: str) -> int:
    """The number from which Yosys goes on when it makes up names; a preamble has it after the word autoidx."""
    return int(preamble.split("autoidx", 1)[1].split()[0])


def fold_constant_reads(text: str) -> str:
    """`text` with every asynchronous read of a read-only memory at a constant address replaced by the word there."""
    preamble, modules = _split(text)
    return _join(preamble, [_Module(module.name, module.head, _fold(module.body)) for module in modules])


def _fold(body: str) -> str:
    words: dict[str, list[str]] = {}  # memory → its words, in binary, where one cell initializes all of it
    other: set[str] = set()  # memories that are written, or initialized in part
    for kind, lines in _MEMORY_CELL.findall(body):
        if kind == "memrd":
            continue
        cell = _fields(lines)
        memory = cell["\\MEMID"]
        if kind == "memwr" or memory in words or cell["\\ADDR"] != "0" or "0" in cell["\\EN"].partition("'")[2]:
            other.add(memory)
            continue
        width = int(cell["\\WIDTH"])
        bits = cell["\\DATA"].partition("'")[2]
        words[memory] = [bits[end - width : end] for end in range(len(bits), 0, -width)]

    def fold(match: re.Match) -> str:
        if match[1] != "memrd":
            return match[0]
        cell = _fields(match[2])
        memory, address = cell["\\MEMID"], _constant(cell["\\ADDR"])
        content = words.get(memory, [])
        if memory in other or address is None or address >= len(content) or cell["\\CLK_ENABLE"] != "0":
            return match[0]
        word = content[address]
        data = cell["\\DATA"]
        return f"  connect {data} {len(word)}'{word}\n"

    return _MEMORY_CELL.sub(fold, body)


def _fields(lines: str) -> dict[str, str]:
    """The parameters and connections of a cell, by name."""
    return {name: value for _, name, value in (line.split(None, 2) for line in lines.splitlines())}


def _constant(signal: str) -> int | None:
    match = _CONSTANT.fullmatch(signal)
    if match is None:
        return None
    return int(match[3]) if match[3] else int(match[2], 2)


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

    def number(match: re.Match) -> str:
        seen = numbers.setdefault(match[1], {})
        return f"{match[1]}{seen.setdefault(match[2], len(seen))}"

    return _NUMBERED.sub(number, text)
