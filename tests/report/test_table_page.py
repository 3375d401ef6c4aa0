from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from pipeline.report.table_page import write_table_page
from tests.browser import dom_of, needs_browser

HEADER = ("network", "P", "top-1")
ROWS = [("resnet8", "–", "82.07%"), ("quant_resnet8_a2q", "12", "75.60%"), ("quant_resnet8_a2q", "14", "80.66%")]
PROBE = """<script>
{
const said = {errors: []};
addEventListener("error", (event) => said.errors.push(event.message));
const filter = document.getElementById("filter"), seen = () => document.querySelectorAll("#table tbody tr:not([hidden])").length;
said.all = seen(); said.counted = document.getElementById("shown").textContent;
filter.value = "A2Q 80"; filter.dispatchEvent(new Event("input"));
said.found = seen(); said.of = document.getElementById("shown").textContent;
const made = [];
URL.createObjectURL = (blob) => { made.push(blob); return "blob:x"; };
HTMLAnchorElement.prototype.click = function () { said.file = this.download; };
document.getElementById("csv").click();
said.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
said.paper = getComputedStyle(document.body).backgroundColor;
made[0].text().then((text) => { said.csv = text; document.body.dataset.said = JSON.stringify(said); });
}
</script>"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    csv, plot = tmp_path / "benchmark.csv", tmp_path / "plot.png"
    csv.write_text("network,P,top1\nresnet8,,0.8207\n</script><b>,1,2\n")
    Image.new("RGB", (4, 4)).save(plot)
    page = tmp_path / "benchmark.html"
    write_table_page(
        page, "A <title>", "about it", HEADER, ROWS, left=1, example="a2q", csv=csv, images={"a plot": plot}
    )
    return page


def test_it_loads_nothing_and_takes_no_text_for_code(made: Path) -> None:
    text = made.read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    assert "default-src 'none'" in text and "<title>A &lt;title&gt;</title>" in text
    assert text.count("</script>") == 2 and "<b>" not in text


@needs_browser
@pytest.mark.parametrize("flags", [(), ("--force-dark-mode",)])
def test_in_a_browser_rows_are_found_by_words_and_the_csv_is_whole(made: Path, flags: tuple[str, ...]) -> None:
    made.with_name("probe.html").write_text(made.read_text().replace("</body>", f"{PROBE}</body>"))
    found = re.search(r'data-said="([^"]*)"', dom_of(made.with_name("probe.html"), *flags))
    said = json.loads(unescape(found[1]))
    assert said["errors"] == [] and said["wide"] <= 0
    assert (said["all"], said["counted"], said["found"], said["of"]) == (3, "3 rows", 1, "1 of 3")
    assert (said["file"], said["csv"]) == ("benchmark.csv", made.with_name("benchmark.csv").read_text())
    bright = sum(map(int, re.findall(r"\d+", said["paper"])[:3])) > 380
    assert bright == (not flags)
