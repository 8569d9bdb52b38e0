"""The hand-over table: every signal in every state has an answer, and each answer does what it says."""

from collections.abc import Callable
from typing import Any

import pytest

from services.logistics.consumers import routes
from services.logistics.domain import calls
from services.logistics.domain.consignment import Consignment
from services.logistics.domain.desk import Desk, Place
from services.logistics.domain.documents import DocumentType
from services.logistics.domain.handover import TABLE, Act, Signal, State
from services.logistics.domain.parcels import Label
from services.logistics.usecases.record_scan import RecordScan
from services.logistics.usecases.retry_booking import RetryBooking
from services.logistics.usecases.supply_document import SupplyDocument
from shared.contracts.logistics import (
    CancellationRefused,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentException,
    ShipmentLost,
    ShipmentTracked,
    TrackingStatus,
)
from shared.contracts.orders import OrderCancellationRequested, OrderCancelled, OrderConfirmed, OrderRejected
from shared.contracts.registry import Event
from shared.contracts.values import Allocation, GoodsFlag
from shared.effects import Answered, Call, Decision, Effect, Reply
from shared.errors import Refusal
from shared.messaging.routing import Router
from tests.builders.logistics import ORDER, RECIPIENT, STORE, a_desk, a_product, a_scan, confirmed, now, placed

ROUTER: Router[Desk] = Router()
routes(ROUTER)
NUMBERS = ("LX000000015CN", "LX000000029CN")
FOUND = {"recipient": RECIPIENT}


def tell(desk: Desk, body: Any) -> list[Effect]:
    """Let a message be decided; what was decided stays in the desk."""
    decision = ROUTER.decide(body, desk, now())
    assert not isinstance(decision, Refusal), decision
    return list(decision)


def the_call(effects: list[Effect], kind: str) -> list[Call]:
    return [effect for effect in effects if isinstance(effect, Call) and effect.kind == kind]


def events(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects if isinstance(effect, Event)]


def reply_to(call: Call, answer: dict[str, Any] | None) -> Answered:
    return Answered(call.id, call.kind, call.key, call.request, answer)


class Story:
    """An order that is told step by step; `parcels` warehouses, one parcel each."""

    def __init__(self, parcels: int = 1, **product: Any) -> None:
        self.last: dict[tuple[str, str], Call] = {}
        self.desk = a_desk(a_product(**product))
        self.parcels = parcels
        self.effects = self.tell(placed(quantity=parcels))

    def tell(self, body: Any) -> list[Effect]:
        self.effects = tell(self.desk, body)
        for effect in self.effects:
            if isinstance(effect, Call):
                self.last[effect.kind, effect.request["subject"]] = effect
        for box in self.order.boxes:  # where the repository would find them
            self.desk.places[box.parcel_id] = Place(ORDER, box.parcel_id)
        return self.effects

    @property
    def order(self) -> Consignment:
        return self.desk.consignments[ORDER]

    def box(self, number: int = 0) -> Any:
        return self.order.boxes[number]

    def confirm(self) -> list[Effect]:
        items = (Allocation(sku="MUG-1", warehouse=f"W{n}", country="CN", quantity=1) for n in range(self.parcels))
        return self.tell(OrderConfirmed(order_id=ORDER, allocations=tuple(items)))

    def address(self, answer: dict[str, Any] | None = None) -> list[Effect]:
        return self.tell(reply_to(self.last[calls.RECIPIENT, ORDER], answer or FOUND))

    def label(self, number: int = 0, answer: dict[str, Any] | None = None) -> list[Effect]:
        call = self.last[calls.LABEL, self.box(number).label_key]
        return self.tell(reply_to(call, answer or {"tracking_number": NUMBERS[number]}))

    def void(self, number: int = 0, answer: dict[str, Any] | None = None) -> list[Effect]:
        call = self.last[calls.VOID_LABEL, self.box(number).label_key]
        return self.tell(reply_to(call, answer or {"voided": True}))

    def scan(self, status: TrackingStatus, number: int = 0, hours: float = 1) -> list[Effect]:
        return self.tell(
            RecordScan(a_scan(status, parcel=self.box(number).parcel_id, number=NUMBERS[number], hours=hours))
        )

    def cancel(self) -> list[Effect]:
        return self.tell(OrderCancellationRequested(order_id=ORDER, reason="changed_mind", requested_by="buyer"))


