"""The stage codegen: the folded graph as SystemVerilog and HLS C++, by `pipeline/codegen/`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.stage import Context, Stage
from pipeline.stages.groups import CPP, HARDWARE, LAYERS

if TYPE_CHECKING:
    from pipeline.config import BuildConfig
    from pipeline.dataflow.graph import LayerGraph
    from pipeline.folding.impl_styles import ImplStyles

__all__ = ["STAGE"]


def run(context: Context) -> str:
    import shutil

    from pipeline.codegen import accelerator, rtl
    from pipeline.folding import fold
    from pipeline.folding.impl_styles import impl_styles

    options = context.options
    graph = fold.load(context.inputs["fold"]).graph
    # one that cannot be had is refused before the stages that take long
    styles = impl_styles(graph, options.preferred_impl_style, options.specialize_layers_config_file)
    design = rtl.write_design(
        graph.layers,
        [graph.input],
        [graph.output],
        context.folder / "stitched_ip",
        rtl.STITCHED_TOP,
        check_overflow=options.check_overflow,
    )
    for source in rtl.rtl_sources():
        shutil.copyfile(source, design.folder / source.name)
    (design.folder / f"{design.name}.f").write_text("".join(f"{source.name}\n" for source in design.sources))
    accelerator.write_accelerator(design, design.folder, accelerator.config_hash(design.folder))
    memories = sum(1 for path in design.folder.iterdir() if path.suffix == ".mem")
    in_cpp = _write_cpp(context, graph, styles)
    for name, style in styles.styles.items():
        context.log(f"{name}: {style}")
    line = f"{len(design.instances)} instances, {memories} memory files, top module {design.name}; {in_cpp}"
    if preferred := sum(style == "hls" for style in styles.styles.values()):
        line += f"; {preferred} of style hls"
    return f"{line}; of no effect in the file of styles: {', '.join(styles.ignored)}" if styles.ignored else line


def _write_cpp(context: Context, graph: LayerGraph, styles: ImplStyles) -> str:
    """Write the C++. A network with a stream too wide for C++ gets none, but for its layers of style hls."""
    from pipeline.codegen import hls
    from pipeline.errors import ConfigError
    from pipeline.tools import vitis_hls

    hls.check_widths(layer for layer in graph if styles.styles[layer.name] == "hls")
    try:
        network = hls.write_network(graph, context.folder / "hls", hls.NETWORK_FUNCTION)
    except ConfigError as error:
        return f"no HLS C++: {error}"
    vitis_hls.write_scripts(network, context.options.fpga_part, context.options.synth_clk_period_ns)
    return f"in HLS C++ {len(network.layers)} layers, top function {network.whole.name}"


def files(options: BuildConfig) -> list[Path]:
    return [options.specialize_layers_config_file] if options.specialize_layers_config_file else []


STAGE = Stage(
    "codegen",
    "SystemVerilog with memory files, and HLS C++ with its scripts",
    run,
    reads=(
        *("check_overflow", "fpga_part", "synth_clk_period_ns"),
        *("preferred_impl_style", "specialize_layers_config_file"),
    ),
    needs=("fold",),
    packages=LAYERS,
    sources=(*HARDWARE, *CPP),
    files=files,
)
