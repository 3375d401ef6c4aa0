"""The command line `a2q`."""

from __future__ import annotations

import importlib.metadata
import io
import os
import shlex
import sys
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from pipeline import faults
from pipeline.accumulators.methods import SUFFIXES
from pipeline.accumulators.policy import CHOICES
from pipeline.api import BuildResult
from pipeline.api import build as run_build
from pipeline.config import COMMAND_LINE, BuildConfig, command_line, config_for, load_config, path_of
from pipeline.devices.boards import DEFAULT_BOARD, PYNQ_PORT, SIMULATED
from pipeline.errors import A2QError, InputError
from pipeline.listing import (
    board_facts,
    board_table,
    diff_table,
    family_table,
    model_table,
    option_page,
    page_of,
    show_build,
    stage_table,
)
from pipeline.progress import Screen
from pipeline.report.terminal import ReportMarkdown
from pipeline.stages import STAGES
from pipeline.text_file import count

__all__ = ["app"]


class _Commands(TyperGroup):
    """The commands within the net of `_messages`: also one that has none of its own, and the help."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        given = sys.argv[1:] if args is None else args
        try:
            with _messages("--verbose" in given or "-v" in given):
                return super().main(args, *rest, **options)
        except typer.Exit as end:
            sys.exit(end.exit_code)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From an accumulator-aware quantized (A2Q) network to a verified FPGA accelerator.",
    epilog="Exit codes: 0 all went well; 1 what was given cannot be used, or what was compared differs; 2 an "
    "unknown option; 70 a fault of a2q itself, to be reported with the file that it names; 130 interrupted.",
)
_DEFAULT = BuildConfig.model_fields["model"].default


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"a2q {importlib.metadata.version('a2q-pipeline')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    pass


@contextmanager
def _messages(verbose: bool, saved: str = "finished stages are kept") -> Iterator[None]:
    """Every exception becomes a message and an exit code, see `pipeline.errors`; an interrupt says what is `saved`."""
    _open_streams()
    try:
        yield
    except typer.Exit:
        raise
    except Exception as error:
        if verbose:
            raise
        message, status = _message_of(error)
        with suppress(OSError):  # nobody reads it
            Console(stderr=True, emoji=False).print(
                f"[red]error:[/] {escape(message)}", highlight=False, soft_wrap=True
            )
        raise typer.Exit(status) from None
    except KeyboardInterrupt:
        Console(stderr=True, emoji=False).print(f"interrupted; {saved}, the same command goes on from there")
        raise typer.Exit(130) from None
    finally:
        _close_output()


def _message_of(error: Exception) -> tuple[str, int]:
    """The message of `error`, and the exit code."""
    match error:
        case A2QError():
            return str(error), 1
        case MemoryError():
            return faults.out_of_memory(_command(), error), 1
        case FileExistsError():
            return f"{error.filename} is a file; expected a folder. Name another one.", 1
        case NotADirectoryError():
            return f"{error.filename} cannot be reached: a part of this path is no folder. Name another one.", 1
        case OSError() if not faults.is_fault(error):
            return f"{_command() if error.filename is None else error.filename}: {error.strerror}.", 1
    return faults.sentence(_command(), error), faults.FAULT


def _command() -> str:
    """The command that runs, as it was given."""
    return shlex.join(["a2q", *sys.argv[1:]])


def _open_streams() -> None:
    """Have streams that are closed, or cannot show a character, not end the command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # also, or the next file that is opened would take its place for what is called
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _close_output() -> None:
    """Drop what is left for an output that takes nothing, which Python would report once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def _help(field: str, more: str = "") -> str:
    """The help of an option that sets the `field` of a configuration, whose description it is; `more` is on writing it."""
    text = BuildConfig.model_fields[field].description or ""
    return f"{text[:1].upper()}{text[1:]}{more}."


def _path(text: str) -> Path:
    return path_of("a path on the command line", text)


_Model = Annotated[
    str | None, typer.Argument(help=f"A model's name (see `a2q models`), a .onnx or a .pth file. (default: {_DEFAULT})")
]
_Named = Annotated[str | None, typer.Option("--model", help="What `a2q build` takes as its model.")]
_Config = Annotated[
    Path | None,
    typer.Option(
        parser=_path,
        help="A file of build_configs/, or its name, or FINN's dataflow_build_config.json. (default: the model's)",
    ),
]
_TargetFps = Annotated[str | None, typer.Option(help=_help("target_fps"))]
_TargetLatency = Annotated[str | None, typer.Option(help=_help("target_latency_ns"))]
_InputRange = Annotated[str | None, typer.Option(help=_help("input_range", ", or without brackets: 0,255"))]
_Out = Annotated[Path | None, typer.Option(parser=_path, help="The build's folder. (default: build/<model>)")]
_Weights = Annotated[str | None, typer.Option(help=_help("weights"))]
_Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any option of `a2q options`: simulation.frames=3. May be repeated."
    ),
]
_Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tools' own output, and tracebacks.")]
_Target = Annotated[
    str,
    typer.Argument(help="sim for the simulated board, a board of `a2q boards`, or the path of a board's .yaml file."),
]
_Host = Annotated[str | None, typer.Option(help="The board's address; its PYNQ.remote server must run.")]
_Port = Annotated[int | None, typer.Option(min=1, max=65535, help=f"The port of that server. (default: {PYNQ_PORT})")]


@app.command()
def build(
    model: _Model = None,
    config: _Config = None,
    board: Annotated[str | None, typer.Option(help=f"{_help('board')} (default: {DEFAULT_BOARD})")] = None,
    target_fps: _TargetFps = None,
    target_latency_ns: _TargetLatency = None,
    out: _Out = None,
    weights: _Weights = None,
    until: Annotated[str | None, typer.Option(help="Stop after this stage (see `a2q stages`).")] = None,
    input_range: _InputRange = None,
    model_class: Annotated[str | None, typer.Option(help=_help("model_class"))] = None,
    input_shape: Annotated[
        str | None, typer.Option(help=_help("input_shape", ", or without brackets: 3,32,32"))
    ] = None,
    settings: _Set = None,
    verbose: _Verbose = False,
) -> None:
    """Build an accelerator: verified RTL, a proof of its accumulator widths, its resources, and a package to deploy."""
    with _messages(verbose):
        overrides = {
            "board": board,
            "target_fps": target_fps,
            "target_latency_ns": target_latency_ns,
            "weights": weights,
            "input_range": input_range,
            "model_class": model_class,
            "input_shape": input_shape,
        }
        result = _build(model, config, settings, overrides, out, until, verbose)
        _screen(verbose).note(f"{result.folder}: {count(len(result.stages), 'stage')}, {result.seconds:.1f} s")


def _build(
    model: str | None,
    config: Path | None,
    settings: Sequence[str] | None,
    overrides: Mapping[str, str | None],
    out: Path | None,
    until: str | None,
    verbose: bool,
) -> BuildResult:
    given = command_line(settings or (), {"model": model, **overrides})
    path = config or config_for(str(given.get("model", _DEFAULT)))
    chosen = load_config(path, given, COMMAND_LINE, on_note=_screen(verbose).note)
    return run_build(chosen, out=out, until=until, verbose=verbose)


def _screen(verbose: bool) -> Screen:
    return Screen(
        Console(file=sys.stdout, emoji=False), verbose=verbose
    )  # this stdout, also while a stage's own output is logged


@app.command()
def deploy(
    board: _Target,
    host: _Host = None,
    port: _Port = None,
    model: _Named = None,
    config: _Config = None,
    target_fps: _TargetFps = None,
    out: _Out = None,
    weights: _Weights = None,
    settings: _Set = None,
    verbose: _Verbose = False,
) -> None:
    """Build, load the accelerator onto a board, and compare what it gives for the golden frames."""
    overrides = {"target_fps": target_fps, "weights": weights}
    _on_board(board, host, port, None, model, config, settings, overrides, out, verbose)


@app.command()
def validate(
    board: _Target,
    images: Annotated[int, typer.Option(min=1, help="Test images.")] = 20,
    host: _Host = None,
    port: _Port = None,
    model: _Named = None,
    config: _Config = None,
    target_fps: _TargetFps = None,
    out: _Out = None,
    weights: _Weights = None,
    settings: _Set = None,
    verbose: _Verbose = False,
) -> None:
    """Build, load the accelerator onto a board, and compare test images with the integer graph, one by one."""
    overrides = {"target_fps": target_fps, "weights": weights}
    _on_board(board, host, port, images, model, config, settings, overrides, out, verbose)


def _on_board(
    board: str,
    host: str | None,
    port: int | None,
    images: int | None,
    model: str | None,
    config: Path | None,
    settings: Sequence[str] | None,
    overrides: Mapping[str, str | None],
    out: Path | None,
    verbose: bool,
) -> None:
    """Build for `board`, and for the simulated one for the board that the configuration names; then validate."""
    with _messages(verbose):
        from pipeline.deployment import destination, validate_build

        address = destination(board, host, port)  # before hours are spent
        built_for = None if board == SIMULATED else board
        result = _build(model, config, settings, {"board": built_for, **overrides}, out, None, verbose)
        if status := validate_build(result, address, images, _screen(verbose).note):
            raise typer.Exit(status)


@app.command("board-sim")
def board_sim(
    package: Annotated[Path, typer.Argument(parser=_path, help="The folder deploy/ of a build.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for one that is free.")] = PYNQ_PORT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
) -> None:
    """Be a board: a PYNQ.remote server over the Verilator model of the RTL in a package; interrupt it to end it."""
    with _messages(verbose, "nothing was written"):
        from pipeline.deployment import serve

        serve(package, host, port)


@app.command()
def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"Models' names, patterns of names in quotes, or files. (default: {_DEFAULT})"),
    ] = None,
    config: _Config = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help=f"{CHOICES}; with /pe a width for each PE. (default: five)"),
    ] = None,
    bits: Annotated[
        list[int] | None, typer.Option(help="P: replaces the P of a name, and chooses among the matches of a pattern.")
    ] = None,
    board: Annotated[list[str] | None, typer.Option(help="Boards of `a2q boards`, or paths of .yaml files.")] = None,
    target_fps: Annotated[list[str] | None, typer.Option(help="Frames a second to fold for, or max.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seeds of draws, such as synthetic weights.")] = None,
    weights: _Weights = None,
    out: Annotated[
        Path | None, typer.Option(parser=_path, help="The comparison's folder. (default: compare/<model>)")
    ] = None,
    work: Annotated[Path, typer.Option(parser=_path, help="Where builds go, and their cache.")] = Path("build"),
    jobs: Annotated[int | None, typer.Option(min=1, help="Builds at once. (default: one for two cores)")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Build on the Dask cluster of this address instead.")] = None,
    settings: _Set = None,
    verbose: _Verbose = False,
) -> None:
    """Build and compare: models by policies, P, boards, rates and seeds, each option as often as it has values."""
    with _messages(verbose, "finished builds and stages are kept"):
        from pipeline.compare.command import compare_command
        from pipeline.compare.points import DEFAULT_POLICIES, Axes

        axes = Axes(
            tuple(policy or DEFAULT_POLICIES),
            tuple(bits or ()),
            tuple(board or ()),
            tuple(target_fps or ()),
            tuple(seed or ()),
        )
        console = Console(file=sys.stdout, emoji=False)
        if not compare_command(
            names or [_DEFAULT], axes, config, weights, settings or (), out, work, scheduler, jobs, console, verbose
        ):
            raise typer.Exit(1)


@app.command()
def boards(
    name: Annotated[str | None, typer.Argument(help="One of them, with the source of each figure.")] = None,
) -> None:
    """List the boards that can be built for."""
    with _messages(False):
        _print(board_facts(name) if name else board_table())


@app.command()
def models() -> None:
    """List the checkpoints there are by name, and the families of networks that can be trained."""
    _print(model_table())
    console = Console(emoji=False)
    console.print(
        "\nTop-1 of releases as the QONNX model zoo, or torchvision, publishes it, on the original data set; of this repository's as "
        "measured on the test set that their record names, where CIFAR-10's images were re-compressed as JPEG. ¹ is built "
        "where the release cannot be had. ² is data that this project generates: no figure on it is one on data of the world. "
        "In place of top-1, shape_masks has the mean IoU and shape_boxes mAP@0.5. Zeros, and the largest ‖w‖₁ of a channel, are of hidden layers' integer "
        "weights. What was trained in trained/ goes by its name, too.",
        highlight=False,
    )
    console.print("\nA path of a .onnx file, or of a checkpoint (.pth), may stand for a name. Families to train:\n")
    _print(family_table())
    quantized = [f"quant_FAMILY_{suffix}" for suffix in SUFFIXES]
    console.print(
        f"\nNames of networks: FAMILY for float, {', '.join(quantized[:-1])} and {quantized[-1]} for weights of W, "
        "activations of A and accumulators of P bits. FAMILYx2 has twice the channels.",
        highlight=False,
    )


@app.command()
def stages() -> None:
    """List the stages of a build and the configuration they read."""
    _print(stage_table(STAGES))


@app.command()
def options() -> None:
    """List the options of a build: values, defaults, and the stages that read them."""
    _print_page(option_page())


@app.command()
def show(
    build: Annotated[Path, typer.Argument(parser=_path, help="A build's folder, or its name in build/.")],
    open_page: Annotated[
        bool, typer.Option("--open", help="Open its page, report.html, in the browser instead.")
    ] = False,
) -> None:
    """Show what a build came to: its summary, and what each stage took."""
    with _messages(False):
        if open_page:
            page = page_of(build)
            if not webbrowser.open(page.as_uri()):
                raise InputError(f"No browser was found to open {page} with. Open this file in one.")
            return
        summary, table = show_build(build)
        if summary:
            _print_page(summary)
        _print(table)


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(parser=_path, help="A build's folder, or its name in build/.")],
    second: Annotated[Path, typer.Argument(parser=_path, help="Another build of the same network.")],
) -> None:
    """Compare two builds of one network, layer by layer."""
    with _messages(False):
        sentence, table = diff_table(first, second)
        Console(emoji=False).print(sentence, highlight=False, markup=False)
        _print(table)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(parser=_path, help="A file of build_configs/train/, or its name.")],
    out: Annotated[
        Path | None, typer.Option(parser=_path, help="Where it goes. (default: trained/<data set>_<name>_seed<n>)")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of what the file says.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of what the file says.")] = None,
    init: Annotated[str | None, typer.Option(help="The name or path of a checkpoint to begin with.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
) -> None:
    """Train a network, with or without a bound on its accumulators; goes on where it was stopped."""
    with _messages(verbose, "finished epochs are kept"):
        from pipeline.training.command import train_command

        console = Console(emoji=False)
        train_command(config, {"epochs": epochs, "seed": seed, "init": init}, out, _lines(console), console.is_terminal)


@app.command()
def quantize(
    network: Annotated[
        str,
        typer.Argument(
            help="A float network of `a2q models`, a checkpoint of one, file.py:Class of your own, or a file of "
            "build_configs/ptq/."
        ),
    ],
    weight_bits: Annotated[int | None, typer.Option(help="2 to 8, or 32 for float. (default: 4)")] = None,
    act_bits: Annotated[int | None, typer.Option(help="2 to 8, or 32 for float. (default: 4)")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="minmax, mse or aciq, then _layer or _channel, or awq; before it nothing, adaround/, gptq/, gpfq/ or "
            "qronos/. (default: mse_channel)"
        ),
    ] = None,
    act_method: Annotated[str | None, typer.Option(help="minmax, mse or aciq. (default: mse)")] = None,
    equalization: Annotated[
        str | None, typer.Option(help="cross_layer or smoothquant: channels scaled before. (default: none)")
    ] = None,
    bias_correct: Annotated[
        bool | None, typer.Option("--bias-correct", help="Correct biases where held-out images get better by it.")
    ] = None,
    accumulator: Annotated[
        int | None,
        typer.Option(help="Bits that hold every sum of a hidden layer, by AXE; with gptq/, gpfq/ or qronos/."),
    ] = None,
    first_layer_bits: Annotated[int | None, typer.Option(help="Of weights. (default: 8)")] = None,
    last_layer_bits: Annotated[int | None, typer.Option(help="Of weights. (default: 8)")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="A data set, or a folder of images. (default: the data set that it was trained on)"),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(parser=_path, help="Weights from elsewhere, a .pth file: of a class of your own, or a family."),
    ] = None,
    input_shape: Annotated[
        str | None, typer.Option(help="What such weights are for, such as 3,32,32. (default: the data set's)")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Of each channel, such as 0.49,0.48,0.45, if such weights are for normalised pixels."),
    ] = None,
    std: Annotated[str | None, typer.Option(help="Likewise.")] = None,
    data_folder: Annotated[Path | None, typer.Option(parser=_path, help="Where the data set is.")] = None,
    images: Annotated[int | None, typer.Option(help="Training images to calibrate with. (default: 512)")] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the images. (default: 0)")] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Try bits of weights and activations: what accuracy costs in LUTs.")
    ] = False,
    target_fps: Annotated[
        float | None, typer.Option(min=1e-3, help="Frames a second that a search's LUTs are for. (default: 1000)")
    ] = None,
    out: Annotated[Path | None, typer.Option(parser=_path, help="Where it goes. (default: trained/<name>)")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
) -> None:
    """Quantize a float network after training, in minutes, with a bound on its accumulators if wanted."""
    with _messages(verbose, "trials that are done are kept" if search else "nothing was written"):
        from pipeline.quantize.command import quantize_command

        options = {
            "weight_bits": weight_bits,
            "act_bits": act_bits,
            "method": method,
            "act_method": act_method,
            "equalization": equalization,
            "bias_correct": bias_correct,
            "accumulator": accumulator,
            "first_layer_bits": first_layer_bits,
            "last_layer_bits": last_layer_bits,
            "dataset": dataset,
            "state": state,
            "input_shape": _numbers(input_shape),
            "mean": _numbers(mean),
            "std": _numbers(std),
            "data_folder": data_folder,
            "images": images,
            "seed": seed,
        }
        quantize_command(network, options, out, _lines(Console(emoji=False)), searching=search, target_fps=target_fps)


def _numbers(text: str | None) -> list[str] | None:
    """What stands between the commas of `text`, with brackets around it or without."""
    return None if text is None else [part.strip() for part in text.strip("[] ").split(",")]


@app.command()
def evaluate(
    model: Annotated[
        str, typer.Argument(help="A checkpoint of `a2q train`, a name of `a2q models`, or a QONNX file (.onnx).")
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="A data set's name; of a QONNX file also a folder of images by class, or an .npz file of images and "
            "labels. (default: the one it was trained on)"
        ),
    ] = None,
    data_folder: Annotated[Path | None, typer.Option(parser=_path, help="Where the data set is.")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Test images. (default: all)")] = None,
    input_range: _InputRange = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
) -> None:
    """Measure top-1, mean IoU or mAP, and of checkpoints the loss, as the network computes and of the hardware's integers."""
    with _messages(verbose):
        from pipeline.training.command import evaluate_command

        ends = (
            load_config(config_for(model), {"input_range": input_range}, COMMAND_LINE).input_range
            if input_range
            else None
        )
        table, equal = evaluate_command(model, dataset, data_folder, images, ends)
        note, table.caption = table.caption, None  # which would be as narrow as the table
        _print(table)
        if note:
            console = Console(emoji=False)
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        if not equal:
            raise typer.Exit(1)


