"""Every text that is generated from a template of `templates/`: SystemVerilog, Verilog, C++ and Tcl."""

from __future__ import annotations

from pathlib import Path

import jinja2

from pipeline.dataflow.layer import Generated

__all__ = ["render", "render_template", "write_template", "write_text"]

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("pipeline.codegen"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def _quoted(name: str) -> str:
    """A user's name of a layer, for a comment: it ends no line, continues none, and is no directive of a tool."""
    return '"' + "".join(c if c.isascii() and c.isprintable() and c != "\\" else "?" for c in name) + '"'


_TEMPLATES.filters["quoted"] = _quoted


def write_template(template: str, path: Path, **values: object) -> None:
    """Write `template`, one of templates/, to `path` with `values` filled in, unless that is what it holds already."""
    write_text(path, render_template(template, **values))


def render_template(template: str, **values: object) -> str:
    """The text of `template`, one of templates/, with `values` filled in."""
    return _TEMPLATES.get_template(template).render(**values)


def render(generated: Generated) -> str:
    """The text that a layer says is to be generated for it."""
    return render_template(generated.template, **generated.values)


def write_text(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`, unless that is what it holds already."""
    data = content.encode() if isinstance(content, str) else content
    if not path.is_file() or path.read_bytes() != data:
        path.write_bytes(data)
