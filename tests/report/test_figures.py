from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline.devices.resources import Resources
from pipeline.report import figures
from pipeline.report.figures import draw_cycles, draw_luts, draw_widths
from pipeline.report.purposes import lut_by_purpose
from tests.report.sample import sample_facts

FACTS = sample_facts()


@pytest.mark.parametrize("draw", [draw_luts, draw_cycles, draw_widths])
def test_a_figure_grows_with_the_network_and_is_the_same_each_time(draw, tmp_path: Path):
    draw(FACTS, tmp_path / "a.png")
    draw(FACTS, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    width, height = Image.open(tmp_path / "a.png").size
    assert width == 1350 and height > 300


def test_bars_of_luts_add_up(monkeypatch, tmp_path: Path):
    seen = {}
    monkeypatch.setattr(
        figures, "_finish", lambda figure, axes, labels, title, path: seen.update(axes=axes, labels=labels)
    )
    draw_luts(FACTS, tmp_path / "luts.png")
    assert sum(bar.get_width() for bar in seen["axes"].patches) == FACTS.resources.total.lut
    drawn = {bars.get_label(): sum(bar.get_width() for bar in bars) for bars in seen["axes"].containers}
    assert drawn == {purpose: lut for purpose, lut in lut_by_purpose(FACTS.resources).items() if lut}
    assert [label.split(" × ")[-1] for label in seen["labels"][-2:]] == [
        "StreamingFIFO",
        "StreamingDataWidthConverter",
    ]


def test_dsps_stand_beside_the_bars(monkeypatch, tmp_path: Path):
    seen = {}
    monkeypatch.setattr(
        figures, "_finish", lambda figure, axes, labels, title, path: seen.update(axes=axes, title=title)
    )
    name = FACTS.folded.graph.accumulating[0].name
    layers = dict(FACTS.resources.layers)
    layers[name] = replace(layers[name], total=replace(layers[name].total, dsp=48))
    total = sum((layer.total for layer in layers.values()), Resources())
    draw_luts(sample_facts(resources=replace(FACTS.resources, layers=layers, total=total)), tmp_path / "luts.png")
    assert seen["title"] == f"{total.lut:,} LUT and 48 DSP in residual"
    assert [text.get_text() for text in seen["axes"].texts if "DSP" in text.get_text()] == [
        f"{layers[name].total.lut:,} + 48 DSP"
    ]


def test_cycles_of_a_network_that_was_simulated_once(tmp_path: Path):
    layers = {name: replace(run, observed_cycles=None) for name, run in FACTS.layers.items()}
    facts = sample_facts(layers=layers, network=replace(FACTS.network, steady_cycles=None))
    draw_cycles(facts, tmp_path / "cycles.png")
    assert (tmp_path / "cycles.png").stat().st_size > 1000


def test_the_slowest_of_fifos_and_of_width_converters_stand_for_all(monkeypatch, tmp_path: Path):
    seen = {}
    monkeypatch.setattr(
        figures, "_finish", lambda figure, axes, labels, title, path: seen.update(axes=axes, labels=labels)
    )
    draw_cycles(FACTS, tmp_path / "cycles.png")
    graph = FACTS.folded.graph
    others = [layer.name for layer in graph if not layer.between_layers]
    converters = [layer for layer in graph.computing if layer.between_layers]
    assert len(converters) > 1 and len(graph.fifos) > 1
    kinds = (graph.fifos, "StreamingFIFO"), (converters, "StreamingDataWidthConverter")
    assert seen["labels"] == [*others, *(f"{len(layers)} × {kind}, the slowest" for layers, kind in kinds)]
    assert [bar.get_width() for bar in seen["axes"].patches[-2:]] == [
        max(FACTS.layers[layer.name].predicted_cycles for layer in layers) for layers, _ in kinds
    ]
