"""The longest paths of units by the estimate of `pipeline/static_timing`, hop by hop: what to register next.

Of a module of hw/rtl with given parameters, or of layers of a build: its folder, as `a2q build … --until fold` leaves
it. Units are synthesized by Yosys, seconds each, and kept in the folder --cache.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from pipeline.codegen.rtl import rtl_sources
from pipeline.dataflow.graph import LayerGraph
from pipeline.folding import fold
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.static_timing.estimate import connections, network_of, timing_of
from pipeline.static_timing.paths import Path as TimingPath
from pipeline.synthesis import synth
from pipeline.tools import yosys


def folded(build: Path) -> LayerGraph:
    """The folded graph of the build in the folder `build`."""
    logged = (build / "logs" / "fold.txt").stat()
    for folder in build.parent.glob(".a2q-cache/fold/*/"):
        if (folder / "log.txt").exists() and (folder / "log.txt").stat().st_ino == logged.st_ino:
            return fold.load(folder).graph
    raise SystemExit(f"{build} has no folded graph beside it in .a2q-cache; build it with --until fold")


def printed(path: TimingPath) -> str:
    """A line on the path, and one for each hop."""
    lines = [
        f"  {path.ns:.2f} ns, {path.mhz:.0f} MHz: {path.luts} LUT, {path.carries} carry, fan-out {path.fan_out}: "
        + ends(path)
    ]
    at = 0.0
    for hop in path.hops:
        at += hop.net_ns + hop.cell_ns
        net = f"net {hop.net_ns:.2f} (fan-out {hop.fan_out})" if hop.fan_out else ""
        cell = f"{hop.cell}{f'.{hop.pin}' if hop.pin else ''}"
        signal = f"{hop.unit}: {hop.signal}"
        lines.append(f"    {net:26} {cell:12} {hop.cell_ns:5.2f} {at:6.2f}  {hop.module:28} {signal}")
    return "\n".join(lines)


def ends(path: TimingPath) -> str:
    """Where it starts and ends, with the unit where that is another one."""
    start, end = path.start, path.end
    return f"{'' if start.unit == end.unit else f'{start.unit}: '}{start.signal} → {end.signal or end.cell}"


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
    parser.add_argument("--alone", action="store_true", help="each layer alone, between registers, not in its network")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir(), "a2q-unit-timing"))
    options = parser.parse_args()
    if not options.top and not options.build:
        parser.error("name a build or --top")
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        units, drivers = {}, {}
        if options.top:
            (source,) = (path for path in rtl_sources() if path.stem == options.top)
            parameters = dict(pair.split("=", 1) for pair in options.G)
            sources = yosys.needed_sources(source, rtl_sources())
            units[options.top] = yosys.Unit(options.top, sources, options.memory, parameters)
        else:
            graph = folded(options.build)
            around = synth.surroundings(graph)
            wanted = options.layer if options.alone and options.layer else [layer.name for layer in graph] + [*around]
            units = {
                layer.name: synth.unit(layer, Path(scratch, layer.name)) for layer in graph if layer.name in wanted
            }
            units |= {name: unit for name, unit in around.items() if name in wanted}
            drivers = {} if options.alone else connections(graph, list(around))
        for family in options.family or sorted(CELL_DELAYS, reverse=True):
            yosys.synthesize(list(units.values()), family, cache=options.cache)
            netlists = {name: yosys.netlist(unit, family, cache=options.cache) for name, unit in units.items()}
            network = network_of(netlists, drivers, family)
            timings = {net.name: timing_of(network, i) for i, net in enumerate(CELL_DELAYS[family].nets)}
            timings = {name: timing for name, timing in timings.items() if name in (options.net or timings)}
            part = CELL_DELAYS[family].part
            if options.top or options.layer:
                for name in options.layer or units:
                    for net, timing in timings.items():
                        print(f"{name}, {part}, {net} (estimated)")
                        print("\n".join(map(printed, timing.worst(name, options.paths))))
                continue
            print(f"{part}, {' and '.join(timings)} MHz (estimated)")
            rows = [(name, [path for timing in timings.values() for path in timing.worst(name, 1)]) for name in units]
            for name, paths in sorted(rows, key=lambda row: -row[1][-1].ns):
                rates, worst = "".join(f"{path.mhz:6.0f}" for path in paths), paths[-1]
                what = f"{worst.luts} LUT {worst.carries} carry {worst.fan_out:5}"
                print(f"{family:5}{name:32}{rates}  {what}  {ends(worst)}")


if __name__ == "__main__":
    _main()
