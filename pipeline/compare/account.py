"""The sentences of a comparison: the builds that were compared, and the origin of each figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from a2q_driver.speed import STEADY_FPS
from pipeline.compare.ratios import rate_label
from pipeline.compare.record import Failure, PointRecord
from pipeline.text_file import count

__all__ = ["describe", "describe_networks", "exceeded", "how_known", "one_of_each_network"]

_HOW_KNOWN = (
    ("LUT, FF, BRAM, URAM, DSP", "counted by synthesis (Yosys) of each layer alone and summed; not placed, not routed"),
    ("cycles", "clock cycles between frames of the whole network, simulated (Verilator) with exact outputs"),
    (STEADY_FPS, "the configured clock over the simulated cycles; nothing here confirms that the clock is reached"),
    (
        "accumulator bits",
        "of a layer's widest accumulator, the narrowest layer to the widest; proven to hold every sum",
    ),
    ("top-1", "as said of each network below; untrained networks have none"),
    ("PSNR", "of what the integers of the hardware's reference make of reduced photographs, for super resolution"),
    ("sparsity", "the share of zeros, counted among the integer weights of hidden layers"),
)
_TIMING_KNOWN = (
    (
        "MHz on ECP5",
        "of the slowest MVAU alone, by nextpnr on a Lattice ECP5: not the board's device, it compares rows",
    ),
    ("MHz by Vivado", "of the slowest MVAU, placed and routed alone on the board's part, where Vivado was on PATH"),
)


def how_known(records: Sequence[PointRecord]) -> tuple[tuple[str, str], ...]:
    """The figures of a comparison, and how each is known."""
    timed = any(record.ecp5_mhz or record.vivado_mhz for record in records)
    restored = any(record.psnr is not None for record in records)
    known = tuple(line for line in _HOW_KNOWN if restored or line[0] != "PSNR")
    return known + (_TIMING_KNOWN if timed else ())


def describe(records: Sequence[PointRecord], failures: Sequence[Failure]) -> str:
    """How many accelerators, where and for what rate; how many do not fit and how many could not be built."""
    parts = []
    if records:
        boards = ", ".join(dict.fromkeys(record.board for record in records))
        rates = ", ".join(dict.fromkeys(rate_label(record.target_fps) for record in records))
        clocks = ", ".join(f"{clock:g} MHz" for clock in dict.fromkeys(record.clock_mhz for record in records))
        networks = len(one_of_each_network(records))
        parts.append(
            f"{count(len(records), 'accelerator')} of {count(networks, 'network')} on {boards}, for {rates} at {clocks}."
        )
    if large := [record for record in records if exceeded(record)]:
        takes = "takes" if len(large) == 1 else "take"
        parts.append(f"{count(len(large), 'accelerator')} {takes} more of a resource than the board has.")
    if failures:
        parts.append(f"{count(len(failures), 'build')} failed.")
    return " ".join(parts)


def describe_networks(records: Sequence[PointRecord]) -> list[tuple[str, str]]:
    """The name of each network, and where its weights and its accuracy are from."""
    lines = []
    for record in one_of_each_network(records):
        text = record.provenance
        if record.weights == "synthetic":
            text = f"UNTRAINED: {text}; it has no accuracy, and its LUTs are those of weights that nobody trained"
        elif record.top1 is not None:
            text += f". Top-1 {record.top1:.2f} %, {record.top1_how}"
        elif record.psnr is not None:
            text += f". PSNR {record.psnr:.2f} dB over 8 crops of photographs; `super_resolution.json` of each build has them"
        lines.append((record.model, text))
    return lines


def exceeded(record: PointRecord) -> tuple[str, ...]:
    """The resources of which a record takes more than its part has, as its fields are called."""
    return tuple(name for name, capacity in record.capacity.items() if getattr(record, name) > capacity)


def one_of_each_network(records: Iterable[PointRecord]) -> list[PointRecord]:
    """The first record of each set of weights; its facts of the network hold for the others."""
    first: dict[tuple[object, ...], PointRecord] = {}
    for record in records:
        first.setdefault((record.model, record.weights, record.provenance, record.seed), record)
    return list(first.values())
