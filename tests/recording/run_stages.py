"""A build of which every stage runs in a process of its own, so that none finds open what an earlier one has opened.

    python run_stages.py CONFIG OUT LAST

CONFIG is the JSON of a build's configuration; LAST the last stage to run. Needs `sitecustomize.py` of this folder, to
which it says which stage runs.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pipeline.config import BuildConfig
from pipeline.flow import build
from pipeline.progress import Screen
from pipeline.stage import Context, Stage
from pipeline.stages import STAGES

_SLOW = ("brevitas.nn", "onnxruntime", "qonnx.core.onnx_exec", "matplotlib.pyplot")  # imported once for all stages


def _recorded(stage: Stage) -> Stage:
    import sitecustomize  # there only where this file is run as a program

    def run(context: Context) -> str:
        for name, module in list(sys.modules.items()):  # what was read to check the configuration is read again
            if name.partition(".")[0] == "pipeline":
                for value in vars(module).values():
                    if isinstance(value, functools._lru_cache_wrapper):
                        value.cache_clear()
        sitecustomize.enter(stage.name)
        try:
            return stage.run(context)
        finally:
            for name, module in list(sys.modules.items()):
                if "." not in name:
                    sitecustomize.write("package", name, "")
                if getattr(module, "__file__", None):
                    sitecustomize.write("module", module.__file__, "")
            sitecustomize.enter("")

    return replace(stage, run=run)


def _main(config: str, out: str, last: str) -> None:
    for package in _SLOW:
        importlib.import_module(package)
    loaded = BuildConfig.model_validate_json(config)
    fork = multiprocessing.get_context("fork")
    stages = [_recorded(stage) for stage in STAGES]
    for stage in stages[: [stage.name for stage in stages].index(last) + 1]:
        process = fork.Process(
            target=build, args=(loaded, Path(out), stages, Screen(Console(quiet=True))), kwargs={"until": stage.name}
        )
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"the stage {stage.name} failed")


if __name__ == "__main__":
    _main(*sys.argv[1:])
