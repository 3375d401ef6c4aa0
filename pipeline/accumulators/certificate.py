"""The certificate: report/accumulators.json, which says of every layer what its accumulators can hold and must hold.

Keys of the file:

    policy              the policy of the build, see policy.py
    per_pe              true where each PE lane has a width of its own
    layers              a list, one entry an MVAU, in the order of the data:
      layer, source     the layer's name in hardware and in the user's network
      policy            the policy of this layer, the build's or an override
      K, N, M           inputs of a sum; bits of an input; bits of a weight
      input_signed      whether inputs can be negative
      input_range       [smallest, largest] input
      rows              output channels
      P_claimed         the width the model was trained for, or null
      bits              the width each bound asks for, the widest row: exact, l1, a2q_plus (null unless all rows sum to
                        zero, as the bound requires), datatype
      bits_used         the width in hardware, the widest row
      bits_of_rows      the width of each row, only with per_pe
      range             [lowest, highest] sum of any row, the bias included; both are reached, none goes beyond
      largest_l1_norm   the largest Σ |w| of a row
      l1_limit          the largest Σ |w| that the A2Q bound allows at P_claimed, (2^(P − 1) − 1) // 2^(N − signed),
                        or null
      dsp_packings      by name of a DSP, for one row, two rows, and so on, whichever rows these are, and for one pixel and
                        two: {offsets, pixels, bits, columns, taps}. Lanes of so many bits are at these offsets of the DSP's
                        word, `pixels` of them for each row, and the words of weights and of inputs fit the ports. Bits are
                        those of `exact`, which hold every sum of a row, its K columns; or as many as there is room for, which
                        hold the sums of so many neighbouring columns of any row, and of fewer. Empty where not even one row
                        fits. `taps` is 1 for these. Behind them are those of a row with so many columns of its kernel in a
                        word, for neighbouring pixels, where there is room for lanes of `exact` bits: one for each sum that
                        these reach. See pipeline/dataflow/dsp_packing.py
      zeros, weights    how many weights are zero, of how many
      sparsity          zeros / weights
      witnesses         lowest and highest: {channel, sum, at_high}. The input whose element i is the largest input
                        where bit i of the hexadecimal number at_high is set (bit 0 least significant), and the
                        smallest elsewhere, gives that channel exactly that sum. It is the first channel of those that
                        reach it, and the bits are set of negative weights (lowest), or of positive ones (highest)

Beside it stand weights.npz, a layer's integers (rows, K) by its name and its start values (rows, 1), where it has some,
by its name with .bias; and check_certificate.py, which shares no code with the rest. It takes layer, source, policy,
input_range, P_claimed and per_pe as they stand, computes all other keys of a layer of these and the weights, and fails where
one differs or where P_claimed or the width in hardware does not hold a sum. The policy of the build it leaves alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from pipeline.accumulators.witness import Witness
from pipeline.dataflow.dsp_packing import LanePacking
from pipeline.dataflow.roles import Accumulating
from pipeline.dataflow.types import IntType
from pipeline.errors import ModelError

__all__ = ["CHECKER", "FILE", "WEIGHTS", "Bounds", "Certificate", "LayerCertificate", "write_proof"]

FILE, WEIGHTS, CHECKER = "accumulators.json", "weights.npz", "check_certificate.py"
_SHOWN = 3  # names of layers in a phrase


class Bounds(TypedDict):
    """The bits of the widest row of an MVAU, by each bound."""

    exact: int
    l1: int
    a2q_plus: int | None  # None where a row's weights do not sum to zero
    datatype: int


@dataclass(frozen=True)
class LayerCertificate:
    """The facts that are proven of one MVAU. The fields are the file's keys; see the module's text."""

    layer: str
    source: str
    policy: str
    k: int
    n: int
    m: int
    input_lo: int
    input_hi: int
    claimed: int | None
    bits: Bounds
    row_bits: tuple[int, ...]  # the width used, row by row
    largest_l1_norm: int
    dsp_packings: Mapping[str, tuple[LanePacking, ...]]
    zeros: int
    lowest: Witness
    highest: Witness

    @property
    def bits_used(self) -> int:
        """The width of the widest row."""
        return max(self.row_bits)

    @property
    def rows(self) -> int:
        return len(self.row_bits)

    @property
    def sparsity(self) -> float:
        """The share of weights that are zero."""
        return self.zeros / (self.k * self.rows)

    @property
    def l1_limit(self) -> int | None:
        """The largest l1 norm that the A2Q bound allows at the claimed width."""
        if self.claimed is None:
            return None
        return ((1 << (self.claimed - 1)) - 1) >> (self.n - int(self.input_lo < 0))


@dataclass(frozen=True)
class Certificate:
    """The content of report/accumulators.json."""

    policy: str
    per_pe: bool
    layers: tuple[LayerCertificate, ...]

    @property
    def policies(self) -> str:
        """A phrase on the policy of the build, and on the layers that have another."""
        others = [f"{layer.layer} {layer.policy}" for layer in self.layers if layer.policy != self.policy]
        if not others:
            return self.policy
        more = f" and {len(others) - _SHOWN} more layers of another" if len(others) > _SHOWN else ""
        return f"{self.policy} ({', '.join(others[:_SHOWN])}{more})"

    @property
    def broken(self) -> tuple[LayerCertificate, ...]:
        """The layers with a row that needs more bits than the layer was trained for."""
        return tuple(
            layer for layer in self.layers if layer.claimed is not None and layer.bits["exact"] > layer.claimed
        )

    @property
    def claims(self) -> str:
        """A phrase on what the layers were trained for, and whether they keep to it."""
        claimed = [layer for layer in self.layers if layer.claimed is not None]
        if not claimed:
            return "no layer claims a P"
        bits = sorted({layer.claimed for layer in claimed if layer.claimed is not None})
        spread = f"P = {bits[0]}" if len(bits) == 1 else f"P from {bits[0]} to {bits[-1]}"
        one = len(claimed) == 1
        text = f"{len(claimed)} of {len(self.layers)} layers {'claims' if one else 'claim'} {spread}"
        if not self.broken:
            return f"{text} and {'keeps' if one else 'keep'} to it"
        names = ", ".join(f"{layer.layer} needs {layer.bits['exact']}" for layer in self.broken[:_SHOWN])
        more = f" and {len(self.broken) - _SHOWN} more" if len(self.broken) > _SHOWN else ""
        return f"{text}, which is broken: {names}{more}"

    def layer(self, name: str) -> LayerCertificate:
        return next(layer for layer in self.layers if layer.layer == name)

    def write(self, path: Path) -> None:
        content = {
            "policy": self.policy,
            "per_pe": self.per_pe,
            "layers": [_to_json(layer, self.per_pe) for layer in self.layers],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Certificate:
        """The certificate that `write` wrote. Raises ModelError for a file that is missing or damaged."""
        try:
            content = json.loads(path.read_text())
            return cls(content["policy"], content["per_pe"], tuple(map(_from_json, content["layers"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"The certificate {path} cannot be read: {error!r}. Build it again.") from error


def write_proof(certificate: Certificate, units: Iterable[Accumulating], folder: Path) -> None:
    """Write FILE, the WEIGHTS of `units`, which are the certificate's layers, and the CHECKER of both to `folder`."""
    certificate.write(folder / FILE)
    arrays = {}
    for unit in units:
        arrays[unit.name] = unit.weights.astype(_signed(unit.weights))
        if unit.bias is not None:
            arrays[f"{unit.name}.bias"] = unit.bias.astype(_signed(unit.bias)).reshape(-1, 1)
    np.savez_compressed(folder / WEIGHTS, **arrays)  # type: ignore[arg-type]  # no layer is called allow_pickle
    shutil.copyfile(Path(__file__).with_name(CHECKER), folder / CHECKER)


