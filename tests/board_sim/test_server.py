"""The simulated board behind the real client of pynq, over loopback, with a real model of a small accelerator."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from a2q_driver.manifest import write_manifest
from pipeline.package import simulation_bitfile
from tests.board_sim.deploy import (
    CONFIG_HASH,
    Deployment,
    bit_file,
    board_python,
    client_to_kill,
    layer,
    make_deployment,
    run_client,
    served,
    start,
)

pytestmark = [
    pytest.mark.skipif(
        not Path(board_python()).is_file(), reason="there is no environment with pynq; `make board-setup` makes it"
    ),
    pytest.mark.xdist_group("board_sim"),  # they share a package and its model
]


@pytest.fixture(scope="module")
def port(deployment):
    with served(deployment) as (_, port):
        yield port


def frames(count: int) -> np.ndarray:
    shape = layer().inputs()[0].shape
    return np.random.default_rng(1).integers(0, 16, (count, *shape))


def infer(deployment: Deployment, port: int, folder: Path, count: int, batch: int) -> dict:
    """Send `count` frames; their outputs must be those of the reference."""
    inputs = frames(count)
    (expected,) = layer().reference(inputs)
    np.save(folder / "inputs.npy", deployment.pack(inputs))
    output_bytes = deployment.output_frame_bytes
    arguments = (deployment.folder, folder / "inputs.npy", folder / "outputs.npy", output_bytes, batch)
    result = run_client("infer", port, *arguments)
    np.testing.assert_array_equal(deployment.unpack(np.load(folder / "outputs.npy")), expected)
    return result


def test_frames_are_exact_and_the_board_is_what_the_package_says(deployment, port, tmp_path):
    result = infer(deployment, port, tmp_path, count=70, batch=32)
    assert (result["name"], result["arch"]) == ("KV260 (simulated)", "aarch64")
    assert result["state"] == "operating\n"
    assert result["moved"] == [32 * 12, 32 * 12, 6 * 12]
    registers = result["registers"]
    assert registers[0] == 0x41325131 and registers[1] == 0x00010001
    assert "".join(f"{word:08x}" for word in registers[2:6]) == CONFIG_HASH[:32]
    assert registers[9:11] == [70, 70]  # frames in and out
    assert result["mhz"] == pytest.approx(100, rel=1e-4)  # from which the design makes its own clock
    assert result["cpu_mhz"] == pytest.approx(1200, rel=1e-4)
    assert result["port_width"] == 0


def test_a_zynq_7_board(tmp_path):
    deployment = make_deployment(tmp_path, "Pynq-Z2")
    with served(deployment) as (_, port):
        result = infer(deployment, port, tmp_path, count=3, batch=3)
    assert (result["name"], result["arch"]) == ("Pynq-Z2 (simulated)", "armv7l")
    assert (result["mhz"], result["cpu_mhz"]) == (100, 650)


def test_clocks_are_what_pynq_computes(port):
    read = run_client("clocks", port)
    for asked, (fclk0, again) in read.items():
        assert fclk0 == again == pytest.approx(float(asked), rel=1e-4)


def test_buffers(port):
    result = run_client("buffers", port)
    assert result["equal"] and result["part"] and result["cacheable"]
    assert all(address % 4096 == 0 and address >= 0x40000000 for address in result["addresses"])
    assert "There is no buffer" in result["freed"]
    assert result["freed_read"].startswith("NOT_FOUND: There is no buffer")
    assert "do not fit a buffer of 6000004 bytes" in result["overflow"]
    assert "8 bytes from byte 6000000 on do not fit" in result["placed"]
    assert "Bytes 3 to 9 were to be written with 3 bytes" in result["contradiction"]
    assert "no virtual address" in result["virtual"]
    assert result["too_large"].startswith("RESOURCE_EXHAUSTED: A buffer of 1073741824 bytes was asked for")
    assert result["empty"].startswith("INVALID_ARGUMENT: A buffer of 0 bytes")


def test_refusals_say_what_and_why(deployment, tmp_path):
    wrong = tmp_path / "finn-accel.bit"  # of the same name as the right one
    shutil.copy(deployment.folder / "bitfile" / "finn-accel.hwh", tmp_path)
    wrong.write_bytes(simulation_bitfile("xck26-sfvc784-2LV-c", "ab" * 32, b"another handoff"))
    with served(deployment) as (_, port):
        said = run_client("refusals", port, deployment.folder, wrong)
    assert "Nothing answers at 4096 bytes from 0x12340000 on" in said["nothing_there"]
    assert "a2q_accelerator_0 at 0xA0010000" in said["nothing_there"]
    assert "Nothing answers at 4100 bytes" in said["window_too_long"]
    for key, name in (("unprogrammed_dma", "axi_dma_0"), ("unprogrammed_accelerator", "a2q_accelerator_0")):
        assert name in said[key] and "not programmed" in said[key]
    assert said["wrong_bitfile"].startswith("FAILED_PRECONDITION: This board holds a_layer")
    assert CONFIG_HASH[:16] in said["wrong_bitfile"] and "ab" * 8 in said["wrong_bitfile"]
    assert said["stale_file"] == said["wrong_bitfile"] and "write that file first" in said["stale_file"]
    assert said["state"] == "write error"
    assert "not programmed" in said["still_unprogrammed"]
    assert said["no_firmware"].startswith("FAILED_PRECONDITION: /lib/firmware/other.bin")
    assert said["id"] == 0x41325131
    for key in ("read_only", "beyond_the_registers"):
        assert "a2q_accelerator_0 answered with the error 2" in said[key]
    assert "0xA0010FF0" in said["beyond_the_registers"]
    assert "Nothing answers at 0xA0001000" in said["beyond_the_dma"]
    assert "not one aligned word" in said["two_words"] and "not one aligned word" in said["eight_bytes"]
    assert "0xA0010004 is outside of the 4 bytes" in said["beyond_the_window"]
    for key in ("other_file", "other_file_written", "above"):
        assert said[key].startswith("PERMISSION_DENIED: ")
    assert said["two_files"].startswith("INVALID_ARGUMENT: One call writes '/lib/firmware/a.bin' and then")
    assert said["no_file"].startswith("INVALID_ARGUMENT: ")
    assert said["large_file"].startswith("RESOURCE_EXHAUSTED: ")
    assert said["gpio"] == "UNIMPLEMENTED: The simulated board has no GPIO."
    assert said["shutdown"].startswith("UNIMPLEMENTED: ")


def test_errors_of_the_dma_reach_pynqs_driver(deployment, port):
    said = run_client("dma_errors", port, deployment.folder)
    halted = "DMA channel not started"
    assert said["freed"] == [halted, 0x4041]  # Err_Irq, DMADecErr, Halted
    assert said["length_0"] == [halted, 0x4011]  # DMAIntErr
    assert said["too_long"] == [halted, 0x4011]
    assert said["dead_until_reset"] == halted
    assert said["misaligned"] == 2
    assert said["afterwards"] and said["frames"] == [1, 1]


def test_many_clients_at_once(deployment, port, tmp_path):
    np.save(tmp_path / "inputs.npy", deployment.pack(frames(64)))
    assert run_client("concurrent", port, deployment.folder, tmp_path / "inputs.npy") == {"wrong": [], "same": True}


def test_pynqs_own_self_test_passes(port):
    command = [board_python(), "-m", "pynq.remote.selftest", "--ip", "127.0.0.1", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed, 0 failed" in done.stdout


def test_memory_of_a_client_that_is_gone_is_given_out_again(deployment):
    with served(deployment) as (_, port):
        for _ in range(2):
            result = run_client("hoard", port)
            assert result["buffers"] == 8
            assert result["said"].startswith("RESOURCE_EXHAUSTED: ") and "are in use" in result["said"]


def test_files_that_arrive_at_once_have_one_limit(deployment):
    """Twelve clients send 60 MiB each; the board keeps 128 MiB, and holds little more at any time."""
    with served(deployment) as (process, port):
        before = _memory_mib(process.pid, "VmRSS")
        said = run_client("upload", port, 12, 60)["said"]
        assert _memory_mib(process.pid, "VmHWM") - before < 128 + 12 * 16
        refusals = [text for text in said if text is not None]
        assert 1 <= said.count(None) <= 2 and len(refusals) >= 10
        for text in refusals:
            assert text.startswith("RESOURCE_EXHAUSTED: ") and f"of {128 << 20}. Try again when fewer" in text
        assert run_client("upload", port, 2, 60) == {"said": [None, None]}  # the first ones' files give way
        assert _memory_mib(process.pid, "VmHWM") - before < 128 + 12 * 16


def test_files_that_will_not_arrive_are_given_up_with_their_client(deployment):
    with served(deployment) as (process, port):
        before = _memory_mib(process.pid, "VmRSS")
        with client_to_kill("upload", port, 12, 10, "stall"):
            (text,) = run_client("upload", port, 1, 20)["said"]
            assert text.startswith("RESOURCE_EXHAUSTED: ")
            assert _memory_mib(process.pid, "VmRSS") - before > 100
        assert run_client("existing", port, *(f"/tmp/{number}" for number in range(12))) == {"exist": []}
        assert _memory_mib(process.pid, "VmRSS") - before < 70
        assert run_client("upload", port, 2, 60) == {"said": [None, None]}


def test_memory_of_a_client_that_is_gone_is_given_back(deployment):
    """Also when nobody asks for it."""
    with served(deployment) as (process, port):
        before = _memory_mib(process.pid, "VmRSS")
        with client_to_kill("fill", port, 60):
            assert _memory_mib(process.pid, "VmRSS") - before > 60
        end = time.monotonic() + 60
        while _memory_mib(process.pid, "VmRSS") - before > 30:
            assert time.monotonic() < end
            time.sleep(0.2)


def test_a_transfer_that_is_left_behind_blocks_nobody(deployment, tmp_path):
    with served(deployment) as (process, port):
        assert run_client("abandon", port, deployment.folder)["status"] == 0
        time.sleep(6)  # of nobody's attention, after which the clock stands still
        before = _processor_seconds(process.pid)
        time.sleep(1)
        assert _processor_seconds(process.pid) - before < 0.3
        infer(deployment, port, tmp_path, count=2, batch=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_in_the_middle_of_a_transfer(deployment, number):
    with served(deployment) as (process, port):
        run_client("abandon", port, deployment.folder)
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - begin < 2


def test_one_that_is_killed_leaves_nothing_behind(deployment, tmp_path):
    before = _listing(deployment.folder.parent)
    with served(deployment) as (process, port):
        run_client("abandon", port, deployment.folder)
        process.kill()
        process.wait()
    assert _listing(deployment.folder.parent) == before
    with served(deployment, "--port", str(port)) as (_, again):
        assert again == port
        infer(deployment, port, tmp_path, count=1, batch=1)


def refused(deployment: Deployment, *options: str) -> str:
    """What it says when it does not start."""
    said, why = start(deployment, *options).communicate(timeout=60)
    assert not said
    return why


def test_a_port_that_is_taken(deployment, port):
    assert f"127.0.0.1:{port} cannot be listened on" in refused(deployment, "--port", str(port))


def test_a_package_that_was_changed(deployment, tmp_path):
    changed = replace(deployment, folder=shutil.copytree(deployment.folder, tmp_path / "deploy"))
    memory = next(changed.folder.glob("rtl/*.mem"))
    memory.write_text(memory.read_text().replace("0", "1", 1))
    assert f"{memory} has changed: its SHA-256 is" in refused(changed)
    memory.unlink()
    assert f"{memory} is missing" in refused(changed)
    (changed.folder / "manifest.json").unlink()
    assert f"{changed.folder / 'manifest.json'} cannot be read" in refused(changed)


def test_a_library_of_another_package(deployment, tmp_path):
    other = make_deployment(tmp_path, config_hash="cd" * 32)
    said = refused(replace(deployment, library=other.library))
    assert "is the accelerator " + "cd" * 16 in said and CONFIG_HASH[:32] in said
    nothing = tmp_path / "nothing.so"
    nothing.write_text("no library")
    assert f"{nothing} is not a library" in refused(replace(deployment, library=nothing))


def test_a_real_bitstream_of_the_same_package_is_taken(deployment, tmp_path):
    """Where Vivado made the package's bit file, the board takes that one, and no other of the same name."""
    folder = shutil.copytree(deployment.folder, tmp_path / "deploy")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["bitstream"]["kind"] = "vivado"
    data = np.random.default_rng(2).integers(0, 256, 5 << 20, np.uint8).tobytes()  # several chunks
    (folder / "bitfile" / "finn-accel.bit").write_bytes(bit_file("a2q_wrapper", manifest["part"], data))
    del manifest["files"], manifest["format"]
    write_manifest(folder, manifest)
    real = replace(deployment, folder=folder)
    (tmp_path / "other").mkdir()
    shutil.copy(folder / "bitfile" / "finn-accel.hwh", tmp_path / "other")
    wrong = tmp_path / "other" / "finn-accel.bit"
    wrong.write_bytes(bit_file("a2q_wrapper", manifest["part"], data[:-4] + b"else"))
    with served(real) as (_, port):
        said = run_client("refusals", port, folder, wrong)["wrong_bitfile"]
        assert said.startswith("FAILED_PRECONDITION: ") and said.count("5242880 bytes of a bitstream") == 2
        infer(real, port, tmp_path, count=2, batch=2)


def _processor_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _memory_mib(pid: int, field: str) -> float:
    """A field of /proc/<pid>/status: VmRSS is what is resident, VmHWM the most that ever was."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def _listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((path.as_posix(), path.stat().st_mtime_ns) for path in folder.rglob("*"))
