"""Risk with its real database: events in, events out, the review queue and the rules over HTTP."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.risk import housekeeping
from services.risk.domain.review import DUE
from services.risk.domain.rule_set import rule_set_id
from services.risk.main import SERVICE
from services.risk.rules import shipped_rule_set
from shared.contracts.risk import ReviewCause, RiskApproved, RiskRejected, RiskReviewDecided, RiskReviewOpened
from shared.http import encode_cursor
from shared.messaging.codec import Envelope
from shared.messaging.message import Message
from shared.messaging.sources import EventBatch
from tests.builders.risk import (
    NOON,
    a_buyer,
    a_document,
    a_rule,
    authorised,
    cancelled,
    declined,
    order_id,
    placed,
    refunded,
    return_received,
    return_requested,
    seconds,
    velocity,
)
from tests.fixtures.bench import OTHER_STORE, Bench, BenchFactory

pytestmark = pytest.mark.integration

ALWAYS = {"eq": [1, 1]}


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    return await service_bench(SERVICE)


async def activate(bench: Bench, *rules: dict[str, Any]) -> str:
    """Make these the rules of the demo store; returns the rule set's id."""
    response = await bench.client.put("/v1/rule-sets", json=a_document(*rules))
    assert response.status_code == 200, response.text
    return response.json()["id"]


async def a_review(bench: Bench, number: int = 1) -> str:
    """An order with an open review; returns the review's id."""
    await activate(bench, a_rule(ALWAYS))
    await bench.deliver(placed(number))
    (opened,) = [event for event in await bench.published(RiskReviewOpened) if event.order_id == order_id(number)]
    return opened.review_id


