"""Yosys: a design becomes a count of the primitives of a Xilinx family.

The recipe decides the count, so there is one: `read_slang` with the hierarchy kept, then `synth_xilinx -nodsp`, in which
adders are helped to one look-up table a bit, see `pipeline/tools/carry_operands.py`, and only what is meant for DSPs is put
into them, see `pipeline/tools/dsp_mapping.py`. Nothing is placed, routed or timed.
Results, and the netlists that they are counts of, are kept in a cache folder by the content that they depend on: sources,
memory files, parameters, recipe, version.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from pipeline.codegen.harness import MODULE, declaration, harness
from pipeline.devices.resources import Resources
from pipeline.errors import ToolError
from pipeline.files import PACKAGES
from pipeline.scratch import scratch_folder
from pipeline.tools import carry_operands, dsp_mapping, rtlil, yosys_worker
from pipeline.tools import netlist as netlists
from pipeline.tools.tool import Package, contents, write_whole

__all__ = [
    "ECP5_NETLIST",
    "FAMILIES",
    "PRIMITIVES",
    "SynthesisResult",
    "Unit",
    "content_key",
    "count_primitives",
    "map_ecp5",
    "needed_sources",
    "netlist",
    "parse",
    "recipe",
    "synthesize",
    "version",
]

FAMILIES = ("xc7", "xcup")
ECP5_NETLIST = "ecp5.json"

_YOSYS = Package(
    "pyosys",
    title="Yosys",
    missing="synthesis needs the Python package `pyosys`, which is not installed; `pip install pyosys` installs it, "
    "in a checkout `make setup`, and `--until rtlsim` stops before synthesis",
)
version = _YOSYS.version

_STAT, _NETLIST, _JOB = "stat.json", "netlist.json", "job.json"


@dataclass(frozen=True)
class Unit:
    """A design to count: its top module, the files that it needs, that of the top last, the memory files that they read,
    by the names they call them, and the parameters of the top that are not as the source has them."""

    top: str
    sources: Sequence[Path]
    memories: Sequence[Path] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)

    def key(self, family: str) -> str:
        """The SHA-256 of everything that its count depends on."""
        facts = (recipe(family), self.top, json.dumps(dict(self.parameters), sort_keys=True))
        return content_key(facts, self.sources, self.memories)


def _table() -> dict[str, Resources]:
    table: dict[str, Resources] = {}

    def add(names: str, **resources: int) -> None:
        table.update(dict.fromkeys(names.split(), Resources(**resources)))

    # Logic: one LUT6 site each, whatever the number of inputs in use. An inverter that is left over is a LUT1.
    add("LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT6_2 INV CFGLUT5", lut=1)
    # Wide multiplexers stand beside the LUTs of a slice (UG474, UG574 "Multiplexers"); constants and buffers take none.
    add("MUXF7 MUXF8 MUXF9 VCC GND BUFG IBUF OBUF")
    add("CARRY4 CARRY8", carry=1)
    # Flip-flops and latches share the storage elements (UG474, UG574 "Storage Elements").
    add("FDRE FDRE_1 FDSE FDSE_1 FDCE FDCE_1 FDPE FDPE_1 LDCE LDPE", ff=1)
    # Distributed RAM: UG474 table "Distributed RAM Configuration" (four LUTs a SLICEM), UG574 the same (eight).
    add("RAM32X1S RAM32X1S_1 RAM64X1S RAM64X1S_1", lut=1, lutram=1)
    add("RAM32X1D RAM32X1D_1 RAM64X1D RAM64X1D_1 RAM128X1S RAM128X1S_1", lut=2, lutram=2)
    add("RAM32M RAM64M RAM128X1D RAM256X1S", lut=4, lutram=4)
    add("RAM32M16 RAM64M8 RAM32X16DR8 RAM64X8SW RAM256X1D RAM512X1S", lut=8, lutram=8)
    # Shift registers: a LUT holds 32 bits (UG474, UG574 "Shift Registers").
    add("SRL16E SRLC16E SRLC32E", lut=1, srl=1)
    # Block RAM: UG473, UG573. UltraRAM: UG573. DSP: UG479, UG579.
    add("RAMB18E1 RAMB18E2", bram_18k=1)
    add("RAMB36E1 RAMB36E2", bram_18k=2)
    add("URAM288", uram=1)
    add("DSP48E1 DSP48E2", dsp=1)
    return table


PRIMITIVES: Mapping[str, Resources] = _table()
"""What one cell of each primitive takes, with the user guide that says so beside each group in the source."""

# What `synth_xilinx` reads before anything else, once for all designs of a run. Of the vendor's primitives in the second
# file those go that have no place in the table: abc9 goes over all modules that there are, and over a thousand of these.
_LIBRARIES = (
    *("read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v"),
    f"delete =A:src=*cells_xtra.v:* {' '.join(f'={name} %d' for name in PRIMITIVES)}",
)


# What synth_xilinx gives memory_libmap for a family, and the file that it maps block RAM with.
_BLOCK_RAM = "-lib +/xilinx/brams_xc4v.txt -D HAS_SIZE_36"
_MEMORY_MAPS = {
    "xc7": (f"-lib +/xilinx/lutrams_xc5v.txt {_BLOCK_RAM} -D HAS_CASCADE -D HAS_MIXWIDTH_SDP", "brams_xc6v_map.v"),
    "xcup": (
        f"-lib +/xilinx/lutrams_xcu.txt {_BLOCK_RAM} -D HAS_MIXWIDTH_SDP -D HAS_ADDRCE -lib +/xilinx/urams.txt",
        "brams_xcu_map.v",
    ),
}


# What synth_xilinx -run map_luts:finalize does for both families, but that abc9 is given those modules alone that have logic.
_LUT_COMMANDS = (
    *("opt_expr -mux_undef -noclkinv", "read_verilog -icells -lib -specify +/xilinx/abc9_model.v"),
    *(yosys_worker.SELECT_LOGIC, "abc9 -W 300", "select -clear", "clean"),
    "xilinx_srl -fixed -minlen 3",
    "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
    *("xilinx_dffopt", "opt_lut_ins -tech xilinx"),
)


@dataclass(frozen=True)
class SynthesisResult:
    """What a synthesis counted.

    `by_module` gives, for each module of hw/rtl, what all its instances hold themselves, submodules excepted; its
    values add up to `total`.
    """

    total: Resources
    by_module: dict[str, Resources]


def recipe(family: str) -> str:
    """The mapping command, without the name of the top module."""
    if family not in FAMILIES:
        raise ToolError(f"family {family} cannot be synthesized; these can: {', '.join(FAMILIES)}")
    return f"synth_xilinx -family {family} -nodsp -noiopad -noclkbuf"


def needed_sources(top: Path, library: Iterable[Path]) -> list[Path]:
    """The files of `library` that `top` needs, and `top` last. A file holds the module that it is named after."""
    by_stem = {path.stem: path for path in library if path.stem != top.stem}
    needed: dict[str, None] = {}
    pending = [top]
    while pending:
        words = set(re.findall(r"\w+", pending.pop().read_text()))
        for stem in sorted(words & by_stem.keys() - needed.keys()):
            needed[stem] = None
            pending.append(by_stem[stem])
    return [*(by_stem[stem] for stem in sorted(needed)), top]


def content_key(facts: Iterable[str], sources: Sequence[Path], memories: Sequence[Path]) -> str:
    """The SHA-256 of `facts`, the files of a design by name and content, and Yosys with what prepares designs for it."""
    modules = (carry_operands, dsp_mapping, netlists, rtlil, yosys_worker)
    code = (Path(inspect.getfile(module)).read_text() for module in modules)
    return _YOSYS.content_key((*facts, *code), contents((*sources, *sorted(memories))))


def synthesize(
    units: Sequence[Unit],
    family: str,
    *,
    cache: Path,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[SynthesisResult]:
    """Count what each of `units` takes in `family`, or take the count from the folder `cache`; the others in one run.

    They are begun in their order, `workers` of them at once, and each count is in `cache` as soon as it is known; equal
    units are counted once. `on_progress` is told how many of how many there are. A count depends on its unit alone, see
    `pipeline/tools/yosys_worker.py`. Raises ToolError, with the end of the log and the path of the whole, if Yosys is
    missing or fails.
    """
    entries = [cache / f"{unit.key(family)}.json" for unit in units]
    distinct = dict(zip(entries, units, strict=True))
    missing = {
        entry: unit for entry, unit in distinct.items() if not (entry.is_file() and _netlist_of(entry).is_file())
    }
    known = len(distinct) - len(missing)

    def progress(finished: int) -> None:
        if on_progress:
            on_progress(known + finished, len(distinct))

    progress(0)
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        with scratch_folder("yosys", cache) as scratch:
            _synthesize(missing, family, scratch, workers, progress)
    return [_load(json.loads(entry.read_text())) for entry in entries]


def netlist(unit: Unit, family: str, *, cache: Path) -> Path:
    """The file in `cache` that holds the netlist of which `synthesize` gives the counts; see `pipeline/tools/netlist.py`.

    Synthesizes `unit` first where `cache` does not hold it. Raises ToolError as `synthesize` does.
    """
    synthesize([unit], family, cache=cache)
    return _netlist_of(cache / f"{unit.key(family)}.json")


def _netlist_of(entry: Path) -> Path:
    return entry.with_suffix(".netlist.json.gz")


class _Design(TypedDict):
    """What the worker is told of a unit: its folder, and the commands that read and that synthesize it."""

    folder: str
    read: str
    synthesize: list[str]


def _synthesize(
    missing: Mapping[Path, Unit], family: str, folder: Path, workers: int, progress: Callable[[int], None]
) -> None:
    """Write the count and the netlist of each unit of `missing`, which gives it by the file of its count.

    `progress` is told how many are there.
    """
    designs: list[_Design] = []
    for i, (entry, unit) in enumerate(missing.items()):
        place = folder / str(i)
        place.mkdir()
        _copy([*unit.sources, *unit.memories], place)
        (place / dsp_mapping.MAP_FILE).write_text(dsp_mapping.ACCUMULATOR_MAP)
        sources, memories = ([place / path.name for path in paths] for paths in (unit.sources, unit.memories))
        if replace(unit, sources=sources, memories=memories).key(family) != entry.stem:
            raise ToolError(f"The sources of {unit.top} were changed while they were read. Start the build again.")
        read = _read_command(unit.top, unit.sources, unit.parameters)
        designs.append({"folder": place.name, "read": read, "synthesize": _commands(unit.top, family)})
    of_folder = {design["folder"]: pair for design, pair in zip(designs, missing.items(), strict=True)}
    finished = 0

    def on_line(line: str) -> None:
        nonlocal finished
        if line.startswith(yosys_worker.FINISHED):
            name = line.removeprefix(yosys_worker.FINISHED)
            _keep(*of_folder[name], folder / name)
            finished += 1
            progress(finished)

    names = ", ".join(dict.fromkeys(unit.top for unit in missing.values()))
    first = next(iter(missing))
    job = {"libraries": _LIBRARIES, "designs": designs, "workers": workers}
    _run(job, folder, log=first.with_suffix(".log"), what=f"synthesis of {names}", on_line=on_line)


def _keep(entry: Path, unit: Unit, folder: Path) -> None:
    """Write what was made of `unit` in `folder`: its netlist, and beside it its count to the file `entry`."""
    stat, mapped = (json.loads((folder / name).read_text()) for name in (_STAT, _NETLIST))
    result = SynthesisResult(*count_primitives(stat, unit.top))
    write_whole(_netlist_of(entry), netlists.unit_netlist(mapped, unit.top), folder)
    write_whole(entry, json.dumps(asdict(result)).encode(), folder)


def _commands(top: str, family: str) -> list[str]:
    """What maps `top`, where the libraries of `family` are read."""
    mapping = f"{recipe(family)} -top {top} -run"
    with_multipliers = [f"{mapping} prepare:map_dsp", *dsp_mapping.commands(family), f"{mapping} map_dsp:map_memory"]
    return [
        *(f"hierarchy -check -top {top}", f"{yosys_worker.WITHOUT_MULTIPLIERS}{mapping} prepare:map_memory"),
        *(f"{yosys_worker.FOR_MULTIPLIERS}{command}" for command in with_multipliers),
        *_memory_commands(family),
        *(f"{mapping} map_ffram:fine", carry_operands.COMMAND, f"{mapping} fine:map_luts"),
        *(*_LUT_COMMANDS, f"{mapping} finalize:"),
        *(f"tee -q -o {_STAT} stat -json", f"write_json {_NETLIST}"),
    ]


def _memory_commands(family: str) -> list[str]:
    """The commands of `synth_xilinx -run map_memory:map_ffram`, but that a design without block RAM does without its
    models: Yosys takes a second to read them, longer than for all else of a small design."""
    libraries, block_map = _MEMORY_MAPS[family]
    return [
        f"{yosys_worker.FOR_MEMORIES}memory_libmap -logic-cost-rom 0.015625 {libraries} -no-auto-huge",
        f"{yosys_worker.FOR_DISTRIBUTED_RAM}techmap -map +/xilinx/lutrams_xc5v_map.v",
        f"{yosys_worker.FOR_BLOCK_RAM}techmap -map +/xilinx/{block_map}",
        f"{yosys_worker.FOR_ULTRA_RAM}techmap -map +/xilinx/urams_map.v",
    ]


def map_ecp5(top: str, sources: Sequence[Path], memories: Sequence[Path], folder: Path, *, log: Path) -> dict[str, int]:
    """Write the netlist of `top` for a Lattice ECP5, between the registers of a harness, to `folder`/ECP5_NETLIST.

    Returns the cells of `top` by type, without the harness: it is mapped alone, so that neither changes the other.
    UltraRAM, which an ECP5 has not, becomes what memories become there. Raises ToolError as `synthesize` does.
    """
    (unit,) = (source for source in sources if source.stem == top)
    _copy([*sources, *memories], folder)
    for name, text in (("declaration.v", declaration(unit)), (f"{MODULE}.v", harness(unit))):
        (folder / name).write_text(text)
    commands = [
        "setattr -unset ram_style m:* a:ram_style=ultra %i",
        *(f"synth_ecp5 -nodsp -top {top}", f"tee -q -o {_STAT} stat -json", "design -stash unit"),
        *("read_verilog -lib declaration.v", f"read_verilog {MODULE}.v", f"synth_ecp5 -top {MODULE}"),
        *(f"delete {top}", f"design -copy-from unit {top}", f"hierarchy -top {MODULE}"),
        *("flatten", "opt_clean -purge", f"write_json {ECP5_NETLIST}"),
    ]
    design = {"folder": ".", "read": _read_command(top, sources, {}), "synthesize": commands}
    _run({"libraries": [], "designs": [design]}, folder, log=log, what=f"synthesis of {top} for ECP5")
    return json.loads((folder / _STAT).read_text())["design"]["num_cells_by_type"]


def parse(top: str, sources: Sequence[Path], *, memories: Sequence[Path] = (), cache: Path) -> None:
    """Read and elaborate `top` without mapping it. Raises ToolError as `synthesize` does."""
    cache.mkdir(parents=True, exist_ok=True)
    with scratch_folder("yosys", cache) as folder:
        _copy([*sources, *memories], folder)
        design = {"folder": ".", "read": _read_command(top, sources, {}), "synthesize": []}
        _run({"libraries": [], "designs": [design]}, folder, log=cache / f"parse-{top}.log", what=f"reading {top}")


def count_primitives(stat: Mapping[str, Any], top: str) -> tuple[Resources, dict[str, Resources]]:
    """The total and the share of each source module, from the output of `stat -json`.

    Raises ToolError for a cell that is neither a module of the design nor in PRIMITIVES.
    """
    cells = {name.removeprefix("\\"): m["num_cells_by_type"] for name, m in stat["modules"].items()}
    instances: Counter[str] = Counter()

    def visit(name: str, count: int) -> None:
        instances[name] += count
        for cell, number in cells[name].items():
            if cell in cells:
                visit(cell, count * number)

    visit(top, 1)
    by_module: dict[str, Resources] = {}
    for name, count in instances.items():
        resources = Resources()
        for cell, number in cells[name].items():
            if cell in cells:
                continue
            if cell not in PRIMITIVES:
                raise ToolError(
                    f"synthesis of {top} left {number} cells {cell} in module {name}; {cell} is no primitive whose "
                    "resources are known. Add it to PRIMITIVES in pipeline/tools/yosys.py if it is one of the family."
                )
            resources += PRIMITIVES[cell] * number
        module = name.split("$", 1)[0]  # read_slang calls an instance <module>$<path>
        by_module[module] = by_module.get(module, Resources()) + resources * count
    return sum(by_module.values(), Resources()), by_module


def _read_command(top: str, sources: Sequence[Path], parameters: Mapping[str, int]) -> str:
    overrides = "".join(f" -G {key}={value}" for key, value in parameters.items())
    files = " ".join(path.name for path in sources)
    return f"read_slang --keep-hierarchy -D YOSYS --top {top}{overrides} {files}"


def _copy(files: Sequence[Path], folder: Path) -> None:
    """Put `files` side by side into `folder`: the run sees them and nothing else, so the key covers all it reads."""
    for path in files:
        target = folder / path.name
        if target.exists():
            raise ToolError(f"two files of one design are called {path.name}; one of them is {path}")
        target.write_bytes(path.read_bytes())


def _run(
    job: Mapping[str, object],
    folder: Path,
    *,
    log: Path,
    what: str,
    on_line: Callable[[str], None] | None = None,
) -> None:
    _YOSYS.require()
    search = os.pathsep.join(filter(None, [str(PACKAGES["pipeline"].parent), os.environ.get("PYTHONPATH", "")]))
    (folder / _JOB).write_text(json.dumps({"workers": 1, **job}))
    command = [sys.executable, "-P", "-m", yosys_worker.__name__, _JOB]
    environment = {**os.environ, "PYTHONPATH": search}
    _YOSYS.run(command, folder, log=log, what=f"{what} by Yosys", env=environment, on_line=on_line)


def _load(entry: Mapping[str, Any]) -> SynthesisResult:
    return SynthesisResult(
        Resources(**entry["total"]),
        {module: Resources(**values) for module, values in entry["by_module"].items()},
    )
