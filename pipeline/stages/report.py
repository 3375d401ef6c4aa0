"""The stage report; its work is in `pipeline/report/report.py`."""

from __future__ import annotations

from pipeline.devices.boards import board_files
from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS, NETWORK

__all__ = ["STAGE"]


def run(context: Context) -> str:
    from a2q_driver.speed import LATENCY, STEADY_FPS
    from pipeline.devices.boards import load_board
    from pipeline.report import report
    from pipeline.report.markdown import duration

    options = context.options
    facts = report.run(
        context.inputs,
        context.folder,
        load_board(options.board),
        target_fps=options.target_fps,
        target_latency_ns=options.target_latency_ns,
    )
    rate = f"{facts.throughput_fps:,.0f} {STEADY_FPS}, " if facts.throughput_fps else ""
    late = f"LATE: {facts.latency_ns:.4g} ns, {options.target_latency_ns:g} ns asked for; " if facts.is_late else ""
    simulated = f"{rate}{LATENCY} {duration(facts.latency_ns)}, simulated"
    return f"{late}{simulated}; {facts.resources.total.lut:,} LUT; read summary.md"


STAGE = Stage(
    "report",
    "one readable page, and its figures",
    run,
    reads=("target_fps", "target_latency_ns", "board"),
    needs=(
        *("resolve", "export", "streamline", "dataflow", "accumulators"),
        *("fold", "finn", "codegen", "accuracy", "cppsim", "rtlsim", "synth", "verify", "timing", "bitfile", "package"),
    ),
    packages=("finn-plus", "jinja2", "markdown-it-py", "matplotlib", "pillow", "scikit-learn", *NETWORK, *LAYERS),
    sources=("hw/boards/*.yaml", "pipeline/report/templates/*.jinja"),
    files=lambda options: board_files(options.board),
)
