"""Reading what channels have sold, over a real database: twice, late, by several replicas, and past what cannot be taken in."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from services.orders import channel_worker
from services.orders.channel_worker import Intake, Shown, Unreadable
from services.orders.domain.channel import ACKNOWLEDGE, SHIP
from services.orders.domain.pricing import Wish
from services.orders.usecases import take_channel_orders as usecase
from services.orders.usecases.take_channel_orders import CancelledThere, SoldOrder
from shared.contracts.orders import OrderPlaced
from shared.contracts.values import Parcel
from shared.effects import Call
from shared.money import Money
from tests.builders import orders as build
from tests.fixtures.bench import STORE, Bench

pytestmark = pytest.mark.integration
CHANNEL = "bazaar"


@pytest.fixture(autouse=True)
def a_connected_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.orders.repository.connected", lambda: frozenset({(STORE, CHANNEL)}))


def sold(external_id: str, **changes: Any) -> SoldOrder:
    order = build.an_imported_order(external_id=external_id, channel=CHANNEL, **changes)
    return SoldOrder(order=order, ship_by=build.NOON + timedelta(days=400))


@dataclass
class Marketplace:
    """A book of what happened there, read by position. None is what is none of our work, as what was shipped long ago."""

    book: list[SoldOrder | CancelledThere | None] = field(default_factory=list[SoldOrder | CancelledThere | None])
    page: int = 3
    fails: list[Unreadable] = field(default_factory=list[Unreadable])
    reads: list[str] = field(default_factory=list[str])
    store_id: str = STORE
    channel: str = CHANNEL

    async def shown_after(self, cursor: str) -> Shown:
        self.reads.append(cursor)
        if self.fails:
            raise self.fails.pop()
        begin = int(cursor or 0)
        found = self.book[begin : begin + self.page]
        return Shown(
            sold=tuple(one for one in found if isinstance(one, SoldOrder)),
            cancelled=tuple(one for one in found if isinstance(one, CancelledThere)),
            next=str(begin + len(found)),
        )


def intake(bench: Bench, marketplace: Marketplace) -> Intake:
    return Intake(bench.database, bench.kit.desk, marketplace)


async def at_once(bench: Bench) -> None:
    """As if the pause were over."""
    await bench.database.execute("UPDATE channel_intake SET next_at = now()")


async def imported(bench: Bench) -> list[str]:
    rows = await bench.database.fetch("SELECT external_id FROM orders ORDER BY external_id")
    return [row["external_id"] for row in rows]


async def test_every_page_is_read_and_each_order_is_acknowledged_after_it_is_committed(bench: Bench) -> None:
    marketplace = Marketplace([sold(str(n)) for n in range(7)])
    assert await intake(bench, marketplace).step() == 7
    assert await imported(bench) == [str(n) for n in range(7)]
    acknowledged: list[str] = []

    async def acknowledge(call: Call) -> dict[str, Any]:
        assert await bench.database.fetchval("SELECT true FROM orders WHERE id = $1", call.key)
        acknowledged.append(call.request["external_id"])
        return {"result": "done"}

    await bench.calls({ACKNOWLEDGE: acknowledge})
    assert sorted(acknowledged) == [str(n) for n in range(7)]


async def test_reading_goes_on_where_it_ended_and_reads_nothing_twice(bench: Bench) -> None:
    marketplace = Marketplace([sold("1")])
    await intake(bench, marketplace).step()
    marketplace.book.append(sold("2"))
    marketplace.reads.clear()
    await at_once(bench)
    assert await intake(bench, marketplace).step() == 1
    assert marketplace.reads == ["1", "2"]
    assert await imported(bench) == ["1", "2"]


async def test_pages_of_nothing_for_us_are_read_over_at_once_also_by_a_sweep(bench: Bench) -> None:
    marketplace = Marketplace([*[None] * 9, sold("1")])
    await intake(bench, marketplace).step()
    assert await imported(bench) == ["1"]
    marketplace.book.append(sold("2"))
    await bench.database.execute("UPDATE channel_intake SET swept_at = now() - interval '1 hour', next_at = now()")
    await intake(bench, marketplace).step()
    assert await imported(bench) == ["1", "2"]
    assert await bench.database.fetchval("SELECT cursor FROM channel_intake") == "11"


async def test_what_appears_behind_the_cursor_is_found_by_reading_the_overlap_again(bench: Bench) -> None:
    marketplace = Marketplace([sold("1"), sold("2")])
    await intake(bench, marketplace).step()
    marketplace.book.insert(0, sold("late"))  # the last one is read again, this one is behind
    await at_once(bench)
    await intake(bench, marketplace).step()
    assert "late" not in await imported(bench)
    await bench.database.execute("UPDATE channel_intake SET swept_at = now() - interval '1 hour', next_at = now()")
    await intake(bench, marketplace).step()
    assert await imported(bench) == ["1", "2", "late"]
    assert len(await bench.published(OrderPlaced)) == 3


async def test_the_anchor_of_the_overlap_moves_behind_the_cursor(bench: Bench) -> None:
    marketplace = Marketplace([sold("1"), sold("2")])
    old = "UPDATE channel_intake SET swept_at = now() - interval '1 h', anchored_at = now() - interval '1 h', next_at = now()"
    await intake(bench, marketplace).step()
    for _ in range(2):
        await bench.database.execute(old)
        await intake(bench, marketplace).step()
    marketplace.reads.clear()
    await bench.database.execute(old)
    await intake(bench, marketplace).step()
    assert marketplace.reads == ["2"]


async def test_of_several_replicas_one_reads_and_all_together_make_each_order_once(bench: Bench) -> None:
    marketplace = Marketplace([sold(str(n)) for n in range(12)])
    replicas = [bench, await bench.replica(), await bench.replica()]
    counts = await asyncio.gather(*(intake(replica, marketplace).step() for replica in replicas))
    assert sorted(counts) == [0, 0, 12]
    assert len(await bench.published(OrderPlaced)) == 12


async def test_who_has_lost_the_lease_moves_the_cursor_no_more(bench: Bench) -> None:
    other = await bench.replica()
    steps: list[int] = []

    class Slow(Marketplace):
        async def shown_after(self, cursor: str) -> Shown:
            page = await super().shown_after(cursor)
            if not steps:
                steps.append(0)
                await bench.database.execute("UPDATE channel_intake SET claimed_until = now()")
                steps[0] = await intake(other, Marketplace(self.book)).step()
            return page

    assert await intake(bench, Slow([sold(str(n)) for n in range(9)])).step() == 3
    assert steps == [9]
    assert await bench.database.fetchval("SELECT cursor FROM channel_intake") == "9"
    assert len(await bench.published(OrderPlaced)) == 9


async def test_what_cannot_be_taken_in_holds_nothing_up_and_comes_in_when_its_product_is_known(bench: Bench) -> None:
    unknown = sold("2", wishes=(Wish("NEW", 1, Money(500, "EUR")),))
    marketplace = Marketplace([sold("1"), unknown, sold("3")])
    await intake(bench, marketplace).step()
    assert await imported(bench) == ["1", "3"]
    kept = await bench.database.fetchrow("SELECT external_id, code, cursor FROM channel_refusal")
    assert kept is not None
    assert tuple(kept) == ("2", "product.unknown", "")
    await bench.deliver(build.a_product("NEW"))
    await bench.database.execute("UPDATE channel_refusal SET retry_at = now()")
    await at_once(bench)
    await intake(bench, marketplace).step()
    assert await imported(bench) == ["1", "2", "3"]
    assert await bench.database.fetchval("SELECT count(*) FROM channel_refusal") == 0


async def test_an_order_whose_import_raises_is_kept_and_the_others_come_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = usecase.import_orders

    def raises(command: Any, *args: Any) -> Any:
        if any(order.external_id == "2" for order in command.orders):
            raise ValueError("a bug")
        return importing(command, *args)

    monkeypatch.setattr(usecase, "import_orders", raises)
    await intake(bench, Marketplace([sold("1"), sold("2"), sold("3")])).step()
    assert await imported(bench) == ["1", "3"]
    assert await bench.database.fetchval("SELECT code FROM channel_refusal") == "order.undecidable"


async def test_a_channel_that_does_not_answer_is_left_alone_for_a_while_and_nothing_is_lost(bench: Bench) -> None:
    marketplace = Marketplace([sold("1")], fails=[Unreadable("busy", 30.0)])
    reader = intake(bench, marketplace)
    assert await reader.step() == 0
    assert await reader.step() == 0
    assert marketplace.reads == [""]
    waits = await bench.database.fetchval("SELECT extract(epoch FROM next_at - now())::float FROM channel_intake")
    assert 25 < waits <= 30
    await at_once(bench)
    assert await reader.step() == 1
    assert await bench.database.fetchval("SELECT failures FROM channel_intake") == 0


async def test_a_page_that_is_refused_for_good_holds_up_nothing_that_is_new(bench: Bench) -> None:
    marketplace = Marketplace([sold("1", wishes=(Wish("NEW", 1, Money(500, "EUR")),))], page=1)
    await intake(bench, marketplace).step()
    marketplace.book.append(sold("2"))
    marketplace.fails.append(
        Unreadable("that cursor is over")
    )  # what is asked for first is the page of what was refused
    await bench.database.execute("UPDATE channel_refusal SET retry_at = now()")
    await at_once(bench)
    assert await intake(bench, marketplace).step() == 1
    assert await imported(bench) == ["2"]
    assert await bench.database.fetchval("SELECT retry_at > now() FROM channel_refusal")


async def test_a_channel_that_says_what_breaks_its_reader_is_read_again_later_and_ends_nothing(bench: Bench) -> None:
    class Odd(Marketplace):
        async def shown_after(self, cursor: str) -> Shown:
            return replace(await super().shown_after(cursor), next="\0")  # no text of PostgreSQL's

    assert await intake(bench, Odd([sold("1")])).step() == 0
    row = await bench.database.fetchrow("SELECT failures, next_at > now() AS rests, claimed_until FROM channel_intake")
    assert row is not None
    assert tuple(row) == (1, True, None)
    assert await imported(bench) == ["1"]


async def test_the_pauses_of_a_silent_channel_grow_and_end_at_five_minutes(bench: Bench) -> None:
    reader = intake(bench, Marketplace(fails=[Unreadable("silent") for _ in range(20)]))
    waits: list[float] = []
    for _ in range(12):
        await reader.step()
        waits.append(
            await bench.database.fetchval("SELECT extract(epoch FROM next_at - now())::float FROM channel_intake")
        )
        await at_once(bench)
    assert 4 < waits[0] <= channel_worker.POLL_S < waits[2]
    assert 290 < waits[-1] <= 300


async def test_what_the_channel_cancelled_ends_here(bench: Bench) -> None:
    marketplace = Marketplace([sold("1"), CancelledThere(external_id="1", reason="buyer_cancelled")])
    await intake(bench, marketplace).step()
    order_id = await bench.database.fetchval("SELECT id FROM orders")
    await bench.deliver(build.captured(order_id))
    assert await bench.database.fetchval("SELECT status FROM orders") == "cancelled"
    kinds = await bench.database.fetch("SELECT kind FROM outside_call")
    assert [row["kind"] for row in kinds] == [ACKNOWLEDGE]  # it is not told of its own cancellation


async def test_the_tracking_is_read_from_the_timeline_and_told_until_the_channel_has_it(bench: Bench) -> None:
    await intake(bench, Marketplace([sold("1")])).step()
    order_id = await bench.database.fetchval("SELECT id FROM orders")
    parcel = Parcel(parcel_id="pcl_1", warehouse="wh", tracking_number="SB1", weight_grams=7, items=build.PLAN)
    await bench.deliver(replace(build.booked(order_id), parcels=(parcel,)))
    await bench.deliver(build.dispatched(order_id))
    answers: list[dict[str, Any] | None] = [{"result": "done"}, None]
    told: list[Call] = []

    async def ship(call: Call) -> dict[str, Any] | None:
        told.append(call)
        return answers.pop()

    async def acknowledge(_: Call) -> dict[str, Any]:
        return {"result": "done"}

    gateways = {SHIP: ship, ACKNOWLEDGE: acknowledge}
    await bench.calls(gateways)
    await bench.database.execute("UPDATE outside_call SET next_at = now() WHERE done_at IS NULL")
    await bench.calls(gateways)
    assert [call.request["parcels"][0]["tracking_number"] for call in told] == ["SB1", "SB1"]
    assert (await bench.database.fetchval("SELECT facts FROM orders"))["channel_has_tracking"] is True


async def test_a_missed_ship_by_deadline_needs_a_person(bench: Bench) -> None:
    await intake(bench, Marketplace([sold("1")])).step()
    await bench.due("order.ship_by")
    async with bench.client as client:
        (view,) = (await client.get("/v1/orders", params={"external_id": "1"})).json()["data"]
    (hold,) = view["holds"]
    assert (hold["code"], hold["reasons"][0]["code"]) == ("needs_attention", "channel.ship_by_missed")
