"""Makes pipeline/static_timing/slowest_paths.json anew: the longest estimated path of each kind of layer, by family.

Of the builds named, each left by `a2q build … --until fold`: all their layers, or those named behind a colon,
BUILD:LAYER,LAYER, where a register is assumed in place of the others. Every distinct layer is synthesized for both families,
which takes a minute or two a build and family, more where layers are unrolled, and is kept in the folder --cache. Prints the
table; with --check, writes nothing and fails where a kind has become slower than the table says.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from unit_timing import folded

from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.estimate import OPTIMISTIC, PESSIMISTIC, estimate
from pipeline.static_timing.slowest_paths import TABLE
from pipeline.synthesis import synth
from pipeline.tools import yosys


def _slowest(build: str, family: str, cache: Path) -> dict[str, dict[str, float]]:
    folder, _, named = build.partition(":")
    graph = folded(Path(folder))
    around = synth.surroundings(graph)
    chosen = named.split(",") if named else [*(layer.name for layer in graph), *around]
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        units = {name: around.get(name) or synth.unit(graph.layer(name), Path(scratch, name)) for name in chosen}
        yosys.synthesize(list(units.values()), family, cache=cache)
        netlists = {name: yosys.netlist(unit, family, cache=cache) for name, unit in units.items()}
    slowest: dict[str, dict[str, float]] = {}
    for layer in estimate(graph, netlists, family, "", 1.0).layers.values():
        kind = slowest.setdefault(layer.op_type, {OPTIMISTIC: 0.0, PESSIMISTIC: 0.0})
        kind.update({net: max(kind[net], round(ns, 2)) for net, ns in layer.ns.items()})
    return slowest


def _described(build: str) -> str:
    folder, _, named = build.partition(":")
    return Path(folder).name + (f", {len(named.split(','))} of its layers" if named else "")


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", metavar="BUILD[:LAYER,LAYER]")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir(), "a2q-unit-timing"))
    options = parser.parse_args()
    families: dict[str, dict[str, dict[str, float]]] = {}
    for family in CELL_DELAYS:
        kinds = families.setdefault(family, {})
        for build in options.builds:
            for op_type, ns in _slowest(build, family, options.cache).items():
                known = kinds.setdefault(op_type, ns)
                known.update({net: max(known[net], ns[net]) for net in ns})
        for op_type, ns in sorted(kinds.items(), key=lambda kind: -kind[1][PESSIMISTIC]):
            print(f"{family:5}{op_type:30}{ns[OPTIMISTIC]:6.2f}{ns[PESSIMISTIC]:6.2f} ns", flush=True)
    if options.check:
        old = json.loads(TABLE.read_text())["families"]
        slower = [
            f"{family} {op_type}: {ns[net]} ns {net}, {old[family].get(op_type, {}).get(net, 0)} in the table"
            for family, kinds in families.items()
            for op_type, ns in kinds.items()
            for net in ns
            if ns[net] > old[family].get(op_type, {}).get(net, 0)
        ]
        print("\n".join(slower) or "no kind is slower than the table says")
        sys.exit(bool(slower))
    content = {
        "made by": "benchmarks/slowest_paths.py: the longest path that ended in a layer of the kind, in ns, estimated",
        "of": [_described(build) for build in options.builds],
        "pyosys": yosys.version(),
        "families": {family: dict(sorted(kinds.items())) for family, kinds in families.items()},
    }
    TABLE.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    _main()
