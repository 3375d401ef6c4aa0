"""Vivado in batch mode, where it is on PATH: any script, and one that places and routes a unit alone.

Results of units are kept in a cache folder by the content that they depend on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pipeline.board_design import tcl
from pipeline.codegen.harness import MODULE, UNIT, harness
from pipeline.devices.resources import Resources
from pipeline.errors import ToolError
from pipeline.tools.programs import PROGRAMS

__all__ = ["KEYS", "LOG", "Implemented", "find", "read_utilization", "route", "run", "version"]

LOG = "vivado.log"
KEYS = ("URAM", "LUT", "LUTRAM", "SRL", "FF", "BRAM_18K", "DSP")  # of what Vivado counts of a design, in reports

_VIVADO = PROGRAMS["vivado"]
find, version = _VIVADO.find, _VIVADO.version

_SCRIPT = "out_of_context.tcl"
_COLUMNS = {"Total LUTs": "lut", "LUTRAMs": "lutram", "SRLs": "srl", "FFs": "ff"}
# What Vivado says of a design that is too large for the part: the check before placement, and the placer.
_NO_ROOM = re.compile(r"^ERROR: \[(?:DRC UTLZ-1|Place 30-(?:484|487|640))\] (.*)", re.MULTILINE)


@dataclass(frozen=True)
class Implemented:
    """What Vivado `version` made of a unit on `part`, out of context, when it was asked for a clock of `period_ns`.

    `resources` are the unit's, without the registers around it. Where `problem` is not empty it says why there is no
    slack, and no resources.
    """

    version: str
    part: str
    period_ns: float
    wns_ns: float | None  # the worst slack to setup
    resources: Resources | None
    problem: str = ""

    @property
    def fmax_mhz(self) -> float | None:
        """The frequency at which the slowest path has no slack: 1000 / (period − worst slack)."""
        return None if self.wns_ns is None else 1000 / (self.period_ns - self.wns_ns)

    def to_json(self) -> dict[str, Any]:
        """As plain data, `resources` by their keys in a report."""
        return asdict(self) | {"resources": self.resources.to_report((*KEYS, "Carry")) if self.resources else {}}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Implemented:
        """What `to_json` gave."""
        resources = entry["resources"]
        counted = Resources.from_report(resources, (*KEYS, "Carry")) if resources else None
        return cls(**{**entry, "resources": counted})


def run(
    script: Path,
    arguments: Sequence[str],
    folder: Path,
    *,
    statuses: Collection[int] = (0,),
    on_line: Callable[[str], None] | None = None,
) -> int:
    """Run the Tcl file `script` with `arguments` in `folder`; the exit status is returned, one of `statuses`.

    What Vivado prints goes to `folder`/LOG, and line by line to `on_line`. Raises ToolError where Vivado is not on
    PATH, or ends with another status, then with the first error that it printed.
    """
    options = ("-mode", "batch", "-nolog", "-nojournal", "-notrace", "-source", script.absolute(), "-tclargs")
    command = [_VIVADO.require(), *options, *arguments]
    folder.mkdir(parents=True, exist_ok=True)
    return _VIVADO.run(command, folder, log=folder / LOG, statuses=statuses, on_line=on_line)


def route(
    top: str,
    sources: Sequence[Path],
    *,
    memories: Sequence[Path] = (),
    part: str,
    period_ns: float,
    cache: Path,
    on_line: Callable[[str], None] | None = None,
) -> Implemented:
    """Place and route the module `top` out of context, between registers, on `part`; or take that from the folder `cache`.

    One of `sources` is `top`.sv; see pipeline/codegen/harness.py for what surrounds it. `memories` are the files that the
    design reads, by the names it calls them. A unit that the part does not hold, or that cannot be routed, is a result
    with a `problem`. Raises ToolError where Vivado is not on PATH, fails, or leaves out a result; its work stays then.
    """
    (unit,) = (source for source in sources if source.stem == top)
    files = {path.name: path.read_bytes() for path in (*sources, *memories)} | {f"{MODULE}.v": harness(unit).encode()}
    script = tcl.render_out_of_context(_SCRIPT, part, period_ns)
    tool_version = version()

    def make(folder: Path) -> Implemented:
        (folder / "rtl").mkdir()
        for name, content in files.items():
            (folder / "rtl" / name).write_bytes(content)
        (folder / _SCRIPT).write_text(script)
        wns, resources, problem = _route(folder, on_line)
        return Implemented(tool_version, part, period_ns, wns, resources, problem)

    key = _VIVADO.content_key([script], sorted(files.items()))
    return _VIVADO.cached(cache, key, _kept, make, keep_after=ToolError)


def _kept(fields: Mapping[str, Any]) -> Implemented:
    """A result as the cache has it."""
    resources = fields["resources"]
    return Implemented(**{**fields, "resources": Resources(**resources) if resources else None})


def _route(folder: Path, on_line: Callable[[str], None] | None) -> tuple[float | None, Resources | None, str]:
    """Worst slack, resources and problem of the unit in `folder`."""
    arguments = [str((folder / name).absolute()) for name in ("rtl", "output", "work")]
    try:
        status = run(folder / _SCRIPT, arguments, folder, statuses=(0, tcl.UNROUTED_STATUS), on_line=on_line)
    except ToolError:
        log = folder / LOG
        full = _NO_ROOM.search(log.read_text()) if log.is_file() else None
        if full is None:
            raise
        return None, None, f"does not fit: {full[1].strip()}"
    if status == tcl.UNROUTED_STATUS:
        return None, None, "not every net could be routed"
    facts = folder / "output" / "result.txt"
    try:
        values = dict(line.split(" ", 1) for line in facts.read_text().splitlines())
        wns, carry = float(values["wns_ns"]), int(values["carry"])
        resources = read_utilization(folder / "output" / "utilization.xml")[UNIT]
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(
            f"Vivado ended well but left no complete {facts.name} and utilization.xml with {UNIT} ({error!r}); its work "
            f"and its log are in {folder}."
        ) from None
    return wns, replace(resources, carry=carry), ""


def read_utilization(path: Path) -> dict[str, Resources]:
    """Resources by instance, the whole design first, from `report_utilization -hierarchical -format xml`.

    It has those of KEYS. Raises ToolError for another table.
    """
    rows: dict[str, Resources] = {}
    header: list[str] = []
    try:
        for row in ElementTree.parse(path).iter("tablerow"):
            heads = [cell.get("contents", "").strip() for cell in row.findall("tableheader")]
            cells = [cell.get("contents", "").strip() for cell in row.findall("tablecell")]
            header = heads or header
            if cells:
                rows.setdefault(cells[0], _resources(dict(zip(header, cells, strict=True))))
        if not rows:
            raise ValueError("no rows")
    except (ElementTree.ParseError, ValueError, KeyError) as error:
        raise ToolError(f"Vivado's table of resources {path} is not as expected ({error!r}).") from None
    return rows


def _resources(row: dict[str, str]) -> Resources:
    return Resources(
        **{field: int(row[column]) for column, field in _COLUMNS.items()},
        bram_18k=2 * int(row["RAMB36"]) + int(row["RAMB18"]),
        uram=int(row.get("URAM", 0)),  # no column for a part that has none
        dsp=sum(int(value) for column, value in row.items() if column.startswith("DSP")),
    )
