"""Real comparisons, on workers of a scheduler of which one is killed, and on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.compare import cluster
from pipeline.compare.collection import digest_of
from pipeline.compare.points import Axes, Point, points
from pipeline.compare.run import Comparison, compare
from pipeline.compare.view import View
from pipeline.errors import ConfigError
from pipeline.flow import BUILD_RECORD
from tests.compare.networks import write_network

ROOT = Path(__file__).parents[2]
TOOLS = {"verilator_bin", "cc1plus", "g++"}
POLICIES = ("fixed:24", "exact", "fixed:3")  # the last holds no sum of the network


class Cluster:
    """A Dask scheduler and workers, each a process of its own."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.processes: dict[int, subprocess.Popen] = {}
        file = str(folder / "scheduler.json")
        self._start("scheduler", "scheduler", "--scheduler-file", file, "--port", "0", "--no-dashboard")
        for number in range(workers):
            options = ("--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--no-dashboard")
            self._start(f"worker{number}", "worker", "--scheduler-file", file, *options)

    def _start(self, name: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "dask", *arguments]
        log = (self.folder / f"{name}.txt").open("w")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_TEMPORARY_DIRECTORY": str(self.folder)}
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        self.processes[process.pid] = process

    def address(self) -> str:
        deadline = time.monotonic() + 120
        while True:
            try:
                return json.loads((self.folder / "scheduler.json").read_text())["address"]
            except (OSError, ValueError):
                assert time.monotonic() < deadline, (self.folder / "scheduler.txt").read_text()
                time.sleep(0.1)

    def kill(self, pid: int) -> None:
        """The process is gone at once, and what it started with it."""
        os.killpg(self.processes[pid].pid, signal.SIGKILL)

    def end(self) -> None:
        for pid, process in self.processes.items():
            if process.poll() is None:
                self.kill(pid)
            process.wait()


class Killing(View):
    """Kills the worker that is the first to simulate."""

    def __init__(self, workers: Cluster, chosen: list[Point]) -> None:
        super().__init__(Console(file=StringIO()), chosen)
        self.workers = workers
        self.killed = 0
        self.builders: set[int] = set()

    def event(self, event: Mapping[str, Any]) -> None:
        super().event(event)
        pid = int(event["where"].rpartition(":")[2])
        self.builders.add(pid)
        if not self.killed and (event["what"], event["stage"]) == ("running", "rtlsim"):
            self.killed = pid
            self.workers.kill(pid)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def chosen(folder: Path) -> list[Point]:
    model, config = write_network(folder)
    return points([str(model)], Axes(POLICIES), config)


@pytest.fixture(scope="module")
def killing(folder: Path, chosen: list[Point]) -> Iterator[tuple[Comparison, Killing]]:
    """The comparison as two workers made it, one of which was killed while it simulated."""
    workers = Cluster(folder, 2)
    try:
        view = Killing(workers, chosen)
        yield compare(chosen, folder / "cluster", folder / "work", view, scheduler=workers.address()), view
    finally:
        workers.end()


def collected(folder: Path) -> dict[str, str]:
    """By point, the SHA-256 of what its record says."""
    paths = sorted(folder.glob("points/*/point.json"))
    return {path.parent.name: json.loads(path.read_text())["record"]["content"] for path in paths}


def here(chosen: list[Point], out: Path, work: Path, text: StringIO | None = None) -> Comparison:
    return compare(chosen, out, work, View(Console(file=text or StringIO(), width=400), chosen))


def test_a_killed_worker_loses_nothing_and_a_failing_point_stops_no_other(killing, folder):
    comparison, view = killing
    assert view.killed in view.builders and len(view.builders) == 2
    assert [record.policy for record in comparison.records] == ["fixed:24", "exact"] and comparison.built == 2
    (failure,) = comparison.failures
    assert (failure.policy, failure.stage) == ("fixed:3", "accumulators")
    assert "needs" in failure.message and "but the policy fixed:3 is P = 3" in failure.message
    assert collected(folder / "cluster") == {
        f"tiny-{policy}-KV260-20000000fps-seed0": record.content
        for policy, record in zip(("fixed24", "exact"), comparison.records, strict=True)
    }


def test_policies_are_compared_with_the_same_folding(killing):
    comparison, _ = killing
    wide, exact = comparison.records
    assert wide.folding == exact.folding and wide.cycles == exact.cycles
    assert wide.lut > exact.lut
    assert {layer.used_bits for layer in wide.layers} == {24}
    assert all(layer.used_bits == layer.exact_bits < layer.datatype_bits for layer in exact.layers)
    for record in comparison.records:
        assert sum(record.purposes.values()) == record.lut
        assert (record.model, record.weights, record.p, record.top1) == ("tiny", "user's file", None, None)


