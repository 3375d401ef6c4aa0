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
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("policy", "per_pe"),
    [("exact", False), ("exact", True), ("target", False), ("l1", True), ("datatype", True), ("fixed:48", False)],
)
def test_what_is_written_is_right(tmp_path, policy, per_pe):
    written(tmp_path, policy, per_pe=per_pe)
    status, text = checked(tmp_path)
    assert status == 0 and "WRONG" not in text
    assert text.splitlines()[-1] == "3 layers: no sum can leave its accumulator"


LIES = {
    "K": 8,
    "N": 5,
    "M": 3,
    "rows": 4,
    "input_range": [7, -8],
    "input_signed": False,
    "range": [-56, 55],
    "bits": {"exact": 6, "l1": 7, "a2q_plus": None, "datatype": 7},
    "bits_used": 8,
    "largest_l1_norm": 6,
    "l1_limit": 62,
    "dsp_packings": {"DSP48E2": [{"offsets": [0], "pixels": 1, "bits": 7, "columns": 3}], "DSP48E1": []},
    "zeros": 1,
    "weights": 20,
    "sparsity": 0.1,
}


@pytest.mark.parametrize("key", LIES)
def test_a_lie_is_found(tmp_path, key):
    content = written(tmp_path)
    assert content["layers"][0][key] != LIES[key]
    content["layers"][0][key] = LIES[key]
    assert f"    WRONG {key}: {LIES[key]}, by the weights " in refused(tmp_path, content)


def refused(folder: Path, content: dict) -> str:
    """What the script says of `content`, with which it does not agree, and of the weights in `folder`."""
    (folder / certificate.FILE).write_text(json.dumps(content))
    status, text = checked(folder)
    assert status == 1 and "no sum can leave" not in text
    return text


