"""What the channels API answers."""

from datetime import datetime

from shared.http import View


class ChannelRefusalOut(View):
    """An order that the channel sold and that could not be taken in. It is read again until it can: `retry_at` is when next."""

    external_id: str
    code: str
    detail: str
    since: datetime
    retry_at: datetime
