"""Waiting together: one poll for all, woken by commits, and nobody waits for ever."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from services.orders.schemas import OrderOut
from services.orders.waiting import Waiting


class Orders:
    """A database of orders that are decided when the test says so; it counts how often it is asked."""

    def __init__(self) -> None:
        self.decided: set[str] = set()
        self.asked = 0
        self.trouble: Exception | None = None

    async def settled(self, order_ids: Sequence[str]) -> list[str]:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        return [order_id for order_id in order_ids if order_id in self.decided]

    async def views(self, order_ids: Sequence[str]) -> dict[str, OrderOut]:
        if self.trouble is not None:
            raise self.trouble
        return {order_id: OrderOut.model_construct(id=order_id) for order_id in order_ids}


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
def committed() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def waiting(orders: Orders, committed: asyncio.Event) -> Waiting:
    return Waiting(orders.settled, orders.views, committed)


async def test_a_commit_wakes_whoever_waits_for_it(orders: Orders, waiting: Waiting, committed: asyncio.Event) -> None:
    tasks = [asyncio.create_task(waiting.view(f"ord_{n}", 20.0)) for n in range(100)]
    await asyncio.sleep(0)
    orders.decided = {f"ord_{n}" for n in range(100)}
    committed.set()
    views = await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert {view.id for view in views} == orders.decided
    assert orders.asked <= 3, "a hundred waiters are one question"


async def test_another_process_rings_no_bell_and_is_noticed_all_the_same(orders: Orders, waiting: Waiting) -> None:
    task = asyncio.create_task(waiting.view("ord_1", 20.0))
    await asyncio.sleep(0)
    orders.decided = {"ord_1"}
    assert (await asyncio.wait_for(task, 5)).id == "ord_1"


async def test_no_patience_asks_once_and_answers_what_there_is(orders: Orders, waiting: Waiting) -> None:
    assert (await asyncio.wait_for(waiting.view("ord_1", 0.0), 5)).id == "ord_1"
    assert orders.asked == 0


async def test_a_database_that_is_away_costs_only_patience(orders: Orders, waiting: Waiting) -> None:
    orders.trouble = OSError("connection refused")
    patient = asyncio.create_task(waiting.view("ord_1", 20.0))
    with pytest.raises(OSError, match="refused"):
        await asyncio.wait_for(waiting.view("ord_2", 0.0), 5)
    orders.trouble, orders.decided = None, {"ord_1"}
    assert (await asyncio.wait_for(patient, 5)).id == "ord_1"


async def test_a_bug_in_the_poll_reaches_every_waiter_and_the_next_one_is_served(
    orders: Orders, waiting: Waiting
) -> None:
    orders.trouble = LookupError("a bug")
    tasks = [asyncio.create_task(waiting.view(f"ord_{n}", 20.0)) for n in range(3)]
    answers: list[Any] = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert [type(answer) for answer in answers] == [LookupError] * 3
    orders.trouble = None
    assert (await asyncio.wait_for(waiting.view("ord_9", 0.0), 5)).id == "ord_9"


async def test_who_goes_away_is_not_waited_for(orders: Orders, waiting: Waiting) -> None:
    gone = asyncio.create_task(waiting.view("ord_1", 20.0))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (await asyncio.wait_for(waiting.view("ord_2", 0.0), 5)).id == "ord_2"
