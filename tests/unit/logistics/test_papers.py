"""Holding and releasing: by a document, by the catalog, at the confirmation; and the batching property."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.logistics.consumers import routes
from services.logistics.domain import calls
from services.logistics.domain.desk import Desk, Place
from services.logistics.domain.documents import DocumentType
from services.logistics.domain.goods import Product
from services.logistics.domain.handover import State
from services.logistics.usecases.recheck_papers import RECHECK, recheck_place
from services.logistics.usecases.record_scan import STRAY, RecordScan
from services.logistics.usecases.supply_document import SupplyDocument
from shared.contracts.catalog import ProductWithdrawn
from shared.contracts.logistics import (
    PapersCleared,
    PapersHeld,
    PapersProhibited,
    ReturnParcelArrived,
    ShipmentException,
    TrackingStatus,
)
from shared.contracts.orders import OrderCancellationRequested, OrderCancelled
from shared.contracts.registry import Event
from shared.contracts.support import ReturnApproved
from shared.contracts.values import ReturnLine
from shared.effects import Answered, Call, Deadline, Due, Effect, Moment
from shared.errors import Refusal
from shared.messaging.message import Message
from shared.messaging.routing import Router
from shared.money import Money
from tests.builders.logistics import (
    NOON,
    ORDER,
    STORE,
    a_desk,
    a_product,
    a_scan,
    an_order_id,
    confirmed,
    now,
    placed,
    published,
)
from tests.unit.batching import batch_sizes, check_batching
from tests.unit.logistics.memory_store import MemoryStore

ROUTER: Router[Desk] = Router()
routes(ROUTER)


def tell(desk: Desk, body: Any, at: Moment | None = None) -> list[Effect]:
    decision = ROUTER.decide(body, desk, at or now())
    assert not isinstance(decision, Refusal), decision
    return list(decision)


def told(effects: list[Effect]) -> list[Event]:
    return [effect for effect in effects if isinstance(effect, Event)]


def a_paper(**changes: Any) -> SupplyDocument:
    known = SupplyDocument(store_id=STORE, type=DocumentType.CERTIFICATE_OF_ORIGIN, order_id=ORDER, identifiers={})
    return replace(known, **changes)


def test_complete_papers_clear() -> None:
    desk = a_desk()
    (event,) = told(tell(desk, placed()))
    assert event == PapersCleared(order_id=ORDER, rulebook=desk.rulebook.version)


def test_a_product_that_was_never_heard_of_holds() -> None:
    (held,) = told(tell(a_desk(a_product("OTHER")), placed()))
    assert isinstance(held, PapersHeld)
    assert {finding.subject for finding in held.findings} == {"MUG-1", "commercial_invoice", "packing_list"}


def test_the_catalog_clears_a_hold_and_a_second_telling_says_nothing() -> None:
    desk = a_desk(a_product(hs_code=""))
    tell(desk, placed())
    assert [type(event) for event in told(tell(desk, published(version=2)))] == [PapersCleared]
    assert told(tell(desk, published(version=3))) == []


def test_an_older_version_changes_nothing() -> None:
    desk = a_desk(a_product(version=5))
    tell(desk, published(version=4, hs_code=""))
    assert desk.products["MUG-1"].hs_code


def test_findings_that_change_are_told_again() -> None:
    desk = a_desk(Product(sku="MUG-1", version=1))
    tell(desk, placed())
    (held,) = told(tell(desk, published(version=2, hs_code="")))
    assert isinstance(held, PapersHeld)
    assert [finding.code for finding in held.findings] == ["hs.missing"]


def test_two_thousand_unclassified_lines_fit_into_an_event() -> None:
    desk = a_desk()
    (held,) = told(tell(desk, placed(*(f"SKU-{number}" for number in range(2000)))))
    assert isinstance(held, PapersHeld)
    assert (len(held.findings), held.findings[-1].code) == (101, "papers.more_findings")
    papers = desk.consignments[ORDER].papers
    assert papers is not None
    assert len(papers.findings) > 6000


def test_prohibited_beats_missing() -> None:
    desk = a_desk(a_product(category="vapes", hs_code=""))
    (event,) = told(tell(desk, placed(country="AU")))
    assert isinstance(event, PapersProhibited)
    assert [finding.code for finding in event.findings] == ["goods.prohibited"]


def test_a_document_for_the_order_clears_its_hold() -> None:
    desk = a_desk(a_product(claims_preference=True))
    tell(desk, placed())
    assert [type(event) for event in told(tell(desk, a_paper()))] == [PapersCleared]


def test_a_document_for_the_sku_clears_every_order_that_waits_for_it() -> None:
    desk = a_desk(a_product(claims_preference=True))
    orders = [an_order_id(name) for name in "ab"]
    for order_id in orders:
        tell(desk, placed(order_id=order_id))
    cleared = told(tell(desk, a_paper(order_id="", sku="MUG-1")))
    assert [event.key for event in cleared] == sorted(orders)


def test_anothers_document_clears_nothing() -> None:
    desk = a_desk(a_product(claims_preference=True))
    tell(desk, placed())
    assert told(tell(desk, a_paper(order_id="", sku="MUG-1", store_id="str_other"))) == []
    refusal = ROUTER.decide(a_paper(store_id="str_other"), desk, now())
    assert isinstance(refusal, Refusal)
    assert refusal.code == "order.not_found"


def test_a_paper_with_another_value_holds_what_was_clear_until_it_is_corrected() -> None:
    desk = a_desk()
    tell(desk, placed())
    wrong = a_paper(type=DocumentType.COMMERCIAL_INVOICE, declared_value=Money(1, "EUR"))
    assert [type(event) for event in told(tell(desk, wrong))] == [PapersHeld]
    right = replace(wrong, declared_value=Money(2598, "EUR"))
    later = now(NOON + timedelta(seconds=1), "cmd_01jc2v8k9q4t6x0m3n5p7r9s1w")
    assert [type(event) for event in told(tell(desk, right, later))] == [PapersCleared]


def test_a_wrong_tax_id_is_refused_at_the_door() -> None:
    desk = a_desk()
    tell(desk, placed(country="BR"))
    refusal = ROUTER.decide(a_paper(type=DocumentType.IDENTIFIER, identifiers={"cpf": "111.111.111-11"}), desk, now())
    assert isinstance(refusal, Refusal)
    assert (refusal.code, desk.new_documents) == ("identifier.invalid", [])


def test_goods_in_the_customs_territory_cross_no_border() -> None:
    """The warehouse is unknown when the order is placed, so its papers are judged as if from abroad."""
    desk = a_desk(a_product(hs_code="", origin_country=""))
    assert [type(event) for event in told(tell(desk, placed()))] == [PapersHeld]
    effects = tell(desk, confirmed(country="FR"))
    assert [type(event) for event in told(effects)] == [PapersCleared]
    assert desk.consignments[ORDER].state is State.ADDRESSING


def test_a_confirmed_order_waits_for_its_papers_and_is_booked_when_they_come() -> None:
    desk = a_desk(a_product(hs_code=""))
    tell(desk, placed())
    assert tell(desk, confirmed()) == []
    effects = tell(desk, published(version=2))
    assert [type(effect) for effect in effects] == [PapersCleared, Call]


def test_a_large_recheck_goes_on_behind_the_last_order() -> None:
    desk = a_desk(a_product(hs_code=""))
    tell(desk, placed())
    desk.more["MUG-1"] = ORDER
    (deadline,) = [effect for effect in tell(desk, published(version=2)) if isinstance(effect, Deadline)]
    assert (deadline.kind, recheck_place(deadline.key)) == (RECHECK, ("MUG-1", ORDER))
    assert recheck_place(f"A/B/{ORDER}") == ("A/B", ORDER)


def test_a_withdrawn_product_keeps_what_is_known_of_it() -> None:
    desk = a_desk()
    tell(desk, ProductWithdrawn(sku="MUG-1", version=2))
    assert (desk.products["MUG-1"].withdrawn, desk.products["MUG-1"].hs_code) == (True, "6912002100")
    assert [type(event) for event in told(tell(desk, placed()))] == [PapersCleared]


# ── Scans of nobody's parcels ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_scan_of_an_unknown_parcel_is_kept_and_looked_at_again_until_three_days_have_passed() -> None:
    desk = a_desk()
    scan = a_scan(TrackingStatus.PICKED_UP, parcel="pcl_unknown")
    (first,) = [effect for effect in tell(desk, RecordScan(scan)) if isinstance(effect, Deadline)]
    assert first.at == NOON + timedelta(seconds=5)
    late = now(NOON + timedelta(hours=1))
    (second,) = tell(desk, Due(STRAY, scan.webhook_id), late)
    assert isinstance(second, Deadline)
    assert second.at == NOON + timedelta(hours=2)
    assert tell(desk, Due(STRAY, scan.webhook_id), now(NOON + timedelta(days=3, seconds=1))) == []
    assert desk.found_strays == {scan.webhook_id}


# ── The way back ──────────────────────────────────────────────────────────────────────────────────────────────────────

RETURN = ReturnApproved(
    order_id=ORDER, return_id="ret_1", lines=(ReturnLine(sku="MUG-1", quantity=1, reason="unwanted"),), send_back=True
)


def test_a_return_gets_a_label_to_the_warehouse_it_came_from() -> None:
    desk = a_desk()
    tell(desk, placed())
    tell(desk, confirmed())
    (call,) = tell(desk, RETURN)
    assert isinstance(call, Call)
    assert (call.kind, call.request["subject"]) == (calls.RETURN_LABEL, "ret_1")
    parcel = desk.returns["ret_1"]
    assert (parcel.warehouse, parcel.country, parcel.grams) == ("SZX", "CN", 410)
    answer = Answered(call.id, call.kind, call.key, call.request, {"tracking_number": "LX000000015DE"})
    assert tell(desk, answer) == []
    assert parcel.tracking_number == "LX000000015DE"


def test_a_return_that_is_heard_of_before_its_order_gets_its_label_with_the_confirmation() -> None:
    desk = a_desk()
    assert tell(desk, RETURN) == []
    tell(desk, placed())
    effects = tell(desk, confirmed())
    assert [effect.kind for effect in effects if isinstance(effect, Call)] == [calls.RECIPIENT, calls.RETURN_LABEL]


def test_what_the_buyer_keeps_needs_no_label() -> None:
    desk = a_desk()
    tell(desk, placed())
    tell(desk, confirmed())
    assert tell(desk, replace(RETURN, send_back=False)) == []
    assert desk.returns == {}


def test_a_refused_label_for_the_way_back_is_told() -> None:
    desk = a_desk()
    tell(desk, placed())
    tell(desk, confirmed())
    (call,) = tell(desk, RETURN)
    assert isinstance(call, Call)
    refused = Answered(call.id, call.kind, call.key, call.request, {"refused": {"code": "x", "detail": "no"}})
    (event,) = told(tell(desk, refused))
    assert isinstance(event, ShipmentException)
    assert event.reason.code == "return.label_refused"


def test_a_returned_parcel_arrives_once() -> None:
    desk = a_desk()
    tell(desk, placed())
    tell(desk, confirmed())
    tell(desk, RETURN)
    desk.places["ret_1"] = Place(ORDER, return_id="ret_1")
    for hours in (1, 2):
        events = told(tell(desk, RecordScan(a_scan(TrackingStatus.DELIVERED, parcel="ret_1", hours=hours))))
        assert [type(event) for event in events] == ([ReturnParcelArrived] if hours == 1 else [])


# ── Batching ──────────────────────────────────────────────────────────────────────────────────────────────────────────

ORDERS = [an_order_id(name) for name in "abc"]
_BODIES = st.one_of(
    st.builds(
        lambda sku, version, hs: published(a_product(sku), version=version, hs_code=hs, claims_preference=sku == "B"),
        st.sampled_from("AB"), st.integers(1, 4), st.sampled_from(["", "6912002100"]),
    ),
    st.builds(lambda sku: a_paper(order_id="", sku=sku), st.sampled_from("AB")),
    st.builds(lambda order_id: a_paper(order_id=order_id), st.sampled_from(ORDERS)),
)  # fmt: skip


@st.composite
def stories(draw: st.DrawFn) -> list[Any]:
    """Orders' lives, each in its own order, mixed with what the catalog and sellers say."""
    lives = []
    for order_id in ORDERS:
        skus = draw(st.sampled_from([("A",), ("B",), ("A", "B")]))
        life: list[Any] = [placed(*skus, order_id=order_id), confirmed(*skus, order_id=order_id)]
        if draw(st.booleans()):
            life.append(OrderCancellationRequested(order_id=order_id, reason="x", requested_by="buyer"))
            life.append(OrderCancelled(order_id=order_id, reason="x", requested_by="buyer"))
        lives.append(life)
    others = draw(st.lists(_BODIES, max_size=8))
    mixed: list[Any] = []
    queues = [queue for queue in (*lives, others) if queue]
    while queues:
        queue = draw(st.sampled_from(queues))
        mixed.append(queue.pop(0))
        queues = [each for each in queues if each]
    return mixed


