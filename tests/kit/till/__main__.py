"""The till as a process: `python -m tests.kit.till api | worker | all | migrate`."""

from shared.runtime import run
from tests.kit.till.main import SERVICE

run(SERVICE)
