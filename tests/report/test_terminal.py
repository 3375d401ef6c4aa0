from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from pipeline.report.terminal import ReportMarkdown

PAGE = """# A network

| | | how |
|:--|:--|:--|
| weights | trained checkpoint quant_resnet8_w4a4_a2q_14b.pth of the test set (test-00000-of-00001.parquet) | quoted |

| board | verdict | LUT | FF |
|:--|:--|--:|--:|
| **KV260** | fits; counted for xcup, this is xc7 | 17.7 % | 9.3 % |

| layer | weights | K | data types | trained for | proven range | first_long_name | second_long_name | third |
|:--|:--|--:|--:|--:|--:|:--|:--|:--|
| MVAU_0 | `layer2.0.downsample.0.weight` | 27 | 21 | – | -353,940 to 298,095 | one | two_and_more_words | both |
| MVAU_1 | `x` | 4 | 16 |  | -1 to 1 | a.path[0].that_is.longer_than.any_line.of_a_terminal.of_eighty.columns[3].sum_q | b | c |
"""


def shown(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(ReportMarkdown(PAGE, hyperlinks=False))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_longer_and_nothing_is_cut(width: int) -> None:
    lines = shown(width)
    assert max(map(len, lines)) <= width
    letters = "".join("".join(lines).split())
    assert "…" not in letters
    for word in re.findall(r"[^\s|`*]+", PAGE):
        if set(word) - set("#:-") and len(word) <= 28:  # longer ones may go on in the next line
            assert word in letters, word


def test_what_fits_is_a_table_and_what_does_not_a_paragraph_a_row() -> None:
    lines = [line.rstrip() for line in shown(80)]
    assert "KV260 fits; counted for xcup, this is xc7 17.7 % 9.3 %" in lines
    start = lines.index("MVAU_0")
    assert lines[start + 1].startswith("  weights layer2.0.downsample.0.weight; K 27; data types 21; trained for –;")
    assert "MVAU_1" in lines[start:] and "  weights x; K 4; data types 16; proven range -1 to 1;" not in lines
