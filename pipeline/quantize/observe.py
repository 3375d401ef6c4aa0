"""What passes through layers of a network while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = ["observe"]


def observe(network: nn.Module, batches: Sequence[Tensor], hooks: Sequence[RemovableHandle]) -> None:
    """Run `network` on all `batches`, for what its `hooks` keep; they are removed then."""
    try:
        with torch.no_grad():
            for images in batches:
                network(images)
    finally:
        for hook in hooks:
            hook.remove()
