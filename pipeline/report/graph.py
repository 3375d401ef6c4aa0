"""report/graph.json: the network as it was built, layer by layer and stream by stream, for the page and for others.

Keys are FINN's where FINN has one. `how` says of each group of figures how it is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.registry import kernels
from pipeline.dataflow.roles import Accumulating, Activating
from pipeline.devices.resources import Resources
from pipeline.kernels.matrix_vector import STYLES, MatrixVector
from pipeline.report.facts import BuildFacts
from pipeline.report.purposes import layer_lut_by_purpose
from pipeline.static_timing.estimate import OPTIMISTIC, PESSIMISTIC

__all__ = ["BETWEEN", "FILE", "HOW", "network_graph"]

FILE = "graph.json"
HOW: Mapping[str, str] = {
    "cycles": "predicted by the folding, observed by the simulation of the layer alone, between two frames",
    "resources": "counted by synthesis, out of context",
    "estimated": "estimated before synthesis, by the model that foldings are chosen by",
    "path_ns": "estimated from the netlist, with a pessimistic and an optimistic delay of nets",
    "slack_ns": "the period of the clock that was configured less path_ns: negative where the layer is too slow for it",
    "accumulator": "proven for every input of the type; observed in simulation, witness inputs included",
    "fifo": "depths by analysis, peaks observed in simulation, stalls included",
    "trace": "observed in simulation at full speed, from the release of reset on",
    "seen": "observed on the golden frames, by the layers' reference",
    "other_styles": "estimated: what the whole network would take more with that style here",
}
BETWEEN = frozenset(name for name, kernel in kernels().items() if kernel.between_layers)
"""The op_type of layers that only move beats: FIFOs and width converters."""

_RESOURCES = ("LUT", "FF", "BRAM_18K", "URAM", "DSP")
_MOST_BARS = 64  # of a histogram


def network_graph(facts: BuildFacts) -> dict[str, Any]:
    """The content of report/graph.json."""
    graph = facts.folded.graph
    return {
        "name": facts.model.name,
        "board": facts.resources.board,
        "fpga_part": facts.resources.part,
        "fclk[mhz]": facts.network.clock_mhz,
        "input": graph.input,
        "output": graph.output,
        "layers": [_layer(facts, layer) for layer in graph],
        "streams": [_stream(facts, name) for name in (graph.input, *(n for n in graph.streams if n != graph.input))],
        "trace": _trace(facts),
        "how": dict(HOW),
    }


def _trace(facts: BuildFacts) -> dict[str, Any] | None:
    """What each layer's output did, in spans of so many `cycles`, and when each of the frames in it had left. `cycles_a_beat` is
    what a beat of the layer takes it at the least."""
    trace = facts.trace
    if trace is None:
        return None
    bins = max(map(len, trace.sent.values()), default=0)
    return {
        "cycles": trace.cycles,
        "bins": bins,
        "layers": [
            {
                "layer": name,
                "cycles_a_beat": _cycles_a_beat(facts.folded.graph.layer(name)),
                "sent": sent,
                "held": trace.held[name],
            }
            for name, sent in trace.sent.items()
        ],
        "frame_ends": [cycle for cycle in facts.network.frame_cycles if cycle < bins * trace.cycles],
    }


def _layer(facts: BuildFacts, layer: Layer) -> dict[str, Any]:
    counted = facts.resources.layers[layer.name]
    path = facts.estimated.layers.get(layer.name)
    entry: dict[str, Any] = {
        "name": layer.name,
        "op_type": layer.op_type,
        "source": layer.source,
        "inputs": list(layer.input_names),
        "outputs": list(layer.output_names),
        "folding": layer.finn_folding(),
        "resources": _taken(counted.total),
        "lut_by_purpose": {p: lut for p, lut in layer_lut_by_purpose(counted).items() if lut},
        "estimated": _taken(facts.folded.estimates[layer.name]),
    }
    if path:
        entry["path_ns"] = {"pessimistic": round(path.ns[PESSIMISTIC], 3), "optimistic": round(path.ns[OPTIMISTIC], 3)}
        wanted = facts.estimated.clock_period_ns
        entry["slack_ns"] = {name: round(wanted - ns, 3) for name, ns in entry["path_ns"].items()}
    if layer.is_fifo:
        entry["fifo"] = {"depth": layer.finn_folding()["depth"], "peak": facts.network.fifo_peaks[layer.name]}
        return entry
    run = facts.layers.get(layer.name)
    entry["cycles"] = {
        "predicted": layer.cycles(),
        "observed": run.observed_cycles if run else None,
        "depth": layer.latency(),
    }
    if isinstance(layer, MatrixVector):
        entry["mvau_style"] = layer.style
    if isinstance(layer, Accumulating):
        entry |= {"weights": _weights(layer), "accumulator": _accumulator(facts, layer)}
    if isinstance(layer, Activating) and layer.activates:
        entry["levels"] = _levels(layer)
    if choice := facts.folded.choices.get(layer.name):
        entry["other_styles"] = {
            style: {"LUT": round(lut), "DSP": round(choice.more_dsp[style] or 0)}
            for style in STYLES
            if style != choice.style and (lut := choice.more_lut.get(style)) is not None
        }
    return entry


def _cycles_a_beat(layer: Layer) -> float:
    return round(layer.cycles() / layer.outputs()[0].beats, 4)


def _stream(facts: BuildFacts, name: str) -> dict[str, Any]:
    graph = facts.folded.graph
    connection = graph.streams[name]
    reader = next((layer for layer in graph if name in layer.input_names), None)
    writer = graph.writer(name)
    end = reader.inputs()[reader.input_names.index(name)] if reader else None
    end = end or (writer.outputs()[writer.output_names.index(name)] if writer else None)
    assert end is not None  # a stream has an end
    entry = {
        "name": name,
        "producer": connection.producer,
        "consumer": connection.consumer,
        "shape": list(connection.shape),
        "type": connection.type.name,
        "range": [connection.type.lo, connection.type.hi],
        "lanes": end.lanes,
        "bits": end.bits,
        "beats": end.beats,
    }
    if seen := facts.seen.streams.get(name):
        entry["seen"] = [seen.seen_lo, seen.seen_hi]
    return entry


def _taken(resources: Resources) -> dict[str, float]:
    report = resources.to_report(_RESOURCES)
    return {key: round(report[key], 1) for key in _RESOURCES}


def _weights(layer: Accumulating) -> dict[str, Any]:
    """How often each weight stands in the matrix; of more than _MOST_BARS values, ranges of them."""
    weights = layer.weights
    lo, hi = int(weights.min()), int(weights.max())
    step = -(-(hi - lo + 1) // _MOST_BARS)
    counts = Counter(((weights.ravel() - lo) // step).tolist())
    histogram = [[lo + step * place, counts.get(place, 0)] for place in range((hi - lo) // step + 1)]
    return {
        "type": layer.weight_type.name,
        "shape": list(weights.shape),
        "zeros": int(np.count_nonzero(weights == 0)),
        "histogram": histogram,
        "bin": step,
    }


def _accumulator(facts: BuildFacts, layer: Accumulating) -> dict[str, Any]:
    proven = facts.certificate.layer(layer.name)
    run = facts.layers.get(layer.name)
    extremes = run.accumulator if run else None
    return {
        "bits": proven.bits_used,
        "policy": proven.policy,
        "claimed": proven.claimed,
        "bounds": {name: bits for name, bits in proven.bits.items() if bits is not None},
        "proven": [proven.lowest.value, proven.highest.value],
        "observed": list(extremes.observed) if extremes else None,
    }


def _levels(layer: Activating) -> dict[str, Any]:
    if layer.requantizer is None:
        return {"by": "thresholds", "steps": layer.level_steps, "memories": layer.threshold_styles()}
    return {
        "by": "requantizer",
        "steps": layer.level_steps,
        "multiplier_bits": layer.requantizer.multiplier_bits,
        "shift": layer.requantizer.shift,
        "DSP": layer.requantizer.dsps,
    }
