"""The proofs of hw/formal: by induction with Yosys, without a bound on time, and that each fails for a broken cell.

    python -m tests.hw.formal                    # all cells
    python -m tests.hw.formal spill_register     # one
    python -m tests.hw.formal --mutants          # the faults too

hw/formal/proofs.yaml lists what is proven; hw/README.md says what of it means. A proof that fails prints the claims
that do not hold and the cycles that lead there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.codegen.rtl import rtl_sources
from pipeline.scratch import scratch_folder
from pipeline.tools import process
from pipeline.tools.yosys import needed_sources
from pipeline.yaml_file import read_yaml

__all__ = ["FOLDER", "Fault", "Proof", "Verdict", "load", "prove"]

FOLDER = Path(__file__).resolve().parents[2] / "hw" / "formal"
_INDUCTION = 5  # cycles of an induction, at most
_SEARCH = 13  # cycles behind a reset in which a fault is looked for
_FAILS = "fails."
_WORKER = Path(__file__).with_name("formal_worker.py")


@dataclass(frozen=True)
class Proof:
    """The claims of hw/formal/`cell`_properties.sv for one set of parameters; `independent` gives, by signal, the inputs
    that it does not depend on within a cycle. A path to a failure begins with `reset` cycles of reset."""

    cell: str
    parameters: Mapping[str, int]
    independent: Mapping[str, Sequence[str]]
    reset: int

    @property
    def name(self) -> str:
        return " ".join([self.cell, *(f"{key}={value}" for key, value in self.parameters.items())])


@dataclass(frozen=True)
class Fault:
    """`text`, which stands once in hw/rtl/`file`.sv, becomes `becomes`: `proof` fails then."""

    what: str
    file: str
    text: str
    becomes: str
    proof: Proof


@dataclass(frozen=True)
class Verdict:
    """How a proof ended. `cycles` is the length of the induction, or of the path to the failure.

    `failing` names the claims that do not hold, `trace` is the path there, a line a signal. `reachable` says whether it
    begins with a reset; if not, the claims are not enough for an induction, or the fault lies deeper than is looked.
    """

    proven: bool
    cycles: int
    failing: tuple[str, ...] = ()
    reachable: bool = False
    trace: str = ""

    def __str__(self) -> str:
        if self.proven:
            return f"proven by induction over {self.cycles} cycle{'s' if self.cycles > 1 else ''}"
        if not self.trace:
            return f"FAILS: {', '.join(self.failing)}"
        where = "after a reset" if self.reachable else f"from a state that {self.cycles - 1} cycles of induction allow"
        return f"FAILS, {where}: {', '.join(self.failing)}\n{self.trace}"


def load(path: Path = FOLDER / "proofs.yaml") -> tuple[list[Proof], list[Fault]]:
    """The proofs and faults that the file `path` lists."""
    proofs, faults = [], []
    for cell, entry in read_yaml(path, str(path)).items():
        rest = (entry["independent"], entry.get("reset", 1))
        proofs += [Proof(cell, parameters, *rest) for parameters in entry["parameters"]]
        for fault in entry["mutants"]:
            proof = Proof(cell, fault["with"], *rest)
            faults.append(Fault(fault["what"], fault["file"], fault["text"], fault["becomes"], proof))
    return proofs, faults


def prove(proof: Proof, fault: Fault | None = None, *, models: Sequence[Path] = (), search: int = _SEARCH) -> Verdict:
    """Try `proof`, on a copy of hw/rtl with `fault` where one is given, and with `models` in the place of its files of
    their names.

    Where the induction fails, a path from a reset to the failure is looked for in `search` cycles behind it; with 0 in
    none. With a fault the path is looked for first: where there is one, no induction can hold.

    Raises ValueError where the text of the fault does not stand once in its file, and RuntimeError with Yosys' log where
    it fails for another reason than the proof's.
    """
    with scratch_folder("formal") as folder:
        top = f"{proof.cell}_properties"
        sources = needed_sources(FOLDER / f"{top}.sv", (*rtl_sources(), *FOLDER.glob("*.sv")))
        for source in (*sources, *models):
            shutil.copyfile(source, folder / source.name)
        if fault:
            broken = folder / f"{fault.file}.sv"
            text = broken.read_text()
            if text.count(fault.text) != 1:
                raise ValueError(
                    f"{fault.text!r} stands {text.count(fault.text)} times in hw/rtl/{broken.name}, not once"
                )
            broken.write_text(text.replace(fault.text, fault.becomes))
        job = {
            "top": top,
            "parameters": dict(proof.parameters),
            "sources": [source.name for source in sources],
            "independent": {signal: list(inputs) for signal, inputs in proof.independent.items()},
            "fails": _FAILS,
            "induction": _INDUCTION,
            "search": search,
            "reset": proof.reset,
            "broken": fault is not None,
        }
        done = process.run([sys.executable, _WORKER], stdin=json.dumps(job), cwd=folder, output=folder / "log.txt")
        if done.returncode:
            log = (folder / "log.txt").read_text(errors="replace")[-3000:]
            raise RuntimeError(f"Yosys ended with status {done.returncode} on the proof of {proof.name}:\n{log}")
        if (depends := folder / "depends.json").is_file():
            return Verdict(False, 0, tuple(json.loads(depends.read_text())))
        path, reachable = folder / "path.json", True
        if not path.is_file():
            induction = (folder / "induction.txt").read_text()
            if "Induction step proven: SUCCESS!" in induction:
                return Verdict(True, induction.count("Trying induction with length"))
            path, reachable = folder / "state.json", "model found for base case" in induction
        waves = _waves(json.loads(path.read_text()))
    claims = {name: values for name, values in waves.items() if name.startswith(_FAILS)}
    cycles = min(values.index("1") for values in claims.values() if "1" in values) + 1
    failing = [name for name, values in claims.items() if values[cycles - 1] == "1"]
    shown = {name: values[:cycles] for name, values in waves.items() if name not in claims and name != "clk_i"}
    return Verdict(False, cycles, tuple(name.removeprefix(_FAILS) for name in failing), reachable, _table(shown))


def _waves(content: Mapping) -> dict[str, list[str]]:
    """The value of each signal in each cycle, in hexadecimal, from the WaveJSON that Yosys writes: the first is the state
    before, which is left out."""
    waves = {}
    for signal in content["signal"]:
        data, values = iter(signal.get("data", ())), []
        for mark in signal["wave"]:
            if mark == "=":
                values.append(_hexadecimal(next(data)))
            elif mark == ".":
                values.append(values[-1])
            else:
                next(data, None) if mark == "4" and "data" in signal else None
                values.append(mark if mark in "01" else "-")
        if " [" not in signal["name"]:  # a part of another
            waves[signal["name"]] = values[1:]
    return waves


def _hexadecimal(bits: str) -> str:
    return f"{int(bits, 2):x}" if bits and set(bits) <= {"0", "1"} else bits or "-"


def _table(waves: Mapping[str, Sequence[str]]) -> str:
    """A line a signal, a column a cycle; the signals of the claims' own module first, those of the cell after."""
    names = sorted(waves, key=lambda name: (name.count("."), name))
    length = max(map(len, names))
    widths = [max(len(waves[name][i]) for name in names) for i in range(len(waves[names[0]]))]
    rows = [
        " ".join([f"{name:<{length}}", *(v.rjust(w) for v, w in zip(waves[name], widths, strict=True))])
        for name in names
    ]
    header = " ".join([f"{'cycle':<{length}}", *(str(i).rjust(w) for i, w in enumerate(widths))])
    return "\n".join([header, *rows])


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hw.formal", description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", help="cells to prove; all where none is named")
    parser.add_argument("--mutants", action="store_true", help="try the faults too, which must make the proof fail")
    given = parser.parse_args()
    proofs, faults = load()
    known = dict.fromkeys(proof.cell for proof in proofs)
    if unknown := [cell for cell in given.cells if cell not in known]:
        parser.error(f"no proof of {', '.join(unknown)}; there are proofs of {', '.join(known)}")
    wanted = given.cells or list(known)
    wrong = 0
    for proof in proofs:
        if proof.cell in wanted:
            began = time.monotonic()
            verdict = prove(proof)
            wrong += not verdict.proven
            print(f"{proof.name}: {verdict} ({time.monotonic() - began:.1f} s)")
    for fault in faults if given.mutants else ():
        if fault.proof.cell in wanted:
            verdict = prove(fault.proof, fault)
            wrong += verdict.proven
            caught = "MISSED" if verdict.proven else f"noticed: {', '.join(verdict.failing)}"
            print(f"{fault.proof.name}, {fault.what}: {caught}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(_main())
