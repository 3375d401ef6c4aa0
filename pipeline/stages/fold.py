"""The stage fold; its work is in `pipeline/folding/fold.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.devices.boards import board_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS

if TYPE_CHECKING:
    from pipeline.config import BuildConfig

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from a2q_driver.speed import LATENCY, STEADY_FPS
    from pipeline.codegen import accelerator
    from pipeline.dataflow.finn_node import FOLDING_FILE
    from pipeline.dataflow.storage import load_graph
    from pipeline.devices.boards import load_board
    from pipeline.devices.resources import Resources
    from pipeline.folding import fold
    from pipeline.folding.folding_config import FoldingConfig
    from pipeline.folding.latency import LatencyTarget
    from pipeline.static_timing.delays import CELL_DELAYS
    from pipeline.static_timing.slowest_paths import Size, clock_warning

    options = context.options
    clock, rate, board = options.synth_clk_period_ns, options.target_fps, load_board(options.board)
    latency = None
    if options.target_latency_ns is not None:
        adders = CELL_DELAYS[board.family].adders_between_registers(clock)
        latency = LatencyTarget(options.target_latency_ns, clock, adders)
    graph = load_graph(context.inputs["accumulators"])
    folding: Path | FoldingConfig | None = options.folding_config_file
    of_nodes = context.inputs["resolve"] / FOLDING_FILE
    if folding is None and of_nodes.exists():
        nodes = json.loads(of_nodes.read_text())
        content = {
            layer.name: nodes[layer.source][layer.finn_operator]
            for layer in graph
            if layer.finn_operator in nodes.get(layer.source, {})
        }
        folding = FoldingConfig.parse(content, "made of the model's nodes", graph)
    folded = fold.fold(
        graph,
        "max" if rate == "max" else fold.cycle_budget(rate, clock),
        folding,
        mvau_style=options.mvau_style,
        ram_style=options.ram_style,
        activation_style=options.activation_style,
        scale_multiplier=options.scale_multiplier,
        board=board,
        latency=latency,
        tell=context.log,
    )
    fold.save(folded, context.folder)
    fold.write_reports(folded, context.folder, clock)
    for name in folded.ignored:
        context.log(f"ignored: {name}")
    for name, depth in folded.raised.items():
        context.log(f"{name}: deepened to {depth}, which is proven enough against deadlock")
    for layer in folded.graph:
        context.log(f"{layer.name}: {', '.join(f'{k} {v}' for k, v in layer.finn_folding().items())}")
        if styles := layer.threshold_styles():
            lie = ", ".join(f"{steps} {style}" for style, steps in styles.items())
            context.log(f"{layer.name}: thresholds by search step: {lie}")
    for unit in folded.requantized:
        assert unit.requantizer is not None
        what = f"{unit.level_steps + 1:,} levels" if unit.thresholds is None else f"{unit.thresholds.size} thresholds"
        context.log(
            f"{unit.name}: {what} by multipliers of {unit.requantizer.multiplier_bits} bits and a "
            f"shift by {unit.requantizer.shift}{_in_dsps(unit.requantizer.dsps)}, equal at every integer of the proven range"
        )
    # generators that wait between frames, where target_fps allows it, make that more than the slowest layer takes
    cycles = max(folded.max_cycles, folded.prediction.cycles_between_frames)
    waiting = cycles > folded.max_cycles
    total = sum(folded.estimates.values(), Resources())
    line = (
        f"{'at most ' if waiting else ''}{cycles} cycles between frames, {1e9 / (clock * cycles):,.0f} {STEADY_FPS} predicted at "
        f"{clock:.4g} ns; slowest is {folded.slowest}{f' with {folded.max_cycles}' if waiting else ''}; "
        f"{total.lut:,.0f} LUT, {total.bram_36k:g} BRAM{f', {total.dsp:g} DSP' if total.dsp else ''} estimated"
    )
    if latency:
        predicted = folded.prediction.first_frame
        line += (
            f"; {LATENCY} {predicted} cycles predicted, {predicted * clock:.4g} ns, of at most {latency.cycles}, "
            f"{latency.ns:g} ns"
        )
    if rate != "max" and folded.max_cycles > fold.cycle_budget(rate, clock):
        line += f"; target_fps = {rate:,.10g} is missed"
    elif rate == "max" and options.folding_config_file:
        line += "; target_fps = max is left only what the folding file leaves open"
    if folded.bound:
        line += f"; {folded.bound.sentence}"
    if loaded := [layer.name for layer in folded.graph if layer.loads_weights]:
        line += f"; weights in UltraRAM: {', '.join(loaded)}"
    if folded.fit.exceeded:
        line += f"; {folded.fit.sentence(clock)}"
    sized = [(layer.op_type, Size.of(layer, board.family)) for layer in folded.graph]
    shell = [(accelerator.SHELL, Size(0, 0))] if board.processing_system else []
    if warning := clock_warning(sized + shell, board.family, board.part, clock):
        line += f"; {warning}"
    said_by = "the model's nodes" if options.folding_config_file is None else "the folding file"
    return f"{line}; of no effect in {said_by}: {', '.join(folded.ignored)}" if folded.ignored else line


def _in_dsps(dsps: int) -> str:
    return f", in {dsps} DSP{'s' if dsps > 1 else ''} a lane" if dsps else ""


def files(options: BuildConfig) -> list[Path]:
    folding = [options.folding_config_file] if options.folding_config_file else []
    return board_files(options.board) + folding


STAGE = Stage(
    "fold",
    "PE and SIMD for the frame rate, FIFOs that cannot deadlock",
    run,
    reads=(
        "target_fps",
        "target_latency_ns",
        "synth_clk_period_ns",
        "mvau_style",
        "ram_style",
        "activation_style",
        "scale_multiplier",
        "folding_config_file",
        "board",
    ),
    needs=("resolve", "accumulators"),
    packages=LAYERS,
    sources=("hw/boards/*.yaml", "pipeline/folding/coefficients.json", "pipeline/static_timing/slowest_paths.json"),
    files=files,
)
