"""report.html: one file that opens from disk and loads nothing: the network as a picture, and all that summary.md says."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from a2q_driver.speed import LATENCY, STEADY_FPS
from pipeline.report.boards import HOW, board_fits, share
from pipeline.report.facts import BuildFacts
from pipeline.report.graph import BETWEEN
from pipeline.report.html import html_templates
from pipeline.report.markdown import duration, number, percent
from pipeline.report.purposes import COLOURS
from pipeline.static_timing.estimate import OPTIMISTIC, PESSIMISTIC
from pipeline.verification.accuracy import Accuracy

__all__ = ["FILE", "Box", "Link", "lay_out", "to_html"]

FILE = "report.html"

_TEMPLATES = html_templates()
_TEMPLATES.filters["share"] = share
_WIDTH, _HEIGHT = 262, 42  # of a box, in pixels
_COLUMN, _ROW = 308, 66  # from a box to the next one
_IMAGE = re.compile(r'<img src="([A-Za-z0-9_.-]+\.png)"')
_UNDER_HEADING = re.compile(r"\A# .*\n")  # the title, which the page has of its own


@dataclass(frozen=True)
class Box:
    """A layer in the picture: the place of its upper left corner, and what stands in it."""

    name: str
    x: int
    y: int
    title: str
    note: str


@dataclass(frozen=True)
class Link:
    """Streams from one box to another: the line, as a path of SVG, and the label at a place on it.

    `streams` are those between the two, `fifos` the FIFOs on the way.
    """

    path: str
    x: float
    y: float
    label: str
    streams: tuple[str, ...]
    fifos: tuple[str, ...]


def lay_out(graph: Mapping[str, Any]) -> tuple[list[Box], list[Link], tuple[int, int]]:
    """The picture of report/graph.json: boxes and links, and its width and height in pixels.

    Data flows down. Layers between others, FIFOs and width converters, are in the links. A branch has a column of its own
    until it meets another one.
    """
    layers = {layer["name"]: layer for layer in graph["layers"]}
    streams = {stream["name"]: stream for stream in graph["streams"]}
    shown = {name for name, layer in layers.items() if layer["op_type"] not in BETWEEN}
    rows: dict[str, int] = {}
    columns: dict[str, int] = {}
    ways: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = []
    taken: dict[str, int] = {}
    for name, layer in layers.items():
        if name not in shown:
            continue
        ends = [_way(streams, layers, stream, shown) for stream in layer["inputs"]]
        row, column = 0, None
        for writer, way, fifos in ends:
            if not writer:
                continue
            ways.append((writer, name, way, fifos))
            branch = layers[writer]["outputs"].index(way[0])
            row = max(row, rows[writer] + 1)
            here = columns[writer] + branch if branch else columns[writer]
            column = here if column is None else min(column, here)
        rows[name] = row
        columns[name] = column or 0
    for name, row in sorted(rows.items(), key=lambda item: item[1]):  # no two boxes in one place
        while taken.get((place := f"{columns[name]}:{row}"), None) is not None:
            columns[name] += 1
        taken[place] = row
    boxes = [
        Box(name, 12 + columns[name] * _COLUMN, 34 + rows[name] * _ROW, name, _note(layers[name])) for name in rows
    ]
    at = {box.name: box for box in boxes}
    links = [_link(at[a], at[b], streams[way[-1]], way, fifos) for a, b, way, fifos in ways]
    width = 12 + (max(columns.values()) + 1) * _COLUMN
    height = 34 + (max(rows.values()) + 1) * _ROW
    return boxes, links, (width, height)


def _way(
    streams: Mapping[str, Any], layers: Mapping[str, Any], stream: str, shown: set[str]
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The box that writes to `stream`, "" for the input; the streams on the way from it, and the FIFOs."""
    way, fifos = [stream], []
    while (writer := streams[stream]["producer"]) and writer not in shown:
        if "fifo" in layers[writer]:
            fifos.append(writer)
        (stream,) = layers[writer]["inputs"]
        way.append(stream)
    return writer, tuple(reversed(way)), tuple(reversed(fifos))


def _note(layer: Mapping[str, Any]) -> str:
    """What stands below a layer's name: what computes it, how far it is folded, and its accumulators."""
    folding = layer["folding"]
    parts = [f"{key} {folding[key]}" for key in ("PE", "SIMD", "M") if key in folding]
    if "mvau_style" in layer:
        parts.insert(0, layer["mvau_style"])
    if "accumulator" in layer:
        bounds = layer["accumulator"]["bounds"]
        parts.append(f"{layer['accumulator']['bits']}/{bounds['datatype']} bit")
    return " · ".join(parts)


