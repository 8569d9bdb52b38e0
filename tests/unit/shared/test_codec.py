from datetime import UTC, datetime

import pytest

from shared.contracts.orders import OrderConfirmed
from shared.contracts.values import Allocation
from shared.messaging.codec import Malformed, decode_data, encode_data, headers_of, message_of, open_envelope

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
    ("key", "payload", "broken"),
    [
        (b"", b"{}", {}),
        (b"k", None, {}),
        (b"k", b"{}", {"ce_id": ""}),
        (b"k", b"{}", {"ce_sequence": "0"}),
        (b"k", b"{}", {"ce_sequence": "-1"}),
        (b"k", b"{}", {"ce_sequence": "1e3"}),
        (b"k", b"{}", {"ce_sequence": str(2**63)}),
    ],
)
def test_a_record_without_its_attributes_is_no_event(key: bytes, payload: bytes | None, broken: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        open_envelope(EVENT.topic.name, key, payload, headers(**broken))


@pytest.mark.parametrize("time", ["yesterday", "2026-11-24T12:00:00"])
def test_a_time_without_a_zone_is_malformed(time: str) -> None:
    with pytest.raises(Malformed, match="ce_time"):
        message_of(open_envelope(EVENT.topic.name, b"ord_1", encode_data(EVENT), headers(ce_time=time)), TIME)


def test_bytes_that_no_text_column_takes_are_escaped_and_then_fail_as_json() -> None:
    envelope = open_envelope(EVENT.topic.name, b"ord_1", b'{"order_id":"\x00\xff"}', headers())
    assert b"\x00" not in envelope.payload
    with pytest.raises(Malformed):
        message_of(envelope, TIME)
