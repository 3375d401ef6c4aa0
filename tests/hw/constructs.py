"""What SystemVerilog is made of, against hw/vivado_constructs.yaml: the constructs that Vivado is known to take.

A construct is a kind of syntax node or of token, as slang names them, a system task or function, or the type of a
parameter. `python -m tests.hw.constructs FILE...` says what of the files is not listed, and ends with 1 if anything is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyslang
import yaml
from pyslang import analysis, ast, syntax

__all__ = ["LIST", "Construct", "Constructs", "constructs_of", "main", "unlisted", "warnings"]

LIST = Path(__file__).resolve().parents[2] / "hw" / "vivado_constructs.yaml"
_TEXT = 60  # characters of a construct that are shown


@dataclass(frozen=True)
class Constructs:
    """The names of each section, and the files that they stand in. A file's path begins with a key of `sources`."""

    sources: dict[str, str]
    nodes: dict[str, list[str]]
    tokens: dict[str, list[str]]
    system: dict[str, list[str]]
    parameters: dict[str, list[str]]

    @classmethod
    def load(cls, path: Path = LIST) -> Constructs:
        return cls(**yaml.safe_load(path.read_text()))


@dataclass(frozen=True)
class Construct:
    section: str  # a field of Constructs
    name: str
    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name}: {self.text}"


class _Files:
    """Files as slang reads them together, without a definition of any macro, as Vivado does. Raises ValueError for one
    that is no SystemVerilog."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.manager = pyslang.SourceManager()
        self.trees = [syntax.SyntaxTree.fromFile(str(path), self.manager) for path in paths]
        engine = pyslang.DiagnosticEngine(self.manager)
        for error in (said for tree in self.trees for said in tree.diagnostics if said.isError()):
            raise ValueError("{}:{}: {}".format(*self.place(error.location), engine.formatMessage(error)))

    def place(self, location) -> tuple[str, int]:
        return self.manager.getFileName(location), self.manager.getLineNumber(location)

    def construct(self, section: str, name: str, node) -> Construct:
        range_ = node.range if isinstance(node, pyslang.parsing.Token) else node.sourceRange
        source = self.manager.getSourceText(range_.start.buffer).encode()[range_.start.offset : range_.end.offset]
        text = " ".join(source.decode().split())
        file, line = self.place(range_.start)
        return Construct(section, name, file, line, text if len(text) <= _TEXT else f"{text[:_TEXT]}…")


def constructs_of(paths: Sequence[Path]) -> Iterator[Construct]:
    """The constructs of files, in their order. What the preprocessor leaves out is none of them."""
    files = _Files(paths)
    for tree in files.trees:
        yield from _below(files, tree.root)


def _below(files: _Files, node) -> Iterator[Construct]:
    if isinstance(node, pyslang.parsing.Token):
        if node.kind == pyslang.parsing.TokenKind.SystemIdentifier:
            yield files.construct("system", node.valueText, node)
        yield files.construct("tokens", node.kind.name, node)
        return
    yield files.construct("nodes", node.kind.name, node)
    if node.kind == syntax.SyntaxKind.ParameterDeclaration:
        yield files.construct("parameters", _parameter_type(node), node)
    for child in node:
        if child is not None:
            yield from _below(files, child)


def _parameter_type(node: syntax.ParameterDeclarationSyntax) -> str:
    """`untyped`, `int` or `logic []`; `of text` behind it if a text is what it begins with. Signs are tokens."""
    words = re.sub(r"//.*|/\*.*?\*/|\b(un)?signed\b", "", str(node.type))
    name = " ".join(re.sub(r"\[[^]]*\]", " [] ", words).split()) or "untyped"
    if re.match(r"\W", name):
        name = f"untyped {name}"
    declarators = [item for item in node.declarators if isinstance(item, syntax.DeclaratorSyntax)]
    if any(len(item.dimensions) for item in declarators):
        name += " array"
    texts = (item.initializer for item in declarators)
    if any(text and text.expr.kind == syntax.SyntaxKind.StringLiteralExpression for text in texts):
        name += " of text"
    return name


def unlisted(paths: Sequence[Path], listed: Constructs) -> list[Construct]:
    """What of the files is not listed, and what extends a sign, or may with other parameters.

    Vivado has dropped bits of the extension that `N'($signed(x))` makes beside unsigned operands (basejump_stl, pull
    request 474; black-parrot, pull request 932); `{{N{x[MSB]}}, x}` it takes.
    """
    others = [item for item in constructs_of(paths) if item.name not in getattr(listed, item.section)]
    lines = {(item.file, item.line) for item in others if item.section == "nodes"}  # which say more than their tokens
    others = [item for item in others if item.section != "tokens" or (item.file, item.line) not in lines]
    return [*others, *_extended_signs(paths)]


def _extended_signs(paths: Sequence[Path]) -> Iterable[Construct]:
    """What is signed and no constant, where it is cast, or is widened without a cast, and casts to what is signed; in what of
    the files is elaborated: modules that no other one instantiates, with their parameters' defaults, and all below.

    A product of two signed names may be as wide as it needs: so finn-rtllib/requant/hdl/requant.sv multiplies in a DSP, as
    Vivado's own examples do (UG901, "Multipliers")."""
    files = _Files(paths)
    compilation = _compilation(files)
    context = ast.EvalContext(compilation.getRoot())
    extended: dict[Construct, None] = {}
    factors: set[tuple[str, int]] = set()  # of products, by where they are

    def visit(node) -> None:
        if isinstance(node, ast.BinaryExpression) and node.op == ast.BinaryOperator.Multiply:
            sides = [side for side in (node.left, node.right) if _is_widened_name(side)]
            if len(sides) == 2:
                factors.update(map(_position, sides))
        if not isinstance(node, ast.ConversionExpression) or node.operand.eval(context) or _position(node) in factors:
            return
        operand = node.operand.type
        widened = operand.isSigned and node.type.bitWidth > operand.bitWidth
        kind = node.syntax.kind if node.conversionKind == ast.ConversionKind.Explicit else None
        # a vector's width may be another one with other parameters; an int, and what is made of such, is cut
        if kind == syntax.SyntaxKind.CastExpression and (widened or (operand.isSigned and operand.bitWidth < 32)):
            extended[files.construct("nodes", "cast of a signed operand", node.syntax)] = None
        elif kind == syntax.SyntaxKind.SignedCastExpression and node.type.isSigned:
            extended[files.construct("nodes", "cast to a signed number", node.syntax)] = None
        elif widened:
            extended[files.construct("nodes", "a sign that is extended", node.syntax or node.operand.syntax)] = None

    compilation.getRoot().visit(visit)
    return extended


