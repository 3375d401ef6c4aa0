"""bitfile: the accelerator in a block design for a board, as a bitstream where Vivado is on PATH.

The script and the description of the block design are written in any case, so that both can be carried to a machine
with Vivado; and the hardware handoff that pynq reads, Vivado's own where there is a bitstream.

Requires the RTL with the module a2q_accelerator in one folder. Ensures that a bitstream keeps its clock, and that
Vivado gave the cells the addresses that the description says. A bitstream that does not keep its clock is set aside,
with all that was made of that design, in the folder too_slow.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from a2q_driver.manifest import ACCELERATOR
from pipeline.board_design import hwh, tcl
from pipeline.board_design.description import BlockDesign, describe
from pipeline.devices.boards import Board
from pipeline.devices.resources import Resources
from pipeline.errors import TimingError, ToolError
from pipeline.tools import vivado

__all__ = ["DESCRIPTION", "FILE", "SCRIPT", "BitfileResult", "SlowPath", "load", "run"]

FILE = "bitfile.json"
SCRIPT = "build.tcl"
DESCRIPTION = "block_design.json"

_FACTS = "result.txt"
_PATHS = "worst_paths.txt"
_COUNTED = ("utilization", "accelerator")  # the fields with resources
_REPORTS = ("utilization.rpt", "utilization.xml", "timing_summary.rpt", _PATHS, _FACTS)


@dataclass(frozen=True)
class SlowPath:
    """One of the worst paths of a bitstream to `kind`, setup or hold.

    It is told by the layers, or what else, where it begins and ends, and the pins there.
    """

    kind: str
    begins_in: str
    ends_in: str
    slack_ns: float
    levels: int
    begins_at: str
    ends_at: str

    @property
    def where(self) -> str:
        return self.begins_in if self.begins_in == self.ends_in else f"{self.begins_in} to {self.ends_in}"

    def __str__(self) -> str:
        return (
            f"{self.where}, {self.slack_ns:.3f} ns, {self.levels} levels of logic, {self.begins_at} to {self.ends_at}"
        )


@dataclass(frozen=True)
class BitfileResult:
    """What is in the folder `bitfile`.

    `clock_mhz` is the accelerator's, made of the processing system's clock 0 of `pl_clock_mhz`: where Vivado ran, both
    are as it has them, else as they are asked for, and `vivado`, `bit` and all that is measured are None. `address_map`
    gives base and size in bytes of each cell's registers. `utilization` is the whole design's, `accelerator` the
    accelerator's share of it; both have the resources of `vivado.KEYS`. `wns_ns` and `whs_ns` are the worst slack to setup
    and to hold. `strategy` is the implementation strategy that kept the clock, and `worst_paths` are the ten slowest
    paths, the slowest first.
    """

    board: str
    part: str
    clock_period_ns: float  # asked for
    clock_mhz: float
    pl_clock_mhz: float
    address_map: dict[str, tuple[int, int]]
    vivado: str | None = None
    bit: Path | None = None
    hwh: Path = field(kw_only=True)
    utilization: Resources | None = None
    accelerator: Resources | None = None
    strategy: str | None = None
    wns_ns: float | None = None
    whs_ns: float | None = None
    worst_paths: tuple[SlowPath, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence: what was made, or how to make it."""
        if self.vivado is None:
            return f"no bitstream, as vivado is not on PATH: run the same build where it is (its script is bitfile/{SCRIPT})"
        assert self.utilization is not None  # Vivado ran
        return (
            f"a bitstream for the {self.board} by Vivado {self.vivado}: {self.utilization.lut:,} LUT, "
            f"{self.clock_mhz:g} MHz kept with {self.wns_ns:.3f} ns to spare by the strategy {self.strategy}"
            + (f", the slowest path in {self.worst_paths[0].where}" if self.worst_paths else "")
        )


