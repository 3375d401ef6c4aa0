"""The files of a proof, and the script that checks them without the rest of the program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.accumulators import certificate
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.kernels.mvau import MVAU
from pipeline.stages.accumulators import assign


def written(folder: Path, policy: str = "exact", *, per_pe: bool = False, seed: int = 0) -> dict:
    """Writes the proof of three drawn layers: signed and unsigned inputs, a bias of 40 bits, rows that sum to zero."""
    rng = np.random.default_rng(seed)
    bipolar = rng.choice([-1, 1], (3, 7))
    wide = rng.integers(-200, 100, (4, 9))
    balanced = np.concatenate([half := rng.integers(-3, 4, (2, 4)), -half], axis=1)
    bias = np.array([0, -7, 3, 1 << 40])
    drawn = [(bipolar, IntType(-8, 7), None), (wide, IntType(0, 255), bias), (balanced, IntType(-3, 12), None)]
    units, entries = [], []
    for i, (weights, inputs, start) in enumerate(drawn):
        sums = IntType(-(1 << 42), 1 << 42)
        unit = MVAU(f"MVAU_{i}", ("in",), ("out",), weights, inputs, sums, (1, 1), bias=start)
        units.append(unit)
        graph = LayerGraph("drawn", (unit,), "in", "out")
        entries += assign(graph, policy, per_pe=per_pe, target_bits={"MVAU_0": 10} if i == 0 else {})[1].layers
    certificate.write_proof(certificate.Certificate(policy, per_pe, tuple(entries)), units, folder)
    return json.loads((folder / certificate.FILE).read_text())


def checked(folder: Path) -> tuple[int, str]:
    """Runs the script of `folder` as a stranger would: in an interpreter that sees nothing but Python's own library."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", certificate.CHECKER], cwd=folder, check=False, capture_output=True, text=True
    )
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize(("policy", "per_pe"), [("exact", False), ("exact", True), ("l1", True), ("fixed:48", False)])
def test_what_is_written_is_right(tmp_path, policy, per_pe):
    written(tmp_path, policy, per_pe=per_pe)
    status, text = checked(tmp_path)
    assert status == 0 and "WRONG" not in text
    assert text.splitlines()[-1] == "3 layers: no sum can leave its accumulator"


LIES = {
    "K, rows": ("K", 8),
    "range": ("range", [-56, 55]),
    "bits: exact": ("bits", {"exact": 6, "l1": 7, "a2q_plus": None, "datatype": 7}),
    "every row has the bits it needs": ("bits_used", 3),
    "largest_l1_norm": ("largest_l1_norm", 6),
    "l1_limit": ("l1_limit", 62),
    "zeros, weights": ("zeros", 1),
    "inputs fit N bits": ("N", 3),
    "weights fit M bits": ("M", 1),
}


@pytest.mark.parametrize("what", LIES)
def test_a_lie_is_found(tmp_path, what):
    content = written(tmp_path)
    key, value = LIES[what]
    assert content["layers"][0][key] != value
    content["layers"][0][key] = value
    (tmp_path / certificate.FILE).write_text(json.dumps(content))
    status, text = checked(tmp_path)
    assert status == 1 and f"WRONG {what}" in text


def test_a_witness_that_does_not_reach_the_sum_is_found(tmp_path):
    content = written(tmp_path)
    content["layers"][1]["witnesses"]["highest"]["at_high"] = "0"
    (tmp_path / certificate.FILE).write_text(json.dumps(content))
    status, text = checked(tmp_path)
    assert status == 1 and "WRONG witness of the highest sum" in text


def test_other_weights_are_found(tmp_path):
    written(tmp_path)
    weights = dict(np.load(tmp_path / certificate.WEIGHTS))
    weights["MVAU_2"] = weights["MVAU_2"] + np.int8(1)
    weights["MVAU_9"] = weights["MVAU_0"]
    np.savez_compressed(tmp_path / certificate.WEIGHTS, **weights)
    status, text = checked(tmp_path)
    assert status == 1 and "WRONG range" in text
    assert "WRONG MVAU_9: weights of a layer that the certificate leaves out" in text


def test_it_imports_nothing_of_ours():
    text = (Path(certificate.__file__).with_name(certificate.CHECKER)).read_text()
    assert "pipeline" not in text and "numpy" not in text
