"""What a search of bits found, as a table in Markdown and as a plot."""

from __future__ import annotations

from pathlib import Path

from pipeline.quantize.config import QuantizeConfig
from pipeline.quantize.quantize import Source
from pipeline.quantize.search import Found, Trial

__all__ = ["write_search"]

_GREY, _BLUE, _RED = "0.6", "tab:blue", "tab:red"


def write_search(found: Found, config: QuantizeConfig, source: Source, target_fps: float, folder: Path) -> None:
    """Write `folder`/search.md and search.png: all trials, the front, and what was chosen."""
    about = _about(config, source, target_fps)
    rows = [
        f"| {trial.bits} | | | | | {trial.failed} |"
        if trial.failed
        else f"| {_marked(trial, found)} | {trial.top1:.2%} | {trial.test_top1:.2%} | {trial.widest} | {trial.lut:,} | |"
        for trial in sorted(found.trials, key=lambda trial: (bool(trial.failed), trial.lut))
    ]
    text = [
        f"# {source.name}: bits, accuracy and LUTs",
        "",
        about,
        "",
        _legend(source, target_fps),
        "",
        "| bits | chosen by | test | widest hidden sum | LUT | not built |",
        "|:--|--:|--:|--:|--:|:--|",
        *rows,
        "",
        f"Bold are those that none has both more accuracy and fewer LUTs than. Chosen is {found.chosen.bits}: {found.reason}.",
        "",
        "![accuracy by LUTs](search.png)",
        "",
    ]
    (folder / "search.md").write_text("\n".join(text))
    _draw(found, f"{source.name}, {about}", source.images.choosing_source, target_fps, folder / "search.png")


def _about(config: QuantizeConfig, source: Source, target_fps: float) -> str:
    bound = f", every hidden sum within {config.accumulator} bits" if config.accumulator else ""
    corrected = ", biases corrected" if config.bias_correct else ""
    return f"{config.weights}{corrected}{bound}, {config.images} images to calibrate with"


def _legend(source: Source, target_fps: float) -> str:
    return (
        f"`chosen by` is top-1 on {source.images.choosing_source}: bits are chosen by it alone. `test` is top-1 on the "
        f"{source.images.test_source}, on which the float network has {source.top1:.2%}. LUTs are estimates of the stage fold "
        f"at {target_fps:,g} frames/s, not counts."
    )


def _marked(trial: Trial, found: Found) -> str:
    bits = f"**{trial.bits}**" if trial in found.front else trial.bits
    return f"{bits}, chosen" if trial == found.chosen else bits


def _draw(found: Found, title: str, images: str, target_fps: float, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for trial in found.trials:
        if trial.failed:
            continue
        on_front = trial in found.front
        color = _RED if trial == found.chosen else _BLUE if on_front else _GREY
        axes.plot(trial.lut, trial.top1, "o", color=color, markersize=8 if on_front else 5, zorder=3)
        axes.annotate(
            trial.bits,
            (trial.lut, trial.top1),
            (-6, 6) if on_front else (6, -11),
            textcoords="offset points",
            horizontalalignment="right" if on_front else "left",
            fontsize=8,
            color="black" if on_front else "0.45",
        )
    axes.step([t.lut for t in found.front], [t.top1 for t in found.front], where="post", color=_BLUE, linewidth=1)
    axes.set_title(f"{title}\ntop-1 on {images}", fontsize=8)
    axes.margins(x=0.08, y=0.1)
    axes.set_xlabel(f"LUTs, estimated for {target_fps:,g} frames/s")
    axes.set_ylabel("top-1 to choose by")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(alpha=0.3)
    handles = [
        axes.plot([], [], "o", color=color, label=text)[0]
        for color, text in ((_RED, f"chosen: {found.chosen.bits}"), (_BLUE, "on the front"), (_GREY, "other trials"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=150)
