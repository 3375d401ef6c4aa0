"""The script that makes a bitstream of the block design in Vivado."""

from __future__ import annotations

import re

import jinja2

from a2q_driver.manifest import ACCELERATOR, DMA
from pipeline.board_design.description import BlockDesign
from pipeline.boards import BOARDS_FOLDER

__all__ = ["BITSTREAM", "TIMING_STATUS", "render"]

BITSTREAM = "finn-accel"  # as FINN's deploy folder calls it
TIMING_STATUS = 3  # what Vivado exits with where the design is not fast enough

_PLAIN = re.compile(r"[\w.:/*+-]+")


def _word(value: object) -> str:
    """`value` as one word of Tcl. Raises ValueError for one that braces do not keep as it is."""
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    if any(character in text for character in "{}\\"):
        raise ValueError(f"{text!r} cannot be written into a Tcl script")
    return f"{{{text}}}"


# Tcl is full of braces
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(BOARDS_FOLDER / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
)
_TEMPLATES.filters["tcl"] = _word


def render(design: BlockDesign) -> str:
    """The script for `design`, the same for the same design; what it takes and leaves is said at its top."""
    accelerator = design.cell(ACCELERATOR)
    vendor, library, top, version = accelerator.vlnv.split(":")
    return _TEMPLATES.get_template("build.tcl.jinja").render(
        design=design,
        accelerator=accelerator,
        vendor=vendor,
        library=library,
        top=top,
        version=version,
        dma=DMA,
        bitstream=BITSTREAM,
        timing_status=TIMING_STATUS,
    )
