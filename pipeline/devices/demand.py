"""The figures that decide how much a layer takes: bits of its adders, of its registers, of its memories.

A layer's LUTs and flip-flops are sums of these with a constant factor each, which `pipeline/folding/estimate.py` has from
synthesis; its blocks of memory follow from the sizes of its memories.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

from pipeline.devices.memories import Storage, loaded_uram, rom

__all__ = ["Demand"]

_BANK = 2048  # words of a block of 18 Kb that is 9 bits wide: deeper memories of constants are made of such banks


@dataclass
class Demand:
    """The needs of a layer of the kind `op_type`: `terms` that LUTs and flip-flops grow with, and blocks of 18 Kb.

    `uram` are UltraRAMs, `lut` and `ff` what is known without a fit: what loads those, and memories of thresholds. `words`
    is the depth of the deepest memory. `dsp` are DSPs.
    """

    op_type: str
    terms: dict[str, float] = field(default_factory=lambda: defaultdict(float, layer=1.0))
    bram_18k: float = 0
    uram: float = 0
    dsp: float = 0
    lut: float = 0
    ff: float = 0
    words: int = 0

    def add(self, **terms: float) -> None:
        for name, amount in terms.items():
            self.terms[name] += float(amount)

    def times(self, count: int) -> Demand:
        """The needs of `count` of them, each with all that one has."""
        if count == 1:
            return self
        return replace(
            self,
            terms=defaultdict(float, {name: count * amount for name, amount in self.terms.items()}),
            bram_18k=count * self.bram_18k,
            uram=count * self.uram,
            dsp=count * self.dsp,
            lut=count * self.lut,
            ff=count * self.ff,
        )

    def include(self, part: Demand, count: int) -> None:
        """Add the needs of `count` parts."""
        several = part.times(count)
        self.add(**several.terms)
        self.bram_18k += several.bram_18k
        self.uram += several.uram
        self.dsp += several.dsp
        self.lut += several.lut
        self.ff += several.ff
        self.words = max(self.words, several.words)

    def store(self, what: str, storage: Storage, count: int = 1) -> None:
        """`count` memories that are read into registers."""
        self.add(**{what: count * storage.lut, f"{what}_output": count * storage.ff})
        self.bram_18k += count * storage.bram_18k
        self.words = max(self.words, storage.words)

    def store_weights(self, what: str, width: int, depth: int, ram_style: str) -> None:
        """A memory of weights, of `depth` words of `width` bits."""
        if ram_style != "ultra":
            storage = rom(width, depth, ram_style)
            self.store(what, storage)
            if storage.bram_18k and depth > _BANK:
                self.add(banks=width * -(-depth // (4 * _BANK)))  # a LUT is a multiplexer of four
            return
        storage = loaded_uram(width, depth)
        self.uram += storage.uram
        self.words = max(self.words, storage.words)
        self.lut += storage.lut
        self.ff += storage.ff