def awaiting() -> Story:
    return Story()


def addressing() -> Story:
    story = Story()
    story.confirm()
    return story


def labelling() -> Story:
    story = addressing()
    story.address()
    return story


def stuck() -> Story:
    story = labelling()
    story.label(answer={"refused": {"code": "address.refused", "detail": "no courier goes there"}})
    return story


def booked() -> Story:
    story = labelling()
    story.label()
    return story


def dispatched() -> Story:
    story = booked()
    story.scan(TrackingStatus.PICKED_UP)
    return story


def delivered() -> Story:
    story = dispatched()
    story.scan(TrackingStatus.DELIVERED, hours=5)
    return story


def lost() -> Story:
    story = dispatched()
    story.scan(TrackingStatus.LOST, hours=5)
    return story


def voiding() -> Story:
    story = booked()
    story.cancel()
    return story


def cancelled() -> Story:
    story = voiding()
    story.void()
    return story


STORIES: dict[State, Callable[[], Story]] = {
    State.AWAITING: awaiting, State.ADDRESSING: addressing, State.LABELLING: labelling, State.STUCK: stuck,
    State.BOOKED: booked, State.DISPATCHED: dispatched, State.DELIVERED: delivered, State.LOST: lost,
    State.VOIDING: voiding, State.CANCELLED: cancelled,
}  # fmt: skip


def test_the_table_answers_every_signal_in_every_state() -> None:
    assert set(TABLE) == {(state, signal) for state in State for signal in Signal}
    assert set(TABLE.values()) == set(Act)


@pytest.mark.parametrize("state", State)
def test_a_story_reaches_every_state(state: State) -> None:
    assert STORIES[state]().order.state is state


# What every message does in every state: (state, message) to (next state, events). What is not here changes nothing.
CANCEL = OrderCancellationRequested(order_id=ORDER, reason="changed_mind", requested_by="buyer")
MESSAGES: dict[str, Any] = {
    "confirmed": confirmed(quantity=1),
    "cancel": CANCEL,
    "rejected": OrderRejected(order_id=ORDER, reasons=()),
    "cancelled": OrderCancelled(order_id=ORDER, reason="changed_mind", requested_by="buyer"),
}
MOVES: dict[tuple[State, str], tuple[State, list[type]]] = {
    (State.AWAITING, "confirmed"): (State.ADDRESSING, []),
    (State.AWAITING, "cancel"): (State.CANCELLED, [ShipmentCancelled]),
    (State.AWAITING, "rejected"): (State.CANCELLED, []),
    (State.AWAITING, "cancelled"): (State.CANCELLED, []),
    (State.ADDRESSING, "cancel"): (State.CANCELLED, [ShipmentCancelled]),
    (State.ADDRESSING, "rejected"): (State.CANCELLED, [ShipmentCancelled]),
    (State.ADDRESSING, "cancelled"): (State.CANCELLED, [ShipmentCancelled]),
    (State.LABELLING, "cancel"): (State.VOIDING, []),
    (State.LABELLING, "rejected"): (State.VOIDING, []),
    (State.LABELLING, "cancelled"): (State.VOIDING, []),
    (State.STUCK, "cancel"): (State.CANCELLED, [ShipmentCancelled]),
    (State.STUCK, "rejected"): (State.CANCELLED, [ShipmentCancelled]),
    (State.STUCK, "cancelled"): (State.CANCELLED, [ShipmentCancelled]),
    (State.BOOKED, "cancel"): (State.VOIDING, []),
    (State.BOOKED, "rejected"): (State.VOIDING, []),
    (State.BOOKED, "cancelled"): (State.VOIDING, []),
    (State.DISPATCHED, "cancel"): (State.DISPATCHED, [CancellationRefused]),
    (State.DELIVERED, "cancel"): (State.DELIVERED, [CancellationRefused]),
    (State.LOST, "cancel"): (State.LOST, [CancellationRefused]),
    (State.CANCELLED, "cancel"): (State.CANCELLED, [ShipmentCancelled]),
}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("state", State)
def test_every_message_of_orders_in_every_state(state: State, message: str) -> None:
    story = STORIES[state]()
    effects = story.tell(MESSAGES[message])
    assert (story.order.state, events(effects)) == MOVES.get((state, message), (state, []))


