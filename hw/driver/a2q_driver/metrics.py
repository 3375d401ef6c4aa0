"""What a throughput test has found, with FINN's keys, and beside them what the accelerator counted itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from a2q_driver.shell import Counters
from a2q_driver.speed import FILLING_FPS, WALL_CLOCK_FPS

__all__ = ["throughput_metrics"]

_WORK = {"pack": "pack_input[ms]", "unpack": "unpack_output[ms]"}
_COPIES = {"flush": "copy_input_data_to_device[ms]", "fetch": "copy_output_data_from_device[ms]"}


def throughput_metrics(
    frames: int,
    seconds: float,
    counted: Counters,
    spent: Mapping[str, float],
    frame_bytes: tuple[int, int],
    clock_mhz: float,
    simulated: bool,
) -> dict[str, Any]:
    """The metrics of `frames` frames that took `seconds` from the start of each transfer to its last output in memory.

    `spent` is the time that this machine took for a chunk, by what it did; `frame_bytes` what a frame takes in memory,
    in and out. `how` says of each metric how it is known. What this machine measured of a simulated board is the
    simulator's speed: those names begin with `simulator_`.
    """
    host = "simulator_" if simulated else ""
    measured = {
        f"{host}runtime[ms]": seconds * 1e3,
        f"{host}throughput[images/s]": frames / seconds,
        f"{host}DRAM_in_bandwidth[MB/s]": frames * frame_bytes[0] * 1e-6 / seconds,
        f"{host}DRAM_out_bandwidth[MB/s]": frames * frame_bytes[1] * 1e-6 / seconds,
    }
    work = {name: spent[what] * 1e3 for what, name in _WORK.items()}
    copies = {f"{host}{name}": spent[what] * 1e3 for what, name in _COPIES.items()}
    counts = {name: count for name, count in asdict(counted).items() if not name.startswith("frames")}
    counts["cycles_per_frame"] = counted.cycles / frames
    rate = {"throughput_by_cycles[images/s]": frames * clock_mhz * 1e6 / counted.cycles}
    wall_clock = "measured by the clock of the machine that ran the driver"
    simulator = "of the simulator, not of a board: " if simulated else ""
    how = {
        **dict.fromkeys(measured, f"{simulator}{wall_clock}"),
        "fclk[mhz]": "the design's, corrected by the processing system's clock as its registers have it",
        "batch_size": "as asked for",
        **dict.fromkeys(work, f"{wall_clock}, for one transfer"),
        **dict.fromkeys(copies, f"{simulator}{wall_clock}, for one transfer"),
        **dict.fromkeys(counts, "counted by the accelerator, in cycles in which a frame was in it"),
        **dict.fromkeys(rate, f"{FILLING_FPS}: follows from cycles, at fclk[mhz]"),
    }
    how[f"{host}throughput[images/s]"] = f"{WALL_CLOCK_FPS}: {how[f'{host}throughput[images/s]']}"
    if simulated:
        how["fclk[mhz]"] += ", which the simulated board keeps but does not run at"
    return {**measured, "fclk[mhz]": clock_mhz, "batch_size": frames, **work, **copies, **counts, **rate, "how": how}
