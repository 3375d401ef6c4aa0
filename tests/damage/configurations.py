"""Files that users write, damaged by a seed, and what reading them comes to.

What is damaged are the configurations, boards, and files of folding and of styles that work: their text, their values,
or what kind of file they are. Each is read by what reads it in a build.
"""

from __future__ import annotations

import json
import math
import os
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipeline.board_design import hwh, tcl
from pipeline.board_design.description import describe
from pipeline.config import BuildConfig, load_config
from pipeline.dataflow.graph import LayerGraph
from pipeline.devices.boards import read_board
from pipeline.errors import A2QError
from pipeline.files import BOARDS, BUILD_CONFIGS, TRAIN_CONFIGS
from pipeline.folding.finn_names import operator_of
from pipeline.folding.fold import Folded, fold
from pipeline.folding.impl_styles import impl_styles
from pipeline.training.benchmark import load_benchmark
from pipeline.training.config import TrainConfig, load_train_config
from tests.dataflow.residual import residual_network

__all__ = ["KINDS", "Damaged", "Outcome", "damaged", "outcome"]

KINDS = ("build", "train", "benchmark", "board", "folding", "styles")

_LONGEST_MESSAGE = 2000  # characters

_TOKENS = (
    *(
        "\0",
        "\t",
        "\r",
        "\x1b[2J",
        "\x7f",
        "\u202e",
        "\ufeff",
        "\u2028",
        "é",
        "🦜",
        "\\",
        "\\u0000",
        "\\ud800",
        "\\UFFFFFFFF",
    ),
    *(
        "&a ",
        "*a",
        "*a ",
        "<<: *a",
        "<<: {}",
        "!!python/object/apply:os.abort []",
        "!!binary ",
        "!x ",
        "---\n",
        "...\n",
    ),
    *(
        "%YAML 9.9\n",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        ": ",
        "- ",
        "? ",
        "'",
        '"',
        "|\n",
        ">\n",
        "#",
        "@",
        "`",
        "%",
        "=",
        "~",
    ),
    *("on", "1_000", "010", "12:30:45", "2001-12-14", "0b1", "1e999", "-0", ".inf", ".nan", "NaN", "Infinity", "null"),
    *(
        "[" * 3000,
        "{a: " * 1000,
        "- " * 2000,
        "? " * 2000,
        '{"a":' * 2000,
        "9" * 5000,
        "x" * 70_000,
        "\n" * 5000,
        "/*",
        "//",
    ),
    *("inherit: damaged", "inherit: /dev/zero", "inherit: .", "base: damaged", "MVAU_0: ", '"MVAU_0": {"PE": 2}, '),
)
_NUMBERS = (
    *(0, -1, 1, 2, 3, 7, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1.5, 1e-300, 5e-324, 1e300, math.inf, -math.inf, math.nan),
)
_WORDS = (
    *("", " ", "x", "none", "null", "true", "auto", "max", "all", "sim", "exact", "fixed:64", "fixed:" + "9" * 4400),
    *(
        "KV260",
        "Pynq-Z1",
        "MVAU_0",
        "MVAU_hls_0",
        "StreamingFCLayer_Batch_0",
        "hls",
        "rtl",
        "sparse",
        "unrolled",
        "ultra",
    ),
    *(
        "}; exec reboot; #",
        "[exec reboot]",
        "$x",
        "a\nb",
        "a\0b",
        "\ud800",
        "..",
        "/",
        "../../x",
        "~",
        "x/" * 3000,
        "é" * 300,
    ),
    *("net.onnx", "net.pth", "/dev/zero", "/proc/self/mem", "damaged", "base.yaml", "quant_resnet8_w4a4", "resnet18"),
)


@dataclass(frozen=True)
class Damaged:
    """A file of one of KINDS as `seed` has damaged it; `content` is None where it is no regular file."""

    seed: int
    kind: str
    changes: tuple[str, ...]
    content: bytes | None

    def write(self, path: Path) -> None:
        if self.content is not None:
            path.write_bytes(self.content)
        else:
            _PLACES[self.changes[0]](path)


@dataclass(frozen=True)
class Outcome:
    """What reading a file came to: valid, refused, or failed with `text` of why it must not be."""

    result: str
    text: str


def damaged(seed: int) -> Damaged:
    """The file that belongs to `seed`, the same on every machine."""
    rng = random.Random(seed)
    kind = rng.choice(KINDS)
    if rng.random() < 0.02:
        return Damaged(seed, kind, (rng.choice(sorted(_PLACES)),), None)
    text = rng.choice(_sources(kind))
    changes = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        change = rng.choice(_CHANGES)
        try:
            text = change(rng, text, kind)
        except (
            yaml.YAMLError,
            ValueError,
            OverflowError,
            RecursionError,
        ):  # an earlier change left nothing that has values
            continue
        changes.append(change.__name__.strip("_"))
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        changes.append("bytes")
        content = _other_bytes(rng, content)
    return Damaged(seed, kind, tuple(changes), content)


