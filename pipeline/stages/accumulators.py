"""accumulators: how wide every sum is, and the proof that it is wide enough.

Requires a layer graph. Ensures that every layer with accumulators has `accumulator_bits`, none of them less than the
exact range of its row needs, so that the network's integers are unchanged; streams and shapes are untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from pipeline.accumulators.certificate import Certificate, LayerCertificate
from pipeline.accumulators.policy import Policy
from pipeline.accumulators.witness import Witness
from pipeline.dataflow.bounds import RowBounds, row_bounds
from pipeline.dataflow.dsp_packing import DSPS, lane_packings
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.roles import Accumulating
from pipeline.errors import ConfigError
from pipeline.frontend.streamline import COPY
from pipeline.stage import Context, Stage
from pipeline.stages.groups import LAYERS, NETWORK

__all__ = ["STAGE", "assign"]

_Value = TypeVar("_Value")


def run(context: Context) -> str:
    from pipeline.accumulators.certificate import write_proof
    from pipeline.dataflow.storage import load_graph, save_graph
    from pipeline.models import resolve
    from pipeline.report.markdown import span

    record, _ = resolve.load(context.inputs["resolve"])
    options = context.options.accumulators
    graph, certificate = assign(
        load_graph(context.inputs["dataflow"]),
        options.policy,
        options.layers,
        options.per_pe,
        record.target_bits,
        options.bits,
    )
    save_graph(graph, context.folder)
    for layer in certificate.layers:
        bounds = ", ".join(f"{name} {bits}" for name, bits in layer.bits.items())
        context.log(
            f"{layer.layer}: {layer.bits_used} bits, range {layer.lowest.value} to {layer.highest.value}; {bounds}"
        )
    write_proof(certificate, graph.accumulating, context.folder / "report")
    widths = [layer.bits_used for layer in certificate.layers]
    by_type = [bits for layer in certificate.layers if (bits := layer.bits["datatype"]) is not None]
    line = (
        f"{span(widths, 'bits')} by the policy {certificate.policies}, proven; {span(by_type)} by data types alone; "
        f"{certificate.claims}"
    )
    if options.bits is not None:
        line += ", P as the configuration states it"
    if certificate.policy == "target" and not any(layer.claimed for layer in certificate.layers):
        line += ", so this is exact"
    return line


def assign(
    graph: LayerGraph,
    policy: str = "exact",
    overrides: Mapping[str, str] | None = None,
    per_pe: bool = False,
    target_bits: Mapping[str, int] | None = None,
    stated_bits: int | Mapping[str, int] | None = None,
) -> tuple[LayerGraph, Certificate]:
    """Give every layer of `graph` that has accumulators their widths.

    `policy` is one of pipeline/accumulators/policy.py; `overrides` gives some layers another. `target_bits` is the
    model's P, for the layers that have one; `stated_bits`, what the configuration says of all layers or of some, goes
    before it. All go by the layer's name, or by its name in the user's network. Without `per_pe` all rows of a layer are
    as wide as its widest; with it each row has its own width, and a PE lane is as wide as the widest row that the folding
    gives it. Write the certificate with `Certificate.write`.

    Raises AccumulatorError where a width would not hold a layer's exact range, or the policy's bound does not hold for
    its weights, ConfigError for a policy or a layer that
    is not known.
    """
    default = Policy.parse(policy)
    by_layer = {name: Policy.parse(text) for name, text in (overrides or {}).items()}
    units = graph.accumulating
    stated = dict.fromkeys((unit.name for unit in units), stated_bits) if isinstance(stated_bits, int) else stated_bits
    _check_names(units, by_layer, "an accumulator policy")
    _check_names(units, stated or {}, "a P")
    _check_names(units, target_bits or {}, "a target width")
    assigned, entries = {}, []
    for unit in units:
        rows = row_bounds(unit.weights, unit.input_type, unit.weight_type.bits, unit.bias)
        target = _lookup(stated or {}, unit) or _lookup(target_bits or {}, unit)
        chosen = _lookup(by_layer, unit) or default
        called = f"{unit.name} ({unit.source})" if unit.source else unit.name
        widths = chosen.widths(called, rows, target)
        if not per_pe:
            widths = (max(widths),) * len(widths)
        assigned[unit.name] = unit.with_accumulator_bits(widths)
        entries.append(_certify(unit, rows, chosen, widths, target))
    layers = tuple(assigned.get(layer.name, layer) for layer in graph)
    return replace(graph, layers=layers), Certificate(str(default), per_pe, tuple(entries))


def _names(unit: Accumulating) -> tuple[str, ...]:
    """The names that a user may give a layer: its name in hardware, that of its weights, and that of its module."""
    weights = unit.source.partition(COPY)[0]  # which layers may share
    return tuple(filter(None, (unit.name, weights, weights.removesuffix(".weight"))))


def _lookup(values: Mapping[str, _Value], unit: Accumulating) -> _Value | None:
    return next((values[name] for name in _names(unit) if name in values), None)


def _check_names(units: Sequence[Accumulating], values: Mapping[str, object], what: str) -> None:
    unknown = sorted(set(values) - {name for unit in units for name in _names(unit)})
    if unknown:
        names = ", ".join(f"{unit.name} ({unit.source})" if unit.source else unit.name for unit in units)
        raise ConfigError(f"{unknown[0]} is given {what}, but the network has no such layer. Its layers are: {names}.")
    for unit in units:
        called = sorted({name for name in _names(unit) if name in values})
        if len({str(values[name]) for name in called}) > 1:
            raise ConfigError(
                f"{' and '.join(called)} are one layer, and are given {what} each. Leave one of them out."
            )


def _widest(widths: list[int | None]) -> int | None:
    """The largest of `widths`; None where a bound does not hold for all rows."""
    known = [width for width in widths if width is not None]
    return max(known) if len(known) == len(widths) else None


def _certify(
    unit: Accumulating, rows: tuple[RowBounds, ...], policy: Policy, widths: tuple[int, ...], target: int | None
) -> LayerCertificate:
    return LayerCertificate(
        layer=unit.name,
        source=unit.source,
        policy=str(policy),
        k=unit.weights.shape[1],
        n=unit.input_type.bits,
        m=unit.weight_type.bits,
        input_lo=unit.input_type.lo,
        input_hi=unit.input_type.hi,
        claimed=target,
        bits={
            "exact": max(row.exact for row in rows),
            "l1": max(row.l1 for row in rows),
            "a2q_plus": _widest([row.a2q_plus for row in rows]),
            "datatype": max(row.datatype for row in rows),
        },
        row_bits=widths,
        largest_l1_norm=max(row.l1_norm for row in rows),
        dsp_packings={
            dsp.name: lane_packings(unit.weights, unit.input_type, max(row.exact for row in rows), dsp)
            for dsp in DSPS.values()
        },
        zeros=int(np.count_nonzero(unit.weights == 0)),
        lowest=Witness.of(unit, min(range(len(rows)), key=lambda channel: rows[channel].lo), highest=False),
        highest=Witness.of(unit, max(range(len(rows)), key=lambda channel: rows[channel].hi), highest=True),
    )


STAGE = Stage(
    "accumulators",
    "the width of every sum, with the proof",
    run,
    reads=("accumulators",),
    needs=("resolve", "dataflow"),
    packages=(*NETWORK, *LAYERS),
    sources=("pipeline/accumulators/check_certificate.py",),
)
