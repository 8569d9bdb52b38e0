"""What an order holds of the stock, and what every message does to it.

`STEPS` is the whole life of a reservation: each (status, happening) has an answer, also the late and the crossed ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.contracts.values import Allocation

HOLD = timedelta(minutes=30)
"""How long a storefront order keeps its units while the buyer pays."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The `expires_at` of an event about a hold that does not expire."""


class Status(StrEnum):
    """Where a reservation stands. Units are held in `held` and `committed` only."""

    UNSEEN = "unseen"  # we have not heard of the order
    HELD = "held"
    COMMITTED = "committed"  # paid for: expires no more
    WAITING = "waiting"  # sold by a channel already, short: first in line when stock comes
    REFUSED = "refused"
    EXPIRED = "expired"
    BROKEN = "broken"  # counted away
    RELEASED = "released"  # the order ended, nothing is owed
    CONSUMED = "consumed"  # the goods have left


HOLDING = frozenset({Status.HELD, Status.COMMITTED})


class Happening(StrEnum):
    """What can come to a reservation."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    ENDED = "ended"  # rejected or cancelled
    EXPIRY_DUE = "expiry_due"
    DISPATCHED = "dispatched"
    RETURNED = "returned"
    STOCK_CAME = "stock_came"
    COUNTED_SHORT = "counted_short"


class Step(StrEnum):
    """What is done about it."""

    NOTHING = "nothing"
    RESERVE = "reserve"
    RESERVE_FOR_GOOD = "reserve_for_good"  # reserve and commit at once: the order is confirmed, the hold is not there
    COMMIT = "commit"
    RELEASE = "release"
    CLOSE = "close"  # nothing is held: only make sure that nothing will be
    EXPIRE = "expire"
    BREAK = "break"
    CONSUME = "consume"
    SHIP_UNPLANNED = "ship_unplanned"  # it left without a hold: take what is free, remember what may come back
    RESTOCK = "restock"
    CONSUME_AND_RESTOCK = "consume_and_restock"  # a return proves the dispatch, whose event is late


def _row(
    *,
    placed: Step = Step.NOTHING,
    confirmed: Step = Step.NOTHING,
    ended: Step = Step.NOTHING,
    expiry_due: Step = Step.NOTHING,
    dispatched: Step = Step.NOTHING,
    returned: Step = Step.NOTHING,
    stock_came: Step = Step.NOTHING,
    counted_short: Step = Step.NOTHING,
) -> Mapping[Happening, Step]:
    return {
        Happening.PLACED: placed,
        Happening.CONFIRMED: confirmed,
        Happening.ENDED: ended,
        Happening.EXPIRY_DUE: expiry_due,
        Happening.DISPATCHED: dispatched,
        Happening.RETURNED: returned,
        Happening.STOCK_CAME: stock_came,
        Happening.COUNTED_SHORT: counted_short,
    }


_NOTHING_HELD = _row(confirmed=Step.RESERVE_FOR_GOOD, ended=Step.CLOSE, dispatched=Step.SHIP_UNPLANNED)

STEPS: Mapping[Status, Mapping[Happening, Step]] = {
    Status.UNSEEN: _row(
        placed=Step.RESERVE,
        confirmed=Step.RESERVE_FOR_GOOD,
        ended=Step.CLOSE,
        dispatched=Step.SHIP_UNPLANNED,
    ),
    Status.HELD: _row(
        confirmed=Step.COMMIT,
        ended=Step.RELEASE,
        expiry_due=Step.EXPIRE,
        dispatched=Step.CONSUME,
        returned=Step.CONSUME_AND_RESTOCK,
        counted_short=Step.BREAK,
    ),
    Status.COMMITTED: _row(
        ended=Step.RELEASE,
        dispatched=Step.CONSUME,
        returned=Step.CONSUME_AND_RESTOCK,
        counted_short=Step.BREAK,
    ),
    Status.WAITING: _row(
        confirmed=Step.RESERVE_FOR_GOOD,
        ended=Step.RELEASE,
        dispatched=Step.SHIP_UNPLANNED,
        stock_came=Step.RESERVE,
    ),
    Status.REFUSED: _NOTHING_HELD,
    Status.EXPIRED: _NOTHING_HELD,
    Status.BROKEN: _NOTHING_HELD,
    Status.RELEASED: _row(dispatched=Step.SHIP_UNPLANNED),
    Status.CONSUMED: _row(returned=Step.RESTOCK),
}


class IllegalStep(Exception):
    """A step was taken that the table does not allow. It is a bug of ours."""


@dataclass(slots=True)
class Reservation:
    """One order's claim on the stock.

    `demand` is what the order needs, units by SKU, and never changes. `allocations` is the one plan that is checked,
    held, consumed and told to others; after the dispatch it is what left. `changed` and `stored_as` are for the repository.

    The oldest waiting order is served first, the newest hold breaks first. `taken_at` is when the order was taken, by the
    clock of orders: an imported order's id holds no time.
    """

    order_id: str
    store_id: str
    status: Status = Status.UNSEEN
    demand: Mapping[str, int] = field(default_factory=dict[str, int])
    country: str = ""  # where the buyer is
    refusable: bool = True
    confirmed: bool = False
    allocations: tuple[Allocation, ...] = ()
    expires_at: datetime | None = None
    restocked: Mapping[str, int] = field(default_factory=dict[str, int])
    taken_at: datetime = LONG_AGO
    changed: bool = False
    stored_as: Status | None = None

    @property
    def rank(self) -> str:
        """A text that sorts by seniority: the older order first, and orders of one instant by their ids."""
        return f"{self.taken_at.astimezone(UTC):%Y%m%d%H%M%S%f}-{self.order_id}"

    def step(self, happening: Happening) -> Step:
        """What the table says."""
        return STEPS[self.status][happening]

    @property
    def holding(self) -> bool:
        return self.status in HOLDING

    def ask(self, demand: Mapping[str, int], *, country: str, refusable: bool, taken_at: datetime) -> None:
        """Take down what the order needs, once."""
        self._require(Status.UNSEEN)
        self.demand, self.country, self.refusable, self.taken_at = demand, country, refusable, taken_at

    def hold(self, allocations: tuple[Allocation, ...], expires_at: datetime | None) -> None:
        """The plan is held; for good when the order is confirmed."""
        self._require(Status.UNSEEN, Status.WAITING, Status.REFUSED, Status.EXPIRED, Status.BROKEN)
        self.allocations = allocations
        self.expires_at = None if self.confirmed else expires_at
        self._become(Status.COMMITTED if self.confirmed else Status.HELD)

    def miss(self) -> None:
        """There was too little: the order waits when it may not be refused."""
        self._require(Status.UNSEEN, Status.WAITING, Status.REFUSED, Status.EXPIRED, Status.BROKEN)
        self._become(Status.REFUSED if self.refusable else Status.WAITING)

    def confirm(self) -> None:
        """The order is paid for; what it holds expires no more."""
        self.confirmed = True
        self.expires_at = None
        self.changed = True
        if self.status is Status.HELD:
            self._become(Status.COMMITTED)

    def let_go(self, status: Status) -> tuple[Allocation, ...]:
        """End the hold as `status`. Returns exactly what it held, which may be nothing."""
        if self.status is Status.CONSUMED:
            raise IllegalStep(f"the goods of order {self.order_id} have left")
        held = self.allocations
        self.allocations, self.expires_at = (), None
        self._become(status)
        return held

    def consume(self) -> tuple[Allocation, ...]:
        """The goods left the building, as planned. Returns the plan."""
        self._require(Status.HELD, Status.COMMITTED)
        self.expires_at = None
        self._become(Status.CONSUMED)
        return self.allocations

    def ship_unplanned(self, items: tuple[Allocation, ...]) -> None:
        """They left though nothing was held for them."""
        if self.holding:
            raise IllegalStep(f"order {self.order_id} holds stock, so its dispatch is planned")
        self.allocations = items
        self._become(Status.CONSUMED)

    def owed_back(self, sku: str) -> int:
        """How many units that were consumed may still come back on the shelf."""
        consumed = sum(allocation.quantity for allocation in self.allocations if allocation.sku == sku)
        return consumed - self.restocked.get(sku, 0)

    def restock(self, sku: str, quantity: int) -> None:
        """So many came back."""
        self._require(Status.CONSUMED)
        if not 0 < quantity <= self.owed_back(sku):
            raise IllegalStep(f"{quantity} of {sku} are more than order {self.order_id} can return")
        self.restocked = {**self.restocked, sku: self.restocked.get(sku, 0) + quantity}
        self.changed = True

    def _become(self, status: Status) -> None:
        self.changed = self.changed or self.status is not status
        self.status = status

    def _require(self, *allowed: Status) -> None:
        if self.status not in allowed:
            raise IllegalStep(f"order {self.order_id} is {self.status}, not one of {', '.join(allowed)}")