def _link(a: Box, b: Box, last: Mapping[str, Any], way: tuple[str, ...], fifos: tuple[str, ...]) -> Link:
    label = f"{last['type']} × {last['lanes']}"
    x1, y1 = a.x + _WIDTH / 2, a.y + _HEIGHT
    x2, y2 = b.x + _WIDTH / 2, b.y
    if x1 == x2 and b.y - a.y == _ROW:
        return Link(f"M{x1} {y1}V{y2}", x1 + 6, y2 - 8, label, way, fifos)
    if x1 == x2:  # past what is between: at the side
        side, lane, top, bottom = a.x + _WIDTH, a.x + _WIDTH + 20, a.y + _HEIGHT / 2, b.y + _HEIGHT / 2
        path = f"M{side} {top}H{lane - 8}Q{lane} {top} {lane} {top + 8}V{bottom - 8}Q{lane} {bottom} {lane - 8} {bottom}H{side}"
        return Link(path, lane + 6, bottom - 8, label, way, fifos)
    if x2 > x1:  # a branch leaves: to the side, then down
        path = (
            f"M{a.x + _WIDTH} {a.y + _HEIGHT / 2}H{x2 - 10}Q{x2} {a.y + _HEIGHT / 2} {x2} {a.y + _HEIGHT / 2 + 10}V{y2}"
        )
        return Link(path, x2 + 6, y2 - 8, label, way, fifos)
    side = b.x + _WIDTH
    path = f"M{x1} {y1}V{b.y + _HEIGHT / 2 - 10}Q{x1} {b.y + _HEIGHT / 2} {x1 - 10} {b.y + _HEIGHT / 2}H{side}"
    return Link(path, side + 8, b.y + _HEIGHT / 2 - 5, label, way, fifos)


def to_html(facts: BuildFacts, graph: Mapping[str, Any], summary: str, folder: Path) -> str:
    """The page of a build. `graph` is the content of report/graph.json, `summary` the text of summary.md, whose figures are in
    `folder`."""
    boxes, links, (width, height) = lay_out(graph)
    return _TEMPLATES.get_template("report.html.jinja").render(
        name=facts.model.name,
        board=facts.resources.board,
        provenance=facts.model.provenance,
        tiles=_tiles(facts),
        boxes=boxes,
        links=links,
        box=(_WIDTH, _HEIGHT),
        size=(width, height),
        graph=graph,
        boards=board_fits(facts),
        boards_known=HOW.replace("the one it was built for in bold", "the one it was built for first"),
        purposes=dict(COLOURS),
        summary=_summary(summary, folder),
    )


def _tiles(facts: BuildFacts) -> Sequence[tuple[str, str, str]]:
    """The main figures: what, how much, and how it is known."""
    used, share = facts.resources.total, facts.resources.utilization
    widths = [layer.bits_used for layer in facts.certificate.layers]
    by_type = [bits for layer in facts.certificate.layers if (bits := layer.bits["datatype"]) is not None]
    rate = "–" if facts.throughput_fps is None else f"{facts.throughput_fps:,.0f}"
    cycles, wanted = facts.network.steady_cycles, 1000 / facts.estimated.clock_period_ns
    return (
        (
            STEADY_FPS,
            rate,
            f"{number(cycles)} cycles simulated, at {facts.network.clock_mhz:g} MHz"
            if cycles
            else "one frame was simulated",
        ),
        (
            LATENCY,
            duration(facts.latency_ns),
            f"{number(facts.network.first_frame_cycle)} cycles simulated, first frame",
        ),
        *_accuracy(facts.accuracy),
        ("LUT", number(used.lut), f"{percent(share['LUT'])} of {facts.resources.board}, counted by synthesis"),
        ("DSP", number(used.dsp), f"{percent(share['DSP'])}, counted by synthesis"),
        ("BRAM", number(used.bram_36k), f"{percent(share['BRAM_18K'])}, counted by synthesis"),
        (
            "accumulators",
            f"{min(widths)} to {max(widths)} bits",
            f"proven; {min(by_type)} to {max(by_type)} by data types" if by_type else "proven",
        ),
        (
            "clock",
            f"{facts.estimated.mhz(PESSIMISTIC):.0f} MHz",
            f"estimated, pessimistic; {facts.estimated.mhz(OPTIMISTIC):.0f} optimistic, {wanted:.0f} wanted",
        ),
    )


def _accuracy(accuracy: Accuracy) -> Sequence[tuple[str, str, str]]:
    """The tile of the accuracy, if one was measured."""
    if accuracy.main is None:
        return ()
    title, share = accuracy.main
    return ((title, f"{share:.1f} %", f"{number(accuracy.images)} images, measured on the integers"),)


def _summary(text: str, folder: Path) -> str:
    """summary.md without its title, as HTML whose figures are part of it."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(_UNDER_HEADING.sub("", text))

    def inline(match: re.Match[str]) -> str:
        content = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'<img loading="lazy" src="data:image/png;base64,{content}"'

    return (
        _IMAGE.sub(inline, html).replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    )
