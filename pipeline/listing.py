"""Tables that the command line prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from rich.markup import escape
from rich.table import Column, Table

from pipeline.config import BuildConfig
from pipeline.config_file import field_names
from pipeline.datasets.catalog import DATASETS
from pipeline.devices.boards import Board, board_names, load_board
from pipeline.errors import InputError, ModelError
from pipeline.flow import BUILD_RECORD
from pipeline.models.metrics import accuracy_of
from pipeline.models.names import FAMILIES, MODELS, SHIPPED, TRAINED, Family, recorded
from pipeline.models.registry import checkpoint_facts
from pipeline.report.markdown import percent
from pipeline.stage import Stage
from pipeline.stages import STAGES

__all__ = [
    "board_facts",
    "board_table",
    "diff_table",
    "family_table",
    "find_build",
    "model_table",
    "option_page",
    "page_of",
    "show_build",
    "stage_table",
]


def model_table() -> Table:
    """The networks with a checkpoint: name, data set, accuracy and other facts, and origin.

    Networks for super resolution have their PSNR in place of the accuracy, and those of pixels and of boxes mean IoU and
    mAP. After those of this repository and the
    releases come the ones that were trained in the working directory, but for those that a name cannot mean because
    the repository has one of that name. ¹ marks one that is taken where the release of its name cannot be had, ²
    data that is made here and goes by its name. The table is 80 columns wide.
    """
    table = Table(Column("model", overflow="fold"), box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("data set", "top-1", "zeros", "‖w‖₁", "from"):
        table.add_column(name, no_wrap=True)
    for spec in MODELS.values():
        if spec.published_psnr is not None:
            table.add_row(spec.name, "BSD300", f"{spec.published_psnr:.1f} dB", "", "", "release")
            continue
        dataset, mark = _data(spec.dataset)
        if spec.url:
            table.add_row(spec.name, dataset, f"{spec.published_top1:.1f} %", "", "", "release")
        if spec.name in SHIPPED:
            origin = "here ¹" if spec.url else "here"
            table.add_row(spec.name, dataset, *_figures(checkpoint_facts(SHIPPED[spec.name])), f"{origin}{mark}")
    for path in sorted(TRAINED.glob("**/*.pth")):
        row = _trained(path)
        if row is not None and path.stem not in MODELS:
            name, (dataset, mark), *figures = row
            table.add_row(name, dataset, *figures, f"trained{mark}")
    return table


def _trained(path: Path) -> tuple[Any, ...] | None:
    """Name, data set and figures of the checkpoint at `path`; None where its record is not there or not as it is written.

    Such a record is reported to who builds the network.
    """
    record_path = path.with_suffix(".json")
    with suppress(OSError, ValueError, TypeError, RecursionError, ModelError):
        if record_path.is_file():  # a pipe would be waited for
            record = json.loads(record_path.read_text())
            return path.stem, _data(recorded(path.stem, record).dataset), *_figures(record)
    return None


def _data(name: str) -> tuple[str, str]:
    """The title of the data set `name`, or its name and a mark where it is made here."""
    return (name, " ²") if DATASETS[name].draw else (DATASETS[name].title, "")


def _figures(facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """The accuracy, sparsity and the largest ‖w‖₁, each empty where it is not known."""
    accuracy, sparsity, norm = accuracy_of(facts), facts.get("sparsity"), facts.get("largest_l1")
    return (
        "" if accuracy is None else percent(accuracy[1]),
        "" if sparsity is None else percent(sparsity),
        "" if norm is None else str(norm),
    )


def family_table() -> Table:
    """The families of networks, and what they take by default; those without a data set cannot be trained here."""
    table = Table("family", "data set", "input", "classes", box=None)
    groups: dict[Family, list[str]] = {}
    for name, family in FAMILIES.items():
        groups.setdefault(replace(family, depth=None), []).append(name)
    for family, names in groups.items():
        shape = "×".join(map(str, family.input_shape))
        title = DATASETS[family.dataset].title if family.dataset else "none"
        classes = "an image" if family.output == "image" else str(family.num_classes)
        table.add_row(" ".join(names), title, shape, classes)
    return table


_SYSTEMS = {"zynq7": "Zynq-7000", "zynq_ultra": "Zynq UltraScale+"}


def board_table() -> Table:
    """The boards of hw/boards: the part, its resources, and the default clock in MHz; 80 columns wide."""
    table = Table(
        Column("board", no_wrap=True), Column("part", no_wrap=True), box=None, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in ("LUT", "FF", "BRAM", "URAM", "DSP", "MHz"):
        table.add_column(name, justify="right", no_wrap=True)
    for board in map(load_board, board_names()):
        has = board.capacity
        counts = (has.lut, has.ff, has.bram_36k, has.uram, has.dsp)
        table.add_row(board.name, board.part, *(f"{count:,.0f}" for count in counts), f"{board.clock_mhz:g}")
    return table


def board_facts(name: str) -> Table:
    """The facts of the board `name`, each figure with its source. Raises ConfigError for no board."""
    board = load_board(name)
    system, has = board.processing_system, board.capacity
    facts = {
        "part": board.part,
        "board_part": board.board_part,
        "LUT": f"{has.lut:,}",
        "FF": f"{has.ff:,}",
        "BRAM36": f"{has.bram_36k:,.0f}",
        "URAM": f"{has.uram:,}",
        "DSP": f"{has.dsp:,}",
        "clock_mhz": f"{board.clock_mhz:g}",
        "processing_system": _system(board),
    }
    if system:
        facts["reference_clock_mhz"] = f"{system.reference_clock_mhz:.9g}"
        facts["pll_multiplier"] = str(system.pll_multiplier)
        facts["memory"] = f"{system.memory_size >> 20} MiB from 0x{system.memory_base:08X}"
    table = Table(Column(board.name, no_wrap=True), Column("", no_wrap=True), Column("source"), box=None)
    for key, value in facts.items():
        table.add_row(key, escape(value), escape(board.sources[key]))
    return table


def _system(board: Board) -> str:
    """The processors of `board`, in a word or two."""
    return _SYSTEMS[board.processing_system.kind] if board.processing_system else "none"


def diff_table(first: Path, second: Path) -> tuple[str, Table]:
    """Two builds beside each other: a sentence, and a table of the layers that differ. Raises InputError for no such builds."""
    from pipeline.report.diff import compare

    found = compare(find_build(first), find_build(second))
    table = Table(Column("layer", overflow="fold"), box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("folding", overflow="fold")
    for name in ("LUT", "DSP", "cycles", "bits"):
        table.add_column(name, justify="right", overflow="fold")
    for row in found.rows:
        table.add_row(*map(escape, row))
    others = f"{found.same} {'layer is' if found.same == 1 else 'layers are'} the same in both"
    if len(found.rows) == 1:
        others = f"nothing differs: {others}"
    return f"{found.names[0]} → {found.names[1]}; {others}; LUTs and DSPs are counted, cycles predicted", table


def stage_table(stages: Sequence[Stage]) -> Table:
    """The stages in order, and the config fields that each reads."""
    table = Table("stage", "what it does", "reads of the config", box=None)
    for stage in stages:
        table.add_row(stage.name, stage.summary, ", ".join(stage.reads))
    return table


def option_page() -> str:
    """Markdown: every option of a build by its dotted name, with its default and the stages that read it."""
    rows = [
        f"| `{name}` | {field.description} | {_default(name, field)} | {', '.join(_readers(name))} |"
        for name, field in field_names(BuildConfig)
    ]
    return "\n".join([_OPTIONS, "| option | value | default | read by |", "|:--|:--|:--|:--|", *rows, ""])


_OPTIONS = """# Options of a build

