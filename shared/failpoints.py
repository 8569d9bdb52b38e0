"""Places where a test may kill, stop or hold up a process: the crash points of the write path, each with a name.

`FREEPORT_FAILPOINTS="relay.acked=kill@3,events.uncommitted=pause:15"` arms points of this process: the third time that the relay
has its acknowledgements the process kills itself, and the first transaction over events is held up for 15 seconds before
it commits. A point bites once in the life of a process. Where the variable is not set, a constant is looked at and nothing else.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

VARIABLE: Final = "FREEPORT_FAILPOINTS"


class Point(StrEnum):
    """The crash points, in the order in which a message passes them."""

    COMMANDS_UNCOMMITTED = "commands.uncommitted"  # C1: decided and written, not committed
    COMMANDS_COMMITTED = "commands.committed"  # C2: committed, and nobody was answered
    NOT_WOKEN = "desk.not_woken"  # C3: committed, and the relay was not told
    RELAY_READ = "relay.read"  # C4: read from the outbox, not sent
    RELAY_SENT = "relay.sent"  # C5: sent, not acknowledged
    RELAY_ACKED = "relay.acked"  # C6: acknowledged, not marked
    RELAY_MARKED = "relay.marked"  # C7: marked, in one statement, and nothing after it
    CONSUMER_FETCHED = "consumer.fetched"  # C8: fetched, no transaction yet
    EVENTS_UNCOMMITTED = "events.uncommitted"  # C9; C12 when it is held up past the member's session
    EVENTS_COMMITTED = "events.committed"  # C10: committed, the offset not
    CONSUMER_COMMITTING = "consumer.committing"  # C11: on the way to commit the offset
    EVENTS_DRAINED = "events.drained"  # C13: parked events applied and deleted, not committed
    LETTER_WRITTEN = "letter.written"  # C14: a dead letter written, its key halted, not committed
    DEADLINES_UNCOMMITTED = "deadlines.uncommitted"
    DEADLINES_COMMITTED = "deadlines.committed"
    ANSWERS_UNCOMMITTED = "answers.uncommitted"
    ANSWERS_COMMITTED = "answers.committed"


class Spelling(ValueError):
    """The variable names no point, or says nothing that can be done there."""


@dataclass(slots=True)
class Trap:
    """What happens at a point, and how many times it must be reached before."""

    action: str
    seconds: float
    countdown: int

    def sprung(self) -> bool:
        """Count one more arrival. True at the one that it waits for, and never again."""
        self.countdown -= 1
        return self.countdown == 0


_TRAP = re.compile(r"(?P<point>[a-z._]+)=(?P<action>kill|stop|pause)(:(?P<seconds>\d+(\.\d+)?))?(@(?P<nth>[1-9]\d*))?")


def parse(text: str) -> dict[Point, Trap]:
    """The traps that the variable's text sets. Raises Spelling, which tells what can be written."""
    traps: dict[Point, Trap] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _TRAP.fullmatch(entry)
        if match is None or match["point"] not in list(Point):
            raise Spelling(
                f"{VARIABLE}: {entry!r} is not point=kill|stop|pause:SECONDS[@NTH]; the points are {', '.join(Point)}"
            )
        traps[Point(match["point"])] = Trap(match["action"], float(match["seconds"] or 0), int(match["nth"] or 1))
    return traps


_traps: Mapping[Point, Trap] = parse(os.environ.get(VARIABLE, ""))
ARMED: Final = bool(_traps)


def armed(point: Point) -> bool:
    """Whether a trap is set at this point, for what has to be done before it is reached."""
    return point in _traps


def reach(point: Point) -> None:
    """The process is at this point. Guard the call with `ARMED`, so that it costs nothing where no trap is set."""
    trap = _traps.get(point)
    if trap is not None and trap.sprung():
        _bite(point, trap)


def _bite(point: Point, trap: Trap) -> None:
    # Written at once and not through the logger: the next line ends the process.
    sys.stdout.write(orjson.dumps({"event": "failpoint.bit", "point": point, "action": trap.action}).decode() + "\n")
    sys.stdout.flush()
    if trap.action == "pause":
        time.sleep(trap.seconds)  # the loop itself is held up, as by a long collection or a swapped-out machine
        return
    os.kill(os.getpid(), signal.SIGKILL if trap.action == "kill" else signal.SIGSTOP)
