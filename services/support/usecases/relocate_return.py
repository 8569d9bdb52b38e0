"""Say in which warehouse the goods of a return really are."""

from dataclasses import dataclass

from services.support.domain.cases import Cases
from services.support.domain.return_states import RestockState
from shared.contracts.support import ReturnRelocated
from shared.effects import Decision, Moment, Reply
from shared.errors import Refusal


@dataclass(frozen=True, slots=True)
class RelocateReturn:
    """The goods are in `warehouse`, not where the receipt said."""

    store_id: str
    return_id: str
    warehouse: str


def relocate_return(command: RelocateReturn, cases: Cases, moment: Moment) -> Decision:
    """Only goods that inventory holds: what is on a shelf is moved in inventory, by an adjustment."""
    claim = cases.known_return(command.return_id, command.store_id)
    if isinstance(claim, Refusal):
        return claim
    if claim.restock is not RestockState.HELD:
        return Refusal(
            code="return.not_held",
            detail=f"no goods of the return wait for a warehouse: {claim.restock}",
            clears_with="an adjustment in inventory, where goods are moved between warehouses",
            facts={"return_id": claim.id, "restock": claim.restock},
        )
    claim.relocate(command.warehouse)
    cases.touch(claim)
    relocated = ReturnRelocated(order_id=claim.order_id, return_id=claim.id, warehouse=command.warehouse)
    return [relocated, Reply(claim.document())]
