from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.dataflow.ranges_seen import RANGES_FILE, RangesSeen, SeenRange
from pipeline.frontend.conversion import dataflow
from tests.dataflow.networks import Network


def network() -> Network:
    n = Network(6)
    n.quant(0.5, 4)
    n.matmul(6, 3)
    n.quant(2.0, 3, signed=0)
    n.matmul(3, 2)
    return n


def test_every_stream_is_told_with_what_frames_reached(tmp_path: Path) -> None:
    n = network()
    frames = np.full((20, 6), 0.5, np.float32)
    frames[3] = 3.5
    result = dataflow.run(n.model(), frames, tmp_path, top1=False, name="net")
    seen = result.seen.input
    assert (seen.type, seen.lo, seen.hi, seen.seen_lo, seen.seen_hi) == ("INT4", -8, 7, 1, 7)
    assert seen.share == 7 / 16 and str(seen) == "1 to 7 of -8 to 7 (INT4)"
    assert list(result.seen.streams) == ["input", *(s for s in result.graph.streams if s != "input")]
    streams = result.graph.execute(result.graph.input_transform.apply(frames))
    for name, values in streams.items():
        assert (result.seen.streams[name].seen_lo, result.seen.streams[name].seen_hi) == (values.min(), values.max())
    assert RangesSeen.load(tmp_path) == result.seen and (tmp_path / RANGES_FILE).is_file()


def test_whole_ranges_are_counted() -> None:
    seen = RangesSeen({"input": SeenRange("UINT4", 0, 15, 0, 15), "a": SeenRange("INT4", -8, 7, -8, 6)})
    assert seen.whole == 1 and seen.streams["a"].share == 15 / 16