def outcome(file: Damaged, folder: Path) -> Outcome:
    """Read `file`, written into `folder`, as a build does."""
    path = folder / ("damaged" if file.seed % 2 else "damaged.yaml")
    file.write(path)
    try:
        _READERS[file.kind](path)
    except A2QError as error:
        text = str(error)
        if path.name not in text:
            return Outcome("failed", f"does not name the file: {text}")
        if not text.isprintable() or len(text) > _LONGEST_MESSAGE:
            return Outcome("failed", f"is no sentence: {text!r}")
        return Outcome("refused", text)
    except Exception:  # noqa: BLE001  what is looked for
        return Outcome("failed", traceback.format_exc())
    finally:
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    return Outcome("valid", "")


# -- what is read ---------------------------------------------------------------------------------------------------


@cache
def _graph() -> LayerGraph:
    return residual_network(stride=2)


@cache
def _folded() -> Folded:
    return fold(_graph(), 700)


@cache
def _sources(kind: str) -> tuple[str, ...]:
    """Texts that work."""
    folders = {
        "build": BUILD_CONFIGS,
        "train": TRAIN_CONFIGS,
        "benchmark": BUILD_CONFIGS / "benchmark",
        "board": BOARDS,
    }
    if kind in folders:
        # the folder of trainings is looked into for plain names
        return tuple(path.read_text().replace("../train/", "") for path in sorted(folders[kind].glob("*.yaml")))
    layers = list(_folded().graph)
    if kind == "folding":
        content = {layer.name: layer.finn_folding() for layer in layers}
        defaults: dict[str, Any] = {"mem_mode": ["internal_decoupled", ["MVAU_hls"]], "PE": [1, "all"]}
    else:
        content = {layer.name: {"preferred_impl_style": "rtl"} for layer in layers}
        defaults = {"preferred_impl_style": ["rtl", ["MVAU", "Thresholding"]]}
    today = {"Defaults": defaults, **{name: entry for name, entry in content.items() if entry}}
    former = {
        name.replace("MVAU", "MatrixVectorActivation").replace("Thresholding", "Thresholding_Batch"): entry
        for name, entry in today.items()
    }
    return tuple(json.dumps(file, indent=2) for file in (today, former))


def _read_board(path: Path) -> None:
    board = read_board(path)
    if board.processing_system:
        try:
            design = describe(board, board.clock_period_ns, input_stream_bytes=4, output_stream_bytes=1)
        except A2QError as error:  # which speaks of the board
            raise type(error)(f"{path.name}: {error}") from None
        tcl.render(design)
        hwh.render(design)


def _read_folding(path: Path) -> None:
    """What the file says is in the design, or is told to have no effect."""
    folded = fold(_graph(), 700, path)
    for key, entry in json.loads(path.read_text(encoding="utf-8-sig")).items():
        operator = operator_of(key)
        alike = [layer.finn_folding() for layer in folded.graph if operator_of(layer.name) == operator]
        for name, value in entry.items() if key != "Defaults" else ():
            reported = any(text == key or f"{text} ".startswith(f"{key}.{name} ") for text in folded.ignored)
            deeper = name == "depth" and any(depth >= value for depth in folded.raised.values())
            if not (reported or deeper or any(layer.get(name) == value for layer in alike)):
                raise AssertionError(f"{key}.{name} = {value!r} is not in the design")


def _read_build(path: Path) -> None:
    _says(path, load_config(path))


def _read_train(path: Path) -> None:
    _says(path, load_train_config(path))


def _read_benchmark(path: Path) -> None:
    for row in load_benchmark(path)[1]:
        if not isinstance(row, TrainConfig):
            raise TypeError(f"a row is {type(row)}")


def _read_styles(path: Path) -> None:
    graph = _folded().graph
    if impl_styles(graph, "rtl", path).styles.keys() != {layer.name for layer in graph}:
        raise AssertionError("not every layer has a style")


def _says(path: Path, config: BuildConfig | TrainConfig) -> None:
    """Raise AssertionError if a number or truth in the file, as another reader has it, is another in `config`."""
    for key, value in (yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}).items():
        if isinstance(value, bool | int | float) and getattr(config, key) != value:
            raise AssertionError(f"{key} is {getattr(config, key)!r}, the file says {value!r}")


