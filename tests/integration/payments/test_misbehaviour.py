"""Every way in which the sandbox provider misbehaves, through the service's real API and database: one buyer, one payment."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from services.payments.main import SERVICE
from shared.contracts.logistics import ShipmentDelivered
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOutcomeUnknown,
    PaymentVoided,
    RefundFailed,
    RefundRequested,
    RefundSucceeded,
)
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.effects import Call
from shared.ids import new_id
from shared.money import Money
from shared.runtime import create_app
from tests.builders.payments import NOON, a_cancellation, a_payment_request
from tests.fixtures.bench import Bench, BenchFactory
from tests.fixtures.provider import KEY, WEBHOOK_SECRET, RunningProvider, running_provider, until
from tests.integration.payments.test_money import an_order, captured_order, charges, dispatched, refund, settle

pytestmark = pytest.mark.integration


class Post(httpx.AsyncBaseTransport):
    """Brings the provider's webhooks to the service once there is one; before that nobody is at home."""

    def __init__(self) -> None:
        self.to: httpx.AsyncBaseTransport | None = None
        self.brought: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.to is None:
            return httpx.Response(503)
        answer = await self.to.handle_async_request(request)
        self.brought.append(request)
        return answer


@pytest.fixture
def post() -> Post:
    return Post()


@pytest_asyncio.fixture
async def provider(tmp_path: Path, post: Post) -> AsyncGenerator[RunningProvider]:
    quick = {
        "provider_hang_seconds": 5.0,
        "provider_slow_seconds": 0.1,
        "provider_refund_seconds": 0.1,
        "provider_expiring_seconds": 3600.0,
        "provider_webhooks": "all",
    }
    async with running_provider(tmp_path, post, **quick) as running:
        yield running


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory, provider: RunningProvider, post: Post) -> Bench:
    made = await service_bench(
        SERVICE,
        provider_url=provider.url,
        provider_key=SecretStr(KEY),
        provider_webhook_secret=SecretStr(WEBHOOK_SECRET),
        provider_timeout_seconds=0.3,
    )
    post.to = httpx.ASGITransport(create_app(SERVICE, made.kit))
    return made


async def requested(bench: Bench, token: str, **other: Any) -> str:
    """An order whose payment has been asked for; its calls are made."""
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id, token=token, card_fingerprint="", **other))
    await settle(bench)
    return order_id


async def names(bench: Bench) -> list[str]:
    return [type(event).__name__ for event in await bench.published()]


async def heard(post: Post, kind: str, times: int = 1) -> None:
    """Wait until the service was told something that often."""
    await until(lambda: sum(f'"type":"{kind}"'.encode() in request.content for request in post.brought) >= times)


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("tok_ok", ["PaymentAuthorised", "PaymentCaptured"]),
        ("tok_slow", ["PaymentAuthorised", "PaymentCaptured"]),
        ("tok_webhook_twice", ["PaymentAuthorised", "PaymentCaptured"]),
        ("tok_webhook_first", ["PaymentAuthorised", "PaymentCaptured"]),
        ("tok_expiring", ["PaymentAuthorised", "PaymentCaptured"]),
        ("tok_flaky", ["PaymentOutcomeUnknown", "PaymentAuthorised", "PaymentCaptured"]),
        ("tok_timeout_after_charge", ["PaymentOutcomeUnknown", "PaymentAuthorised", "PaymentCaptured"]),
        ("tok_capture_timeout", ["PaymentAuthorised", "PaymentOutcomeUnknown", "PaymentCaptured"]),
    ],
)
async def test_however_the_provider_answers_the_buyer_pays_once(
    bench: Bench, provider: RunningProvider, token: str, told: list[str]
) -> None:
    order_id = await requested(bench, token)
    await bench.deliver(dispatched(order_id))
    await settle(bench)
    # A webhook may bring the answer before the time-out does; then nothing was ever unknown.
    assert [name for name in await names(bench) if name != "PaymentOutcomeUnknown"] == [
        "PaymentAuthorised",
        "PaymentCaptured",
    ]
    assert set(await names(bench)) <= set(told)
    (charge,) = await charges(provider, order_id)
    assert (charge["amount_captured"], len(charge["captures"])) == (1299, 1)


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "payment.card_declined"),
        ("tok_insufficient_funds", "payment.insufficient_funds"),
        ("tok_never_given_out", "payment.invalid_token"),
    ],
)
async def test_a_no_is_told_with_its_reason(bench: Bench, token: str, code: str) -> None:
    await requested(bench, token)
    (declined,) = await bench.published(PaymentDeclined)
    assert declined.reason.code == code
    async with bench.client as client:
        (attempt,) = (await client.get(f"/v1/payments/{declined.order_id}")).json()["attempts"]
    assert (attempt["status"], f"payment.{attempt['decline_code']}") == ("declined", code)


