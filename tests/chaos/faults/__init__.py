"""All faults, by what they hit. A module adds its `FAULTS` here."""

from tests.chaos.fault import Fault
from tests.chaos.faults import brokers, clients, clock, database, disks, network, process, topics

FAULTS: tuple[Fault, ...] = (
    *process.FAULTS,
    *database.FAULTS,
    *network.FAULTS,
    *clients.FAULTS,
    *clock.FAULTS,
    *brokers.FAULTS,
    *topics.FAULTS,
    *disks.FAULTS,
)
