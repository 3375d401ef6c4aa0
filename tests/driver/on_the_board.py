"""What the driver of a package does with a board when something goes wrong: each function is a scenario.

Runs in the environment of pynq, as who uses a package runs it: on_the_board.py SCENARIO PACKAGE PORT [ARGUMENTS], or
`local` instead of PORT by way of embedded.py, as on the board itself. The result is a line of JSON; what a scenario expects of outputs is the package's golden ones.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = Path(sys.argv[2])
sys.path.insert(0, str(PACKAGE / "driver"))

from a2q_driver import Accelerator
from a2q_driver.errors import DriverError
from a2q_driver.registers import Control, Register

IMAGES = np.load(PACKAGE / "golden" / "images.npy")
EXPECTED = np.load(PACKAGE / "golden" / "expected_output.npy")


def opened(port: str, package: Path = PACKAGE, **options: Any) -> Accelerator:
    options = {"timeout_s": 2.0, **options}
    if port == "local":
        return Accelerator(package, **options)
    return Accelerator(package, host="127.0.0.1", port=int(port), **options)


def works(accelerator: Accelerator) -> bool:
    return bool(np.array_equal(accelerator.execute(IMAGES), EXPECTED))


def said(action: Callable[[], Any]) -> list[str]:
    """The name and the text of the error that `action` raises; both empty where it raises none."""
    try:
        action()
    except DriverError as error:
        return [type(error).__name__, str(error)]
    return ["", ""]


def several(port: str, *names: str) -> dict:
    """What these scenarios find, one after the other; `scenario=argument` is one with an argument."""
    results = {}
    for scenario in names:
        name, *arguments = scenario.split("=")
        results[name] = globals()[name](port, *arguments)
    return results


def wrong_bitfile(port: str, other: str) -> dict:
    """The board takes one package's bitfile; another's is refused, and does not pass for what is there."""
    result = {"refused": said(lambda: opened(port, Path(other)))}
    with opened(port) as accelerator:
        result["works"] = works(accelerator)
    result["attached"] = said(lambda: opened(port, Path(other), download=False))
    with opened(port, download=False) as accelerator:
        result["works_attached"] = works(accelerator)
    return result


def wrong_arrays(port: str) -> dict:
    """Shapes and types that cannot be; batches of all sizes, in chunks of 4, right after them."""
    with opened(port, batch=4) as accelerator:
        result = {
            "shape": said(lambda: accelerator.execute(IMAGES[:, :3])),
            "raw_shape": said(lambda: accelerator.execute(np.zeros((2, 5, 5), np.float32))),
            "dtype": said(lambda: accelerator.execute(IMAGES.astype(complex))),
            "image_dtype": said(lambda: accelerator.predict(IMAGES.astype(np.float32))),
            "range": said(lambda: accelerator.execute(np.full((1, *accelerator.input.shape), 99))),
        }
        many = np.concatenate([IMAGES] * 3)
        expected = np.concatenate([EXPECTED] * 3)
        sizes = (0, 1, 3, 4, 5, 11, len(many))
        result["sizes"] = [bool(np.array_equal(accelerator.execute(many[:n]), expected[:n])) for n in sizes]
        result["raw"] = bool(np.array_equal(accelerator.execute(np.load(PACKAGE / "golden" / "input.npy")), EXPECTED))
        nan = np.full((1, *accelerator.transforms.input.raw_shape), np.nan, np.float32)
        result["nan"] = said(lambda: accelerator.execute(nan))
        result["classes"] = bool(np.array_equal(accelerator.predict(IMAGES), EXPECTED.ravel()))
        result["cycles"] = accelerator.throughput_test(9)["cycles"]
    result["closed"] = said(lambda: accelerator.execute(IMAGES))
    return result


def short_input(port: str) -> dict:
    """Somebody sends half a frame with pynq alone; the batch after that is told so, and the next one works."""
    with opened(port) as accelerator:
        result = {"before": works(accelerator)}
        dma = accelerator._overlay.axi_dma_0
        half = accelerator._board.allocate(accelerator.input.frame_bytes // 2)
        dma.sendchannel.transfer(half)
        dma.sendchannel.wait()
        result["error"] = said(lambda: accelerator.execute(IMAGES))
        result["after"] = works(accelerator)
    return result


def stalled(port: str) -> dict:
    """The last frame of a transfer never comes: the stream from the accelerator stands still."""
    with opened(port) as accelerator:
        result = {"before": works(accelerator)}
        channel = accelerator._transfers._channels.sendchannel
        whole, frame = channel.transfer, accelerator.input.frame_bytes
        channel.transfer = lambda buffer, *rest: whole(buffer[: len(buffer) - frame], *rest)
        begun = time.monotonic()
        result["error"] = said(lambda: accelerator.execute(IMAGES))
        result["seconds"] = time.monotonic() - begun
        channel.transfer = whole
        result["after"] = works(accelerator)
    return result


def reset_by_another(port: str) -> dict:
    """Another program resets the accelerator in the middle of a batch."""
    with opened(port) as accelerator, opened(port, download=False) as other:
        result = {"before": works(accelerator)}
        begin = accelerator._transfers.start

        def start(side: int, count: int) -> None:
            begin(side, count)
            other.recover()

        accelerator._transfers.start = start
        result["error"] = said(lambda: accelerator.execute(IMAGES))
        accelerator._transfers.start = begin
        result["after"] = works(accelerator)
    return result


def abandoned_lock(port: str) -> dict:
    """A program takes the lock and is gone: who comes next does not wait for ever."""
    with opened(port) as gone:
        gone._transfers._shell.try_lock()
    with opened(port, download=False) as accelerator:
        return {"works": works(accelerator)}


def busy(port: str) -> dict:
    """A program that computes for longer than another will wait: that one is told so, and may wait longer."""
    many = np.concatenate([IMAGES] * 40)
    with opened(port, batch=2) as first, opened(port, download=False, timeout_s=0.3) as second:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(first.execute(many)))
        thread.start()
        while first._transfers._shell.frames()[0] == 0:
            time.sleep(0.01)
        result = {"error": said(lambda: second.execute(IMAGES))}
        thread.join()
        result["frames"] = first._transfers._shell.frames()
        result["first"] = bool(np.array_equal(answers[0], np.concatenate([EXPECTED] * 40)))
        result["second"] = works(second)
    return result


def two_clients(port: str) -> dict:
    """Two programs use the board at once, each many times: they take turns."""
    with opened(port) as accelerator:
        first = works(accelerator)
    command = [sys.executable, "-B", __file__, "use", str(PACKAGE), port]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [client.communicate(timeout=120)[0] for client in clients]
    return {"first": first, "both": [json.loads(text.splitlines()[-1])["right"] for text in printed]}


def use(port: str) -> dict:
    with opened(port, download=False, timeout_s=30.0) as accelerator:
        return {"right": sum(works(accelerator) for _ in range(10))}


def reprogrammed(port: str) -> dict:
    """Another program loads the bitfile again in the middle of a batch."""
    with opened(port) as accelerator:
        begin = accelerator._transfers.start
        turns = []

        def start(side: int, count: int) -> None:
            if not turns:
                turns.append(None)
                subprocess.run([sys.executable, "-B", __file__, "load", str(PACKAGE), port], check=True)
            begin(side, count)

        accelerator._transfers.start = start
        result = {"error": said(lambda: accelerator.execute(np.concatenate([IMAGES] * 4)))}
        accelerator._transfers.start = begin
        result["after"] = works(accelerator)
    return result


def load(port: str) -> dict:
    with opened(port):
        return {}


def lost(port: str, server: str) -> dict:
    """The board's server is killed while the accelerator works."""
    with opened(port, batch=2) as accelerator:
        timer = threading.Timer(1.0, os.kill, (int(server), signal.SIGKILL))
        timer.start()
        many = np.concatenate([IMAGES] * 2000)
        result = {"error": said(lambda: accelerator.execute(many))}
    result["again"] = said(lambda: opened(port))
    return result


