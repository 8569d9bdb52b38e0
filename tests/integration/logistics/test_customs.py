"""Papers over HTTP and events: held with reasons, released by what comes in, kept apart by store; quotes; forged webhooks."""

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from services.logistics import repository
from services.logistics.books import kept_rulebook, rulebook
from services.logistics.holds import measure
from services.logistics.main import SERVICE
from shared.contracts.catalog import ProductWithdrawn
from shared.contracts.logistics import PapersCleared, PapersHeld, PapersProhibited, ShipmentTracked
from shared.contracts.values import Destination
from shared.money import Money
from shared.quote import QuoteClaims, lines_hash, verify
from tests.builders.logistics import ORDER, RECIPIENT, an_order_id, confirmed, placed, published
from tests.fixtures.bench import OTHER_STORE, STORE, Bench, BenchFactory

pytestmark = pytest.mark.integration
SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
KEY = Ed25519PrivateKey.generate()


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    return await service_bench(
        SERVICE,
        carrier_webhook_secret=" ".join(SECRETS),
        quote_private_key=urlsafe_b64encode(KEY.private_bytes_raw()).decode(),
        quote_key_id="q1",
    )


async def customs(bench: Bench, order_id: str = ORDER) -> dict[str, Any]:
    return (await bench.client.get(f"/v1/customs/{order_id}")).json()


# ── Holding and releasing ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_missing_code_holds_with_its_reason_and_a_catalog_change_releases(bench: Bench) -> None:
    await bench.deliver(published(hs_code=""), placed())
    (found,) = (await bench.client.get("/v1/customs", params={"status": "held"})).json()["data"]
    (finding,) = found["findings"]
    assert (finding["code"], finding["subject"], finding["rule"]) == ("hs.missing", "MUG-1", "eu.hs6")
    assert finding["source"].startswith("ICS2")
    assert finding["clears_with"]
    await bench.deliver(published(version=2))
    assert (await customs(bench))["status"] == "cleared"
    assert [type(e) for e in await bench.published(PapersHeld, PapersCleared)] == [PapersHeld, PapersCleared]
    assert await bench.database.fetchval("SELECT count(*) FROM held_line") == 0


async def test_holds_are_measured_by_country_and_finding(bench: Bench) -> None:
    await bench.deliver(published(hs_code=""), placed(), placed(order_id=an_order_id("2"), country="US"))
    await measure(bench.database)
    metrics = (await bench.client.get("/metrics")).text
    for country in ("DE", "US"):
        assert f'freeport_shipments_held{{country="{country}",reason="hs.missing"}} 1.0' in metrics
    await bench.deliver(published(version=2))
    await measure(bench.database)
    assert "freeport_shipments_held{" not in (await bench.client.get("/metrics")).text


async def test_an_order_that_overtakes_its_product_is_released_by_it(bench: Bench) -> None:
    await bench.deliver(placed())
    assert (await customs(bench))["status"] == "held"
    await bench.deliver(published())
    assert (await customs(bench))["status"] == "cleared"


async def test_a_certificate_for_the_order_releases_and_is_shown(bench: Bench) -> None:
    await bench.deliver(published(claims_preference=True), placed())
    pdf = b"%PDF-1.4 a certificate"
    body = {
        "type": "certificate_of_origin", "order_id": ORDER, "number": "CO-1", "issued_on": "2026-11-20",
        "declared_value": {"amount": "2598", "currency": "EUR"},
        "file": {"name": "co.pdf", "media_type": "application/pdf", "content_base64": b64encode(pdf).decode()},
    }  # fmt: skip
    answer = await bench.client.post("/v1/documents", json=body)
    assert (answer.status_code, answer.json()["papers"]["status"]) == (201, "cleared")
    (document,) = (await customs(bench))["documents"]
    assert (document["number"], document["file"]) == ("CO-1", "co.pdf")
    file = await bench.client.get(f"/v1/documents/{document['document_id']}.pdf")
    assert file.content == pdf


async def test_a_certificate_for_the_sku_releases_every_order_and_those_to_come(bench: Bench) -> None:
    orders = [an_order_id(name) for name in "abc"]
    await bench.deliver(published(claims_preference=True), *(placed(order_id=order_id) for order_id in orders[:2]))
    answer = await bench.client.post("/v1/documents", json={"type": "certificate_of_origin", "sku": "MUG-1"})
    assert answer.status_code == 201
    await bench.deliver(placed(order_id=orders[2]))
    assert [(await customs(bench, order_id))["status"] for order_id in orders] == ["cleared"] * 3


