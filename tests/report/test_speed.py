from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from a2q_driver.speed import FIGURES, FILLING_FPS, FINN_FPS, FINN_LATENCY, LATENCY, STEADY_FPS, WALL_CLOCK_FPS
from pipeline.report.speed import speed_table
from pipeline.report.summary import summary
from tests.report.sample import sample_facts

REPOSITORY = Path(__file__).resolve().parents[2]
NAMED = re.compile(
    "|".join([*map(re.escape, (STEADY_FPS, FILLING_FPS, WALL_CLOCK_FPS, FINN_FPS)), r"target [\d,]+ frames/s"])
)


def speeds(facts) -> dict[tuple[str, str], tuple[str, str]]:
    """By the figure's name and how it is known its value and its cycles."""
    lines = [line.strip("| ").split(" | ") for line in speed_table(facts).splitlines()[2:]]
    return {(name, how): (value, cycles) for name, how, _, value, cycles in lines}


def test_the_steady_rate_comes_first_and_each_figure_has_its_cycles():
    facts = sample_facts()
    network = replace(
        facts.network, first_output_cycle=450, first_frame_cycle=500, steady_cycles=400, total_cycles=4100
    )
    found = speeds(replace(facts, network=network))
    assert next(iter(found)) == (STEADY_FPS, "simulated")
    assert found[STEADY_FPS, "simulated"] == ("500,000", "400")
    predicted = facts.folded.prediction
    assert found[STEADY_FPS, "predicted beat by beat"][1] == f"{predicted.cycles_between_frames:,}"
    assert found[LATENCY, "simulated"] == ("2.5 µs", "500")
    assert found["to the first word out", "simulated"] == ("2.2 µs", "450")
    assert found[FILLING_FPS, "simulated, 10 frames"] == (f"{round(200e6 / 410):,}", "410")
    finns = "FINN's formula, with the cycles of the layers here"
    assert found[FINN_FPS, finns][1] == f"{facts.folded.max_cycles:,}"
    assert found[FINN_LATENCY, finns][1] == f"{facts.folded.critical_path_cycles:,}"


def test_two_figures_that_are_the_same_are_one():
    facts = sample_facts()
    predicted = facts.folded.prediction
    network = replace(facts.network, first_output_cycle=predicted.first_frame, first_frame_cycle=predicted.first_frame)
    found = speeds(replace(facts, network=network))
    as_predicted = "simulated, as predicted beat by beat"
    assert [how for name, how in found if name in (STEADY_FPS, LATENCY)] == [as_predicted, as_predicted]
    assert not any(name == "to the first word out" for name, _ in found)


def test_one_frame_has_no_steady_rate_but_the_predicted_one():
    facts = sample_facts()
    found = speeds(replace(facts, network=replace(facts.network, steady_cycles=None)))
    assert [how for name, how in found if name == STEADY_FPS] == ["predicted beat by beat"]


def test_every_figure_of_speed_is_called_by_its_name():
    """In the summary, in what README and docs show as printed, and in the page that documents the names."""
    texts = [summary(sample_facts())]
    for path in (REPOSITORY / "README.md", REPOSITORY / "docs" / "deploy.md"):
        texts.append("\n".join(line for line in path.read_text().splitlines() if line.startswith("    ")))
    for text in texts:
        assert "frames/s" in text and "frames/s" not in NAMED.sub("", text).replace("frames/s fit", "")
    documented = (REPOSITORY / "docs" / "report.md").read_text().replace("**", "")
    for name, what in FIGURES.items():
        assert f"| {name} | {what} |" in documented
