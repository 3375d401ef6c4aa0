"""A network that the user's own Python makes: `module:Class`, looked for in the working directory first."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["make_network", "source_files"]


def make_network(model_class: str) -> nn.Module:
    """The network that `model_class`, a class or function, makes without arguments, in evaluation mode.

    The module is imported, so its code runs. Raises ConfigError where it cannot be, or makes no network.
    """
    from torch import nn

    module_name, _, attribute = model_class.partition(":")
    with _working_directory_first():
        try:
            make = attrgetter(attribute)(importlib.import_module(module_name))
        except ImportError as error:
            raise ConfigError(
                f"model_class is {model_class}, but {module_name} cannot be imported: {error}. Run where its file is, or "
                "name its folder in PYTHONPATH."
            ) from error
        except AttributeError as error:
            raise ConfigError(f"model_class is {model_class}, but {error}.") from error
        except Exception as error:  # of the user's own code
            raise ConfigError(f"model_class is {model_class}, whose module fails: {_said(error)}.") from error
        try:
            network = make()
        except Exception as error:  # likewise
            raise ConfigError(
                f"model_class is {model_class}, which fails without arguments: {_said(error)}. Name a function that takes "
                "none and returns the network."
            ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"model_class is {model_class}, which makes a {type(network).__name__}; expected a torch.nn.Module."
        )
    return network.eval()


def source_files(model_class: str) -> list[Path]:
    """The files that decide what `make_network` makes: all Python beside the module's own, for the cache's key."""
    with _working_directory_first():
        try:
            spec = importlib.util.find_spec(model_class.partition(":")[0])
        except (ImportError, ValueError):
            return []
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return []
    return sorted(Path(spec.origin).parent.glob("*.py"))


@contextmanager
def _working_directory_first() -> Iterator[None]:
    folder = os.getcwd()
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".")
