"""Trainings that are interrupted from outside, in processes of their own."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.training.config import TrainConfig
from pipeline.training.fit import fit
from pipeline.training.interrupts import interruptible
from pipeline.training.module import Training
from tests.training.digits import config

EPOCHS = 5
SENTENCE = "interrupted; finished epochs are kept, the same command goes on from there"
# A mutex of zeros is free. Locking it twice is what no signal ends, as where threads of a library wait for each other.
STUCK = """
import ctypes
from pipeline.training.interrupts import interruptible

mutex = ctypes.create_string_buffer(64)
with interruptible("finished epochs are kept", grace=0.1):
    while True:
        try:
            print("stuck", flush=True)
            while True:
                ctypes.CDLL(None).pthread_mutex_lock(mutex)
        except KeyboardInterrupt:
            pass
"""


def interrupted(command: list[str], line: str, number: signal.Signals) -> str:
    """What `command` prints, which gets the signal `number` after a line that begins with `line`."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # with others its sums are rounded otherwise; torch takes the second before the first
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(torch.get_num_threads()))
    with subprocess.Popen([sys.executable, "-c", *command], env={**os.environ, **threads}, **pipes) as process:
        try:
            printed = ""
            while not printed.rpartition("\n")[2].startswith(line):
                printed += "\n" + process.stdout.readline().rstrip("\n")
                assert process.poll() is None or not printed.endswith("\n"), process.stderr.read()
            process.send_signal(number)
            rest, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1:] == [SENTENCE]
    return printed + "\n" + rest


@pytest.fixture(scope="module")
def whole(mnist: Path, tmp_path_factory) -> Path:
    """The checkpoint of a training that nothing interrupts, beside its history."""
    return fit(config(mnist, epochs=EPOCHS), tmp_path_factory.mktemp("whole"), lambda line: None)[0]


def epochs(folder: Path) -> list[dict[str, str]]:
    """Metrics of each epoch of the training in `folder`, without the time that it took."""
    with (folder / "metrics.csv").open() as stream:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(stream)]


def compare(whole: Path, path: Path) -> None:
    """The trainings of the checkpoints `whole` and `path` must be equal, first in each epoch: that says where they part."""
    assert epochs(path.parent) == epochs(whole.parent)
    states = [torch.load(checkpoint, weights_only=True)["state"] for checkpoint in (whole, path)]
    assert [key for key, value in states[0].items() if not torch.equal(value, states[1][key])] == []


def resumed(chosen: TrainConfig, folder: Path, whole: Path, first: tuple[str, ...]) -> None:
    """Go on in `folder`, with one of the epochs `first`; what is trained must be equal to `whole`."""
    lines: list[str] = []
    path, _ = fit(chosen, folder, lines.append)
    assert any(line.startswith("going on from") for line in lines)
    assert next(line for line in lines if line.startswith("epoch")).startswith(first)
    assert [row["epoch"] for row in epochs(folder)] == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    compare(whole, path)


def test_a_process_that_is_interrupted_goes_on_as_if_it_had_not_been(mnist: Path, tmp_path: Path, whole: Path) -> None:
    chosen = config(mnist, epochs=EPOCHS)
    path, folder = tmp_path / "chosen.yaml", tmp_path / "interrupted"
    path.write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    command = ["from pipeline.cli import app; app()", "train", str(path), "--out", str(folder)]
    interrupted(command, "epoch 2 of", signal.SIGTERM)
    assert "going on from" in interrupted(command, "epoch", signal.SIGINT)
    resumed(chosen, folder, whole, ("epoch 2", "epoch 3", "epoch 4"))  # an epoch is kept after its line is printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_step_it_comes_in(
    mnist: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    chosen = config(mnist, epochs=EPOCHS)
    path, folder = tmp_path / "chosen.yaml", tmp_path / "interrupted"
    path.write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    went_on = []
    step = Training.training_step

    def watched(self: Training, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        loss = step(self, batch)
        if self.current_epoch == 2:
            loss.register_hook(interrupt)
        return loss

    def interrupt(gradient: torch.Tensor) -> None:  # in the middle of the backward pass
        signal.raise_signal(number)
        went_on.append(gradient)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "training_step", watched)
        result = CliRunner().invoke(app, ["train", str(path), "--out", str(folder)], env={"COLUMNS": "200"})
    assert result.exit_code == 130 and SENTENCE in result.output and not went_on
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    resumed(chosen, folder, whole, ("epoch 3",))


def test_a_training_goes_on_with_the_threads_that_it_was_begun_with(mnist: Path, tmp_path: Path) -> None:
    chosen = config(mnist, epochs=2, images=64)
    seen, lines = [], []

    def stop(line: str) -> None:
        if line.startswith("epoch 2"):  # it is kept after its line
            raise KeyboardInterrupt

    def watch(line: str) -> None:
        lines.append(line)
        if line.startswith("epoch"):
            seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole, _ = fit(chosen, tmp_path / "whole", lambda line: None)
        with pytest.raises(KeyboardInterrupt):
            fit(chosen, tmp_path / "stopped", stop)
        torch.set_num_threads(2)
        path, _ = fit(chosen, tmp_path / "stopped", watch)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1]
    assert "threads: 1, as the training was begun with, in place of 2" in lines
    compare(whole, path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_finalizer_swallows_comes_again(number: signal.Signals) -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(number)

    went_on = []
    with pytest.raises(KeyboardInterrupt), interruptible("nothing is kept", grace=600):
        Finalized()
        went_on.append(True)
        while True:
            time.sleep(0.01)
    assert went_on


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_step_that_never_ends_is_ended(number: signal.Signals) -> None:
    interrupted([STUCK], "stuck", number)


def test_signals_are_handled_as_before_outside_of_the_block() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), interruptible("nothing is kept"):
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_who_ignores_a_signal_goes_on_to_do_so() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interruptible("nothing is kept", grace=0):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_of_its_own_trains_without_signals() -> None:
    seen = []

    def work() -> None:
        with interruptible("nothing is kept"):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
