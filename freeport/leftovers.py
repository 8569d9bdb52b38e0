"""After a kill -9 of the supervisor its programs live on without it: find them and stop them in order.

They are stopped rather than adopted: only their parent learns how a process ended. Nothing is lost by it, since the
database and the broker shut down in order and the services keep nothing in memory that is not committed.
"""

import signal

import psutil

from freeport.layout import Home
from freeport.processes import end_others
from freeport.state import State, read

INFRASTRUCTURE = ("kafka", "postgres")
PATIENCE = 20.0


def stop_leftovers(home: Home) -> list[str]:
    """Stop what an earlier supervisor left running; gives the names. Call it only while owning the directory."""
    state = read(home)
    if state is None:
        return []
    found = _alive(state)
    services = [process for name, process in found.items() if name not in INFRASTRUCTURE]
    end_others(services, by=signal.SIGTERM, patience=PATIENCE)
    end_others([found[name] for name in ("kafka",) if name in found], by=signal.SIGTERM, patience=PATIENCE)
    end_others([found[name] for name in ("postgres",) if name in found], by=signal.SIGINT, patience=PATIENCE)
    return list(found)


def _alive(state: State) -> dict[str, psutil.Process]:
    known = {name: program.process for name, program in state.programs.items() if program.process is not None}
    return {name: process for name, known_id in known.items() if (process := known_id.process()) is not None}
