"""What the real pynq does with a board: each function is a scenario, its result a line of JSON.

Runs in the environment of pynq: client.py SCENARIO PORT [ARGUMENTS]
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import pynq
from pynq.pl_server.embedded_device import bit2bin
from pynq.pl_server.remote_device import RemoteDevice
from pynq.ps import Clocks
from pynq.remote import buffer_pb2, remote_device_pb2, remote_device_pb2_grpc

ACCELERATOR_BATCH = 0x20


def connect(port: str) -> RemoteDevice:
    device = RemoteDevice(ip_addr="127.0.0.1", port=int(port))
    pynq.Device.active_device = device  # pynq sets the AXI ports' widths on this one
    return device


def download(device: RemoteDevice, bitfile: Path) -> pynq.Overlay:
    """pynq keeps what it knows of the last overlay in one file beside its modules, for all processes."""
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return pynq.Overlay(str(bitfile), device=device)


def infer(device: RemoteDevice, deploy: Path, inputs: str, outputs: str, output_bytes: str, batch: str) -> dict:
    """Send the frames of `inputs`, uint8 (N, bytes), `batch` a transfer, and save those that come."""
    overlay = download(device, deploy / "bitfile" / "finn-accel.bit")
    accelerator, dma = overlay.a2q_accelerator_0, overlay.axi_dma_0
    frames = np.load(inputs)
    taken, moved = [], []
    with (
        pynq.allocate((int(batch), frames.shape[1]), np.uint8) as source,
        pynq.allocate((int(batch), int(output_bytes)), np.uint8) as target,
    ):
        for start in range(0, len(frames), int(batch)):
            count = len(frames[start : start + int(batch)])
            source[:count] = frames[start : start + count]
            accelerator.write(ACCELERATOR_BATCH, count)
            dma.recvchannel.transfer(target)
            dma.sendchannel.transfer(source, nbytes=count * frames.shape[1])
            dma.sendchannel.wait()
            dma.recvchannel.wait()
            moved.append(dma.recvchannel.transferred)
            taken.append(np.array(target[:count]))
    np.save(outputs, np.concatenate(taken))
    return {
        "name": device.name,
        "arch": device.arch,
        "state": device.read_file("/sys/class/fpga_manager/fpga0/state").decode(),
        "registers": [accelerator.read(4 * i) for i in range(0x14)],
        "moved": moved,
        "mhz": Clocks.fclk0_mhz,
        "cpu_mhz": Clocks.cpu_mhz,
        "port_width": _axi_port_width(device),
    }


def clocks(device: RemoteDevice) -> dict:
    """Set the clocks of the logic to frequencies that its PLL divides to."""
    Clocks.set_device(device)
    read = {}
    for mhz in (50, 100, 250):
        Clocks.fclk0_mhz = mhz
        Clocks.fclk3_mhz = mhz / 2
        read[mhz] = [Clocks.fclk0_mhz, Clocks.get_pl_clk(0)]
    return read


def buffers(device: RemoteDevice) -> dict:
    """A buffer of several chunks there and back, views of other types, and one that is freed."""
    values = np.random.default_rng(0).integers(0, 1 << 32, 1_500_001, dtype=np.uint32)
    large = device.allocate(values.shape, np.uint32)
    large[:] = values
    large.flush()
    large[:] = 0
    large.invalidate()
    small = device.allocate((2, 3), np.int16)
    small[:] = -5
    small.sync_to_device()
    addresses = [large.physical_address, small.device_address]
    stub = device._stub["buffer"]
    part = buffer_pb2.BufferReadRequest(buffer_id=large.buffer_id, start=4, end=12)
    small.freebuffer()
    return {
        "equal": bool((np.array(large) == values).all()),
        "part": b"".join(response.data for response in stub.read(part)) == values[1:3].tobytes(),
        "addresses": addresses,
        "cacheable": stub.cacheable(buffer_pb2.CacheableRequest(buffer_id=large.buffer_id)).cacheable,
        "freed": _error(lambda: small.physical_address),
        "freed_read": _error(lambda: list(stub.read(buffer_pb2.BufferReadRequest(buffer_id=small.buffer_id)))),
        "overflow": _error(lambda: _write(stub, large.buffer_id, [b"1" * 6_000_000, b"1" * 5])),
        "placed": _error(lambda: _write(stub, large.buffer_id, [b"12345678"], start=6_000_000)),
        "contradiction": _error(lambda: _write(stub, large.buffer_id, [b"123"], start=3, end=9)),
        "virtual": _error(lambda: large.virtual_address),
        "too_large": _error(lambda: device.allocate((1 << 30,), np.uint8)),
        "empty": _error(lambda: device.allocate((0,), np.uint8)),
    }


def refusals(device: RemoteDevice, deploy: Path, wrong: Path) -> dict:
    """What is said where nothing answers, before programming and after; and to a wrong bitfile."""
    dma, accelerator = json.loads((deploy / "manifest.json").read_text())["address_map"].values()
    said = {
        "nothing_there": _error(lambda: pynq.MMIO(0x12340000, 0x1000)),
        "window_too_long": _error(lambda: pynq.MMIO(accelerator[0], accelerator[1] + 4)),
        "unprogrammed_dma": _error(pynq.MMIO(dma[0], dma[1]).read),
        "unprogrammed_accelerator": _error(lambda: pynq.MMIO(accelerator[0], 0x1000).write(0x20, 1)),
        "wrong_bitfile": _error(lambda: download(device, wrong)),
        "state": device.read_file("/sys/class/fpga_manager/fpga0/state").decode().strip(),
        "still_unprogrammed": _error(pynq.MMIO(dma[0], dma[1]).read),
        "no_firmware": _error(lambda: device.write_file("/sys/class/fpga_manager/fpga0/firmware", b"other.bin")),
    }
    right = deploy / "bitfile" / "finn-accel.bit"
    said["stale_file"] = _error(lambda: download(device, right))
    device.write_file("/lib/firmware/finn-accel.bin", bit2bin(right.read_bytes()))
    download(device, right)
    registers = pynq.MMIO(accelerator[0], accelerator[1])
    write = device._stub["device"].writefile
    two = [
        remote_device_pb2.WriteFileRequest(file_path=f"/lib/firmware/{name}.bin", data=b"data") for name in ("a", "b")
    ]
    large = [remote_device_pb2.WriteFileRequest(file_path="/lib/firmware/a.bin", data=bytes(1 << 21))] * 33
    return {
        **said,
        "id": registers.read(0),
        "read_only": _error(lambda: registers.write(0, 1)),
        "beyond_the_registers": _error(lambda: registers.read(0xFF0)),
        "beyond_the_dma": _error(lambda: pynq.MMIO(dma[0], dma[1]).read(0x1000)),
        "two_words": _error(lambda: registers.write(0x20, bytes(8))),
        "eight_bytes": _error(lambda: registers.read(0, 8)),
        "beyond_the_window": _error(lambda: pynq.MMIO(accelerator[0], 4).read(4)),
        "other_file": _error(lambda: device.read_file("/etc/passwd")),
        "other_file_written": _error(lambda: device.write_file("/etc/passwd", b"x")),
        "above": _error(lambda: device.write_file("/lib/firmware/../x.bin", b"x")),
        "two_files": _error(lambda: write(iter(two))),
        "no_file": _error(lambda: write(iter([]))),
        "large_file": _error(lambda: write(iter(large))),
        "gpio": _error(lambda: pynq.pl_server.remote_device.RemoteGPIO.get_gpio_npins(device=device)),
        "shutdown": _error(lambda: device._stub["device"].shutdown(remote_device_pb2.ShutdownRequest())),
    }


def dma_errors(device: RemoteDevice, deploy: Path) -> dict:
    """Transfers that cannot be, as pynq's driver reports them; each leaves a DMA that a reset makes work again."""
    overlay = download(device, deploy / "bitfile" / "finn-accel.bit")
    accelerator, dma = overlay.a2q_accelerator_0, overlay.axi_dma_0
    words_in, words_out = accelerator.read(0x48), accelerator.read(0x4C)
    source = pynq.allocate((2, 2 * words_in), np.uint8)  # this model's words have 2 bytes, and 1
    target = pynq.allocate((2, words_out), np.uint8)
    freed = pynq.allocate((64,), np.uint8)
    said = {}

    freed_address = freed.physical_address
    freed.freebuffer()
    dma.mmio.write(0x18, freed_address)
    dma.mmio.write(0x28, 64)
    said["freed"] = [_error(dma.sendchannel.wait), dma.mmio.read(0x04)]
    _reset(dma)

    dma.mmio.write(0x58, 0)
    said["length_0"] = [_error(dma.recvchannel.wait), dma.mmio.read(0x34)]
    _reset(dma)

    # two frames to a transfer, and room for one
    accelerator.write(ACCELERATOR_BATCH, 2)
    dma.recvchannel.transfer(target, nbytes=words_out)
    dma.sendchannel.transfer(source)
    dma.sendchannel.wait()
    while not dma.recvchannel.error:
        pass
    said["too_long"] = [_error(dma.recvchannel.wait), dma.mmio.read(0x34)]
    said["dead_until_reset"] = _error(lambda: dma.recvchannel.transfer(target))
    accelerator.write(0x18, 1)
    accelerator.write(0x18, 0)
    _reset(dma)

    # a frame that ends early is the accelerator's to notice
    dma.sendchannel.transfer(source, nbytes=words_in)
    dma.sendchannel.wait()
    said["misaligned"] = accelerator.read(0x1C) & 2
    accelerator.write(0x18, 1)
    accelerator.write(0x18, 0)

    # a reset in the middle of a transfer: what was offered is offered no more
    dma.sendchannel.transfer(source)
    _reset(dma)
    accelerator.write(0x18, 1)
    accelerator.write(0x18, 0)
    dma.recvchannel.transfer(target)
    dma.sendchannel.transfer(source, nbytes=2 * words_in)
    dma.sendchannel.wait()
    dma.recvchannel.wait()
    said["afterwards"] = dma.recvchannel.transferred == words_out
    said["frames"] = [accelerator.read(0x24), accelerator.read(0x28)]
    return said