def _is_widened_name(node) -> bool:
    """Whether `node` is a signed name, widened without a cast."""
    if not isinstance(node, ast.ConversionExpression) or node.conversionKind == ast.ConversionKind.Explicit:
        return False
    return isinstance(node.operand, ast.NamedValueExpression) and node.operand.type.isSigned


def _position(node) -> tuple[int, int]:
    start = node.operand.sourceRange.start
    return start.buffer.id, start.offset


def warnings(paths: Sequence[Path], silent: Iterable[str] = ()) -> list[str]:
    """What slang says of the files with all warnings that it has but `silent`, as file:line: message [-Wname]."""
    files = _Files(paths)
    compilation = _compilation(files)
    diagnostics = list(compilation.getAllDiagnostics())
    compilation.freeze()
    options = analysis.AnalysisOptions()
    options.flags = analysis.AnalysisFlags.CheckUnused
    manager = analysis.AnalysisManager(options)
    manager.analyze(compilation)
    engine = pyslang.DiagnosticEngine(files.manager)
    said = []
    for diagnostic in [*diagnostics, *manager.getDiagnostics()]:
        name = engine.getOptionName(diagnostic.code)
        if name not in silent:
            file, line = files.place(diagnostic.location)
            said.append(f"{file}:{line}: {engine.formatMessage(diagnostic)} [-W{name}]")
    return said


def _compilation(files: _Files) -> ast.Compilation:
    compilation = ast.Compilation()
    for tree in files.trees:
        compilation.addSyntaxTree(tree)
    return compilation


def main(arguments: Sequence[str]) -> int:
    rest = unlisted([Path(path) for path in arguments], Constructs.load())
    for item in rest:
        print(item)
    return 1 if rest else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
