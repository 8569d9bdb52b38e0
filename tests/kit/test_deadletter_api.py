"""Dead letters over HTTP: who may see them, what is shown, what is refused, and that everything is written down."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shared.contracts.orders import OrderConfirmed
from shared.contracts.topics import ORDER
from shared.contracts.values import Allocation
from shared.messaging.codec import Malformed
from shared.messaging.deadletters import bury_record
from tests.fixtures.bench import Bench, BenchFactory
from tests.kit.till import main as till
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration
LETTERS = "/internal/v1/dead-letters"
ACTIONS = "/internal/v1/operator-actions"


@pytest.fixture(autouse=True)
def broken() -> Iterator[None]:
    yield
    till.BROKEN.clear()
    till.BROKEN.add("poison")


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    return await service_bench(SERVICE)


@pytest_asyncio.fixture
async def operator(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with bench.client_of("operator") as client:
        client.event_hooks = {}  # no Idempotency-Key is needed
        yield client


def confirmed(order_id: str, sku: str = "poison") -> OrderConfirmed:
    return OrderConfirmed(
        order_id=order_id, allocations=(Allocation(sku=sku, warehouse="w", country="DE", quantity=1),)
    )


async def listed(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get(LETTERS, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", LETTERS),
        ("GET", f"{LETTERS}/dlt_1"),
        ("POST", f"{LETTERS}/dlt_1/redrive"),
        ("POST", f"{LETTERS}/dlt_1/park"),
        ("POST", f"{LETTERS}:redrive"),
        ("GET", ACTIONS),
    ],
)
async def test_no_key_of_a_store_opens_them_not_even_one_with_every_scope(bench: Bench, method: str, path: str) -> None:
    for who, status in ((None, 401), ("str_demo", 403), ("internal", 403)):
        async with bench.client_of(who) as client:
            answer = await client.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code == status, (who, answer.text)


async def test_an_operators_key_opens_nothing_of_a_store(operator: httpx.AsyncClient) -> None:
    answer = await operator.post("/v1/additions", json={"name": "a", "units": 1}, headers={"idempotency-key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.scope")


async def test_a_letter_tells_what_failed_why_and_what_waits_behind_it(
    bench: Bench, operator: httpx.AsyncClient
) -> None:
    bad = bench.envelope(confirmed("o"))
    await bench.settle([bad])
    await bench.deliver(confirmed("o", "fine"), confirmed("o", "fine"))
    (letter,) = await listed(operator)
    assert "payload" not in letter
    detail = (await operator.get(f"{LETTERS}/{letter['id']}")).json()
    assert {name: detail[name] for name in letter} == letter
    assert (letter["service"], letter["source"], letter["topic"], letter["key"]) == ("till", "event", ORDER.name, "o")
    assert (letter["sequence"], letter["attempts"], letter["state"]) == (1, 3, "open")
    assert (letter["event_id"], letter["event_type"]) == (bad.attributes["ce_id"], OrderConfirmed.event_type)
    assert letter["error"] == "ZeroDivisionError: a bug in a use case"
    assert letter["waiting"] == {"count": 2, "first_sequence": 2, "last_sequence": 3}
    assert detail["payload"].encode() == bad.payload
    assert detail["payload_bytes"] == len(bad.payload)
    assert detail["headers"]["ce_sequence"] == "1"


async def test_the_list_goes_page_by_page_newest_first_and_is_filtered(
    bench: Bench, operator: httpx.AsyncClient
) -> None:
    await bench.deliver(*(confirmed(f"o{number}") for number in range(7)))
    seen: list[str] = []
    after: str | None = None
    while True:
        body = (await operator.get(LETTERS, params={"limit": 3} | ({"after": after} if after else {}))).json()
        seen += [letter["key"] for letter in body["data"]]
        after = body["next"]
        if not body["has_more"]:
            break
    everything = await listed(operator)
    assert seen == [letter["key"] for letter in everything]
    assert [letter["failed_at"] for letter in everything] == sorted(
        (letter["failed_at"] for letter in everything), reverse=True
    )
    assert sorted(seen) == [f"o{number}" for number in range(7)]
    assert [letter["key"] for letter in await listed(operator, key="o3", topic=ORDER.name, source="event")] == ["o3"]
    for query in ({"topic": "other"}, {"source": "call"}, {"state": "parked"}, {"key": "o"}):
        assert await listed(operator, **query) == []


@pytest.mark.parametrize("query", [{"state": "lost"}, {"source": "x"}, {"stat": "open"}, {"after": "x"}, {"limit": 0}])
async def test_a_wrong_filter_is_refused(operator: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert (await operator.get(LETTERS, params=query)).status_code == 400


async def test_a_redrive_and_a_parking_are_done_once_and_written_down_with_who_and_why(
    bench: Bench, operator: httpx.AsyncClient
) -> None:
    await bench.deliver(confirmed("o1"), confirmed("o2"))
    one, two = (letter["id"] for letter in await listed(operator))
    till.BROKEN.clear()
    redriven = await operator.post(f"{LETTERS}/{one}/redrive", json={"operator": "maria", "reason": "mended"})
    parked = await operator.post(f"{LETTERS}/{two}/park", json={"operator": "jo", "reason": "sent twice"})
    assert (redriven.status_code, redriven.json()["state"], redriven.json()["decided"]) == (200, "redriven", False)
    assert (parked.status_code, parked.json()["state"], parked.json()["reason"]) == (200, "parked", "sent twice")
    await bench.released()
    assert (await operator.get(f"{LETTERS}/{one}")).json()["decided"] is True
    again = await operator.post(f"{LETTERS}/{one}/redrive")
    assert (again.status_code, again.json()["code"]) == (409, "dead_letter.settled")
    unknown = await operator.post(f"{LETTERS}/dlt_nowhere/redrive", json={})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "dead_letter.not_found")
    without = await operator.post(f"{LETTERS}/{one}/park", json={"operator": "jo"})
    assert (without.status_code, without.json()["errors"][0]["pointer"]) == (422, "/reason")
    book = (await operator.get(ACTIONS)).json()["data"]
    assert [(done["operator"], done["action"], done["subject"], done["reason"], done["outcome"]) for done in book] == [
        ("", "dead_letter.redrive", "dlt_nowhere", "", "dead_letter.not_found"),
        ("", "dead_letter.redrive", one, "", "dead_letter.settled"),
        ("jo", "dead_letter.park", two, "sent twice", "done"),
        ("maria", "dead_letter.redrive", one, "mended", "done"),
    ]
    assert {done["actor"] for done in book} == {"sk_operator"}
    of_two = (await operator.get(ACTIONS, params={"subject": two, "limit": 1})).json()
    assert ([done["operator"] for done in of_two["data"]], of_two["has_more"]) == (["jo"], False)


async def test_many_are_redriven_in_bounded_batches_each_once(bench: Bench, operator: httpx.AsyncClient) -> None:
    await bench.deliver(*(confirmed(f"o{number}") for number in range(5)))
    asked = {"topic": ORDER.name, "error_contains": "ZeroDivision", "limit": 2, "operator": "maria"}
    redriven: list[str] = []
    after: str | None = None
    for batch in range(3):
        answer = await operator.post(f"{LETTERS}:redrive", json={**asked, "after": after})
        assert answer.status_code == 200, answer.text
        redriven += answer.json()["redriven"]
        after = answer.json()["next"]
        await bench.released()  # they fail again, and are open again, and must not be tried twice
        assert (after is None) == (batch == 2)
    assert len(redriven) == len(set(redriven)) == 5
    assert {letter["attempts"] for letter in await listed(operator)} == {6}


@pytest.mark.parametrize(
    "chosen",
    [
        {"topic": "payments.payment.v1"},
        {"key": "o2"},
        {"error_contains": "KeyError"},
        {"since": "2999-01-01T00:00:00Z"},
    ],
)
async def test_many_means_those_that_fit_every_filter(
    bench: Bench, operator: httpx.AsyncClient, chosen: dict[str, str]
) -> None:
    await bench.deliver(confirmed("o"))
    answer = await operator.post(f"{LETTERS}:redrive", json=chosen)
    assert answer.json() == {"redriven": [], "refused": [], "next": None}
    assert len(await listed(operator)) == 1


async def test_many_without_a_filter_is_refused(operator: httpx.AsyncClient) -> None:
    answer = await operator.post(f"{LETTERS}:redrive", json={"operator": "maria"})
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_a_record_without_a_place_can_only_be_parked(bench: Bench, operator: httpx.AsyncClient) -> None:
    async def bury(payload: bytes) -> None:
        async with bench.database.transaction() as connection:
            await bury_record(
                "till",
                ORDER.name,
                {"partition": "0", "offset": "7"},
                key=b"\xff\0",
                payload=payload,
                headers=[("a\0", None)],
                error=Malformed("not an event: lacks ce_sequence"),
                connection=connection,
            )

    await bury(b"\xff\0")
    await bury(b"\xff\0")
    (letter,) = await listed(operator, source="record")
    assert (letter["sequence"], letter["key"], letter["waiting"]["count"]) == (None, "\\xff\\x00", 0)
    refused = await operator.post(f"{LETTERS}/{letter['id']}/redrive")
    assert (refused.status_code, refused.json()["code"]) == (409, "dead_letter.no_place")
    many = (await operator.post(f"{LETTERS}:redrive", json={"topic": ORDER.name})).json()
    assert (many["redriven"], many["refused"]) == ([], [])
    parked = await operator.post(f"{LETTERS}/{letter['id']}/park", json={"reason": "somebody tried the topic out"})
    assert parked.json()["state"] == "parked"
    await bury(b"\xff\0")
    assert await listed(operator) == []
    await bury(b"another record at the same place: the broker has lost its data")
    assert len(await listed(operator)) == 1


async def test_a_long_payload_is_shown_in_part_with_its_size(bench: Bench, operator: httpx.AsyncClient) -> None:
    from dataclasses import replace

    event = bench.envelope(confirmed("o"))
    await bench.settle([replace(event, payload=b"{" + b" " * 300_000)])
    (letter,) = await listed(operator)
    detail = (await operator.get(f"{LETTERS}/{letter['id']}")).json()
    assert (len(detail["payload"]), detail["payload_bytes"]) == (64 * 1024, 300_001)
