"""The key of every stage covers all that the stage opens: files, variables of the environment, programs, packages."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections import defaultdict
from functools import cache
from pathlib import Path

import onnx
import pytest

from pipeline import fingerprint
from pipeline.config import BuildConfig
from pipeline.stage import Stage, declared_options
from pipeline.stages import STAGES
from pipeline.tools.programs import PROGRAMS
from tests.dataflow.networks import Network

RECORDING = Path(__file__).with_name("recording")
REPOSITORY = Path(fingerprint.__file__).resolve().parents[1]
CODE = ("pipeline", "hw/driver")  # where what asks is a stage's own code
SITE = Path(sysconfig.get_paths()["purelib"]).resolve()

Asked = set[tuple[str, str, str]]  # a kind, a name, and the file of the code that asked for it

# What a stage opens and its key does not hold, each with the reason why it changes no result.
VARIABLES = {
    "PATH": "the programs that are found on it are in the key by their versions",
    "PYTHONPATH": "handed on to processes of this Python, whose packages are in the key",
    "A2Q_CACHE": "the folder of downloads and compiled runtimes, which have their digests or versions in their names",
    "A2Q_DATA": "the files of the data sets that it leads to are in the key by their content",
    "OMP_WAIT_POLICY": "how threads wait",
    "OPENBLAS_NUM_THREADS": "set here, before numpy is imported",
}
PACKAGES = {
    "filelock": "locks",
    "pillow": "reads images, which `resolve` alone does, and that stage names it",
    "platformdirs": "where the user's cache is",
    "psutil": "memory that a stage took, and the end of programs",
    "pydantic": "checks what the user gave; what was given is in the key",
    "pydantic_core": "the same",
    "pyyaml": "reads configurations and boards, whose content is in the key",
    "rich": "the screen",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[BuildConfig, dict[str, Asked]]:
    """A build of one unrolled layer, with place and route; and what each stage asked for."""
    network = Network(6)
    network.output_shape = (1, 3)
    network.quant(0.5, 3)
    network.matmul(6, 3, bits=3)
    onnx.save(network.model(), folder / "net.onnx")
    config = BuildConfig(
        model=str(folder / "net.onnx"),
        board="PYNQ-Z2",
        golden_frames=16,
        mvau_style="unrolled",
        target_fps=1000,
        simulation={"frames": 2},
        verify={"gate_level": True, "finn": True},
        finn=True,
        timing={"place_and_route": True, "seeds": 1},
    )
    return config, recorded(config, folder / "whole", "report")


@pytest.fixture(scope="module")
def named(folder: Path) -> tuple[BuildConfig, dict[str, Asked]]:
    """The first stages of the build of a network that this repository has a checkpoint of."""
    config = BuildConfig(model="quant_tfc_w2a2", golden_frames=4)
    return config, recorded(config, folder / "named", "export")


def recorded(config: BuildConfig, folder: Path, last: str) -> dict[str, Asked]:
    """What each stage asked for in a build until the stage `last`."""
    folder.mkdir()
    record = folder / "record.jsonl"
    search = [str(RECORDING), *sys.path[1:], os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, search)), "A2Q_TEST_RECORD": str(record)}
    command = [sys.executable, RECORDING / "run_stages.py", config.model_dump_json(), folder / "out", last]
    subprocess.run([str(word) for word in command], env=environment, check=True)
    asked = defaultdict(set)
    for line in set(record.read_text().splitlines()):
        stage, *what = json.loads(line)
        asked[stage].add(tuple(what))
    return asked


@cache
def is_own(code: str) -> bool:
    """Whether the file `code` is of the code that stages are made of."""
    return any(Path(code).resolve().is_relative_to(REPOSITORY / folder) for folder in CODE)


@cache
def distributions() -> dict[str, str]:
    """Of each package that can be imported, the distribution that it comes from."""
    return {name: normal(origins[0]) for name, origins in importlib.metadata.packages_distributions().items()}


def normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-")


@cache
def imported(module: Path) -> frozenset[str]:
    """The distributions of the packages that a module imports when it is imported itself."""
    names = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return frozenset(distributions()[name] for name in names if name in distributions())


@cache
def opened(name: str) -> Path:
    """The file of that name; of a compiled module its source."""
    path = Path(name).resolve()
    return path.parents[1] / f"{path.name.partition('.')[0]}.py" if path.suffix == ".pyc" else path


def covered(stage: Stage, config: BuildConfig) -> set[Path]:
    """The files whose content is in the key of `stage`."""
    files = {Path(path).resolve() for path in stage.files(declared_options(config, stage.reads))}
    for pattern in stage.sources:
        files |= set(REPOSITORY.glob(pattern))
    return files | fingerprint.modules(stage.run) | {Path(inspect.getfile(stage.run))}


def uncovered(stage: Stage, config: BuildConfig, asked: Asked, work: Path) -> list[str]:
    """What `stage` asked for that its key does not hold. `work` is the folder of the build."""
    files = covered(stage, config)
    folders = {folder for path in files for folder in path.parents}
    packages = {normal(package) for package in (*stage.packages, *PACKAGES)} | {"a2q-pipeline"}
    variables = {*VARIABLES, *stage.variables, *(name for p in stage.programs for name in PROGRAMS[p].variables)}
    missing = set()
    for kind, name, code in asked:
        if kind == "variable" and is_own(code) and name not in variables:
            missing.add(f"the variable {name}, read in {code}")
        elif kind == "program" and is_own(code) and Path(name).name not in stage.programs:
            if not is_of_a_package(name) and not opened(name).is_relative_to(work):
                missing.add(f"the program {name}, started in {code}")
        elif kind == "module" and opened(name) in files:
            missing |= {f"the package {package}, imported in {name}" for package in imported(opened(name)) - packages}
        elif kind in ("open", "argument", "os.listdir", "os.scandir"):
            path = opened(name.removeprefix("-I"))
            if path.is_relative_to(SITE):
                package = distributions().get(next(iter(path.relative_to(SITE).parts), ""))  # or SITE itself
                if kind == "open" and is_own(code) and package and package not in packages:
                    missing.add(f"the package {package}, opened in {code}")
            elif path.is_relative_to(REPOSITORY):
                if path not in files | folders and path.exists() and not path.is_relative_to(sys.prefix):
                    missing.add(f"the file {path.relative_to(REPOSITORY)}, opened in {code}")
                elif kind == "argument" and path.is_dir():  # where a compiler looks for headers
                    headers = {inner for inner in path.iterdir() if inner.suffix in (".h", ".hpp", ".svh", ".vh")}
                    missing |= {f"the file {header}, for a program that {code} started" for header in headers - files}
            elif kind == "open" and is_own(code) and not is_scratch(path, work) and path not in files:
                missing.add(f"the file {path}, opened in {code}")
    return sorted(missing)


def is_of_a_package(program: str) -> bool:
    """Whether a package of this Python has installed the program, or it is this Python."""
    path = Path(program)
    return path.resolve().is_relative_to(SITE) or (Path(sys.executable).parent / path.name).exists()


def is_scratch(path: Path, work: Path) -> bool:
    """Whether `path` is of the build itself, of Python, or of the system."""
    places = (work, tempfile.gettempdir(), sys.base_prefix, "/dev", "/proc")
    user_cache = os.environ.get("A2Q_CACHE") or Path.home() / ".cache"
    return any(path.is_relative_to(Path(place).resolve()) for place in (*places, user_cache))


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_key_of_a_stage_covers_what_it_opens(stage, whole, folder):
    config, asked = whole
    assert asked[stage.name], "it was recorded"
    assert not uncovered(stage, config, asked[stage.name], folder)


@pytest.mark.parametrize("stage", STAGES[:2], ids=lambda stage: stage.name)
def test_the_key_covers_what_a_named_network_is_made_of(stage, named, folder):
    config, asked = named
    assert not uncovered(stage, config, asked[stage.name], folder)
    if stage.name == "resolve":
        assert any("checkpoints" in name for kind, name, _ in asked["resolve"] if kind == "open")
