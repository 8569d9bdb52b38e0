"""What a batch of messages touches: the orders it is about with their returns, and its tickets."""

from dataclasses import dataclass, field

from services.support.domain.purchase import Purchase
from services.support.domain.return_policy import ReturnCosts
from services.support.domain.returns import OrderReturns, Return
from services.support.domain.ticket import Ticket, TicketMessage
from shared.errors import Kind, Refusal


@dataclass(slots=True)
class Cases:
    """The working set, and what of it must be saved."""

    costs: ReturnCosts
    purchases: dict[str, Purchase] = field(default_factory=dict[str, Purchase])
    returns: dict[str, Return] = field(default_factory=dict[str, Return])
    tickets: dict[str, Ticket] = field(default_factory=dict[str, Ticket])
    messages: list[TicketMessage] = field(default_factory=list[TicketMessage])
    new: set[str] = field(default_factory=set[str])
    changed: set[str] = field(default_factory=set[str])

    def purchase(self, order_id: str) -> Purchase:
        """The order's copy, begun now where this is the first that is heard of it. It is saved."""
        purchase = self.purchases.get(order_id)
        if purchase is None:
            purchase = self.purchases[order_id] = Purchase(order_id=order_id)
            self.new.add(order_id)
        self.changed.add(order_id)
        return purchase

    def known_purchase(self, order_id: str, store_id: str) -> Purchase | Refusal:
        """The store's order, or that there is none."""
        purchase = self.purchases.get(order_id)
        if purchase is None or not purchase.is_known or purchase.store_id != store_id:
            return Refusal(code="order.not_found", detail=f"there is no order {order_id}", kind=Kind.NOT_FOUND)
        return purchase

    def returns_of(self, order_id: str) -> OrderReturns:
        """All returns of the order."""
        return OrderReturns([each for each in self.returns.values() if each.order_id == order_id])

    def known_return(self, return_id: str, store_id: str) -> Return | Refusal:
        """The store's return, or that there is none."""
        found = self.returns.get(return_id)
        if found is None or found.store_id != store_id:
            return Refusal(code="return.not_found", detail=f"there is no return {return_id}", kind=Kind.NOT_FOUND)
        return found

    def known_ticket(self, ticket_id: str, store_id: str) -> Ticket | Refusal:
        """The store's ticket, or that there is none."""
        found = self.tickets.get(ticket_id)
        if found is None or found.store_id != store_id:
            return Refusal(code="ticket.not_found", detail=f"there is no ticket {ticket_id}", kind=Kind.NOT_FOUND)
        return found

    def add(self, case: Return | Ticket) -> None:
        """A return or ticket that was not there before."""
        if isinstance(case, Return):
            self.returns[case.id] = case
        else:
            self.tickets[case.id] = case
        self.new.add(case.id)

    def touch(self, case: Return | Ticket) -> None:
        """This one has changed and must be saved."""
        self.changed.add(case.id)