def test_small_files_are_collected_by_content(killing, folder):
    objects = {path.name: path.read_bytes() for path in (folder / "cluster" / "objects").iterdir()}
    for place in (folder / "cluster" / "points").iterdir():
        names = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
        assert {"summary.md", "report/accumulators.json", "report/ooc_synth_and_timing.json"} <= names
        for name in names - {"point.json"}:
            built = folder / "work" / place.name / name
            assert (place / name).read_bytes() == built.read_bytes() == objects[digest_of(built.read_bytes())]


def test_this_machine_gives_the_same_records_without_what_a_cluster_built(killing, chosen, folder):
    """One of the points, whole, with no cache and one process."""
    exact = [point for point in chosen if point.policy == "exact"]
    environment = dict(os.environ)
    comparison = here(exact, folder / "here", folder / "other" / "work")
    assert os.environ == environment
    assert not comparison.failures
    assert collected(folder / "here").items() <= collected(folder / "cluster").items()
    assert [record.content for record in comparison.records] == [killing[0].records[1].content]


def test_what_is_there_is_not_built_again(killing, chosen, folder, monkeypatch):
    def refused(cores):
        raise AssertionError("workers were started")

    text = StringIO()
    with monkeypatch.context() as context:
        context.setattr(cluster, "here", refused)
        again = here(
            [point for point in chosen if point.policy != "fixed:3"], folder / "cluster", folder / "none", text
        )
    assert again.built == 0 and again.records == killing[0].records
    assert text.getvalue().count("(kept)") == 2
    assert not (folder / "none").exists()


def test_the_command_takes_stages_from_the_cache_writes_the_tables_and_tells_of_failures(killing, folder):
    out = folder / "command"
    arguments = ["compare", str(folder / "tiny.onnx"), "--config", str(folder / "tiny.yaml"), "--out", str(out)]
    policies = [word for policy in POLICIES for word in ("--policy", policy)]
    begun = {path: path.stat().st_mtime_ns for path in (folder / "work" / ".a2q-cache").glob("*/*/entry.json")}
    result = CliRunner().invoke(app, [*arguments, *policies, "--work", str(folder / "work")])
    assert result.exit_code == 1, "one failed"
    assert "| tiny | exact |" in result.output and "2 builds, 0 of them kept from before, 1 failed" in result.output
    assert "FAILED in accumulators: Layer MVAU_0" in result.output
    assert {path.name for path in out.glob("comparison.*")} == {
        f"comparison.{kind}" for kind in ("md", "csv", "json", "html")
    }
    assert collected(out) == collected(folder / "cluster")
    fewer = CliRunner().invoke(app, [*arguments, "--policy", "exact", "--work", str(folder / "work")])
    assert fewer.exit_code == 0 and "1 build of earlier comparisons is kept there too" in fewer.output
    after = {path: path.stat().st_mtime_ns for path in (folder / "work" / ".a2q-cache").glob("*/*/entry.json")}
    assert after == begun, "nothing was built"
    assert (folder / "work" / "tiny-exact-KV260-20000000fps-seed0" / BUILD_RECORD).is_file()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere"])
def test_a_scheduler_that_does_not_answer_is_an_error(chosen, folder, monkeypatch, address):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    with pytest.raises(ConfigError, match=f"No Dask scheduler answers at {address}"):
        compare(
            chosen,
            folder / "none",
            folder / "none",
            View(Console(file=StringIO()), chosen),
            scheduler=address,
        )


@pytest.mark.parametrize(("points_", "jobs", "cores"), [(5, None, 8), (2, None, 8), (5, None, 1), (5, 3, 8), (5, 4, 2)])
def test_builds_at_once_share_the_cores(monkeypatch, points_, jobs, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(10, 10 + cores)))
    shares = cluster.cores_for(points_, jobs)
    assert len(shares) == (jobs or max(1, min(points_, cores // 2)))
    assert all(shares) and {core for share in shares for core in share} == set(range(10, 10 + cores))
    if len(shares) <= cores:
        assert sum(map(len, shares)) == cores, "no core is given twice"


def running_in(session: int) -> list[psutil.Process]:
    """The processes of a session that have not ended: tools are a group of their own in it."""
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes


def names_in(session: int) -> set[str]:
    names = set()
    for process in running_in(session):
        with contextlib.suppress(psutil.Error):
            names.add(process.name())
    return names


def test_an_interrupt_ends_the_workers_and_what_they_started(tmp_path):
    write_network(tmp_path)
    arguments = ["compare", "tiny.onnx", "--config", "tiny.yaml", "--policy", "exact"]
    script = "from pipeline.cli import app; app()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        deadline = time.monotonic() + 300
        while not TOOLS & names_in(process.pid):
            assert time.monotonic() < deadline and process.poll() is None, lines
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(60) == 130
        deadline = time.monotonic() + 30
        while left := running_in(process.pid):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        reader.join(10)
    said = " ".join("".join(lines).split())
    assert said.endswith("interrupted; finished builds and stages are kept, the same command goes on from there")
    assert (tmp_path / "build" / ".a2q-cache" / "resolve").is_dir()
