"""Checkpoints of trained networks: the weights, and the record of what they are and how they came to be."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.models.packed_weights import pack

__all__ = ["save_checkpoint"]


def save_checkpoint(network: nn.Module, path: Path, record: dict[str, Any], *, packed: bool = False) -> int:
    """Write `path` with the weights of `network` and its `record`, see `ModelSpec.as_record`, and the record as JSON beside it.

    The file holds {"record": ..., "state": ...}, nothing but tensors and plain values, so that it loads with
    `weights_only=True`. The JSON has in addition the file's SHA-256. `packed` files hold integers where they can, see
    `pipeline/models/packed_weights.py`: the network computes the same, but training goes on from coarser weights.
    Returns how many layers are packed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(f".{path.name}.{os.getpid()}")
    # a plain dict: the state's own metadata would be a third of a small network's file
    state, entries = pack(network, record["input_shape"]) if packed else (network.state_dict(), {})
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    torch.save({"record": record, "state": state, **({"packed": entries} if packed else {})}, passing)
    digest = hashlib.sha256(passing.read_bytes()).hexdigest()
    beside = path.with_suffix(".json")
    passing_beside = beside.with_name(f".{beside.name}.{os.getpid()}")
    passing_beside.write_text(json.dumps({**record, "sha256": digest}, indent=2) + "\n")
    passing_beside.replace(beside)
    passing.replace(path)  # last: where it is there, a training is done
    return len(entries)
