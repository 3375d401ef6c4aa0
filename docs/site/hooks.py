"""Pages that are made of the code and of files beside docs/, when the site is built."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from pipeline import errors
from pipeline.dataflow.registry import kernels

_ROOT = Path(__file__).resolve().parents[2]
_SOURCE = "pipeline/kernels/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    pages = {"index.md": _readme(), "hardware.md": _hardware(), "kernels.md": _kernels(), "errors.md": _errors()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def _readme() -> str:
    """README.md, whose links are seen from the root."""
    return (_ROOT / "README.md").read_text().replace("](docs/", "](")


def _hardware() -> str:
    return (_ROOT / "hw" / "README.md").read_text().replace("](../docs/", "](")


def _kernels() -> str:
    rows = "\n".join(_kernel_sections())
    return (
        "# Kernels\n\nOne file a kernel, with the same name in `pipeline/kernels/` (what it computes, how it is folded, what it "
        "is estimated to take), `hw/rtl/`, `hw/hls/` and `tests/kernels/`. This page is made of the classes; "
        f"[Hardware](hardware.md) says how the modules talk, and what is proven of them.\n\n{rows}\n"
    )


def _kernel_sections() -> Iterator[str]:
    for name, kernel in sorted(kernels().items()):
        text = inspect.getdoc(kernel) or ""
        said = [f"`{key}`" for key in kernel.finn_attributes]
        module = kernel.module
        yield f"## {name}\n\n{_escaped(text)}\n"
        yield (
            f"- FINN calls it `{kernel.finn_operator}`"
            + (f"; a folding file says {', '.join(said)}" if said else "")
            + "."
        )
        if len(kernel.styles) > 1:
            yield f"- What may compute it: {', '.join(f'`{style}`' for style in kernel.styles)}."
        yield (
            f"- `{_SOURCE}{module}.py`, `hw/rtl/{module}.sv`"
            + (f", `hw/hls/{module}.hpp`" if _in_cpp(module) else "")
            + "\n"
        )


def _in_cpp(module: str) -> bool:
    return (_ROOT / "hw" / "hls" / f"{module}.hpp").is_file()


def _errors() -> str:
    """The errors and exit codes, from their docstrings: a first paragraph for what it is, a second for what to do."""
    intro = (
        "# Errors\n\nEvery message says where, what was found, what was expected and what to do. A build that ends with one "
        "keeps what it has built: the same command goes on.\n"
    )
    tree, _, exits = (
        (inspect.getdoc(errors) or "").partition("\n\n")[2].partition("\n\nThe command line exits with\n\n")
    )
    rows = ["| error | what it is | what to do |", "|:--|:--|:--|"]
    for name in errors.__all__:
        kind: Any = getattr(errors, name)
        if not issubclass(kind, Exception):
            continue
        first, *rest = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
        rows.append(f"| `{name}` | {_line(first)} | {_line(rest[0]) if rest else ''} |")
    codes = "\n".join(f"    {line}" for line in exits.splitlines())
    shown = "\n".join(f"    {line}" for line in tree.splitlines())
    return f"{intro}\n{shown}\n\n" + "\n".join(rows) + f"\n\n## Exit codes of `a2q`\n\n{codes}\n"


def _line(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text of a docstring, whose angle brackets are no HTML."""
    return re.sub(r"<(?=[A-Za-z_])", "&lt;", text)
