from __future__ import annotations

import threading
import time

import pytest

from pipeline.tools.pool import side_by_side
from pipeline.tools.process import started


def test_results_come_in_the_order_of_the_jobs():
    together = threading.Barrier(2, timeout=20)  # passed by two jobs that run at once

    def job(value: int):
        def run() -> int:
            together.wait()
            time.sleep(0.05 * (3 - value))
            return value

        return run

    steps: list[tuple[int, int]] = []
    assert side_by_side([job(value) for value in range(4)], 2, lambda *step: steps.append(step)) == [0, 1, 2, 3]
    assert steps[-1] == (4, 4)


@pytest.mark.slow
def test_the_first_failure_ends_what_runs_and_drops_what_does_not():
    begun = []

    def waiting() -> int:
        with started(["sleep", "300"]) as process:
            begun.append(process)
            return process.wait()

    def failing() -> None:
        while not begun:
            time.sleep(0.01)
        raise ValueError("the reason")

    start = time.monotonic()
    with pytest.raises(ValueError, match="the reason"):
        side_by_side([waiting, failing, waiting, waiting, waiting], 2)
    assert time.monotonic() - start < 120
    assert {process.returncode for process in begun} == {-9}
    assert len(begun) <= 2  # the worker that failed may have begun another one
