"""Faults that the tests must notice: each of MUTANTS is made in a copy of the repository, and the tests of its area run.

    python benchmarks/mutations.py --only fifo

Prints what was caught and what was missed; without --only it also writes docs/mutations.md. The exit code is 1 if a
mutant was missed that is not said to be equivalent. The repository itself is never touched.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["MUTANTS", "ROOT", "Mutant", "Outcome", "run_mutant"]

ROOT = Path(__file__).resolve().parents[1]
_PAGE = ROOT / "docs" / "mutations.md"
_TIMEOUT = 600  # seconds; a mutant that never ends is noticed


@dataclass(frozen=True)
class Mutant:
    """`text`, which stands once in `file`, becomes `replacement`; `tests` are what pytest is given.

    `equivalent` says why no test can notice it, where that is so.
    """

    area: str
    what: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]
    equivalent: str = ""


_QUANTIZERS, _QUANTIZERS_TEST = (
    "pipeline/frontend/streamline/quantizers.py",
    ("tests/frontend/streamline/test_quantizers.py",),
)
_CONVERSION = "pipeline/frontend/conversion"
_NETWORKS = ("tests/frontend/conversion/test_order.py", "tests/frontend/conversion/test_random_networks.py")
_DRIVER = "hw/driver/a2q_driver"

MUTANTS = (
    # quantizers
    Mutant(
        "quantizers",
        "HALF_DOWN computed as HALF_UP",
        _QUANTIZERS,
        "torch.ceil(torch.abs(x) - 0.5)",
        "torch.floor(torch.abs(x) + 0.5)",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "halves rounded up instead of to even",
        _QUANTIZERS,
        '"ROUND": torch.round',
        '"ROUND": lambda x: torch.floor(x + 0.5)',
        _QUANTIZERS_TEST,
    ),
    Mutant("quantizers", "DOWN is FLOOR", _QUANTIZERS, "torch.trunc,", "torch.floor,", _QUANTIZERS_TEST),
    Mutant(
        "quantizers",
        "a default for narrow where QONNX requires it",
        _QUANTIZERS,
        "        if required:",
        "        if False:",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "widths cut to whole bits",
        _QUANTIZERS,
        'bits = _bits(node, "bit width", operand["bit width"])',
        'bits = np.floor(_bits(node, "bit width", operand["bit width"]))',
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "limits of a width not rounded by the quantizer's mode",
        _QUANTIZERS,
        "int(ROUNDINGS[rounding](end))",
        "int(end)",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "bipolar: zero is negative",
        _QUANTIZERS,
        "torch.where(x >= 0",
        "torch.where(x > 0",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "the zero point is left in",
        _QUANTIZERS,
        "return x if zero_point is None else x - zero_point",
        "return x",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "one unsigned bit is bipolar",
        _QUANTIZERS,
        "if bits == 1 and signed:",
        "if bits == 1:",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "BipolarQuant divides by its scale",
        _QUANTIZERS,
        "bipolar=True, input_scale=one)",
        "bipolar=True)",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "Trunc does not round before it divides",
        _QUANTIZERS,
        "x = torch.round(x) / self.divisor",
        "x = x / self.divisor",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "quantizers",
        "an operator's form of the version after the imported one",
        _QUANTIZERS,
        "if known <= version)",
        "if known <= version + 1)",
        _QUANTIZERS_TEST,
    ),
    # the driver's input transform
    Mutant(
        "driver",
        "HALF_DOWN computed as HALF_UP",
        f"{_DRIVER}/input_transform.py",
        "np.ceil(np.abs(x) - np.float32(0.5))",
        "np.floor(np.abs(x) + np.float32(0.5))",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "driver",
        "clips without the zero point",
        f"{_DRIVER}/input_transform.py",
        "np.float32(self.hi + self.zero_point)",
        "np.float32(self.hi)",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "driver",
        "the zero point is left in",
        f"{_DRIVER}/input_transform.py",
        "(levels - zero_point)",
        "levels",
        _QUANTIZERS_TEST,
    ),
    Mutant(
        "driver",
        "the host's steps in double",
        f"{_DRIVER}/input_transform.py",
        "x = np.asarray(raw, np.float32)",
        "x = np.asarray(raw, np.float64)",
        ("tests/driver/test_transforms.py",),
    ),
    Mutant(
        "driver",
        "channels first in the stream",
        f"{_DRIVER}/input_transform.py",
        "np.moveaxis(integers, 1, -1)",
        "np.moveaxis(integers, 1, 1)",
        _NETWORKS,
    ),
    # packing
    Mutant(
        "packing",
        "a value one too large is taken",
        f"{_DRIVER}/packing.py",
        "least < lo or most > hi:",
        "least < lo or most > hi + 1:",
        ("tests/driver/test_packing.py",),
    ),
    Mutant(
        "packing",
        "bytes behind a beat keep what they held",
        f"{_DRIVER}/packing.py",
        "        out[:, column] = 0",
        "        pass",
        ("tests/driver/test_packing.py",),
    ),
    Mutant(
        "packing",
        "the sign is not extended",
        f"{_DRIVER}/packing.py",
        "np.subtract(target, sign, out=target)",
        "np.bitwise_xor(target, sign, out=target)",
        ("tests/driver/test_packing.py",),
    ),
    Mutant(
        "packing",
        "a slot twice as large",
        f"{_DRIVER}/packing.py",
        "return 1 << (beat - 1).bit_length()",
        "return 1 << beat.bit_length()",
        ("tests/driver/test_packing.py", "hw/driver/a2q_driver/packing.py"),
    ),
    Mutant(
        "packing",
        "a memory word's fields from the top",
        "pipeline/dataflow/packing.py",
        "enumerate(values)",
        "enumerate(list(values)[::-1])",
        ("tests/dataflow/test_packing.py",),
    ),
    # thresholds
    Mutant(
        "thresholds",
        "the smallest integer beyond a level",
        "pipeline/frontend/conversion/thresholds.py",
        ">= wanted[rows, None]\n",
        "> wanted[rows, None]\n",
        ("tests/frontend/conversion/test_thresholds.py",),
    ),
    Mutant(
        "thresholds",
        "a type without the zero that padding needs",
        "pipeline/frontend/conversion/thresholds.py",
        "lowest = min(int(ends.min()), 0)",
        "lowest = int(ends.min())",
        ("tests/frontend/conversion/test_thresholds.py",),
    ),
    Mutant(
        "thresholds",
        "values equal to one of few thresholds do not reach it",
        "pipeline/kernels/threshold_search.py",
        "(block >= column)",
        "(block > column)",
        ("tests/kernels/test_threshold_search.py", "-k", "definition"),
    ),
    Mutant(
        "thresholds",
        "values equal to one of many thresholds of a channel do not reach it",
        "pipeline/kernels/threshold_search.py",
        'np.searchsorted(row, values[..., channel], side="right")',
        'np.searchsorted(row, values[..., channel], side="left")',
        ("tests/kernels/test_threshold_search.py", "-k", "definition"),
    ),
    Mutant(
        "thresholds",
        "what fills up the search table is reached by the largest value",
        "pipeline/kernels/threshold_search.py",
        "np.asarray(hi)[:, None] + 1",
        "np.asarray(hi)[:, None]",
        ("tests/kernels/test_threshold_search.py", "-k", "counts or definition"),
    ),
    # requantizers
    Mutant(
        "requantizers",
        "halves are looked for as if they went up",
        "pipeline/dataflow/requantize.py",
        "(points.levels & 1 if self.half_even else 0)",
        "0",
        ("tests/dataflow/test_requantize.py",),
    ),
    Mutant(
        "requantizers",
        "the largest value of a range is left out",
        "pipeline/dataflow/requantize.py",
        "np.clip(thresholds, first + 1, last + 1) - 1",
        "np.clip(thresholds, first + 1, last) - 1",
        ("tests/dataflow/test_requantize.py",),
    ),
    Mutant(
        "requantizers",
        "levels are not compared one below a threshold",
        "pipeline/dataflow/requantize.py",
        "np.clip(thresholds - 1, first, last)",
        "np.clip(thresholds, first, last)",
        ("tests/dataflow/test_requantize.py", "-k", "noticed"),
    ),
    Mutant(
        "requantizers",
        "an odd lowest level becomes one less",
        "hw/rtl/requantize.sv",
        "LevelWidth'(HalfEven & Lowest[0])",
        "LevelWidth'(0)",
        ("tests/kernels/test_activation.py", "-k", "odd_lowest_level"),
    ),
    Mutant(
        "requantizers",
        "multipliers of the next channel",
        "hw/rtl/requantize.sv",
        "next_q <= FoldWidth'(1);",
        "next_q <= FoldWidth'(0);",
        ("tests/kernels/test_activation.py", "-k", "thresholding_is_exact and shifts_apart"),
    ),
    Mutant(
        "requantizers",
        "the bound above the highest level has no bit for its sign",
        "hw/rtl/requantize.sv",
        "((QuotientWidth > OutputWidth + 1) ? QuotientWidth : OutputWidth + 1) + 1",
        "((QuotientWidth > OutputWidth) ? QuotientWidth : OutputWidth) + 1",
        ("tests/kernels/test_activation.py", "-k", "exact and levels_beyond"),
    ),
    Mutant(
        "requantizers",
        "halves are rounded down",
        "hw/rtl/requantize.sv",
        "assign exact = sum[Shift-1:0] == '0",
        "assign exact = 1'b0",
        ("tests/kernels/test_activation.py", "-k", "exact"),
    ),
    Mutant(
        "requantizers",
        "a level above the highest is not clipped",
        "hw/rtl/requantize.sv",
        "Highest} + LevelWidth'(1)",
        "Highest} + LevelWidth'(2)",
        ("tests/kernels/test_activation.py", "-k", "exact"),
    ),
    Mutant(
        "requantizers",
        "a constant negative digit is added without its one",
        "hw/rtl/requantize.sv",
        "(row ^ {Width{window[2]}}) + Width'(window[2])",
        "(row ^ {Width{window[2]}})",
        ("tests/kernels/test_activation.py", "-k", "exact"),
    ),
    Mutant(
        "requantizers",
        "values times a constant are unsigned",
        "hw/rtl/requantize.sv",
        "Signed & value[ValueWidth-1]",
        "1'b0",
        ("tests/kernels/test_activation.py", "-k", "exact"),
    ),
    Mutant(
        "requantizers",
        "levels with a sign are clipped as if they had none",
        "hw/rtl/activation.sv",
        "Requantizer[72]",
        "1'b0",
        ("tests/kernels/test_activation.py", "-k", "exact"),
    ),
    Mutant(
        "requantizers",
        "the highest level is one less",
        "hw/rtl/activation.sv",
        "OutputWidth'(NumThresholds))",
        "OutputWidth'(NumThresholds - 1))",
        ("tests/kernels/test_activation.py", "-k", "exact"),
    ),
    Mutant(
        "requantizers",
        "addends are stored with the zeros at their end",
        "pipeline/kernels/activation.py",
        "int(b) >> requantizer.addend_zeros",
        "int(b)",
        ("tests/kernels/test_activation.py", "-k", "exact"),
    ),
    Mutant(
        "requantizers",
        "halves are rounded down, in C++",
        "hw/hls/requantize.hpp",
        "return Output(quotient - int(less));",
        "return Output(quotient);",
        ("tests/hls/test_requantize.py",),
    ),
    Mutant(
        "requantizers",
        "the low bits of a value have a sign",
        "hw/rtl/dsp_scale.sv",
        ".b_i({1'b0, split[LowWidth-1:0]})",
        ".b_i({split[LowWidth-1], split[LowWidth-1:0]})",
        ("tests/kernels/test_activation.py", "-k", "thresholding_is_exact and two_dsps"),
    ),
    Mutant(
        "requantizers",
        "DSPs add what is for the next channel",
        "hw/rtl/requantize.sv",
        "assign waiting = addend_q;",
        "assign waiting = addend;",
        ("tests/kernels/test_activation.py", "-k", "thresholding_is_exact and dsps_unsigned"),
    ),
    # data movers
    Mutant(
        "data movers",
        "parts begin in the first column",
        "hw/rtl/crop.sv",
        ".First(FirstColumn)",
        ".First(0)",
        ("tests/kernels/test_crop.py", "-k", "exact_with"),
    ),
    Mutant(
        "data movers",
        "rows are counted in every beat of the last column",
        "hw/rtl/crop.sv",
        "take && last_fold && last_column",
        "take && last_column",
        ("tests/kernels/test_crop.py", "-k", "exact_with"),
    ),
    Mutant(
        "data movers",
        "the second input has the sign of the first",
        "hw/rtl/streaming_concat.sv",
        "Signed1 && x1",
        "Signed0 && x1",
        ("tests/kernels/test_streaming_concat.py", "-k", "exact_with"),
    ),
    Mutant(
        "data movers",
        "a turn of one beat is that of the other input",
        "hw/rtl/streaming_concat.sv",
        "second_q ? Folds0 == 1 : Folds1 == 1",
        "second_q ? Folds1 == 1 : Folds0 == 1",
        ("tests/kernels/test_streaming_concat.py", "-k", "exact_with"),
    ),
    Mutant(
        "data movers",
        "a word is given up after the first copy of its pixel",
        "hw/rtl/upsample_nearest_neighbour.sv",
        "last_time_q <= next[1] && next[3]",
        "last_time_q <= next[3]",
        ("tests/kernels/test_upsample_nearest_neighbour.py", "-k", "exact_with"),
    ),
    Mutant(
        "data movers",
        "the last word of the buffer is the last one after every way back",
        "hw/rtl/upsample_nearest_neighbour.sv",
        "read_last_q && stays_q",
        "read_last_q",
        ("tests/kernels/test_upsample_nearest_neighbour.py", "-k", "exact_with"),
    ),
    Mutant(
        "data movers",
        "the table of the next channel where elements follow each other",
        "hw/rtl/lookup.sv",
        "if (elements_valid_q) fold_q",
        "if (in_valid_i) fold_q",
        ("tests/kernels/test_lookup.py", "-k", "exact_with"),
    ),
    Mutant(
        "data movers",
        "blocks of a row leave as they came",
        "hw/rtl/depth_to_space.sv",
        ".Folds(BlockWidth * Folds)",
        ".Folds(Folds)",
        ("tests/kernels/test_depth_to_space.py", "-k", "exact_with"),
    ),
    # order
    Mutant(
        "order",
        "the scale's sign decides in spite of functions",
        f"{_CONVERSION}/order.py",
        "falling = lo > hi if tensor.functions else tensor.scale < 0",
        "falling = tensor.scale < 0",
        _NETWORKS,
    ),
    Mutant(
        "order",
        "a channel of one value is never turned",
        f"{_CONVERSION}/order.py",
        "falling = lo > hi if tensor.functions else tensor.scale < 0",
        "falling = lo > hi",
        _NETWORKS,
    ),
    Mutant(
        "order",
        "a turned channel keeps its lower bound",
        f"{_CONVERSION}/order.py",
        "lo=np.where(falling, -tensor.hi, tensor.lo)",
        "lo=tensor.lo",
        _NETWORKS,
    ),
    # conversion
    Mutant(
        "conversion",
        "MaxPool pads with zero",
        f"{_CONVERSION}/pooling.py",
        "value=type_.lo",
        "value=max(type_.lo, 0)",
        _NETWORKS,
    ),
    Mutant(
        "conversion",
        "AveragePool counts its padding unless told not to, as it is built",
        f"{_CONVERSION}/pooling.py",
        'options.get("count_include_pad", 0)',
        'options.get("count_include_pad", 1)',
        ("tests/frontend/conversion/test_pooling.py",),
    ),
    Mutant(
        "conversion",
        "AveragePool counts its padding unless told not to, as it is run",
        "pipeline/frontend/streamline/operators.py",
        'a.get("count_include_pad", 0)',
        'a.get("count_include_pad", 1)',
        ("tests/frontend/conversion/test_pooling.py",),
    ),
    Mutant(
        "conversion",
        "an average is of one element less",
        f"{_CONVERSION}/pooling.py",
        "divided(np.full(channels, float(elements)))",
        "divided(np.full(channels, float(max(elements - 1, 1))))",
        ("tests/frontend/conversion/test_pooling.py",),
    ),
    Mutant(
        "conversion",
        "a convolution pads with one",
        f"{_CONVERSION}/linear.py",
        "window, value=0,",
        "window, value=1,",
        _NETWORKS,
    ),
    Mutant(
        "conversion",
        "a convolution forgets the offset of its input",
        f"{_CONVERSION}/linear.py",
        "offset = weight_scale * (matrix.sum(axis=(2, 3)) @ tensor.offset)",
        "offset = 0 * weight_scale",
        ("tests/frontend/conversion/test_offsets.py",),
    ),
    Mutant(
        "conversion",
        "pads of the other sides",
        f"{_CONVERSION}/windows.py",
        "pads=pads,",
        "pads=(*pads[2:], *pads[:2]),",
        _NETWORKS,
    ),
    Mutant(
        "conversion",
        "levels counted without zero",
        f"{_CONVERSION}/quantization.py",
        "span = max(int(result.hi.max()), 0) - min(int(result.lo.min()), 0)",
        "span = int(result.hi.max()) - int(result.lo.min())",
        _NETWORKS,
    ),
    Mutant(
        "conversion",
        "a slope below zero counts as one that rises",
        "pipeline/frontend/streamline/operators.py",
        'options.get("alpha", least[operator]) < 0',
        "False",
        ("tests/frontend/conversion/test_functions.py",),
    ),
    Mutant(
        "conversion",
        "one sum may stand for two levels",
        f"{_CONVERSION}/sums.py",
        "steps[:, np.diff(sorted_sums) == 0].any()",
        "False",
        ("tests/frontend/conversion/test_sums.py",),
    ),
    Mutant(
        "conversion",
        "a table begins one later",
        "pipeline/kernels/lookup.py",
        "places = np.clip(elements, self.input_type.lo, self.input_type.hi) - self.input_type.lo",
        "places = np.clip(elements + 1, self.input_type.lo, self.input_type.hi) - self.input_type.lo",
        ("tests/kernels/test_lookup.py",),
    ),
    Mutant(
        "conversion",
        "groups of a convolution in the wrong order",
        f"{_CONVERSION}/linear.py",
        "dense[o, group * inputs : (group + 1) * inputs]",
        "dense[o, (groups - 1 - group) * inputs : (groups - group) * inputs]",
        _NETWORKS,
    ),
    Mutant(
        "conversion",
        "rows and columns of an image exchanged",
        f"{_CONVERSION}/tensors.py",
        ".reshape(height, width, channels).transpose(2, 0, 1)",
        ".reshape(width, height, channels).transpose(2, 1, 0)",
        _NETWORKS,
    ),
    Mutant(
        "conversion",
        "Sub adds the offset",
        f"{_CONVERSION}/joins.py",
        "offset=-b.offset",
        "offset=b.offset",
        ("tests/frontend/conversion/test_offsets.py",),
    ),
    Mutant(
        "conversion",
        "Sub adds",
        f"{_CONVERSION}/joins.py",
        "b = replace(b, scale=-b.scale, offset=-b.offset)",
        "pass",
        _NETWORKS,
    ),
    Mutant(
        "conversion",
        "a quantizer is a shift where its ends are",
        f"{_CONVERSION}/quantization.py",
        "if np.array_equal(levels(every), every >> k):",
        "if True:",
        _NETWORKS,
    ),
    Mutant(
        "conversion",
        "a label compares scales without the biases",
        f"{_CONVERSION}/outputs.py",
        "offsets=None if not any(offsets) else",
        "offsets=None if True else",
        _NETWORKS,
    ),
    # LabelSelect
    Mutant(
        "LabelSelect",
        "the last of equal scores, in the reference",
        "pipeline/kernels/label_select.py",
        "scores.argmax(axis=3, keepdims=True)",
        "(scores.shape[3] - 1 - scores[..., ::-1].argmax(axis=3, keepdims=True))",
        ("tests/kernels/test_label_select.py", "-k", "lowest"),
    ),
    Mutant(
        "LabelSelect",
        "the last of equal scores, in SystemVerilog",
        "hw/rtl/label_select.sv",
        "score > best_q",
        "score >= best_q",
        ("tests/kernels/test_label_select.py", "-k", "exact and plain"),
    ),
    Mutant(
        "LabelSelect",
        "the last of equal scores, in C++",
        "hw/hls/label_select.hpp",
        "score > best)",
        "score >= best)",
        ("tests/hls/test_kernels.py", "-k", "exact"),
    ),
    Mutant(
        "LabelSelect",
        "elements are unsigned",
        "hw/rtl/label_select.sv",
        "{value_q[InputWidth-1]}",
        "{1'b0}",
        ("tests/kernels/test_label_select.py", "-k", "exact and offset_only"),
    ),
    Mutant(
        "LabelSelect",
        "the last of equal scores, in the tree",
        "hw/rtl/label_tree.sv",
        "signed_right > signed_left",
        "signed_right >= signed_left",
        ("tests/kernels/test_label_select.py", "-k", "all_at_once"),
    ),
    Mutant(
        "FIFOs",
        "no room is kept for what other layers have on its way",
        "hw/rtl/result_buffer.sv",
        "free_q > CountWidth'(Late)",
        "free_q > CountWidth'(2)",
        ("tests/kernels/test_unrolled_mvau.py", "-k", "on_its_way"),
    ),
    # accumulators
    Mutant(
        "accumulators",
        "negative weights meet the lower end of the input",
        "pipeline/dataflow/bounds.py",
        "lo = positive * input_type.lo + negative * input_type.hi + start",
        "lo = positive * input_type.lo + negative * input_type.lo + start",
        ("tests/dataflow/test_bounds.py",),
    ),
    Mutant(
        "accumulators",
        "no bit for the sign of a positive sum",
        "pipeline/dataflow/bounds.py",
        "return max(value, 0).bit_length() + 1",
        "return max(value, 0).bit_length()",
        ("tests/dataflow/test_bounds.py",),
    ),
    Mutant(
        "accumulators",
        "the A2Q bound of signed inputs for all",
        "pipeline/dataflow/bounds.py",
        "l1=magnitude_bits((norm << (n - signed)) + start)",
        "l1=magnitude_bits((norm << (n - 1)) + start)",
        ("tests/dataflow/test_bounds.py",),
    ),
    Mutant(
        "accumulators",
        "the A2Q+ bound without its minus one",
        "pipeline/dataflow/bounds.py",
        "norm // 2 * ((1 << n) - 1)",
        "norm // 2 * (1 << n)",
        ("tests/dataflow/test_bounds.py",),
    ),
    # FIFOs
    Mutant(
        "FIFOs",
        "a slack of 1 beat instead of 2",
        "pipeline/folding/fifo_depths.py",
        "SLACK = 2 ",
        "SLACK = 1 ",
        ("tests/folding/test_fifo_depths.py",),
    ),
    Mutant(
        "FIFOs",
        "a beat that leaves as another enters is not counted",
        "pipeline/folding/timing.py",
        "np.searchsorted(left, entered)",
        'np.searchsorted(left, entered, side="right")',
        ("tests/folding/test_fifo_depths.py",),
    ),
    Mutant(
        "FIFOs",
        "one beat less against deadlock",
        "pipeline/folding/deadlock.py",
        "int((pushed - taken).max())",
        "int((pushed - taken).max()) - 1",
        ("tests/folding/test_fifo_depths.py",),
    ),
    Mutant(
        "FIFOs",
        "the branch that needs least decides",
        "pipeline/folding/deadlock.py",
        "need = np.max([most",
        "need = np.min([most",
        ("tests/folding/test_fifo_depths.py",),
    ),
    Mutant(
        "FIFOs",
        "a FIFO is one beat at least, which cannot be read and written in every cycle",
        "pipeline/folding/stitching.py",
        "MINIMUM_DEPTH = 2 ",
        "MINIMUM_DEPTH = 1 ",
        ("tests/folding/test_fifo_depths.py",),
        "a FIFO is as deep as a peak, which is 0 at least, and the slack of 2; up to 2 beats are the same registers",
    ),
    # SystemVerilog
    Mutant(
        "SystemVerilog",
        "a value equal to a threshold does not reach it",
        "hw/rtl/threshold_search.sv",
        "{1'b1, value} - {1'b0, threshold ^ Signs}",
        "{1'b1, value} - {1'b0, threshold ^ Signs} - 1'b1",
        ("tests/kernels/test_thresholding.py", "-k", "hardware"),
    ),
    Mutant(
        "SystemVerilog",
        "a value equal to one of few thresholds in hardware does not reach it",
        "hw/rtl/threshold_search.sv",
        "value >= (threshold ^ Signs)",
        "value > (threshold ^ Signs)",
        ("tests/kernels/test_thresholding.py", "-k", "hardware"),
    ),
    Mutant(
        "SystemVerilog",
        "a negative value counts as larger than the thresholds",
        "hw/rtl/threshold_search.sv",
        "input_value ^ Signs",
        "input_value",
        ("tests/kernels/test_thresholding.py", "-k", "hardware"),
    ),
    Mutant(
        "SystemVerilog",
        "of two thresholds that were read that for the other half is compared with",
        "hw/rtl/threshold_search.sv",
        "index[0] ? word_q[",
        "!index[0] ? word_q[",
        ("tests/kernels/test_thresholding.py", "-k", "hardware and memories"),
    ),
    Mutant(
        "SystemVerilog",
        "reset reads the thresholds of the second fold",
        "hw/rtl/threshold_search.sv",
        "rst_ni ? next_fold : '0",
        "next_fold",
        ("tests/kernels/test_thresholding.py", "-k", "hardware and memories"),
    ),
    Mutant(
        "SystemVerilog",
        "AddStreams extends its second input by the sign of the first",
        "hw/rtl/add_streams.sv",
        "sign1 = Signed1 &&",
        "sign1 = Signed0 &&",
        ("tests/kernels/test_add_streams.py", "-k", "exact"),
    ),
    Mutant(
        "SystemVerilog",
        "AddStreams subtracts its second input",
        "hw/rtl/add_streams.sv",
        "+ b * Factor1",
        "- b * Factor1",
        ("tests/kernels/test_add_streams.py", "-k", "exact"),
    ),
    Mutant(
        "SystemVerilog",
        "the largest of signed elements compared as unsigned",
        "hw/rtl/pool.sv",
        "AccWidth'(InputSigned) << (AccWidth - 1)",
        "'0",
        ("tests/kernels/test_pool.py", "-k", "exact"),
    ),
    Mutant(
        "SystemVerilog",
        "a negative sum is shifted without its sign",
        "hw/rtl/pool.sv",
        "{Shift{InputSigned && result[AccWidth-1]}}",
        "{Shift{1'b0}}",
        ("tests/kernels/test_pool.py", "-k", "exact"),
    ),
    Mutant(
        "SystemVerilog",
        "FMPadding's border is zero",
        "hw/rtl/fm_padding.sv",
        "{Simd{Value}}",
        "'0",
        ("tests/kernels/test_fm_padding.py", "-k", "exact"),
    ),
    Mutant(
        "SystemVerilog",
        "an accumulator adds the sum of products without its sign",
        "hw/rtl/mvau_pe.sv",
        "(AccWidth-SumBits){sum[SumWidth-1]}",
        "{1'b0}",
        ("tests/kernels/test_mvau.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "a weight in the word of a DSP is without its sign",
        "hw/rtl/dsp_lanes.sv",
        "{(Extent-FieldWidth){field[FieldWidth-1]}}",
        "{(Extent-FieldWidth){1'b0}}",
        ("tests/kernels/test_dsp_mvau.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "what reaches into the next word of columns of a kernel is read a lane too low",
        "hw/rtl/dsp_lanes.sv",
        "sum[Used-1:Used-Begun]",
        "sum[Used-Stride-1:Used-Stride-Begun]",
        ("tests/kernels/test_taps.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "the last pixels of a row reach into the next one",
        "hw/rtl/mvau.sv",
        "if (Taps > 1 && (!rst_ni || zeros)) inputs_q <= '0;",
        "if (Taps > 1 && !rst_ni) inputs_q <= '0;",
        ("tests/kernels/test_taps.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "a sum in a DSP begins with what the last one left",
        "hw/rtl/dsp_accumulator.sv",
        "(first_i ? start_i : sum_q)",
        "sum_q",
        ("tests/kernels/test_dsp_mvau.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "rows that share a channel see others",
        "hw/rtl/mvau.sv",
        "Row / (Rows / Channels);",
        "Row % Channels;",
        ("tests/kernels/test_vvau.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "pixels of a VVAU are taken for the first rows only",
        "hw/rtl/mvau.sv",
        "take_q <= !Stores || step_last_q",
        "take_q <= step_last_q",
        ("tests/kernels/test_vvau.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "interleaved windows give up their pixels after each part of the channels",
        "hw/rtl/convolution_input_generator.sv",
        "localparam int FreePass = 0;",
        "localparam int FreePass = ToWindow;",
        ("tests/kernels/test_convolution_input_generator.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "a row of windows of several pixels sees the end of the one before",
        "hw/rtl/parallel_window.sv",
        "Between = Before ? One << Ahead : ",
        "Between = Before ? '0 : ",
        ("tests/kernels/test_parallel_window.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "the last windows of a row of several pixels wait for the next row",
        "hw/rtl/parallel_window.sv",
        "Ahead > 0 && !column_valid_q && ends[Next]",
        "1'b0 && !column_valid_q && ends[Next]",
        ("tests/kernels/test_parallel_window.py", "-k", "exact_with"),
    ),
    Mutant(
        "SystemVerilog",
        "a FIFO holds one beat less",
        "hw/rtl/streaming_fifo.sv",
        "stored_q != CountWidth'(Words - 1)",
        "stored_q != CountWidth'(Words - 2)",
        ("tests/kernels/test_streaming_fifo.py",),
    ),
    # C++
    Mutant(
        "C++",
        "a value equal to a threshold does not reach it",
        "hw/hls/thresholding.hpp",
        "value >= thresholds[",
        "value > thresholds[",
        ("tests/hls/test_kernels.py", "-k", "exact"),
    ),
    Mutant(
        "C++",
        "rows that share a channel see others",
        "hw/hls/mvau.hpp",
        "row / (Layer::Pe / Channels);",
        "row % Channels;",
        ("tests/hls/test_kernels.py", "-k", "exact and vvau"),
    ),
    Mutant(
        "C++",
        "the smallest element of a window",
        "hw/hls/pool.hpp",
        "so_far > value ?",
        "so_far < value ?",
        ("tests/hls/test_kernels.py", "-k", "exact"),
    ),
    Mutant(
        "C++",
        "a window generator waits for input while it may send",
        "hw/hls/convolution_input_generator.hpp",
        "(!sends || !in.empty())",
        "true",
        ("tests/hls/test_windows.py", "-k", "do_not_need"),
    ),
    Mutant(
        "C++",
        "a stream holds a beat more than it says",
        "hw/tb/processes.hpp",
        "words_.size() >= depth",
        "words_.size() > depth",
        ("tests/verification/test_cppsim.py", "-k", "wait_for_each_other"),
    ),
    # means, and boxes of several grids
    Mutant(
        "means",
        "a mean is the sum times a rounded scale",
        f"{_CONVERSION}/tensors.py",
        "integers * self.as_quotient.dividend / self.as_quotient.divisor",
        "integers * self.scale",
        ("tests/frontend/conversion/test_pooling.py",),
    ),
    Mutant(
        "boxes",
        "the driver makes boxes of the last grid alone",
        f"{_DRIVER}/boxes.py",
        "(np.concatenate(parts, axis=1) for parts in",
        "(parts[-1] for parts in",
        ("tests/driver/test_boxes.py",),
    ),
    Mutant(
        "boxes",
        "a box is a matter of grids whose anchors come after its own, too",
        "pipeline/models/boxes.py",
        "here = (anchor >= 0) & (anchor < len(anchors))",
        "here = anchor < len(anchors)",
        ("tests/models/test_boxes.py",),
    ),
)


@dataclass(frozen=True)
class Outcome:
    mutant: Mutant
    caught: bool
    seconds: float
    problem: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutants whose area, file or description has this in it")
    parser.add_argument("--jobs", type=int, default=1, help="copies of the repository in use at once")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if options.only.lower() in f"{m.area} {m.what} {m.file}".lower()]
    with tempfile.TemporaryDirectory(prefix="a2q-mutants-") as scratch, ThreadPoolExecutor(options.jobs) as pool:
        copies = [_copied(Path(scratch, str(index))) for index in range(options.jobs)]
        unchanged = sorted({mutant.tests for mutant in chosen})
        for tests, (code, output) in zip(unchanged, pool.map(lambda t: _tested(copies[0], t), unchanged), strict=True):
            if code:
                print(f"The tests {' '.join(tests)} do not pass unchanged (exit {code}):\n{output}")
                return 2
        free = list(copies)

        def run(mutant: Mutant) -> Outcome:
            copy = free.pop()
            try:
                return run_mutant(copy, mutant)
            finally:
                free.append(copy)

        outcomes = []
        for outcome in pool.map(run, chosen):
            outcomes.append(outcome)
            print(
                f"{_verdict(outcome):10} {outcome.seconds:5.0f} s  {outcome.mutant.area}: {outcome.mutant.what}",
                flush=True,
            )
    _print(outcomes)
    if not options.only:
        _PAGE.write_text("\n".join(_page(outcomes)) + "\n")
    return 1 if any(_verdict(outcome) not in ("caught", "equivalent") for outcome in outcomes) else 0


def _copied(folder: Path) -> Path:
    """The repository's files, those not yet committed among them, in `folder`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return folder