_READERS: dict[str, Callable[[Path], None]] = {
    "build": _read_build,
    "train": _read_train,
    "benchmark": _read_benchmark,
    "board": _read_board,
    "folding": _read_folding,
    "styles": _read_styles,
}

# -- damage ---------------------------------------------------------------------------------------------------------


def _insert(rng: random.Random, text: str, kind: str) -> str:
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(_TOKENS) + text[at:]


def _cut(rng: random.Random, text: str, kind: str) -> str:
    begin, end = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    return text[:begin] if rng.random() < 0.3 else text[:begin] + text[min(end, begin + 40) :]


def _repeat(rng: random.Random, text: str, kind: str) -> str:
    begin, end = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    times = rng.choice((2, 2, 2, 3, 50, 1000))
    return text[:begin] + text[begin:end] * times + text[end:]


def _lines(rng: random.Random, text: str, kind: str) -> str:
    """One line again, gone, elsewhere, or further to the right."""
    lines = text.split("\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(4)
    if what == 0:
        lines.insert(other, lines[at])
    elif what == 1:
        del lines[at]
    elif what == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = rng.choice((" ", "  ", "\t", "      ")) + lines[at]
    return "\n".join(lines)


def _replaced(rng: random.Random, text: str, kind: str) -> str:
    """A character that means something is another one."""
    places = [i for i, character in enumerate(text) if character in ":{}[],\"'-\n "]
    if not places:
        raise ValueError("nothing to replace")
    at = rng.choice(places)
    return text[:at] + rng.choice(":{}[],\"'-\n #&*!|>%@`") + text[at + 1 :]


def _values(rng: random.Random, text: str, kind: str) -> str:
    """Another value, key or shape somewhere in the tree of values."""
    is_json = kind in ("folding", "styles")
    tree = [json.loads(text) if is_json else yaml.safe_load(text)]
    parents = list(_containers(tree))
    parent = rng.choice([parents[0], *(rng.choice(parents) for _ in range(4))])
    keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
    if not keys:
        raise ValueError("nothing to change")
    key = rng.choice(keys)
    what = rng.randrange(6)
    if what == 0 and parent is not tree:
        del parent[key]
    elif what == 1 and isinstance(parent, dict):
        parent[_other_key(rng, str(key))] = parent.pop(key)
    elif what == 2:
        parent[key] = [parent[key]] * rng.randint(1, 3)
    elif what == 3:
        other = rng.choice(parents)
        parent[key] = json.loads(json.dumps(rng.choice(list(other.values()) if isinstance(other, dict) else other)))
    else:
        parent[key] = _value(rng)
    return (
        json.dumps(tree[0], indent=1) if is_json or rng.random() < 0.2 else yaml.safe_dump(tree[0], allow_unicode=True)
    )


def _containers(tree: Any) -> Any:
    if isinstance(tree, dict | list) and tree:
        yield tree
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from _containers(inner)


def _other_key(rng: random.Random, key: str) -> Any:
    at = rng.randint(0, len(key))
    return rng.choice(
        (
            *(key[:at] + key[at + 1 :], key[:at] + "x" + key[at:], key.upper(), key + "\0", key * 500, "", " " + key),
            *(rng.choice(_WORDS), rng.choice(_WORDS), "inherit", "Defaults", "StreamingFCLayer_Batch_1", "MVAU_99"),
        )
    )


def _value(rng: random.Random, depth: int = 3) -> Any:
    what = rng.randrange(9)
    if what < 3:
        return rng.choice(_NUMBERS)
    if what < 6:
        return rng.choice(_WORDS)
    if what == 6 or not depth:
        return rng.choice((True, False, None, [], {}))
    if what == 7:
        inner: Any = rng.choice(_WORDS)
        for _ in range(rng.choice((1, 2, 20, 60))):
            inner = [inner] if rng.random() < 0.5 else {"a": inner}
        return inner
    return [_value(rng, depth - 1) for _ in range(rng.randint(1, 4))]


def _near(rng: random.Random, value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice((-1, 1, value))
    if isinstance(value, float):
        return value * rng.choice((0.5, 2.0, -1.0))
    return rng.choice(_WORDS)


def _other_bytes(rng: random.Random, content: bytes) -> bytes:
    what = rng.randrange(3)
    if what == 0:
        return content.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-8-sig", "utf-32")))
    if what == 1:
        return content + b"\n# " + bytes(rng.randrange(256) for _ in range(40))
    changed = bytearray(content or b"x")
    for _ in range(rng.randint(1, 5)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


_CHANGES = (_insert, _cut, _repeat, _lines, _replaced, _values, _values, _values, _values, _values)

_PLACES: dict[str, Callable[[Path], object]] = {
    "none": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
    "huge": lambda path: _sparse(path, 1 << 32),
}


def _sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)
