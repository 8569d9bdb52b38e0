"""All faults, by what they hit. A module adds its `FAULTS` here."""

from tests.chaos.fault import Fault
from tests.chaos.faults import clients, database, network, process

FAULTS: tuple[Fault, ...] = (*process.FAULTS, *database.FAULTS, *network.FAULTS, *clients.FAULTS)
