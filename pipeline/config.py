"""The configuration of a build: a YAML file of build_configs/ as a validated type.

Names are FINN's where FINN has the option. A file may say `inherit: <other file>`, relative to itself, and then only
what differs. Paths in a file are relative to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from pipeline import config_file
from pipeline.accumulators.policy import CHOICES, Policy
from pipeline.board_design.description import check_clock
from pipeline.config_file import Section
from pipeline.devices.boards import DEFAULT_BOARD, all_boards, is_board_file, load_board
from pipeline.errors import ConfigError
from pipeline.files import BOARDS, BUILD_CONFIGS
from pipeline.finn import settings
from pipeline.models.names import MODEL_CLASS, is_path
from pipeline.text_file import either, shown

__all__ = [
    "COMMAND_LINE",
    "Accumulators",
    "BuildConfig",
    "Simulation",
    "Synthesis",
    "Timing",
    "Verify",
    "command_line",
    "config_for",
    "load_config",
    "path_of",
]

COMMAND_LINE = "the command line"
_OF_A_BOARD = ("board", "fpga_part", "synth_clk_period_ns")


def _policy(text: str) -> str:
    try:
        return str(Policy.parse(text))
    except ConfigError as error:
        raise ValueError(str(error)) from None


PolicyText = Annotated[str, AfterValidator(_policy)]


Bits = Annotated[int, Field(ge=2, le=63)]


class Accumulators(Section):
    """How wide sums are. `layers` gives some layers, by name, another policy than the rest.

    `bits` is the P that layers were trained for, where the model does not say it, or says something else.
    """

    policy: PolicyText = Field(
        "exact", description=f"one of {CHOICES}; a2q_plus only where each row of weights sums to zero"
    )
    per_pe: bool = Field(False, description="true or false: whether each PE is only as wide as its own rows need")
    layers: dict[str, PolicyText] = Field(
        {},
        description=f"a mapping from a layer's name, in the network (conv1) or in hardware (MVAU_0), to one of {CHOICES}",
    )
    bits: Bits | dict[str, Bits] | None = Field(
        None,
        description="the P that all layers were trained for, from 2 to 63, or a mapping from a layer's name to its P",
    )


class Simulation(Section):
    """Frames of the stitched network at full speed; `stall_seed` draws the gaps of a second run with random stalls.

    `cppsim_frames` of the network in C++, or as many golden frames as there are; with 0 nothing is run in C++.
    """

    frames: int = Field(10, ge=1, le=10_000, description="a whole number of frames from 1 to 10000")
    cppsim_frames: int = Field(
        100, ge=0, le=10_000, description="a whole number of frames from 1 to 10000, or 0 for no simulation of the C++"
    )
    stall_seed: int = Field(0, ge=0, lt=2**32, description="a whole number of 0 or more")


class Synthesis(Section):
    """Resources are counted for each layer out of context, always."""

    whole: bool = Field(
        False, description="true or false: whether the stitched network is counted in one piece as well"
    )


class Verify(Section):
    """Evidence beyond what every build has: `gate_level` simulates the netlists that resources are counted from beside the
    SystemVerilog, on `frames` golden frames; `finn` streamlines the network by FINN and compares the integers, on the golden
    frames that are simulated."""

    gate_level: bool = Field(
        False,
        description="true or false: whether netlists are simulated beside the SystemVerilog that they are mapped from",
    )
    frames: int = Field(1, ge=1, le=100, description="a whole number of frames from 1 to 100")
    finn: bool = Field(
        False,
        description="true or false: whether FINN's own streamlining of the network has to give the same integers",
    )


class Timing(Section):
    """Whether every MVAU is placed and routed alone: on an ECP5 with the seeds 1 to `seeds`, and by Vivado if it is there."""

    place_and_route: bool = Field(False, description="true or false: whether every MVAU is placed and routed, alone")
    seeds: int = Field(
        3, ge=1, le=100, description="a whole number of seeds of the open place and route, from 1 to 100"
    )


MvauStyle = Literal["folded", "unrolled", "sparse", "dsp", "auto"]
RamStyle = Literal["auto", "distributed", "block", "ultra"]
ActivationStyle = Literal["auto", "thresholds", "requantize"]
ScaleMultiplier = Literal["lut", "dsp", "auto"]
ImplStyle = Literal["rtl", "hls"]
Weights = Literal["trained", "synthetic"]
Output = Literal["top1", "logits"]


def _choices(kind: Any) -> str:
    """The values of a Literal, in words."""
    return either(get_args(kind))


def _numbers(value: Any) -> Any:
    """The command line's 0,255 is a file's [0, 255], which it may write, too."""
    if not isinstance(value, str) or "," not in value:
        return value
    inner = value.strip()
    return (inner[1:-1] if inner[0] + inner[-1] in ("[]", "()") else inner).split(",")


def _increasing(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = np.asarray(ends, np.float32)
    if not np.isfinite([low, high]).all() or not low < high:
        raise ValueError("the lower end comes first, and float32 tells both apart")
    return ends


InputRange = Annotated[tuple[float, float], BeforeValidator(_numbers), AfterValidator(_increasing)]


InputShape = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1 << 24)], ...],
    BeforeValidator(_numbers),
    Field(min_length=1, max_length=3),
]


FrameRate = Annotated[float, Field(gt=0, le=1e9)]


Latency = Annotated[float, Field(gt=0, le=1e12)]


def _section(kind: type[Section]) -> Any:
    """The field of a section of type `kind`."""
    return Field(kind(), description=f"a mapping of {either(list(kind.model_fields), 'and')}")


class BuildConfig(Section):
    """One build. Every field is read by a stage: `a2q options` says by which. Raises ConfigError for what cannot be."""

    model: str = Field(
        "quant_resnet8_w4a4_a2q_14b", min_length=1, description="a model's name or a path to a .onnx or .pth file"
    )
    weights: Weights = Field("trained", description=_choices(Weights))
    seed: int = Field(0, ge=0, lt=2**32, description="a whole number of 0 or more; draws are repeated by it")
    golden_frames: int = Field(256, ge=1, le=10_000, description="a whole number of frames from 1 to 10000")
    golden_inputs: Path | None = Field(None, description="a path to a .npy file of frames (N, *input shape)")
    accuracy_images: Annotated[int, Field(ge=0, le=1_000_000)] | Literal["auto"] = Field(
        "auto",
        description="a whole number of test images of the network's data set, up to 1000000, on which the integers are measured, 0 "
        "for none, or auto for 1000, down to 100 of networks with many multiplications",
    )
    input_range: InputRange | None = Field(
        None, description="the least and the largest number that the network takes, such as [0, 255]"
    )
    model_class: str | None = Field(
        None,
        pattern=MODEL_CLASS,
        description="module:Class, what makes the network that a checkpoint of your own fills",
    )
    input_shape: InputShape | None = Field(
        None,
        description="the shape of one input, without the batch, such as [3, 32, 32]: of model_class, or of a network by "
        "name whose weights take it",
    )

    board: str = Field(DEFAULT_BOARD, description="a board of hw/boards, or a path to a board's .yaml file")
    fpga_part: str = Field("", description="the part of `board`, or without one that of a board of hw/boards")
    synth_clk_period_ns: float = Field(
        0.0, gt=0.5, le=1000, description="a clock period in nanoseconds, above 0.5 and up to 1000"
    )
    target_fps: FrameRate | Literal["max"] = Field(
        1000.0, description="a number of frames a second above 0 and up to 1e9, or max for as many as fit the board"
    )
    target_latency_ns: Latency | None = Field(
        None,
        description="the most nanoseconds from the first word of a frame in to its last word out, above 0 and up to 1e12; "
        "foldings are chosen to reach it, beyond what target_fps asks for",
    )
    mvau_style: MvauStyle | dict[str, MvauStyle] = Field(
        "auto",
        description=f"{_choices(MvauStyle)}, or a mapping of layers (MVAU_3) to these; others are auto, which is the style with "
        "which all take the fewest LUTs, a DSP counting as ten. A VVAU (depthwise) is folded where all are to be sparse or dsp",
    )
    ram_style: RamStyle | dict[str, RamStyle] = Field(
        "auto",
        description=f"{_choices(RamStyle)}, or a mapping of layers (MVAU_3) to these; others are auto",
    )
    activation_style: ActivationStyle | dict[str, ActivationStyle] = Field(
        "auto",
        description=f"{_choices(ActivationStyle)}, or a mapping of layers (MVAU_3) to these; others are auto",
    )
    scale_multiplier: ScaleMultiplier | dict[str, ScaleMultiplier] = Field(
        "auto",
        description=f"{_choices(ScaleMultiplier)}: what multiplies by scales, in requantizers and in LabelSelect, or a mapping "
        "of layers (MVAU_3) to these; others are auto, which is DSPs where one spares ten LUTs",
    )
    folding_config_file: Path | None = Field(None, description="a path to a folding file in FINN's JSON")
    preferred_impl_style: ImplStyle | dict[str, ImplStyle] = Field(
        "rtl",
        description=f"{_choices(ImplStyle)}, or a mapping of layers (MVAU_3) and operators (MVAU) to these, others being "
        "rtl; for hls Vitis HLS estimates resources where it is on PATH, and the hardware stays that of hw/rtl",
    )
    specialize_layers_config_file: Path | None = Field(
        None, description="a path to a file of preferred_impl_style by layer and operator in FINN's JSON"
    )
    output: Output | None = Field(
        None,
        description=f"{_choices(Output)}; null for top1 where the network gives a number for each class, else logits",
    )

    finn: bool = Field(
        False,
        description="true or false: whether the layers are written as a model of FINN's nodes, too, with FINN's settings and "
        "golden frames, and are run by FINN",
    )
    check_overflow: bool = Field(
        False, description="true or false: a debug build, whose hardware watches its accumulators for overflows"
    )
    accumulators: Accumulators = _section(Accumulators)
    simulation: Simulation = _section(Simulation)
    synthesis: Synthesis = _section(Synthesis)
    verify: Verify = _section(Verify)
    timing: Timing = _section(Timing)

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            if not isinstance(values, dict):
                raise
            given = {**dict.fromkeys(cls.model_fields), **values}
            text = config_file.explain(Path(), error, cls, given, BUILD_CONFIGS, cls.__name__)
            raise ConfigError(text) from error

    @model_validator(mode="before")
    @classmethod
    def _board_and_clock(cls, values: Any) -> Any:
        """Board and part name each other; the clock is the board's where none is given."""
        if not isinstance(values, dict):
            return values
        values = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
        name, part = values.get("board"), values.get("fpga_part")
        if not all(value is None or config_file.is_line(value) for value in (name, part)):
            return values  # which is refused, field by field
        board = load_board(name or (_board_of(part) if part else cls.model_fields["board"].default))
        if part and part != board.part:
            raise ConfigError(
                f"fpga_part is {part!r}, but the board {board.name} carries {board.part}. Leave one of the two out."
            )
        described = name and is_board_file(name)
        values.update(board=str(Path(name).absolute()) if described else board.name, fpga_part=board.part)
        if values.get("synth_clk_period_ns") is None:
            values["synth_clk_period_ns"] = board.clock_period_ns
        return values

    @model_validator(mode="after")
    def _clock_can_be_made(self) -> Self:
        check_clock(load_board(self.board), self.synth_clk_period_ns)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with `update` over it, in the form of a file and as well verified: sections are mappings, and who names a
        board leaves nothing of another board's. Raises ConfigError for what cannot be."""
        return self.model_validate(_merged(self.model_dump(warnings=False), update or {}))

    @property
    def board_name(self) -> str:
        """The board's name, also of one that is described by a file of the user's."""
        return load_board(self.board).name

    def as_json(self, names: Iterable[str]) -> str:
        """The values of the fields `names`, dotted for those of a section, as JSON: the same text for the same values."""
        values = {name: attrgetter(name)(self) for name in names}
        return json.dumps(values, sort_keys=True, default=_plain)


