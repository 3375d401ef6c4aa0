"""The inputs of a stage's result, as SHA-256 digests: files, folders, code, variables, versions of packages."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from pipeline.files import PACKAGES

__all__ = ["code", "combine", "file", "files", "folder", "modules", "package_version", "variable"]


def combine(parts: Mapping[str, object]) -> str:
    """The digest of named parts, whose texts must say all that matters. Their order does not count."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        text = str(parts[name])
        digest.update(f"{name} {len(text)} {text}\n".encode())
    return digest.hexdigest()


def file(path: Path) -> str:
    """The digest of a file's content, or `absent`: a file that appears later counts as a change."""
    if not path.is_file():
        return "absent"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files(paths: Iterable[Path], base: Path) -> str:
    """The digest of the names, relative to `base`, and the contents of `paths`."""
    return combine({path.relative_to(base).as_posix(): file(path) for path in paths})


def folder(path: Path, *, without: Iterable[str] = ()) -> str:
    """The digest of all files in a folder, in any depth, but for those named in `without`, relative to it."""
    left_out = set(without)
    paths = (p for p in path.rglob("*") if p.is_file() and p.relative_to(path).as_posix() not in left_out)
    return files(paths, path)


@cache
def package_version(distribution: str) -> str:
    """The version of an installed distribution, or `absent`."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def variable(name: str) -> str:
    """The value of a variable of the environment, and where that is a path what it leads to; or `unset`."""
    value = os.environ.get(name)
    if value is None:
        return "unset"
    return f"{value} {Path(value).resolve()}" if os.path.exists(value) else value


def code(function: Callable[..., object]) -> str:
    """The digest of a function's own code: its text, what it uses of its module, and every module of this repository's
    packages that these import, wherever the import stands but under `if TYPE_CHECKING:`, and so on. Other packages are
    left to their versions.
    """
    text, nodes, _ = _source(function)
    parts = "\n".join(ast.get_source_segment(text, node) or text for node in nodes)
    return combine({"own": parts, "modules": _texts(modules(function))})


def _texts(modules: Iterable[Path]) -> str:
    """The digest of the names and the contents of `modules`."""
    return combine({"/".join(_module_path(path)): file(path) for path in modules})


def modules(function: Callable[..., object]) -> set[Path]:
    """The files of the modules that count as a function's code, its own module apart."""
    _, nodes, path = _source(function)
    reached: set[Path] = set()
    pending = [module for node in nodes for module in _imports(node, path)]
    while pending:
        module = pending.pop()
        if module not in reached:
            reached.add(module)
            pending += _module_imports(module)
    return reached


def _source(function: Callable[..., object]) -> tuple[str, Sequence[ast.AST], Path]:
    """The text of the module that defines `function`, the statements of it that count, and its file."""
    path = Path(inspect.getfile(function)).resolve()
    text, tree = _parsed(path)
    definitions = _definitions(tree)
    if function.__qualname__ not in definitions:  # a lambda or an inner function: its whole module
        return text, [tree], path
    return text, _used(function.__qualname__, definitions), path


@cache
def _parsed(path: Path) -> tuple[str, ast.Module]:
    text = path.read_text()
    return text, ast.parse(text)


def _definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    """The statement that defines each name at the top of a module."""
    definitions: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            definitions.update({alias.asname or alias.name.partition(".")[0]: node for alias in node.names})
        else:
            names = (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
            definitions.update(dict.fromkeys(names, node))
    return definitions


def _used(name: str, definitions: Mapping[str, ast.stmt]) -> list[ast.stmt]:
    """The definition of `name` and all that it uses at the top of its module, in the order of the file."""
    nodes: set[ast.stmt] = set()
    pending = [definitions[name]]
    while pending:
        node = pending.pop()
        if node not in nodes:
            nodes.add(node)
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            pending += [definitions[n] for n in names if n in definitions]
    return sorted(nodes, key=lambda node: node.lineno)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and all within it, but for what stands under `if TYPE_CHECKING:`, which type checkers alone read."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for statement in child.orelse:
                yield from _executed(statement)
        else:
            yield from _executed(child)


@cache
def _module_imports(path: Path) -> tuple[Path, ...]:
    return tuple(_imports(_parsed(path)[1], path))


def _imports(node: ast.AST, path: Path) -> list[Path]:
    """The files of this repository's modules that `node`, which stands in the file `path`, imports when it runs."""
    imported = []
    for inner in _executed(node):
        if isinstance(inner, ast.Import):
            names = [alias.name for alias in inner.names]
        elif isinstance(inner, ast.ImportFrom):
            base = inner.module or ""
            if inner.level:
                base = ".".join((*_module_path(path)[: -inner.level], base)).rstrip(".")
            names = [base, *(f"{base}.{alias.name}" for alias in inner.names)]
        elif isinstance(inner, ast.Call):
            names = _named_by_call(inner, path)
        else:
            continue
        imported += [file for name in names if name.partition(".")[0] in PACKAGES for file in _module_files(name)]
    return imported


def _named_by_call(call: ast.Call, path: Path) -> list[str]:
    """The modules that `call` imports: `import_module("a.b")`, and `iter_modules(__path__)` of a package that imports all
    its modules."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if function == "import_module":
        return [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if function == "iter_modules" and path.name == "__init__.py":
        package = ".".join(_module_path(path)[:-1])
        return [f"{package}.{module.stem}" for module in sorted(path.parent.glob("*.py"))]
    return []


def _module_path(path: Path) -> tuple[str, ...]:
    """The names of the packages around the module in the file `path`, and the file's own, which stands for the module."""
    for package, folder in PACKAGES.items():
        if path.is_relative_to(folder):
            return package, *path.relative_to(folder).parts
    return path.parts


@cache
def _module_files(name: str) -> tuple[Path, ...]:
    """The file of a module and those of the packages around it; what is not a module has none of its own."""
    package, *parts = name.split(".")
    folder = PACKAGES[package]
    around = [folder.joinpath(*parts[:end], "__init__.py") for end in range(len(parts) + 1)]
    return tuple(path for path in (*around, folder.joinpath(*parts).with_suffix(".py")) if path.is_file())
