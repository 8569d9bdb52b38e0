"""Support's own copy of what it must know of an order: what was bought at what price, and what left the building.

The facts come from several topics and so in any order; the copy is the same whichever came first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.support.domain.money_back import KnownRefunds
from shared.contracts.logistics import ShipmentDispatched
from shared.contracts.orders import OrderPlaced
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class BoughtLine:
    """A line of the order; `paid` is for all its units."""

    line: int
    sku: str
    quantity: int
    paid: Money

    def worth_of_first(self, units: int) -> int:
        """What the first `units` of the line cost, in minor units.

        The line's total by largest remainder over equal units: the first ones bear the odd minor units, so that all
        together are exactly what was paid.
        """
        each, odd = divmod(self.paid.amount, self.quantity)
        return each * units + min(units, odd)


@dataclass(slots=True, kw_only=True)
class Purchase:
    """An order as support knows it. Until `placed_at` is there only some later fact has come, and the order is not known yet."""

    order_id: str
    store_id: str = ""
    number: str = ""
    channel: str = ""
    market: str = ""
    destination: str = ""
    placed_at: datetime | None = None
    lines: tuple[BoughtLine, ...] = ()
    total: Money | None = None
    shipped: dict[str, int] = field(default_factory=dict[str, int])
    shipped_from: frozenset[str] = frozenset()
    dispatched_at: datetime | None = None
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None
    refunds: KnownRefunds = field(default_factory=KnownRefunds)

    @property
    def refunded_outside(self) -> int:
        """Minor units of the order's money that are promised or given back without a return."""
        return self.refunds.beside_returns()

    @property
    def is_known(self) -> bool:
        """Whether the order itself has come, not only something about it."""
        return self.total is not None

    @property
    def currency(self) -> str:
        """The order's currency. Raises LookupError while the order is not known."""
        if self.total is None:
            raise LookupError(f"order {self.order_id} has not come yet")
        return self.total.currency

    def place(self, placed: OrderPlaced) -> None:
        """The order came in."""
        self.store_id, self.number, self.channel, self.market = (
            placed.store_id,
            placed.number,
            placed.channel,
            placed.market,
        )
        self.destination, self.placed_at, self.total = placed.destination.country, placed.placed_at, placed.totals.total
        self.lines = tuple(
            BoughtLine(line=line.line, sku=line.sku, quantity=line.quantity, paid=line.total)
            for line in sorted(placed.lines, key=lambda line: line.line)
        )

    def dispatch(self, dispatched: ShipmentDispatched) -> None:
        """A shipment left: its units can come back from now on."""
        for item in dispatched.items:
            self.shipped[item.sku] = self.shipped.get(item.sku, 0) + item.quantity
        self.shipped_from |= {item.country for item in dispatched.items}
        self.dispatched_at = max(self.dispatched_at or dispatched.dispatched_at, dispatched.dispatched_at)

    def bought(self, sku: str) -> int:
        """Units of the SKU over all lines."""
        return sum(line.quantity for line in self.lines if line.sku == sku)

    def worth(self, sku: str, settled: int, units: int) -> Money:
        """What `units` more of the SKU cost after `settled` others, taking the order's lines one after the other."""
        return Money(self._worth_of_first(sku, settled + units) - self._worth_of_first(sku, settled), self.currency)

    def worth_all(self, units: Mapping[str, int], settled: Mapping[str, int]) -> Money:
        """What these units cost in all, after those that are settled already."""
        parts = (self.worth(sku, settled.get(sku, 0), count).amount for sku, count in units.items())
        return Money(sum(parts), self.currency)

    def _worth_of_first(self, sku: str, units: int) -> int:
        amount = 0
        for line in self.lines:
            if line.sku == sku:
                taken = min(units, line.quantity)
                amount += line.worth_of_first(taken)
                units -= taken
        return amount
