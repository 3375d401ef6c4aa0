"""Stitching: a FIFO on every stream, and width converters where its two ends have unlike lanes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import lcm

from pipeline.dataflow.graph import Connection, LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.vvau import VVAU

__all__ = ["MINIMUM_DEPTH", "Beat", "conversions", "stitch", "with_depths"]

Beat = tuple[int, int]  # its lanes, and the pixels whose lanes these are

MINIMUM_DEPTH = 2  # a FIFO of one beat could not be read and written in every cycle


def stitch(graph: LayerGraph) -> LayerGraph:
    """`graph` with StreamingFIFO_<i> on every stream between two layers, MINIMUM_DEPTH deep, and converters.

    What takes whole windows takes them straight from the ParallelWindow that makes them: they are wide, and in step. So
    does what is behind a layer that pushes (see `pipelines.py`).

    Converters are those of `conversions`. A FIFO
    stands behind each converter too: an MVAU takes a vector in a burst that a converter cannot follow. FIFOs and
    converters are numbered in the order of the streams. The values of the streams that were there are unchanged.
    """
    streams = graph.streams
    read = {name: stream for layer in graph for name, stream in zip(layer.input_names, layer.inputs(), strict=True)}
    readers = {name: layer for layer in graph for name in layer.input_names}
    feeds: dict[str, str] = {}  # stream → the one that its reader now reads
    counts = {"StreamingFIFO": 0, "StreamingDataWidthConverter": 0}
    stitched: list[Layer] = []
    for layer in graph:
        stitched.append(replace(layer, input_names=tuple(feeds.get(name, name) for name in layer.input_names)))
        for name, written in zip(layer.output_names, layer.outputs(), strict=True):
            if streams[name].consumer and not _in_step(layer, readers[name]):
                out, into = ((stream.lanes, stream.pixels) for stream in (written, read[name]))
                between = _between(streams[name], conversions(out, into, written.shape[2]), counts)
                stitched += between
                feeds[name] = between[-1].output_names[0]
    return replace(graph, layers=tuple(stitched))


def with_depths(graph: LayerGraph, depths: dict[str, int]) -> LayerGraph:
    """`graph` with the FIFOs named in `depths` that many beats deep."""
    layers = tuple(layer.folded({"depth": depths[layer.name]}) if layer.name in depths else layer for layer in graph)
    return replace(graph, layers=layers)


def _in_step(writer: Layer, reader: Layer) -> bool:
    pushes = isinstance(writer, UnrolledMVAU) and writer.pushes
    return pushes or (isinstance(writer, ParallelWindow) and isinstance(reader, UnrolledMVAU | VVAU))


def conversions(written: Beat, read: Beat, channels: int) -> list[Beat]:
    """The beats from those that are `written` to those that are `read`, of pixels of `channels`, each converter making the
    next of the one before.

    One converter where the lanes of one end divide those of the other, else two, over the least common multiple. Where the
    pixels of a beat change, beats become whole pixels first, and these change alike.
    """
    (lanes_out, out), (lanes_in, into) = written, read
    if out == into:
        between = [(lcm(lanes_out, lanes_in), out)]
    else:
        between = [(m * channels, m) for m in (out, lcm(out, into), into)]
    beats = [written, *between, read]
    return [beat for i, beat in enumerate(beats) if i == 0 or beat != beats[i - 1]]


def _between(stream: Connection, beats: list[Beat], counts: dict[str, int]) -> list[Layer]:
    layers: list[Layer] = [_fifo(stream, stream.name, beats[0], counts)]
    for (in_lanes, in_m), (out_lanes, out_m) in pairwise(beats):
        index = counts["StreamingDataWidthConverter"]
        counts["StreamingDataWidthConverter"] += 1
        name = f"{stream.name}_dwc{index}"
        layers.append(
            StreamingDataWidthConverter(
                f"StreamingDataWidthConverter_{index}",
                layers[-1].output_names,
                (name,),
                shape=stream.shape,
                type=stream.type,
                in_lanes=in_lanes,
                out_lanes=out_lanes,
                in_m=in_m,
                out_m=out_m,
            )
        )
        layers.append(_fifo(stream, name, (out_lanes, out_m), counts))
    return layers


def _fifo(stream: Connection, source: str, beat: Beat, counts: dict[str, int]) -> StreamingFIFO:
    index = counts["StreamingFIFO"]
    counts["StreamingFIFO"] += 1
    return StreamingFIFO(
        f"StreamingFIFO_{index}",
        (source,),
        (f"{source}_fifo",),
        shape=stream.shape,
        type=stream.type,
        lanes=beat[0],
        depth=MINIMUM_DEPTH,
        m=beat[1],
    )
