from datetime import UTC, datetime

import pytest

from shared.contracts.orders import OrderConfirmed
from shared.contracts.values import Allocation
from shared.messaging.codec import SKIPPED, Malformed, decode_data, encode_data, headers_of, message_of, open_envelope

EVENT = OrderConfirmed(order_id="ord_1", allocations=(Allocation(sku="a", warehouse="w", country="DE", quantity=1),))
TIME = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


def headers(**changes: str) -> list[tuple[str, bytes]]:
    made = headers_of(
        event_id="evt_1",
        event_type=EVENT.event_type,
        source="orders",
        key="ord_1",
        sequence=3,
        time=TIME,
        extensions={"store": "str_1", "market": "DE", "traceparent": ""},
    )
    return [(name, changes.get(name, value.decode()).encode()) for name, value in made]


def test_an_event_comes_out_as_it_went_in() -> None:
    message = message_of(open_envelope(EVENT.topic.name, b"ord_1", encode_data(EVENT), headers()), TIME)
    assert message.body == EVENT
    assert (message.key, message.sequence, message.type) == ("ord_1", 3, "orders.order.confirmed.v1")
    assert (message.moment.message_id, message.moment.store_id, message.moment.occurred_at) == ("evt_1", "str_1", TIME)


def test_the_headers_are_cloudevents_in_binary_mode_and_empty_ones_are_left_out() -> None:
    assert dict(headers()) == {
        "ce_specversion": b"1.0",
        "ce_id": b"evt_1",
        "ce_source": b"/services/orders",
        "ce_type": b"orders.order.confirmed.v1",
        "ce_subject": b"ord_1",
        "ce_time": b"2026-11-24T12:00:00.123456Z",
        "ce_dataschema": b"/schemas/orders.order.confirmed.v1.json",
        "ce_sequence": b"3",
        "content-type": b"application/json",
        "ce_store": b"str_1",
        "ce_market": b"DE",
    }


def test_fields_of_a_later_release_are_ignored() -> None:
    data = encode_data(EVENT)[:-1] + b',"gift_wrap":true}'
    assert decode_data(EVENT.event_type, data) == EVENT


def test_a_type_of_a_later_release_is_not_known() -> None:
    assert decode_data("orders.order.gift_wrapped.v1", b"{}") is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"order_id":7}', b"\xff"])
def test_data_that_does_not_fit_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="does not fit its contract"):
        decode_data(EVENT.event_type, data)


@pytest.mark.parametrize(
    ("key", "broken"),
    [
        (b"", {}),
        (b"\xff", {}),
        (b"a\0b", {}),
        (b"k" * 256, {}),  # more than fits into a primary key with its topic
        (b"k", {"ce_sequence": ""}),
        (b"k", {"ce_sequence": "0"}),
        (b"k", {"ce_sequence": "-1"}),
        (b"k", {"ce_sequence": "1e3"}),
        (b"k", {"ce_sequence": "\u0663"}),
        (b"k", {"ce_sequence": str(2**63)}),
        (b"k", {"ce_sequence": "9" * 5000}),  # Python refuses to read that many digits
    ],
)
def test_a_record_without_a_readable_key_and_sequence_has_no_place(key: bytes, broken: dict[str, str]) -> None:
    with pytest.raises(Malformed, match="not an event"):
        open_envelope(EVENT.topic.name, key, b"{}", headers(**broken))


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ({"ce_id": ""}, "lacks ce_id"),
        ({"ce_type": "", "ce_time": ""}, "lacks ce_type, ce_time"),
        ({"ce_subject": "ord_2"}, "ce_subject is not the record's key"),
        ({"ce_specversion": "2.0"}, "unknown version of CloudEvents"),
        ({"ce_type": "orders.order.confirmed.v2"}, "unknown version: .*this release reads v1"),
        ({"ce_type": "orders.order.confirmed"}, "not an event type with a version"),
        ({"ce_type": "payments.payment.captured.v1"}, "does not belong to this topic"),
        ({"ce_type": "weather.rain.began.v1"}, "does not belong to this topic"),
        ({"ce_dataschema": "/schemas/orders.order.confirmed.v2.json"}, "unknown version: .* with the schema"),
        ({"ce_time": "yesterday"}, "ce_time"),
        ({"ce_time": "2026-11-24T12:00:00"}, "ce_time has no zone"),
    ],
)
def test_what_else_is_wrong_is_found_when_its_turn_has_come(broken: dict[str, str], complaint: str) -> None:
    envelope = open_envelope(EVENT.topic.name, b"ord_1", encode_data(EVENT), headers(**broken))
    assert envelope.stream == (EVENT.topic.name, "ord_1")
    with pytest.raises(Malformed, match=complaint):
        message_of(envelope, TIME)


def test_a_record_without_data_has_a_place_and_no_message() -> None:
    envelope = open_envelope(EVENT.topic.name, b"ord_1", None, headers())
    with pytest.raises(Malformed, match="it has no data"):
        message_of(envelope, TIME)


def test_a_record_beyond_a_mebibyte_has_a_place_and_no_message() -> None:
    padded = encode_data(EVENT)[:-1] + b',"note":"' + b"a" * 1024 * 1024 + b'"}'
    with pytest.raises(Malformed, match="larger than 1048576 bytes"):
        message_of(open_envelope(EVENT.topic.name, b"ord_1", padded, headers()), TIME)


def test_data_of_another_key_than_the_records_is_malformed() -> None:
    other = EVENT.__class__(order_id="ord_2", allocations=EVENT.allocations)
    with pytest.raises(Malformed, match="order_id is not the record's key"):
        message_of(open_envelope(EVENT.topic.name, b"ord_1", encode_data(other), headers()), TIME)


@pytest.mark.parametrize("new_type", ["orders.order.gift_wrapped.v1", "orders.order.gift_wrapped.v3", SKIPPED])
def test_an_event_of_a_new_type_and_one_that_was_given_up_have_no_body(new_type: str) -> None:
    envelope = open_envelope(EVENT.topic.name, b"ord_1", b"{}", headers(ce_type=new_type, ce_dataschema=""))
    assert message_of(envelope, TIME).body is None


def test_attributes_that_others_add_are_read_whatever_is_in_them() -> None:
    odd = [*headers(), ("null", None), ("a\0b", b"\xff\0")]
    envelope = open_envelope(EVENT.topic.name, b"ord_1", encode_data(EVENT), odd)
    assert (envelope.attributes["null"], envelope.attributes["a\\x00b"]) == ("", "\\xff\\x00")
    assert message_of(envelope, TIME).body == EVENT


def test_a_complaint_never_quotes_the_data() -> None:
    with pytest.raises(Malformed) as caught:
        decode_data(EVENT.event_type, b'{"order_id": 7, "allocations": "Heidestrasse 17"}')
    assert "Heidestrasse" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "order_id: Input should be a valid string" in str(caught.value)


def test_bytes_that_no_text_column_takes_are_escaped_and_then_fail_as_json() -> None:
    envelope = open_envelope(EVENT.topic.name, b"ord_1", b'{"order_id":"\x00\xff"}', headers())
    assert b"\x00" not in envelope.payload
    with pytest.raises(Malformed):
        message_of(envelope, TIME)
