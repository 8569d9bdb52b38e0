"""Payments over a real PostgreSQL and the real sandbox provider: what was charged, taken and given back, in both books."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from services.payments.main import SERVICE
from services.payments.tables import metadata
from shared.contracts.logistics import ShipmentDispatched
from shared.contracts.payments import (
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOutcomeUnknown,
    PaymentVoided,
    RefundSucceeded,
)
from shared.ids import new_id
from shared.money import Money
from tests.builders.payments import a_cancellation, a_payment_request
from tests.fixtures.bench import Bench, BenchFactory
from tests.fixtures.provider import KEY, WEBHOOK_SECRET, RunningProvider
from tests.fixtures.schema import differences

pytestmark = pytest.mark.integration


def an_order() -> str:
    return new_id("ord")


def dispatched(order_id: str) -> ShipmentDispatched:
    return ShipmentDispatched(order_id=order_id, shipment_id="shp_1", items=(), dispatched_at=datetime.now(UTC))


async def settle(bench: Bench) -> None:
    """Make every call, also those that were put off, until nobody waits for an answer."""
    for _ in range(30):
        await bench.database.execute("UPDATE outside_call SET next_at = now() WHERE done_at IS NULL")
        if not await bench.calls():
            return
    raise AssertionError("calls without end")


async def charges(provider: RunningProvider, order_id: str) -> list[dict[str, Any]]:
    return [charge for charge in await provider.book() if charge["reference"] == order_id]


async def refund(bench: Bench, order_id: str, amount: int, currency: str = "EUR", **other: Any) -> httpx.Response:
    body = {"order_id": order_id, "amount": {"amount": str(amount), "currency": currency}, "reason": "goodwill"} | other
    async with bench.client as client:
        return await client.post("/v1/refunds", json=body)


async def captured_order(bench: Bench) -> str:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id))
    await settle(bench)
    await bench.deliver(dispatched(order_id))
    await settle(bench)
    return order_id


async def test_a_card_is_authorised_at_once_and_captured_at_dispatch(bench: Bench, provider: RunningProvider) -> None:
    order_id = await captured_order(bench)
    assert [type(event) for event in await bench.published()] == [PaymentAuthorised, PaymentCaptured]
    (charge,) = await charges(provider, order_id)
    assert (charge["status"], charge["amount_captured"]) == ("captured", 1299)
    async with bench.client as client:
        payment = (await client.get(f"/v1/payments/{order_id}")).json()
        balances = (await client.get("/v1/ledger/balances")).json()["data"]
    assert payment["state"] == "captured"
    assert sum(int(balance["balance"]["amount"]) for balance in balances) == 0
    assert any(int(balance["balance"]["amount"]) == 1299 for balance in balances)


async def test_a_provider_that_charges_and_never_answers_is_asked_and_charges_once(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id, token="tok_timeout_after_charge", card_fingerprint=""))
    await settle(bench)
    assert [type(event) for event in await bench.published()] == [PaymentOutcomeUnknown, PaymentAuthorised]
    assert len(await charges(provider, order_id)) == 1


async def test_the_same_request_from_two_replicas_is_one_charge(bench: Bench, provider: RunningProvider) -> None:
    replica = await bench.replica()
    order_id = an_order()
    envelope = bench.envelope(a_payment_request(order_id))
    await asyncio.gather(bench.settle([envelope]), replica.settle([envelope]), bench.settle([envelope]))
    await asyncio.gather(settle(bench), settle(replica))
    assert len(await charges(provider, order_id)) == 1
    assert len(await bench.published(PaymentAuthorised)) == 1


async def test_an_order_cancelled_while_the_provider_is_asked_ends_without_a_charge_that_stands(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id), a_cancellation(order_id))
    await settle(bench)
    assert all(charge["status"] == "voided" for charge in await charges(provider, order_id))
    assert not await bench.published(PaymentCaptured)
    assert len(await bench.published(PaymentVoided, PaymentDeclined)) == 1


async def test_an_order_cancelled_after_the_money_was_taken_is_refunded_by_itself(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = await captured_order(bench)
    await bench.deliver(a_cancellation(order_id))
    await settle(bench)
    (refunded,) = await bench.published(RefundSucceeded)
    assert refunded.amount == Money(1299, "EUR")
    (charge,) = await charges(provider, order_id)
    assert charge["amount_refunded"] == 1299


async def test_partial_refunds_asked_for_at_once_never_exceed_what_was_taken(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = await captured_order(bench)
    answers = await asyncio.gather(*(refund(bench, order_id, 400) for _ in range(8)))
    await settle(bench)
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [202] * 3 + [409] * 5
    assert {answer.json()["code"] for answer in answers if answer.status_code != 202} == {"refund.exceeds_captured"}
    (charge,) = await charges(provider, order_id)
    assert charge["amount_refunded"] == 1200


async def test_a_refund_in_another_currency_is_refused(bench: Bench) -> None:
    order_id = await captured_order(bench)
    answer = await refund(bench, order_id, 100, "GBP")
    assert answer.status_code in (409, 422)
    assert answer.json()["code"].startswith("refund.")


async def test_another_store_neither_sees_nor_refunds_a_payment(bench: Bench) -> None:
    order_id = await captured_order(bench)
    async with bench.client_of("str_other") as other:
        assert (await other.get(f"/v1/payments/{order_id}")).status_code == 404
        assert (await other.get("/v1/payments")).json()["data"] == []
        body = {"order_id": order_id, "amount": {"amount": "1", "currency": "EUR"}, "reason": "goodwill"}
        assert (await other.post("/v1/refunds", json=body)).status_code == 404
        assert (await other.get("/v1/ledger/balances")).json()["data"] == []


# ── Webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def hear(
    bench: Bench,
    order_id: str,
    *,
    secret: str = WEBHOOK_SECRET,
    webhook_id: str = "",
    age: timedelta = timedelta(),
    **charge: Any,
) -> httpx.Response:
    told = {"reference": order_id, "key": "some-key", "status": "captured"} | charge
    body = orjson.dumps({"type": "charge.updated", "data": {"charge": told}})
    webhook_id, now = webhook_id or new_id("msg"), datetime.now(UTC) - age
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, body.decode()),
        "content-type": "application/json",
    }
    async with bench.client_of(None) as client:
        return await client.post("/webhooks/provider", content=body, headers=headers)


async def test_a_webhook_is_not_believed_but_makes_us_ask(bench: Bench, provider: RunningProvider) -> None:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id))
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    answer = await hear(bench, order_id, key=charge["key"], status="captured")
    await settle(bench)
    assert answer.status_code == 202
    assert not await bench.published(PaymentCaptured)  # the provider, when asked, says it is only authorised


async def test_a_forged_webhook_is_refused_and_a_repeated_one_is_answered_alike(bench: Bench) -> None:
    order_id = an_order()
    forged = f"whsec_{base64.b64encode(b'another-secret-of-thirty-two-byt').decode()}"
    refused = await hear(bench, order_id, secret=forged)
    assert (refused.status_code, refused.json()["code"]) == (401, "webhook.signature")
    first = await hear(bench, order_id, webhook_id="msg_1")
    again = await hear(bench, order_id, webhook_id="msg_1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("age", [timedelta(minutes=6), timedelta(minutes=-6)])
async def test_a_webhook_that_was_recorded_and_is_played_again_later_is_refused(bench: Bench, age: timedelta) -> None:
    assert (await hear(bench, an_order(), age=age)).status_code == 401


@pytest.mark.parametrize("signature", ["", "v1", "v1,", "v1,not base64!", "v2,AAAA", "v1,AAAA v1,AAAA", ","])
async def test_a_malformed_signature_is_refused_and_not_our_fault(bench: Bench, signature: str) -> None:
    stamp = str(int(datetime.now(UTC).timestamp()))
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}
    async with bench.client_of(None) as client:
        for body in (b"{}", b"\xff\xfe", b""):
            assert (await client.post("/webhooks/provider", content=body, headers=headers)).status_code == 401


async def test_both_secrets_are_good_while_one_replaces_the_other(
    service_bench: BenchFactory, provider: RunningProvider
) -> None:
    new = f"whsec_{base64.b64encode(b'the-secret-that-comes-next-32-by').decode()}"
    bench = await service_bench(
        SERVICE,
        provider_url=provider.url,
        provider_key=SecretStr(KEY),
        provider_webhook_secret=SecretStr(new),
        provider_webhook_secret_before=SecretStr(WEBHOOK_SECRET),
    )
    order_id = an_order()
    assert [(await hear(bench, order_id, secret=secret)).status_code for secret in (new, WEBHOOK_SECRET)] == [202, 202]


async def test_a_webhook_before_its_order_is_kept_and_harmless(bench: Bench, provider: RunningProvider) -> None:
    order_id = an_order()
    assert (await hear(bench, order_id)).status_code == 202
    await bench.deliver(a_payment_request(order_id))
    await settle(bench)
    assert [type(event) for event in await bench.published()] == [PaymentAuthorised]
    assert len(await charges(provider, order_id)) == 1


# ── The ledger ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("table", ["ledger_entry", "ledger_transaction"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET store_id = 'x'", "TRUNCATE {} CASCADE"])
async def test_the_application_cannot_rewrite_the_ledger(bench: Bench, table: str, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bench.database.execute(statement.format(table))


@pytest.mark.parametrize("currencies", [("EUR", "EUR"), ("EUR", "JPY")])
async def test_the_database_takes_no_transaction_that_does_not_balance(
    bench: Bench, currencies: tuple[str, str]
) -> None:
    first, second = currencies

    async def book() -> None:
        async with bench.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO ledger_transaction VALUES ('ltx_1', 'capture', 'pay_1', 'ord_1', 'str_demo', now())"
            )
            await connection.execute(
                "INSERT INTO ledger_entry (transaction_id, line, account, amount, currency, store_id) VALUES"
                " ('ltx_1', 1, 'receivable', 100, $1, 'str_demo'), ('ltx_1', 2, 'sales', $3, $2, 'str_demo')",
                first,
                second,
                -99 if first == second else -100,
            )

    with pytest.raises(asyncpg.CheckViolationError, match="add up to zero"):
        await book()


async def test_the_migrations_make_the_tables_that_are_described(bench: Bench) -> None:
    balances = "ledger_entry: ledger_balances TRIGGER DEFERRABLE INITIALLY DEFERRED"  # which tables cannot describe
    assert await differences(bench, metadata) == {balances}
