"""Many quantizations after training, with several seeds: tables of accuracy by bits, beside published ones, and a plot."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from pipeline import config_file
from pipeline.config_file import Section
from pipeline.errors import ConfigError
from pipeline.files import PTQ_CONFIGS
from pipeline.quantize.config import QuantizeConfig, anchor, load_quantize_config
from pipeline.text_file import shown

if TYPE_CHECKING:
    from torch import nn

    from pipeline.quantize.quantize import Source
    from pipeline.training.evaluate import Scores

__all__ = ["Cell", "TablesConfig", "is_benchmark_of_tables", "is_tables", "load_tables", "make_tables"]

_BITS = re.compile(r"W(\d+)A(\d+)")
_RUNS = "runs.jsonl"


class TablesConfig(Section):
    """The quantizations of some tables. A row says in what they differ from `quantize`; a list is one after the other."""

    quantize: dict[str, Any] = Field(description="a mapping, keys as in a file of build_configs/ptq/, for all rows")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(
        (0, 1, 2), min_length=1, description="a list of different seeds of 0 or more"
    )
    published: dict[str, str] = Field(
        {}, description="a mapping, of a network to the model of ptq_published.csv whose figures stand beside its own"
    )
    rows: tuple[dict[str, Any], ...] = Field(
        min_length=1,
        max_length=256,
        description="a list of 1 to 256 mappings, keys as in `quantize` with one or several values, and `bits`, such as "
        "[W8A32, W4A4]",
    )


@dataclass(frozen=True)
class Cell:
    """One place of a table: its configuration, whatever its seed, and the records of its quantizations so far, by seed."""

    config: QuantizeConfig
    records: Mapping[int, Mapping[str, Any]]

    @property
    def top1(self) -> list[float]:
        """Of each seed, as a fraction."""
        return [record["top1"] for record in self.records.values()]


def is_tables(path: Path) -> bool:
    """Whether the file `path` is of tables of quantization. Raises ConfigError for a file that cannot be read."""
    return "quantize" in _keys(path)


def is_benchmark_of_tables(path: Path) -> bool:
    """Whether the benchmark in the file `path` is of quantizations, and not of trainings. Raises ConfigError for neither."""
    keys = _keys(path)
    if not keys & {"quantize", "base"}:
        raise ConfigError(
            f"{path} has neither `quantize`, from which its rows would differ as quantizations, nor `base`, from which they would "
            "as trainings. Add one of them."
        )
    return "quantize" in keys


def _keys(path: Path) -> set[str]:
    return set(config_file.read(path, lambda values, folder: None, path.parent))


def load_tables(path: Path) -> tuple[TablesConfig, list[QuantizeConfig]]:
    """The tables in the YAML file `path`, and the configuration of each of their cells, all with the first seed.

    Raises ConfigError with the file, the row, the key and what is allowed.
    """
    try:
        config = TablesConfig.model_validate(config_file.read(path, _anchor, PTQ_CONFIGS))
    except ValidationError as error:
        raise ConfigError(config_file.explain(path, error, TablesConfig, {}, PTQ_CONFIGS)) from None
    if len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"{path}: seeds is {list(config.seeds)}; expected each once.")
    if "seed" in config.quantize:
        raise ConfigError(f"{path}: quantize has a seed; all rows are quantized with each of `seeds`. Take it out.")
    cells: list[QuantizeConfig] = []
    for number, row in enumerate(config.rows, start=1):
        for values in _each(row, f"{path}, row {number}"):
            merged = {**config.quantize, **values, "seed": config.seeds[0]}
            cell = load_quantize_config(None, merged, f"{path}, row {number}")
            if cell.is_class:
                raise ConfigError(
                    f"{path}, row {number}: network is {cell.network!r}; expected a float network of `a2q models`, or a family "
                    "with its state."
                )
            if cell in cells:
                raise ConfigError(f"{path}, row {number}: {cell.label} is there already; expected each once.")
            cells.append(cell)
    return config, cells


def make_tables(path: Path, folder: Path, say: Callable[[str], None]) -> list[Cell]:
    """Do every quantization of the tables `path` with every seed; those that `folder`/runs.jsonl has are kept.

    Seeds are the outer loop, so that the first full table comes early. The pages are of what is done, also where this is
    interrupted.
    """
    from pipeline.quantize.tables_page import network_name, published_figures, write_pages

    config, cells = load_tables(path)
    networks = list(dict.fromkeys(cell.network for cell in cells))
    names = [network_name(network) for network in networks]
    for name, model in config.published.items():
        if name not in names:
            raise ConfigError(f"{path}: published has {name!r}, which is no network of the rows: {', '.join(names)}.")
        published_figures(model)  # what is not published is said before hours are spent
    runs = _Runs(folder / _RUNS, cells)
    try:
        for seed, network in product(config.seeds, networks):
            _run([_seeded(cell, seed) for cell in cells if cell.network == network], runs, say)
    finally:
        results = [
            Cell(cell, {s: record for s in config.seeds if (record := runs.find(_seeded(cell, s)))}) for cell in cells
        ]
        write_pages(results, config.published, folder)
    return results


def _run(cells: list[QuantizeConfig], runs: _Runs, say: Callable[[str], None]) -> None:
    """Do what is missing of `cells`, which are of one network and one seed."""
    from pipeline.quantize.quantize import float_network, quantize, record_of, source_of, top1_scores

    sources: dict[tuple[Any, ...], Source] = {}
    for cell in cells:
        if runs.find(cell):
            continue
        made_of = (cell.dataset, cell.data_folder, cell.images, cell.state, cell.input_shape, cell.mean, cell.std)
        if made_of not in sources:
            sources = {made_of: source_of(cell, *float_network(cell))}  # one at a time: they are large
        source = sources[made_of]
        if not source.images.labelled:
            raise ConfigError(
                f"dataset is {cell.dataset!r}, whose images have no classes, and tables are of top-1; expected a data set, or a "
                "folder that has a folder of images for each class."
            )
        result = quantize(cell, source)
        digest = _digest(result.network)
        scores = runs.measured(digest) or top1_scores(result.network, source.test)
        runs.add(cell, digest, scores, record_of(cell, source, result, scores))
        say(f"{cell.network}, seed {cell.seed}, {cell.label}: top-1 {scores.metrics['top1']:.2%}")


class _Runs:
    """The quantizations that are done, in a file with a line of JSON for each."""

    def __init__(self, path: Path, cells: list[QuantizeConfig]) -> None:
        from pipeline.models.registry import trained_network

        self._path = path
        self._floats: dict[tuple[str, Path | None], str] = {}  # the digests of their files
        for name, state in dict.fromkeys((cell.network, cell.state) for cell in cells):
            file = state or trained_network(name)[2]
            if not file.is_file():
                raise ConfigError(f"state is {state}, and there is no such file.")
            self._floats[name, state] = hashlib.sha256(file.read_bytes()).hexdigest()
        self._lines: dict[str, dict[str, Any]] = {}
        for text in path.read_text().splitlines() if path.is_file() else ():
            try:
                line = json.loads(text)
                self._lines[line["key"]] = line
            except (ValueError, KeyError, TypeError):
                continue  # the line at which it was stopped
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def find(self, config: QuantizeConfig) -> dict[str, Any] | None:
        """The record of what was done with `config`."""
        line = self._lines.get(self._key(config))
        return line["record"] if line else None

    def measured(self, digest: str) -> Scores | None:
        """The scores of the same network, tensor by tensor: one that no seed changes is measured once."""
        from pipeline.training.evaluate import Scores

        line = next((line for line in self._lines.values() if line["network"] == digest), None)
        return Scores(**line["scores"]) if line else None

    def add(self, config: QuantizeConfig, digest: str, scores: Scores, record: dict[str, Any]) -> None:
        key = self._key(config)
        self._lines[key] = {"key": key, "network": digest, "scores": asdict(scores), "record": record}
        with self._path.open("a") as stream:
            stream.write(json.dumps(self._lines[key]) + "\n")

    def _key(self, config: QuantizeConfig) -> str:
        values = config.model_dump(mode="json", exclude={"data_folder", "state"}, exclude_none=True) | {
            "network": self._floats[config.network, config.state]
        }
        return json.dumps(values, sort_keys=True)


def _digest(network: nn.Module) -> str:
    """The SHA-256 of a network's state, and of what it is."""
    digest = hashlib.sha256(repr(network).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _seeded(config: QuantizeConfig, seed: int) -> QuantizeConfig:
    return config.model_copy(update={"seed": seed})


def _each(row: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """The values of each cell of `row`: every combination of those that its keys have."""
    if "seed" in row:
        raise ConfigError(f"{where}: seed is given; every row is quantized with each of `seeds`. Take it out.")
    axes = {key: _values(key, value) for key, value in row.items()}
    for key, several in axes.items():
        if not several:
            raise ConfigError(f"{where}: {key} is []; expected a value, or several.")
    for values in product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        if "bits" in cell:
            match = _BITS.fullmatch(str(cell.pop("bits")))
            if match is None:
                raise ConfigError(f"{where}: bits is {shown(row['bits'])}; expected such as W4A4, or a list of them.")
            if twice := sorted(cell.keys() & {"weight_bits", "act_bits"}):
                raise ConfigError(f"{where}: {twice[0]} stands beside bits, which says it, too. Leave one of them out.")
            cell |= {"weight_bits": int(match[1]), "act_bits": int(match[2])}
        yield cell


def _values(key: str, value: Any) -> list[Any]:
    """What a row has of `key`, one after the other; a list of numbers may be one value, such as a shape."""
    is_one = (
        key in ("input_shape", "mean", "std")
        and isinstance(value, list)
        and not any(isinstance(v, list) for v in value)
    )
    return [value] if is_one or not isinstance(value, list) else value


def _anchor(values: dict[str, Any], folder: Path) -> None:
    rows = values.get("rows")
    for given in [values.get("quantize"), *(rows if isinstance(rows, list) else ())]:
        if isinstance(given, dict):
            anchor(given, folder)
