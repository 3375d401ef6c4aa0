"""The names of the figures of an accelerator's speed, each for one thing: what pages, tables and printed lines call it.

The pipeline takes them from here, too, so that a figure of a build and one of a board are called the same.
"""

from __future__ import annotations

__all__ = [
    "FIGURES",
    "FILLING_FPS",
    "FINN_FPS",
    "FINN_LATENCY",
    "LATENCY",
    "STEADY_FPS",
    "WALL_CLOCK_FPS",
]

STEADY_FPS = "steady frames/s"
FILLING_FPS = "frames/s with filling"
WALL_CLOCK_FPS = "frames/s by wall clock"
FINN_FPS = "FINN's estimate of frames/s"
LATENCY = "latency"
FINN_LATENCY = "FINN's estimate of latency"

# the main one first
FIGURES = {
    STEADY_FPS: "the clock over the cycles between two frames, once the pipeline is full",
    LATENCY: "from the first word of a frame in to its last word out, of a frame that finds the pipeline empty",
    FILLING_FPS: "frames over the time from the first word in to the last word out: the more frames, the nearer to steady",
    WALL_CLOCK_FPS: "frames over the seconds that the host measured, its own work and the DMA's included",
    FINN_FPS: "the clock over the cycles of the slowest layer alone",
    FINN_LATENCY: "the layers' cycles added up along the longest path, as if no two overlapped",
}
"""What each is."""
