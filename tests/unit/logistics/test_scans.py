"""Scans may come in any order, twice, late or never: the parcel ends where it is."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.logistics.domain.parcels import Scan, Way
from shared.contracts.logistics import ShipmentDelivered, ShipmentDispatched, TrackingStatus
from shared.contracts.registry import Event
from tests.builders.logistics import NOON, a_scan
from tests.unit.logistics.test_handover import Story, booked

JOURNEY = [
    a_scan(TrackingStatus.PICKED_UP, parcel="p", hours=1),
    a_scan(TrackingStatus.IN_TRANSIT, parcel="p", hours=2),
    a_scan(TrackingStatus.CUSTOMS, parcel="p", hours=30),
    a_scan(TrackingStatus.IN_TRANSIT, parcel="p", hours=40, webhook_id="whk_in_transit_again"),
    a_scan(TrackingStatus.DELIVERED, parcel="p", hours=60),
]


def ending(scans: list[Scan]) -> Way:
    way = Way()
    for scan in scans:
        way.take(scan)
    return way


@pytest.mark.parametrize("order", list(permutations(range(len(JOURNEY)))))
def test_any_order_of_webhooks_ends_alike(order: tuple[int, ...]) -> None:
    story = booked()
    effects = []
    for place in order:
        scan = JOURNEY[place]
        hours = (scan.scanned_at - NOON).total_seconds() / 3600
        effects += story.scan(scan.status, hours=hours)
    told = [type(effect) for effect in effects if isinstance(effect, Event)]
    assert story.box().way == ending(JOURNEY)
    assert told.count(ShipmentDispatched) == told.count(ShipmentDelivered) == 1


scans = st.lists(
    st.builds(
        lambda status, hours: a_scan(status, parcel="p", hours=hours),
        st.sampled_from(TrackingStatus),
        st.integers(0, 5),
    ),
    max_size=8,
)


@given(scans=scans, data=st.data())
def test_no_order_and_no_repetition_changes_where_a_parcel_is(scans: list[Scan], data: st.DataObject) -> None:
    again = data.draw(st.permutations([*scans, *scans]))
    assert ending(scans) == ending(list(again))


@given(scans=scans)
def test_what_is_told_never_goes_back(scans: list[Scan]) -> None:
    way = Way()
    ended = False
    for scan in scans:
        if way.take(scan) and scan.status not in (
            TrackingStatus.LOST,
            TrackingStatus.RETURNED,
            TrackingStatus.DELIVERED,
        ):
            assert not ended
        ended = ended or way.status in (TrackingStatus.LOST, TrackingStatus.RETURNED, TrackingStatus.DELIVERED)


def test_a_label_scan_is_no_hand_over() -> None:
    story: Story = booked()
    story.scan(TrackingStatus.LABEL_CREATED)
    assert not story.box().way.handed_over
