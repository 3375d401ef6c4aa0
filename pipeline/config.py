"""What a build is asked to do: a YAML file of build_configs/ as a validated type.

Names are FINN's where FINN has the option. A file may say `inherit: <other file>`, relative to itself, and then only
what differs. Paths in a file are relative to it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.boards import BOARDS_FOLDER, load_board, read_board
from pipeline.errors import ConfigError

__all__ = ["CONFIG_FOLDER", "Accumulators", "BuildConfig", "Simulation", "Synthesis", "config_for", "load_config"]

CONFIG_FOLDER = Path(__file__).resolve().parents[1] / "build_configs"
_OF_A_BOARD = ("board", "fpga_part", "synth_clk_period_ns")
_POLICY = "exact, target, l1, datatype or fixed:n with n from 1 to 63 bits"


def _policy(text: str) -> str:
    from pipeline.accumulators.policy import Policy

    try:
        return str(Policy.parse(text))
    except ConfigError as error:
        raise ValueError(str(error)) from None


PolicyText = Annotated[str, AfterValidator(_policy)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Accumulators(_Section):
    """How wide sums are. `layers` gives some layers, by name, another policy than the rest."""

    policy: PolicyText = Field("exact", description=f"one of {_POLICY}")
    per_pe: bool = Field(False, description="true or false: whether each PE is only as wide as its own rows need")
    layers: dict[str, PolicyText] = Field({}, description=f"a mapping from a layer's name to one of {_POLICY}")


class Simulation(_Section):
    """Frames of the stitched network at full speed; `stall_seed` draws the gaps of a second run with random stalls."""

    frames: int = Field(10, ge=1, le=10_000, description="a whole number of frames from 1 to 10000")
    stall_seed: int = Field(0, ge=0, lt=2**32, description="a whole number of 0 or more")


class Synthesis(_Section):
    """Resources are counted for each layer out of context, always."""

    whole: bool = Field(
        False, description="true or false: whether the stitched network is counted in one piece as well"
    )


class BuildConfig(_Section):
    """One build. Every field is read by a stage; which one, `pipeline/plan.py` says."""

    model: str = Field(
        "quant_resnet8_w4a4_a2q_14b", min_length=1, description="a model's name or a path to a .onnx file"
    )
    weights: Literal["trained", "synthetic"] = Field("trained", description="trained or synthetic")
    seed: int = Field(0, ge=0, lt=2**32, description="a whole number of 0 or more; draws are repeated by it")
    golden_frames: int = Field(256, ge=1, le=10_000, description="a whole number of frames from 1 to 10000")
    golden_inputs: Path | None = Field(None, description="a path to a .npy file of frames (N, *input shape)")

    board: str = Field("KV260", description="a board of hw/boards")
    fpga_part: str = Field("", description="the part of a board of hw/boards")
    synth_clk_period_ns: float = Field(
        0.0, gt=0.5, le=1000, description="a clock period in nanoseconds, above 0.5 and up to 1000"
    )
    target_fps: float = Field(1000.0, gt=0, le=1e9, description="a number of frames a second above 0")
    folding_config_file: Path | None = Field(None, description="a path to a folding file in FINN's JSON")
    output: Literal["top1", "logits"] = Field("top1", description="top1 or logits")

    accumulators: Accumulators = Field(Accumulators(), description="a mapping of policy, per_pe and layers")
    simulation: Simulation = Field(Simulation(), description="a mapping of frames and stall_seed")
    synthesis: Synthesis = Field(Synthesis(), description="a mapping of whole")

    @model_validator(mode="before")
    @classmethod
    def _board_and_clock(cls, values: Any) -> Any:
        """Board and part name each other; the clock is the board's where none is given."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        part = values.get("fpga_part")
        if part and not values.get("board"):
            values["board"] = _board_of(str(part))
        board = load_board(str(values.get("board") or cls.model_fields["board"].default))
        if part and part != board.part:
            raise ConfigError(
                f"fpga_part is {part!r}, but the board {board.name} carries {board.part}. Leave one of the two out."
            )
        values.update(board=board.name, fpga_part=board.part)
        if values.get("synth_clk_period_ns") is None:
            values["synth_clk_period_ns"] = board.clock_period_ns
        return values

    def read(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of the fields `names`, dotted for those of a section; whole sections as plain dictionaries."""
        values = {}
        for name in names:
            value: Any = self
            for part in name.split("."):
                value = getattr(value, part)
            values[name] = value.model_dump() if isinstance(value, BaseModel) else value
        return values


def config_for(model: str) -> Path:
    """The file that a build of `model` takes where none is named: the model's own, or else the base."""
    own = CONFIG_FOLDER / f"{Path(model).stem if model.endswith('.onnx') else model}.yaml"
    return own if own.is_file() else CONFIG_FOLDER / "base.yaml"


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> BuildConfig:
    """The configuration in the YAML file `path`, its fields replaced by `overrides` where these are not None.

    Raises ConfigError with the file, the key, its value and what is allowed.
    """
    values = _read(path, ())
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    try:
        return BuildConfig.model_validate(_merged(values, given))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except ValidationError as error:
        raise ConfigError(_explain(path, error, given)) from None


def _read(path: Path, readers: tuple[Path, ...]) -> dict[str, Any]:
    """The values of `path` and of what it inherits."""
    path = path.absolute()
    if path in readers:
        raise ConfigError(f"{path} inherits from itself, by way of {readers[-1]}. Take one `inherit` out.")
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        asked = f", which {readers[-1]} inherits from," if readers else ""
        raise ConfigError(f"The build configuration {path}{asked} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = re.sub(r"\s+", " ", str(error))
        raise ConfigError(f"The build configuration {path} is not YAML: {reason}.") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"The build configuration {path} holds a {type(values).__name__}; expected keys and values.")
    parent = values.pop("inherit", None)
    for key in ("golden_inputs", "folding_config_file"):
        if isinstance(values.get(key), str):
            values[key] = path.parent / values[key]
    if isinstance(values.get("model"), str) and values["model"].endswith(".onnx"):
        values["model"] = str(path.parent / values["model"])
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: inherit is {parent!r}; expected the path of another configuration.")
    return _merged(_read(path.parent / parent, (*readers, path)), values)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` over `base`. Who names a board, or its part, leaves nothing of another board's."""
    merged = dict(base)
    if "board" in own or "fpga_part" in own:
        merged = {key: value for key, value in base.items() if key not in _OF_A_BOARD}
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged


def _board_of(part: str) -> str:
    boards = [read_board(path) for path in sorted(BOARDS_FOLDER.glob("*.yaml"))]
    for board in boards:
        if board.part == part:
            return board.name
    known = ", ".join(f"{board.part} ({board.name})" for board in boards)
    raise ConfigError(f"fpga_part is {part!r}, which no board of {BOARDS_FOLDER} carries. Choose one of: {known}.")


def _explain(path: Path, error: ValidationError, given: Mapping[str, Any]) -> str:
    """The first thing that is wrong with a configuration, in a sentence; unknown keys before values."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    place = [str(part) for part in first["loc"]]
    where = "the command line" if place[0] in given else str(path)
    section: type[BaseModel] = BuildConfig
    for depth, name in enumerate(place):
        if name not in section.model_fields:
            return f"{where}: {_unknown(place[: depth + 1], list(section.model_fields))}"
        field = section.model_fields[name]
        inner = field.annotation
        if depth + 1 == len(place) or not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    key = ".".join(place if name == "layers" else place[: depth + 1])
    return f"{where}: {key} is {first['input']!r}; expected {field.description}."


def _unknown(place: list[str], known: list[str]) -> str:
    inside = f" in {'.'.join(place[:-1])}" if place[1:] else ""
    close = difflib.get_close_matches(place[-1], known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"there is no option {place[-1]!r}{inside}. {hint}The options are: {', '.join(known)}."
