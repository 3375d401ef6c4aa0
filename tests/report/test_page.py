"""report.html: what stands in it, and that it works in a browser."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.report import page
from pipeline.report.boards import board_fits, share
from pipeline.report.figures import draw_cycles, draw_luts, draw_widths
from pipeline.report.graph import HOW, network_graph
from pipeline.report.summary import CYCLES_FIGURE, LUTS_FIGURE, WIDTHS_FIGURE, summary
from pipeline.verification.rtlsim import Trace
from tests.browser import dom_of, needs_browser
from tests.report.sample import sample_facts

REPOSITORY = Path(__file__).resolve().parents[2]
FACTS = sample_facts(
    trace=Trace(40, {"FMPadding_0": [40, 20, 0], "MVAU_0": [3, 4, 0]}, {"FMPadding_0": [0, 20, 0], "MVAU_0": [0, 0, 5]})
)
LATE = replace(FACTS.estimated.layers["MVAU_1"], ns={"optimistic": 4.0, "pessimistic": 5.75})
FACTS = replace(
    FACTS, estimated=replace(FACTS.estimated, layers={**FACTS.estimated.layers, "MVAU_1": LATE})
)  # of a clock of 5 ns
GRAPH = network_graph(FACTS)

# In a frame of `width` pixels: what a reader does, and what is there then.
PROBE = """<!DOCTYPE html><meta charset="utf-8"><iframe id="f" width="WIDTH" height="900" srcdoc="PAGE"></iframe><pre id="result"></pre>
<script>
const frame = document.getElementById("f"), said = {errors: []};
frame.addEventListener("load", () => {
  const page = frame.contentDocument, view = frame.contentWindow;
  view.addEventListener("error", (event) => said.errors.push(event.message));
  const panel = () => page.getElementById("detail").querySelector("h3")?.textContent;
  const press = (key) => page.activeElement.dispatchEvent(new view.KeyboardEvent("keydown", {key, bubbles: true}));
  said.first = panel();
  said.wide = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  page.querySelector("g.layer").dispatchEvent(new view.MouseEvent("click", {bubbles: true}));
  said.clicked = panel();
  press("ArrowDown");
  said.below = panel();
  said.focused = page.activeElement.dataset.name;
  said.pressed = [...page.querySelectorAll('g.layer[aria-pressed="true"]')].map((node) => node.dataset.name);
  const shades = () => new Set([...page.querySelectorAll("g.layer .frame")].map((node) => node.style.fill)).size;
  said.shades = shades();
  page.querySelector('input[value="saved"]').click();
  said.legend = page.getElementById("legend").textContent;
  said.saved = page.querySelector('g.layer[data-name="MVAU_0"] .value').textContent;
  page.querySelector('input[value="slack"]').click();
  const shown = (name) => { const node = page.querySelector(`g.layer[data-name="${name}"]`); return [node.querySelector(".value").textContent, node.querySelector(".frame").style.fill]; };
  said.slack = {legend: page.getElementById("legend").textContent, late: shown("MVAU_1"), timely: shown("MVAU_0")};
  said.boards = [...page.querySelectorAll("#boards tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  page.querySelector('g.layer[data-name="MVAU_0"]').dispatchEvent(new view.MouseEvent("click", {bubbles: true}));
  said.matrix = page.getElementById("detail").textContent;
  said.bars = page.querySelectorAll("#detail svg rect").length;
  said.fifos = page.querySelectorAll("#fifos tbody tr").length;
  said.trace = page.querySelectorAll("#trace rect").length;
  said.ink = view.getComputedStyle(page.body).color;
  said.paper = view.getComputedStyle(page.body).backgroundColor;
  said.images = [...page.images].every((image) => image.src.startsWith("data:"));
  document.getElementById("result").textContent = JSON.stringify(said);
});
</script>"""


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("page")
    for draw, name in ((draw_luts, LUTS_FIGURE), (draw_cycles, CYCLES_FIGURE), (draw_widths, WIDTHS_FIGURE)):
        draw(FACTS, folder / name)
    return page.to_html(FACTS, GRAPH, summary(FACTS), folder)


def test_every_layer_is_a_box_but_those_between_which_are_in_the_links():
    boxes, links, (width, height) = page.lay_out(GRAPH)
    computing = [layer.name for layer in FACTS.folded.graph.computing if not layer.between_layers]
    assert [box.name for box in boxes] == computing
    assert len({(box.x, box.y) for box in boxes}) == len(boxes)
    assert max(box.x for box in boxes) < width and max(box.y for box in boxes) < height
    on_the_way = [stream for link in links for stream in link.streams]
    assert len(set(on_the_way)) == len(on_the_way)
    assert {fifo for link in links for fifo in link.fifos} <= {fifo.name for fifo in FACTS.folded.graph.fifos}
    joined = {layer.name: len(layer.input_names) for layer in FACTS.folded.graph.computing}
    assert len(links) == sum(joined[box.name] for box in boxes) - 1  # the input comes from no box


def test_data_goes_down():
    boxes, _, _ = page.lay_out(GRAPH)
    at = {box.name: box for box in boxes}
    graph = FACTS.folded.graph
    for layer in graph.computing:
        if layer.name not in at:
            continue
        for stream in layer.input_names:
            writer = graph.writer(stream)
            while writer is not None and writer.between_layers:
                writer = graph.writer(writer.input_names[0])
            assert writer is None or at[writer.name].y < at[layer.name].y


def test_the_graph_says_what_the_build_knows():
    layers = {layer["name"]: layer for layer in GRAPH["layers"]}
    unit = FACTS.folded.graph.accumulating[0]
    entry, proven = layers[unit.name], FACTS.certificate.layer(unit.name)
    assert entry["accumulator"]["proven"] == [proven.lowest.value, proven.highest.value]
    assert entry["accumulator"]["bits"] == proven.bits_used
    assert sum(count for _, count in entry["weights"]["histogram"]) == unit.weights.size
    assert entry["resources"]["LUT"] == FACTS.resources.layers[unit.name].total.lut
    assert sum(entry["lut_by_purpose"].values()) == entry["resources"]["LUT"]
    assert {stream["name"] for stream in GRAPH["streams"]} == set(FACTS.folded.graph.streams)
    assert json.loads(json.dumps(GRAPH)) == GRAPH


def test_every_key_of_the_graph_is_documented():
    """In docs/report.md, those of layers, of streams and of the trace too."""
    documented = (REPOSITORY / "docs" / "report.md").read_text().split("## report/graph.json")[1]
    said = set(re.findall(r"`([^`]+)`", documented))
    trace = GRAPH["trace"]
    for part in (GRAPH, *GRAPH["layers"], *GRAPH["streams"], trace, *trace["layers"]):
        assert set(part) <= said, set(part) - said
    inner = {
        key
        for layer in GRAPH["layers"]
        for name in ("cycles", "path_ns", "fifo", "weights", "accumulator")
        for key in layer.get(name, {})
    }
    assert inner <= said, inner - said
    assert set(HOW) <= {*GRAPH["layers"][0], *said}


def test_a_histogram_of_many_values_is_of_ranges():
    unit = FACTS.folded.graph.accumulating[0]
    wide = replace(unit, weights=unit.weights * 40, accumulator_bits=None)
    graph = replace(FACTS.folded.graph, layers=tuple(wide if layer is unit else layer for layer in FACTS.folded.graph))
    entry = network_graph(replace(FACTS, folded=replace(FACTS.folded, graph=graph)))["layers"]
    weights = next(layer["weights"] for layer in entry if layer["name"] == unit.name)
    assert weights["bin"] > 1 and len(weights["histogram"]) <= 64
    assert sum(count for _, count in weights["histogram"]) == unit.weights.size


def test_it_loads_nothing_and_takes_no_text_for_code(text):
    without_code = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", without_code)
    assert "default-src 'none'" in text
    evil = replace(FACTS, model=replace(FACTS.model, name="</script><script>alert(1)</script>", provenance="<b>x</b>"))
    made = page.to_html(evil, {**GRAPH, "name": evil.model.name}, "# x\n\n<script>alert(2)</script>\n", Path())
    assert "<script>alert" not in made and "<b>x</b>" not in made


def test_the_summary_is_part_of_it_with_its_figures(text):
    assert text.count("data:image/png;base64,") == 3
    assert "<h2>Accumulators</h2>" in text and f"{FACTS.resources.total.lut:,}" in text


def opened(text: str, folder: Path, width: int, *flags: str) -> dict:
    """What PROBE finds of the page `text` in a frame `width` pixels wide."""
    probe = folder / "probe.html"
    probe.write_text(PROBE.replace("WIDTH", str(width)).replace("PAGE", html.escape(text, quote=True)))
    dom = dom_of(probe, *flags)
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    assert found and found[1], "the probe has not run"
    return json.loads(html.unescape(found[1]))


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser(text, tmp_path, width):
    said = opened(text, tmp_path, width)
    names = [box.name for box in page.lay_out(GRAPH)[0]]
    assert said["errors"] == [] and said["wide"] <= 0  # nothing to scroll to the side for, but in boxes that do
    assert said["first"] in names
    assert (said["clicked"], said["below"], said["focused"]) == (names[0], names[1], names[1])
    assert said["pressed"] == [names[1]]
    assert said["shades"] > 3
    assert "proven" in said["legend"] and said["saved"].startswith("−")
    assert "Accumulator" in said["matrix"] and "Weights" in said["matrix"] and said["bars"] > 3
    assert "least −0.75 ns, in MVAU_1" in said["slack"]["legend"]
    assert said["slack"]["late"][0] == "−0.75 ns" and "--late" in said["slack"]["late"][1]
    assert said["slack"]["timely"][0] == "+0.00 ns" and "--accent" in said["slack"]["timely"][1]
    fits = {fit.name: fit for fit in board_fits(FACTS)}
    assert said["boards"][0][0] == "KV260" and {row[0] for row in said["boards"]} == set(fits)
    for name, *shares, verdict in said["boards"]:
        assert shares == [share(*pair) for pair in fits[name].shares.values()] and verdict == fits[name].verdict
    assert said["fifos"] == len(FACTS.folded.graph.fifos)
    assert said["trace"] > 3 and said["images"]


@needs_browser
def test_it_is_dark_where_the_reader_wants_it(text, tmp_path):
    light, dark = opened(text, tmp_path, 800), opened(text, tmp_path, 800, "--force-dark-mode")
    brightness = {
        what: [sum(map(int, re.findall(r"\d+", said[what])[:3])) for said in (light, dark)] for what in ("ink", "paper")
    }
    assert brightness["ink"][0] < brightness["paper"][0] and brightness["ink"][1] > brightness["paper"][1]
