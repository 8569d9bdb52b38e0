"""What a webhook says, and the letter that carries it."""

from dataclasses import dataclass
from typing import Any

import orjson

from services.orders.domain.timeline import worth_telling
from services.orders.domain.webhook import PING
from shared.database import Row

TOLD = "t.topic, t.sequence, t.at, t.payload"
"""What `body_of_row` needs of the timeline (t), beside a delivery's endpoint_id, event_id, event_type, order_id and made_at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A delivery that was claimed, with all that is needed to send it."""

    delivery_id: str
    number: int
    endpoint_id: str
    url: str
    secret_versions: tuple[int, ...]
    body: bytes


def body_of_row(row: Row) -> bytes:
    """The message: the same bytes at every try. `sequence` is gapless for each `source` and `subject`, over all types."""
    told: dict[str, Any] = {"id": row["event_id"], "type": row["event_type"]}
    if row["event_type"] == PING:
        told |= {"timestamp": row["made_at"], "data": {"endpoint_id": row["endpoint_id"]}}
    else:
        told |= {
            "timestamp": row["at"],
            "source": row["topic"],
            "subject": row["order_id"],
            "sequence": row["sequence"],
            "data": worth_telling(orjson.loads(row["payload"])),
        }
    return orjson.dumps(told, option=orjson.OPT_UTC_Z)
