"""What is worked on ahead of its use: in order, a few items, and none after the end."""

import threading

import pytest

from lstmcli.reading.ahead import work_ahead


def test_results_come_in_the_order_of_their_items() -> None:
    assert list(work_ahead(lambda item: item**2, range(50), most=3)) == [k**2 for k in range(50)]
    assert list(work_ahead(str, [])) == []


def test_no_more_items_are_begun_than_were_asked_for() -> None:
    begun: list[int] = []
    results = work_ahead(begun.append, range(1000), most=3)
    for _ in range(10):
        next(results)
    assert 10 <= len(begun) <= 13
    results.close()
    assert len(begun) <= 13


def test_the_next_item_is_worked_on_while_the_last_is_used() -> None:
    second = threading.Event()
    results = work_ahead(lambda item: second.set() if item else None, [0, 1])
    next(results)
    assert second.wait(timeout=30)


def test_an_error_comes_where_its_result_would() -> None:
    results = work_ahead(lambda item: 6 / item, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_no_thread_is_left_behind() -> None:
    threads: list[threading.Thread] = []
    results = work_ahead(lambda _: threads.append(threading.current_thread()), range(100))
    next(results)
    results.close()
    threads[0].join(timeout=30)
    assert not threads[0].is_alive()
