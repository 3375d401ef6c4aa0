"""Every proof of hw/formal holds, and fails for every fault that stands beside it."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.files import TESTBENCHES
from tests.hw import formal
from tests.hw.formal import Fault, Proof

PROOFS, FAULTS = formal.load()
SIMULATION_MODELS = {path.stem: path for path in TESTBENCHES.glob("*.sv")}
PROOFS_OF_MODELS = [proof for proof in PROOFS if proof.cell in SIMULATION_MODELS]


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_is_proven(proof: Proof):
    verdict = formal.prove(proof)
    assert verdict.proven, str(verdict)


@pytest.mark.parametrize("proof", PROOFS_OF_MODELS, ids=lambda proof: proof.name)
def test_a_model_for_simulations_is_proven_as_its_module_is(proof: Proof):
    verdict = formal.prove(proof, models=[SIMULATION_MODELS[proof.cell]])
    assert verdict.proven, str(verdict)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.proof.cell}: {fault.what}")
def test_a_fault_makes_the_proof_fail(fault: Fault):
    """And a path from a reset shows it."""
    verdict = formal.prove(fault.proof, fault)
    assert not verdict.proven
    assert verdict.reachable or "within a cycle" in verdict.failing[0], str(verdict)


def test_every_model_for_simulations_has_a_proof():
    assert {proof.cell for proof in PROOFS_OF_MODELS} == set(SIMULATION_MODELS) != set()


def test_each_cell_has_claims_and_faults_of_its_own():
    cells = {path.stem.removesuffix("_properties") for path in formal.FOLDER.glob("*_properties.sv")}
    faults = Counter(fault.proof.cell for fault in FAULTS)
    assert cells == {proof.cell for proof in PROOFS} == set(faults)
    assert min(faults.values()) >= 2


def fault_of(what: str) -> Fault:
    (fault,) = (fault for fault in FAULTS if fault.what == what)
    return fault


def test_a_failure_is_told_as_a_path_from_a_reset():
    fault = fault_of("the second beat is overwritten while it waits")
    first, header, *rows = str(formal.prove(fault.proof, fault)).splitlines()
    assert first == "FAILS, after a reset: second_beat"
    cycles = {row.split()[0]: row.split()[1:] for row in rows}
    assert header.split() == ["cycle", *map(str, range(len(cycles["rst_ni"])))]
    assert cycles["rst_ni"][0] == "0"
    assert cycles["u_cell.spill_valid_q"][-1] == "1"
    assert {"in_ready", "out_valid", "out_data", "in_data_i", "u_queue.parts_q"} <= cycles.keys()


def test_claims_that_are_not_enough_are_told_from_a_failure():
    """No path from a reset is looked for, and those that an induction begins with are too short for this fault."""
    fault = fault_of("the place moves on while nothing leaves")
    verdict = formal.prove(fault.proof, fault, search=0)
    assert not verdict.proven and not verdict.reachable
    assert str(verdict).startswith("FAILS, from a state that 5 cycles of induction allow: ")


def test_a_path_within_a_cycle_is_told():
    fault = fault_of("ready follows the receiver within a cycle")
    assert str(formal.prove(fault.proof, fault)) == "FAILS: in_ready depends on out_ready_i within a cycle"


def test_a_fault_that_cannot_be_made_is_refused():
    fault = Fault("gone", "spill_register", "no such text", "", PROOFS[0])
    with pytest.raises(ValueError, match=r"'no such text' stands 0 times in hw/rtl/spill_register\.sv, not once"):
        formal.prove(fault.proof, fault)