def loading(port: str) -> dict:
    """Weights that are loaded: before the first frames, after each reset, and not again for the next program."""
    with opened(port) as accelerator:
        loads = watch_loads(accelerator)
        result = {"new": [status(accelerator), len(loads)]}
        result["first"] = [works(accelerator), works(accelerator), status(accelerator), len(loads)]
        accelerator.recover()
        result["reset"] = [status(accelerator), len(loads)]
        result["cycles"] = accelerator.throughput_test(9)["cycles"]
        result["again"] = [works(accelerator), status(accelerator), len(loads)]
        result["freed"] = [freed(accelerator, buffer) for buffer in loads]
    with opened(port, download=False) as accelerator:
        loads = watch_loads(accelerator)
        result["attached"] = [status(accelerator), works(accelerator), len(loads)]
    with opened(port) as accelerator:
        loads = watch_loads(accelerator)
        result["downloaded"] = [status(accelerator), works(accelerator), len(loads)]
    return result


def watch_loads(accelerator: Accelerator) -> list[Any]:
    """The buffers from which weights are sent from now on."""
    transfers, buffers = accelerator._transfers, []
    load, allocate = transfers._load_weights, accelerator._board.allocate

    def watched_load() -> None:
        def watched_allocate(size: int) -> Any:
            buffers.append(allocate(size))
            return buffers[-1]

        accelerator._board.allocate = watched_allocate
        try:
            load()
        finally:
            accelerator._board.allocate = allocate

    transfers._load_weights = watched_load
    return buffers