async def test_the_card_that_was_charged_is_compared_with_the_one_that_was_announced(bench: Bench) -> None:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id, token="tok_other_card_xyz", card_fingerprint="fpr_xyz"))
    await settle(bench)
    (authorised,) = await bench.published(PaymentAuthorised)
    assert (authorised.card_matches, authorised.card_fingerprint) == (False, "fpr_swapped_xyz")


async def test_a_wrong_amount_is_never_confirmed_and_goes_back_when_the_order_is_cancelled(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = await requested(bench, "tok_wrong_amount", method=PaymentMethod.WALLET)
    async with bench.client as client:
        (summary,) = (await client.get("/v1/payments", params={"attention": "true"})).json()["data"]
    assert (summary["attention"], await names(bench)) == ("payment.conflicted", ["PaymentOutcomeUnknown"])
    (told,) = await bench.published(PaymentOutcomeUnknown)
    assert told.attention is not None
    assert told.attention.code == "payment.conflicted"
    await bench.deliver(a_cancellation(order_id))
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    assert charge["amount_captured"] == charge["amount_refunded"] == 1300


# ── 3-D Secure ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("result", "ending"), [("complete", PaymentAuthorised), ("fail", PaymentDeclined)])
async def test_the_buyer_acts_and_the_webhook_moves_the_payment(
    bench: Bench, post: Post, result: str, ending: type
) -> None:
    await requested(bench, "tok_3ds")
    (action,) = await bench.published(PaymentActionRequired)
    async with httpx.AsyncClient(trust_env=False) as buyer:
        acted = (await buyer.post(action.action_url, params={"result": result})).json()
    await heard(post, f"charge.{acted['status']}")
    await settle(bench)
    assert len(await bench.published(ending)) == 1
    contexts = await bench.database.fetch(
        "SELECT headers ->> 'store' AS store, headers ->> 'market' AS market FROM outbox"
    )
    assert {(row["store"], row["market"]) for row in contexts} == {
        ("str_demo", "DE")
    }  # a webhook has no store of its own


async def test_a_buyer_who_acts_while_no_webhook_gets_through_is_found_at_the_deadline(
    bench: Bench, post: Post
) -> None:
    await requested(bench, "tok_3ds")
    (action,) = await bench.published(PaymentActionRequired)
    post.to = None
    async with httpx.AsyncClient(trust_env=False) as buyer:
        await buyer.post(action.action_url)
    assert await bench.due("payment.action") == 1
    await settle(bench)
    assert await names(bench) == ["PaymentActionRequired", "PaymentAuthorised"]


async def test_a_cancelled_order_ends_the_buyers_action(bench: Bench, provider: RunningProvider) -> None:
    order_id = await requested(bench, "tok_3ds")
    await bench.deliver(a_cancellation(order_id))
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    assert (charge["status"], len(await bench.published(PaymentVoided))) == ("voided", 1)


async def test_a_void_without_an_answer_is_asked_about(bench: Bench, provider: RunningProvider) -> None:
    order_id = await requested(bench, "tok_void_timeout")
    await bench.deliver(a_cancellation(order_id))
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    assert (charge["status"], len(await bench.published(PaymentVoided))) == ("voided", 1)


# ── Renewal ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_promise_that_runs_out_is_renewed_and_the_old_one_given_back(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = await requested(bench, "tok_expiring")
    assert await bench.due("payment.renewal", order_id) == 1
    await settle(bench)
    await bench.deliver(dispatched(order_id))
    await settle(bench)
    first, second = await charges(provider, order_id)
    assert (first["status"], second["status"]) == ("voided", "captured")


async def test_a_promise_that_cannot_be_renewed_is_told_and_still_captured(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = await requested(bench, "tok_renewal_declined")
    await bench.due("payment.renewal", order_id)
    await settle(bench)
    (unknown,) = await bench.published(PaymentOutcomeUnknown)
    assert unknown.operation == "renew"
    await bench.deliver(dispatched(order_id))
    await settle(bench)
    assert sorted(charge["status"] for charge in await charges(provider, order_id)) == ["captured", "declined"]


# ── Refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_whose_answer_is_lost_is_one_refund(bench: Bench, provider: RunningProvider) -> None:
    order_id = await requested(bench, "tok_refund_timeout", method=PaymentMethod.WALLET)
    assert (await refund(bench, order_id, 500)).status_code == 202
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    assert [made["amount"] for made in charge["refunds"]] == [500]
    assert (len(await bench.published(RefundRequested)), len(await bench.published(RefundSucceeded))) == (1, 1)


@pytest.mark.parametrize(
    ("token", "told", "left"),
    [
        ("tok_refund_pending", ["RefundRequested", "RefundSucceeded"], 799),
        ("tok_refund_fails", ["RefundRequested", "RefundFailed"], 1299),
        ("tok_refund_bounces", ["RefundRequested", "RefundSucceeded", "RefundFailed"], 1299),
    ],
)
async def test_a_refund_that_ends_later_ends_in_both_books_alike(
    bench: Bench, provider: RunningProvider, post: Post, token: str, told: list[str], left: int
) -> None:
    order_id = await requested(bench, token, method=PaymentMethod.WALLET)
    await refund(bench, order_id, 500)
    await bench.calls()
    await heard(post, "refund.succeeded" if token == "tok_refund_pending" else "refund.failed")
    await settle(bench)
    assert [name for name in await names(bench) if name.startswith("Refund")] == told
    (charge,) = await charges(provider, order_id)
    receivable = await bench.database.fetchval(
        "SELECT sum(amount) FROM ledger_entry WHERE account = 'provider_receivable'"
    )
    assert (int(receivable), charge["amount_captured"] - charge["amount_refunded"]) == (left, left)
    failed = await bench.published(RefundFailed)
    assert all(event.amount == Money(500, "EUR") for event in failed)


async def test_the_same_idempotency_key_is_one_refund(bench: Bench, provider: RunningProvider) -> None:
    order_id = await captured_order(bench)
    body = {"order_id": order_id, "amount": {"amount": "500", "currency": "EUR"}, "reason": "goodwill"}
    async with bench.client as client:
        answers = [await client.post("/v1/refunds", json=body, headers={"idempotency-key": "once"}) for _ in range(2)]
        other = await client.post("/v1/refunds", json=body | {"reason": "late"}, headers={"idempotency-key": "once"})
    await settle(bench)
    assert answers[0].json() == answers[1].json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    (charge,) = await charges(provider, order_id)
    assert charge["amount_refunded"] == 500


async def test_refunds_from_two_replicas_at_once_never_exceed_what_was_taken(
    bench: Bench, provider: RunningProvider
) -> None:
    replica = await bench.replica()
    order_id = await captured_order(bench)
    answers = await asyncio.gather(*(refund(side, order_id, 300) for side in (bench, replica) * 4))
    await settle(bench)
    assert sorted(answer.status_code for answer in answers) == [202] * 4 + [409] * 4
    (charge,) = await charges(provider, order_id)
    assert charge["amount_refunded"] == 1200


async def test_the_database_itself_lets_nobody_promise_more_than_was_taken(bench: Bench) -> None:
    order_id = await captured_order(bench)
    with pytest.raises(Exception, match="ck_payment_attempt_given_back"):
        await bench.database.execute("UPDATE payment_attempt SET given_back = 1300 WHERE order_id = $1", order_id)


# ── Not through the provider ──────────────────────────────────────────────────────────────────────────────────────────


async def test_cash_is_booked_at_the_door_and_paid_back_by_hand(bench: Bench, provider: RunningProvider) -> None:
    order_id = await requested(bench, "", method=PaymentMethod.CASH_ON_DELIVERY)
    await bench.deliver(ShipmentDelivered(order_id=order_id, shipment_id="shp_1", delivered_at=NOON))
    opened = (await refund(bench, order_id, 500)).json()
    assert opened["state"] == "by_hand"
    async with bench.client as client:
        paid = await client.post(f"/v1/refunds/{opened['id']}/payout", json={"order_id": order_id})
        balances = {
            row["account"]: row["balance"]["amount"] for row in (await client.get("/v1/ledger/balances")).json()["data"]
        }
    assert (paid.status_code, paid.json()["state"], await provider.book()) == (200, "succeeded", [])
    assert balances == {
        "bank": "-500",
        "cash_on_delivery_receivable": "1299",
        "refunds": "500",
        "refunds_payable": "0",
        "sales_clearing": "-1299",
    }


async def test_what_a_channel_collected_never_reaches_the_provider(bench: Bench, provider: RunningProvider) -> None:
    order_id = await requested(
        bench, "", mode=PaymentMode.COLLECTED_BY_CHANNEL, method=PaymentMethod.CHANNEL, channel="amazon"
    )
    await bench.deliver(a_cancellation(order_id))
    assert await names(bench) == ["PaymentAuthorised", "PaymentCaptured", "RefundRequested", "RefundSucceeded"]
    assert await provider.book() == []


# ── Crashes and lists ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", [PaymentMethod.CARD, PaymentMethod.WALLET])
async def test_a_process_that_dies_between_the_providers_answer_and_its_own_commit_charges_once(
    bench: Bench, provider: RunningProvider, method: PaymentMethod
) -> None:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id, method=method))

    async with SERVICE.outside(bench.kit.settings) as gateways:

        async def die(call: Call) -> dict[str, Any] | None:
            await gateways[call.kind](call)
            raise ConnectionResetError("killed before the answer was written down")

        await bench.calls(dict.fromkeys(gateways, die))
    assert [charge["status"] for charge in await charges(provider, order_id)] == [
        "authorised" if method is PaymentMethod.CARD else "captured"
    ]
    await settle(bench)
    assert len(await charges(provider, order_id)) == 1
    assert len(await bench.published(PaymentAuthorised)) == 1
    assert len(await bench.published(PaymentCaptured)) == (0 if method is PaymentMethod.CARD else 1)


