"""The pure domain against the model: reservation, expiry, release, commitment, consumption, restock and adjustment."""

from hypothesis import settings

from services.inventory.domain.reservation import Status
from shared.errors import Refusal
from tests.builders.inventory import Play, some_shelves
from tests.unit.inventory.model import SKUS, InventoryAgainstModel, Stage


class PureStage:
    """The use cases over one working set that lives on."""

    def __init__(self) -> None:
        self._play = Play(some_shelves({"BER": dict.fromkeys(SKUS, 0)}))

    def __call__(self, body: object) -> bool:
        return isinstance(self._play.decide(body), Refusal)

    def level(self, sku: str, warehouse: str = "BER") -> tuple[int, int]:
        return self._play.level(sku, warehouse)

    def transfers(self) -> list[tuple[str, int]]:
        return [(key, transfer.in_transit) for key, transfer in self._play.shelves.transfers.by_id.items()]

    def status(self, number: int) -> Status:
        return self._play.status(number)


class DomainAgainstModel(InventoryAgainstModel):
    def stage(self) -> Stage:
        return PureStage()


TestDomainAgainstModel = DomainAgainstModel.TestCase
TestDomainAgainstModel.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
