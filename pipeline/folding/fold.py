"""fold: how parallel each layer is, what stands between layers, and how deep the FIFOs are.

Requires a layer graph without FIFOs and width converters. Ensures that both ends of every stream have the same lanes,
that a FIFO stands on every stream between two layers, and that the graph computes the same integers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from a2q_driver.speed import FIGURES, FINN_FPS, FINN_LATENCY, LATENCY, STEADY_FPS
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.roles import Activating
from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.devices.boards import DEFAULT_BOARD, Board, load_board
from pipeline.devices.resources import PART_KEYS, Resources
from pipeline.errors import ConfigError, ModelError
from pipeline.folding.activations import activations
from pipeline.folding.allowed import allowed
from pipeline.folding.fit import Bound, Fit
from pipeline.folding.fitting import Design, Fitter
from pipeline.folding.folding_config import FoldingConfig
from pipeline.folding.latency import LatencyTarget, fast_levels, within_latency
from pipeline.folding.timing import Prediction
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.unrolled_mvau import UnrolledMVAU

__all__ = [
    "Folded",
    "MvauChoice",
    "cycle_budget",
    "fold",
    "load",
    "save",
    "write_reports",
]


@dataclass(frozen=True)
class MvauChoice:
    """The style that was chosen for an MVAU, and why: the fewest LUTs and DSPs. Estimates."""

    style: str
    fields: dict[str, int | str]  # of the folding, see `pipeline/folding/options.py`
    cycles: int  # between frames
    lut: float  # of the MVAU alone
    dsp: float
    more_lut: dict[str, float | None]  # by other style here, what the network would take more; None if it cannot be had
    more_dsp: dict[str, float | None]


@dataclass(frozen=True)
class Folded:
    """A folded graph and what is predicted of it. Cycles are clock cycles, FIFOs are counted in beats."""

    graph: LayerGraph
    cycles: dict[str, int]  # between frames, by layer, FIFOs excepted
    slowest: str  # the layer with the most
    prediction: Prediction
    deadlock_bounds: dict[str, int]  # by FIFO at the end of a reconvergent path: beats that are enough against deadlock
    estimates: dict[str, Resources]  # by layer, FIFOs included
    choices: dict[str, MvauChoice]  # by MVAU of which the style was left open
    ignored: tuple[str, ...]  # what of the folding file has no meaning for this network
    raised: dict[str, int]  # FIFOs that the folding file makes too shallow, and the depth they have instead
    fit: Fit
    bound: Bound | None = None  # what keeps it from more frames a second, where the most that fit are asked for

    @property
    def requantized(self) -> tuple[Activating, ...]:
        """The layers with a requantizer, in the place of thresholds or of more levels than thresholds can find."""
        return tuple(layer for layer in self.graph if isinstance(layer, Activating) and layer.requantizer)

    @property
    def max_cycles(self) -> int:
        """Clock cycles between frames of the slowest layer."""
        return self.cycles[self.slowest]

    @property
    def critical_path_cycles(self) -> int:
        """FINN's: the layers' cycles added up along the longest path, without any overlap."""
        arrival: dict[str, int] = {self.graph.input: 0}
        for layer in self.graph:
            reached = max(arrival[stream] for stream in layer.input_names) + self.cycles.get(layer.name, 0)
            arrival |= dict.fromkeys(layer.output_names, reached)
        return arrival[self.graph.output]


def cycle_budget(target_fps: float, synth_clk_period_ns: float) -> int:
    """The clock cycles a frame may take. Raises ConfigError if that is less than one, or a value is not above 0."""
    if not (target_fps > 0 and synth_clk_period_ns > 0):
        raise ConfigError(
            f"target_fps = {target_fps} and synth_clk_period_ns = {synth_clk_period_ns}; both must be above 0."
        )
    budget = int(10**9 / (Fraction(str(target_fps)) * Fraction(str(synth_clk_period_ns))))
    if budget < 1:
        raise ConfigError(
            f"target_fps = {target_fps} leaves less than one clock cycle of {synth_clk_period_ns} ns a frame; lower it."
        )
    return budget


def fold(
    graph: LayerGraph,
    budget: int | Literal["max"] | None = None,
    folding_config: Path | Mapping[str, dict[str, Any]] | FoldingConfig | None = None,
    *,
    mvau_style: str | Mapping[str, str] = "folded",
    ram_style: str | Mapping[str, str] = "auto",
    activation_style: str | Mapping[str, str] = "auto",
    scale_multiplier: str | Mapping[str, str] = "auto",
    board: Board | None = None,
    latency: LatencyTarget | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Folded:
    """Fold `graph`, put FIFOs and width converters between its layers and give the FIFOs their depths.

    `mvau_style` is what computes the matrices, of all layers or by layer; see `pipeline/folding/styles.py`. "auto"
    leaves it to what takes the fewest LUTs, within what `board` has, by estimates for its family; a DSP is taken where it
    spares ten LUTs. The board is DEFAULT_BOARD where none is given.
    `ram_style` is what the weights are stored in: distributed, block, ultra, or "auto", which is what synthesis finds
    cheapest, or whatever else there must be for the network to fit the board. `activation_style` is what finds the levels
    of thresholds, and `scale_multiplier` what multiplies in it; see `pipeline/folding/activations.py`. What fits in no
    way is folded as if the board were larger, and `Folded.fit` says so.

    `budget` is the most clock cycles a frame may take, see `cycle_budget`, or "max" for the fewest with which something
    fits the board with some LUTs to spare, and `Folded.bound` says what keeps it from fewer; without it whatever
    `folding_config` leaves open is folded to one lane. `folding_config` is a FINN folding file, its content, or that as it was read; what it
    asks for comes before the budget. A FIFO depth that it gives is used unless it is below what is proven enough
    against deadlock. `latency` is what a frame may take from its first beat in to its last beat out; see
    `pipeline/folding/latency.py`. `tell` gets a line before what takes long, such as the search for an adder graph.
    Raises ConfigError for a folding that does not divide, for a budget or a latency out of reach, for UltraRAM on a
    board without, and for a `ram_style` where nothing has memories of weights.
    """
    config = _read_config(folding_config, graph)
    if config and config.note:
        tell(f"folding file: {config.note}")
    board = board or load_board(DEFAULT_BOARD)
    wishes = allowed(graph, mvau_style, ram_style, config, board)
    levels = activations(graph, activation_style, scale_multiplier, board.family)
    fitter = Fitter(levels.graph, budget, config, wishes, board, tell, levels.open)
    if latency is None:
        design = fitter.design()
    else:
        quick = fast_levels(levels)
        fast = Fitter(quick.graph, budget, config, wishes, board, tell, quick.open)
        design = within_latency(fitter, fast, latency)
    folded = design.graph
    layer_cycles = {layer.name: layer.cycles() for layer in folded.computing}
    return Folded(
        graph=folded,
        cycles=layer_cycles,
        slowest=max(layer_cycles, key=lambda name: layer_cycles[name]),
        prediction=design.sized.prediction,
        deadlock_bounds=design.sized.deadlock_bounds,
        estimates=design.estimates,
        choices=_explained(design, wishes.open),
        ignored=(*wishes.ignored, *config.ignored, *config.without_layer(folded.layers)) if config else (),
        raised=design.raised,
        fit=fitter.fit(design),
        bound=fitter.bound(design),
    )


def _explained(design: Design, names: Collection[str]) -> dict[str, MvauChoice]:
    problem, chosen = design.problem, design.chosen
    others = problem.others(chosen, names, design.capacity)
    return {
        layer.name: MvauChoice(
            folding.style,
            folding.fields,
            folding.cycles,
            problem.estimate(layer, folding).lut,
            problem.estimate(layer, folding).dsp,
            *(
                {
                    style: None if total is None else getattr(total, field) - getattr(chosen.total, field)
                    for style, total in others[layer.name].items()
                }
                for field in ("lut", "dsp")
            ),
        )
        for layer, folding in zip(problem.graph, chosen.layers, strict=True)
        if layer.name in names
    }


def save(folded: Folded, folder: Path) -> None:
    """Write `folder`/graph.json, graph.npz and folded.json."""
    save_graph(folded.graph, folder)
    content = {
        "cycles": folded.cycles,
        "slowest": folded.slowest,
        "prediction": asdict(folded.prediction),
        "deadlock_bounds": folded.deadlock_bounds,
        "estimates": {name: asdict(estimate) for name, estimate in folded.estimates.items()},
        "choices": {name: asdict(choice) for name, choice in folded.choices.items()},
        "ignored": list(folded.ignored),
        "raised": folded.raised,
        "fit": asdict(folded.fit),
        "bound": folded.bound and asdict(folded.bound),
    }
    _write_json(folder / "folded.json", content)


def load(folder: Path) -> Folded:
    """The result that `save` wrote. Raises ModelError for files that are missing or damaged."""
    path = folder / "folded.json"
    try:
        content = json.loads(path.read_text())
        prediction = Prediction(**content.pop("prediction"))
        ignored = tuple(content.pop("ignored"))
        content["estimates"] = {name: Resources(**amounts) for name, amounts in content["estimates"].items()}
        content["choices"] = {name: MvauChoice(**choice) for name, choice in content["choices"].items()}
        fit = content.pop("fit")
        fit = Fit(**_with_pairs(fit) | {name: tuple(fit[name]) for name in ("settings", "boards")})
        bound = content.pop("bound")
        bound = bound and Bound(**_with_pairs(bound))
        return Folded(graph=load_graph(folder), prediction=prediction, ignored=ignored, fit=fit, bound=bound, **content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The folded graph in {folder} cannot be read: {error!r}. Build it again.") from error


def _with_pairs(read: dict[str, Any]) -> dict[str, Any]:
    """What was read of a Fit or a Bound, with tuples where JSON has lists."""
    return read | {"exceeded": {name: tuple(pair) for name, pair in read["exceeded"].items()}}


def write_reports(folded: Folded, folder: Path, synth_clk_period_ns: float) -> None:
    """Write FINN's reports, with its keys, into `folder`/report, and `folder`/auto_folding_config.json.

    estimate_layer_cycles.json, estimate_layer_resources.json, estimate_network_performance.json,
    op_and_param_counts.json. critical_path_cycles is
    FINN's: the layers' cycles summed along the longest path, without any overlap. Beside FINN's keys
    estimate_network_performance.json has what the beat-level analysis predicts: predicted_cycles_between_frames,
    predicted_first_output_cycles, predicted_first_frame_cycles. Where layers are unrolled, adder_graphs.json has their
    graphs, with the interval of every node: what it takes to check them. Where requantizers take the place of thresholds,
    requantizers.json has what they calculate with and the ranges in which they are equal. Where layers are in DSPs,
    dsp_packings.json has the lanes of their words, with the sums that each is proven to hold. Where styles were left open,
    mvau_styles.json says what was chosen.
    """
    report = folder / "report"
    critical = folded.critical_path_cycles
    _write_json(report / "estimate_layer_cycles.json", folded.cycles)
    _write_json(
        report / "estimate_network_performance.json",
        {
            "critical_path_cycles": critical,
            "max_cycles": folded.max_cycles,
            "max_cycles_node_name": folded.slowest,
            "estimated_throughput_fps": 1e9 / (synth_clk_period_ns * folded.max_cycles),
            "estimated_latency_ns": critical * synth_clk_period_ns,
            "predicted_cycles_between_frames": folded.prediction.cycles_between_frames,
            "predicted_first_output_cycles": folded.prediction.first_output,
            "predicted_first_frame_cycles": folded.prediction.first_frame,
            "how": f"estimated_throughput_fps is {FINN_FPS}, {FIGURES[FINN_FPS]}; critical_path_cycles and "
            f"estimated_latency_ns are {FINN_LATENCY}, {FIGURES[FINN_LATENCY]}; the predicted cycles are by an analysis beat "
            f"by beat: {STEADY_FPS} follow from predicted_cycles_between_frames, and {LATENCY} is "
            "predicted_first_frame_cycles",
        },
    )
    _write_json(report / "estimate_layer_resources.json", _estimates(folded.estimates))
    _write_json(report / "op_and_param_counts.json", _operations_and_parameters(folded.graph))
    if folded.choices:
        chosen = {name: asdict(choice) for name, choice in folded.choices.items()}
        how = (
            "the fewest LUTs in all, estimated, a DSP counting as ten; more_lut, more_dsp: what "
            "the network would take more with that style there alone"
        )
        _write_json(report / "mvau_styles.json", {"layers": chosen, "how": how})
    graphs = {layer.name: _adder_graph(layer) for layer in folded.graph if isinstance(layer, UnrolledMVAU)}
    if graphs:
        _write_json(report / "adder_graphs.json", graphs)
    packed = {layer.name: _packings(layer) for layer in folded.graph if isinstance(layer, DspMVAU)}
    if packed:
        _write_json(report / "dsp_packings.json", packed)
    if folded.requantized:
        _write_json(report / "requantizers.json", {layer.name: _requantizer(layer) for layer in folded.requantized})
    _write_json(folder / "auto_folding_config.json", _folding_config(folded.graph))


def _requantizer(layer: Activating) -> dict[str, object]:
    requantizer = layer.requantizer
    assert requantizer is not None
    lo, hi = layer.value_range()
    return {
        "multipliers": requantizer.multipliers.tolist(),
        "addends": requantizer.addends.tolist(),
        "shift": requantizer.shift,
        "rounding": "half to even" if requantizer.half_even else "floor",
        "lowest": layer.output_type.lo,
        "highest": layer.output_type.lo + layer.level_steps,
        "from": lo.tolist(),
        "to": hi.tolist(),
    } | ({"dsps_per_lane": requantizer.dsps} if requantizer.dsps else {})


def _packings(layer: DspMVAU) -> dict[str, object]:
    """The words of a layer in DSPs. Raises VerificationError where a lane does not hold its sums."""
    layer.check_packings()
    if layer.taps > 1:
        return _packings_of_taps(layer)
    words = [
        {
            "offsets": packing.offsets(),
            "pixels": packing.pixels,
            "lane_bits": [lane.bits for lane in packing.lanes],
            "stored_bits": [lane.field_bits for lane in packing.lanes],
            "sums": [[lane.lo, lane.hi] for lane in packing.lanes],
        }
        for packing in layer.packings
    ]
    return {
        "dsp": layer.packings[0].dsp.name,
        "dsps": layer.dsps,
        "mac_per_dsp": round(layer.m * layer.pe * layer.simd / layer.dsps, 3),
        "segments": layer.segments,
        "chains_of_a_word": layer.segmentation.chains,
        "words": words,
        "how": "neighbouring PE lanes share the words of chains of DSPs, one for each column and one that accumulates where "
        "lanes hold the sums of several steps; the sums of the rows that take turns in a lane, or of each of so many segments "
        "of their columns, fit its bits, two's complement, so that at the end no lane reaches into the next; what adds "
        "segments up holds the sums of the rows",
    }


def _packings_of_taps(layer: DspMVAU) -> dict[str, object]:
    words = [
        {
            "offsets": packing.offsets(),
            "pixels": packing.pixels,
            "lane_bits": packing.bits,
            "stored_bits": list(packing.field_bits),
            "sums": [packing.lo, packing.hi],
        }
        for packing in layer.tap_packings
    ]
    return {
        "dsp": layer.tap_packings[0].dsp.name,
        "dsps": layer.dsps,
        "mac_per_dsp": round(layer.m * layer.pe * layer.taps * layer.simd / layer.dsps, 3),
        "taps": layer.taps,
        "zeros_beside_rows": [layer.pad_left, layer.pad_right],
        "words": words,
        "how": "a word for each row of the matrix has its weights of as many neighbouring columns of the kernel as there are taps, "
        "the last one first, and as many pixels, and each DSP of its chain one element of these; its lanes are a piece of the "
        "convolution along a row of the image: the lowest are complete, the others are what the next word starts from; the sums "
        "of the row of the matrix fit the bits of a lane, two's complement, and so do all parts of them",
    }


def _read_config(
    folding_config: Path | Mapping[str, dict[str, Any]] | FoldingConfig | None, graph: LayerGraph
) -> FoldingConfig | None:
    if folding_config is None or isinstance(folding_config, FoldingConfig):
        return folding_config
    if isinstance(folding_config, Mapping):
        return FoldingConfig.parse(dict(folding_config), "(given as a mapping)", graph)
    return FoldingConfig.load(Path(folding_config), graph)


def _estimates(estimates: Mapping[str, Resources]) -> dict[str, object]:
    """By layer, and in total, with FINN's keys."""
    everything = {**estimates, "total": sum(estimates.values(), Resources())}
    return {
        **{
            name: {key: round(amount) for key, amount in estimate.to_report(PART_KEYS).items()}
            for name, estimate in everything.items()
        },
        "how": "estimated before synthesis, by a model fitted to what Yosys counts",
    }


