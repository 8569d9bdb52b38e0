"""Order numbers, signals, the copy of the catalog, the timeline, and the Prefer header."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.api import wanted_wait
from services.orders.domain.axes import FULFILMENT_STATUSES, PAYMENT_STATUSES, fulfilment_status, payment_status
from services.orders.domain.facts import Facts, Payment, Shipment
from services.orders.domain.number import as_written, order_number
from services.orders.domain.offer import offer_of
from services.orders.domain.recipient import Address, Client, Recipient, destination_of, signals_of
from services.orders.domain.timeline import SUMMARIES, Happening, in_causal_order, summary
from services.orders.domain.webhook import hearing_nothing, told_types
from services.orders.usecases.learn_offer import learn_offer
from shared.contracts.catalog import ProductWithdrawn
from shared.contracts.orders import AnswerAwaited
from shared.contracts.registry import EVENTS, TopicKind
from shared.contracts.values import Destination
from shared.ids import new_id
from tests.builders import orders as b

KEY = b"0123456789abcdef0123456789abcdef"


# ── Order numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_neighbours_in_time_have_nothing_in_common() -> None:
    numbers = [order_number(new_id("ord")) for _ in range(2_000)]
    assert len(set(numbers)) == len(numbers)
    assert len({number[:2] for number in numbers}) > 500, "a number must not tell when it was given"


def test_a_number_that_was_read_out_is_found() -> None:
    number = order_number(b.ORDER)
    assert as_written(number.lower().replace("-", " ").replace("0", "o").replace("1", "l")) == number


# ── Signals ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def signals(**changes: object) -> dict[str, str]:
    client = Client(device_id="d1", ip=str(changes.pop("ip", "203.0.113.7")))
    found = signals_of(b.a_recipient(customer_id="c1", **changes), client, "fp_1", KEY)
    return {name: getattr(found, name) for name in ("customer", "email", "phone", "device", "address", "ip", "card")}


def test_spelling_makes_nobody_another_person() -> None:
    street = Address(line1="HEIDESTRASSE, 17 ", city="berlin", postcode="10 557", country="DE")
    assert signals(email=" Erika@Example.COM ", phone="0049 (30) 90-1820", address=street) == signals()


def test_another_person_is_another_person() -> None:
    for changes in (
        {"email": "e@example.com"},
        {"phone": "+49 30 901821"},
        {"address": Address(line1="x", country="DE")},
    ):
        other, own = signals(**changes), signals()
        (name,) = changes
        assert {key for key in own if own[key] != other[key]} == {name}


def test_a_household_moves_within_its_network() -> None:
    assert signals(ip="2001:db8:1:2::1")["ip"] == signals(ip="2001:db8:1:2:ffff::9")["ip"]
    assert signals(ip="2001:db8:1:2::1")["ip"] != signals(ip="2001:db8:1:3::1")["ip"]
    assert signals(ip="::ffff:203.0.113.7")["ip"] == signals()["ip"]


def test_the_same_text_in_two_fields_is_two_hashes() -> None:
    found = signals_of(Recipient(email="x", customer_id="x"), Client(device_id="x"), "", KEY)
    assert len({found.customer, found.email, found.device}) == 3


def test_what_is_unknown_stays_empty() -> None:
    found = signals_of(Recipient(), Client(), "", KEY)
    assert not any((found.customer, found.email, found.phone, found.device, found.address, found.ip, found.card))


def test_without_the_key_nobody_recognises_anybody() -> None:
    other = signals_of(b.a_recipient(), Client(), "", KEY[::-1])
    assert other.email != signals_of(b.a_recipient(), Client(), "", KEY).email
    assert "erika" not in repr(other)


@pytest.mark.parametrize(("region", "code"), [("CA", "CA"), ("us-ca", "CA"), ("California", ""), ("", "")])
def test_a_region_leaves_only_as_a_code(region: str, code: str) -> None:
    assert destination_of("US", region, "94105") == Destination(country="US", region=code, postal_area="941")


# ── The copy of the catalog ───────────────────────────────────────────────────────────────────────────────────────────


@given(st.permutations([b.a_product(version=1), b.a_product(version=2), ProductWithdrawn(sku="MUG", version=3)]))
def test_the_newest_version_wins_in_any_order(events: list[object]) -> None:
    book = b.a_book(b.an_offer("OTHER"))
    for event in events:
        learn_offer(event, book, b.a_moment())  # pyright: ignore[reportArgumentType]
    assert (book.offers["MUG"].version, book.offers["MUG"].withdrawn) == (3, True)


def test_what_is_old_is_not_even_saved() -> None:
    book = b.a_book(b.an_offer(version=5))
    learn_offer(b.a_product(version=5), book, b.a_moment())
    assert not book.learned


def test_a_withdrawal_keeps_the_prices_and_a_return_takes_new_ones() -> None:
    offer = offer_of(b.a_product(), b.STORE).learn(ProductWithdrawn(sku="MUG", version=2))
    assert offer.withdrawn
    assert offer.price("DE") is not None
    assert not offer.learn(b.a_product(version=3)).withdrawn


# ── The timeline ──────────────────────────────────────────────────────────────────────────────────────────────────────


def happening(name: str, cause: str = "", *, topic: str = "t", sequence: int = 1, at: int = 0) -> Happening:
    when = b.NOON + timedelta(seconds=at)
    return Happening(
        event_id=name,
        order_id=b.ORDER,
        type="x.y.z.v1",
        topic=topic,
        sequence=sequence,
        cause=cause,
        at=when,
        payload="{}",
    )


def names(*happenings: Happening) -> list[str]:
    return [found.event_id for found in in_causal_order(happenings)]


def test_a_clock_that_is_ahead_puts_no_effect_before_its_cause() -> None:
    assert names(happening("effect", "cause", topic="b", at=-60), happening("cause", "cmd_1", topic="a", at=0)) == [
        "cause",
        "effect",
    ]


def test_a_topic_keeps_its_sequence_whatever_its_clock_says() -> None:
    assert names(happening("2", sequence=2, at=0), happening("1", sequence=1, at=5)) == ["1", "2"]


def test_what_nothing_binds_goes_by_time() -> None:
    assert names(
        happening("b", topic="b", at=2), happening("a", topic="a", at=1), happening("c", topic="c", at=3)
    ) == list("abc")


def test_a_circle_of_forged_causes_still_ends() -> None:
    found = names(happening("a", "b", topic="a"), happening("b", "a", topic="b"), happening("c", "c", topic="c", at=9))
    assert sorted(found) == ["a", "b", "c"]


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from("xyz"), st.integers(-5, 5)), max_size=10, unique_by=lambda e: e[0]
    )
)
def test_no_story_loses_or_repeats_an_event(raw: list[tuple[int, str, int]]) -> None:
    events = [
        happening(str(number), str((number * 7) % 10), topic=topic, sequence=number, at=at) for number, topic, at in raw
    ]
    told = names(*events)
    assert sorted(told) == sorted(event.event_id for event in events)


def test_every_event_about_an_order_has_its_words() -> None:
    streams = {name for name, kind in EVENTS.items() if kind.topic.kind is TopicKind.STREAM}
    assert streams == set(SUMMARIES)
    assert summary(
        "orders.order.hold_placed.v1", {"code": "stock", "reasons": [{"message": "a"}, {"message": "b"}]}
    ) == ("Held (stock): a; b")
    assert summary("some.new.event.v9", {}) == "some.new.event.v9"
    assert summary("orders.order.placed.v1", {}) == "Order ? came in over ?"


def test_what_services_ask_one_another_is_in_the_timeline_and_no_webhooks_to_hear() -> None:
    question = AnswerAwaited.event_type
    assert question in SUMMARIES
    assert question not in told_types()
    assert hearing_nothing([question, "orders.*"]) == [question]


# ── The axes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_payment_fact_has_its_status() -> None:
    found = {payment_status(Facts(payment=payment), 100) for payment in Payment}
    found |= {payment_status(Facts(refunded=part), 100) for part in (1, 100)}
    assert found == set(PAYMENT_STATUSES)


def test_every_shipment_fact_has_its_status() -> None:
    trouble = b.in_trouble().reason
    found = {fulfilment_status(Facts(shipment=shipment)) for shipment in Shipment}
    found |= {fulfilment_status(Facts(shipment=shipment, trouble=trouble)) for shipment in Shipment}
    assert found == set(FULFILMENT_STATUSES)


# ── Prefer ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5),
        ("respond-async, wait=10", 10),
        ('WAIT = "7"', 7),
        ("wait=3; foo", 3),
        ("wait=600", 30),
        ("wait=0", 0),
        ("wait=soon", None),
        ("await=5", None),
        ("wait=-5", None),
        ("", None),
    ],
)
def test_a_preference_that_is_not_understood_is_ignored(header: str, seconds: int | None) -> None:
    assert wanted_wait(header) == seconds
