"""The scripts for Vivado: one makes a bitstream of the block design, the other places and routes one unit alone."""

from __future__ import annotations

import re

import jinja2

from a2q_driver.manifest import ACCELERATOR, DMA
from pipeline.board_design.description import BlockDesign
from pipeline.codegen import harness
from pipeline.files import BOARDS

__all__ = ["BITSTREAM", "STRATEGIES", "TIMING_STATUS", "TOO_SLOW", "UNROUTED_STATUS", "render", "render_out_of_context"]

BITSTREAM = "finn-accel"  # as FINN's deploy folder calls it
TOO_SLOW = "too_slow"  # the folder for a bitstream that does not keep its clock
# Of implementation (UG904, Implementation Strategies), in the order in which they are tried: what FINN's project script
# has, the same with other directives and a second pass after routing, what Kria-PYNQ's base design is made with.
STRATEGIES = ("Performance_ExtraTimingOpt", "Performance_ExplorePostRoutePhysOpt", "Performance_NetDelay_low")
TIMING_STATUS = 3  # what Vivado exits with where the design is not fast enough
UNROUTED_STATUS = 4  # where not every net of a unit could be routed

_PLAIN = re.compile(r"[\w.:/*+-]*", re.ASCII)


class _Word(str):
    """A word of Tcl, in braces if it needs them."""


def _word(value: object) -> _Word:
    """`value` as one word of Tcl. Raises ValueError for one that braces do not keep as it is."""
    text = str(value)
    if text and _PLAIN.fullmatch(text):
        return _Word(text)
    if not text.isprintable() or any(character in text for character in "{}\\"):
        raise ValueError(f"{text!r} cannot be written into a Tcl script")
    return _Word(f"{{{text}}}")


def _plain(value: object) -> object:
    """`value`, which goes into a script as it is. Raises ValueError for one that Tcl might take for more than text."""
    if not isinstance(value, _Word) and not _PLAIN.fullmatch(str(value)):
        raise ValueError(f"{str(value)!r} cannot be written into a Tcl script")
    return value


# Tcl is full of braces
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(BOARDS / "templates"),
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
    finalize=_plain,
)
_TEMPLATES.filters["tcl"] = _word


def render(design: BlockDesign) -> str:
    """The script for `design`, the same for the same design. Its first lines name its inputs and outputs."""
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
        strategies=_Word(" ".join(STRATEGIES)),
        timing_status=TIMING_STATUS,
        too_slow=TOO_SLOW,
    )


def render_out_of_context(script: str, part: str, period_ns: float) -> str:
    """The script, called `script`, that places and routes a unit in its harness on `part` at a clock of `period_ns`."""
    return _TEMPLATES.get_template("out_of_context.tcl.jinja").render(
        script=script,
        part=part,
        period_ns=period_ns,
        top=harness.MODULE,
        unit=harness.UNIT,
        clock=harness.CLOCK,
        unrouted_status=UNROUTED_STATUS,
    )
