"""The webhooks API over a real database: endpoints, secrets, the log, and whose they are."""

import asyncio
from typing import Any

import pytest

from services.orders.main import SERVICE
from services.orders.usecases.register_webhook import MOST_ENDPOINTS
from services.orders.webhook_worker import sweep
from shared.runtime import create_app
from tests.builders import orders as build
from tests.fixtures.bench import OTHER_STORE, STORE, Bench, BenchFactory
from tests.fixtures.receiver import plain, receiving
from tests.integration.orders.conftest import HASH_KEY
from tests.integration.orders.webhooks import call, deliveries, details, endpoint, order, tell

pytestmark = pytest.mark.integration
URL = "https://shop.example.com/freeport"


@pytest.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    """As the demo has it: this machine may be told."""
    bench = await service_bench(SERVICE, pii_hash_key=HASH_KEY, orders_webhooks_allow_local=True)
    await bench.deliver(build.a_product("MUG"), build.a_product("TEA"))
    return bench


async def test_a_secret_is_shown_once_and_stored_nowhere(bench: Bench) -> None:
    body = {"url": URL, "event_types": ["orders.*", "orders.*"], "description": "our own page"}
    answer = await call(bench, "POST", "/webhook-endpoints", body, **{"idempotency-key": "one"})
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/webhook-endpoints/{made['id']}")
    assert answer.headers["cache-control"] == "no-store"
    assert (made["url"], made["event_types"], made["description"]) == (URL, ["orders.*"], "our own page")
    again = await call(bench, "POST", "/webhook-endpoints", body, **{"idempotency-key": "one"})
    assert (again.json(), again.headers["idempotent-replayed"]) == (made, "true")  # who lost the answer asks again
    seen = (await call(bench, "GET", f"/webhook-endpoints/{made['id']}")).json()
    assert seen == {name: value for name, value in made.items() if name != "secret"}
    stored = await bench.database.fetchval(
        "SELECT string_agg(e::text, '') || (SELECT string_agg(convert_from(body, 'UTF8'), '') FROM idempotency_key)"
        " FROM webhook_endpoint e"
    )
    assert made["id"] in stored
    assert made["secret"] not in stored
    assert made["secret"].removeprefix("whsec_")[:20] not in stored
    other = (await call(bench, "POST", "/webhook-endpoints", body)).json()
    assert other["secret"] != made["secret"]


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com/",
        "https://shop.example.com:8443/",
        "https://user:secret@shop.example.com/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://localhost/",
        "https://kafka/",
        "file:///etc/passwd",
    ],
)
async def test_a_url_that_leads_inside_is_refused_by_every_way(service_bench: BenchFactory, url: str) -> None:
    bench = await service_bench(SERVICE, pii_hash_key=HASH_KEY)
    made = await endpoint(bench, URL)
    for answer in (
        await call(bench, "POST", "/webhook-endpoints", {"url": url, "event_types": ["*"]}),
        await call(bench, "PATCH", f"/webhook-endpoints/{made['id']}", {"url": url}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "webhook_endpoint.url_forbidden"), answer.text
    assert (await call(bench, "GET", f"/webhook-endpoints/{made['id']}")).json()["url"] == URL


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event_types": []}, "request.invalid"),
        ({"event_types": ["orders.order.place.v1"]}, "webhook_endpoint.unknown_event_type"),
        ({"event_types": ["Orders.*"]}, "request.invalid"),
        ({"event_types": ["orders.* payments.*"]}, "request.invalid"),
        ({"url": "x" * 3000}, "request.invalid"),
        ({"description": "a\0b"}, "request.invalid"),
        ({"secret": "whsec_mine"}, "request.invalid"),
        ({"store_id": OTHER_STORE}, "request.invalid"),
    ],
)
async def test_a_wrong_body_is_refused(bench: Bench, change: dict[str, Any], code: str) -> None:
    made = await endpoint(bench, URL)
    for answer in (
        await call(bench, "POST", "/webhook-endpoints", {"url": URL, "event_types": ["*"]} | change),
        await call(bench, "PATCH", f"/webhook-endpoints/{made['id']}", change),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert (await call(bench, "PATCH", f"/webhook-endpoints/{made['id']}", {})).status_code == 422


async def test_an_endpoint_is_changed_disabled_enabled_and_deleted(bench: Bench) -> None:
    made = await endpoint(bench, URL)
    path = f"/webhook-endpoints/{made['id']}"
    changed = (await call(bench, "PATCH", path, {"event_types": ["risk.*"], "description": "x"})).json()
    assert (changed["event_types"], changed["description"], changed["url"]) == (["risk.*"], "x", URL)
    disabled = (await call(bench, "PATCH", path, {"disabled": True})).json()
    assert (disabled["disabled"], disabled["disabled_because"], disabled["attention"]) == (True, "by_owner", None)
    assert (await call(bench, "POST", f"{path}/test")).json()["code"] == "webhook_endpoint.disabled"
    enabled = (await call(bench, "PATCH", path, {"disabled": False})).json()
    assert (enabled["disabled"], enabled["disabled_because"], enabled["disabled_at"]) == (False, None, None)
    assert (await call(bench, "DELETE", path)).status_code == 204
    for answer in (
        await call(bench, "GET", path),
        await call(bench, "DELETE", path),
        await call(bench, "PATCH", path, {"url": URL}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_endpoint.not_found")


async def test_endpoints_are_listed_the_newest_first_page_by_page(bench: Bench) -> None:
    made = [(await endpoint(bench, f"{URL}/{n}"))["id"] for n in range(5)]
    await endpoint(bench, URL, store=OTHER_STORE)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        answer = await call(bench, "GET", f"/webhook-endpoints?limit=2{f'&after={after}' if after else ''}")
        seen += [each["id"] for each in answer.json()["data"]]
        assert "secret" not in answer.json()["data"][0]
        after = answer.json()["next"]
    assert seen == made[::-1]
    assert (await call(bench, "GET", "/webhook-endpoints?after=x")).json()["code"] == "cursor.malformed"
    assert (await call(bench, "GET", "/webhook-endpoints?stat=x")).json()["code"] == "parameter.unknown"


async def test_two_replicas_do_not_give_a_store_more_endpoints_than_it_may_have(bench: Bench) -> None:
    for n in range(MOST_ENDPOINTS - 1):
        await endpoint(bench, f"{URL}/{n}")
    replica = await bench.replica()
    body = {"url": URL, "event_types": ["*"]}

    answers = await asyncio.gather(*(call(each, "POST", "/webhook-endpoints", body) for each in (bench, replica) * 4))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert await bench.database.fetchval("SELECT count(*) FROM webhook_endpoint") == MOST_ENDPOINTS


async def test_the_log_is_narrowed_and_paged(bench: Bench) -> None:
    async with receiving() as receiver:
        first, second = await endpoint(bench, receiver), await endpoint(bench, receiver, "payments.*")
        order_id = await order(bench)
        await bench.deliver(build.authorised(order_id), build.captured(order_id))
        receiver.answers = [plain(500)]
        await tell(bench)
    by = {"endpoint": first["id"]}
    assert len(await deliveries(bench)) == 5
    assert len(await deliveries(bench, **by)) == 3
    assert {each["event_type"].partition(".")[0] for each in await deliveries(bench, endpoint=second["id"])} == {
        "payments"
    }
    (failed,) = await deliveries(bench, status="pending")
    assert (failed["last_status"], failed["last_error"], failed["attempts"]) == (500, "status_5xx", 1)
    assert (
        len(await deliveries(bench, status="delivered", **by)) + len(await deliveries(bench, status="pending", **by))
        == 3
    )
    (one,) = await deliveries(bench, event_type="payments.payment.captured.v1", **by)
    assert (await deliveries(bench, order_id=order_id, limit="200"))[0]["created_at"] >= one["created_at"]
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        answer = await call(bench, "GET", f"/webhook-deliveries?limit=2{f'&after={after}' if after else ''}")
        seen += [each["id"] for each in answer.json()["data"]]
        after = answer.json()["next"]
    assert len(seen) == len(set(seen)) == 5
    assert (await call(bench, "GET", "/webhook-deliveries?status=x")).status_code == 400


async def test_the_log_of_a_deleted_endpoint_stays_and_what_waited_is_skipped(bench: Bench) -> None:
    made = await endpoint(bench, URL)
    await order(bench)
    assert (await call(bench, "DELETE", f"/webhook-endpoints/{made['id']}")).status_code == 204
    assert await tell(bench) == 0
    await sweep(bench.database)
    (skipped,) = await deliveries(bench)
    assert (skipped["status"], skipped["attempts"]) == ("skipped", 0)
    answer = await call(bench, "POST", f"/webhook-deliveries/{skipped['id']}/resend")
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_endpoint.deleted")


async def test_every_route_is_closed_to_other_stores_to_nobody_and_to_keys_without_the_scope(bench: Bench) -> None:
    """Generated from the OpenAPI document, so that a new route is covered by itself (OWASP API1, API5)."""
    async with receiving() as receiver:
        made = await endpoint(bench, receiver)
        await order(bench)
        await tell(bench)
    (delivery,) = await deliveries(bench)
    ids = {"endpoint_id": made["id"], "delivery_id": delivery["id"]}
    bodies = {
        "webhook_endpoints.create": {"url": URL, "event_types": ["*"]},
        "webhook_endpoints.change": {"disabled": True},
        "webhook_endpoints.resend": {"since": "2020-01-01T00:00:00Z", "statuses": ["delivered"]},
    }
    operations = [
        (method, path.removeprefix("/v1").format(**ids), bodies.get(operation["operationId"]), "{" in path)
        for path, methods in create_app(SERVICE, bench.kit).openapi()["paths"].items()
        if path.startswith("/v1/webhook-")
        for method, operation in methods.items()
    ]
    assert len(operations) == 11
    before = (
        await bench.database.fetch("SELECT * FROM webhook_endpoint"),
        await bench.database.fetch("SELECT * FROM webhook_delivery"),
    )
    for method, path, body, names_one in operations:
        assert (await call(bench, method, path, body, store=None)).status_code == 401, path
        assert (await call(bench, method, path, body, store="internal")).status_code == 403, path
        if names_one:
            answer = await call(bench, method, path, body, store=OTHER_STORE)
            assert (answer.status_code, answer.json()["code"].rpartition(".")[2]) == (404, "not_found"), path
        elif method == "get":
            assert (await call(bench, method, path, store=OTHER_STORE)).json()["data"] == [], path
    narrowed = await call(bench, "GET", f"/webhook-deliveries?endpoint={made['id']}", store=OTHER_STORE)
    assert narrowed.json()["data"] == []
    after = (
        await bench.database.fetch("SELECT * FROM webhook_endpoint"),
        await bench.database.fetch("SELECT * FROM webhook_delivery"),
    )
    assert before == after


async def test_each_operation_has_examples_of_its_body(bench: Bench) -> None:
    schemas = create_app(SERVICE, bench.kit).openapi()["components"]["schemas"]
    for name in ("WebhookEndpointIn", "WebhookEndpointPatch", "ResendIn"):
        assert schemas[name]["examples"], name
    for example in schemas["WebhookEndpointIn"]["examples"]:
        assert (await call(bench, "POST", "/webhook-endpoints", example)).status_code == 201


async def test_a_ping_is_sent_and_its_log_is_seen(bench: Bench) -> None:
    async with receiving() as receiver:
        receiver.otherwise = plain(200, b"pong " + b"x" * 2000)
        made = await endpoint(bench, receiver, "risk.*")
        answer = await call(bench, "POST", f"/webhook-endpoints/{made['id']}/test")
        assert (answer.status_code, answer.json()["status"], answer.json()["log"]) == (202, "pending", [])
        assert answer.headers["location"] == f"/v1/webhook-deliveries/{answer.json()['id']}"
        await tell(bench)
        (heard,) = receiver.heard
    seen = await details(bench, answer.json()["id"])
    assert (seen["status"], seen["order_id"], seen["event_type"]) == ("delivered", None, "freeport.ping")
    (attempt,) = seen["log"]
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 200, None)
    assert attempt["response"] == ("pong " + "x" * 2000)[:1024]
    assert heard.headers["webhook-id"] == seen["id"]
    assert seen["payload"]["data"] == {"endpoint_id": made["id"]}
    assert STORE not in str(heard)
