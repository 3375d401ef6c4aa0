"""The purposes of LUTs, by the modules that hold them.

Synthesis counts each module of hw/rtl within each layer, so a purpose is a set of modules: a kernel says that of its
own module, and some of all modules in them; the table here has the cells. Two things are finer than that. The memory in
`mvau` is the vector that it replays, a copy of the window; and in a sparse layer the memories of its walkers' windows
and of the sums that wait are one module, which is counted with the windows. An adder graph of constant weights
multiplies and adds in one: it counts as adder trees.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.dataflow.registry import kernels
from pipeline.synthesis.synth import LayerResources, ResourceReport

__all__ = ["CELLS", "COLOURS", "PURPOSES", "layer_lut_by_purpose", "lut_by_purpose", "module_purposes"]

PURPOSES = (
    "multipliers",
    "adder trees",
    "accumulators",
    "thresholds",
    "weight memory",
    "sliding windows",
    "FIFOs",
    "glue",
)
"""In the order that they are shown in. Glue is the rest: handshakes, control, width converters, and the small arithmetic
of pooling, of residual additions and of the choice of a class."""

# Okabe and Ito's palette: told apart in every common colour blindness
COLOURS: Mapping[str, str] = MappingProxyType(
    dict(
        zip(
            PURPOSES,
            ("#E69F00", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#56B4E9", "#F0E442", "#999999"),
            strict=True,
        )
    )
)

CELLS: Mapping[str, str] = MappingProxyType(
    {
        "product_pair": "multipliers",
        "digit_adder": "multipliers",
        "adder_tree": "adder trees",
        "adder": "adder trees",
        "layer_adder_graph": "adder trees",  # generated
        "dot_product": "multipliers",
        "mvau_pe": "accumulators",
        "dsp_lanes": "accumulators",
        "dsp_chain": "accumulators",
        "dsp_accumulator": "accumulators",
        "segment_adder": "accumulators",
        "lane_tree": "accumulators",
        "lane_turns": "thresholds",  # or accumulators, of segments
        "lane_choice": "thresholds",
        "sparse_mvau_pe": "accumulators",
        "activation": "thresholds",
        "requantize": "thresholds",
        "dsp_scale": "thresholds",
        "multiply_add": "thresholds",
        "threshold_search": "thresholds",
        "threshold_bank": "thresholds",
        "weight_memory": "weight memory",
        "rom": "weight memory",
        "loaded_uram": "weight memory",
        "simple_dual_port_ram": "sliding windows",  # but in a StreamingFIFO
        "cyclic_counter": "FIFOs",
        "result_buffer": "FIFOs",
        "result_fifo": "FIFOs",
        "label_tree": "glue",
        "interval_counter": "glue",
        "spill_register": "glue",
        "accelerator_shell": "glue",
        "axi_lite_slave": "glue",
        "range_monitor": "glue",  # in simulation only
    }
)
"""The purpose of every module that is no kernel's own; what is generated around a layer, the wrapper with AXI names, is
glue too."""


def module_purposes() -> dict[str, str]:
    """The purpose of every module of hw/rtl, and of what is generated for a layer."""
    return dict(CELLS) | {kernel.module: kernel.lut_purpose for kernel in kernels().values()}


def lut_by_purpose(resources: ResourceReport) -> dict[str, int]:
    """The LUTs of all layers by purpose, every one of PURPOSES in order; the sum is `resources.total.lut`."""
    luts = dict.fromkeys(PURPOSES, 0)
    for layer in resources.layers.values():
        for purpose, lut in layer_lut_by_purpose(layer).items():
            luts[purpose] += lut
    return luts


def layer_lut_by_purpose(layer: LayerResources) -> dict[str, int]:
    """The LUTs of one layer by purpose, every one of PURPOSES in order; the sum is `layer.total.lut`."""
    luts = dict.fromkeys(PURPOSES, 0)
    kernel, of_modules = kernels().get(layer.op_type), module_purposes()
    whole = kernel.lut_purpose if kernel is not None and kernel.lut_purpose_of_cells else None
    for module, resources in layer.modules.items():
        purpose = of_modules.get(module, "glue") if whole is None else whole
        replayed = int(resources.lutram) if module == "mvau" else 0
        luts[purpose] += int(resources.lut) - replayed
        luts["sliding windows"] += replayed
    return luts