async def test_an_early_webhook_is_kept_until_its_order_comes_and_then_forgotten(
    bench: Bench, provider: RunningProvider, post: Post
) -> None:
    order_id = new_id("ord")
    request = a_payment_request(order_id, card_fingerprint="")
    # The charge was made in an earlier life of the database, which was restored from a backup since.
    await provider.charge(request.payment_id, "tok_ok", reference=order_id)
    await heard(post, "charge.authorised")
    assert await bench.database.fetchval("SELECT count(*) FROM early_webhook") == 1
    await bench.deliver(request)
    await settle(bench)
    assert (await names(bench), len(await charges(provider, order_id))) == (["PaymentAuthorised"], 1)
    assert await bench.database.fetchval("SELECT count(*) FROM early_webhook") == 0


async def test_the_list_of_payments_is_walked_without_gaps(bench: Bench) -> None:
    orders = [an_order() for _ in range(5)]
    for order_id in orders:
        await bench.deliver(a_payment_request(order_id, method=PaymentMethod.CASH_ON_DELIVERY, token=""))
    walked: list[str] = []
    after: dict[str, Any] = {}
    async with bench.client as client:
        while True:
            page = (await client.get("/v1/payments", params={"limit": 2, "state": "authorised"} | after)).json()
            walked += [payment["order_id"] for payment in page["data"]]
            if not page["has_more"]:
                break
            after = {"after": page["next"]}
        assert (await client.get("/v1/payments", params={"after": "nonsense"})).json()["code"] == "cursor.malformed"
        assert (await client.get("/v1/payments", params={"sate": "x"})).status_code == 400
    assert walked == orders[::-1]
