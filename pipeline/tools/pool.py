"""Runs of external tools side by side, which end together: at the first failure, or an interrupt, the others are killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from pipeline.tools import process

__all__ = ["side_by_side"]

Result = TypeVar("Result")


def side_by_side(
    jobs: Sequence[Callable[[], Result]], workers: int, on_progress: Callable[[int, int], None] | None = None
) -> list[Result]:
    """The results of `jobs`, begun in order, `workers` of them at once.

    `on_progress` is told how many of how many are done. Raises what the first job to fail raises; those that have not
    begun are dropped.
    """
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(job) for job in jobs]
        pending: set[Future[Any]] = set(futures)
        try:
            while pending:
                done, pending = wait(pending, timeout=1.0, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if on_progress:
                    on_progress(len(futures) - len(pending), len(futures))
        except BaseException:
            for future in pending:
                future.cancel()
            while True:  # a job that has begun may yet start its tool
                process.end_all()
                if not wait(futures, timeout=0.2).not_done:
                    break
            raise
    return [future.result() for future in futures]
