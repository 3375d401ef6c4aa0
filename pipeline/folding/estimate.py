"""LUTs, flip-flops and block RAM of layers by a linear model, which `benchmarks/estimator/calibrate.py` fits to synthesis.

A layer takes Σ coefficient · term (see `pipeline/devices/demand.py`), with coefficients of its kind and of the FPGA's family, none of
them negative. They stand in coefficients.json with how they were found and how far off they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pipeline.dataflow.layer import Layer
from pipeline.devices.demand import Demand
from pipeline.devices.resources import Resources

__all__ = ["COEFFICIENTS", "ResourceModel"]

COEFFICIENTS = Path(__file__).resolve().parent / "coefficients.json"


class ResourceModel:
    """The coefficients of one of Yosys' families."""

    def __init__(self, family: str, coefficients: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        self.family = family
        self._coefficients = coefficients

    @staticmethod
    @cache
    def load(family: str) -> ResourceModel:
        """The model of `family` that ships with the pipeline."""
        return ResourceModel(family, json.loads(COEFFICIENTS.read_text())["families"][family])

    def layer(self, layer: Layer) -> Resources:
        """What `layer`, folded as it is, will take."""
        return self.of(layer.demand(self.family))

    def folded(self, layer: Layer, style: str, fields: Mapping[str, int | str]) -> Resources:
        """What `layer` will take in `style`, one of its styles, with the fields of a folding."""
        return self.of(layer.demand_in(style, fields, self.family))

    def of(self, wanted: Demand) -> Resources:
        """What a demand comes to."""
        if wanted.op_type not in self._coefficients:
            raise KeyError(
                f"{wanted.op_type} has no factors in {COEFFICIENTS.name} for {self.family}. Have synthesis count some: "
                f"python -m benchmarks.estimator.calibrate --kind {wanted.op_type}"
            )
        factors = self._coefficients[wanted.op_type]
        taken = {"lut": 0.0, "ff": 0.0}
        for resource in taken:
            for name, factor in factors[resource].items():
                taken[resource] += factor * wanted.terms.get(name, 0.0)
        return Resources(
            lut=wanted.lut + taken["lut"],
            ff=wanted.ff + taken["ff"],
            bram_18k=wanted.bram_18k,
            uram=wanted.uram,
            dsp=wanted.dsp,
        )