SCANNED: dict[State, tuple[State, list[type]]] = {
    State.LABELLING: (State.DISPATCHED, [ShipmentTracked, ShipmentBooked, ShipmentDispatched]),
    State.STUCK: (State.STUCK, [ShipmentTracked]),
    State.BOOKED: (State.DISPATCHED, [ShipmentTracked, ShipmentDispatched]),
    State.DISPATCHED: (State.DISPATCHED, [ShipmentTracked]),
    State.DELIVERED: (State.DELIVERED, []),
    State.LOST: (State.LOST, []),
    State.VOIDING: (State.DISPATCHED, [ShipmentTracked, CancellationRefused, ShipmentDispatched]),
    State.CANCELLED: (State.CANCELLED, []),
}


@pytest.mark.parametrize("state", SCANNED)
def test_a_scan_in_transit_in_every_state_with_a_parcel(state: State) -> None:
    story = STORIES[state]()
    effects = story.scan(TrackingStatus.IN_TRANSIT, hours=2)
    assert (story.order.state, events(effects)) == SCANNED[state]


@pytest.mark.parametrize("state", State)
def test_only_a_stuck_shipment_is_booked_again(state: State) -> None:
    story = STORIES[state]()
    decision: Decision = ROUTER.decide(RetryBooking(STORE, ORDER), story.desk, now())
    assert isinstance(decision, Refusal) is (state is not State.STUCK)


@pytest.mark.parametrize("state", [state for state in State if state is not State.AWAITING])
def test_papers_are_judged_no_more_once_booking_began(state: State) -> None:
    story = STORIES[state]()
    document = SupplyDocument(store_id=STORE, type=DocumentType.OTHER, order_id=ORDER, identifiers={})
    assert [type(effect) for effect in story.tell(document)] == [Reply]
    assert story.order.state is state


# ── Booking ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_shipment_is_booked_with_its_last_label() -> None:
    story = Story(parcels=2)
    story.confirm()
    labels = the_call(story.address(), calls.LABEL)
    assert [call.request["subject"] for call in labels] == [box.parcel_id for box in story.order.boxes]
    assert events(story.label(1)) == []
    (booking,) = [effect for effect in story.label(0) if isinstance(effect, ShipmentBooked)]
    assert [parcel.tracking_number for parcel in booking.parcels] == list(NUMBERS)


def test_no_call_carries_a_name_or_an_address() -> None:
    story = booked()
    story.cancel()
    words = ("Groß", "Hauptstr", "Köln", "50667", "j@example.com")
    assert story.last
    for call in story.last.values():
        assert not any(word in str(call.request) for word in words)


def test_an_unknown_label_is_looked_up_before_it_is_bought_again() -> None:
    story = labelling()
    call = story.last[calls.LABEL, story.box().label_key]
    (look_up,) = the_call(story.tell(reply_to(call, None)), calls.FIND_LABEL)
    assert look_up.not_before is not None
    (again,) = the_call(story.tell(reply_to(look_up, {"absent": True})), calls.LABEL)
    assert (again.request["subject"], again.id != call.id) == (call.request["subject"], True)
    assert events(story.tell(reply_to(again, {"tracking_number": NUMBERS[0]}))) == [ShipmentBooked]