def freed(accelerator: Accelerator, buffer: Any) -> bool:
    """Whether the board holds a buffer no more."""
    if getattr(buffer, "freed", False) and not hasattr(buffer, "bo"):
        return True  # on the board itself, where pynq 3.1 and later let XRT's object go

    def ask() -> None:
        with accelerator._board.translated():
            buffer.invalidate()

    return said(ask)[0] != ""


def status(accelerator: Accelerator) -> int:
    return accelerator._transfers._shell.read(Register.STATUS)


def weights_that_stay_away(port: str) -> dict:
    """Half of the weights are sent; all are, and to where frames go. Both are told, and the next batch works."""
    with opened(port) as accelerator:
        result = {"before": works(accelerator)}
        channel, shell = accelerator._transfers._channels.sendchannel, accelerator._transfers._shell
        whole, begin = channel.transfer, shell.begin_load
        channel.transfer = lambda buffer, *rest: whole(buffer[: len(buffer) // 2], *rest)
        accelerator.recover()
        result["half"] = said(lambda: accelerator.execute(IMAGES))
        channel.transfer = whole
        result["after_half"] = works(accelerator)
        shell.begin_load = lambda: None
        accelerator.recover()
        begun = time.monotonic()
        result["as_frames"] = said(lambda: accelerator.execute(IMAGES))
        result["seconds"] = time.monotonic() - begun
        shell.begin_load = begin
        result["after_frames"] = works(accelerator)
        channel.transfer = lambda buffer, *rest: (whole(buffer, *rest), shell.hold_in_reset(), shell.release_reset())
        accelerator.recover()
        result["reset_meanwhile"] = said(lambda: accelerator.execute(IMAGES))
        channel.transfer = whole
        result["after_reset"] = works(accelerator)
    return result


def abandoned_load(port: str, lock: str) -> dict:
    """A program is gone in the middle of loading, with the lock or without; the next one begins anew."""
    with opened(port) as gone:
        works(gone)
        transfers = gone._transfers
        transfers._reset()
        if lock == "free":
            transfers._shell.free()
        transfers._shell.begin_load()
        half = gone._board.allocate(len(transfers._weights) // 2)
        np.asarray(half)[:] = 0x55
        transfers._channels.sendchannel.transfer(half)
        while not transfers._dma.done("MM2S"):
            time.sleep(0.01)
    with opened(port, download=False) as accelerator:
        loads = watch_loads(accelerator)
        return {"found": status(accelerator), "works": works(accelerator), "loads": len(loads)}


def registers(port: str) -> dict:
    """Counters after a batch; and what resetting does to them."""
    with opened(port) as accelerator:
        works(accelerator)
        shell = accelerator._transfers._shell
        result = {"counted": list(shell.frames()), "status": shell.read(Register.STATUS)}
        accelerator.recover()
        result["cleared"] = [*shell.frames(), shell.read(Register.CONTROL) & Control.RESET]
        result["after"] = works(accelerator)
    return result


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[3:])), flush=True)
