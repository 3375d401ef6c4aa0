"""Several neighbouring pixels of a row side by side in a beat: FINN's M."""

from __future__ import annotations

from pipeline.errors import ConfigError

__all__ = ["check_pixels"]


def check_pixels(layer: str, m: int, width: int) -> None:
    """Raise ConfigError unless `m` pixels a beat divide a row of `width`."""
    if m < 1 or width % m:
        raise ConfigError(
            f"layer {layer}: M = {m} does not divide its rows of {width} pixels; choose a divisor of {width}."
        )