def concurrent(device: RemoteDevice, deploy: Path, inputs: str) -> dict:
    """Frames go through the accelerator while other clients of their own use memory and registers."""
    overlay = download(device, deploy / "bitfile" / "finn-accel.bit")
    frames = np.load(inputs)
    wrong: list[str] = []

    def use(number: int) -> None:
        other = RemoteDevice(ip_addr="127.0.0.1", port=device.port)
        for turn in range(20):
            values = np.full((1 << 16,), 1000 * number + turn, np.uint32)
            buffer = other.allocate(values.shape, np.uint32)
            buffer[:] = values
            buffer.flush()
            buffer[:] = 0
            buffer.invalidate()
            if (np.array(buffer) != values).any():
                wrong.append(f"client {number}, turn {turn}: another's data")
            if pynq.MMIO(overlay.ip_dict["a2q_accelerator_0"]["phys_addr"], 4, device=other).read() != 0x41325131:
                wrong.append(f"client {number}, turn {turn}: another ID")

    clients = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for client in clients:
        client.start()
    outputs = []
    dma = overlay.axi_dma_0
    overlay.a2q_accelerator_0.write(ACCELERATOR_BATCH, len(frames))
    source = pynq.allocate(frames.shape, np.uint8)
    target = pynq.allocate((len(frames), overlay.a2q_accelerator_0.read(0x4C)), np.uint8)
    source[:] = frames
    for _ in range(5):
        dma.recvchannel.transfer(target)
        dma.sendchannel.transfer(source)
        dma.sendchannel.wait()
        dma.recvchannel.wait()
        outputs.append(np.array(target))
    for client in clients:
        client.join()
    return {"wrong": wrong, "same": all((output == outputs[0]).all() for output in outputs)}


