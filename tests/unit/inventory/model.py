"""A model of inventory that fits on a page: one warehouse, plain numbers, no batches, no ledger. And the machine that compares.

What is compared with it is a `Stage`: the pure domain, or the service with its real database.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.inventory.domain.adjustment import AdjustmentKind
from services.inventory.domain.reservation import HOLDING, Status
from shared.contracts.values import Grade
from tests.builders.inventory import (
    a_snapshot,
    allocated,
    an_adjustment,
    cancelled,
    confirmed,
    dispatched,
    expiry_of,
    placed,
    rejected,
    returned,
)

SKUS = ("CAP", "MUG")
BEFORE_ALL = datetime(2020, 1, 1, tzinfo=UTC)
orders = st.integers(1, 5)
quantities = st.integers(1, 3)
skus = st.sampled_from(SKUS)


class Stage(Protocol):
    """Something that behaves like inventory, empty at first, with the warehouse BER."""

    def __call__(self, body: object) -> bool:
        """Let a message be decided. Returns whether it was refused."""
        ...

    def level(self, sku: str) -> tuple[int, int]:
        """(on hand, reserved)."""
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
class Model:
    """Units on the shelf; an order holds exactly its demand or nothing."""

    on_hand: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SKUS, 0))
    orders: dict[int, ModelOrder] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SKUS, 0))  # goods that came and left
    counted: set[str] = field(default_factory=set)  # by hand
    versions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SKUS, 0))  # of the warehouse system

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

    def __init__(self) -> None:
        super().__init__()
        self.play = self.stage()
        self.model = Model()

    def stage(self) -> Stage:
        raise NotImplementedError

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