async def test_a_document_is_taken_once_however_often_it_is_sent(bench: Bench) -> None:
    await bench.deliver(published(claims_preference=True), placed())
    body = {"type": "certificate_of_origin", "order_id": ORDER}
    headers = {"idempotency-key": "once"}
    first = await bench.client.post("/v1/documents", json=body, headers=headers)
    second = await bench.client.post("/v1/documents", json=body, headers=headers)
    assert (second.json(), second.headers["idempotent-replayed"]) == (first.json(), "true")
    assert await bench.database.fetchval("SELECT count(*) FROM document") == 1


async def test_brazil_is_held_for_the_cpf_which_is_never_shown(bench: Bench) -> None:
    await bench.deliver(published(), placed(country="BR"))
    assert [finding["code"] for finding in (await customs(bench))["findings"]] == ["identifier.missing"]
    wrong = {"type": "identifier", "order_id": ORDER, "identifiers": {"cpf": "529.982.247-26"}}
    refused = await bench.client.post("/v1/documents", json=wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "identifier.invalid")
    right = wrong | {"identifiers": {"cpf": "529.982.247-25"}}
    answer = await bench.client.post("/v1/documents", json=right)
    assert answer.json()["papers"]["status"] == "cleared"
    shown = await customs(bench)
    assert shown["documents"][0]["identifiers"] == ["cpf"]
    assert "529" not in answer.text + json.dumps(shown["documents"])


async def test_prohibited_goods_are_told_with_the_law(bench: Bench) -> None:
    await bench.deliver(published(category="vapes"), placed(country="AU"))
    (prohibited,) = await bench.published(PapersProhibited)
    assert prohibited.findings[0].rule == "au.vapes"
    assert (await customs(bench))["status"] == "prohibited"


async def test_a_document_for_an_order_that_is_not_there_is_not_found(bench: Bench) -> None:
    body = {"type": "other", "order_id": an_order_id("nobody")}
    answer = await bench.client.post("/v1/documents", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "order.not_found")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "other"},
        {"type": "other", "order_id": ORDER, "sku": "MUG-1"},
        {"type": "identifier", "order_id": ORDER},
        {"type": "identifier", "sku": "MUG-1", "identifiers": {"cpf": "1"}},
        {"type": "poem", "order_id": ORDER},
        {"type": "other", "order_id": "ord_1"},
        {"type": "other", "order_id": ORDER, "number": "a\0b"},
        {"type": "other", "order_id": ORDER, "status": "cleared"},
        {"type": "other", "order_id": ORDER, "declared_value": {"amount": "1.5", "currency": "EUR"}},
        {"type": "other", "order_id": ORDER, "file": {"name": "x", "media_type": "text/html", "content_base64": ""}},
        {"type": "other", "order_id": ORDER, "file": {"name": "x", "media_type": "image/png", "content_base64": "!"}},
    ],
    ids=str,
)
async def test_a_document_that_makes_no_sense_is_refused(bench: Bench, body: dict[str, Any]) -> None:
    await bench.deliver(placed())
    answer = await bench.client.post("/v1/documents", json=body)
    assert answer.status_code == 422, answer.text


async def test_the_rule_book_that_decided_is_kept_and_decides_alike(bench: Bench) -> None:
    await bench.deliver(published(), placed())
    version = (await customs(bench))["rulebook"]
    content = await bench.database.fetchval("SELECT content FROM rulebook WHERE version = $1", version)
    kept = kept_rulebook(content)
    assert kept.version == version == rulebook().version
    assert kept.rules == rulebook().rules


# ── Many ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_product_with_many_held_orders_releases_them_part_by_part(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_HELD_AT_ONCE", 10)
    orders = [an_order_id(str(number)) for number in range(35)]
    await bench.deliver(published(hs_code=""), *(placed(order_id=order_id) for order_id in orders))
    await bench.deliver(published(version=2))
    rounds = 0
    while await bench.due("papers.recheck"):
        rounds += 1
    assert rounds == 3
    assert {event.order_id for event in await bench.published(PapersCleared)} == set(orders)


