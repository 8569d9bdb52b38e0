"""A model of inventory that fits on a page: one warehouse, plain numbers, no batches, no ledger. And the machine that compares.

What is compared with it is a `Stage`: the pure domain, or the service with its real database.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.inventory.domain.adjustment import AdjustmentKind
from services.inventory.domain.reservation import HOLDING, Status
from shared.contracts.values import Grade
from tests.builders.inventory import (
    a_snapshot,
    a_transfer_receipt,
    allocated,
    an_adjustment,
    arrived,
    cancelled,
    confirmed,
    dispatched,
    expiry_of,
    placed,
    rejected,
    returned,
    shipped,
)

SKUS = ("CAP", "MUG")
BEFORE_ALL = datetime(2020, 1, 1, tzinfo=UTC)
orders = st.integers(1, 5)
quantities = st.integers(1, 3)
skus = st.sampled_from(SKUS)


class Stage(Protocol):
    """Something that behaves like inventory, empty at first, with the warehouses BER and NGB, whose goods no order here may have."""

    def __call__(self, body: object) -> bool:
        """Let a message be decided. Returns whether it was refused."""
        ...

    def level(self, sku: str, warehouse: str = "BER") -> tuple[int, int]:
        """(on hand, reserved)."""
        ...

    def transfers(self) -> list[tuple[str, int]]:
        """(Id, units in transit) of every transfer, in the order of their shipping."""
        ...

    def status(self, number: int) -> Status:
        """Of the order's reservation."""
        ...


@dataclass
class ModelOrder:
    demand: dict[str, int]
    refusable: bool
    state: str = "new"
    paid: bool = False
    back: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SKUS, 0))


@dataclass
class ModelTransfer:
    sku: str
    left: int
    home: bool  # to BER
    open: bool = True


@dataclass
class Model:
    """Units on the shelf; an order holds exactly its demand or nothing."""

    on_hand: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SKUS, 0))
    orders: dict[int, ModelOrder] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SKUS, 0))  # goods that came and left
    counted: set[str] = field(default_factory=set)  # by hand
    versions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SKUS, 0))  # of the warehouse system

    far: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SKUS, 0))  # on hand in NGB
    transfers: list[ModelTransfer] = field(default_factory=list)

    def held(self, sku: str) -> int:
        return sum(order.demand.get(sku, 0) for order in self.orders.values() if order.state == "holds")

    def free(self, sku: str) -> int:
        return self.on_hand[sku] - self.held(sku)

    def try_hold(self, number: int) -> None:
        order = self.orders[number]
        if all(self.free(sku) >= quantity for sku, quantity in order.demand.items()):
            order.state = "holds"
        else:
            order.state = "refused" if order.refusable else "waits"

    def serve(self, *freed: str) -> None:
        for number in self.orders:  # in the order of their placing
            if self.orders[number].state == "waits" and set(freed) & set(self.orders[number].demand):
                self.try_hold(number)

    def set_on_hand(self, sku: str, quantity: int) -> None:
        freed: set[str] = {sku} if quantity > self.on_hand[sku] else set()
        self.on_hand[sku] = quantity
        for number in reversed(self.orders):
            order = self.orders[number]
            if self.free(sku) < 0 and order.state == "holds" and sku in order.demand:
                order.state = "broken" if order.refusable else "waits"
                freed |= set(order.demand)
        self.serve(*freed)


