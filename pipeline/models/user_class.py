"""A network that the user's own Python makes: `module:Class`, looked for in the working directory first, or
`file.py:Class`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pipeline import fingerprint
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["make_network", "source_files"]


def make_network(model_class: str) -> nn.Module:
    """The network that `model_class`, a class or function, makes without arguments, in evaluation mode.

    The module is imported, so its code runs. Raises ConfigError where it cannot be, or makes no network.
    """
    from torch import nn

    module_name, _, attribute = model_class.rpartition(":")
    with _first(_folder(module_name)):
        try:
            module = _module(module_name)
        except ImportError as error:
            raise ConfigError(
                f"{model_class}: {module_name} cannot be imported: {error}. Run where its file is, or "
                "name its folder in PYTHONPATH."
            ) from error
        except FileNotFoundError as error:
            raise ConfigError(f"{model_class}: there is no file {error.filename}.") from error
        except (Exception, SystemExit) as error:  # of the user's own code
            raise ConfigError(f"{model_class}: its module fails: {_said(error)}.") from error
        try:
            make = attrgetter(attribute)(module)
        except AttributeError as error:
            made = [
                name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, nn.Module)
            ]
            there = f"its networks are {', '.join(made)}" if made else "it makes no class of torch.nn.Module"
            raise ConfigError(f"{model_class}: {module_name} has no {attribute}; {there}.") from error
        try:
            network = make()
        except (Exception, SystemExit) as error:  # likewise
            raise ConfigError(
                f"{model_class} fails without arguments: {_said(error)}. Name a function that takes "
                "none and returns the network."
            ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{model_class} makes a {type(network).__name__}; expected a torch.nn.Module.")
    return network.eval()


def source_files(model_class: str) -> list[Path]:
    """The files that decide what `make_network` makes: all Python beside the module's own, for the cache's key."""
    module_name = model_class.rpartition(":")[0]
    if module_name.endswith(".py"):
        return sorted(Path(module_name).resolve().parent.glob("*.py"))
    with _first(_folder(module_name)):
        try:
            spec = importlib.util.find_spec(module_name)
        except (ImportError, ValueError):
            return []
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return []
    return sorted(Path(spec.origin).parent.glob("*.py"))


def _module(name: str) -> ModuleType:
    """The module called `name`, or that its file makes: apart from any other module of that name."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).resolve()
    called = f"_model_class_{fingerprint.combine({'file': str(path)})[:16]}"
    spec = importlib.util.spec_from_file_location(called, path)
    assert spec is not None and spec.loader is not None  # as the file's ending is Python's
    module = sys.modules[called] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _folder(name: str) -> str:
    """Where the module `name` is looked for first: beside its file, or in the working directory."""
    return str(Path(name).resolve().parent) if name.endswith(".py") else os.getcwd()


@contextmanager
def _first(folder: str) -> Iterator[None]:
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".")