def hoard(device: RemoteDevice) -> dict:
    """Take all memory there is; how much, and what is said then. Nothing is freed: the process just ends."""
    held, said = [], None
    while said is None:
        said = _error(lambda: held.append(device.allocate((32 << 20,), np.uint8)))
    _report({"buffers": len(held), "said": said})
    os._exit(0)


def upload(device: RemoteDevice, count: str, mebibytes: str, stall: str = "") -> dict:
    """So many clients, each with a connection of its own, write a file each at once; what each of them is told.

    With `stall` none of them ends its file, and none is ended; a line says when all have sent what they send.
    """
    piece = bytes(1 << 20)
    said = [None] * int(count)
    sent = threading.Semaphore(0)

    def pieces(number: int):
        for _ in range(int(mebibytes)):
            yield remote_device_pb2.WriteFileRequest(file_path=f"/tmp/{number}", data=piece)
        sent.release()
        if stall:
            threading.Event().wait()

    def write(number: int) -> None:
        channel = grpc.insecure_channel(f"127.0.0.1:{device.port}", [("grpc.use_local_subchannel_pool", 1)])
        stub = remote_device_pb2_grpc.RemoteDeviceStub(channel)
        said[number] = _error(lambda: stub.writefile(pieces(number)))

    clients = [threading.Thread(target=write, args=(number,)) for number in range(int(count))]
    for client in clients:
        client.start()
    if stall:
        for _ in clients:
            sent.acquire()
        _report({"sent": int(count)})
    for client in clients:
        client.join()
    return {"said": said}


