"""The provider's webhooks as an attacker, a broken proxy and an honest but clumsy provider send them (OWASP API10).

A webhook is a hint and no more: whatever it says, the worst that follows is one question to the provider.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from services.payments.gateways.sandbox import ChargeAnswer
from shared.contracts.payments import PaymentAuthorised, PaymentCaptured, PaymentOutcomeUnknown
from shared.effects import Call
from tests.builders.payments import a_payment_request
from tests.fixtures.bench import Bench
from tests.fixtures.provider import WEBHOOK_SECRET, RunningProvider
from tests.fixtures.signing import signed
from tests.integration.payments.test_money import an_order, captured_order, charges, settle

pytestmark = pytest.mark.integration
OTHER_SECRET = f"whsec_{base64.b64encode(b'another-secret-of-thirty-two-byt').decode()}"
Headers = dict[str, str]


def a_hint(order_id: str, **charge: Any) -> bytes:
    told = {"reference": order_id, "key": "some-key", "status": "captured"} | charge
    return orjson.dumps({"type": "charge.updated", "data": {"charge": told}})


async def post(bench: Bench, body: bytes | AsyncIterator[bytes], headers: Headers) -> httpx.Response:
    async with bench.client_of(None) as client:
        return await client.post("/webhooks/provider", content=body, headers=headers)


async def until_taken(bench: Bench, body: bytes, headers: Headers) -> httpx.Response:
    """Send it as a provider does: again while nobody has time for it."""
    async with asyncio.timeout(60):
        while (answer := await post(bench, body, headers)).status_code == 503:
            assert "retry-after" in answer.headers
            await asyncio.sleep(0.2)
        return answer


async def effects(bench: Bench) -> tuple[int, int, int]:
    """How many questions, kept webhooks and events there are."""
    sql = "SELECT (SELECT count(*) FROM outside_call), (SELECT count(*) FROM early_webhook), (SELECT count(*) FROM outbox)"
    row = await bench.database.fetchrow(sql)
    assert row is not None
    return tuple(row)


async def test_nothing_follows_from_a_webhook_that_is_not_the_providers(bench: Bench) -> None:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id))
    before, body = await effects(bench), a_hint(order_id, key=order_id)
    good = signed(WEBHOOK_SECRET, body)
    forgeries: dict[str, Headers] = {
        "another secret": signed(OTHER_SECRET, body),
        "no signature": {name: value for name, value in good.items() if name != "webhook-signature"},
        "the signature of another body": good | signed(WEBHOOK_SECRET, body + b" "),
        "the signature of another id": good | {"webhook-id": "msg_other"},
        "a younger timestamp": good | {"webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)},
        "no timestamp": good | {"webhook-timestamp": ""},
        "a timestamp of another world": good | {"webhook-timestamp": "nan"},
        "the right digest under another version": good
        | {"webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")},
        "a cut signature": good | {"webhook-signature": good["webhook-signature"][:-8]},
        "an id that is no text": good | {"webhook-id": "m\xe4g"},
        "an endless id": good | {"webhook-id": "m" * 300},
    }
    for name, headers in forgeries.items():
        answer = await post(bench, body, {key: value.encode("latin-1") for key, value in headers.items()})  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (401, "webhook.signature"), name
    assert await effects(bench) == before


async def test_what_was_recorded_is_refused_later_and_answered_alike_at_once(bench: Bench) -> None:
    body = a_hint(an_order())
    for age in (timedelta(minutes=5, seconds=10), timedelta(days=3), timedelta(minutes=-6)):
        assert (await post(bench, body, signed(WEBHOOK_SECRET, body, age=age))).status_code == 401
    recorded = signed(WEBHOOK_SECRET, body, age=timedelta(minutes=4))
    first, again = await post(bench, body, recorded), await post(bench, body, recorded)
    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.headers["idempotent-replayed"], again.content) == ("true", first.content)
    assert await bench.database.fetchval("SELECT count(*) FROM early_webhook") == 1


async def test_an_id_that_was_used_cannot_carry_another_body(bench: Bench) -> None:
    first, second = a_hint(an_order()), a_hint(an_order())
    assert (await post(bench, first, signed(WEBHOOK_SECRET, first, "msg_1"))).status_code == 202
    answer = await post(bench, second, signed(WEBHOOK_SECRET, second, "msg_1"))
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency.mismatch")
    assert await bench.database.fetchval("SELECT count(*) FROM early_webhook") == 1


@pytest.mark.parametrize("size", [65 * 1024, 10 * 1024 * 1024])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_refused_before_anybody_computes_over_it(
    bench: Bench, size: int, announced: bool
) -> None:
    body = a_hint(an_order(), filler="x" * size)

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 16 * 1024):
            yield body[start : start + 16 * 1024]

    answer = await post(bench, body if announced else in_pieces(), signed(WEBHOOK_SECRET, body))
    assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")
    assert await effects(bench) == (0, 0, 0)


def _deep(order_id: str) -> bytes:
    return b'{"data":{"charge":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}}"


BODIES: dict[str, tuple[Callable[[str], bytes], frozenset[int]]] = {
    "UTF-8 beyond ASCII": (lambda order: a_hint(order, note="Straße 東京 🛍"), frozenset({202})),
    "escapes": (lambda order: a_hint(order).replace(b"charge.updated", b"ch\\u00e4rge"), frozenset({202})),
    "UTF-16": (lambda order: a_hint(order).decode().encode("utf-16"), frozenset({400, 401})),
    "Latin-1": (lambda order: a_hint(order, note="x").replace(b'"x"', b'"\xe4"'), frozenset({400, 401})),
    "a byte order mark": (lambda order: b"\xef\xbb\xbf" + a_hint(order), frozenset({400})),
    "half a surrogate pair": (
        lambda order: a_hint(order).replace(b'"some-key"', b'"\\ud800"'),
        frozenset({400}),
    ),
    "a NUL": (lambda order: a_hint(order, key="a\x00b"), frozenset({400})),
    "nothing": (lambda _: b"", frozenset({400})),
    "null": (lambda _: b"null", frozenset({400})),
    "a list": (lambda order: b"[" + a_hint(order) + b"]", frozenset({400})),
    "half of it": (lambda order: a_hint(order)[:-9], frozenset({400})),
    "two of them": (lambda order: a_hint(order) * 2, frozenset({400})),
    "numbers for texts": (lambda order: a_hint(order, key=7, status=7), frozenset({400})),
    "no charge": (lambda _: b'{"data":{}}', frozenset({400})),
    "an endless reference": (lambda _: a_hint("o" * 121), frozenset({400})),
    "a status that is SQL": (lambda order: a_hint(order, status="'; DROP TABLE payment"), frozenset({400})),
    "great depth": (_deep, frozenset({400})),
}


async def test_no_body_in_any_encoding_is_our_fault_or_does_more_than_ask(bench: Bench) -> None:
    for name, (make, statuses) in BODIES.items():
        order_id = an_order()
        body = make(order_id)
        answer = await post(bench, body, signed(WEBHOOK_SECRET, body))
        assert answer.status_code in statuses, f"{name}: {answer.status_code} {answer.text}"
        kept = await bench.database.fetchval("SELECT count(*) FROM early_webhook WHERE order_id = $1", order_id)
        assert kept == (1 if answer.status_code == 202 else 0), name
    assert await bench.published() == []


async def test_fifty_at_once_on_two_replicas_are_one_question(bench: Bench, provider: RunningProvider) -> None:
    order_id, other = an_order(), await bench.replica()
    await bench.deliver(a_payment_request(order_id))
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    body = a_hint(order_id, key=charge["key"], status="captured")
    headers = signed(WEBHOOK_SECRET, body)
    answers = await asyncio.gather(*(post((bench, other)[turn % 2], body, headers) for turn in range(50)))
    taken = [answer for answer in answers if answer.status_code == 202]
    # One that finds the first still under way is told to come again, as a provider does.
    assert {answer.status_code for answer in answers} <= {202, 409, 503}
    assert {answer.content for answer in taken} == {b'{"status":"asked"}'}
    assert len([answer for answer in taken if "idempotent-replayed" not in answer.headers]) == 1
    asked = "SELECT count(*) FROM outside_call WHERE kind = 'provider.look_up'"
    assert await bench.database.fetchval(asked) == 1


async def test_fifty_different_ones_before_the_order_exists_wait_and_are_harmless(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = an_order()
    bodies = [a_hint(order_id, key=f"key-{number}") for number in range(50)]
    answers = await asyncio.gather(*(until_taken(bench, body, signed(WEBHOOK_SECRET, body)) for body in bodies))
    assert {answer.json()["status"] for answer in answers} == {"kept"}
    await bench.deliver(a_payment_request(order_id))
    await settle(bench)
    assert [type(event) for event in await bench.published()] == [PaymentAuthorised]
    assert len(await charges(provider, order_id)) == 1
    assert await bench.database.fetchval("SELECT count(*) FROM early_webhook") == 0


async def test_older_news_after_newer_news_changes_nothing(bench: Bench, provider: RunningProvider) -> None:
    order_id = await captured_order(bench)
    (charge,) = await charges(provider, order_id)
    before = await bench.published()
    for status in ("authorised", "requires_action", "declined", "voided", "expired", "captured"):
        body = a_hint(order_id, key=charge["key"], status=status)
        assert (await post(bench, body, signed(WEBHOOK_SECRET, body))).status_code == 202
    await settle(bench)
    assert await bench.published() == before
    async with bench.client as client:
        assert (await client.get(f"/v1/payments/{order_id}")).json()["state"] == "captured"


@dataclass(slots=True)
class Lying:
    """A provider whose look-up says something else than was asked for."""

    provider: RunningProvider
    says: dict[str, Any]

    async def look_up(self, call: Call) -> dict[str, Any] | None:
        found = (await self.provider.client.get("/charges", params={"key": call.request["key"]})).json()["data"]
        return {"charge": ChargeAnswer.model_validate(found[0] | self.says).in_our_words()}


@pytest.mark.parametrize(
    "says",
    [
        {"amount": 1, "amount_captured": 1, "status": "captured"},
        {"currency": "JPY", "status": "captured", "amount_captured": 1299},
        {"amount_captured": 999, "status": "captured"},
        {"amount": 129900},
    ],
    ids=["a cent", "yen", "a part of it", "a hundred times as much"],
)
async def test_another_amount_or_currency_than_was_asked_is_nobodys_yes(
    bench: Bench, provider: RunningProvider, says: dict[str, Any]
) -> None:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id))
    await settle(bench)
    (charge,) = await charges(provider, order_id)
    # The webhook claims that all is well; the charge itself, asked for, is another.
    body = a_hint(order_id, key=charge["key"], status="captured")
    assert (await post(bench, body, signed(WEBHOOK_SECRET, body))).json() == {"status": "asked"}
    await bench.calls({"provider.look_up": Lying(provider, says).look_up})
    assert await bench.published(PaymentCaptured) == []
    (told,) = await bench.published(PaymentOutcomeUnknown)
    assert told.attention is not None
    assert told.attention.code == "payment.conflicted"


async def test_a_charge_under_a_key_that_was_never_used_is_looked_at_and_hides_nothing(
    bench: Bench, provider: RunningProvider
) -> None:
    order_id = an_order()
    await bench.deliver(a_payment_request(order_id))
    await settle(bench)
    body = a_hint(order_id, key="key-of-nobody")
    assert (await post(bench, body, signed(WEBHOOK_SECRET, body))).json() == {"status": "not_ours"}
    attention = "SELECT attention FROM payment WHERE order_id = $1"
    assert await bench.database.fetchval(attention, order_id) == "payment.foreign_charge"
    await bench.database.execute("UPDATE payment SET attention = 'payment.conflicted'")
    body = a_hint(order_id, key="another-key-of-nobody")
    await post(bench, body, signed(WEBHOOK_SECRET, body))
    assert await bench.database.fetchval(attention, order_id) == "payment.conflicted"