def _plain(value: object) -> object:
    return value.model_dump() if isinstance(value, BaseModel) else str(value)


def path_of(option: str, value: str | Path) -> Path:
    """The path `value` of the option `option`. Raises ConfigError for what cannot be a path: nothing, or no line of text."""
    if not isinstance(value, str | Path) or not str(value) or not config_file.is_line(str(value)):
        raise ConfigError(f"{option} is {shown(value)}; expected a path.")
    return Path(value)


def config_for(model: str) -> Path:
    """The file that a build of `model` takes where none is named.

    It has the model's name, or as much of its beginning as there is a file for: `quant_resnet8_w4a4.yaml` is every
    accumulator's. For a QONNX file it has the whole name. Where there is none, it is the base.
    """
    parts = (Path(model).stem if is_path(model) else model).split("_")
    shortest = len(parts) if model.endswith(".onnx") else 1
    names = ["_".join(parts[:length]) for length in range(len(parts), shortest - 1, -1)]
    return next(
        (file for name in names if os.path.isfile(file := BUILD_CONFIGS / f"{name}.yaml")), BUILD_CONFIGS / "base.yaml"
    )


def load_config(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    giver: str = "what is given over the file",
    *,
    on_note: Callable[[str], None] = lambda text: None,
) -> BuildConfig:
    """The configuration in the YAML file `path`, with `overrides` over it, in the form of a file.

    A plain name that is no file here may be that of one in build_configs/, with .yaml or without. It may be a file of FINN's
    settings, dataflow_build_config.json, too: `on_note` is told what of it is taken. Raises ConfigError
    with the file, or the `giver` of the overrides, the key, its value and what is allowed; so for the files of FINN
    that it names.
    """
    if overrides is not None and not isinstance(overrides, Mapping):
        raise ConfigError(f"{giver} is {shown(overrides)}; expected a mapping of options to values.")
    path = config_file.find(str(path_of("config", path)), Path(), BUILD_CONFIGS)
    notes: list[str] = []
    values = config_file.read(path, partial(_read_options, path=path, on_note=notes.append), BUILD_CONFIGS, _merged)
    given = overrides or {}
    for note in notes:
        on_note(note)
    if notes and "model" not in {**values, **given}:
        raise ConfigError(
            f"{path}: FINN's settings name no model, as finn-plus' model_path would. Name one: a2q build model.onnx --config {path}"
        )
    try:
        config = BuildConfig.model_validate(_merged(values, given))
    except ConfigError as error:
        if isinstance(error.__cause__, ValidationError):
            text = config_file.explain(path, error.__cause__, BuildConfig, given, BUILD_CONFIGS, giver)
            raise ConfigError(text) from None
        # else it is of the board and its clock, which pydantic does not check
        by_the_file = not given.keys() & set(_OF_A_BOARD) or _refusal(values) == str(error)
        raise ConfigError(f"{path if by_the_file else giver}: {error}") from None
    _check_files_of_finn(config)
    return config


