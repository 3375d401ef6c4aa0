"""The command line `a2q`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.config import BuildConfig, config_for, load_config
from pipeline.errors import A2QError
from pipeline.flow import build as run_build
from pipeline.listing import model_table, show_build, stage_table
from pipeline.models.names import is_path
from pipeline.plan import STAGES
from pipeline.progress import Screen

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From an accumulator-aware quantized (A2Q) network to a verified FPGA accelerator.",
)
_DEFAULT = BuildConfig.model_fields["model"].default


@contextmanager
def _messages(verbose: bool) -> Iterator[None]:
    """A2QErrors become a message and the exit code 1."""
    try:
        yield
    except A2QError as error:
        if verbose:
            raise
        Console(stderr=True).print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; finished stages are kept, the same command goes on from there")
        raise typer.Exit(130) from None


@app.command()
def build(
    model: Annotated[
        str | None, typer.Argument(help=f"A model's name (see `a2q models`) or a .onnx file. (default: {_DEFAULT})")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A file of build_configs/. (default: the model's)")] = None,
    board: Annotated[str | None, typer.Option(help="A board of hw/boards. (default: KV260)")] = None,
    target_fps: Annotated[float | None, typer.Option(help="Frames a second to fold for.")] = None,
    out: Annotated[Path | None, typer.Option(help="The build's folder. (default: build/<model>)")] = None,
    weights: Annotated[str | None, typer.Option(help="trained or synthetic.")] = None,
    until: Annotated[str | None, typer.Option(help="Stop after this stage (see `a2q stages`).")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tools' own output, and tracebacks.")] = False,
) -> None:
    """Build an accelerator: verified RTL, a proof of its accumulator widths, and its resources."""
    with _messages(verbose):
        file = config or config_for(model or _DEFAULT)
        overrides = {"model": model, "board": board, "target_fps": target_fps, "weights": weights}
        chosen = load_config(file, overrides)
        name = Path(chosen.model).stem if is_path(chosen.model) else chosen.model
        screen = Screen(
            Console(file=sys.stdout), verbose=verbose
        )  # this one, also while a stage's own output is logged
        result = run_build(chosen, out or Path("build", name), STAGES, screen, until=until)
        screen.note(f"{result.folder}: {len(result.stages)} stages, {result.seconds:.1f} s")


@app.command()
def models() -> None:
    """List the models that have a name."""
    _print(model_table())


@app.command()
def stages() -> None:
    """List the stages of a build and the configuration they read."""
    _print(stage_table(STAGES))


@app.command()
def show(build: Annotated[Path, typer.Argument(help="A build's folder, or its name in build/.")]) -> None:
    """Show what a build came to: its summary, and what each stage took."""
    with _messages(False):
        summary, table = show_build(build)
        if summary:
            Console().print(summary, markup=False, highlight=False, soft_wrap=True)
        _print(table)


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="A ResNet-8 of the registry.")] = _DEFAULT,
    data: Annotated[Path, typer.Option(help="The folder of CIFAR-10 in the Hugging Face parquet layout.")] = ...,
    out: Annotated[Path, typer.Option(help="Where the checkpoint and its record are written.")] = Path("."),
    epochs: Annotated[int, typer.Option(min=1)] = 24,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
) -> None:
    """Train a model of the registry with quantization-aware training, and write its checkpoint."""
    with _messages(verbose):
        from pipeline.training.command import train_model

        console = Console()
        path, accuracy = train_model(model, data, out, epochs, seed, lambda text: console.print(text, highlight=False))
        console.print(f"{path}: top-1 {accuracy:.2%}", highlight=False)


def _print(table: Table) -> None:
    Console().print(table)
