"""A report's Markdown on a terminal, with nothing cut off: a table that is too wide becomes a paragraph a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["ReportMarkdown"]

_UNBROKEN = 16  # a cell no wider than this stays on one line
_LONGEST = 28  # of a word that is not broken


class _WholeTable(TableElement):
    """A table of which every word is shown."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = [cell.content for cell in self.header.row.cells] if self.header and self.header.row else []
        rows = [[cell.content for cell in row.cells] for row in self.body.rows] if self.body else []
        widths = _widths(names, rows, options.max_width)
        if widths is not None:
            table = Table(box=box.SIMPLE_HEAVY, padding=0, show_edge=False)
            for name, width in zip(names, widths, strict=True):
                table.add_column(name, width=width, overflow="fold")
            for row in rows:
                table.add_row(*row)
            yield table
            return
        for first, *others in rows:
            yield Text.assemble(first, overflow="fold")
            named = (Text(" ").join(filter(None, pair)) for pair in zip(names[1:], others, strict=True))
            yield Padding(Text.assemble(Text("; ").join(named), overflow="fold"), (0, 0, 1, 2))


def _widths(names: Sequence[Text], rows: Sequence[Sequence[Text]], room: int) -> list[int] | None:
    """The widths of the columns called `names`, with a blank between, in `room`; None where they are too wide for it."""
    columns = list(zip(names, *rows, strict=True))
    least, whole = [], []
    for name, *cells in columns:
        widest = max((text.cell_len for text in cells), default=0)
        words = [
            cell_len(word) for text in (name, *(cells if widest > _UNBROKEN else ())) for word in text.plain.split()
        ]
        least.append(max(min(max(words, default=1), _LONGEST), widest if widest <= _UNBROKEN else 1))
        whole.append(max(widest, name.cell_len, least[-1]))
    spare = room - sum(least) - len(columns) + 1
    if spare < 0:
        return None
    wanted = sum(whole) - sum(least)
    share = min(1.0, spare / wanted) if wanted else 0.0
    return [short + int(share * (long - short)) for short, long in zip(least, whole, strict=True)]


class ReportMarkdown(Markdown):
    """`Markdown` whose tables are cut nowhere, however narrow the terminal is."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "table_open": _WholeTable}
