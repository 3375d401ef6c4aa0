"""What clock kinds of layers are known to allow, before anything of a build is synthesized: a table of estimates.

The table has, for each kind of layer and family, the longest path that ended in a layer of the kind in the builds that it
was made of. A layer of other parameters may be slower or faster; the stage timing estimates each from its own netlist.
`benchmarks/slowest_paths.py` makes the table anew, and is to be run after the RTL has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pipeline.static_timing.delays import CELL_DELAYS

__all__ = ["TABLE", "clock_warning", "slowest_paths"]

TABLE = Path(__file__).with_name("slowest_paths.json")


def slowest_paths(family: str) -> dict[str, dict[str, float]]:
    """For each kind of layer, the longest path in ns by the name of the net delay."""
    return json.loads(TABLE.read_text())["families"][family]


def clock_warning(op_types: Iterable[str], family: str, clock_period_ns: float) -> str:
    """A sentence on a clock that is shorter than the kinds of layers are known to allow; empty where it is not.

    A kind of which nothing is known is named.
    """
    known = slowest_paths(family)
    present = sorted(set(op_types))
    unknown = [op_type for op_type in present if op_type not in known]
    words = []
    for net, verdict in (("optimistic", "is out of reach"), ("pessimistic", "may be out of reach")):
        slow = {
            op_type: known[op_type][net] for op_type in present if known.get(op_type, {}).get(net, 0) > clock_period_ns
        }
        if slow:
            worst = max(slow, key=slow.__getitem__)
            others = f" and {len(slow) - 1} more" if len(slow) > 1 else ""
            words.append(
                f"{clock_period_ns:.4g} ns {verdict} on {CELL_DELAYS[family].part}: {worst}{others} took up to "
                f"{slow[worst]:.1f} ns in other builds (estimated, {net}; timing estimates this one)"
            )
            break
    if unknown:
        words.append(f"no clock is known of {', '.join(unknown)}")
    return "; ".join(words)
