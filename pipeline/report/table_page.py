"""A table as one HTML file that opens from disk: rows are found by words, all of it is there as CSV at a click, plots below."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.report.html import html_templates

__all__ = ["write_table_page"]

_TEMPLATES = html_templates()


def write_table_page(
    path: Path,
    title: str,
    about: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: int,
    example: str,
    csv: Path,
    images: Mapping[str, Path],
) -> None:
    """Write the page `path` of `rows` below `header`, the first `left` columns being text, with `about` above.

    `example` is shown where words are typed, `csv` the file that the button gives, and `images` plots, PNG, by what they show.
    """
    text = _TEMPLATES.get_template("table.html.jinja").render(
        title=title,
        about=about,
        header=header,
        lines=rows,
        left=left,
        example=example,
        csv=csv.read_text(),
        file=csv.name,
        images=[(name, base64.b64encode(file.read_bytes()).decode()) for name, file in images.items()],
    )
    path.write_text(text)