`a2q options` prints this page. A file of `build_configs/`, or one of your own, gives options as YAML; those with a dot in
their name stand in a section:

    inherit: base.yaml
    target_fps: 10000
    simulation:
      frames: 20

`--set NAME=VALUE` of `a2q build`, `deploy`, `validate` and `compare`, as often as needed, overrides the file:
`a2q build --set simulation.frames=20`; so does `make build SET="simulation.frames=20 seed=1"`. Paths in a file are relative
to the file, those of `--set` to the working directory. A stage runs again where an option that it reads has changed.
"""


def _default(name: str, field: FieldInfo) -> str:
    """The default of an option as a file has it."""
    if name in ("fpga_part", "synth_clk_period_ns"):
        return "the board's"
    if field.default is None:
        return "–"
    default = field.default
    return f"`{default if isinstance(default, str) else f'{default:g}' if isinstance(default, float) else json.dumps(default)}`"


def _readers(name: str) -> list[str]:
    """The stages that read the option `name`, or all of its section."""
    sections = {name[:end] for end, character in enumerate(name) if character == "."}
    return [stage.name for stage in STAGES if {name, *sections} & {*stage.reads}]


def find_build(build: Path) -> Path:
    """The folder of a build, or of the one in build/ that has this name. Raises InputError where there is none."""
    folder = next((f for f in (build, Path("build", build)) if (f / BUILD_RECORD).is_file()), None)
    if folder is None:
        known = sorted(path.parents[1].name for path in Path("build").glob(f"*/{BUILD_RECORD}"))
        builds = f"The builds in build/ are: {', '.join(known)}." if known else "There are no builds in build/."
        raise InputError(f"There is no build in {build}: {build / BUILD_RECORD} is missing. {builds}")
    return folder


def page_of(build: Path) -> Path:
    """The page of a build, to be opened in a browser. Raises InputError where there is no build, or no page of it yet."""
    page = find_build(build) / "report.html"
    if not page.is_file():
        raise InputError(
            f"{page} is missing: the build has not come to its stage report yet. Go on with it, then open its page."
        )
    return page.absolute()


def show_build(build: Path) -> tuple[str, Table]:
    """The text of a build's summary.md, empty if it has none yet, and the table of its stages.

    Raises InputError where `build` is neither a build's folder nor the name of one in build/.
    """
    folder = find_build(build)
    try:
        record = json.loads((folder / BUILD_RECORD).read_text())
        table = Table(*(Column(name, no_wrap=True) for name in ("stage", "time", "peak")), box=None)
        table.add_column("result", overflow="fold")
        for stage in record["stages"]:
            cost = (f"{stage['seconds']:.1f} s", f"{stage['peak_mib']:.0f} MiB")
            table.add_row(stage["name"], *cost, escape(stage["summary"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"The record {folder / BUILD_RECORD} is damaged ({error}). Build it again.") from None
    summary = folder / "summary.md"
    return summary.read_text(errors="replace") if summary.is_file() else "", table