def fill(device: RemoteDevice, mebibytes: str) -> dict:
    """Hold a buffer of so many MiB, all of it written, until this process is killed."""
    buffer = device.allocate((int(mebibytes) << 20,), np.uint8)
    buffer[:] = 1
    buffer.flush()
    _report({})
    threading.Event().wait()


def existing(device: RemoteDevice, *paths: Path) -> dict:
    """Which of `paths` the board has."""
    return {"exist": [str(path) for path in paths if device.exists_file(str(path)).exists]}


def abandon(device: RemoteDevice, deploy: Path) -> dict:
    """Begin a transfer that nothing will end, and go."""
    overlay = download(device, deploy / "bitfile" / "finn-accel.bit")
    dma = overlay.axi_dma_0
    dma.recvchannel.transfer(pynq.allocate((1 << 20,), np.uint8))
    dma.sendchannel.transfer(pynq.allocate((10,), np.uint8))  # part of a frame
    _report({"status": dma.mmio.read(0x34)})
    os._exit(0)


def _reset(dma) -> None:
    dma.mmio.write(0, 4)
    dma.sendchannel.start()
    dma.recvchannel.start()


def _write(stub, buffer_id: str, chunks: list[bytes], start: int = 0, end: int | None = None) -> None:
    requests = []
    position = 0
    for chunk in chunks:
        for piece in (chunk[i : i + (1 << 21)] for i in range(0, len(chunk), 1 << 21)):
            last = 0 if not start else start + position + len(piece) if end is None else end
            requests.append(
                buffer_pb2.BufferWriteRequest(
                    buffer_id=buffer_id, data=piece, start=start and start + position, end=last
                )
            )
            position += len(piece)
    response = stub.write(iter(requests))
    if response.msg:
        raise RuntimeError(response.msg)


def _axi_port_width(device: RemoteDevice) -> int | None:
    """The width of the HPM0 port as pynq left it in FPD_SLCR.AXI_FS: 0 for 32 bits."""
    return pynq.MMIO(0xFD615000, 4).read() >> 8 & 3 if device.arch == "aarch64" else None


def _error(action) -> str | None:
    """What `action` says when it fails."""
    try:
        action()
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    except (RuntimeError, ValueError) as error:
        return str(error)
    return None


def _report(result: dict) -> None:
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    name, port, *arguments = sys.argv[1:]
    paths = [Path(argument) if "/" in argument else argument for argument in arguments]
    _report(globals()[name](connect(port), *paths))