def command_line(assignments: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a command line over a file: `assignments`, each NAME=VALUE of --set, and `options`, by their field.

    Options that are None are not given. Paths become absolute. Raises ConfigError for a field that is given twice, or a
    setting that cannot be read.
    """
    values = config_file.assigned(assignments, BuildConfig, f"{COMMAND_LINE}: --set")
    given = {name: value for name, value in options.items() if value is not None}
    if twice := sorted(values.keys() & given.keys()):
        raise ConfigError(f"{COMMAND_LINE}: {twice[0]} is given by --set and in another way. Leave one of them out.")
    _anchor(values, Path.cwd())
    return {**given, **values}


def _refusal(values: Mapping[str, Any]) -> str:
    """The error of a configuration that is checked beyond its fields, where it has one."""
    try:
        BuildConfig.model_validate(values)
    except ConfigError as error:
        return "" if isinstance(error.__cause__, ValidationError) else str(error)
    return ""


def _check_files_of_finn(config: BuildConfig) -> None:
    """Read the files that are used only when the network is known, so that a wrong one is refused before hours of work."""
    if config.folding_config_file:
        from pipeline.folding.folding_config import FoldingConfig

        FoldingConfig.load(config.folding_config_file)
    if config.specialize_layers_config_file:
        from pipeline.folding.impl_styles import StylesFile

        StylesFile.load(config.specialize_layers_config_file)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` over `base`. Who names a board, or its part, leaves nothing of another board's."""
    if "board" in over or "fpga_part" in over:
        base = {key: value for key, value in base.items() if key not in _OF_A_BOARD}
    return config_file.merge(base, over)


def _read_options(values: dict[str, Any], folder: Path, path: Path, on_note: Callable[[str], None]) -> None:
    """Make the `values` of a file in `folder` options, where they are FINN's settings, with paths relative to it."""
    if settings.are_settings(values):
        options, note = settings.taken(
            values, str(path) if folder == path.absolute().parent else f"What {path} inherits from {folder}"
        )
        values.clear()
        values.update(options)
        on_note(note)
    _anchor(values, folder)


def _anchor(values: dict[str, Any], folder: Path) -> None:
    for key in ("golden_inputs", "folding_config_file", "specialize_layers_config_file"):
        if isinstance(values.get(key), str):
            values[key] = folder / values[key]
    if isinstance(values.get("model"), str) and is_path(values["model"]):
        values["model"] = str(folder / values["model"])
    if isinstance(values.get("board"), str) and is_board_file(values["board"]):
        values["board"] = str(folder / values["board"])


def _board_of(part: str) -> str:
    boards = all_boards()
    carriers = [board.name for board in boards if board.part == part]
    if len(carriers) > 1:
        raise ConfigError(
            f"fpga_part is {part!r}, which {' and '.join(carriers)} carry. Say which one is meant: board: {carriers[0]}."
        )
    if carriers:
        return carriers[0]
    known = ", ".join(f"{board.part} ({board.name})" for board in boards)
    raise ConfigError(f"fpga_part is {part!r}, which no board of {BOARDS} carries. Choose one of: {known}.")