def run(
    rtl: Path,
    board: Board,
    clock_period_ns: float,
    folder: Path,
    *,
    input_stream_bytes: int,
    output_stream_bytes: int,
    layers: Mapping[str, str],
    work: Path,
    jobs: int = 2,
    log: Callable[[str], None] | None = None,
) -> BitfileResult:
    """Write the block design of the RTL in the folder `rtl` into `folder`, and make the bitstream if Vivado is on PATH.

    The streams of the accelerator have `input_stream_bytes` and `output_stream_bytes`; `layers` gives the layer of each
    instance in the network's top module, by which paths are named. Vivado's project lies in a
    folder of its own in `work`, and stays there where it fails; `jobs` of its runs go at once, and what it prints goes
    to `log`.

    Raises UnsupportedError for a board without a processing system, ConfigError for a clock that it cannot have. Raises
    ToolError where Vivado fails, leaves out a result, or gives a cell another address. Raises TimingError where the design
    does not keep its clock, with the worst paths and the clock that would have done; all that was made then lies in
    `folder`/too_slow, and nothing else in `folder`.
    """
    design = describe(
        board, clock_period_ns, input_stream_bytes=input_stream_bytes, output_stream_bytes=output_stream_bytes
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCRIPT).write_text(tcl.render(design))
    (folder / DESCRIPTION).write_text(json.dumps(_facts_of(design), indent=2) + "\n")
    result = BitfileResult(
        board=board.name,
        part=board.part,
        clock_period_ns=clock_period_ns,
        clock_mhz=design.clock_mhz,
        pl_clock_mhz=design.pl_clock_mhz,
        address_map=dict(design.address_map),
        hwh=folder / f"{tcl.BITSTREAM}.hwh",
    )
    if vivado.find() is None:
        result.hwh.write_text(hwh.render(design))
    else:
        result = _implement(result, rtl, design, folder, layers, work, jobs, log)
    content = asdict(result) | {"bit": result.bit and result.bit.name, "hwh": result.hwh.name}
    for name in _COUNTED:
        used: Resources | None = getattr(result, name)
        content[name] = used and used.to_report(vivado.KEYS)
    (folder / FILE).write_text(json.dumps(content, indent=2) + "\n")
    return result


def load(folder: Path) -> BitfileResult:
    """What `run` wrote to `folder`."""
    content = json.loads((folder / FILE).read_text())
    addresses = {name: tuple(span) for name, span in content["address_map"].items()}
    bit = folder / content["bit"] if content["bit"] else None
    paths = tuple(SlowPath(**path) for path in content["worst_paths"])
    places = {"bit": bit, "hwh": folder / content["hwh"]}
    counted = {name: Resources.from_report(used, vivado.KEYS) if (used := content[name]) else None for name in _COUNTED}
    return BitfileResult(**content | places | counted | {"address_map": addresses, "worst_paths": paths})


def _implement(
    requested: BitfileResult,
    rtl: Path,
    design: BlockDesign,
    folder: Path,
    layers: Mapping[str, str],
    work: Path,
    jobs: int,
    log: Callable[[str], None] | None,
) -> BitfileResult:
    """Run Vivado, and take its results into `folder`. Gives `requested` with all that it makes known."""
    project = work / f"{design.board.name}-{_key(rtl, folder / SCRIPT)}"
    shutil.rmtree(project, ignore_errors=True)
    made = project / "output"
    arguments = [str(path.absolute()) for path in (rtl, made, project)]
    version = vivado.version()
    status = vivado.run(folder / SCRIPT, [*arguments, str(jobs)], project, statuses=(0, tcl.TIMING_STATUS), on_line=log)
    facts = _read_facts(made / _FACTS)
    slack = float(facts["wns_ns"]), float(facts["whs_ns"])
    paths = _read_paths(made / _PATHS, layers)
    late = bool(status) or min(slack) < 0
    target = folder / tcl.TOO_SLOW if late else folder
    target.mkdir(exist_ok=True)
    bitstream = made / tcl.TOO_SLOW if late else made
    results = (bitstream / f"{tcl.BITSTREAM}.{kind}" for kind in ("bit", "hwh"))
    for path in (*(made / name for name in _REPORTS), *results):
        if not path.is_file():
            raise ToolError(f"Vivado left no {path.name}; its project and its log are in {project}.")
        shutil.copyfile(path, target / path.name)
    handoff = target / f"{tcl.BITSTREAM}.hwh"
    text = hwh.complete(handoff.read_text(encoding="utf-8"))
    handoff.write_text(text, encoding="utf-8")
    if late:
        for name in (SCRIPT, DESCRIPTION):
            (folder / name).rename(target / name)
        what = _too_slow(design, *slack, 1000 / float(facts["clock_mhz"]), facts["tries"], paths)
        raise TimingError(f"{what}\nVivado's project is in {project} until the next try.", target)
    hwh.verify(text, design)
    rows = vivado.read_utilization(folder / "utilization.xml")
    shutil.rmtree(project)
    return replace(
        requested,
        clock_mhz=float(facts["clock_mhz"]),
        pl_clock_mhz=float(facts["pl_clock_mhz"]),
        vivado=version,
        bit=folder / f"{tcl.BITSTREAM}.bit",
        utilization=next(iter(rows.values())),
        accelerator=rows.get(ACCELERATOR),
        strategy=facts["strategy"],
        wns_ns=slack[0],
        whs_ns=slack[1],
        worst_paths=paths,
    )


