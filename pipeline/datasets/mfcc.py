"""Mel-frequency cepstral coefficients of a second of sound, in windows and bands as those of MLPerf Tiny's keyword spotting:
49 × 10 of them, from 40 bands between 20 and 4,000 Hz."""

from __future__ import annotations

import numpy as np

__all__ = ["COEFFICIENTS", "RATE", "TIMES", "mfcc"]

RATE = 16_000  # samples a second
_WINDOW, _HOP, _FFT = 480, 320, 512  # samples: 30 ms, each 20 ms
_BANDS, _LOWEST, _HIGHEST = 40, 20.0, 4000.0  # Hz
_FLOOR = 1e-6  # below which the logarithm takes no magnitude
TIMES = 1 + (RATE - _WINDOW) // _HOP
COEFFICIENTS = 10


def mfcc(samples: np.ndarray) -> np.ndarray:
    """The first 10 coefficients of each of 49 windows, float64 (49, 10), of a second of `samples` (16,000,).

    They are the cosine transform (DCT-II) of the logarithms of the magnitudes in the bands, over √20.
    """
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    magnitudes = np.abs(np.fft.rfft(windows * _HANN, _FFT))
    return np.log(magnitudes @ _FILTERS + _FLOOR) @ _COSINES


def _mel(hertz: np.ndarray | float) -> np.ndarray:
    """The mel scale of HTK: 2595 · log10(1 + f / 700)."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def _triangles() -> np.ndarray:
    """The weight of each frequency of the transform in each band, (257, 40): triangles on the mel scale."""
    places = _mel(np.fft.rfftfreq(_FFT, 1 / RATE))[:, None]
    edges = np.linspace(_mel(_LOWEST), _mel(_HIGHEST), _BANDS + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return np.clip(np.minimum((places - low) / (middle - low), (high - places) / (high - middle)), 0, None)


_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
_FILTERS = _triangles()
_COSINES = np.cos(np.pi / _BANDS * np.outer(np.arange(_BANDS) + 0.5, np.arange(COEFFICIENTS))) * np.sqrt(2 / _BANDS)