def run_mutant(copy: Path, mutant: Mutant) -> Outcome:
    path = copy / mutant.file
    content = path.read_text()
    if content.count(mutant.text) != 1:
        return Outcome(mutant, False, 0, f"its text stands {content.count(mutant.text)} times in {mutant.file}")
    path.write_text(content.replace(mutant.text, mutant.replacement))
    start = time.monotonic()
    try:
        code, output = _tested(copy, mutant.tests)
    finally:
        path.write_text(content)
    seconds = time.monotonic() - start
    # 1: tests failed; 2: they could not be collected, because a mutant breaks what they import
    return Outcome(mutant, code in (1, 2), seconds, "" if code in (0, 1, 2) else output)


def _tested(copy: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """pytest's exit code in `copy`, and the end of its output. A run that never ends counts as failed."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(copy), str(copy / "hw" / "driver")]),
        "PYTHONDONTWRITEBYTECODE": "1",  # a file that changes twice in a second would keep its old bytecode
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    with subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its compilers and simulations too
            return 1, f"not at its end after {_TIMEOUT} s"
    return process.returncode, output[-3000:]


def _verdict(outcome: Outcome) -> str:
    if outcome.problem:
        return "broken"
    if outcome.caught:
        return "caught"
    return "equivalent" if outcome.mutant.equivalent else "missed"


def _print(outcomes: list[Outcome]) -> None:
    table = Table("area", "mutant", "file", "verdict", box=None)
    for outcome in outcomes:
        mutant = outcome.mutant
        table.add_row(mutant.area, mutant.what, mutant.file, outcome.problem or _verdict(outcome))
    Console(width=160).print(table)
    print(_summary(outcomes))


def _summary(outcomes: list[Outcome]) -> str:
    verdicts = [_verdict(outcome) for outcome in outcomes]
    return (
        f"{len(outcomes)} mutants: {verdicts.count('caught')} caught, {verdicts.count('missed')} missed, "
        f"{verdicts.count('equivalent')} equivalent, {verdicts.count('broken')} broken"
    )


def _page(outcomes: list[Outcome]) -> Iterator[str]:
    yield "# Mutants"
    yield ""
    yield "Would the tests notice a fault? `python benchmarks/mutations.py` makes one at a time in a copy of the repository,"
    yield "runs the tests of its area, and writes this page. A mutant is caught where a test fails."
    yield ""
    yield f"**{_summary(outcomes)}.**"
    yield ""
    yield "| area | mutant | file | tests | |"
    yield "|:--|:--|:--|:--|:--|"
    for outcome in outcomes:
        mutant = outcome.mutant
        verdict = f"equivalent: {mutant.equivalent}" if _verdict(outcome) == "equivalent" else _verdict(outcome)
        tests = "<br>".join(f"`{test}`" for test in mutant.tests if test.endswith(".py"))
        yield f"| {mutant.area} | {mutant.what} | `{mutant.file}` | {tests} | {verdict} |"


if __name__ == "__main__":
    sys.exit(main())
