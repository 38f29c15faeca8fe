"""Items are processed ahead: in order, a few at a time, and none after the end."""

import os
import threading
import time

import pytest

from lstmcli.reading.ahead import work_ahead


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_their_items(threads: int) -> None:
    def late(item: int) -> int:
        time.sleep(0.002 * (item % 3 == 0))
        return item**2

    found = list(work_ahead(late, range(30), most=4, threads=threads))
    assert found == [k**2 for k in range(30)]
    assert list(work_ahead(str, [], threads=threads)) == []


def test_no_more_items_are_started_than_requested() -> None:
    begun: list[int] = []
    results = work_ahead(begun.append, range(1000), most=3, threads=2)
    for _ in range(10):
        next(results)
    assert 10 <= len(begun) <= 13
    results.close()
    assert len(begun) <= 13


def test_the_next_item_is_processed_while_the_current_one_is_used() -> None:
    second = threading.Event()
    results = work_ahead(lambda item: second.set() if item else None, [0, 1])
    next(results)
    assert second.wait(timeout=30)


def test_an_error_is_raised_in_place_of_its_result() -> None:
    results = work_ahead(lambda item: 6 / item, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_no_thread_is_left_behind() -> None:
    threads: list[threading.Thread] = []
    run = lambda _: threads.append(threading.current_thread())  # noqa: E731
    results = work_ahead(run, range(100), threads=2)
    next(results)
    results.close()
    for each in threads:
        each.join(timeout=30)
        assert not each.is_alive()


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="of one core, one thread is used")
def test_several_threads_work_at_a_time() -> None:
    both = threading.Barrier(2, timeout=30)
    assert len(list(work_ahead(lambda _: both.wait(), range(4), threads=2))) == 4
