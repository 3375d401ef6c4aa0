"""The work of `a2q train`, `evaluate`, `benchmark` and `export`."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from pipeline import config_file
from pipeline.errors import ConfigError, ModelError, VerificationError
from pipeline.files import TRAIN_CONFIGS
from pipeline.models.metrics import TITLES
from pipeline.models.names import FAMILIES, TRAINED, located
from pipeline.text_file import count
from pipeline.tools.packages import require_extra
from pipeline.training.config import TrainConfig, load_train_config
from pipeline.training.interrupts import interruptible

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.models.tasks import Outputs
    from pipeline.training.evaluate import Forward

__all__ = ["benchmark_command", "evaluate_command", "export_command", "pack_command", "train_command"]

_BATCH = 100
_PROVEN_ON = 16  # images on which each step from a network to its layer graph is compared
_GOLDEN = 256


@interruptible("finished epochs are kept")
def train_command(
    path: Path, overrides: dict[str, Any], out: Path | None, say: Callable[[str], None], bar: bool
) -> None:
    """Train what the configuration `path` says, and tell how well it does and how to go on."""
    require_extra("train", "lightning", "tensorboard")
    config = load_train_config(
        config_file.named(path, TRAIN_CONFIGS), {key: value for key, value in overrides.items() if value is not None}
    )
    _quiet_brevitas()
    from pipeline.training.fit import fit

    folder = out or default_folder(config)
    checkpoint, scores = fit(config, folder, say, bar=bar)
    reached = ", ".join(f"{TITLES[name]} {value:.2%}" for name, value in scores.metrics.items())
    say(f"{checkpoint}: {reached} on {scores.images:,} test images")
    if config.quantization:
        say(f"build it: make build MODEL={_called(checkpoint)}")


def _called(checkpoint: Path) -> str:
    """The name by which a build finds `checkpoint`, or its path where the name is not its own."""
    try:
        is_known = Path(located(checkpoint.stem)) == checkpoint
    except ModelError:  # there are others
        is_known = False
    return checkpoint.stem if is_known else str(checkpoint)


def default_folder(config: TrainConfig) -> Path:
    """The folder of a training if none is named: trained/DATASET_NAME_seedN."""
    return Path(TRAINED, f"{config.dataset}_{config.name}_seed{config.seed}")


@interruptible("finished trainings and epochs are kept")
def benchmark_command(path: Path, folder: Path, say: Callable[[str], None], bar: bool) -> None:
    """Train every row of the benchmark `path`, into `folder`, and tell where its table is."""
    require_extra("train", "lightning", "tensorboard")
    from pipeline.training.benchmark import benchmark, load_benchmark

    load_benchmark(path)  # first of all, for its mistakes
    _quiet_brevitas()
    folder.mkdir(parents=True, exist_ok=True)
    benchmark(path, folder, say, bar=bar)
    say(f"{folder / 'benchmark.html'}: the table and what it shows")


def evaluate_command(
    model: str,
    dataset: str | None,
    folder: Path | None,
    images: int | None,
    input_range: tuple[float, float] | None = None,
) -> tuple[Table, bool]:
    """Scores of a network in each form that it has: float, or Brevitas' or its file's and the integers of the hardware.

    Also whether both forms of a quantized network give every image the same classes.
    """
    _quiet_brevitas()
    if model.endswith(".onnx"):
        return _evaluate_file(model, dataset, folder, images, input_range)
    if input_range is not None:
        raise ConfigError(f"--input-range is for .onnx files; what {model} takes is known.")
    from rich.progress import track

    from pipeline.datasets.catalog import find, load
    from pipeline.datasets.loader import batches_of
    from pipeline.models.boxes import anchors_of
    from pipeline.models.layers import Normalize
    from pipeline.models.registry import checkpoint_record, stands_in, trained_network
    from pipeline.models.tasks import task_of
    from pipeline.training.evaluate import integer_outputs, network_outputs, outputs_of, scores_of
    from pipeline.training.losses import LOSSES, loss_of

    spec, network, path = trained_network(model)
    chosen = find(dataset or spec.dataset)
    channels, side = spec.input_shape[:2]
    family = FAMILIES[spec.family]
    fits = (chosen.classes, chosen.labels, chosen.input_range) == (spec.num_classes, family.output, family.input_range)
    taken = (channels, chosen.shape[1] <= side) if family.output == "classes" else spec.input_shape
    if not fits or taken not in ((chosen.shape[0], True), chosen.shape):
        raise ConfigError(
            f"{spec.name} tells {spec.num_classes} classes of {'×'.join(map(str, spec.input_shape))} pixels apart; "
            f"{chosen.title} {'has' if chosen.draw is None else 'have'} {chosen.classes} of "
            f"{'×'.join(map(str, chosen.shape))}. Name another --dataset."
        )
    data = load(chosen.name, "test", folder, images)
    task = task_of(chosen.labels, anchors_of(network))
    batches = batches_of(data, _BATCH, pad_to=None if chosen.shape == spec.input_shape else side)
    prepare = Normalize(spec.preprocessing.mean[:channels], spec.preprocessing.std[:channels])
    forms = {"Brevitas" if spec.quantization else "float": network_outputs(network)}
    if spec.quantization and spec.quantization.is_whole and not getattr(network, "without_hardware", ()):
        forms["integer graph"] = integer_outputs(network, prepare(next(iter(batches))[0][:_PROVEN_ON]))
    config = checkpoint_record(path).get("config")
    loss = config.get("loss") if isinstance(config, dict) else None
    loss = loss if loss in LOSSES else "cross_entropy"
    rows, answers = [], []
    for name, function in forms.items():
        outputs, labels = outputs_of(partial(_of_pixels, prepare, function), track(batches, f"{name} ", transient=True))
        scores = scores_of(outputs, labels, task, loss_of(loss, network))
        answers.append(task.answers(outputs).reshape(len(labels), -1))
        rows.append((name, scores))
    titles = [TITLES[metric] for metric in scores.metrics]
    table = Table(
        "form", *titles, loss.replace("_", " "), "images", title=f"{spec.name} on the {data.source}", box=None
    )
    for name, scores in rows:
        shares = (f"{share:.2%}" for share in scores.metrics.values())
        table.add_row(name, *shares, f"{scores.loss:.4f}", f"{scores.images:,}")
    differ = int((answers[0] != answers[-1]).any(axis=1).sum())
    differing = f"images on which the two differ: {differ}" if len(rows) == 2 else ""
    table.caption = "; ".join(filter(None, [differing, stands_in(spec)])) or None
    return table, differ == 0


def _of_pixels(prepare: nn.Module, function: Forward, pixels: Tensor) -> Outputs:
    return function(prepare(pixels))


def _evaluate_file(
    model: str,
    dataset: str | None,
    folder: Path | None,
    images: int | None,
    input_range: tuple[float, float] | None,
) -> tuple[Table, bool]:
    from rich.progress import track

    from pipeline.training.evaluate_file import evaluate_file

    if not Path(model).is_file():
        raise ModelError(f"There is no file {model}. Give the path of a QONNX file, or a name of `a2q models`.")
    if dataset is None:
        raise ConfigError(
            f"{model} does not say what data it is for. Name a data set, a folder of images by class, or an .npz file of "
            "images and labels with --dataset."
        )
    scores = evaluate_file(
        Path(model), dataset, folder, images, input_range, lambda batches: track(batches, "images ", transient=True)
    )
    title = f"{Path(model).stem} on {scores.source}"
    table = Table("form", "top-1", "images", title=title, min_width=len(title), box=None)
    table.add_row("the file", f"{scores.file:.2%}", f"{scores.images:,}")
    added = scores.input_quantizer
    table.add_row("integer graph", f"{scores.integers:.2%}", f"{scores.images:,}")
    notes = [f"images on which the two differ: {scores.differ}"]
    if added:
        notes.append(f"its input was quantized to 8 bits over {added}")
    table.caption = "; ".join(filter(None, [*notes, scores.pixels]))
    return table, scores.differ == 0 or added is not None


def export_command(model: str, out: Path | None) -> str:
    """Write a checkpoint as QONNX, with golden inputs and outputs beside it; a sentence on what was proven."""
    _quiet_brevitas()
    from pipeline.models.export import export_brevitas
    from pipeline.models.network_record import NetworkRecord
    from pipeline.models.registry import stands_in, trained_network
    from pipeline.models.resolve import check_hardware, check_whole, golden_frames

    spec, network, _ = trained_network(model)
    other = f"; {stands_in(spec)}" if stands_in(spec) else ""
    if spec.quantization is None:
        raise ConfigError(f"{spec.name} is a float network; QONNX is exported of quantized ones.")
    check_hardware(spec, network)
    check_whole(spec)
    chosen = golden_frames(spec, seed=0, count=_GOLDEN)
    folder = out or Path("exported", spec.name)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as passing:  # what is not proven is not left there
        preprocessing = spec.preprocessing
        channels = spec.input_shape[0]
        record = NetworkRecord(mean=preprocessing.mean[:channels], std=preprocessing.std[:channels])
        _, _, result = export_brevitas(network, chosen.frames, Path(passing), record)
        for file in sorted(Path(passing).iterdir()):
            file.replace(folder / file.name)
    return (
        f"{folder / 'model.onnx'}: {count(result.layers, 'layer')} {'holds' if result.layers == 1 else 'hold'} Brevitas' integers; outputs agree on {result.frames} "
        f"golden frames to {result.largest_difference:.1g} ({chosen.source}){other}"
    )


def pack_command(model: str, out: Path | None) -> str:
    """Write a checkpoint anew with packed integers for weights, as small as it gets; a sentence on what was proven."""
    _quiet_brevitas()
    import torch

    from pipeline.models.registry import checkpoint_record, load_checkpoint, trained_network
    from pipeline.models.registry import network as network_of
    from pipeline.models.resolve import golden_frames
    from pipeline.training.checkpoints import save_checkpoint

    spec, network, path = trained_network(model)
    if spec.quantization is None:
        raise ConfigError(f"{spec.name} is a float network; integers are packed of quantized ones.")
    frames = torch.from_numpy(golden_frames(spec, seed=0, count=_GOLDEN).frames)
    target = (out or Path("exported", spec.name)) / f"{spec.name}.pth"
    if target.resolve() == path.resolve():
        raise ConfigError(
            f"{path} itself would be replaced, and training cannot go on from packed weights. Name --out."
        )
    record = {key: value for key, value in checkpoint_record(path).items() if key != "sha256"}
    with torch.no_grad():
        expected = network(frames)
        packed = save_checkpoint(network, target, {**spec.as_record(), **record}, packed=True)
        again = network_of(spec)
        load_checkpoint(again, target)
        found = again.eval()(frames)
        pairs = zip(
            *((outputs,) if isinstance(outputs, torch.Tensor) else outputs for outputs in (found, expected)),
            strict=True,
        )
        if not all(torch.equal(one, other) for one, other in pairs):
            raise VerificationError(f"{target}: its outputs are not those of {path}. Keep that checkpoint.")
    return (
        f"{target}: {target.stat().st_size:,} bytes of {path.stat().st_size:,}, the weights of {packed} layers packed; "
        f"outputs equal on {len(frames)} golden frames"
    )


def _quiet_brevitas() -> None:
    """Keep warnings of Brevitas' own code, which a user can do nothing about, off the terminal."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"brevitas\.")
