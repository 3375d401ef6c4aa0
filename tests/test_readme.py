"""What README and docs show of a user's own network is run, not only written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def section() -> str:
    text = (REPOSITORY / "README.md").read_text()
    return text[text.index("## Your own network") :]


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "A2Q_CACHE": str(folder / "cache")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_of_a_users_own_network(section: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", section[: section.index("docs/your_network.md")], re.DOTALL)
    assert len(code.splitlines()) <= 40
    (tmp_path / "net.py").write_text(code)
    said = run([sys.executable, "-W", "ignore", "net.py"], tmp_path)
    # the last digits of a float32 sum differ between processors
    shown = re.search(r"^    (3 layers hold .* inputs to )\S+(; .*)$", section, re.MULTILINE)
    assert said.startswith(shown[1]) and said.rstrip().endswith(shown[2])
    python, build, evaluate = re.findall(r"^    ((?:python|a2q) .*)$", section, re.MULTILINE)[:3]
    assert python == "python net.py" and build.startswith("a2q build") and evaluate.startswith("a2q evaluate")
    a2q = str(Path(sys.executable).with_name("a2q"))
    stages = run([a2q, *build.split()[1:], "--until", "accumulators"], tmp_path)
    assert "1 of 3 layers claims P = 12 and keeps to it" in stages
    assert "the input was 0 to 255 of 0 to 255 (UINT8)" in stages
    scores = run([a2q, *evaluate.split()[1:]], tmp_path)
    assert "images on which the two differ: 0" in scores
    top1 = [float(value) for value in re.findall(r"([\d.]+)%", scores)]
    assert len(top1) == 2 and min(top1) > 80
