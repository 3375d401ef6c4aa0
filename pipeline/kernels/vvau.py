"""VVAU, the vector-vector-activation unit: the folded MVAU of a depthwise convolution, whose rows see a channel each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Folding, Stream
from pipeline.dataflow.random_layers import Draw, divisors
from pipeline.dataflow.rising import running_max
from pipeline.devices.demand import Demand
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.matrix_vector import MatrixVector, draw_matrix
from pipeline.kernels.mvau import MVAU, demand_of_lanes

__all__ = ["VVAU"]


@dataclass(frozen=True, eq=False)
class VVAU(MVAU):
    """An MVAU of a matrix that is zero but for the MW elements of one channel in each row: `weights` has these, (MH, MW).

    MW is the number of pixels of a window, KH · KW. Row r sees channel r // `multiplier`, so there are C = MH /
    multiplier channels. A frame is (OH, OW, C · MW) in: the windows of a depthwise ConvolutionInputGenerator, whose SIMD
    is the number of channels that PE rows see. A beat has the next `simd` pixels of these channels, the channels fastest.

    FINN's VectorVectorActivation is that with a multiplier of 1. Raises ConfigError for a PE that is no multiple of the
    multiplier, and for what an MVAU refuses.
    """

    multiplier: int = 1

    op_type: ClassVar[str] = "VVAU"
    module: ClassVar[str] = "vvau"
    styles: ClassVar[tuple[str, ...]] = ("folded", "unrolled")  # there is no weight of the other channels to leave out

    def __post_init__(self) -> None:
        if self.multiplier < 1 or len(self.weights) % self.multiplier:
            raise UnsupportedError(
                f"layer {self.name} has {len(self.weights)} rows, {self.multiplier} a channel; expected as many rows of "
                "each channel."
            )
        super().__post_init__()
        if self.pe % self.multiplier:
            raise ConfigError(
                f"layer {self.name}: PE = {self.pe} is not a multiple of its {self.multiplier} rows a channel; choose a "
                f"multiple that divides its {self.mh} rows."
            )

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def channels(self) -> int:
        return self.mh // self.multiplier

    @cached_property
    def dense(self) -> MVAU:
        """The same with the whole matrix (MH, MW · C), for windows ordered pixel by pixel, their channels fastest."""
        matrix = np.zeros((self.mh, self.mw, self.channels), np.int64)
        rows = np.arange(self.mh)
        matrix[rows, :, rows // self.multiplier] = self.weights
        same = {field.name: getattr(self, field.name) for field in dataclass_fields(MatrixVector)}
        return MVAU(**same | {"weights": matrix.reshape(self.mh, -1)})

    # -- streams ----------------------------------------------------------------------------------------------------

    def lanes_in(self) -> int:
        return self.simd * self.pe // self.multiplier

    def inputs(self) -> tuple[Stream, ...]:
        return (Stream((*self.pixels, self.mw * self.channels), self.input_type, self.m * self.lanes_in(), self.m),)

    # -- behaviour --------------------------------------------------------------------------------------------------

    def pixel_of(self, row: int, elements: np.ndarray) -> np.ndarray:
        """The elements in every channel, of which the row sees one."""
        parts = (self.neuron_folds, self.mw, self.pe // self.multiplier)
        pixel: np.ndarray = np.broadcast_to(elements[:, None], parts).ravel()
        return pixel

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """As an MVAU's, channel by channel."""
        factors = self._factors.reshape(self.mw, self.channels, self.multiplier).swapaxes(0, 1)
        parts = values.reshape(-1, self.neuron_folds, self.mw, self.pe // self.multiplier)
        by_channel = parts.transpose(1, 3, 0, 2).reshape(self.channels, -1, self.mw).astype(factors.dtype)
        sums: np.ndarray = (by_channel @ factors).astype(np.int32 if factors.dtype == np.float32 else np.int64)
        sums = sums.swapaxes(0, 1).reshape(*values.shape[:-1], self.mh)
        return sums if self.bias is None else sums + self.bias

    def latency(self) -> int:
        """An MVAU's, of which nothing is replayed."""
        return super().latency() - int(self.neuron_folds > 1)

    def inputs_needed(self) -> np.ndarray:
        results = np.arange(1, self.vectors * self.neuron_folds + 1, dtype=np.int64)
        return results * self.synapse_folds

    def beat_times(
        self, arrivals: np.ndarray, frames: int, spacing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A step a beat, when it comes."""
        taken = running_max(arrivals, np.arange(len(arrivals), dtype=np.int64))
        return taken[self.synapse_folds - 1 :: self.synapse_folds] + self.latency(), taken

    # -- folding ----------------------------------------------------------------------------------------------------

    def foldings_in(
        self, style: str, budget: int | None = None, pe: int | None = None, m: int = 1
    ) -> tuple[Folding, ...]:
        if style != self.style:
            return self.dense.foldings_in(style, budget, pe, m)
        return self.foldings_of(self) if m == 1 else self.foldings_of_pixels(self, m)

    def demand_in(self, style: str, fields: Mapping[str, int | str], family: str) -> Demand:
        folded = style == self.style
        return self.demand_of(self, fields, family) if folded else self.dense.demand_in(style, fields, family)

    def styled(self, style: str, fields: Mapping[str, int | str]) -> MatrixVector:
        return self.folded(fields) if style == self.style else self.dense.styled(style, fields)

    @classmethod
    def foldings_of(
        cls, layer: MatrixVector, budget: int | None = None, walkers: int | None = None
    ) -> tuple[Folding, ...]:
        """Some channels at a time, pixel by pixel; or all of them, with whole windows."""
        assert isinstance(layer, VVAU)
        steps, multiplier = layer.pixels[0] * layer.pixels[1] * layer.mh * layer.mw, layer.multiplier
        pairs = [(channels * multiplier, 1) for channels in divisors(layer.channels)]
        pairs += [(layer.mh, layer.mw)] if layer.mw > 1 else []
        return tuple(
            Folding({"pe": pe, "simd": simd}, simd * pe // multiplier, pe, steps // (pe * simd), cls.style)
            for pe, simd in pairs
        )

    @classmethod
    def demand_of(cls, layer: MatrixVector, fields: Mapping[str, Any], family: str) -> Demand:
        least, weights = _least_demand(layer, fields["pe"], fields["simd"])
        demand = replace(least, terms=least.terms.copy()).times(int(fields.get("m", 1)))
        demand.store_weights("weights", *weights, fields.get("ram_style", "auto"))
        return demand

    def finn_nodes(self, family: str) -> dict[str, dict[str, Any]]:
        """VVAU_hls with multipliers of LUTs. FINN has no rows that share a channel."""
        if self.multiplier > 1 or self.m > 1:
            return {}
        attributes = super().finn_nodes(family)["MVAU_hls"]
        del attributes["ram_style_thresholds"]
        return {"VVAU_hls": attributes}

    def finn_graph(self) -> tuple[FinnNode, ...]:
        if self.multiplier > 1:
            raise self.without_finn_node(f"{self.multiplier} rows share a channel, and a VVAU has one for each")
        return super().finn_graph()

    def _finn_weights(self) -> np.ndarray:
        """(C, 1, KH, KW), as of a window of one row."""
        return self.weights[:, None, None, :]

    def _finn_attributes(self) -> dict[str, Any]:
        attributes = super()._finn_attributes()
        for name in ("MW", "MH", "numInputVectors"):
            del attributes[name]
        # of a window FINN asks for the number of pixels only
        return attributes | {"Dim": list(self.pixels), "Channels": self.mh, "Kernel": [1, self.mw]}

    @classmethod
    def draw(cls, draw: Draw) -> Self:
        matrix = draw_matrix(draw, 100_000, channels=(1,))
        rows, columns = matrix["weights"].shape
        pe = draw.lanes(rows, 32)
        simd = draw.one_of(divisors(columns)) if pe == rows else 1
        return cls("layer", ("x",), ("y",), **matrix, pe=pe, simd=simd)

    # -- hardware ---------------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, int | str]:
        return super().parameters() | {"Multiplier": self.multiplier}

    def hls_parameters(self) -> dict[str, int | bool | tuple[int, ...]]:
        return super().hls_parameters() | {"Multiplier": self.multiplier}


@lru_cache(maxsize=256)  # see mvau.py
def _least_demand(layer: MatrixVector, pe: int, simd: int) -> tuple[Demand, tuple[int, int]]:
    assert isinstance(layer, VVAU)
    return demand_of_lanes(VVAU, layer, pe, simd, simd * pe // layer.multiplier)
