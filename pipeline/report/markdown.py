"""Tables and numbers as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["duration", "number", "percent", "span", "table"]


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> str:
    """A Markdown table: the first `left` columns aligned left, the others right, numbers as `number` writes them.

    >>> print(table(["layer", "LUT"], [["MVAU_0", 1507]]))
    | layer | LUT |
    |:--|--:|
    | MVAU_0 | 1,507 |
    """
    lines = [
        _line(header),
        "|" + "".join(":--|" if index < left else "--:|" for index in range(len(header))),
        *(_line([number(cell) if isinstance(cell, int | float) else str(cell) for cell in row]) for row in rows),
    ]
    return "\n".join(lines)


def number(value: float) -> str:
    """With thousands separators; a fraction, such as half a block RAM, keeps one place.

    >>> number(20439), number(2.5), number(3.0)
    ('20,439', '2.5', '3')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")


def duration(ns: float) -> str:
    """Nanoseconds, from a thousand on as microseconds.

    >>> duration(95.0), duration(129720.4)
    ('95.0 ns', '129.7 µs')
    """
    return f"{ns / 1e3:,.1f} µs" if ns >= 1e3 else f"{ns:,.1f} ns"


def percent(share: float | None) -> str:
    """A share of 1 in percent; a dash for None.

    >>> percent(0.0082), percent(None)
    ('0.8 %', '–')
    """
    return "–" if share is None else f"{share:.1%}".replace("%", " %")


def span(values: Iterable[int], unit: str = "") -> str:
    """The smallest and the largest of `values`, or the one value that all are.

    >>> span([7, 10, 8], "bits"), span([5])
    ('7 to 10 bits', '5')
    """
    distinct = sorted(set(values))
    ends = number(distinct[0]) if len(distinct) == 1 else f"{number(distinct[0])} to {number(distinct[-1])}"
    return f"{ends} {unit}".rstrip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