class InventoryAgainstModel(RuleBasedStateMachine):
    """Subclasses say what is played."""

    stage: ClassVar[Callable[..., Stage]]

    def __init__(self) -> None:
        super().__init__()
        self.play = self.stage()
        self.model = Model()

    @rule(number=orders, demand=st.dictionaries(skus, quantities, min_size=1), refusable=st.booleans())
    def place(self, number: int, demand: dict[str, int], refusable: bool) -> None:
        self.play(placed(number, demand, refusable=refusable))
        if number not in self.model.orders:
            self.model.orders[number] = ModelOrder(demand, refusable)
            self.model.try_hold(number)

    @rule(number=orders)
    def expire(self, number: int) -> None:
        self.play(expiry_of(number))
        order = self.model.orders.get(number)
        if order and order.state == "holds" and order.refusable and not order.paid:
            order.state = "expired"
            self.model.serve(*order.demand)

    @rule(number=orders)
    def commit(self, number: int) -> None:
        order = self.model.orders.get(number)
        if order is None:
            return
        self.play(confirmed(number, *[allocated(sku, quantity) for sku, quantity in order.demand.items()]))
        if order.state in ("holds", "waits", "refused", "expired", "broken"):
            order.paid = True
            if order.state != "holds":
                self.model.try_hold(number)

    @rule(number=orders, reject=st.booleans())
    def release(self, number: int, reject: bool) -> None:
        order = self.model.orders.get(number)
        if order is None:
            return
        self.play(rejected(number) if reject else cancelled(number))
        if order.state != "gone":
            held = order.state == "holds"
            order.state = "ended"
            self.model.serve(*(order.demand if held else ()))

    @rule(number=orders)
    def consume(self, number: int) -> None:
        order = self.model.orders.get(number)
        if order is None or order.state == "gone":
            return
        self.play(dispatched(number, *[allocated(sku, quantity) for sku, quantity in order.demand.items()]))
        planned = order.state == "holds"
        for sku, quantity in order.demand.items():  # without a hold it takes what is free, and never what others hold
            left = quantity if planned else min(quantity, self.model.free(sku))
            self.model.on_hand[sku] -= left
            self.model.moved[sku] -= left
        order.state = "gone"

    @rule(number=orders, sku=skus, quantity=quantities, grade=st.sampled_from(Grade))
    def give_back(self, number: int, sku: str, quantity: int, grade: Grade) -> None:
        order = self.model.orders.get(number)
        if order is None or order.state != "gone":
            return
        self.play(returned(number, sku=sku, quantity=quantity, grade=grade))
        back = min(quantity, order.demand.get(sku, 0) - order.back[sku]) if grade is Grade.SELLABLE else 0
        if back > 0:
            order.back[sku] += back
            self.model.moved[sku] += back
            self.model.set_on_hand(sku, self.model.on_hand[sku] + back)

    @rule(kind=st.sampled_from(AdjustmentKind), sku=skus, quantity=st.integers(0, 6))
    def adjust(self, kind: AdjustmentKind, sku: str, quantity: int) -> None:
        before = self.model.on_hand[sku]
        after = {"count": quantity, "write_off": before - quantity}.get(kind, before + quantity)
        refused = self.play(an_adjustment(kind, (sku, quantity)))
        assert refused == (after < 0)
        if after >= 0:
            self.model.set_on_hand(sku, after)
            if kind in (AdjustmentKind.RECEIPT, AdjustmentKind.WRITE_OFF):
                self.model.moved[sku] += after - before
            elif kind is AdjustmentKind.COUNT:
                self.model.counted.add(sku)

    @rule(sku=skus, quantity=st.integers(0, 6), version=st.integers(1, 6))
    def count_of_long_ago(self, sku: str, quantity: int, version: int) -> None:
        """What was there before all is taken with all that moved since; not an older version, nor behind a person's count."""
        assert not self.play(a_snapshot(quantity, version, BEFORE_ALL, sku=sku))
        if version > self.model.versions[sku] and sku not in self.model.counted:
            self.model.versions[sku] = version
            self.model.set_on_hand(sku, max(0, quantity + self.model.moved[sku]))

    @rule(sku=skus, quantity=quantities, home=st.booleans())
    def ship(self, sku: str, quantity: int, home: bool) -> None:
        """What is free may leave, and is nowhere until it is received."""
        source, destination = ("NGB", "BER") if home else ("BER", "NGB")
        refused = self.play(shipped((sku, quantity), source=source, destination=destination))
        free = self.model.far[sku] if home else self.model.free(sku)
        assert refused == (quantity > free)
        if refused:
            return
        self.model.transfers.append(ModelTransfer(sku, quantity, home))
        if home:
            self.model.far[sku] -= quantity
        else:
            self.model.on_hand[sku] -= quantity
            self.model.moved[sku] -= quantity

    @rule(nth=st.integers(0, 9), received=st.integers(0, 4), damaged=st.integers(0, 2), complete=st.booleans())
    def receive(self, nth: int, received: int, damaged: int, complete: bool) -> None:
        """What came is there, good ones beyond what was shipped too; damaged and missing ones are gone."""
        if nth >= len(self.model.transfers):
            return
        transfer = self.model.transfers[nth]
        found = arrived(transfer.sku, received, damaged)
        transfer_id, _ = self.play.transfers()[nth]
        refused = self.play(a_transfer_receipt(transfer_id, found, complete=complete, reason="a reason"))
        assert refused == (not transfer.open or damaged > transfer.left)
        if refused:
            return
        transfer.left = 0 if complete else max(0, transfer.left - damaged - received)
        transfer.open = transfer.left > 0
        if transfer.home:
            self.model.moved[transfer.sku] += received
            self.model.set_on_hand(transfer.sku, self.model.on_hand[transfer.sku] + received)
        else:
            self.model.far[transfer.sku] += received

    @invariant()
    def transfers_agree(self) -> None:
        assert [left for _, left in self.play.transfers()] == [transfer.left for transfer in self.model.transfers]
        for sku in SKUS:
            assert self.play.level(sku, "NGB") == (self.model.far[sku], 0)

    @invariant()
    def counters_agree(self) -> None:
        for sku in SKUS:
            assert self.play.level(sku) == (self.model.on_hand[sku], self.model.held(sku))

    @invariant()
    def reservations_agree(self) -> None:
        for number, order in self.model.orders.items():
            status = self.play.status(number)
            assert (status in HOLDING) == (order.state == "holds"), number
            assert status is not Status.HELD or not order.paid, "what is paid for would expire"
            assert status is not Status.COMMITTED or order.paid, "what is not paid for would never expire"
            assert (status is Status.WAITING) == (order.state == "waits"), number
            assert (status is Status.CONSUMED) == (order.state == "gone"), number