def test_a_claim_that_is_not_kept_is_found(tmp_path):
    """With all that follows from it, it would be right of a layer of other weights."""
    content = written(tmp_path)
    content["layers"][0].update(P_claimed=6, l1_limit=((1 << 5) - 1) // 8)
    text = refused(tmp_path, content)
    assert "    WRONG P_claimed: 6, by the weights 7\n" in text and text.endswith("3 layers: WRONG statements: 1\n")


@pytest.mark.parametrize(("policy", "bits"), [("l1", 9), ("datatype", 11), ("fixed:48", 48)])
def test_a_policy_that_asks_for_other_bits_is_found(tmp_path, policy, bits):
    content = written(tmp_path)
    content["layers"][2]["policy"] = policy
    assert f"    WRONG bits_used: 8, by the weights {bits}\n" in refused(tmp_path, content)


def test_a_policy_without_a_meaning_is_refused(tmp_path):
    content = written(tmp_path)
    content["layers"][1]["policy"] = "wide"
    assert "cannot be checked: unknown, missing or there twice: 'wide'" in refused(tmp_path, content)


@pytest.mark.parametrize("policy", ["target", "fixed:6"])
def test_a_policy_that_does_not_hold_every_sum_is_found(tmp_path, policy):
    """Whose bits are those that the certificate says."""
    content = written(tmp_path)
    content["layers"][0].update(policy=policy, bits_used=6, P_claimed=6, l1_limit=((1 << 5) - 1) // 8)
    assert "    WRONG bits_used: 6, by the weights 7\n" in refused(tmp_path, content)


def test_a_fixed_width_below_what_its_layer_needs_is_found(tmp_path):
    """Beside the bits that the layer does have."""
    content = written(tmp_path)
    content["layers"][0]["policy"] = "fixed:5"
    assert "    WRONG policy: fixed:5, by the weights fixed:7\n" in refused(tmp_path, content)


def test_the_bound_of_rows_that_sum_to_zero_is_checked(tmp_path):
    content = written(tmp_path)
    entry = content["layers"][2]
    entry.update(policy="a2q_plus", bits_used=entry["bits"]["a2q_plus"])
    (tmp_path / certificate.FILE).write_text(json.dumps(content))
    assert checked(tmp_path)[0] == 0
    content["layers"][1]["policy"] = "a2q_plus"
    assert "cannot be checked: unknown, missing or there twice: 'a2q_plus'" in refused(tmp_path, content)


def test_what_is_said_twice_is_refused(tmp_path):
    content = written(tmp_path)
    (tmp_path / certificate.FILE).write_text(
        json.dumps(content).replace('"bits_used": 7', '"bits_used": 5, "bits_used": 7', 1)
    )
    status, text = checked(tmp_path)
    assert status == 1 and "accumulators.json has a key twice among layer, source, policy" in text
    content["layers"].append(content["layers"][0])
    assert "unknown, missing or there twice: 'MVAU_0'" in refused(tmp_path, content)


def test_it_says_what_it_is(tmp_path):
    written(tmp_path)
    command = [sys.executable, tmp_path / certificate.CHECKER, "--help"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("Checks the certificate accumulators.json")


@pytest.mark.parametrize(
    ("per_pe", "what"), [(False, "absent, by the weights [7, 7, 7]"), (True, "[7, 7, 7], by the weights absent")]
)
def test_widths_of_rows_where_there_are_none_and_none_where_there_are_some(tmp_path, per_pe, what):
    content = written(tmp_path, per_pe=per_pe)
    content["per_pe"] = not per_pe
    assert f"    WRONG bits_of_rows: {what}\n" in refused(tmp_path, content)


def test_a_row_that_is_too_narrow_is_found(tmp_path):
    content = written(tmp_path, per_pe=True)
    content["layers"][0]["bits_of_rows"][0] -= 1
    assert "    WRONG bits_of_rows: " in refused(tmp_path, content)


def test_what_is_left_out_and_what_is_added_is_found(tmp_path):
    content = written(tmp_path)
    del content["layers"][0]["P_claimed"], content["layers"][1]["l1_limit"]
    assert "cannot be checked: unknown, missing or there twice: 'P_claimed'" in refused(tmp_path, content)
    content["layers"][0].update(P_claimed=10, proven=True)
    text = refused(tmp_path, content)
    assert "    WRONG l1_limit: absent, by the weights None\n" in text
    assert "    WRONG proven: True, by the weights absent\n" in text


@pytest.mark.parametrize(("key", "value"), [("at_high", "0"), ("channel", -1), ("sum", 0)])
def test_a_witness_that_does_not_reach_the_sum_is_found(tmp_path, key, value):
    content = written(tmp_path)
    content["layers"][1]["witnesses"]["highest"][key] = value
    assert "WRONG witnesses" in refused(tmp_path, content)


def test_nothing_is_no_proof(tmp_path):
    content = written(tmp_path)
    weights = (tmp_path / certificate.WEIGHTS).read_bytes()
    np.savez_compressed(tmp_path / certificate.WEIGHTS)
    assert "cannot be checked: unknown, missing or there twice: 'MVAU_0'" in refused(tmp_path, content)
    content["layers"] = []
    assert "no entry for any layer: nothing is proven" in refused(tmp_path, content)
    (tmp_path / certificate.WEIGHTS).write_bytes(weights)
    assert "no entry for MVAU_0, MVAU_1, MVAU_1.bias, MVAU_2" in refused(tmp_path, content)
    for file in (certificate.WEIGHTS, certificate.FILE):
        (tmp_path / file).write_bytes(b"")
        status, text = checked(tmp_path)
        assert status == 1 and text.startswith("The certificate cannot be checked: ")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("MVAU_0", np.asfortranarray, "is in Fortran order"),
        ("MVAU_1.bias", lambda bias: bias[:-1], "MVAU_1 has 4 rows and 3 start values"),
        ("MVAU_2", lambda weights: weights.astype(float), "unknown, missing or there twice: '<f8'"),
        ("MVAU_2", lambda weights: weights[:0], "cannot be checked: "),
    ],
    ids=["columns_first", "too_few_start_values", "floats", "no_rows"],
)
def test_weights_of_another_form_are_refused(tmp_path, name, change, said):
    content = written(tmp_path)
    weights = dict(np.load(tmp_path / certificate.WEIGHTS))
    np.savez_compressed(tmp_path / certificate.WEIGHTS, **{**weights, name: change(weights[name])})
    assert said in refused(tmp_path, content)


def test_other_weights_are_found(tmp_path):
    content = written(tmp_path)
    weights = dict(np.load(tmp_path / certificate.WEIGHTS))
    np.savez_compressed(tmp_path / certificate.WEIGHTS, **{**weights, "MVAU_2": weights["MVAU_2"] + np.int8(1)})
    assert "WRONG range" in refused(tmp_path, content)
    np.savez_compressed(tmp_path / certificate.WEIGHTS, **weights, MVAU_9=weights["MVAU_0"])
    assert "cannot be checked: ValueError: no entry for MVAU_9" in refused(tmp_path, content)


def test_it_imports_nothing_of_ours():
    text = (Path(certificate.__file__).with_name(certificate.CHECKER)).read_text()
    assert "pipeline" not in text and "numpy" not in text
