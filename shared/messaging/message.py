"""What a use case decides, with what the shell knows about it."""

from dataclasses import dataclass
from typing import Any

from shared.effects import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event from Kafka, a command from HTTP, a deadline that came or the answer to a call.

    `body` is what the use case gets: the contract's dataclass, the command, `Due` or `Answered`; None for an event of a
    type that this version does not know. The fields after `moment` are filled for events only.
    """

    body: Any
    moment: Moment
    type: str = ""
    topic: str = ""
    key: str = ""
    sequence: int = 0
    causation_id: str = ""
    payload: bytes = b""