def test_a_label_that_is_found_is_not_bought_again() -> None:
    story = labelling()
    (look_up,) = the_call(story.tell(reply_to(story.last[calls.LABEL, story.box().label_key], None)), calls.FIND_LABEL)
    effects = story.tell(reply_to(look_up, {"tracking_number": NUMBERS[0]}))
    assert events(effects) == [ShipmentBooked]
    assert the_call(effects, calls.LABEL) == []


def test_a_look_up_that_is_not_answered_is_made_later_each_time() -> None:
    story = labelling()
    call: Call = story.last[calls.LABEL, story.box().label_key]
    pauses: list[float] = []
    for _ in range(12):
        (call,) = [e for e in story.tell(reply_to(call, None)) if isinstance(e, Call)]
        assert call.not_before is not None
        pauses.append((call.not_before - now().decided_at).total_seconds())
    assert pauses[:4] == [2, 4, 8, 16]
    assert pauses[-1] == 120


def test_a_scan_that_overtakes_the_label_is_as_good_as_the_label() -> None:
    story = labelling()
    assert events(story.scan(TrackingStatus.PICKED_UP)) == [ShipmentTracked, ShipmentBooked, ShipmentDispatched]
    assert events(story.label()) == []
    assert story.box().tracking_number == NUMBERS[0]


def test_nobody_carries_it_tells_why() -> None:
    story = Story(flags=(GoodsFlag.AEROSOL,))
    story.confirm()
    story.desk.products["MUG-1"] = a_product(flags=(GoodsFlag.AEROSOL,), weight_grams=40_000)
    (exception,) = [effect for effect in story.address() if isinstance(effect, ShipmentException)]
    assert exception.reason.code == "shipment.no_service"
    assert "takes no aerosol" in exception.reason.message
    assert story.order.state is State.STUCK


def test_what_is_packed_is_what_was_ordered() -> None:
    story = Story(parcels=2)
    story.tell(confirmed(quantity=1))
    (exception,) = [effect for effect in story.address() if isinstance(effect, ShipmentException)]
    assert (exception.reason.code, exception.reason.subject) == ("shipment.quantity_mismatch", "MUG-1")
    story.confirm()
    story.tell(RetryBooking(STORE, ORDER))
    assert len(the_call(story.address(), calls.LABEL)) == 2


def test_an_order_without_an_address_is_stuck_until_it_has_one() -> None:
    story = addressing()
    (exception,) = [e for e in story.address({"missing": True}) if isinstance(e, ShipmentException)]
    assert exception.reason.code == "recipient.missing"
    first = story.last[calls.RECIPIENT, ORDER]
    (again,) = the_call(story.tell(RetryBooking(STORE, ORDER)), calls.RECIPIENT)
    assert again.id != first.id
    assert the_call(story.address(), calls.LABEL)


def test_a_refused_label_is_bought_with_another_key_after_a_correction() -> None:
    story = stuck()
    story.tell(RetryBooking(STORE, ORDER))
    (call,) = the_call(story.address(), calls.LABEL)
    assert call.request["subject"] == f"{story.box().parcel_id}.2"
    assert events(story.label()) == [ShipmentBooked]
    assert story.order.trouble is None


def test_papers_are_made_of_what_was_known_when_labels_were_ordered() -> None:
    story = labelling()
    invoice, packing_list = story.desk.papers
    assert invoice.data["lines"][0]["hs_code"] == "6912002100"
    assert invoice.data["totals"]["total"] == {"amount": "1789", "currency": "EUR"}
    assert sum(int(line["line_value"]["amount"]) for line in invoice.data["lines"]) == 1299
    assert packing_list.data["parcels"][0]["net_grams"] <= packing_list.data["parcels"][0]["gross_grams"]
    assert "Groß" not in str(invoice.data)


