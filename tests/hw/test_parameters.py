"""Modules refuse parameters that do not fit together, in Verilator and in the synthesis front end."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.codegen.rtl import rtl_sources
from pipeline.errors import ToolError
from pipeline.tools import verilator, yosys

MODULES = rtl_sources()


@pytest.mark.parametrize(
    ("module", "parameters", "message"),
    [
        (
            "accelerator_shell",
            ".InputBytes(0)",
            "InputBytes, OutputBytes, InputWords and OutputWords must be at least 1",
        ),
        (
            "accelerator_shell",
            ".OutputWords(0)",
            "InputBytes, OutputBytes, InputWords and OutputWords must be at least 1",
        ),
        ("accelerator_shell", ".OverflowFlags(0)", "OverflowFlags must be at least 1"),
        (
            "accelerator_shell",
            ".InputBytes(12), .WeightWords(1)",
            "InputBytes must be a power of two where weights are loaded",
        ),
        ("convolution_input_generator", ".DilationWidth(2), .Folds(2)", "DilationWidth 1 unless Folds is"),
        ("depth_to_space", ".BlockWidth(0)", "BlockHeight and BlockWidth must be at least 1"),
        ("interval_counter", ".Count(5)", "Count must be at least 1, and First + Count at most Size"),
        ("streaming_concat", ".Folds1(0)", "Simd, the folds and the widths must be at least 1"),
        ("streaming_concat", ".OutputWidth(3)", "OutputWidth must be at least Width0 and Width1"),
        ("upsample_nearest_neighbour", ".Folds(0)", "FactorHeight and FactorWidth must be at least 1"),
        ("axi_lite_slave", ".AddressWidth(0)", "AddressWidth must be at least 1"),
        ("adder_tree", ".Inputs(0), .InputWidth(11), .Latency(0)", "Inputs and InputWidth must be at least 1"),
        ("adder_tree", ".SumWidth(12)", "SumWidth must be in InputWidth to InputWidth"),
        ("adder_tree", ".Latency(2)", "Latency must be half the levels of adders"),
        ("label_select", ".OutputWidth(3)", "OutputWidth must hold the index of every label"),
        ("label_select", ".Labels(0)", "Labels, InputWidth and OutputWidth must be at least 1"),
        ("label_select", ".ScoreWidth(7)", "ScoreWidth must hold every input, signed"),
        ("label_select", ".MultiplierWidth(9)", "ScoreWidth does not hold every product and every score"),
        ("label_select", ".OffsetWidth(10)", "ScoreWidth does not hold every product and every score"),
        ("label_tree", ".Labels(1)", "Labels must be at least 2, InputWidth and LevelsPerStage at least 1"),
        ("label_tree", ".OutputWidth(3)", "OutputWidth must hold the index of every label"),
        ("label_tree", ".Shift(2)", "ScoreWidth must hold every input and every score, signed"),
        ("result_buffer", ".Late(4)", "Width must be at least 1 and Depth at least Late"),
        ("loaded_uram", ".Width(0)", "Width and Depth must be at least 1"),
        ("loaded_uram", ".Depth(0)", "Width and Depth must be at least 1"),
        (
            "mvau",
            ".Pe(2), .Mh(2), .Channels(2), .Dsp(1)",
            "Channels times Pixels must divide Pe, Channels be 1 with Dsp, and Pixels divide Mh",
        ),
        (
            "dsp_lanes",
            ".Pe(2), .Heads(2'b1), .Offsets({8'd38, 8'd0})",
            "the lanes of a word must be at most 48 bits together",
        ),
        (
            "dsp_lanes",
            ".Pe(2), .Heads(2'b1), .Offsets({8'd11, 8'd0}), .FieldWidths({2{8'd12}})",
            "FieldWidths must reach at most to the next row but in the last one of a word",
        ),
        ("dsp_lanes", ".Pixels(2), .WordPixels(2), .Strides(8'd3)", "Strides must hold an input"),
        ("dsp_lanes", ".Pixels(3), .WordPixels(2)", "WordPixels must divide Pixels, and SegmentTurns the lanes"),
        (
            "dsp_lanes",
            ".Simd(4), .Chains(2)",
            "Chains must have columns, and with several of them SegmentFolds must be 1",
        ),
        ("segment_adder", ".Lanes(3), .Turns(2)", "Turns must divide Lanes, and be 1 with several Chains"),
        ("lane_tree", ".Inputs(1)", "Inputs must be at least 2 and Width at least 1"),
        ("lane_tree", ".Inputs(5)", "Latency must be half the levels of adders, rounded up"),
        ("lane_turns", ".Lanes(6), .Turns(4)", "Turns must be in 2 to 64 and divide Lanes, and Width at least 1"),
        ("lane_choice", ".Count(5)", "Count must be in 1 to 4, and Width at least 1"),
        (
            "mvau",
            ".Pe(2), .Mh(2), .Turns(2)",
            "Turns must divide the rows of a vector, be at most Mw / Simd, and 1 without thresholds",
        ),
        ("mvau", ".Dsp(1), .SegmentTurns(2)", "SegmentTurns must be 1 or Turns"),
        ("result_buffer", ".Words(3)", "Words must divide Width, and be 1 with FallThrough"),
        ("mvau_pe", ".ProductLatency(1)", "Latency must be the digits of the recoded factor"),
        ("mvau_pe", ".TreeLatency(2)", "Latency must be half the levels of adders"),
        ("dsp_lanes", ".Taps(2)", "Taps must be in 1 to Pixels + 1 and divide Pe"),
        ("dsp_lanes", ".Pixels(2), .WordPixels(2), .Held(1)", "Held must be less than Pixels, and 0 without Taps"),
        (
            "dsp_mvau",
            ".Taps(2), .Pe(2), .Pixels(2), .WordPixels(2), .Mh(4)",
            "with Taps, Dsp is wanted, Pe must be Mh, and FirstBeat at most RowBeats",
        ),
        ("parallel_window", ".Width(0)", "Width and ImageHeight must be at least 1, ImageWidth at least 2"),
        ("parallel_window", ".ImageWidth(1)", "Width and ImageHeight must be at least 1, ImageWidth at least 2"),
        ("parallel_window", ".OutWidth(0)", "StrideHeight, StrideWidth, OutHeight and OutWidth must be at least 1"),
        ("parallel_window", ".PadTop(3)", "PadTop must be less than KernelHeight and PadLeft less than KernelWidth"),
        ("parallel_window", ".OutHeight(10)", "every window must have a pixel of the image"),
        ("parallel_window", ".OutWidth(11)", "every window must have a pixel of the image"),
        ("product_pair", ".Terms(3)", "Terms must be 1 or 2"),
        ("product_pair", ".FactorWidth(0)", "the widths must be at least 1"),
        ("product_pair", ".Latency(1)", "Latency must be the digits of the recoded factor"),
        ("requantize", ".Folds(0)", "Lanes, Folds, AddendWidth and OutputWidth must be at least 1"),
        ("requantize", ".AddersPerStage(0)", "AddersPerStage must be at least 1"),
        ("requantize", ".MultiplierWidth(33)", "MultiplierWidth must be in 1 to 32"),
        ("dsp_scale", ".Dsps(0)", "Dsps must be 1 or 2"),
        ("dsp_scale", ".SumWidth(49)", "SumWidth must be in 1 to 48"),
        ("label_select", ".Dsps(1)", "Dsps must be in 0 to 2, and 0 without multipliers"),
        ("requantize", ".Dsps(3)", "Dsps must be in 0 to 2"),
        ("requantize", ".Dsps(1), .SumWidths(8'd49)", "SumWidths must be at most 48 with DSPs"),
        ("multiply_add", ".AWidth(28)", "the operands must fit 27 by 18 bits"),
        ("multiply_add", ".AWidth(19), .BWidth(19)", "the operands must fit 27 by 18 bits"),
        ("multiply_add", ".Width(44)", "Width must be in AWidth + BWidth to 48"),
        ("multiply_add", ".OperandRegisters(3)", "OperandRegisters must be 1 or 2"),
        ("requantize", ".HalfEven(1)", "Shift must be at least AddendZeros, and 1 with HalfEven"),
        ("requantize", ".AddendZeros(1)", "Shift must be at least AddendZeros, and 1 with HalfEven"),
        ("requantize", ".LaneWidth(7), .ValueWidths(8'd8)", "ValueWidths must be in 1 to LaneWidth"),
        ("requantize", ".SumWidths(8'd4), .Shift(4)", "SumWidths must be more than Shift"),
        ("rom", '.RamStyle("ultra")', "RamStyle must be auto, distributed or block"),
        ("sparse_mvau", ".Simd(3)", "Simd must divide Mw, and Lanes must divide Mh and Pe"),
        ("sparse_mvau", ".Pe(3), .Lanes(2), .Mh(2)", "Simd must divide Mw, and Lanes must divide Mh and Pe"),
        ("result_buffer", ".Depth(2)", "Width must be at least 1 and Depth at least Late"),
        ("result_fifo", ".Depth(0)", "Width and Depth must be at least 1"),
        ("sparse_mvau", ".Steps(0)", "Steps, Windows and Pixels must be at least 1"),
        ("sparse_mvau", ".Windows(0)", "Steps, Windows and Pixels must be at least 1"),
        ("unrolled_mvau", ".Digits(5)", "Digits must be in 1 to InputWidth and DigitWidth InputWidth / Digits"),
        (
            "unrolled_mvau",
            ".Digits(2), .DigitWidth(3)",
            "Digits must be in 1 to InputWidth and DigitWidth InputWidth / Digits",
        ),
        ("unrolled_mvau", ".GraphLatency(0)", "GraphLatency must be at least 1"),
        ("unrolled_mvau", ".AccWidths(8'd9)", "AccWidths must be in 1 to LaneWidth"),
        ("convolution_input_generator", ".Depthwise(1), .Ordered(1)", "two pixels or more, and Ordered is excluded"),
        ("convolution_input_generator", ".Depthwise(1), .KernelHeight(1), .KernelWidth(1)", "two pixels or more"),
        ("vvau", ".Simd(2)", "Simd must divide Mw, Pe must divide Mh, and Multiplier times Pixels must divide Pe"),
        (
            "vvau",
            ".Pe(3), .Mh(3), .Multiplier(2)",
            "Simd must divide Mw, Pe must divide Mh, and Multiplier times Pixels must divide Pe",
        ),
        ("threshold_search", ".Folds(0)", "Lanes, Folds and NumThresholds must be at least 1"),
        ("threshold_search", ".NumThresholds(0)", "Lanes, Folds and NumThresholds must be at least 1"),
        ("threshold_search", ".LaneWidth(7)", "ValueWidths must be in 1 to LaneWidth"),
        ("threshold_search", ".CompareWidths(8'd7)", "CompareWidths must be at least those of the values"),
        ("weight_memory", '.RamStyle("lut")', "RamStyle must be auto, distributed or block"),
    ],
)
def test_what_cannot_be_built_is_refused(module: str, parameters: str, message: str, tmp_path: Path):
    wrapper = tmp_path / "wrapper.sv"
    wrapper.write_text(f"module wrapper;\n  {module} #({parameters}) u_module ();\nendmodule\n")
    assert message in verilator.lint([*MODULES, wrapper], "wrapper")
    with pytest.raises(ToolError) as caught:
        yosys.parse("wrapper", yosys.needed_sources(wrapper, MODULES), cache=tmp_path / "cache")
    (log,) = (tmp_path / "cache").glob("*.log")
    assert message in log.read_text(), caught.value
