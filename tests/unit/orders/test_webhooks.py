"""Webhooks: what an endpoint hears, when it is tried again, when it rests and when it is given up."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from services.orders.domain.book import OrderBook
from services.orders.domain.webhook import (
    GIVE_UP_AFTER,
    JITTER,
    LONGEST_REST,
    LONGEST_RETRY_AFTER,
    MOST_TRIES,
    PING,
    REST_AFTER_FAILURES,
    RETRY_AFTER,
    ROTATION_OVERLAP,
    TURNS,
    Delivery,
    DeliveryStatus,
    DisabledBecause,
    Endpoint,
    Turn,
    Verdict,
    hearing_nothing,
    patterns_of,
    pause_after,
    told_types,
    verdict_of,
)
from services.orders.domain.webhook_book import Attempt
from services.orders.gateways.webhooks import retry_after_of, signatures
from services.orders.usecases.change_webhook import ChangeWebhook, change_webhook
from services.orders.usecases.ping_webhook import PingWebhook, ping_webhook
from services.orders.usecases.register_webhook import MOST_ENDPOINTS, RegisterWebhook, register_webhook
from services.orders.usecases.remove_webhook import RemoveWebhook, remove_webhook
from services.orders.usecases.resend_webhook import (
    MOST_AT_ONCE,
    ResendWebhook,
    ResendWebhooks,
    resend_webhook,
    resend_webhooks,
)
from services.orders.usecases.rotate_webhook import RotateWebhook, rotate_webhook
from services.orders.usecases.settle_webhook import WebhookTried, settle_webhook
from services.orders.webhook_secrets import secret_of
from shared.contracts.orders import OrderPlaced
from shared.contracts.payments import RefundSucceeded
from shared.effects import Decision, Moment, Reply
from shared.errors import Refusal
from tests.builders.orders import NOON

STORE, OTHER = "str_demo", "str_other"
URL = "https://shop.example.com/hook"
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def now(at: datetime = NOON, message_id: str = "cmd_1") -> Moment:
    return Moment(decided_at=at, occurred_at=at, message_id=message_id, store_id=STORE)


def an_endpoint(**changes: Any) -> Endpoint:
    usual: dict[str, Any] = {
        "id": "whe_1",
        "store_id": STORE,
        "url": URL,
        "event_types": ("*",),
        "description": "",
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Endpoint(**(usual | changes))


def a_delivery(**changes: Any) -> Delivery:
    usual: dict[str, Any] = {
        "id": "whd_1",
        "endpoint_id": "whe_1",
        "store_id": STORE,
        "event_id": "evt_1",
        "event_type": OrderPlaced.event_type,
        "order_id": "ord_1",
        "created_at": NOON,
        "next_at": NOON,
        "tries": 1,
        "attempts": 1,
        "claimed_until": NOON + 45 * SECOND,
    }
    return Delivery(**(usual | changes))


def a_book(*items: Endpoint | Delivery) -> OrderBook:
    book = OrderBook()
    for item in items:
        (book.webhooks.endpoints if isinstance(item, Endpoint) else book.webhooks.deliveries)[item.id] = item  # pyright: ignore[reportArgumentType]
    return book


def tried(status: int | None = 200, *, number: int = 1, retry_after: timedelta | None = None) -> WebhookTried:
    attempt = Attempt(
        delivery_id="whd_1",
        number=number,
        at=NOON,
        duration_ms=5,
        status=status,
        error="" if status else "timeout",
        response="",
    )
    return WebhookTried(attempt=attempt, url=URL, retry_after=retry_after)


def reply_of(decision: Decision) -> Reply:
    assert not isinstance(decision, Refusal), decision
    (reply,) = decision
    assert isinstance(reply, Reply)
    return reply


def code_of(decision: Decision) -> str:
    assert isinstance(decision, Refusal)
    return decision.code


# ── What an endpoint hears ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_event_is_heard_by_its_type_by_a_beginning_of_it_and_by_all() -> None:
    assert patterns_of(RefundSucceeded.event_type) == (
        "*",
        "payments.*",
        "payments.refund.*",
        "payments.refund.succeeded.*",
        RefundSucceeded.event_type,
    )


@pytest.mark.parametrize("pattern", ["orders.order.place.v1", "order.*", "orders", "orders.order", "*.placed", PING])
def test_a_pattern_that_would_hear_nothing_is_refused_with_what_there_is(pattern: str) -> None:
    assert hearing_nothing([pattern, "*"]) == [pattern]
    refusal = register_webhook(a_registration(event_types=("*", pattern)), OrderBook(), now())
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.facts["unknown"]) == ("webhook_endpoint.unknown_event_type", [pattern])
    assert OrderPlaced.event_type in refusal.facts["known"]


def test_what_happens_to_orders_is_told_and_what_is_only_a_state_is_not() -> None:
    services = {event_type.partition(".")[0] for event_type in told_types()}
    assert services == {"orders", "inventory", "logistics", "payments", "risk", "support"}
    assert not [event_type for event_type in told_types() if event_type.startswith(("catalog.", "inventory.stock."))]


# ── The schedule ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ten_tries_are_made_over_about_three_days() -> None:
    assert MOST_TRIES == 10
    assert sum(RETRY_AFTER, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


def test_pauses_differ_from_delivery_to_delivery_and_are_the_same_for_each() -> None:
    pauses = [pause_after(4, f"whd_{n}") for n in range(500)]
    assert all(2 * HOUR * (1 - JITTER) <= pause <= 2 * HOUR * (1 + JITTER) for pause in pauses)
    assert max(pauses) - min(pauses) > 2 * HOUR * JITTER  # they are really spread
    assert pauses == [pause_after(4, f"whd_{n}") for n in range(500)]


def test_a_delivery_that_fails_ten_times_is_exhausted() -> None:
    delivery, at = a_delivery(tries=0), NOON
    for tries in range(1, MOST_TRIES + 1):
        delivery.tries = tries
        delivery.failed(at)
        if tries < MOST_TRIES:
            assert delivery.status is DeliveryStatus.PENDING
            assert delivery.next_at - at == pause_after(tries, delivery.id)
            at = delivery.next_at
    assert (delivery.status, delivery.settled_at) == (DeliveryStatus.EXHAUSTED, at)
    assert 65 * HOUR < at - NOON < 85 * HOUR


def test_an_endpoint_that_asks_for_patience_gets_it_within_a_bound() -> None:
    for asked, granted in ((2 * HOUR, 2 * HOUR), (SECOND, pause_after(1, "whd_1")), (9 * DAY, LONGEST_RETRY_AFTER)):
        delivery = a_delivery()
        delivery.failed(NOON, asked)
        assert delivery.next_at - NOON == granted


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (301, Verdict.FAILED),
        (304, Verdict.FAILED),
        (308, Verdict.FAILED),
        (400, Verdict.FAILED),
        (404, Verdict.FAILED),
        (410, Verdict.GONE),
        (429, Verdict.FAILED),
        (500, Verdict.FAILED),
        (None, Verdict.FAILED),
        (101, Verdict.FAILED),
    ],
)
def test_what_an_answer_means(status: int | None, verdict: Verdict) -> None:
    assert verdict_of(status) is verdict


@pytest.mark.parametrize(
    ("status", "header", "wanted"),
    [
        (429, "120", 120 * SECOND),
        (503, " 5 ", 5 * SECOND),
        (503, "Tue, 24 Nov 2026 13:00:00 GMT", HOUR),
        (503, "Tue, 24 Nov 2026 11:00:00 GMT", timedelta()),
        (503, "99999999999999999999", timedelta(seconds=10**8)),
        (500, "120", None),
        (200, "120", None),
        (429, "", None),
        (429, "soon", None),
        (429, "-5", None),
        (429, "1.5", None),
        (429, "²", None),
        (429, "Tue, 99 Nov 2026 11:00:00 GMT", None),
    ],
)
def test_retry_after_is_understood_as_seconds_or_a_date(status: int, header: str, wanted: timedelta | None) -> None:
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert retry_after_of(status, httpx.Headers({b"retry-after": header.encode()}), at) == wanted


# ── The transition table ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_status_answers_every_turn() -> None:
    assert TURNS.keys() == set(itertools.product(DeliveryStatus, Turn))


def test_what_arrived_has_arrived_and_only_a_wish_sends_it_again() -> None:
    for turn in Turn:
        expected = DeliveryStatus.PENDING if turn is Turn.ASKED_AGAIN else DeliveryStatus.DELIVERED
        assert TURNS[DeliveryStatus.DELIVERED, turn] is expected
    assert {TURNS[status, Turn.DELIVERED] for status in DeliveryStatus} == {DeliveryStatus.DELIVERED}


# ── How an endpoint fares ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_endpoint_that_fails_rests_ever_longer_and_a_success_ends_it() -> None:
    endpoint, rests, at = an_endpoint(), list[timedelta](), NOON
    for _ in range(REST_AFTER_FAILURES + 12):
        endpoint.hear(Verdict.FAILED, at)
        rests.append((endpoint.resting_until or at) - at)
        at += rests[-1]
    assert rests[: REST_AFTER_FAILURES - 1] == [timedelta()] * (REST_AFTER_FAILURES - 1)
    assert rests[REST_AFTER_FAILURES - 1 :][:3] == [10 * SECOND, 20 * SECOND, 40 * SECOND]
    assert rests[-1] == LONGEST_REST
    assert endpoint.attention is not None
    assert endpoint.attention.code == "webhook_endpoint.failing"
    assert endpoint.hear(Verdict.DELIVERED, NOON)
    assert (endpoint.failures, endpoint.failing_since, endpoint.resting_until, endpoint.attention) == (
        0,
        None,
        None,
        None,
    )


def test_what_was_under_way_when_an_endpoint_went_to_rest_does_not_make_the_rest_longer() -> None:
    endpoint = an_endpoint()
    for _ in range(10):  # as many as are sent at once
        endpoint.hear(Verdict.FAILED, NOON)
    assert endpoint.resting_until == NOON + 10 * SECOND
    endpoint.hear(Verdict.FAILED, NOON + 10 * SECOND)
    assert endpoint.resting_until == NOON + 30 * SECOND
    endpoint.hear(Verdict.FAILED, NOON + 11 * SECOND, 5 * SECOND)
    assert endpoint.resting_until == NOON + 30 * SECOND  # nor shorter
    endpoint.hear(Verdict.FAILED, NOON + 12 * SECOND, HOUR)
    assert endpoint.resting_until == NOON + 12 * SECOND + LONGEST_REST


def test_a_success_after_a_success_changes_nothing_so_that_nothing_is_written() -> None:
    assert not an_endpoint().hear(Verdict.DELIVERED, NOON)


def test_an_endpoint_that_asks_for_patience_rests_as_a_whole_within_a_bound() -> None:
    for asked, rest in ((30 * SECOND, 30 * SECOND), (HOUR, LONGEST_REST)):
        endpoint = an_endpoint()
        endpoint.hear(Verdict.FAILED, NOON, asked)
        assert endpoint.resting_until == NOON + rest


def test_gone_disables_at_once() -> None:
    endpoint = an_endpoint()
    endpoint.hear(Verdict.GONE, NOON)
    assert endpoint.disabled_because is DisabledBecause.GONE
    assert endpoint.attention is not None
    assert (endpoint.attention.code, endpoint.attention.since) == ("webhook_endpoint.gone", NOON)


def test_five_days_of_nothing_but_failures_disable() -> None:
    endpoint, at = an_endpoint(), NOON
    while endpoint.enabled:
        endpoint.hear(Verdict.FAILED, at)
        assert at - NOON <= GIVE_UP_AFTER
        at += 6 * HOUR
    assert endpoint.disabled_because is DisabledBecause.FAILING
    assert endpoint.attention is not None
    assert endpoint.attention.code == "webhook_endpoint.gave_up"


def test_one_success_in_five_days_keeps_it() -> None:
    endpoint = an_endpoint()
    for hours in range(0, 400, 6):
        endpoint.hear(Verdict.DELIVERED if hours == 60 else Verdict.FAILED, NOON + hours * HOUR)
        if hours <= 66 + 114:
            assert endpoint.enabled
    assert not endpoint.enabled


def test_two_failures_with_a_long_silence_between_do_not_disable() -> None:
    endpoint = an_endpoint()
    endpoint.hear(Verdict.FAILED, NOON)
    endpoint.hear(Verdict.FAILED, NOON + 30 * DAY)
    assert endpoint.enabled


def test_a_late_failure_does_not_change_why_it_was_disabled() -> None:
    endpoint = an_endpoint()
    endpoint.disable(DisabledBecause.BY_OWNER, NOON)
    endpoint.hear(Verdict.GONE, NOON + HOUR)
    assert (endpoint.disabled_because, endpoint.disabled_at) == (DisabledBecause.BY_OWNER, NOON)
    assert endpoint.attention is None


def test_enabling_and_a_new_url_begin_with_a_clean_slate() -> None:
    for change in (
        ChangeWebhook(store_id=STORE, endpoint_id="whe_1", disabled=False),
        a_change(url="https://b.example"),
    ):
        endpoint = an_endpoint(failures=9, failing_since=NOON, resting_until=NOON + HOUR)
        if change.disabled is False:
            endpoint.disable(DisabledBecause.FAILING, NOON)
        change_webhook(change, a_book(endpoint), now())
        assert (endpoint.enabled, endpoint.failures, endpoint.resting_until) == (True, 0, None)


def test_the_same_url_again_is_no_clean_slate() -> None:
    endpoint = an_endpoint(failures=9)
    change_webhook(a_change(url=endpoint.url), a_book(endpoint), now())
    assert endpoint.failures == 9


# ── Secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_follows_from_key_endpoint_and_version_and_from_nothing_less() -> None:
    secrets = {
        secret_of(key, endpoint, version)
        for key, endpoint, version in itertools.product((b"a" * 32, b"b" * 32), ("whe_1", "whe_2"), (1, 2))
    }
    assert len(secrets) == 8
    assert secret_of(b"a" * 32, "whe_1", 1) in secrets
    assert all(
        secret.startswith("whsec_") and len(secret) == 6 + 44 for secret in secrets
    )  # 32 bytes: 24 to 64 are asked


def test_after_a_rotation_both_secrets_sign_for_a_day() -> None:
    endpoint = an_endpoint()
    assert endpoint.secrets_at(NOON) == (1,)
    reply = reply_of(rotate_webhook(RotateWebhook(store_id=STORE, endpoint_id="whe_1"), a_book(endpoint), now()))
    assert reply.body == {"id": "whe_1", "secret_version": 2}
    assert endpoint.secrets_at(NOON + ROTATION_OVERLAP - SECOND) == (2, 1)
    assert endpoint.secrets_at(NOON + ROTATION_OVERLAP) == (2,)
    endpoint.rotate(NOON + HOUR)
    assert endpoint.secrets_at(NOON + HOUR) == (3, 2)  # what was rotated away twice signs nothing


def test_either_secret_verifies_what_both_have_signed() -> None:
    secrets, body, at = (
        [secret_of(b"k" * 32, "whe_1", version) for version in (2, 1)],
        b'{"a":"\xc3\xbc"}',
        datetime.now(UTC),
    )
    headers = {
        "webhook-id": "whd_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signatures(secrets, "whd_1", at, body),
    }
    for secret in secrets:
        assert Webhook(secret).verify(body, headers) == {"a": "ü"}
    for spoilt in (b'{"a":"u"}', body + b" "):
        with pytest.raises(Exception, match="No matching signature"):
            Webhook(secrets[0]).verify(spoilt, headers)


# ── Commands ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_registration(**changes: Any) -> RegisterWebhook:
    usual: dict[str, Any] = {"store_id": STORE, "url": URL, "event_types": ("*",)}
    return RegisterWebhook(**(usual | changes))


def a_change(**changes: Any) -> ChangeWebhook:
    return ChangeWebhook(store_id=STORE, endpoint_id="whe_1", **changes)


def test_a_store_has_a_bounded_number_of_endpoints() -> None:
    book = OrderBook()
    for n in range(MOST_ENDPOINTS):
        register_webhook(a_registration(), book, now(message_id=f"cmd_{n}"))
    assert code_of(register_webhook(a_registration(), book, now(message_id="cmd_x"))) == "webhook_endpoint.too_many"
    reply_of(register_webhook(a_registration(store_id=OTHER), book, now(message_id="cmd_y")))


@pytest.mark.parametrize(
    "decide",
    [
        lambda book: change_webhook(ChangeWebhook(store_id=OTHER, endpoint_id="whe_1", disabled=True), book, now()),
        lambda book: remove_webhook(RemoveWebhook(store_id=OTHER, endpoint_id="whe_1"), book, now()),
        lambda book: rotate_webhook(RotateWebhook(store_id=OTHER, endpoint_id="whe_1"), book, now()),
        lambda book: ping_webhook(PingWebhook(store_id=OTHER, endpoint_id="whe_1"), book, now()),
        lambda book: resend_webhooks(ResendWebhooks(store_id=OTHER, endpoint_id="whe_1", since=NOON), book, now()),
        lambda book: resend_webhook(ResendWebhook(store_id=OTHER, delivery_id="whd_1"), book, now()),
    ],
)
def test_what_is_anothers_is_not_there_and_stays_as_it_is(decide: Any) -> None:
    endpoint, delivery = an_endpoint(), a_delivery()
    before = replace(endpoint), replace(delivery)
    book = a_book(endpoint, delivery)
    assert code_of(decide(book)).endswith(".not_found")
    assert (endpoint, delivery) == before
    assert not book.webhooks.changed | book.webhooks.new | book.webhooks.removed


def test_a_wrong_type_in_a_change_changes_nothing() -> None:
    endpoint = an_endpoint()
    decision = change_webhook(a_change(event_types=("orders",), url="https://b.example"), a_book(endpoint), now())
    assert code_of(decision) == "webhook_endpoint.unknown_event_type"
    assert endpoint == an_endpoint()


def test_a_ping_goes_to_an_endpoint_that_listens_to_something_else_and_wakes_it() -> None:
    endpoint = an_endpoint(event_types=("risk.*",), resting_until=NOON + HOUR)
    book = a_book(endpoint)
    reply = reply_of(ping_webhook(PingWebhook(store_id=STORE, endpoint_id="whe_1"), book, now()))
    delivery = book.webhooks.deliveries[reply.body["id"]]
    assert (delivery.event_type, delivery.order_id, delivery.next_at) == (PING, "", NOON)
    assert endpoint.resting_until is None


def test_a_disabled_endpoint_is_told_nothing_on_no_wish() -> None:
    endpoint = an_endpoint()
    endpoint.disable(DisabledBecause.GONE, NOON)
    book = a_book(endpoint, a_delivery(status=DeliveryStatus.SKIPPED))
    decisions: Sequence[Decision] = [
        ping_webhook(PingWebhook(store_id=STORE, endpoint_id="whe_1"), book, now()),
        resend_webhook(ResendWebhook(store_id=STORE, delivery_id="whd_1"), book, now()),
        resend_webhooks(ResendWebhooks(store_id=STORE, endpoint_id="whe_1", since=NOON), book, now()),
    ]
    assert [code_of(decision) for decision in decisions] == ["webhook_endpoint.disabled"] * 3


def test_a_delivery_of_a_deleted_endpoint_is_not_sent_again() -> None:
    decision = resend_webhook(ResendWebhook(store_id=STORE, delivery_id="whd_1"), a_book(a_delivery()), now())
    assert code_of(decision) == "webhook_endpoint.deleted"


def test_sent_again_is_sent_now_under_its_own_id_with_all_tries_anew() -> None:
    delivery = a_delivery(status=DeliveryStatus.EXHAUSTED, tries=10, attempts=10, settled_at=NOON, claimed_until=None)
    later = NOON + DAY
    reply_of(
        resend_webhook(ResendWebhook(store_id=STORE, delivery_id="whd_1"), a_book(an_endpoint(), delivery), now(later))
    )
    assert (delivery.status, delivery.tries, delivery.next_at) == (DeliveryStatus.PENDING, 0, later)
    assert (delivery.attempts, delivery.settled_at) == (10, None)  # the log goes on counting


def test_a_wish_does_not_take_a_try_from_the_worker_that_is_at_it() -> None:
    delivery = a_delivery()
    resend_webhook(ResendWebhook(store_id=STORE, delivery_id="whd_1"), a_book(an_endpoint(), delivery), now())
    assert delivery.claimed_until is not None


def test_a_thousand_are_sent_again_at_once_and_the_place_of_the_last_is_told() -> None:
    command = ResendWebhooks(store_id=STORE, endpoint_id="whe_1", since=NOON)
    many = [a_delivery(id=f"whd_{n:04}", status=DeliveryStatus.SKIPPED) for n in range(MOST_AT_ONCE + 1)]
    book = a_book(an_endpoint(), *many)
    book.webhooks.chosen[command] = [delivery.id for delivery in many]
    reply = reply_of(resend_webhooks(command, book, now()))
    assert reply.body == {"resent": MOST_AT_ONCE, "last": [NOON, many[-2].id]}
    assert many[-1].status is DeliveryStatus.SKIPPED
    book.webhooks.chosen[command] = [many[-1].id]
    assert reply_of(resend_webhooks(command, book, now())).body == {"resent": 1, "last": None}


# ── Outcomes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_success_settles_the_delivery() -> None:
    delivery = a_delivery()
    book = a_book(an_endpoint(), delivery)
    settle_webhook(tried(204), book, now())
    assert (delivery.status, delivery.last_status, delivery.claimed_until) == (DeliveryStatus.DELIVERED, 204, None)
    assert book.webhooks.changed == {"whd_1"}  # the endpoint is well as before
    assert len(book.webhooks.attempts) == 1


def test_gone_disables_the_endpoint_and_what_it_was_to_be_told_is_skipped() -> None:
    endpoint, delivery = an_endpoint(), a_delivery()
    settle_webhook(tried(410), a_book(endpoint, delivery), now())
    assert (endpoint.disabled_because, delivery.status) == (DisabledBecause.GONE, DeliveryStatus.SKIPPED)


@pytest.mark.parametrize("status", [410, 500])
def test_what_the_url_before_answers_late_is_not_held_against_the_new_one(status: int) -> None:
    endpoint, delivery = an_endpoint(), a_delivery()
    book = a_book(endpoint, delivery)
    change_webhook(a_change(url="https://new.example.com/hook"), book, now())
    settle_webhook(tried(status), book, now())
    assert (endpoint.enabled, endpoint.failures) == (True, 0)
    assert (delivery.status, delivery.last_status) == (DeliveryStatus.PENDING, status)


def test_no_answer_is_tried_again_and_says_why() -> None:
    delivery = a_delivery()
    settle_webhook(tried(None), a_book(an_endpoint(), delivery), now())
    assert (delivery.status, delivery.last_status, delivery.last_error) == (DeliveryStatus.PENDING, None, "timeout")


def test_a_failure_for_a_deleted_or_disabled_endpoint_is_not_tried_again() -> None:
    disabled = an_endpoint()
    disabled.disable(DisabledBecause.BY_OWNER, NOON)
    for items in ([], [disabled]):
        delivery = a_delivery()
        settle_webhook(tried(500), a_book(*items, delivery), now())
        assert delivery.status is DeliveryStatus.SKIPPED


def test_who_was_overtaken_has_no_say_unless_it_arrived() -> None:
    delivery = a_delivery(attempts=2)
    book = a_book(an_endpoint(), delivery)
    settle_webhook(tried(500, number=1), book, now())
    assert (delivery.next_at, delivery.claimed_until) == (NOON, NOON + 45 * SECOND)  # the later claim is still at it
    settle_webhook(tried(200, number=1), book, now())
    settle_webhook(tried(500, number=2), book, now())
    assert delivery.status is DeliveryStatus.DELIVERED
    assert [attempt.number for attempt in book.webhooks.attempts] == [1, 1, 2]  # the log keeps every one


def test_an_outcome_after_thirty_days_falls_into_the_void() -> None:
    book = OrderBook()
    assert settle_webhook(tried(200), book, now()) == ()
    assert book.webhooks.attempts == []