# ── Cancelling ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_label_that_comes_after_the_cancellation_is_void() -> None:
    story = labelling()
    assert story.cancel() == []
    (void,) = the_call(story.label(), calls.VOID_LABEL)
    assert void.request["tracking_number"] == NUMBERS[0]
    assert events(story.void()) == [ShipmentCancelled]
    assert story.box().label is Label.VOID


def test_a_label_that_never_came_to_be_needs_no_voiding() -> None:
    story = labelling()
    story.cancel()
    (look_up,) = the_call(story.tell(reply_to(story.last[calls.LABEL, story.box().label_key], None)), calls.FIND_LABEL)
    assert events(story.tell(reply_to(look_up, {"absent": True}))) == [ShipmentCancelled]


def test_cancelled_is_said_when_the_last_label_is_void() -> None:
    story = Story(parcels=2)
    story.confirm()
    story.address()
    story.label(0)
    story.cancel()
    assert story.box(0).label is Label.VOIDING
    assert events(story.void(0)) == []
    story.label(1)
    assert events(story.void(1)) == [ShipmentCancelled]


def test_an_unanswered_void_is_asked_again() -> None:
    story = voiding()
    first = story.last[calls.VOID_LABEL, story.box().label_key]
    (again,) = the_call(story.tell(reply_to(first, None)), calls.VOID_LABEL)
    assert again.id != first.id
    assert events(story.tell(reply_to(again, {"voided": True}))) == [ShipmentCancelled]


def test_one_parcel_with_the_carrier_refuses_the_cancellation_and_the_other_gets_a_new_label() -> None:
    story = Story(parcels=2)
    story.confirm()
    story.address()
    story.label(0)
    story.label(1)
    story.cancel()
    story.void(0)
    effects = story.void(1, {"handed_over": True})
    assert events(effects) == [CancellationRefused]
    (renewed,) = the_call(effects, calls.LABEL)
    assert renewed.request["subject"] == f"{story.box(0).parcel_id}.2"
    assert events(story.label(0)) == [ShipmentBooked]
    assert events(story.cancel()) == [CancellationRefused]


def test_a_void_that_comes_after_the_refusal_is_mended() -> None:
    story = Story(parcels=2)
    story.confirm()
    story.address()
    story.label(0)
    story.label(1)
    story.cancel()
    assert events(story.scan(TrackingStatus.PICKED_UP, 1)) == [ShipmentTracked, CancellationRefused]
    (renewed,) = the_call(story.void(0), calls.LABEL)
    assert renewed.request["subject"].endswith(".2")
    assert story.order.state is State.LABELLING


def test_a_cancelled_order_keeps_no_name() -> None:
    story = addressing()
    story.cancel()
    assert story.address() == []
    assert story.desk.recipients == {}


# ── On the way ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_dispatched_when_every_parcel_is_and_delivered_when_every_parcel_is() -> None:
    story = Story(parcels=2)
    story.confirm()
    story.address()
    story.label(0)
    story.label(1)
    assert events(story.scan(TrackingStatus.PICKED_UP, 0)) == [ShipmentTracked]
    assert events(story.scan(TrackingStatus.DELIVERED, 0, hours=3)) == [ShipmentTracked]
    assert events(story.scan(TrackingStatus.PICKED_UP, 1)) == [ShipmentTracked, ShipmentDispatched]
    assert events(story.scan(TrackingStatus.DELIVERED, 1, hours=9)) == [ShipmentTracked, ShipmentDelivered]


def test_a_lost_parcel_is_told_and_one_that_turns_up_is_delivered() -> None:
    story = dispatched()
    assert events(story.scan(TrackingStatus.LOST, hours=50)) == [ShipmentTracked, ShipmentLost]
    assert events(story.scan(TrackingStatus.IN_TRANSIT, hours=60)) == []
    assert events(story.scan(TrackingStatus.DELIVERED, hours=70)) == [ShipmentTracked, ShipmentDelivered]
    assert story.order.state is State.DELIVERED


