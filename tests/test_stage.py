from __future__ import annotations

import pytest

from pipeline.config import BuildConfig
from pipeline.stage import declared_options
from pipeline.stages import STAGES

CONFIG = BuildConfig(seed=3, simulation={"frames": 7}, accumulators={"policy": "l1"})


def test_declared_options_are_those_of_the_configuration() -> None:
    options = declared_options(CONFIG, ("seed", "simulation.frames", "accumulators"))
    assert (options.seed, options.simulation.frames) == (3, 7)
    assert options.accumulators is CONFIG.accumulators


@pytest.mark.parametrize(
    ("read", "place"),
    [
        (lambda options: options.board, "board"),
        (lambda options: options.simulation.stall_seed, r"simulation\.stall_seed"),
        (lambda options: options.verify.frames, "verify"),
        (lambda options: options.simulation_frames, "simulation_frames"),
        (lambda options: options.board_name, "board_name"),
    ],
)
def test_an_option_that_is_not_declared_cannot_be_read(read, place: str) -> None:
    with pytest.raises(AttributeError, match=f"the option {place} is read, but `reads` of the stage does not name it"):
        read(declared_options(CONFIG, ("seed", "simulation.frames")))


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_names_its_files_by_options_that_it_declares(stage) -> None:
    config = CONFIG.model_copy(update={"folding_config_file": "f.json", "specialize_layers_config_file": "s.json"})
    stage.files(declared_options(config, stage.reads))
