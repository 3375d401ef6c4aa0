"""The driver of a package on the simulated board: what goes wrong is told, and the next call works."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.deployment import board_python, simulated_board
from pipeline.errors import ModelError, ResourceError

SCRIPT = Path(__file__).with_name("on_the_board.py")


def _has_environment() -> bool:
    try:
        return board_python().is_file()
    except ResourceError:
        return False


pytestmark = pytest.mark.skipif(not _has_environment(), reason="no environment with pynq; `make board-setup` makes it")


@pytest.fixture(scope="module")
def board(package):
    with simulated_board(package) as address:
        yield address


@pytest.fixture(scope="module")
def loading_board(loading):
    with simulated_board(loading) as address:
        yield address


def scenario(name: str, package: Path, address, *arguments: object) -> dict:
    command = [board_python(), "-B", SCRIPT, name, package, address.port, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_wrong_bitfile_is_refused_and_does_not_pass_for_what_is_there(package, other, board):
    result = scenario("wrong_bitfile", package, board, other)
    assert result["refused"][0] == "ProgrammingError"
    assert result["attached"][0] in ("PackageError", "WrongBitfileError")
    assert result["works"] and result["works_attached"]


def test_arrays_that_cannot_be_and_batches_of_all_sizes(package, board):
    result = scenario("wrong_arrays", package, board)
    assert result["shape"][0] == result["raw_shape"][0] == "ShapeError"
    assert result["dtype"][0] == result["image_dtype"][0] == "DtypeError"
    assert result["range"][0] == result["nan"][0] == "RangeError"
    assert result["closed"][0] == "ClosedError" and "is closed. Open another" in result["closed"][1]
    assert all(result["sizes"]) and result["raw"] and result["classes"]
    assert result["cycles"] > 0


def test_input_that_ends_in_the_middle_of_a_frame(package, board):
    result = scenario("short_input", package, board)
    assert result["before"] and result["after"]
    assert result["error"][0] == "MisalignedError"


def test_a_stalled_stream_names_the_channel_and_the_counters(package, board):
    result = scenario("stalled", package, board)
    assert result["before"] and result["after"]
    name, text = result["error"]
    assert name == "TransferTimeoutError"
    assert "The DMA's channel S2MM hangs" in text and "FRAMES_IN 11, FRAMES_OUT 11" in text  # 6 frames, and 5 of 6
    assert result["seconds"] < 10


def test_a_reset_by_another_program(package, board):
    result = scenario("reset_by_another", package, board)
    assert result["before"] and result["after"]
    assert result["error"][0] in ("ReconfiguredError", "DmaError", "TransferTimeoutError")


def test_a_lock_whose_holder_is_gone_is_taken_over(package, board):
    assert scenario("abandoned_lock", package, board)["works"]


def test_who_cannot_wait_as_long_as_another_computes_is_told_so(package, board):
    result = scenario("busy", package, board)
    assert result["error"][0] == "BusyError"
    assert result["first"] and result["second"]


def test_two_programs_at_once_take_turns(package, board):
    assert scenario("two_clients", package, board) == {"first": True, "both": [10, 10]}


def test_a_bitfile_that_another_program_loads_meanwhile(package, board):
    result = scenario("reprogrammed", package, board)
    assert result["error"][0] in ("ReconfiguredError", "DmaError")  # pynq refuses to use a DMA that is as new
    assert result["after"]


def test_a_server_that_is_killed_in_a_transfer(package):
    """And one that is started again then."""
    with simulated_board(package) as address:
        result = scenario("lost", package, address, address.process)
    assert result["error"][0] == "BoardLostError"
    assert result["again"][0] == "BoardLostError"
    with simulated_board(package) as address:
        assert scenario("registers", package, address)["after"]


def test_counters_and_reset(package, board):
    result = scenario("registers", package, board)
    assert result["counted"][0] == result["counted"][1] >= 6
    assert result["status"] == 0
    assert result["cleared"] == [0, 0, 0] and result["after"]


@pytest.mark.parametrize("file", ["bitfile/finn-accel.hwh", "driver/io_shape_dict.json", "golden/expected_output.npy"])
def test_a_damaged_package_is_not_used(package, board, tmp_path, file):
    damaged = tmp_path / "deploy"
    shutil.copytree(package, damaged)
    content = bytearray((damaged / file).read_bytes())
    content[-2] ^= 1
    (damaged / file).write_bytes(content)
    command = [board_python(), "-B", "validate.py", "--host", board.host, "--port", str(board.port)]
    done = subprocess.run(list(map(str, command)), cwd=damaged / "driver", capture_output=True, text=True, check=False)
    assert done.returncode == 2 and f"{damaged / file} has changed" in done.stderr, done.stderr
    with pytest.raises(ModelError, match="has changed"), simulated_board(damaged):
        pass
    done = subprocess.run(list(map(str, command)), cwd=package / "driver", capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "6 of 6 images give exactly" in done.stdout, done.stderr


WEIGHTS_LOADED = 16  # of STATUS


def test_weights_are_loaded_before_the_first_frames_and_after_each_reset(loading, loading_board):
    result = scenario("loading", loading, loading_board)
    assert result["new"] == [0, 0]
    assert result["first"] == [True, True, WEIGHTS_LOADED, 1]
    assert result["reset"] == [0, 1]
    assert result["cycles"] > 0 and result["again"] == [True, WEIGHTS_LOADED, 2]
    assert result["freed"] == [True, True]
    assert result["attached"] == [WEIGHTS_LOADED, True, 0]
    assert result["downloaded"] == [0, True, 1]


def test_weights_that_do_not_arrive_are_told_and_sent_again_with_the_next_batch(loading, loading_board):
    result = scenario("weights_that_stay_away", loading, loading_board)
    assert result["before"] and result["after_half"] and result["after_frames"] and result["after_reset"]
    for name, register, channel in (("half", 0x0, "took them all"), ("as_frames", 0x1, "hangs")):
        kind, text = result[name]
        assert kind == "WeightsError"
        assert f"STATUS reads 0x{register:X}, expected 0x10 (WEIGHTS_LOADED)" in text
        assert "It wants 40 words of 32 bits; 160 bytes were sent" in text and f"MM2S {channel}." in text
        assert "load the bitfile of this package once more" in text
    assert result["seconds"] < 10
    assert result["reset_meanwhile"][0] == "WeightsError"


@pytest.mark.parametrize("lock", ["held", "free"])
def test_a_load_that_a_program_left_begins_anew(loading, loading_board, lock):
    assert scenario("abandoned_load", loading, loading_board, lock) == {"found": 0, "works": True, "loads": 1}


def test_a_network_that_loads_its_weights_from_the_command_line(loading, loading_board):
    command = [board_python(), "-B", "validate.py", "--host", loading_board.host, "--port", loading_board.port]
    for options in ([], ["--no-download"]):
        done = subprocess.run(
            list(map(str, command + options)), cwd=loading / "driver", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and "6 of 6 images give exactly" in done.stdout, done.stderr


def test_damaged_weights_are_not_loaded(loading, loading_board, tmp_path):
    damaged = shutil.copytree(loading, tmp_path / "deploy")
    content = bytearray((damaged / "bitfile" / "weights.bin").read_bytes())
    content[7] ^= 1
    (damaged / "bitfile" / "weights.bin").write_bytes(content)
    command = [board_python(), "-B", "validate.py", "--host", loading_board.host, "--port", loading_board.port]
    done = subprocess.run(list(map(str, command)), cwd=damaged / "driver", capture_output=True, text=True, check=False)
    assert done.returncode == 2 and f"{damaged}/bitfile/weights.bin has changed" in done.stderr, done.stderr
    with pytest.raises(ModelError, match="weights.bin has changed"), simulated_board(damaged):
        pass


@pytest.mark.parametrize("mode", ["execute", "throughput_test"])
def test_finns_options(package, board, tmp_path, mode):
    command = [board_python(), "-B", package / "driver" / "driver.py", "--exec_mode", mode, "--batchsize", 3]
    command += ["--host", board.host, "--port", board.port, "--bitfile", package / "bitfile" / "finn-accel.bit"]
    command += ["--inputfile", package / "golden" / "images.npy", "--outputfile", tmp_path / "output"]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if mode == "execute":
        expected = np.load(package / "golden" / "expected_output.npy")
        assert np.array_equal(np.load(tmp_path / "output"), expected)
    else:
        assert "throughput_by_cycles[images/s]" in (tmp_path / "nw_metrics.txt").read_text()


@pytest.mark.parametrize("page", ["docs/deploy.md", "hw/driver/README.md"])
def test_the_documented_program(package, board, page):
    """The lines of Python in the documentation, with the address of this board."""
    lines = (SCRIPT.parents[2] / page).read_text().split("    import numpy as np\n")[1].splitlines()
    code = "\n".join(["import numpy as np", *(line[4:] for line in itertools.takewhile(_is_code, lines))])
    assert "predict(" in code
    code = re.sub(r'host="[^"]*"', f'host="{board.host}", port={board.port}', code)
    done = subprocess.run(
        [board_python(), "-B", "-c", code], cwd=package / "driver", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = np.load(package / "golden" / "expected_output.npy").ravel()
    printed = done.stdout.strip().strip("[]").split()
    assert [int(label) for label in printed] == expected[: len(printed)].tolist() and printed


def _is_code(line: str) -> bool:
    return not line or line.startswith("    ")
