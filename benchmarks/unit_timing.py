"""The longest paths of units by the estimate of `pipeline/static_timing`, hop by hop: what to register next.

Of a module of hw/rtl with given parameters, or of layers of a build: its folder, as `a2q build … --until fold` leaves
it. Units are synthesized by Yosys, seconds each, and kept in the folder --cache.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from pipeline.dataflow.graph import LayerGraph
from pipeline.stages import fold, synth
from pipeline.stages.codegen import rtl_sources
from pipeline.static_timing.circuit import flatten
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.paths import Path as TimingPath
from pipeline.static_timing.paths import analyse
from pipeline.tools import yosys
from pipeline.tools.netlist import read_netlist


def folded(build: Path) -> LayerGraph:
    """The folded graph of the build in the folder `build`."""
    logged = (build / "logs" / "fold.txt").stat()
    for folder in build.parent.glob(".cache/fold/*/"):
        if (folder / "log.txt").exists() and (folder / "log.txt").stat().st_ino == logged.st_ino:
            return fold.load(folder).graph
    raise SystemExit(f"{build} has no folded graph beside it in .cache; build it with --until fold")


def printed(path: TimingPath) -> str:
    lines = [
        f"  {path.ns:.2f} ns, {path.mhz:.0f} MHz: {path.luts} LUT, {path.carries} carry, fan-out {path.fan_out}: "
        f"{path.start} → {path.end}"
    ]
    at = 0.0
    for hop in path.hops:
        at += hop.net_ns + hop.cell_ns
        net = f"net {hop.net_ns:.2f} (fan-out {hop.fan_out})" if hop.fan_out else ""
        cell = f"{hop.cell}{f'.{hop.pin}' if hop.pin else ''}"
        lines.append(f"    {net:26} {cell:12} {hop.cell_ns:5.2f} {at:6.2f}  {hop.module:28} {hop.signal}")
    return "\n".join(lines)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", type=Path, help="folder of a build")
    parser.add_argument("--layer", action="append", default=[], help="layers of it; without, all, one line each")
    parser.add_argument("--top", help="module of hw/rtl")
    parser.add_argument("-G", action="append", default=[], metavar="NAME=VALUE", help="parameter of --top")
    parser.add_argument("--memory", action="append", default=[], type=Path, help="memory file that --top reads")
    parser.add_argument("--family", choices=sorted(CELL_DELAYS), action="append", default=[])
    parser.add_argument("--net", choices=("optimistic", "pessimistic"), action="append", default=[])
    parser.add_argument("--paths", type=int, default=1, help="worst paths to print of each unit")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir(), "a2q-unit-timing"))
    options = parser.parse_args()
    families = options.family or sorted(CELL_DELAYS, reverse=True)
    nets = options.net or ["optimistic", "pessimistic"]
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        units = {}
        if options.top:
            (source,) = (path for path in rtl_sources() if path.stem == options.top)
            parameters = dict(pair.split("=", 1) for pair in options.G)
            sources = yosys.needed_sources(source, rtl_sources())
            units[options.top] = yosys.Unit(options.top, sources, options.memory, parameters)
        elif options.build:
            for layer in folded(options.build):
                if not options.layer or layer.name in options.layer:
                    units[layer.name] = synth.unit(layer, Path(scratch, layer.name))
        else:
            parser.error("name a build or --top")
        detailed = bool(options.top or options.layer)
        for family in families:
            if len(units) > 1:
                yosys.synthesize(list(units.values()), family, cache=options.cache)
            rows = []
            for name, unit in units.items():
                netlist = yosys.netlist(unit, family, cache=options.cache)
                found = analyse(flatten(read_netlist(netlist)), CELL_DELAYS[family])
                if detailed:
                    for net in nets:
                        print(f"{name}, {CELL_DELAYS[family].part}, {net} (estimated)")
                        print("\n".join(printed(path) for path in found[net].worst(options.paths)))
                else:
                    rows.append((name, *(found[net].worst(1)[0] for net in nets)))
            for name, *paths in sorted(rows, key=lambda row: -row[-1].ns):
                rates = "".join(f"{path.mhz:6.0f}" for path in paths)
                worst = paths[-1]
                print(
                    f"{family:5}{name:32}{rates} MHz  {worst.luts} LUT {worst.carries} carry {worst.fan_out:5}  "
                    f"{worst.start} → {worst.end}"
                )


if __name__ == "__main__":
    _main()