def _signed(values: np.ndarray) -> np.dtype:
    """The narrowest signed type that holds `values`."""
    return IntType(min(int(values.min()), -1), max(int(values.max()), 0)).dtype


def _to_json(layer: LayerCertificate, per_pe: bool) -> dict[str, Any]:
    return {
        "layer": layer.layer,
        "source": layer.source,
        "policy": layer.policy,
        "K": layer.k,
        "N": layer.n,
        "M": layer.m,
        "input_signed": layer.input_lo < 0,
        "input_range": [layer.input_lo, layer.input_hi],
        "rows": layer.rows,
        "P_claimed": layer.claimed,
        "bits": layer.bits,
        "bits_used": layer.bits_used,
        **({"bits_of_rows": list(layer.row_bits)} if per_pe else {}),
        "range": [layer.lowest.value, layer.highest.value],
        "largest_l1_norm": layer.largest_l1_norm,
        "l1_limit": layer.l1_limit,
        "dsp_packings": {
            dsp: [{**asdict(packing), "offsets": list(packing.offsets)} for packing in packings]
            for dsp, packings in layer.dsp_packings.items()
        },
        "zeros": layer.zeros,
        "weights": layer.k * layer.rows,
        "sparsity": round(layer.sparsity, 4),
        "witnesses": {
            name: {"channel": witness.channel, "sum": witness.value, "at_high": f"{witness.at_high:x}"}
            for name, witness in (("lowest", layer.lowest), ("highest", layer.highest))
        },
    }


def _from_json(entry: Mapping[str, Any]) -> LayerCertificate:
    lowest, highest = (
        Witness(witness["channel"], witness["sum"], int(witness["at_high"], 16))
        for witness in (entry["witnesses"]["lowest"], entry["witnesses"]["highest"])
    )
    return LayerCertificate(
        layer=entry["layer"],
        source=entry["source"],
        policy=entry["policy"],
        k=entry["K"],
        n=entry["N"],
        m=entry["M"],
        input_lo=entry["input_range"][0],
        input_hi=entry["input_range"][1],
        claimed=entry["P_claimed"],
        bits=entry["bits"],
        row_bits=tuple(entry.get("bits_of_rows", [entry["bits_used"]] * entry["rows"])),
        largest_l1_norm=entry["largest_l1_norm"],
        dsp_packings={
            dsp: tuple(LanePacking(**{**packing, "offsets": tuple(packing["offsets"])}) for packing in packings)
            for dsp, packings in entry["dsp_packings"].items()
        },
        zeros=entry["zeros"],
        lowest=lowest,
        highest=highest,
    )
