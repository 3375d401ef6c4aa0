"""The fair lock: one at a time, first come, first served."""

from __future__ import annotations

import threading
import time

from pipeline.board_sim.fair_lock import FairLock


def test_one_at_a_time():
    lock, inside, most = FairLock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock:
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == 1 and inside == 0


def ask(lock: FairLock, order: list[int], number: int) -> threading.Thread:
    """A thread that waits for its turn, and has begun to."""
    begun = threading.Event()

    def work() -> None:
        begun.set()
        with lock:
            order.append(number)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    time.sleep(0.05)  # from there to the queue
    return thread


def test_they_come_in_the_order_in_which_they_asked():
    lock, order = FairLock(), []
    with lock:
        threads = [ask(lock, order, number) for number in range(5)]
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_who_asks_again_at_once_waits_for_the_others():
    lock, order = FairLock(), []
    with lock:
        thread = ask(lock, order, 1)
    with lock:
        order.append(0)
    thread.join()
    assert order == [1, 0]


def test_an_error_gives_the_turn_back():
    lock = FairLock()
    for _ in range(2):
        try:
            with lock:
                raise KeyError
        except KeyError:
            continue
