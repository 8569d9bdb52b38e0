"""All faults, by what they hit. A module adds its `FAULTS` here."""

from tests.chaos.fault import Fault

FAULTS: tuple[Fault, ...] = ()
