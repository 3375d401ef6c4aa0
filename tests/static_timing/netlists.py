"""Netlists in Yosys' JSON, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_OUTPUTS = ("O", "O5", "O6", "Q", "CO", "DOA", "DOUTADOUT", "DOUTBDOUT", "P")


def cell(kind: str, parameters: Mapping[str, str] | None = None, /, **pins: Sequence[int | str] | int | str) -> dict:
    """A cell, its pins given as a bit or bits: numbers, or "0" and "1"."""
    bits = {port: list(pin) if isinstance(pin, list | range) else [pin] for port, pin in pins.items()}
    directions = {port: "output" if port in _OUTPUTS else "input" for port in bits}
    return {
        "hide_name": 1,
        "type": kind,
        "parameters": dict(parameters or {}),
        "attributes": {},
        "port_directions": directions,
        "connections": bits,
    }


def instance(module: str, directions: Mapping[str, str], /, **pins: Sequence[int | str] | int | str) -> dict:
    """An instance of a module of the design."""
    return cell(module, **pins) | {"port_directions": dict(directions)}


def module(
    cells: Sequence[dict] | Mapping[str, dict],
    inputs: Mapping[str, Sequence[int]] | None = None,
    outputs: Mapping[str, Sequence[int | str]] | None = None,
    names: Mapping[str, Sequence[int]] | None = None,
    *,
    source: str = "unit",
    top: bool = True,
) -> dict[str, Any]:
    ports = {port: {"direction": "input", "bits": list(bits)} for port, bits in (inputs or {}).items()}
    ports |= {port: {"direction": "output", "bits": list(bits)} for port, bits in (outputs or {}).items()}
    nets = {port: entry["bits"] for port, entry in ports.items()} | {n: list(b) for n, b in (names or {}).items()}
    placed = cells if isinstance(cells, Mapping) else {f"$c{i}": entry for i, entry in enumerate(cells)}
    return {
        "attributes": {"source": source} | ({"top": f"{1:032b}"} if top else {}),
        "ports": ports,
        "cells": dict(placed),
        "netnames": {name: {"hide_name": 0, "bits": bits, "attributes": {}} for name, bits in nets.items()},
    }


def design(top: dict[str, Any], **modules: dict[str, Any]) -> dict[str, Any]:
    return {"creator": "by hand", "modules": {"top": top, **modules}}
