"""dataflow: from the streamlined graph to hardware layers on integers, proven equal on golden frames.

The proof runs both: in the ONNX graph each quantizer of an activation has integers, and the stream that stands for it
must carry the same, in every element. The ONNX graph is evaluated in double from its first quantizer on, where the
order of summation decides no rounding; the outputs must then agree to float32 rounding, and a label be of the largest.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from a2q_driver.network_output import NetworkOutput
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.ranges_seen import RangesSeen
from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.frontend.conversion.builder import Checkpoint
from pipeline.frontend.conversion.host_end import HostPart
from pipeline.frontend.conversion.walk import Conversion, convert_graph, without_ends
from pipeline.frontend.streamline.executor import AT_ONCE, Evaluation, gives_classes, graph_output
from pipeline.frontend.streamline.host_end import HostEnd, several_sources
from pipeline.frontend.streamline.label_end import dropped_label, dropped_step, gives_label, output_step
from pipeline.frontend.streamline.several_outputs import several_outputs

__all__ = ["DataflowResult", "convert", "load", "run"]

# the host's scale and bias are float32: half a unit in the last place of each, and of the network's own products
_OUTPUT_ROUNDING = 2.0**-22
_BATCH = 16


@dataclass(frozen=True)
class DataflowResult:
    """A layer graph that computes what the network does: `quantizers` tensors were compared in every element, on
    `frames` frames, and the real outputs differ by at most `largest_difference` (float32 rounding). `seen` says how much
    of every stream's range these frames reached. `left_out` is what the network has behind the last layer and
    nobody computes, `on_host` what the driver computes of it, as messages call them, or empty, and `top1` whether the label
    is the output."""

    graph: LayerGraph
    quantizers: int
    frames: int
    largest_difference: float
    seen: RangesSeen
    left_out: str = ""
    on_host: str = ""
    top1: bool = False


def run(model: onnx.ModelProto, inputs: np.ndarray, folder: Path, *, top1: bool | None, name: str) -> DataflowResult:
    """`convert`, and the layer graph saved in `folder`."""
    result = convert(model, inputs, top1=top1, name=name)
    save_graph(result.graph, folder)
    result.seen.save(folder)
    return result


def convert(model: onnx.ModelProto, inputs: np.ndarray, *, top1: bool | None, name: str = "network") -> DataflowResult:
    """The layer graph of a streamlined `model`, checked on `inputs` (N, *input shape), raw as the network takes them.

    With `top1` the graph ends in a LabelSelect; None stands for true where the network gives a number for each class, else
    false. What stands behind the last layer then is left out where the largest of its inputs is the largest of its outputs;
    else it becomes steps of the host, which are compared with it on the same inputs. An ArgMax that gives the label is left
    out where the output is whole because `top1` is False. Raises UnsupportedError for nodes that cannot be built, and
    VerificationError, with layer, quantizer and channel, where the integers differ.
    """
    model, ends = without_ends(whole := model)
    several = several_outputs(whole)
    end = next(iter(ends), None) if several is None else None
    evaluation, output = Evaluation(model, precise=True), graph_output(model.graph)
    label = gives_label(whole) and (end is None or end.keeps_order)
    if top1 and not label:
        raise UnsupportedError(
            f"The network {name} ends in {_joined(end, dropped_label(whole))}, which gives no label. Build without output: "
            "top1."
        )
    asked = top1
    if top1 is None:
        top1 = label and gives_classes(evaluation.run(inputs[:1])[output])
    try:
        conversion = convert_graph(model, top1=top1, name=name)
    except UnsupportedError as error:
        reason = several_sources(whole)
        if not reason:
            raise
        raise UnsupportedError(f"{error} {reason}", error.obstacles) from None
    keep = {checkpoint.tensor for checkpoint in conversion.checkpoints}
    part = None if top1 or end is None else HostPart(whole, end, (1, *conversion.layout.shape))
    parts = [] if part is None else [part]
    outputs = conversion.graph.outputs
    if several is not None:
        of_outputs = [
            None if host is None else HostPart(whole, host, (1, *output.places.shape))
            for host, output in zip(ends, outputs, strict=True)
        ]
        parts = [host for host in of_outputs if host is not None]
        outputs = tuple(map(_with_steps, outputs, of_outputs, several.labels))
    keep |= {host.source for host in parts}
    transform = conversion.graph.input_transform
    assert transform is not None  # what converts a network makes one

    def compare(first: int) -> tuple[float, dict[str, tuple[int, int]]]:
        frames = inputs[first : first + _BATCH]
        tensors = evaluation.run(frames, keep=keep, until=output)
        streams = conversion.graph.execute(transform.apply(frames))
        for host in parts:
            host.compare(tensors[host.source])
        return _compare(conversion, streams, tensors, output, first), RangesSeen.ends(streams)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        differences, ranges = zip(*pool.map(compare, range(0, len(inputs), _BATCH)), strict=True)
    seen = RangesSeen.of(conversion.graph, ranges)
    quantizers = len(conversion.checkpoints)
    # the label that somebody did not want is not computed on the host either
    last = "" if gives_label(whole) and asked is not None else dropped_label(whole)
    steps = part.steps if part is not None else ()
    rank = 1 + conversion.layout.ndim if part is None else part.rank
    step = None if top1 or not last else dropped_step(whole, len(steps), rank)
    if step is not None:
        steps = (*steps, step)
    graph = replace(conversion.graph, outputs=outputs)
    if steps:
        graph = replace(graph, output_transform=replace(conversion.transform, steps=steps, layout=conversion.layout))
    left_out = _joined(end, dropped_label(whole)) if top1 else dropped_label(whole) if step is None else ""
    on_host = "" if top1 else _joined(end, last)
    if several is not None:
        dropped = (label.get("node", "") for label in several.labels)
        on_host = ", ".join(filter(None, map(_joined, ends, dropped)))
    return DataflowResult(graph, quantizers, len(inputs), max(differences), seen, left_out, on_host, top1)


def _with_steps(output: NetworkOutput, part: HostPart | None, label: Mapping[str, Any]) -> NetworkOutput:
    """`output` with what the driver computes for it: `part`, and then what `label_step` says of a `label`."""
    steps = () if part is None else part.steps
    if label:
        rank = 1 + output.places.ndim if part is None else part.rank
        steps = (*steps, output_step(label, len(steps), rank))
    return replace(output, steps=steps)


def _joined(end: HostEnd | None, dropped: str) -> str:
    """What messages call both."""
    return " and ".join(filter(None, ("" if end is None else str(end), dropped)))


def load(folder: Path) -> LayerGraph:
    """The graph that `run` saved."""
    return load_graph(folder)


def _compare(
    conversion: Conversion,
    streams: Mapping[str, np.ndarray],
    tensors: Mapping[str, np.ndarray],
    output: str,
    first: int,
) -> float:
    """The largest difference of the real `output`, one of the network's `tensors`, for frames whose integers are equal.

    `streams` are of the same frames: golden frame `first` and those after it.
    """
    graph, frames = conversion.graph, len(tensors[output])
    for checkpoint in conversion.checkpoints:
        _compare_integers(conversion, checkpoint, streams[checkpoint.stream], tensors[checkpoint.tensor], first)
    real = streams[conversion.logits] * conversion.transform.scale + conversion.transform.bias
    real = real.reshape(frames, -1)[:, conversion.layout.ravel()]
    expected = tensors[output].reshape(frames, -1)
    difference = float(np.abs(real - expected).max())
    largest = _magnitude(conversion, streams[conversion.logits])
    if difference > _OUTPUT_ROUNDING * largest:
        raise VerificationError(
            f"The layer graph's outputs differ from the network's by {difference:.3g}, more than float32 rounding of "
            f"values up to {largest:.3g} explains, in golden frames {first} to {first + frames - 1}."
        )
    label = graph.layers[-1]
    if label.gives_label:
        # outputs that are equal, as integers, may differ in the network's last bits, so any largest one will do
        short = expected.max(axis=1) - expected[np.arange(frames), streams[graph.output].ravel()]
        if short.max() > 2 * _OUTPUT_ROUNDING * largest:
            frame = int(short.argmax())
            raise VerificationError(
                f"Layer {label.name} selects output {streams[graph.output].ravel()[frame]} for golden frame "
                f"{first + frame}, where the network's largest is {expected[frame].argmax()}."
            )
    return difference


def _magnitude(conversion: Conversion, integers: np.ndarray) -> float:
    """The largest term or sum in the outputs, which is what rounding is relative to."""
    transform = conversion.transform
    return float(np.abs(integers * transform.scale).max() + np.abs(transform.bias).max())


def _compare_integers(
    conversion: Conversion, checkpoint: Checkpoint, stream: np.ndarray, tensor: np.ndarray, first: int
) -> None:
    integers = np.take(stream.reshape(len(stream), -1), checkpoint.layout.ravel(), axis=1).reshape(tensor.shape)
    integers = integers.astype(np.int64) - checkpoint.shift
    scale = np.broadcast_to(checkpoint.scale, stream.shape[1:]).ravel()[checkpoint.layout.ravel()]
    scale = scale.reshape(tensor.shape[1:])
    wrong = integers * scale != tensor  # the quantizer's own product, in double as well
    if not wrong.any():
        return
    expected = np.round(tensor / scale)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    writer = next((x for x in conversion.graph.layers if checkpoint.stream in x.output_names), None)
    layer = f"Layer {writer.name} ({writer.source})" if writer else "The input transform"
    raise VerificationError(
        f"{layer} gives {integers[place]} where the network's quantizer {checkpoint.tensor} gives "
        f"{expected[place]:.0f}, in golden "
        f"frame {first + place[0]}, channel {place[1]}; {int(wrong.sum())} of {integers.size} "
        "elements differ."
    )
