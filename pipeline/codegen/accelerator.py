"""codegen of a2q_accelerator: the design between a DMA's two streams, with registers on AXI4-Lite.

The top is plain Verilog-2001, which Vivado takes as the top of an IP, around hw/rtl/accelerator_shell.sv and the design.
Beats lie in slots (`hw/driver/a2q_driver/packing.py`); one wider than a stream is split into words, or joined from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from a2q_driver.packing import slot_bytes, stream_bytes
from pipeline import fingerprint
from pipeline.codegen.render import write_template
from pipeline.codegen.rtl import Design, Port
from pipeline.errors import UnsupportedError

__all__ = [
    "SHELL",
    "TOP",
    "StreamWidths",
    "config_hash",
    "converter_parameters",
    "shell_parameters",
    "stream_widths",
    "stream_words",
    "write_accelerator",
]

TOP = "a2q_accelerator"
SHELL = "accelerator_shell"  # the module of hw/rtl between the network and the processors


@dataclass(frozen=True)
class StreamWidths:
    """Bytes of a word of the DMA's streams to and from the accelerator."""

    input: int
    output: int


def config_hash(folder: Path) -> str:
    """The identity of the accelerator with the RTL in `folder`: the digest of all its files but the top."""
    return fingerprint.folder(folder, without=[f"{TOP}.v"])


def stream_widths(design: Design) -> StreamWidths:
    """The widths of the streams of the accelerator around `design`."""
    return StreamWidths(*(stream_bytes(port.bytes) for port in (design.inputs[0], design.outputs[0])))


def write_accelerator(design: Design, folder: Path, config_hash: str) -> Path:
    """Write the module a2q_accelerator around `design` to `folder`/a2q_accelerator.v; the path is returned.

    It needs all of `design.sources`. `config_hash` is what says which build this is, 64 hexadecimal digits, of which the
    registers show the first 32. A file whose content has not changed is not written again.

    Raises UnsupportedError unless the design has one input and one output, ValueError for another `config_hash`.
    """
    if (len(design.inputs), len(design.outputs)) != (1, 1):
        raise UnsupportedError(
            f"{design.name} has {len(design.inputs)} inputs and {len(design.outputs)} outputs; an accelerator for a DMA "
            "has one of each."
        )
    if not re.fullmatch(r"[0-9a-f]{64}", config_hash):
        raise ValueError(f"config hash {config_hash!r}; expected a SHA-256 as 64 lower-case hexadecimal digits")
    path = folder / f"{TOP}.v"
    parameters: dict[str, int | str] = {**shell_parameters(design)}
    parameters |= {"ConfigHash": f"128'h{config_hash[:32]}", "Debug": f"1'b{parameters['Debug']}"}
    write_template("a2q_accelerator.v.jinja", path, top=TOP, design=design, parameters=parameters, layout=_layout)
    return path


def shell_parameters(design: Design) -> dict[str, int]:
    """The parameters of SHELL around `design`, but for ConfigHash, which says which build it is."""
    return {
        "InputBytes": stream_bytes(design.inputs[0].bytes),
        "OutputBytes": stream_bytes(design.outputs[0].bytes),
        "InputWords": stream_words(design.inputs[0]),
        "OutputWords": stream_words(design.outputs[0]),
        "OverflowFlags": len(design.overflow_layers) or 1,
        "Debug": 1 if design.overflow_layers else 0,
        "WeightWords": len(design.weight_words),
    }


def converter_parameters(design: Design) -> dict[str, dict[str, int]]:
    """The parameters of the streaming_data_width_converter at the "input" and the "output" of `design`, where there is one."""
    sides = {"input": _layout(design.inputs[0]), "output": _layout(design.outputs[0])}
    names = {"input": ("stream", "slot"), "output": ("slot", "stream")}
    return {
        side: dict(zip(("InputWidth", "OutputWidth"), (layout[name] for name in names[side]), strict=True))
        for side, layout in sides.items()
        if layout["slot"] != layout["stream"]
    }


def stream_words(port: Port) -> int:
    """Words of the DMA's stream that a frame of `port` takes."""
    return port.beats * (slot_bytes(port.bytes) // stream_bytes(port.bytes))


def _layout(port: Port) -> dict[str, int]:
    """Bits of a word of the stream, of a slot and of a beat of `port`, and words a frame."""
    return {
        "stream": 8 * stream_bytes(port.bytes),
        "slot": 8 * slot_bytes(port.bytes),
        "beat": 8 * port.bytes,
        "words": stream_words(port),
    }