def _operations_and_parameters(graph: LayerGraph) -> dict[str, dict[str, int]]:
    """By layer, and in total: multiply-accumulates a frame, weights and thresholds, by their bits.

    As in FINN, of the two operands of op_mac the narrower is named first, and a threshold has the accumulator's bits.
    FINN counts one threshold a channel, whatever its levels; here every threshold counts. Beside FINN's keys,
    weight_memory_bits is what the weights are stored in, with the indices of those of sparse layers.
    """
    counts: dict[str, dict[str, int]] = {}
    for layer in graph:
        if numbers := layer.op_and_param_counts():
            counts[layer.name] = numbers
    total: dict[str, int] = {}
    for numbers in counts.values():
        for key, number in numbers.items():
            total[key] = total.get(key, 0) + number
    return {**counts, "total": total}


def _adder_graph(layer: UnrolledMVAU) -> dict[str, object]:
    """The graph of an unrolled layer, node by node: the operands as in AdderGraph, then the interval."""
    graph, module = layer.graph, layer.graph_module
    intervals = [[type_.lo, type_.hi] for type_ in module.types[graph.inputs :]]
    return {
        "elements": graph.inputs,
        "element_type": layer.digit_type.name,
        "digits": layer.digits,
        "levels": int(graph.levels().max()),
        "register_stages": module.latency,
        "register_bits": module.register_bits,
        "adders": [[*adder, *interval] for adder, interval in zip(graph.adders.tolist(), intervals, strict=True)],
        "results": graph.results.tolist(),
        **({"copies": layer.m} if layer.m > 1 else {}),
        "how": "adders are [a, p, b, q, sign, lowest, highest]: node elements + i is (a << p) + sign (b << q) and lies "
        "in that interval, exactly; results are [node or -1 for zero, shift, sign]"
        + ("; of copies each is for a pixel" if layer.m > 1 else ""),
    }


def _folding_config(graph: LayerGraph) -> dict[str, dict[str, int | str]]:
    """The folding in the layout of FINN's files, which `fold` reads back where `mvau_style` is as it was, or auto."""
    content: dict[str, dict[str, int | str]] = {"Defaults": {}}
    for layer in graph:
        if folding := layer.finn_folding():
            content[layer.name] = folding
    return content


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