@app.command()
def benchmark(
    config: Annotated[
        Path,
        typer.Argument(parser=_path, help="A file of build_configs/benchmark/ or of build_configs/ptq/, or its name."),
    ],
    out: Annotated[
        Path | None, typer.Option(parser=_path, help="Where it goes. (default: trained/benchmark_<file>)")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
) -> None:
    """Train or quantize all networks of a benchmark with several seeds: tables and plots; what is done is kept."""
    with _messages(verbose, "what is finished is kept"):
        from pipeline.quantize.command import benchmark_command

        console = Console(emoji=False)
        benchmark_command(config, out, _lines(console), console.is_terminal)


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint of `a2q train`, or a name of `a2q models`.")],
    out: Annotated[
        Path | None, typer.Option(parser=_path, help="The folder to write. (default: exported/<name>)")
    ] = None,
    packed: Annotated[
        bool, typer.Option("--packed", help="Instead, a small checkpoint with packed integers for weights.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
) -> None:
    """Write a quantized network as QONNX, proven to hold the integers that it computes."""
    with _messages(verbose, "nothing was written"):
        from pipeline.training.command import export_command, pack_command

        _lines(Console(emoji=False))((pack_command if packed else export_command)(checkpoint, out))


def _lines(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)


def _print(table: Table) -> None:
    Console(emoji=False).print(table)


def _print_page(text: str) -> None:
    """Markdown, as it is where its reader is no terminal."""
    console = Console(emoji=False)
    page = ReportMarkdown(text, hyperlinks=False) if console.is_terminal else text
    console.print(page, markup=False, highlight=False, soft_wrap=True)
