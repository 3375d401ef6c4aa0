"""The stages of a build, in order. What a stage is says `pipeline/stage.py`; how they run, `pipeline/flow.py`."""

from pipeline.stage import Stage
from pipeline.stages import (
    accumulators,
    accuracy,
    bitfile,
    codegen,
    cppsim,
    dataflow,
    export,
    finn,
    fold,
    package,
    report,
    resolve,
    rtlsim,
    streamline,
    synth,
    timing,
    verify,
)

__all__ = ["STAGES"]

# This file imports every stage, so what imports a module of this package depends on all of them: no stage's work does.
STAGES: tuple[Stage, ...] = tuple(
    module.STAGE
    for module in (
        *(resolve, export, streamline, dataflow, accumulators, fold, finn, codegen, accuracy),
        *(cppsim, rtlsim, synth, verify, timing, bitfile, package, report),
    )
)
