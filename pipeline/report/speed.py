"""The figures of a build's speed side by side: what each is called, what it is, and how it is known."""

from __future__ import annotations

from collections.abc import Iterator

from a2q_driver.speed import FIGURES, FILLING_FPS, FINN_FPS, FINN_LATENCY, LATENCY, STEADY_FPS
from pipeline.report.facts import BuildFacts
from pipeline.report.markdown import duration, number, table

__all__ = ["speed_table"]

_FIRST_OUTPUT = "to the first word out"
_FINNS = "FINN's formula, with the cycles of the layers here"


def speed_table(facts: BuildFacts) -> str:
    """A row a figure, the main one first: its value, the cycles that it follows from, and how these are known.

    What is predicted has a row of its own where it is not what was simulated, and so have the cycles to the first word out
    where a frame has more than that word.
    """
    network, predicted = facts.network, facts.folded.prediction
    clock = network.clock_mhz

    def rate(name: str, cycles: float, how: str) -> list[str]:
        return [name, number(round(clock * 1e6 / cycles)), number(cycles), how, FIGURES[name]]

    def time(name: str, cycles: float, how: str) -> list[str]:
        return [name, duration(cycles * 1e3 / clock), number(cycles), how, FIGURES.get(name, "")]

    rows = [rate(STEADY_FPS, *row) for row in _known(network.steady_cycles, predicted.cycles_between_frames)]
    rows += [time(LATENCY, *row) for row in _known(network.first_frame_cycle, predicted.first_frame)]
    if network.first_output_cycle != network.first_frame_cycle:
        rows += [time(_FIRST_OUTPUT, *row) for row in _known(network.first_output_cycle, predicted.first_output)]
    frames = number(network.frames)
    rows.append(rate(FILLING_FPS, network.total_cycles / network.frames, f"simulated, {frames} frames"))
    rows.append(rate(FINN_FPS, facts.folded.max_cycles, _FINNS))
    rows.append(time(FINN_LATENCY, facts.folded.critical_path_cycles, _FINNS))
    header = ["figure", "how it is known", "what it is", "", "cycles"]
    return table(header, [[name, how, what, value, cycles] for name, value, cycles, how, what in rows], left=3)


def _known(observed: int | None, predicted: int) -> Iterator[tuple[int, str]]:
    if observed == predicted:
        yield observed, "simulated, as predicted beat by beat"
        return
    if observed is not None:
        yield observed, "simulated"
    yield predicted, "predicted beat by beat"