@pytest.mark.parametrize("status", [TrackingStatus.DAMAGED, TrackingStatus.DELIVERY_FAILED, TrackingStatus.RETURNED])
def test_trouble_on_the_way_is_told(status: TrackingStatus) -> None:
    story = dispatched()
    effects = story.scan(status, hours=20)
    (exception,) = [effect for effect in effects if isinstance(effect, ShipmentException)]
    assert exception.reason.code == f"parcel.{status}"


def test_a_word_that_nobody_knows_is_told_and_changes_nothing() -> None:
    story = dispatched()
    assert events(story.scan(TrackingStatus.UNKNOWN, hours=20)) == [ShipmentTracked]
    assert story.box().way.status is TrackingStatus.PICKED_UP


# ── Late and odd answers ──────────────────────────────────────────────────────────────────────────────────────────────


def two_parcels_turned_back() -> Story:
    """Cancelled, then the second parcel was picked up before its label was void; the first's void is still unanswered."""
    story = Story(parcels=2)
    story.confirm()
    story.address()
    story.label(0)
    story.label(1)
    story.cancel()
    story.scan(TrackingStatus.PICKED_UP, 1)
    return story


def test_a_label_that_was_not_void_after_all_counts_again() -> None:
    story = two_parcels_turned_back()
    assert events(story.void(0, {"handed_over": True})) == [ShipmentDispatched]
    assert story.order.state is State.DISPATCHED


def test_a_void_without_an_answer_is_asked_about_after_the_refusal_too() -> None:
    story = two_parcels_turned_back()
    call = story.last[calls.VOID_LABEL, story.box(0).label_key]
    (again,) = the_call(story.tell(reply_to(call, None)), calls.VOID_LABEL)
    assert the_call(story.tell(reply_to(again, {"voided": True})), calls.LABEL)


def test_the_answer_about_a_label_that_is_settled_changes_nothing() -> None:
    story = two_parcels_turned_back()
    stale = story.last[calls.VOID_LABEL, story.box(0).label_key]
    story.void(0)
    before = story.order.state, story.box(0).label, story.box(0).attempt
    assert story.tell(reply_to(stale, {"handed_over": True})) == []
    assert (story.order.state, story.box(0).label, story.box(0).attempt) == before


def test_a_look_up_of_a_label_that_a_scan_has_shown_changes_nothing() -> None:
    story = labelling()
    (look_up,) = the_call(story.tell(reply_to(story.last[calls.LABEL, story.box().label_key], None)), calls.FIND_LABEL)
    story.scan(TrackingStatus.PICKED_UP)
    assert story.tell(reply_to(look_up, {"absent": True})) == []


def test_a_label_that_is_refused_after_the_cancellation_needs_no_voiding() -> None:
    story = labelling()
    story.cancel()
    assert events(story.label(answer={"refused": {"code": "x", "detail": "no"}})) == [ShipmentCancelled]


def test_a_second_refusal_while_the_address_is_fetched_again_is_noted() -> None:
    story = Story(parcels=2)
    story.confirm()
    story.address()
    story.label(0, {"refused": {"code": "x", "detail": "no"}})
    story.tell(RetryBooking(STORE, ORDER))
    assert events(story.label(1, {"refused": {"code": "x", "detail": "no"}})) == []
    assert len(the_call(story.address(), calls.LABEL)) == 2


def test_a_shipment_that_is_stuck_twice_for_the_same_thing_tells_it_once() -> None:
    story = Story(parcels=2)
    story.confirm()
    story.address()
    refused = {"refused": {"code": "x", "detail": "no"}}
    assert events(story.label(0, refused)) == [ShipmentException]
    assert events(story.label(1, refused)) == [ShipmentException]  # another parcel, another subject
    assert story.order.stick(story.order.trouble) == []  # pyright: ignore[reportArgumentType]


def test_an_order_that_is_told_again_is_not_taken_in_twice() -> None:
    story = booked()
    assert story.tell(placed()) == []
    assert story.order.state is State.BOOKED
