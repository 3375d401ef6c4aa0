"""Netlists of units, as Yosys maps them: Yosys' JSON, of one unit, compressed.

A unit's netlist holds the modules that it uses, hierarchy kept, and nothing of the primitives' models, source locations or
names that Yosys made up for nets. Yosys' `read_json` takes it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["read_netlist", "unit_netlist"]

_LEFT_OUT = ("src", "hdlname", "keep_hierarchy", "keep")


def unit_netlist(design: Mapping[str, Any], top: str) -> bytes:
    """The netlist of the module `top` of `design`, as the content of a .json.gz file.

    `design` is what `write_json` gives. A module is called as its source is (read_slang calls it <module>$<path>), and a
    number comes behind from the second of a kind on; the attribute `source` has the name without it.
    """
    modules = design["modules"]
    names = {top: top}
    taken: dict[str, int] = {}
    pending = [top]
    for module in pending:
        for cell in modules[module]["cells"].values():
            kind = cell["type"]
            if kind in names or not _is_design(modules.get(kind)):
                continue
            stem = kind.split("$", 1)[0]
            taken[stem] = taken.get(stem, 0) + 1
            names[kind] = stem if taken[stem] == 1 and stem != top else f"{stem}_{taken[stem]}"
            pending.append(kind)
    modules_of_unit = {names[module]: _simplified(modules[module], names) for module in pending}
    for module in pending:
        modules_of_unit[names[module]]["attributes"] = {"source": module.split("$", 1)[0]}
    modules_of_unit[top]["attributes"]["top"] = f"{1:032b}"
    text = json.dumps({"creator": design["creator"], "modules": modules_of_unit}, separators=(",", ":"))
    return gzip.compress(text.encode(), 6, mtime=0)


def read_netlist(path: Path) -> dict[str, Any]:
    """The design in the file `path`, which `unit_netlist` gave the content of."""
    return json.loads(gzip.decompress(path.read_bytes()))


def _is_design(module: Mapping[str, Any] | None) -> bool:
    return module is not None and not {"blackbox", "whitebox"} & module["attributes"].keys()


def _simplified(module: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """`module` with its instances called by `names`, without what neither simulation nor timing needs."""
    cells = {
        cell: {
            "hide_name": entry["hide_name"],
            "type": names.get(entry["type"], entry["type"]),
            "parameters": entry["parameters"],
            "attributes": {},
            "port_directions": entry.get("port_directions", {}),
            "connections": entry["connections"],
        }
        for cell, entry in module["cells"].items()
    }
    nets = {}
    for net, entry in module["netnames"].items():
        attributes = {key: value for key, value in entry["attributes"].items() if key not in _LEFT_OUT}
        if not entry["hide_name"] or "init" in attributes:
            nets[net] = {**entry, "attributes": attributes}
    return {"attributes": {}, "ports": module["ports"], "cells": cells, "netnames": nets}