@settings(deadline=None, max_examples=60)
@given(bodies=stories(), sizes=batch_sizes())
def test_batching_is_never_visible(bodies: list[Any], sizes: list[int]) -> None:
    messages = [
        Message(body=body, moment=now(NOON + timedelta(seconds=number), f"evt_{number:026d}"))
        for number, body in enumerate(bodies)
    ]
    store = check_batching(messages, sizes, MemoryStore, ROUTER)
    assert len(store.rows()[0]) == len(ORDERS)


@pytest.mark.parametrize("late", [0, 1, 2])
def test_the_order_in_which_facts_come_does_not_matter(late: int) -> None:
    """Confirmation, certificate, classification: whichever comes last begins the booking."""
    desk = a_desk(a_product(hs_code="", claims_preference=True))
    tell(desk, placed())
    facts: list[Any] = [confirmed(), a_paper(), published(version=2, claims_preference=True)]
    facts.append(facts.pop(late))
    begun = [[effect for effect in tell(desk, fact) if isinstance(effect, Call)] for fact in facts]
    assert [len(found) for found in begun] == [0, 0, 1]


def test_a_return_label_that_got_lost_is_looked_up_before_it_is_bought_again() -> None:
    desk = a_desk()
    tell(desk, placed())
    tell(desk, confirmed())
    (call,) = tell(desk, RETURN)
    kinds: list[str] = []
    for answer in (None, {"absent": True}, None, {"tracking_number": "LX000000015DE"}):
        assert isinstance(call, Call)
        kinds.append(call.kind)
        effects = tell(desk, Answered(call.id, call.kind, call.key, call.request, answer))
        call = effects[0] if effects else call
    assert kinds == [calls.RETURN_LABEL, calls.FIND_RETURN_LABEL, calls.RETURN_LABEL, calls.FIND_RETURN_LABEL]
    assert isinstance(call, Call)
    late = Answered(call.id, call.kind, call.key, call.request, {"absent": True})
    assert tell(desk, late) == []


def test_a_product_that_is_withdrawn_before_it_was_heard_of_is_not_for_sale() -> None:
    desk = a_desk(a_product("OTHER"))
    tell(desk, ProductWithdrawn(sku="MUG-1", version=3))
    tell(desk, published(version=2))
    assert desk.products["MUG-1"].withdrawn
