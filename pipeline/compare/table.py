"""The table of a comparison, and its files: Markdown, CSV, JSON and the page, all of the same records."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from a2q_driver.speed import STEADY_FPS
from pipeline.compare.account import describe, describe_networks, exceeded, how_known
from pipeline.compare.ratios import NO_RATIOS, REFERENCES, Group, describe_ratios, group_by_policy, policy_label
from pipeline.compare.record import Failure, PointRecord
from pipeline.report import markdown
from pipeline.report.markdown import number, percent, span
from pipeline.report.purposes import PURPOSES

__all__ = ["Table", "draw_table", "to_csv", "to_json", "to_markdown", "write"]

_NESTED = ("capacity", "purposes", "layers")


@dataclass(frozen=True)
class Table:
    """The cells as text; the first `left` columns are names, the others figures."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int


def write(records: Sequence[PointRecord], failures: Sequence[Failure], folder: Path) -> str:
    """Write comparison.md, .csv, .json and .html to `folder`; the text of comparison.md is returned."""
    from pipeline.compare.page import to_html  # plotly, which takes a second

    text = to_markdown(records, failures)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.md").write_text(text)
    (folder / "comparison.csv").write_text(to_csv(records))
    (folder / "comparison.json").write_text(to_json(records, failures))
    (folder / "comparison.html").write_text(to_html(records, failures))
    return text


def draw_table(records: Sequence[PointRecord]) -> Table:
    """A row a record, of which there is at least one; those that differ in their policy alone stand together. Board and
    rate have columns where they are not the same for all, other figures where there are any."""
    rows = [_cells(record, group) for group in group_by_policy(records) for record in group.records]
    absent = {axis for axis in ("board", "target") if len({row[axis] for row in rows}) == 1}
    absent |= {column for column in rows[0] if {row[column] for row in rows} == {"–"}}
    columns = [column for column in rows[0] if column not in absent]
    return Table(tuple(columns), tuple(tuple(row[column] for column in columns) for row in rows), left=2)


def to_markdown(records: Sequence[PointRecord], failures: Sequence[Failure]) -> str:
    """The ratios that were found, the table, how its figures are known, the networks, and what failed."""
    sections = ["# Comparison", describe(records, failures)]
    if records:
        table = draw_table(records)
        sections += [
            _list(f"{title}: {finding}" for title, finding in describe_ratios(records)) or NO_RATIOS,
            markdown.table(table.header, table.rows, left=table.left),
            _list(f"{what}: {how}." for what, how in how_known(records)),
            "## Networks",
            _list(f"`{model}`: {text}." for model, text in describe_networks(records)),
        ]
    if failures:
        rows = [[failure.name, failure.stage, " ".join(failure.message.split())] for failure in failures]
        sections += ["## Failed", markdown.table(["build", "stage", "what it said"], rows, left=3)]
    return "\n\n".join(sections) + "\n"


def to_csv(records: Sequence[PointRecord]) -> str:
    """A line a record, numbers as they are: all its fields but the layers, LUTs by purpose, the part's capacity, the
    narrowest and the widest accumulator, and the ratios. What is not known is empty."""
    lines = [_flat(record, group) for group in group_by_policy(records) for record in group.records]
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def to_json(records: Sequence[PointRecord], failures: Sequence[Failure]) -> str:
    """The records whole, what failed, and for each record by name the ratio of its LUTs to those of each reference."""
    ratios = {
        record.name: {policy: group.ratio(record, policy) for policy in REFERENCES}
        for group in group_by_policy(records)
        for record in group.records
    }
    content = {
        "records": [asdict(record) for record in records],
        "failures": [asdict(failure) for failure in failures],
        "lut_ratios": ratios,
    }
    return json.dumps(content, indent=1) + "\n"


def _cells(record: PointRecord, group: Group) -> dict[str, str]:
    lut_share = percent(record.lut / record.capacity["lut"])
    too_much = ", ".join(exceeded(record))
    return {
        "model": record.model,
        "policy": policy_label(record),
        "board": record.board,
        "target": record.target_fps if isinstance(record.target_fps, str) else number(record.target_fps),
        "P": _or_dash(record.p),
        "top-1": _top1(record),
        "PSNR": "–" if record.psnr is None else f"{record.psnr:.2f} dB",
        "LUT": number(record.lut),
        "of the board": f"{lut_share}, too much {too_much}" if too_much else lut_share,
        "FF": number(record.ff),
        "BRAM": number(record.bram_36k),
        "URAM": number(record.uram),
        "DSP": number(record.dsp),
        STEADY_FPS: "–" if record.fps is None else f"{record.fps:,.0f}",
        "cycles": _or_dash(record.cycles),
        "MHz on ECP5": _rounded(record.ecp5_mhz),
        "MHz by Vivado": _rounded(record.vivado_mhz),
        "accumulator bits": span(layer.used_bits for layer in record.layers) if record.layers else "–",
        **{
            f"LUT / {policy}": "–" if (ratio := group.ratio(record, policy)) is None else f"{ratio:.3f}"
            for policy in REFERENCES
        },
    }


def _top1(record: PointRecord) -> str:
    if record.weights == "synthetic":
        return "untrained"
    return "–" if record.top1 is None else f"{record.top1:.2f} %"


def _or_dash(value: int | None) -> str:
    return "–" if value is None else number(value)


def _rounded(value: float | None) -> str:
    return _or_dash(None if value is None else round(value))


def _flat(record: PointRecord, group: Group) -> dict[str, object]:
    widths = [layer.used_bits for layer in record.layers]
    return {
        **{field.name: getattr(record, field.name) for field in fields(record) if field.name not in _NESTED},
        **{f"lut_{purpose.replace(' ', '_')}": record.purposes[purpose] for purpose in PURPOSES},
        **{f"capacity_{name}": capacity for name, capacity in record.capacity.items()},
        "accumulator_bits_min": min(widths, default=None),
        "accumulator_bits_max": max(widths, default=None),
        **{f"lut_over_{policy.replace(':', '_')}": group.ratio(record, policy) for policy in REFERENCES},
    }


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