async def test_no_order_is_held_for_ever_by_a_product_that_changes_at_the_same_time(bench: Bench) -> None:
    """Two replicas: one takes orders in while the other hears of the product. Whoever is first, all end clear."""
    other = await bench.replica()
    orders = [an_order_id(str(number)) for number in range(40)]
    await bench.deliver(published(hs_code=""))
    placing = [bench.deliver(placed(order_id=order_id)) for order_id in orders]
    await asyncio.gather(*placing[:20], other.deliver(published(version=2)), *placing[20:])
    while await bench.due("papers.recheck"):
        pass
    statuses = await bench.database.fetch("SELECT papers_status, count(*) FROM consignment GROUP BY 1")
    assert [tuple(row) for row in statuses] == [("cleared", 40)]


async def test_lists_go_on_where_they_ended(bench: Bench) -> None:
    orders = [an_order_id(str(number)) for number in range(5)]
    await bench.deliver(published(hs_code=""), *(placed(order_id=order_id) for order_id in orders))
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await bench.client.get("/v1/customs", params={"status": "held", "limit": 2, **after})).json()
        seen += [each["order_id"] for each in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["next"]}
    assert seen == sorted(orders, reverse=True)
    assert (await bench.client.get("/v1/shipments", params={"stat": "held"})).status_code == 400


# ── Whose it is ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_store_sees_and_changes_nothing(bench: Bench) -> None:
    await bench.deliver(published(claims_preference=True), placed())
    other = bench.client_of(OTHER_STORE)
    for path in ("customs", "shipments"):
        assert (await other.get(f"/v1/{path}/{ORDER}")).status_code == 404
        assert (await other.get(f"/v1/{path}")).json()["data"] == []
    assert (await other.get(f"/v1/shipments/{ORDER}/documents")).status_code == 404
    body = {"type": "certificate_of_origin", "order_id": ORDER}
    assert (await other.post("/v1/documents", json=body)).status_code == 404
    await other.post("/v1/documents", json={"type": "certificate_of_origin", "sku": "MUG-1"})
    assert (await customs(bench))["status"] == "held"
    assert (await other.delete(f"/v1/recipients/{ORDER}")).status_code == 404
    assert (await other.post(f"/v1/shipments/{ORDER}/booking")).status_code == 404
    assert (await bench.client_of(None).get(f"/v1/customs/{ORDER}")).status_code == 401


# ── Quotes ────────────────────────────────────────────────────────────────────────────────────────────────────────────

QUOTE = {
    "market": "DE", "destination": {"country": "DE", "postcode": "50667"}, "lines": [{"sku": "MUG-1", "quantity": 2}],
    "service": "standard", "incoterm": "DAP", "currency": "EUR",
}  # fmt: skip


async def test_a_quote_is_a_token_that_orders_can_verify(bench: Bench) -> None:
    await bench.deliver(published())
    answer = (await bench.client.post("/v1/quotes", json=QUOTE)).json()
    claims = verify(answer["quote"], {"q1": KEY.public_key()})
    assert isinstance(claims, QuoteClaims)
    assert (claims.store, claims.market, claims.currency) == (STORE, "DE", "EUR")
    assert claims.destination == Destination(country="DE", postal_area="506")
    assert claims.lines_hash == lines_hash([("MUG-1", 1), ("MUG-1", 1)])
    assert claims.shipping == Money(990, "EUR")
    assert answer["shipping"] == {"amount": "990", "currency": "EUR"}
    assert [option["service"] for option in answer["options"]] == ["standard", "economy", "express"]
    assert timedelta(minutes=28) < claims.expires_at - datetime.now(UTC) <= timedelta(minutes=30)
    assert "not in this quote" in answer["notes"][0]


async def test_another_stores_goods_are_not_quoted(bench: Bench) -> None:
    await bench.deliver(published())
    answer = await bench.client_of(OTHER_STORE).post("/v1/quotes", json=QUOTE)
    assert answer.json()["code"] == "quote.unknown_product"


async def test_the_published_key_is_the_one_that_signs(bench: Bench) -> None:
    (key,) = (await bench.client_of(None).get("/v1/quote-keys")).json()["keys"]
    expected = urlsafe_b64encode(KEY.public_key().public_bytes_raw()).decode().rstrip("=")
    assert (key["kid"], key["crv"], key["x"]) == ("q1", "Ed25519", expected)


