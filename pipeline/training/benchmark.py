"""Many trainings, a table and a plot: what accuracy an accumulator of P bits costs."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from pipeline import config_file
from pipeline.accumulators.methods import METHODS
from pipeline.config_file import Section
from pipeline.datasets.catalog import find
from pipeline.errors import ConfigError
from pipeline.files import TRAIN_CONFIGS
from pipeline.models.a2q import largest_l1_norm
from pipeline.models.names import model_name
from pipeline.models.registry import checkpoint_record
from pipeline.report import markdown
from pipeline.report.table_page import write_table_page
from pipeline.training.config import TrainConfig, anchor, load_train_config

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BenchmarkConfig", "Row", "Run", "benchmark", "load_benchmark", "write_results"]


_TITLE = "Accuracy by accumulator width"
_PLOT = "accuracy, sparsity and norm by accumulator width"


class BenchmarkConfig(Section):
    """The trainings of a benchmark. A row is what differs from `base`; its `init` may name an earlier row."""

    base: Path = Field(description="the path of a training's configuration")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(
        (0, 1, 2), min_length=1, description="a list of different seeds of 0 or more, each trains every row once"
    )
    rows: tuple[dict[str, Any], ...] = Field(
        min_length=1, max_length=256, description="a list of 1 to 256 mappings, keys as in `base`"
    )


@dataclass(frozen=True)
class Run:
    """One training that is finished: its seed, and what its checkpoint's record says."""

    seed: int
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One network, and its trainings so far."""

    config: TrainConfig
    runs: tuple[Run, ...]

    def values(self, metric: str) -> list[float]:
        """A metric of each run, those without it left out."""
        return [run.record[metric] for run in self.runs if metric in run.record]


def load_benchmark(path: Path) -> tuple[BenchmarkConfig, list[TrainConfig]]:
    """The benchmark in the YAML file `path`, and the configuration of each row with the first seed.

    Raises ConfigError with the file, the row, the key and what is allowed.
    """
    try:
        config = BenchmarkConfig.model_validate(config_file.read(path, _anchor, path.parent))
    except ValidationError as error:
        raise ConfigError(config_file.explain(path, error, BenchmarkConfig, {}, path.parent)) from None
    rows = []
    for number, row in enumerate(config.rows, start=1):
        try:
            rows.append(load_train_config(config.base, row, "its values"))
        except ConfigError as error:
            raise ConfigError(f"{path}, row {number}: {error}") from None
    if len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"{path}: seeds is {list(config.seeds)}; expected each once.")
    names = [row.name for row in rows]
    for number, training in enumerate(rows):
        if training.init in names[number:]:
            raise ConfigError(
                f"{path}, row {number + 1}: init is {training.init}, which is trained later; move its row up."
            )
    for number, training in enumerate(rows, start=1):
        if find(training.dataset).labels != "classes":
            raise ConfigError(
                f"{path}, row {number}: dataset is {training.dataset!r}, which has {find(training.dataset).labels} for "
                "labels; a benchmark is a table of top-1. Train it with `a2q train`."
            )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path}: {twice[0]} is in two rows; each network may be in one.")
    return config, rows


def benchmark(path: Path, folder: Path, say: Callable[[str], None], *, bar: bool = False) -> list[Row]:
    """Train every row of the benchmark `path` with every seed, in `folder`/NAME_seed<N>; those that are done are kept.

    The table and the plot are written anew after every training. Seeds are the outer loop, so that the first full
    table comes early. Returns the rows. Raises ConfigError where a folder holds a training of another configuration.
    """
    from pipeline.training.fit import fit, refuse_other

    config, rows = load_benchmark(path)
    names = [row.name for row in rows]
    done: dict[str, list[Run]] = {name: [] for name in names}
    for seed in config.seeds:
        for row in rows:
            place = folder / f"{row.name}_seed{seed}"
            checkpoint = place / f"{row.name}.pth"
            changes: dict[str, Any] = {"seed": seed}
            if row.init in names:
                changes["init"] = str(folder / f"{row.init}_seed{seed}" / f"{row.init}.pth")
            chosen = row.model_copy(update=changes)
            refuse_other(place, chosen)
            if not checkpoint.is_file():
                fit(chosen, place, say, bar=bar)
            record = checkpoint_record(checkpoint)
            done[row.name].append(Run(seed, record))
            results = [Row(row, tuple(done[row.name])) for row in rows]
            write_results(results, folder)
            say(f"{row.name}, seed {seed}: top-1 {record['top1']:.2%}")
    return results


def write_results(rows: list[Row], folder: Path) -> None:
    """Write `folder`/benchmark.md, .html, .csv, .json and, where there are bounds, accuracy_by_accumulator.png."""
    trained = [row for row in rows if row.runs]
    (folder / "benchmark.json").write_text(
        json.dumps({r.config.name: [asdict(run) for run in r.runs] for r in trained}, indent=2) + "\n"
    )
    with (folder / "benchmark.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["network", "method", "P", "seed", "top1", "top5", "loss", "sparsity", "largest_l1"])
        for row in trained:
            for run in row.runs:
                metrics = [run.record.get(name, "") for name in ("top1", "top5", "loss", "sparsity", "largest_l1")]
                bound = row.config.accumulator
                writer.writerow([row.config.name, bound.method, bound.bit_width or "", run.seed, *metrics])
    drawn = any(row.config.accumulator.bit_width for row in trained)
    if drawn:
        _draw(trained, folder / "accuracy_by_accumulator.png")
    about, header, cells = _table(trained)
    plot = f"![{_PLOT}](accuracy_by_accumulator.png)"
    lines = [f"# {_TITLE}", "", about, "", markdown.table(header, cells), "", *([plot, ""] if drawn else [])]
    (folder / "benchmark.md").write_text("\n".join(lines))
    write_table_page(
        folder / "benchmark.html",
        _TITLE,
        about,
        header,
        cells,
        left=1,
        example="a2q 12b, resnet8 …",
        csv=folder / "benchmark.csv",
        images={_PLOT: folder / "accuracy_by_accumulator.png"} if drawn else {},
    )


def _table(rows: list[Row]) -> tuple[str, list[str], list[list[str]]]:
    """What the table is of, its header and its rows."""
    records = [run.record for row in rows for run in row.runs]
    seeds = sorted({run.seed for row in rows for run in row.runs})
    tests = sorted({record["test_data"] for record in records})
    about = (
        f"Trained on: {', '.join(sorted({r['training_data'] for r in records}))}. Top-1 on all images of: "
        f"{', '.join(tests)}. Sparsity and ‖w‖₁ are of the integer weights of all layers but the first and the last; "
        "the bound is the largest ‖w‖₁ that the method allows for P bits."
    )
    by_seed = [f"seed {seed}" for seed in seeds]
    header = ["network", "P", "top-1, mean", "std", *by_seed, "sparsity", "max ‖w‖₁", "bound"]
    return about, header, [_cells(row, seeds) for row in rows]


def _cells(row: Row, seeds: list[int]) -> list[str]:
    top1 = row.values("top1")
    by_seed = {run.seed: f"{run.record['top1']:.2%}" for run in row.runs}
    bound = l1_bound(row.config)
    sparsity, norms = row.values("sparsity"), row.values("largest_l1")
    return [
        row.config.name,
        str(row.config.accumulator.bit_width or "–"),
        f"{statistics.mean(top1):.2%}",
        f"{100 * statistics.stdev(top1):.2f}" if len(top1) > 1 else "–",
        *(by_seed.get(seed, "–") for seed in seeds),
        f"{statistics.mean(sparsity):.3f}" if sparsity else "–",
        f"{max(norms):.0f}" if norms else "–",
        f"{bound:.1f}" if bound else "–",
    ]


def l1_bound(config: TrainConfig) -> float | None:
    """The largest ‖w‖₁ of a hidden channel that `config` allows; None without a bound."""
    bound, quantization = config.accumulator, config.quantization
    if bound.bit_width is None or quantization is None:
        return None
    return largest_l1_norm(bound.method, bound.bit_width, quantization.act_bits)


_MARKS = {"a2q": ("#E69F00", "s"), "a2q_plus": ("#0072B2", "o")}  # the colour and the symbol of a method
_LINES = ("-", "--", "-.", (0, (1, 1)))  # of the first network, the second and so on


def _draw(rows: list[Row], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, PercentFormatter, ScalarFormatter

    widths = sorted({row.config.accumulator.bit_width for row in rows if row.config.accumulator.bit_width})
    networks = list(dict.fromkeys(model_name(row.config.network, None, row.config.width) for row in rows))
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    titles = {"top1": "top-1", "sparsity": "sparsity", "largest_l1": "largest ‖w‖₁ of a channel"}
    for axis, (metric, title) in zip(panels, titles.items(), strict=True):
        for number, network in enumerate(networks):
            rows_of_network = [row for row in rows if model_name(row.config.network, None, row.config.width) == network]
            of = f", {network}" if len(networks) > 1 else ""
            _draw_network(axis, rows_of_network, metric, _LINES[number % len(_LINES)], of)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("accumulator bits P")
        axis.set_xticks(widths)
        axis.set_xlim(widths[0] - 0.5, widths[-1] + 0.5)
        axis.grid(alpha=0.3)
        if metric != "largest_l1":
            axis.yaxis.set_major_formatter(PercentFormatter(1.0))
        else:
            axis.set_yscale("log", base=2)
            axis.yaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_minor_locator(NullLocator())
            axis.legend(fontsize=8)
    panels[0].legend(fontsize=8)
    figure.suptitle(", ".join(sorted({run.record["test_data"] for row in rows for run in row.runs})), fontsize=10)
    figure.savefig(path, dpi=140)


def _draw_network(axis: Axes, rows: list[Row], metric: str, line: Any, of: str) -> None:
    """A metric of the trainings of one network: a line for each method, each seed beside it, and those without a
    bound."""
    titles = {str(method): title for method, title in METHODS.items()}
    for method, (colour, marker) in _MARKS.items():
        bounded = sorted(
            (row.config.accumulator.bit_width or 0, row.values(metric))
            for row in rows
            if row.config.accumulator.method == method and row.values(metric)
        )
        if not bounded:
            continue
        label = titles[method]
        means = [statistics.mean(accuracies) for _, accuracies in bounded]
        axis.plot(
            [width for width, _ in bounded], means, color=colour, marker=marker, markersize=5, linestyle=line,
            label=label + of,
        )  # fmt: skip
        for width, accuracies in bounded:  # each seed, paler than the mean
            axis.plot([width] * len(accuracies), accuracies, color=colour, marker=marker, linestyle="", alpha=0.4)
        if metric == "largest_l1":
            allowed = sorted(
                {
                    (row.config.accumulator.bit_width, l1_bound(row.config))
                    for row in rows
                    if row.config.accumulator.method == method
                }
            )
            axis.plot(*zip(*allowed, strict=True), color=colour, linestyle=":", label=f"what {label} allows")
    for row in rows:
        if row.config.accumulator.method == "none" and row.values(metric):
            style = "--" if row.config.quantization else ":"
            label = ("no bound" if row.config.quantization else "float") + of
            axis.axhline(statistics.mean(row.values(metric)), color="black", linestyle=style, linewidth=1, label=label)


def _anchor(values: dict[str, Any], folder: Path) -> None:
    if isinstance(values.get("base"), str):
        values["base"] = config_file.find(values["base"], folder, TRAIN_CONFIGS)
    rows = values.get("rows")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            anchor(row, folder)
