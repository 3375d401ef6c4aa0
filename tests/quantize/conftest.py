from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.models.names import spec_of
from pipeline.models.registry import image_network
from pipeline.training.checkpoints import save_checkpoint
from tests.training.digits import write_digits


@pytest.fixture(scope="session")
def mnist(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mnist")
    write_digits(folder)
    return folder


@pytest.fixture(scope="session")
def float_checkpoint(tmp_path_factory) -> Path:
    """A float network whose weights are drawn: what is told of it is that its integers compute what they must."""
    torch.manual_seed(0)
    spec = spec_of("resnet8", None, dataset="mnist", input_shape=(1, 28, 28), width=0.25)
    path = tmp_path_factory.mktemp("float") / f"{spec.name}.pth"
    save_checkpoint(image_network(spec), path, {**spec.as_record(), "top1": 0.1})
    return path
