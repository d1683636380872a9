"""The budget under concurrency: never passed, and not stopped at while calls under way may leave enough."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from training.distil.budget import Budget, BudgetReached, Stopped


@pytest.mark.parametrize("seed", range(5))
def test_threads_never_pass_the_limit_and_use_nearly_all_of_it(seed: int) -> None:
    budget = Budget(10.0, 1.5)
    rng = random.Random(seed)
    calls = [(bound := rng.uniform(0.01, 0.3), bound * rng.random()) for _ in range(500)]
    lock = threading.Lock()
    under_way = 0.0

    def work(bound: float, dollars: float) -> bool:
        nonlocal under_way
        try:
            with budget.call(bound) as call:
                with lock:
                    under_way += bound
                    assert budget.spent + under_way <= 10.0 + 1e-9
                threading.Event().wait(0.0002)
                with lock:
                    under_way -= bound
                    call.dollars = dollars
        except BudgetReached:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(work, *zip(*calls, strict=True)))
    spent = 1.5 + sum(dollars for (_, dollars), done in zip(calls, made, strict=True) if done)
    assert budget.spent == pytest.approx(spent)
    assert 10.0 - 0.3 < spent <= 10.0  # no call that would have fitted was refused


def test_a_call_waits_for_what_another_one_leaves() -> None:
    budget = Budget(1.0, 0.0)
    begun = threading.Event()

    def wait_for_it() -> None:
        with budget.call(0.6) as call:
            begun.set()
            call.dollars = 0.5

    with budget.call(0.8) as first:
        thread = threading.Thread(target=wait_for_it)
        thread.start()
        assert not begun.wait(0.05)
        first.dollars = 0.1
    thread.join(5)
    assert begun.is_set() and budget.spent == pytest.approx(0.6)


def test_a_call_that_cannot_fit_is_refused_once_nothing_is_under_way() -> None:
    budget = Budget(1.0, 0.5)
    with pytest.raises(BudgetReached), budget.call(0.51):
        pass
    with budget.call(0.5) as call:
        call.dollars = 0.5
    assert (budget.spent, budget.left) == (1.0, 0.0)


def test_a_failed_call_gives_back_what_was_set_aside() -> None:
    budget = Budget(1.0, 0.0)
    with pytest.raises(ValueError), budget.call(0.9):
        raise ValueError
    assert budget.left == 1.0


def test_stopping_wakes_who_waits_and_lets_nothing_begin() -> None:
    budget = Budget(1.0, 0.0)
    stopped = threading.Event()

    def wait_for_it() -> None:
        try:
            with budget.call(0.6):
                pass
        except Stopped:
            stopped.set()

    with budget.call(0.8):
        thread = threading.Thread(target=wait_for_it)
        thread.start()
        budget.stop()
        thread.join(5)
    assert stopped.is_set()
    with pytest.raises(Stopped), budget.call(0.0):
        pass


def test_without_a_limit_nothing_is_refused() -> None:
    budget = Budget(None, 3.0)
    with budget.call(1e9) as call:
        call.dollars = 1e9
    assert budget.spent == 1e9 + 3
