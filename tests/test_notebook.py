"""docs/first_accelerator.ipynb: its cells, run in order as a reader would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "first_accelerator.ipynb"


def test_its_cells_make_an_accelerator_and_a_picture(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(notebook["cells"]) <= 15 and all(not cell["outputs"] for cell in cells)
    code = "\n".join("".join(cell["source"]) for cell in cells)
    assert "from pipeline." not in code and "import pipeline." not in code  # the public API alone
    program = tmp_path / "cells.py"
    program.write_text(code.replace("plt.show()", 'plt.savefig("picture.png")'))
    environment = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.search(r"([\d,]+) LUT, \d+ DSP, (\d+) cycles a frame", done.stdout)
    assert said and 0 < int(said[1].replace(",", "")) < 20_000, done.stdout
    assert "'MVAU_0': 11" in done.stdout or "'MVAU_0': 10" in done.stdout, done.stdout  # P = 11
    share = re.search(r"([\d.]+)% of 297 images", done.stdout)
    assert share and float(share[1]) > 80
    assert (tmp_path / "picture.png").stat().st_size > 5_000
    assert (tmp_path / "build" / "first_accelerator" / "report.html").is_file()
