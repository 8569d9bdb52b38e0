"""Whatever comes in whatever order and batch: the ledger is the truth, and nothing is sold twice."""

from collections import Counter

from hypothesis import event, given, settings

from services.inventory.consumers import routes
from services.inventory.domain.movement import fold
from services.inventory.domain.reservation import Status
from services.inventory.domain.shelves import Shelves
from shared.messaging.message import Message
from shared.messaging.routing import Router
from tests.unit.batching import batch_sizes, check_batching
from tests.unit.inventory.memory_store import MemoryStore, histories

router = Router[Shelves]()
routes(router)


@settings(max_examples=200, deadline=None)
@given(messages=histories, sizes=batch_sizes())
def test_batching_is_never_visible_and_the_ledger_folds_to_the_counters(
    messages: list[Message], sizes: list[int]
) -> None:
    store = check_batching(messages, sizes, MemoryStore, router)
    assert isinstance(store, MemoryStore)
    for status in sorted({reservation.status for reservation in store.reservations.values()}):
        event(status)
    assert_ledger_folds_to_counters(store)
    assert_counters_are_what_reservations_hold(store)
    assert_no_order_has_back_more_than_left(store)


def assert_ledger_folds_to_counters(store: MemoryStore) -> None:
    # `fold` raises at the first entry behind which 0 <= reserved <= on hand does not hold.
    folded = {key: (level.on_hand, level.reserved) for key, level in fold(store.ledger).items() if level.on_hand}
    counters = {
        (item.sku, code): (level.on_hand, level.reserved)
        for item in store.items.values()
        for code, level in item.levels.items()
        if level.on_hand
    }
    assert folded == counters


def assert_counters_are_what_reservations_hold(store: MemoryStore) -> None:
    held: Counter[tuple[str, str]] = Counter()
    for reservation in store.reservations.values():
        if reservation.holding:
            assert sum(reservation.demand.values()) == sum(part.quantity for part in reservation.allocations)
            held.update({(part.sku, part.warehouse): part.quantity for part in reservation.allocations})
        elif reservation.status is not Status.CONSUMED:
            assert reservation.allocations == ()
    reserved = {
        (item.sku, code): level.reserved
        for item in store.items.values()
        for code, level in item.levels.items()
        if level.reserved
    }
    assert held == reserved


def assert_no_order_has_back_more_than_left(store: MemoryStore) -> None:
    for reservation in store.reservations.values():
        for sku in reservation.restocked:
            assert reservation.owed_back(sku) >= 0
