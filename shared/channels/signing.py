"""Messages signed as Standard Webhooks 1.0.0 has it, both ways."""

import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from shared.channels.config import ChannelConfigError
from shared.channels.port import BadSignature

_TOLERANCE = timedelta(minutes=5)  # of Standard Webhooks 1.0.0; the library checks it by the machine's clock
MOST_BODY = 64 * 1024
"""Bytes that a notice may have."""
_NOT_OURS = "the signature is missing, wrong or too old"


class Signer:
    """One secret: `whsec_` and base64. `of` says whose it is where it cannot be read: ChannelConfigError."""

    def __init__(self, secret: SecretStr, of: str) -> None:
        try:
            self._webhook = Webhook(secret.get_secret_value())
        except (binascii.Error, ValueError, EmptyWebhookSecretError):
            raise ChannelConfigError(f"channel {of}: the webhook's secret is not base64") from None

    def headers(self, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
        """What goes with a message: its id, when it was sent, and the signature over both and the raw body."""
        signature = self._webhook.sign(message_id, now, body.decode())
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
        """The id of a message. Raises BadSignature."""
        said = {name.lower(): value for name, value in headers.items()}
        if len(body) > MOST_BODY:
            raise BadSignature(f"a notice has {MOST_BODY} bytes at most")
        try:
            sent_at = float(said.get("webhook-timestamp", ""))
            self._webhook.verify(body, said, json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            raise BadSignature(_NOT_OURS) from error
        if not abs(now.timestamp() - sent_at) <= _TOLERANCE.total_seconds():  # also when it is no number
            raise BadSignature(_NOT_OURS)
        return said["webhook-id"]
