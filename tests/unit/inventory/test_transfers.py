"""Goods between warehouses: what leaves, what comes, and what differs."""

import pytest

from services.inventory.domain.reservation import Status
from services.inventory.domain.transfer import Arrival, TransferStatus
from shared.contracts.inventory import StockChanged
from shared.effects import Reply
from shared.errors import Refusal
from tests.builders.inventory import (
    Play,
    a_receipt,
    a_transfer_receipt,
    arrived,
    placed,
    shipped,
    some_shelves,
)


def ten_mugs() -> Play:
    return Play(some_shelves({"BER": {"MUG": 10}}))


def on_the_way(play: Play, *lines: tuple[str, int]) -> str:
    """A transfer from BER to NJ; its id."""
    (reply,) = [effect for effect in play(shipped(*(lines or (("MUG", 6),)))) if isinstance(effect, Reply)]
    return reply.body["id"]


def entries_of(play: Play, transfer_id: str) -> list[tuple[str, str, int, int, str]]:
    return [
        (entry.kind, entry.warehouse, entry.on_hand, entry.in_transit, entry.reason)
        for entry in play.shelves.ledger
        if entry.cause == transfer_id
    ]


def code_of(play: Play, body: object) -> str:
    refusal = play.decide(body)
    assert isinstance(refusal, Refusal)
    return refusal.code


def test_what_is_shipped_is_on_hand_nowhere_and_available_nowhere() -> None:
    play = ten_mugs()
    told = [effect for effect in play(shipped(("MUG", 6))) if isinstance(effect, StockChanged)]
    assert [(state.on_hand, state.available) for state in told] == [(4, 4)]
    assert (play.level(), play.level(warehouse="NJ")) == ((4, 0), (0, 0))


def test_what_is_reserved_does_not_leave() -> None:
    play = ten_mugs()
    play(placed(1, {"MUG": 5}))
    assert code_of(play, shipped(("MUG", 6))) == "stock.not_available"
    assert play.level() == (10, 5)
    play(shipped(("MUG", 5)))
    assert (play.level(), play.status(1)) == ((5, 5), Status.HELD)


def test_all_lines_leave_or_none() -> None:
    play = ten_mugs()
    assert code_of(play, shipped(("MUG", 1), ("CAP", 1))) == "stock.not_available"
    assert play.level() == (10, 0)
    assert not play.shelves.ledger


def test_another_stores_warehouse_is_none() -> None:
    assert code_of(ten_mugs(), shipped(("MUG", 1), destination="XXX")) == "warehouse.unknown"


def test_what_came_serves_who_waits() -> None:
    play = ten_mugs()
    transfer_id = on_the_way(play)
    play(placed(1, {"MUG": 5}, refusable=False))
    assert play.status(1) is Status.WAITING
    play(a_transfer_receipt(transfer_id, arrived(received=6)))
    assert play.status(1) is Status.HELD
    assert play.shelves.transfers.by_id[transfer_id].status is TransferStatus.RECEIVED


def test_every_difference_is_an_entry_of_its_own_with_its_reason() -> None:
    play = Play(some_shelves({"BER": {"MUG": 10, "CAP": 2}}))
    transfer_id = on_the_way(play, ("MUG", 6), ("CAP", 2))
    fell = arrived(received=3, damaged=1, reason="a crate fell")
    more = arrived("CAP", received=3, reason="packed one too many")
    play(a_transfer_receipt(transfer_id, fell, more))
    play(a_transfer_receipt(transfer_id, complete=True, reason="not on the pallet"))
    assert entries_of(play, transfer_id)[2:] == [
        ("transfer_in", "NJ", 3, -3, ""),
        ("transfer_damaged", "NJ", 0, -1, "a crate fell"),
        ("transfer_in", "NJ", 2, -2, ""),
        ("transfer_over", "NJ", 1, 0, "packed one too many"),
        ("transfer_short", "NJ", 0, -2, "not on the pallet"),
    ]
    assert sum(in_transit for *_, in_transit, _ in entries_of(play, transfer_id)) == 0
    assert (play.level("MUG", "NJ"), play.level("CAP", "NJ")) == ((3, 0), (3, 0))


def test_what_is_not_complete_stays_in_transit() -> None:
    play = ten_mugs()
    transfer_id = on_the_way(play)
    play(a_transfer_receipt(transfer_id, arrived(received=2)))
    transfer = play.shelves.transfers.by_id[transfer_id]
    assert (transfer.status, transfer.in_transit) == (TransferStatus.IN_TRANSIT, 4)


@pytest.mark.parametrize(
    ("found", "complete"),
    [(arrived(received=5, damaged=1, reason=""), False), (arrived(received=7, reason=""), False), (arrived(), True)],
    ids=["damaged", "over", "short"],
)
def test_a_difference_without_a_reason_is_refused(found: Arrival, complete: bool) -> None:
    play = ten_mugs()
    transfer_id = on_the_way(play)
    body = a_transfer_receipt(transfer_id, found, complete=complete)
    assert code_of(play, body) == "transfer.reason_missing"
    assert play.level(warehouse="NJ") == (0, 0)


def test_nothing_comes_twice_or_unsent() -> None:
    play = ten_mugs()
    transfer_id = on_the_way(play)
    assert code_of(play, a_transfer_receipt("trf_none", arrived(received=1))) == "transfer.not_found"
    assert code_of(play, a_transfer_receipt(transfer_id, arrived("CAP", received=1))) == "transfer.sku_unknown"
    assert code_of(play, a_transfer_receipt(transfer_id, arrived(damaged=7))) == "transfer.more_damaged"
    play(a_transfer_receipt(transfer_id, arrived(received=6)))
    assert code_of(play, a_transfer_receipt(transfer_id, arrived(received=6))) == "transfer.received"
    assert play.level(warehouse="NJ") == (6, 0)


def test_goods_come_back_to_where_they_left() -> None:
    play = ten_mugs()
    transfer_id = on_the_way(play)
    play(a_transfer_receipt(transfer_id, arrived(received=6)), a_receipt(("MUG", 1)))
    back = play(shipped(("MUG", 6), source="NJ", destination="BER"))
    (reply,) = [effect for effect in back if isinstance(effect, Reply)]
    play(a_transfer_receipt(reply.body["id"], arrived(received=6)))
    assert (play.level(), play.level(warehouse="NJ")) == ((11, 0), (0, 0))
