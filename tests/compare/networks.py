"""A network of two small matrices and how it is built, for tests that build it several times."""

from __future__ import annotations

from pathlib import Path

import onnx
import yaml

from tests.dataflow.networks import Network

__all__ = ["write_network"]


def write_network(folder: Path) -> tuple[Path, Path]:
    """The QONNX file of the network, and its configuration: six inputs, three outputs, several foldings to choose from."""
    network = Network(6)
    network.output_shape = (1, 3)
    network.quant(0.5, 3)
    network.matmul(6, 4, bits=3)
    network.quant(1.0, 2, signed=0)
    network.matmul(4, 3, bits=3)
    model, config = folder / "tiny.onnx", folder / "tiny.yaml"
    onnx.save(network.model(), model)
    values = {
        "golden_frames": 16,
        "output": "logits",
        "target_fps": 20_000_000,
        "simulation": {"frames": 2},
        "mvau_style": "folded",
    }
    config.write_text(yaml.safe_dump(values))
    return model, config
