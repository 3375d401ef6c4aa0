"""The driver with the pynq of every image that boards have, on the board itself and, where that pynq can, by network."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.deployment import simulated_board
from pipeline.files import BOARDS
from tests.driver.images import IMAGES, Image, board_with, has_environment
from tests.driver.packages import label_graph, make_package

DRIVER = Path(__file__).parents[2] / "hw" / "driver"
REMOTE = IMAGES[2:]


def parameters(images: Sequence[Image]) -> list[object]:
    """`images` as parameters of a test. The tests of one, which share files of its pynq, run one after the other."""
    return [
        pytest.param(
            image,
            marks=[
                pytest.mark.skipif(not has_environment(image), reason=f"no {image.folder}; `make test` makes it"),
                pytest.mark.xdist_group(f"pynq-{image.pynq}"),
            ],
            id=f"pynq-{image.pynq}",
        )
        for image in images
    ]


@pytest.fixture(scope="module", params=parameters(IMAGES))
def board(request, package):
    """A board that is a Zynq UltraScale+."""
    with board_with(request.param, package) as board:
        yield board


def test_validate_and_throughput_test_on_the_board(board, tmp_path):
    """The bitfile of a copy that is deleted, then the same of the package, then what is there."""
    copied = shutil.copytree(board.package, tmp_path / "deploy")
    done = board.run(copied / "driver" / "validate.py", "--json", tmp_path / "result.json")
    assert done.returncode == 0, done.stderr
    assert "6 of 6 images give exactly the integers that they must" in done.stdout
    assert json.loads((tmp_path / "result.json").read_text())["fclk[mhz]"] == 300.0
    shutil.rmtree(copied)
    driver = board.package / "driver" / "driver.py"
    done = board.run(driver, "--exec_mode", "throughput_test", "--batchsize", 9, cwd=tmp_path)
    assert done.returncode == 0 and "fclk[mhz] = 300," in done.stdout, done.stderr
    done = board.run("validate.py", "--no-download")
    assert done.returncode == 0 and "6 of 6" in done.stdout, done.stderr


def test_what_goes_wrong_on_the_board_is_told_and_the_next_call_works(board, other):
    names = ("wrong_arrays", "stalled", "short_input", "registers", f"wrong_bitfile={other}")
    arrays, stalled, short, registers, bitfile = board.scenario("several", *names).values()
    assert all(arrays["sizes"]) and arrays["raw"] and arrays["classes"] and arrays["cycles"] > 0
    assert arrays["range"][0] == "RangeError"
    assert stalled["error"][0] == "TransferTimeoutError" and stalled["after"]
    assert short["error"][0] == "MisalignedError" and short["after"]
    assert registers["cleared"] == [0, 0, 0] and registers["after"]
    assert bitfile["refused"][0] == "ProgrammingError" and bitfile["works"] and bitfile["works_attached"]
    assert bitfile["attached"][0] in ("PackageError", "WrongBitfileError")


@pytest.mark.parametrize("image", parameters(IMAGES))
def test_weights_are_loaded_on_the_board(loading, image):
    with board_with(image, loading) as board:
        result = board.scenario("loading")
    assert result["first"][:2] == [True, True] and result["again"][0]
    assert result["attached"][1] and result["downloaded"][1]
    assert all(result["freed"])


@pytest.fixture(scope="module")
def zynq_7000(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("zynq_7000")
    make_package(folder, label_graph(), board="Pynq-Z2")
    return folder / "deploy"


@pytest.mark.parametrize("image", parameters(IMAGES[:2]))
def test_on_a_zynq_7000(zynq_7000, image):
    with board_with(image, zynq_7000) as board:
        done = board.run("validate.py")
    assert done.returncode == 0 and "6 of 6 images" in done.stdout and "at 100 MHz" in done.stdout, done.stderr


@pytest.mark.parametrize("image", parameters(IMAGES[1:2]))
def test_on_a_board_with_another_crystal(tmp_path, image):
    """pynq takes every board's for 33.333 MHz, which this clock would be 11 % faster by."""
    text = (BOARDS / "kv260.yaml").read_text()
    for old, new in {
        "name: KV260": "name: Mine",
        "[KV260_SOM]": "[]",
        "mhz: 33.333": "mhz: 30",
        "multiplier: 45": "multiplier: 50",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path / "build").mkdir()
    make_package(tmp_path / "build", label_graph(), board=str(tmp_path / "mine.yaml"))
    with board_with(image, tmp_path / "build" / "deploy") as board:
        done = board.run("validate.py")
    assert done.returncode == 0 and "6 of 6 images" in done.stdout and "at 300 MHz" in done.stdout, done.stderr


def validate(image: Image, package: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [image.interpreter, "-B", "-W", "ignore", "validate.py", *options]
    return subprocess.run(
        list(map(str, command)), cwd=package / "driver", capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("image", parameters(REMOTE))
def test_from_another_machine(package, image):
    with simulated_board(package) as address:
        done = validate(image, package, "--host", address.host, "--port", address.port)
    assert done.returncode == 0 and "6 of 6 images" in done.stdout and "at 300 MHz" in done.stdout, done.stderr


@pytest.mark.parametrize("image", parameters(IMAGES[:2]))
def test_from_another_machine_with_a_pynq_that_cannot(package, image):
    done = validate(image, package, "--host", "127.0.0.1")
    assert done.returncode == 2, done.stderr
    assert f"takes PYNQ.remote, which the pynq {image.pynq} here does not have (No module named" in done.stderr
    assert "run this on the board itself, without --host" in done.stderr


def test_every_module_is_one_that_the_oldest_python_of_the_images_reads():
    modules = [*DRIVER.glob("*.py"), *DRIVER.glob("a2q_driver/*.py")]
    assert len(modules) > 15
    for module in modules:
        ast.parse(module.read_text(), str(module), feature_version=(3, 8))