async def get(bench: Bench, path: str, store: str = "str_demo", **parameters: Any) -> Any:
    """The body of a GET that must succeed."""
    response = await bench.client_of(store).get(path, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


# ── Orders ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_assessment_tells_every_operand_and_every_condition(bench: Bench) -> None:
    await bench.deliver(placed(1, signals=a_buyer(1), at=NOON))
    (approved,) = await bench.published(RiskApproved)
    told = await get(bench, f"/v1/assessments/{order_id(1)}")
    assert (told["decision"], told["verdict"], told["score"]) == ("approve", "approve", 0)
    assert told["rule_set"] == approved.rule_set == shipped_rule_set().id
    assert set(told["operands"]) == {operand.name for operand in shipped_rule_set().operands}
    assert told["operands"]["velocity(card,10m,orders)"] == 1
    ring = next(rule for rule in told["rules"] if rule["rule"] == "card_ring")
    assert ring["outcome"] is False
    assert ring["conditions"][1] == {
        "at": "/rules/0/when/all/1/any/0",
        "condition": "velocity(card,10m,orders) ≥ 5",
        "seen": {"velocity(card,10m,orders)": 1},
        "outcome": False,
    }


async def test_an_assessment_is_its_stores_alone(bench: Bench) -> None:
    await bench.deliver(placed(1))
    for store, order in ((OTHER_STORE, order_id(1)), ("str_demo", order_id(2))):
        response = await bench.client_of(store).get(f"/v1/assessments/{order}")
        assert (response.status_code, response.json()["code"]) == (404, "assessment.not_found")


async def test_a_ring_in_one_batch_is_seen_by_the_orders_of_that_batch(bench: Bench) -> None:
    await bench.deliver(*(placed(n, at=NOON + seconds(n), card="ring") for n in range(1, 41)))
    assert [event.order_id for event in await bench.published(RiskApproved)] == [order_id(n) for n in range(1, 5)]
    opened = await bench.published(RiskReviewOpened)
    assert len(opened) == 36
    assert opened[-1].reasons[0].message.endswith("velocity(card,10m,orders) = 40, velocity(card,10m,units) = 40")


async def test_a_ring_is_counted_exactly_by_two_replicas_at_once(bench: Bench) -> None:
    replicas = [bench, await bench.replica()]
    orders = [bench.envelope(placed(n, at=NOON, card="ring", device=f"d-{n}")) for n in range(1, 41)]
    await asyncio.gather(*(replicas[index % 2].settle([order]) for index, order in enumerate(orders)))
    assert len(await bench.published(RiskApproved)) == 4
    assert len(await bench.published(RiskReviewOpened)) == 36


async def test_two_hundred_buyers_pass_in_one_batch(bench: Bench) -> None:
    await bench.deliver(*(placed(n, at=NOON, signals=a_buyer(n) | {"ip": "one"}) for n in range(1, 201)))
    assert len(await bench.published(RiskApproved)) == 200


async def test_a_batch_costs_the_same_statements_whatever_its_size(bench: Bench) -> None:
    async def statements(first: int, last: int) -> list[str]:
        events = [bench.envelope(placed(n, at=NOON + seconds(n), signals=a_buyer(n))) for n in range(first, last + 1)]
        seen: list[str] = []
        messages = await _messages(bench, events)
        async with bench.database.transaction() as connection:
            with connection.query_logger(lambda record: seen.append(record.query)):
                casework = await SERVICE.load(messages, connection)
                for message in messages:
                    bench.kit.desk.router.decide(message.body, casework, message.moment)
                await SERVICE.save(casework, connection)
        return seen

    await statements(1000, 1001)  # once only: the driver asks for types, the shipped rule set is stored
    alone = await statements(1, 1)
    assert len(alone) == 5, alone  # files, keys and the active rules are read; files and keys are written
    assert await statements(2, 101) == alone


async def test_events_that_come_three_times_count_once(bench: Bench) -> None:
    events = [placed(1, at=NOON, signals=a_buyer(1)), declined(1), refunded(1), return_requested(1), return_received(1)]
    envelopes = [bench.envelope(event, at=NOON) for event in events]
    for _ in range(3):
        await bench.settle(envelopes)
    await bench.deliver(placed(2, at=NOON + seconds(1), signals=a_buyer(1)))
    await activate(
        bench,
        a_rule(
            {
                "all": [
                    {"ge": [velocity("card", "30d", m), 0]}
                    for m in ("orders", "declines", "refunds", "returns", "received")
                ]
            }
        ),
    )
    await bench.deliver(placed(3, at=NOON + seconds(2), signals=a_buyer(1)))
    operands = (await get(bench, f"/v1/assessments/{order_id(3)}"))["operands"]
    assert operands == {
        "velocity(card,30d,orders)": 3,
        "velocity(card,30d,declines)": 1,
        "velocity(card,30d,refunds)": 1,
        "velocity(card,30d,returns)": 1,
        "velocity(card,30d,received)": 1,
    }


async def test_windows_in_the_database_equal_a_scan_in_any_order_of_arrival(bench: Bench) -> None:
    chance = random.Random(7)
    ages = [chance.randrange(0, 40 * 86_400) for _ in range(150)] + [chance.randrange(0, 90_000) for _ in range(250)]
    orders = [placed(n, at=NOON - seconds(age), card="busy") for n, age in enumerate(ages, 1)]
    chance.shuffle(orders)
    while orders:
        size = chance.choice((1, 7, 40, 90))
        batch, orders = orders[:size], orders[size:]
        await bench.deliver(*batch, at=NOON)
    assert await bench.database.fetchval("SELECT folded FROM velocity_key WHERE key = 'str_demo:card:busy'")
    for number, back in enumerate((0, 1, 599, 3_600, 50_000, 86_400, 5 * 86_400, 20 * 86_400), 1001):
        await activate(
            bench, a_rule({"any": [{"ge": [velocity("card", window), 0]} for window in ("10m", "24h", "30d")]})
        )
        await bench.deliver(placed(number, at=NOON - seconds(back), card="busy"), at=NOON)
        ages.append(back)
        operands = (await get(bench, f"/v1/assessments/{order_id(number)}"))["operands"]
        for window, length in (("10m", 600), ("24h", 86_400), ("30d", 2_592_000)):
            assert operands[f"velocity(card,{window},orders)"] == sum(back <= age < back + length for age in ages), (
                window
            )


async def test_the_cards_mismatch_opens_a_review_of_its_own(bench: Bench) -> None:
    await bench.deliver(placed(1, card="announced"), authorised(1, card="charged", matches=False))
    (opened,) = await bench.published(RiskReviewOpened)
    assert opened.cause is ReviewCause.CARD_MISMATCH
    told = await get(bench, f"/v1/assessments/{order_id(1)}")
    assert [(review["cause"], review["status"]) for review in told["reviews"]] == [("card_mismatch", "open")]


# ── Reviews ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_person_approves_once_and_a_repeated_request_is_answered_alike(bench: Bench) -> None:
    review_id = await a_review(bench)
    path, body = f"/v1/reviews/{review_id}/decision", {"decision": "approve", "note": "a company"}
    first = await bench.client.post(path, json=body, headers={"idempotency-key": "k"})
    again = await bench.client.post(path, json=body, headers={"idempotency-key": "k"})
    other_key = await bench.client.post(path, json=body)
    assert [first.status_code, again.status_code, other_key.status_code] == [200, 200, 200]
    assert first.json() == again.json() == other_key.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (first.json()["status"], first.json()["decided_by"], first.json()["note"]) == (
        "approved",
        "sk_test_demo",
        "a company",
    )
    (decided,) = await bench.published(RiskReviewDecided)
    assert (decided.approved, decided.decided_by) == (True, "sk_test_demo")
    assert await bench.database.fetchval("SELECT count(*) FROM deadline") == 0


async def test_the_opposite_decision_afterwards_is_a_conflict(bench: Bench) -> None:
    review_id = await a_review(bench)
    await bench.client.post(f"/v1/reviews/{review_id}/decision", json={"decision": "reject"})
    response = await bench.client.post(f"/v1/reviews/{review_id}/decision", json={"decision": "approve"})
    assert (response.status_code, response.json()["code"]) == (409, "review.decided")


async def test_two_people_who_decide_at_once_decide_once(bench: Bench) -> None:
    review_id = await a_review(bench)
    replica = await bench.replica()
    answers = await asyncio.gather(
        *(
            client.post(f"/v1/reviews/{review_id}/decision", json={"decision": decision})
            for client in (bench.client, replica.client)
            for decision in ("approve", "reject")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 409, 409]
    assert len(await bench.published(RiskReviewDecided)) == 1


async def test_another_stores_review_can_be_neither_read_nor_decided(bench: Bench) -> None:
    review_id = await a_review(bench)
    other = bench.client_of(OTHER_STORE)
    assert (await get(bench, "/v1/reviews", OTHER_STORE))["data"] == []
    for response in (
        await other.get(f"/v1/reviews/{review_id}"),
        await other.post(f"/v1/reviews/{review_id}/decision", json={"decision": "approve"}),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "review.not_found")
    assert await bench.published(RiskReviewDecided) == []


async def test_an_overdue_review_stays_open_is_told_and_measured(bench: Bench) -> None:
    review_id = await a_review(bench)
    assert await bench.due(DUE) == 1
    review = await get(bench, f"/v1/reviews/{review_id}")
    assert (review["status"], review["overdue"]) == ("open", True)
    await housekeeping.measure(bench.database)
    metrics = (await bench.client.get("/metrics")).text
    assert "freeport_risk_reviews_open 1.0" in metrics
    assert "freeport_risk_reviews_overdue 1.0" in metrics
    assert await bench.published(RiskReviewDecided) == []


async def test_the_end_of_the_order_closes_the_review(bench: Bench) -> None:
    review_id = await a_review(bench)
    await bench.deliver(cancelled(1))
    assert (await get(bench, f"/v1/reviews/{review_id}"))["status"] == "closed"
    assert await bench.database.fetchval("SELECT count(*) FROM deadline") == 0
    response = await bench.client.post(f"/v1/reviews/{review_id}/decision", json={"decision": "approve"})
    assert (response.status_code, response.json()["code"]) == (409, "review.closed")


async def test_the_queue_lists_open_reviews_first_and_every_one_once(bench: Bench) -> None:
    await activate(bench, a_rule(ALWAYS))
    for number in range(1, 8):
        await bench.deliver(placed(number))
    first = (await get(bench, "/v1/reviews", limit=1))["data"][0]
    assert first["order_id"] == order_id(1)
    await bench.client.post(f"/v1/reviews/{first['review_id']}/decision", json={"decision": "reject"})
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await get(bench, "/v1/reviews", limit=3, **after)
        seen += [review["order_id"] for review in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["next"]}
    assert seen == [order_id(number) for number in (2, 3, 4, 5, 6, 7, 1)]
    assert [review["order_id"] for review in (await get(bench, "/v1/reviews", status="rejected"))["data"]] == [
        order_id(1)
    ]


@pytest.mark.parametrize(
    "parameters", [{"status": "opne"}, {"state": "open"}, {"after": "bm9uc2Vuc2U"}, {"limit": "0"}]
)
async def test_a_question_that_makes_no_sense_is_refused(bench: Bench, parameters: dict[str, str]) -> None:
    assert (await bench.client.get("/v1/reviews", params=parameters)).status_code == 400


@pytest.mark.parametrize("moment", ["never", "9999-12-31T23:59:59-14:00"])
async def test_a_cursor_of_our_shape_with_a_date_that_is_none_is_refused(bench: Bench, moment: str) -> None:
    response = await bench.client.get("/v1/reviews", params={"after": encode_cursor(["open", moment, "rev_1"])})
    assert (response.status_code, response.json()["code"]) == (400, "cursor.malformed")


# ── Rule sets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_rule_set_decides_at_once_in_every_replica_and_for_its_store_alone(bench: Bench) -> None:
    replica = await bench.replica()
    await replica.deliver(placed(1))
    chosen = await activate(bench, a_rule(ALWAYS, action="reject"))
    await replica.deliver(placed(2))
    await replica.deliver(placed(3, store_id=OTHER_STORE), store=OTHER_STORE)
    (rejected,) = await bench.published(RiskRejected)
    assert (rejected.order_id, rejected.rule_set) == (order_id(2), chosen)
    assert [event.order_id for event in await bench.published(RiskApproved)] == [order_id(1), order_id(3)]


async def test_a_rule_set_is_known_by_its_content_and_read_back_as_it_was(bench: Bench) -> None:
    document = a_document(a_rule(ALWAYS, points=51))
    validated = (await bench.client.post("/v1/rule-sets:validate", json=document)).json()
    chosen = await activate(bench, a_rule(ALWAYS, points=51))
    assert chosen == validated["id"] == rule_set_id(document)
    told = await get(bench, f"/v1/rule-sets/{chosen}")
    assert (told["document"], told["active"], told["activated_by"]) == (document, True, "sk_test_demo")


async def test_the_list_holds_what_was_chosen_and_the_shipped_one(bench: Bench) -> None:
    first, second = await activate(bench, a_rule(ALWAYS)), await activate(bench, a_rule(ALWAYS, points=70))
    assert [(s["id"], s["active"]) for s in (await get(bench, "/v1/rule-sets"))["data"]] == [
        (second, True),
        (first, False),
        (shipped_rule_set().id, False),
    ]
    await activate(bench, a_rule(ALWAYS))
    assert [s["active"] for s in (await get(bench, "/v1/rule-sets"))["data"]] == [True, False, False]
    assert [s["id"] for s in (await get(bench, "/v1/rule-sets", OTHER_STORE))["data"]] == [shipped_rule_set().id]
    response = await bench.client_of(OTHER_STORE).get(f"/v1/rule-sets/{first}")
    assert (response.status_code, response.json()["code"]) == (404, "rule_set.not_found")


async def test_a_malformed_rule_set_changes_nothing_and_every_mistake_has_its_place(bench: Bench) -> None:
    document = a_document(a_rule({"ge": [{"fact": "totl"}, 1.5]}))
    response = await bench.client.put("/v1/rule-sets", json=document)
    assert (response.status_code, response.json()["code"]) == (422, "rule_set.malformed")
    pointers = [problem["pointer"] for problem in response.json()["facts"]["problems"]]
    assert pointers == ["/rules/0/when/ge/0/fact", "/rules/0/when/ge/1"]
    validated = (await bench.client.post("/v1/rule-sets:validate", json=document)).json()
    assert not validated["valid"]
    assert [problem["pointer"] for problem in validated["problems"]] == pointers
    assert [s["id"] for s in (await get(bench, "/v1/rule-sets"))["data"]] == [shipped_rule_set().id]


async def test_an_assessment_under_an_older_rule_set_is_still_explained(bench: Bench) -> None:
    await activate(bench, a_rule({"ge": [{"fact": "total"}, 4900]}, id="old"))
    await bench.deliver(placed(1))
    await activate(bench, a_rule(ALWAYS, id="new"))
    told = await get(bench, f"/v1/assessments/{order_id(1)}")
    assert [(rule["rule"], rule["outcome"]) for rule in told["rules"]] == [("old", True)]
    assert told["operands"] == {"total": 4900}


async def test_the_shipped_rule_set_is_kept_so_that_a_later_release_can_explain_it(bench: Bench) -> None:
    await bench.deliver(placed(1))
    await bench.deliver(placed(2))
    row = await bench.database.fetchrow("SELECT id, document FROM rule_set")
    assert row is not None
    assert (row["id"], rule_set_id(row["document"])) == (shipped_rule_set().id, shipped_rule_set().id)


# ── Housekeeping ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_keys_that_nobody_touched_for_long_are_forgotten_with_their_tree(bench: Bench) -> None:
    await bench.deliver(placed(1, at=NOON, card="old"), placed(2, at=NOON, card="new"))
    await bench.database.execute(
        "UPDATE velocity_key SET touched_at = touched_at - $1::interval WHERE key LIKE '%:old'", timedelta(days=181)
    )
    await bench.database.execute(
        "INSERT INTO velocity_node VALUES ('str_demo:card:old', 0, 0, ''), ('str_demo:card:new', 0, 0, '')"
    )
    place = await housekeeping.forget(bench.database, "")
    assert place == "str_demo:card:old"
    assert await housekeeping.forget(bench.database, place) == ""
    for table in ("velocity_key", "velocity_node"):
        assert [row["key"] for row in await bench.database.fetch(f"SELECT key FROM {table}")] == ["str_demo:card:new"]


async def _messages(bench: Bench, envelopes: Sequence[Envelope]) -> Sequence[Message]:
    async with bench.database.acquire() as connection:
        return await EventBatch(envelopes, SERVICE.name).open(connection)
