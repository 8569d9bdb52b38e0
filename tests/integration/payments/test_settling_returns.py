"""What a return is owed, over the API and the real database: goodwill at the same instant, and a refund that a person settles."""

import asyncio

import pytest

from shared.contracts.payments import RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.support import ReturnReceived
from shared.ids import new_id
from shared.money import Money
from tests.fixtures.bench import Bench
from tests.fixtures.provider import RunningProvider
from tests.integration.payments.test_money import captured_order, charges, refund, settle

pytestmark = pytest.mark.integration


def received(order_id: str, amount: int, return_id: str = "") -> ReturnReceived:
    return ReturnReceived(
        order_id=order_id, return_id=return_id or new_id("ret"), lines=(), refund=Money(amount, "EUR")
    )


async def test_goodwill_at_the_same_instant_as_a_receipt_leaves_the_return_what_is_left(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id, other = await captured_order(bench), await bench.replica()
    await asyncio.gather(other.deliver(received(order_id, 900)), refund(bench, order_id, 700))
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    requested = await bench.published(RefundRequested)
    of_return = next(event for event in requested if event.return_id)
    granted = sum(event.amount.amount for event in requested)
    # Whoever came first has its whole amount: either goodwill is refused to its face, or the return is reduced and says so.
    assert charge["amount_refunded"] == granted == (900 if len(requested) == 1 else 1299)
    assert (of_return.asked, of_return.amount.amount) in ((None, 900), (Money(900, "EUR"), 599))


async def test_what_lacked_is_kept_and_paid_when_a_refund_names_the_return(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id, return_id = await captured_order(bench), new_id("ret")
    assert (await refund(bench, order_id, 1000)).status_code == 202
    await bench.deliver(received(order_id, 500, return_id))
    goodwill, reduced = await bench.published(RefundRequested)
    assert (reduced.amount, reduced.asked) == (Money(299, "EUR"), Money(500, "EUR"))
    # The goodwill refund comes to nothing: its amount is left again, and the return is still owed the rest.
    await bench.database.execute("UPDATE outside_call SET done_at = now() WHERE kind = 'provider.refund'")
    await bench.database.execute(
        "UPDATE refund SET state = 'failed', failure_code = 'card_closed' WHERE id = $1", goodwill.refund_id
    )
    unnamed = await refund(bench, order_id, 201)
    assert (unnamed.status_code, unnamed.json()["code"]) == (409, "refund.return_owed")
    assert unnamed.json()["facts"]["returns"] == [
        {"return_id": return_id, "owed": {"amount": "201", "currency": "EUR"}}
    ]
    too_much = await refund(bench, order_id, 202, return_id=return_id)
    assert (too_much.status_code, too_much.json()["code"]) == (409, "refund.exceeds_return")
    settled = await refund(bench, order_id, 201, return_id=return_id)
    assert (settled.status_code, settled.json()["return_id"]) == (202, return_id)
    beside = await refund(bench, order_id, 100, return_id=None)
    assert beside.status_code == 202
    async with bench.client as client:
        shown = (await client.get(f"/v1/payments/{order_id}")).json()["refunds"]
    assert [row["asked"] for row in shown if row["return_id"] == return_id] == [
        {"amount": "500", "currency": "EUR"},
        None,
    ]


async def test_refunds_by_hand_from_two_replicas_settle_a_return_once(bench: Bench, provider: RunningProvider) -> None:
    order_id, return_id = await captured_order(bench), new_id("ret")
    await bench.deliver(received(order_id, 500, return_id))
    await bench.database.execute("UPDATE refund SET state = 'failed', failure_code = 'x'")
    await bench.database.execute("UPDATE outside_call SET done_at = now() WHERE kind = 'provider.refund'")
    other = await bench.replica()
    answers = await asyncio.gather(
        *(refund(replica, order_id, 500, return_id=return_id) for replica in (bench, other) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 7]
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    assert charge["amount_refunded"] == 500
    assert [event.return_id for event in await bench.published(RefundSucceeded)] == [return_id]
    assert await bench.published(RefundFailed) == []