async def test_what_cannot_be_quoted_says_why(bench: Bench) -> None:
    unknown = await bench.client.post("/v1/quotes", json=QUOTE)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "quote.unknown_product")
    await bench.deliver(published(), ProductWithdrawn(sku="MUG-1", version=2))
    assert (await bench.client.post("/v1/quotes", json=QUOTE)).json()["code"] == "quote.unknown_product"


async def test_without_a_key_there_are_no_quotes(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(published())
    assert (await bench.client.post("/v1/quotes", json=QUOTE)).json()["code"] == "quote.no_key"


# ── Webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def signed(
    body: bytes, *, secret: str = SECRETS[0], at: datetime | None = None, webhook_id: str = "whk_1"
) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body.decode()),
    }


def a_webhook(**data: Any) -> bytes:
    known = {
        "tracking_number": "LX000000015CN",
        "reference": "",
        "code": "picked_up",
        "scanned_at": "2026-11-24T13:00:00Z",
    }
    return json.dumps({"type": "parcel.scanned", "data": known | data}).encode()


async def hear(bench: Bench, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return await bench.client_of(None).post("/webhooks/carrier", content=body, headers=headers)


@pytest.mark.parametrize(
    "forged",
    [
        {},
        {"webhook-id": "whk_1", "webhook-timestamp": "0", "webhook-signature": "v1,AAAA"},
        signed(a_webhook(), secret="whsec_" + b64encode(b"x" * 24).decode()),
        signed(a_webhook(), at=datetime.now(UTC) - timedelta(minutes=6)),
        # Hours, not minutes: it is signed when tests are collected, and a long run would come to its time.
        signed(a_webhook(), at=datetime.now(UTC) + timedelta(hours=6)),
        signed(a_webhook(code="delivered")),
        signed(a_webhook()) | {"webhook-signature": "nonsense"},
        signed(a_webhook()) | {"webhook-signature": "v1,%%%"},
        signed(a_webhook()) | {"webhook-id": "whk_2"},
    ],
)
async def test_a_forged_stale_or_malformed_signature_is_refused(bench: Bench, forged: dict[str, str]) -> None:
    assert (await hear(bench, a_webhook(), forged)).status_code == 401


async def test_both_secrets_are_good_while_they_are_exchanged(bench: Bench) -> None:
    for number, secret in enumerate(SECRETS):
        answer = await hear(bench, a_webhook(), signed(a_webhook(), secret=secret, webhook_id=f"whk_{number}"))
        assert answer.status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b"[]", b"not json", a_webhook(scanned_at="yesterday"), a_webhook(scanned_at="0001-01-01T00:00:00+14:00"), a_webhook(scanned_at="2026-11-24T13:00:00"),
        a_webhook(code=""), a_webhook(tracking_number="a\0b"), a_webhook(code=5),
    ],
)  # fmt: skip
async def test_a_webhook_that_is_not_understood_is_refused_and_not_a_crash(bench: Bench, body: bytes) -> None:
    answer = await hear(bench, body, signed(body))
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook.malformed")


async def test_a_webhook_of_another_type_is_let_pass(bench: Bench) -> None:
    body = b'{"type":"invoice.created","data":{}}'
    assert (await hear(bench, body, signed(body))).json() == {"status": "ignored"}


async def test_a_scan_that_comes_before_its_label_is_known_is_kept_and_placed(bench: Bench) -> None:
    body = a_webhook()
    assert (await hear(bench, body, signed(body))).json() == {"status": "kept"}
    assert await bench.due("scan.stray") == 1
    await bench.deliver(published(), placed(), confirmed())

    async def found(call: Any) -> dict[str, Any]:
        return {"recipient": RECIPIENT} if call.kind == "orders.recipient" else {"tracking_number": "LX000000015CN"}

    await bench.calls({"orders.recipient": found, "carrier.label": found})
    assert await bench.published(ShipmentTracked) == []
    assert await bench.due("scan.stray") == 1
    assert len(await bench.published(ShipmentTracked)) == 1
    assert await bench.database.fetchval("SELECT count(*) FROM stray_scan") == 0
    assert await bench.due("scan.stray") == 0


async def test_the_same_webhook_is_answered_again_and_not_done_again(bench: Bench) -> None:
    body = a_webhook()
    headers = signed(body)
    first, second = await hear(bench, body, headers), await hear(bench, body, headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.headers["idempotent-replayed"] == "true"
