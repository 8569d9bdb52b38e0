"""The calls to the outside that logistics makes: their kinds, ids and pauses. No call carries a name or an address.

Every call of a kind has a round; an outcome that stays unknown is asked about in the next round, later each time.
"""

from datetime import datetime, timedelta
from typing import Any

from shared.effects import Answered, Call
from shared.ids import derive_id

RECIPIENT = "orders.recipient"
LABEL = "carrier.label"
FIND_LABEL = "carrier.find"
VOID_LABEL = "carrier.void"
RETURN_LABEL = "carrier.return"
FIND_RETURN_LABEL = "carrier.find_return"

_FIRST_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = timedelta(minutes=2)


def call(
    kind: str, key: str, subject: str, *, round_: int = 1, not_before: datetime | None = None, **more: Any
) -> Call:
    """The call of that kind about `subject` (a parcel's label key, an order, a return), in that round."""
    call_id = derive_id("cal", key, kind, subject, str(round_), *(str(more[name]) for name in sorted(more)))
    return Call(call_id, kind, key, {"subject": subject, "round": round_, **more}, not_before)


def again(answered: Answered, now: datetime, kind: str | None = None) -> Call:
    """The next round after an answer that settled nothing, as another kind if one is given."""
    round_ = int(answered.request["round"])
    pause = min(_FIRST_PAUSE * 2 ** min(round_ - 1, 10), _LONGEST_PAUSE)
    more = {name: value for name, value in answered.request.items() if name not in ("subject", "round")}
    subject = str(answered.request["subject"])
    return call(kind or answered.kind, answered.key, subject, round_=round_ + 1, not_before=now + pause, **more)
