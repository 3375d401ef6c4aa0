"""What a build of a comparison comes to, as plain values with how each is known.

A PointRecord is read from the results of a build's stages; what it says is what the build's own report says. Records
travel as JSON. `content` is the SHA-256 of all else but the seconds, so that two machines that built the same agree.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ModelError

if TYPE_CHECKING:
    from pipeline.compare.points import Point
    from pipeline.dataflow.graph import LayerGraph
    from pipeline.dataflow.layer import Layer
    from pipeline.report.facts import BuildFacts

__all__ = [
    "Failure",
    "LayerRecord",
    "PointAxes",
    "PointRecord",
    "axes_of",
    "folding_digest",
    "network_of",
    "read_record",
    "style_of",
]

_FOLDING_FIELDS = ("pe", "simd", "lanes", "digits", "ram_style")  # of a layer, those that it has
_BOUND = re.compile(r"_a2q(_plus)?_\d+b$")


@dataclass(frozen=True)
class LayerRecord:
    """One matrix: what computes it, the bits of its widest accumulator by each bound and in hardware, its LUTs.

    `style` is folded, unrolled or sparse; `claimed` the P that it was trained for, None without. `lut` is counted by
    synthesis.
    """

    layer: str
    source: str  # its name in the user's network
    style: str
    datatype_bits: int
    l1_bits: int
    exact_bits: int
    claimed: int | None
    used_bits: int
    lut: int


@dataclass(frozen=True)
class PointAxes:
    """Where a build stands in its comparison; `name` says it for people."""

    name: str
    model: str
    policy: str
    per_pe: bool
    board: str
    target_fps: float | str
    seed: int


def axes_of(point: Point) -> dict[str, Any]:
    """The fields of PointAxes for `point`, by name."""
    config = point.config
    return {
        "name": point.name,
        "model": point.model,
        "policy": config.accumulators.policy,
        "per_pe": config.accumulators.per_pe,
        "board": config.board_name,
        "target_fps": config.target_fps,
        "seed": config.seed,
    }


@dataclass(frozen=True)
class PointRecord(PointAxes):
    """A finished build of a comparison: the point, the network, the accelerator.

    `lut` to `dsp` are counted by synthesis, `cycles` and `fps` simulated, at the configured clock `clock_mhz`;
    `lut_estimated` is what `fold` went by. `capacity` is what the part has, by the names of the fields `lut` to `dsp`.
    `purposes` is what the LUTs are for, by the names in `pipeline/report/purposes.py`; they sum to `lut`.
    `ecp5_mhz` and `vivado_mhz` are of the slowest MVAU, placed and routed alone on an ECP5 and on the board's part;
    None where that was not asked for, or Vivado was not there.
    """

    network: str  # the model's name without method and P
    method: str  # a2q, a2q_plus, or empty for a network without a bound
    p: int | None  # the accumulator bits that hidden layers were trained for
    part: str
    weights: str  # trained, synthetic, or user's file
    provenance: str
    top1: float | None  # percent; None where it is not known, and always for weights that were not trained
    top1_how: str  # how `top1` was obtained; empty without
    sparsity: float | None  # share of zeros among the integer weights of hidden layers
    cycles: int | None  # between frames; None where one frame was simulated
    fps: float | None
    clock_mhz: float
    ecp5_mhz: float | None
    vivado_mhz: float | None
    lut: int
    ff: int
    bram_36k: float
    uram: int
    dsp: int
    capacity: dict[str, float]
    lut_estimated: float
    purposes: dict[str, int]
    layers: tuple[LayerRecord, ...]
    folding: str  # see `folding_digest`
    psnr: float | None = None  # of super resolution, in dB; see BuildResult
    content: str = ""
    seconds: float = 0.0  # of the stages, when each ran

    def sealed(self) -> PointRecord:
        """The same with the `content` that belongs to it."""
        return replace(self, content=_digest(asdict(self)))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> PointRecord:
        """The record that `to_json` wrote. Raises ModelError for one that is damaged."""
        try:
            values = json.loads(text)
            record = cls(**{**values, "layers": tuple(LayerRecord(**layer) for layer in values["layers"])})
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"A record of a comparison cannot be read: {error!r}. Compare again.") from None
        if record.content != _digest(values):
            raise ModelError(f"The record of {record.name} is not what was written. Delete it and compare again.")
        return record


@dataclass(frozen=True)
class Failure(PointAxes):
    """A point of a comparison that could not be built: the stage that failed, and what it said."""

    stage: str
    message: str


def read_record(point: Point, results: Mapping[str, Path]) -> PointRecord:
    """The record of `point`, built, from the folders of the `results` of its stages.

    Raises ModelError for a result that is missing or damaged.
    """
    from pipeline.report.facts import read_facts
    from pipeline.report.purposes import lut_by_purpose
    from pipeline.report.super_resolution import mean_psnr

    facts = read_facts(results, point.config.target_fps)
    model, resources = facts.model, facts.resources
    used, report = resources.total, results.get("report")
    capacity = resources.capacity
    return PointRecord(
        **axes_of(point),
        network=network_of(model.name),
        method=model.method,
        p=model.accumulator_bits,
        part=resources.part,
        weights=model.weights,
        provenance=model.provenance,
        top1=model.top1,
        top1_how=model.top1_how,
        psnr=None if model.weights == "synthetic" or not report else mean_psnr(report / "report"),
        sparsity=_sparsity(facts),
        cycles=facts.network.steady_cycles,
        fps=facts.throughput_fps,
        clock_mhz=facts.network.clock_mhz,
        ecp5_mhz=facts.timing.slowest_mhz if facts.timing else None,
        vivado_mhz=facts.timing.slowest_mhz_by_vivado if facts.timing else None,
        lut=int(used.lut),
        ff=int(used.ff),
        bram_36k=used.bram_36k,
        uram=int(used.uram),
        dsp=int(used.dsp),
        capacity={
            "lut": capacity.lut,
            "ff": capacity.ff,
            "bram_36k": capacity.bram_36k,
            "uram": capacity.uram,
            "dsp": capacity.dsp,
        },
        lut_estimated=round(sum(estimate.lut for estimate in facts.folded.estimates.values()), 1),
        purposes=lut_by_purpose(resources),
        layers=_layers(facts),
        folding=folding_digest(facts.folded.graph),
        seconds=round(sum(stage.seconds for stage in facts.stages), 1),
    ).sealed()


def network_of(model: str) -> str:
    """The name of a network without the method and the P that it was trained with.

    >>> network_of("quant_resnet8_w4a4_a2q_plus_12b")
    'quant_resnet8_w4a4'
    """
    return _BOUND.sub("", model)


def folding_digest(graph: LayerGraph) -> str:
    """Eight hex digits of what computes each layer, with which PE, SIMD, lanes, digits and memory; FIFOs are left out.

    Two graphs of one network are folded alike where they are equal.
    """
    layers = [
        (layer.name, layer.op_type, [getattr(layer, field, None) for field in _FOLDING_FIELDS])
        for layer in graph.computing
    ]
    return hashlib.sha256(json.dumps(layers).encode()).hexdigest()[:8]


def style_of(layer: Layer) -> str:
    """What computes the matrix of `layer`: folded, unrolled, sparse or dsp."""
    from pipeline.kernels.matrix_vector import MatrixVector

    return layer.style if isinstance(layer, MatrixVector) else "folded"


def _layers(facts: BuildFacts) -> tuple[LayerRecord, ...]:
    return tuple(
        LayerRecord(
            layer=proven.layer,
            source=proven.source,
            style=style_of(facts.folded.graph.layer(proven.layer)),
            datatype_bits=proven.bits["datatype"],
            l1_bits=proven.bits["l1"],
            exact_bits=proven.bits["exact"],
            claimed=proven.claimed,
            used_bits=proven.bits_used,
            lut=int(facts.resources.layers[proven.layer].total.lut),
        )
        for proven in facts.certificate.layers
    )


def _sparsity(facts: BuildFacts) -> float | None:
    """The share of zeros in the layers that were trained for a P; without any, in all but the first and the last."""
    layers = facts.certificate.layers
    hidden = [layer for layer in layers if layer.claimed is not None] or layers[1:-1]
    weights = sum(layer.k * layer.rows for layer in hidden)
    return sum(layer.zeros for layer in hidden) / weights if weights else None


def _digest(values: Mapping[str, Any]) -> str:
    """The digest of a record's values but for `content` and `seconds`."""
    rest = {key: value for key, value in values.items() if key not in ("content", "seconds")}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
