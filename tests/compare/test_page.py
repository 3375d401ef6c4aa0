from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.compare.page import to_html
from pipeline.compare.plots import draw_plots
from tests.browser import dom_of, needs_browser
from tests.compare.sample import sample_failure, sample_record, sample_records

LOADING = ("src", "href", "srcset", "data", "action", "poster", "background")


class Page(HTMLParser):
    """A page's elements, its text without that of scripts, and its scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: dict[str, str] = {}
        self._script = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = f"script {dict(attrs).get('id', '')}" if tag in ("script", "style") else ""

    def handle_endtag(self, tag) -> None:
        self._script = ""

    def handle_data(self, data) -> None:
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        else:
            self.text += data

    @property
    def figures(self) -> dict:
        return json.loads(self.scripts["script plots"])


DRAWN = {"p": 13, "weights": "synthetic", "provenance": "synthetic weights, not trained"}
RECORDS = [*sample_records(), *(sample_record(policy=policy, **DRAWN) for policy in ("exact", "fixed:32"))]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(to_html(RECORDS, [sample_failure()]))


def test_it_loads_nothing(page: Page):
    assert not [(tag, name) for tag, attributes in page.elements for name in attributes if name in LOADING]
    assert "link" not in {tag for tag, _ in page.elements}
    style = page.scripts["script "].split("}\n")[0]
    assert "url(" not in style and "@import" not in style
    (policy,) = [a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a]
    assert policy is not None and "default-src 'none'" in policy and "http" not in policy


def test_plotly_is_in_it_once_and_draws_every_figure(page: Page):
    places = [attributes["id"] for tag, attributes in page.elements if tag == "div" and "id" in attributes]
    assert set(places) == set(page.figures) and len(places) == len(page.figures)
    assert sum("plotly.js v" in text for text in page.scripts.values()) == 1


def test_its_figures_are_those_of_the_records(page: Page):
    plots = [plot for plot in draw_plots(RECORDS) if plot.figure]
    drawn = {plot.key: json.loads(plot.figure.to_json()) for plot in plots}
    assert page.figures == drawn and len(drawn) >= 5
    assert all(plot.title in page.text and plot.how.split(".")[0] in page.text for plot in plots)


def test_it_has_the_ratios_the_table_and_what_failed(page: Page):
    assert "datatype takes 0.981, target takes 0.962" in page.text
    assert "80.66 %" in page.text and "17.9 %" in page.text
    assert sample_failure().message in page.text
    assert "counted by synthesis" in page.text and "simulated (Verilator)" in page.text


def test_untrained_weights_are_called_so_wherever_they_appear(page: Page):
    names = [trace["name"] for figure in page.figures.values() for trace in figure["data"]]
    assert "quant_resnet8_w4a4, A2Q, untrained" in names and "proven, A2Q, P = 13, untrained" in names
    assert "UNTRAINED: synthetic weights, not trained" in page.text
    assert "quant_resnet8_w4a4_a2q_13b with untrained weights on KV260" in page.text
    assert "LUT against P: quant_resnet8_w4a4, untrained, on KV260" in page.text


def test_names_are_text_and_never_markup():
    bad = "<img src=x onerror=alert(1)></script><b>&amp;"
    record = sample_record(network=bad, model=bad, name=bad, provenance=bad, top1_how=bad)
    page = Page(to_html([record], [sample_failure(name=bad, message=bad)]))
    assert "img" not in {tag for tag, _ in page.elements}
    assert page.text.count(bad) >= 5
    shown = json.dumps(page.figures)
    assert "<img" not in shown and "&lt;img" in shown


def test_without_accuracy_it_says_so_in_place_of_the_plots():
    page = Page(to_html([sample_record(weights="synthetic")], []))
    assert page.text.count("There is no plot, as the accuracy of none of these networks is known.") == 2
    assert not [key for key in page.figures if key.startswith(("front", "accuracy"))]


def test_without_a_network_for_a_p_nothing_is_drawn_over_p():
    page = Page(to_html([sample_record(method="", p=None)], []))
    assert page.text.count("There is no plot, as none of these networks was trained for a P.") == 2


def test_when_every_build_failed_it_has_no_plots():
    page = Page(to_html([], [sample_failure()]))
    assert sample_failure().message in page.text and "table" not in {a.get("id") for _, a in page.elements}


PROBE = """<script>
{
addEventListener("error", (event) => document.body.dataset.error = event.message);
const filter = document.getElementById("filter"), seen = () => document.querySelectorAll("#table tbody tr:not([hidden])").length;
const all = seen();
filter.value = "fixed:32"; filter.dispatchEvent(new Event("input"));
document.body.dataset.rows = JSON.stringify([all, seen(), document.getElementById("shown").textContent]);
document.body.dataset.csv = JSON.parse(document.getElementById("csv-text").textContent).split("\\n").length;
document.body.dataset.drawn = document.querySelectorAll(".main-svg").length;
}
</script>"""


@needs_browser
def test_in_a_browser_rows_are_found_by_words_and_plots_are_drawn(tmp_path: Path):
    made = tmp_path / "page.html"
    made.write_text(to_html(RECORDS, [sample_failure()]).replace("</main>", f"{PROBE}</main>"))
    (body,) = [attributes for tag, attributes in Page(dom_of(made)).elements if tag == "body"]
    assert "data-error" not in body
    every, found, said = json.loads(body["data-rows"])
    assert every == len(RECORDS) and 0 < found < every and said == f"{found} of {every}"
    assert int(body["data-csv"]) > every and int(body["data-drawn"]) > 0