def _key(rtl: Path, script: Path) -> str:
    """A name for the project of just this design, so that two builds do not meet in it."""
    digest = hashlib.sha256()
    for path in (script, *sorted(rtl.iterdir())):
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size} ".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _too_slow(
    design: BlockDesign, wns: float, whs: float, period_ns: float, tries: str, paths: tuple[SlowPath, ...]
) -> str:
    """What to say of a design with the slack `wns` and `whs` at a clock of `period_ns`, as Vivado made it."""
    problem = (
        f"On the {design.board.name} the design does not keep its clock, synth_clk_period_ns = "
        f"{design.clock_period_ns:.4g} ({design.clock_mhz:g} MHz): at best the worst slack is {wns:.3f} ns to setup and "
        f"{whs:.3f} ns to hold (strategies with both: {tries})."
    )
    enough = math.ceil((period_ns - wns) * 100) / 100
    clock = f"a synth_clk_period_ns of {enough:g} ({1000 / enough:.0f} MHz)"
    hold = "the hold violation remains at any clock: the paths say where it is."
    if whs >= 0:
        advice = f"It would have kept {clock}: give that or more."
    elif wns < 0:
        advice = f"Setup would have been kept at {clock}, but {hold}"
    else:
        advice = f"Setup is kept, but {hold}"
    lines = [f"{problem} {advice}"]
    for kind, title in (("setup", "The slowest paths:"), ("hold", "The worst paths to hold:")):
        if worst := [path for path in paths if path.kind == kind]:
            lines += [title, *(f"  {path}" for path in worst)]
    return "\n".join(lines)


def _read_paths(path: Path, layers: Mapping[str, str]) -> tuple[SlowPath, ...]:
    """The worst paths, as the script left them. Raises ToolError for another file."""
    try:
        rows = [line.split("\t") for line in path.read_text().splitlines() if line]
        return tuple(
            SlowPath(kind, _place(begin, layers), _place(end, layers), float(slack), int(levels), begin, end)
            for kind, slack, levels, begin, end in rows
        )
    except (OSError, ValueError) as error:
        raise ToolError(
            f"Vivado left no {path.name} as expected ({error}); its log is beside the folder {path.parent}."
        ) from None


def _place(pin: str, layers: Mapping[str, str]) -> str:
    """The layer in which `pin` lies, or else the cell of the block design.

    >>> _place("a2q_i/a2q_accelerator_0/inst/u_design/u_mvau_1/u_pe/q_reg/C", {"u_mvau_1": "MVAU_1"})
    'MVAU_1'
    >>> _place("a2q_i/axi_dma_0/U0/q_reg/C", {})
    'axi_dma_0'
    """
    names = pin.split("/")
    layer = next((layers[name] for name in names if name in layers), None)
    return layer or names[min(1, len(names) - 1)]


def _read_facts(path: Path) -> dict[str, str]:
    """The lines `key value` that the script leaves. Raises ToolError where one that is needed is not there."""
    try:
        facts = dict(line.split(" ", 1) for line in path.read_text().splitlines())
        for key in ("clock_mhz", "pl_clock_mhz", "wns_ns", "whs_ns"):
            float(facts[key])
        if missing := {"strategy", "tries"} - facts.keys():
            raise KeyError(min(missing))
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(
            f"Vivado left no complete {path.name} ({error}); its log is beside the folder {path.parent}."
        ) from None
    return facts


def _facts_of(design: BlockDesign) -> dict[str, Any]:
    """The description as plain data; of the board only its name, as the rest does not matter to the design."""
    return asdict(design) | {"board": design.board.name, "part": design.board.part}
