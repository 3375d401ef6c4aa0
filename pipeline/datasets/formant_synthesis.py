"""Speech of a formant synthesizer: glottal pulses through the resonances of a vocal tract, and noise through one of its own
(after D. H. Klatt, Software for a cascade/parallel formant synthesizer, JASA 67, 1980)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Phone", "Voice", "synthesize"]

_BLOCK = 0.01  # seconds, in which resonances stay as they are
_GLIDE = 0.4  # of a phone, in which it changes to the next
_BANDWIDTHS = (70.0, 100.0, 150.0, 250.0)  # Hz, of formants
_FOURTH = 3500.0  # Hz, of all phones
_NOISE_BANDWIDTH = 0.5  # of its frequency
_OPENING, _CLOSING = 0.4, 0.16  # parts of a period of the voice, of Rosenberg's pulse


@dataclass(frozen=True)
class Phone:
    """What stays the same in a sound of speech: three `formants` in Hz, how loud `voice` and `noise` are, the frequency of
    the noise in Hz, and its length in milliseconds."""

    formants: tuple[float, float, float]
    voice: float
    noise: float
    noise_hertz: float
    milliseconds: float


@dataclass(frozen=True)
class Voice:
    """A speaker: pitch in Hz at the beginning and the end, what formants and lengths are multiplied by, each formant of
    three on its own and each phone's length."""

    pitch: tuple[float, float]
    formants: np.ndarray
    lengths: np.ndarray


def synthesize(phones: list[Phone], voice: Voice, rate: int, generator: np.random.Generator) -> np.ndarray:
    """`phones` one after the other, said by `voice`: samples, float64, `rate` a second."""
    seconds = np.array([phone.milliseconds for phone in phones]) / 1000 * voice.lengths
    ends = seconds.cumsum()
    count = int(ends[-1] * rate)
    # each phone is what it is from a fifth of its length to another fifth before its end
    begins = ends - seconds
    points = np.stack([begins + seconds * _GLIDE / 2, ends - seconds * _GLIDE / 2], axis=1).ravel()

    def track(values: list[float], times: np.ndarray) -> np.ndarray:
        return np.interp(times, points, np.repeat(values, 2))

    times = np.arange(count) / rate
    pitch = np.interp(times, (0, ends[-1]), voice.pitch)
    source = _pulses(pitch, rate) * track([phone.voice for phone in phones], times)
    noise = generator.standard_normal(count) * track([phone.noise for phone in phones], times)

    size = int(_BLOCK * rate)
    middles = (np.arange(-(-count // size)) + 0.5) * _BLOCK
    formants = np.stack(
        [track([phone.formants[n] for phone in phones], middles) * voice.formants[n] for n in range(3)]
        + [np.full(len(middles), _FOURTH * voice.formants.mean())],
        axis=1,
    )
    resonances = _resonators(formants, np.array(_BANDWIDTHS), rate, at_peak=False)
    places = track([phone.noise_hertz for phone in phones], middles)[:, None]
    noise_filters = _resonators(places, places * _NOISE_BANDWIDTH, rate, at_peak=True)
    return _filtered(source, resonances, size) + _filtered(noise, noise_filters, size)


def _pulses(pitch: np.ndarray, rate: int) -> np.ndarray:
    """The change of the flow through the glottis, whose pulses have Rosenberg's shape, for `pitch` in Hz at each sample."""
    phase = np.cumsum(pitch) / rate % 1
    opening = 0.5 - 0.5 * np.cos(np.pi * phase / _OPENING)
    closing = np.cos(np.pi / 2 * (phase - _OPENING) / _CLOSING)
    flow = np.where(phase < _OPENING, opening, np.where(phase < _OPENING + _CLOSING, closing, 0))
    return np.diff(flow, prepend=0)


def _resonators(hertz: np.ndarray, bandwidth: np.ndarray, rate: int, *, at_peak: bool) -> np.ndarray:
    """Second-order sections, (blocks, sections, 6), of resonators at `hertz` (blocks, sections), whose gain is 1 for a
    constant, or `at_peak`."""
    radius = np.exp(-np.pi * bandwidth / rate)
    angle = 2 * np.pi * hertz / rate
    first, second = 2 * radius * np.cos(angle), -(radius**2) + 0 * angle
    step = np.exp(-1j * angle) if at_peak else 1
    gain = np.abs(1 - first * step - second * step**2)
    zeros = np.zeros_like(angle)
    return np.stack([gain, zeros, zeros, zeros + 1, -first, -second], axis=-1)


def _filtered(samples: np.ndarray, sections: np.ndarray, size: int) -> np.ndarray:
    """`samples` through `sections`, other ones in each block of `size`."""
    from scipy.signal import sosfilt  # here, as it takes as long to import as all else of a command

    state = np.zeros((sections.shape[1], 2))
    result = np.empty_like(samples)
    for block, filters in enumerate(sections):
        part = slice(block * size, (block + 1) * size)
        result[part], state = sosfilt(filters, samples[part], zi=state)
    return result
