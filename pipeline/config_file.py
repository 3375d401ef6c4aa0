"""Configurations as YAML files: one may inherit from another, and what is wrong with one is said in a sentence."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from pipeline.errors import ConfigError
from pipeline.text_file import shown
from pipeline.yaml_file import parse_yaml, read_yaml

__all__ = ["Section", "assigned", "explain", "field_names", "find", "is_line", "merge", "named", "read"]

Values = dict[str, Any]

_MOST_PARENTS = 16
_LONGEST_LINE = 1024
_LONGEST_NAME = 64  # that is shown, or compared with the names of options


class Section(BaseModel):
    """A configuration, or a part of one: no key that is not known, no infinite number, no text of more than a line, and
    no change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _what_is_asked_for(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes true for 1, and pydantic 1 for true; in a file one is a mistake where the other is asked for.

        Text is a name or a path, which messages and file names have in them.
        """
        assert info.field_name is not None  # this validates fields
        kinds = _kinds(cls.model_fields[info.field_name].annotation)
        values = value if isinstance(value, list | tuple) else [value]
        if bool not in kinds and any(isinstance(v, bool) for v in values):
            raise ValueError("true and false are not asked for here")
        if kinds == (bool,) and not isinstance(value, bool):
            raise ValueError("only true and false are asked for here")
        texts = [*values, *value] if isinstance(value, dict) else values
        if not all(is_line(str(v)) for v in texts if isinstance(v, str | Path)):
            raise ValueError("it does not fit on a line")
        return value


def is_line(value: object) -> bool:
    """Whether `value` is text of at most a line."""
    return isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_LINE


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    """`over` over `base`, mappings within them key by key."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = merge(base[key], value) if both else value
    return merged


def find(name: str, folder: Path, shipped: Path) -> Path:
    """The file `name`, relative to `folder`, or one of that plain name, with .yaml or without, that comes with the project in
    `shipped`."""
    path = folder / name
    if Path(name).name != name or os.path.isfile(path):
        return path
    return next((file for file in (shipped / name, shipped / f"{name}.yaml") if os.path.isfile(file)), path)


def named(path: Path, *shipped: Path) -> Path:
    """`path`, or the file of that plain name, with .yaml or without, in one of the folders `shipped`, which come with the
    project. Raises ConfigError where there is none."""
    if path.is_file() or path.parent != Path():
        return path
    name = path.name.removesuffix(".yaml")
    files = {file.stem: file for folder in shipped for file in sorted(folder.glob("*.yaml"))}
    if name in files:
        return files[name]
    close = difflib.get_close_matches(name, files, n=1)
    hint = f"Did you mean {close[0]}.yaml? " if close else ""
    there = ", ".join(file.name for file in files.values())
    raise ConfigError(f"There is no file {path}. {hint}By name there are: {there}.")


def read(
    path: Path,
    anchor: Callable[[Values, Path], None],
    shipped: Path,
    merged: Callable[[Mapping[str, Any], Mapping[str, Any]], Values] = merge,
    readers: tuple[Path, ...] = (),
) -> Values:
    """The values of the YAML file `path`, over those of the file that its key `inherit` names, relative to it.

    What is not there may be the name of a file in `shipped`, the folder that comes with the project.
    `anchor` makes paths among a file's own values relative to the folder that it is given. Raises ConfigError for a
    file that cannot be read.
    """
    path = path.absolute()
    if os.path.realpath(path) in map(os.path.realpath, readers):
        raise ConfigError(f"{path} inherits from itself, by way of {readers[-1]}. Take one `inherit` out.")
    if len(readers) > _MOST_PARENTS:
        raise ConfigError(
            f"{readers[0]} inherits from more than {_MOST_PARENTS} files, one from another. Join some of them."
        )
    values = read_yaml(path, f"The configuration {path}" + (f", which {readers[-1]} inherits from," if readers else ""))
    if values is None:
        raise ConfigError(f"The configuration {path} is empty; expected keys and values, or {{}} for none.")
    if not isinstance(values, dict):
        raise ConfigError(f"The configuration {path} holds a {type(values).__name__}; expected keys and values.")
    parent = values.pop("inherit", None)
    anchor(values, path.parent)
    if parent is None:
        return values
    if not is_line(parent):
        raise ConfigError(f"{path}: inherit is {shown(parent)}; expected the path of another configuration.")
    inherited = read(find(parent, path.parent, shipped), anchor, shipped, merged, (*readers, path))
    return merged(inherited, values)


def assigned(texts: Sequence[str], kind: type[Section], called: str) -> Values:
    """The values of `texts`, each NAME=VALUE, in the form of a file for a configuration `kind`: sections are mappings.

    NAME is a field, with dots for one of a section; VALUE is YAML. Whether they can be is left to `kind`. Raises
    ConfigError, which calls the option `called`, for another text, a value that is no YAML, or a name that is given twice.
    """
    values: Values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value.strip():
            raise ConfigError(f"{called} is given {shown(text)}; expected NAME=VALUE, such as seed=1.")
        *sections, last = _place_of(name, kind)
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                break
        if not isinstance(inner, dict) or last in inner:
            raise ConfigError(f"{called} gives {shown(name)} twice. Leave one of them out.")
        inner[last] = parse_yaml(value, f"{called} {name}")
    return values


def field_names(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a configuration of type `kind` that hold values, those of its sections under their dotted names."""
    for name, field in kind.model_fields.items():
        section = _section_of(field)
        if section is None:
            yield f"{prefix}{name}", field
        else:
            yield from field_names(section, f"{prefix}{name}.")


def _place_of(name: str, kind: type[BaseModel]) -> list[str]:
    """The keys of a file under which the field `name` stands; what follows a field that is no section is one key."""
    head, dot, rest = name.partition(".")
    section = _section_of(kind.model_fields[head]) if head in kind.model_fields else None
    if not dot:
        return [head]
    return [head, *(_place_of(rest, section) if section else [rest])]


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The type of a section, where `field` is one."""
    return next((kind for kind in _kinds(field.annotation) if _is_section(kind)), None)


def explain(
    path: Path,
    error: ValidationError,
    kind: type[Section],
    given: Mapping[str, Any],
    shipped: Path,
    giver: str = "",
) -> str:
    """The first thing that is wrong with a configuration of type `kind`, in a sentence; unknown keys before values.

    `path` is where it was read, with `shipped`, and `given` what `giver` says over it.
    """
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    place = [str(part) for part in first["loc"]]
    where = giver if _holds(given, place, kind) else _written_in(path, place[0], shipped)
    section: type[BaseModel] = kind
    for depth, name in enumerate(place):
        if name not in section.model_fields:
            return f"{where}: {_unknown(place[: depth + 1], list(section.model_fields))}"
        field = section.model_fields[name]
        inner = _section_of(field)
        if depth + 1 == len(place) or inner is None:
            break
        section = inner
    key = ".".join(place if get_origin(field.annotation) is dict else place[: depth + 1])[:_LONGEST_NAME]
    if first["type"] == "missing" and depth + 1 == len(place):
        return f"{where}: {key} is missing; expected {field.description}."
    value = str(first["input"]) if isinstance(first["input"], Path) else first["input"]
    if value is None:
        default = "" if field.is_required() else f" Leave {key} out for the default."
        return f"{where}: {key} is null, which is no value; expected {field.description}.{default}"
    text = str(value).lower() if isinstance(value, bool) else shown(value)  # as YAML has it
    return f"{where}: {key} is {text}; expected {field.description}."


def _holds(given: Mapping[str, Any], place: Sequence[str], kind: type[BaseModel]) -> bool:
    """Whether `given`, of a configuration of type `kind`, says something of the option at `place`."""
    key, *rest = place
    given = {str(name): value for name, value in given.items()}
    if key not in given:
        return False
    section = _section_of(kind.model_fields[key]) if key in kind.model_fields else None
    if section is None or not rest or not isinstance(given[key], Mapping):
        return True
    return _holds(given[key], rest, section)


def _written_in(path: Path, key: str, shipped: Path) -> str:
    """`path`, and which file that it inherits from has `key`, if another has."""
    writer = path.absolute()
    values = read_yaml(writer, str(writer)) or {}
    while key not in values and values.get("inherit") is not None:
        writer = find(values["inherit"], writer.parent, shipped)
        values = read_yaml(writer, str(writer)) or {}
    return str(path) if key not in values or writer == path.absolute() else f"{path}, which inherits from {writer}"


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *get_args(annotation))


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _unknown(place: list[str], known: list[str]) -> str:
    inside = f" in {'.'.join(place[:-1])}" if place[1:] else ""
    close = difflib.get_close_matches(place[-1][:_LONGEST_NAME], known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"there is no option {shown(place[-1])}{inside}. {hint}The options are: {', '.join(known)}."
