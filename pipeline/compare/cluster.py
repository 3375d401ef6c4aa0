"""The machines that run a comparison's builds: processes of this machine, or a Dask cluster that is there."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import dask
import psutil
from distributed import Client, LocalCluster, Worker
from distributed.comm.addressing import get_address_host_port
from distributed.diagnostics.plugin import WorkerPlugin

from pipeline.errors import ConfigError

__all__ = ["cores_for", "here", "remote"]

_CONNECT_SECONDS = 30
_END_SECONDS = 5
_SETTINGS = {
    "distributed.worker.daemon": False,  # builds start processes
    "distributed.scheduler.worker-ttl": None,  # a solver may keep a worker from answering for long
}


def cores_for(points: int, jobs: int | None) -> list[list[int]]:
    """The cores of this machine dealt to the builds that run at once, each with one at least.

    Without `jobs` that is a build for every two cores, and no more than there are `points`. Raises ConfigError for
    fewer than one.
    """
    cores = sorted(os.sched_getaffinity(0))
    if jobs is None:
        jobs = max(1, min(points, len(cores) // 2))
    if jobs < 1:
        raise ConfigError(f"--jobs is {jobs}; expected a number of builds at once of 1 or more.")
    return [cores[job::jobs] or [cores[job % len(cores)]] for job in range(jobs)]


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """After the block the environment is as before it: Dask leaves there what it starts workers with."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def here(cores: list[list[int]]) -> Iterator[Client]:
    """A client of as many new worker processes as `cores` has shares; they and what they started end with it."""
    share = max(map(len, cores))
    threads = {f"distributed.nanny.pre-spawn-environ.{name}_NUM_THREADS": share for name in ("OMP", "MKL", "OPENBLAS")}
    with (
        _environment_kept(),
        dask.config.set({**_SETTINGS, **threads}),
        LocalCluster(
            n_workers=len(cores),
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            env={"DASK_LOGGING__DISTRIBUTED": "error"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(_Share(cores))
        try:
            yield client
        except BaseException:
            _end_tools(cluster)
            raise


@contextlib.contextmanager
def remote(address: str) -> Iterator[Client]:
    """A client of the scheduler at `address`, such as tcp://10.0.0.1:8786. Raises ConfigError if none answers."""
    try:
        get_address_host_port(address, strict=True)
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"No Dask scheduler answers at {address} ({error}). Start one with `dask scheduler` and give the address "
            "that it prints, such as tcp://10.0.0.1:8786."
        ) from None
    with client:
        yield client


@dataclass(frozen=True)
class _Share(WorkerPlugin):
    """Gives each worker its cores. An interrupt is for the process that compares; workers are told by it."""

    cores: list[list[int]]
    name: str = "a2q-share"

    def setup(self, worker: Worker) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.sched_setaffinity(0, self.cores[int(worker.name)])


def _end_tools(cluster: LocalCluster) -> None:
    """End what the builds of `cluster` have started, which would go on without them."""
    started = []
    for worker in cluster.workers.values():
        with contextlib.suppress(psutil.Error):
            started += psutil.Process(worker.pid).children(recursive=True)
    for process in started:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    for process in psutil.wait_procs(started, timeout=_END_SECONDS)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()
