"""One proof in a process of its own: an error in Yosys ends the process that holds it.

Reads a job from standard input, see `formal.py`, and works in the folder that holds its sources. Writes depends.json, the
claims on single cycles that do not hold, or the log of the induction to induction.txt and, where it fails, the state that
it fails from to state.json; then the log of a search from the reset on to search.txt, and what it finds to path.json. Of
what is known to be broken the search comes first, and the induction only where it finds nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyosys import libyosys


def _main() -> None:
    job = json.load(sys.stdin)
    design = libyosys.Design()

    def run(*commands: str) -> None:
        for command in commands:
            libyosys.run_pass(command, design)

    top = job["top"]
    parameters = " ".join(f"-G {name}={value}" for name, value in job["parameters"].items())
    run(f"read_slang --top {top} {parameters} {' '.join(job['sources'])}", f"hierarchy -top {top}", "proc", "flatten")
    run("memory_map", "wreduce", "opt -full", "async2sync", "dffunmap", "opt_clean", "chformal -lower")
    depends = []
    for signal, inputs in job["independent"].items():
        for name in inputs:
            run(
                f"select -set reached w:{name} %coe*:-$dff w:{signal} %i", "tee -q -o reached.txt select -list @reached"
            )
            if Path("reached.txt").read_text().strip():
                depends.append(f"{signal} depends on {name} within a cycle")
    if depends:
        Path("depends.json").write_text(json.dumps(depends))
        return
    module = design.top_module()
    shown = ["-show-ports", "-show-regs", *(f"-show {signal}" for signal in job["independent"])]
    for name in [name.str() for name in module.cells_]:
        cell = module.cell(libyosys.IdString(name))
        if cell.type.str() == "$assert":  # a signal says in which cycles it does not hold
            label = job["fails"] + name.removeprefix("\\")
            fails = module.addWire(libyosys.IdString(f"\\{label}"), 1)
            broken = module.Not(libyosys.IdString(f"$not{name}"), cell.getPort(libyosys.IdString("\\A")))
            enabled = cell.getPort(libyosys.IdString("\\EN"))
            module.addAnd(libyosys.IdString(f"$and{name}"), enabled, broken, libyosys.SigSpec(fails))
            shown.append(f"-show {label}")
    claims = f"-prove-asserts {' '.join(shown)} {top}"
    reset = " ".join(f"-set-at {cycle + 1} rst_ni 0" for cycle in range(job["reset"]))
    search = f"tee -o search.txt sat -seq {job['reset'] + job['search']} {reset} -dump_json path.json {claims}"
    if job["search"] and job["broken"]:
        run(search)
        if Path("path.json").is_file():
            return
    run(f"tee -o induction.txt sat -tempinduct -maxsteps {job['induction']} -dump_json state.json -seq 1 {claims}")
    if job["search"] and not job["broken"] and Path("state.json").is_file():
        run(search)


if __name__ == "__main__":
    _main()
