"""What a product takes in a 3 × 3 × 16 → 16 layer: folded in look-up tables, and in DSPs, by what shares one. Bounds of
docs/results.md, and its table.

Weights of 4 bits whose sums fit 11, unsigned inputs of 4 bits, 32 × 32 pixels, 15 thresholds, weights in look-up tables;
counted by Yosys out of context for UltraScale+. Takes a minute.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.dataflow.random_rows import draw_row
from pipeline.dataflow.types import IntType
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.mvau import MVAU
from pipeline.report.purposes import layer_lut_by_purpose
from pipeline.synthesis import synth
from pipeline.synthesis.synth import LayerResources
from pipeline.tools import yosys

_BITS, _ROWS, _KERNEL, _COLUMNS = 11, 16, 3, 144
_TAPS = {"m": 2, "taps": _KERNEL, "kernel_height": _KERNEL, "pad_left": 1, "pad_right": 1}
_KINDS: tuple[tuple[str, type[MVAU | DspMVAU], Mapping[str, Any], tuple[int, ...]], ...] = (
    ("none", MVAU, {}, (8,)),
    ("2 rows, 2 pixels", DspMVAU, {"m": 2}, (8, 9, 12)),
    ("3 columns, 2 pixels", DspMVAU, _TAPS, (4, 8)),
)


def drawn(kind: type[MVAU | DspMVAU], **fields: Any) -> MVAU | DspMVAU:
    """The layer as one of `kind`, all rows side by side."""
    generator = np.random.default_rng(1)
    bound = 2 * ((1 << (_BITS - 1)) - 1) // 15  # positive and negative weights alike
    weights = np.stack([draw_row(generator, _COLUMNS, bound, 0.3, centred=True) for _ in range(_ROWS)])
    taken, sums = IntType(0, 15), IntType.of_bits(_BITS, signed=True)
    bits = (_BITS,) * _ROWS
    layer = kind("layer", ("x",), ("y",), weights, taken, sums, (32, 32), None, None, bits, pe=_ROWS, **fields)
    low, high = layer.accumulator_range()
    thresholds = np.sort(generator.integers(low[:, None], high[:, None] + 2, (_ROWS, 15)), axis=1)
    return replace(layer, thresholds=thresholds, output_type=taken)


def _main() -> None:
    table = Table(
        "in a DSP", "SIMD", "products a cycle", "cycles", "LUT", "of these weights", "thresholds", "FF", "DSP",
        "products a DSP", "LUT a product", "without weights and thresholds", box=None,
    )  # fmt: skip
    kinds = [(called, drawn(kind, simd=simd, **fields)) for called, kind, fields, simds in _KINDS for simd in simds]
    with tempfile.TemporaryDirectory(prefix="a2q-bench-") as scratch:
        units = [synth.unit(layer, Path(scratch, str(index))) for index, (_, layer) in enumerate(kinds)]
        counts = yosys.synthesize(units, "xcup", cache=Path(scratch, "cache"))
    for (called, layer), count in zip(kinds, counts, strict=True):
        products = layer.m * layer.pe * layer.simd * getattr(layer, "taps", 1)
        shares = layer_lut_by_purpose(LayerResources(layer.op_type, count.total, count.by_module))
        total = count.total
        weights, thresholds = shares["weight memory"], shares["thresholds"]
        table.add_row(
            called, f"{layer.simd}", f"{products}", f"{layer.cycles():,}", f"{total.lut:,}", f"{weights}", f"{thresholds}",
            f"{total.ff:,}", f"{total.dsp}", f"{products / total.dsp:.2f}" if total.dsp else "–",
            f"{total.lut / products:.2f}", f"{(total.lut - weights - thresholds) / products:.2f}",
        )  # fmt: skip
    Console(width=200).print(table)


if __name__ == "__main__":
    _main()
