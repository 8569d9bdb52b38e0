"""Telling an endpoint: the message, its signatures, and what the answer comes to."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from standardwebhooks import Webhook

from services.orders.domain.webhook_book import Attempt
from services.orders.usecases.settle_webhook import WebhookTried
from services.orders.webhook_letters import Letter
from services.orders.webhook_secrets import secret_of
from shared.outbound import Outbound, OutboundFailed

TRY_S = 15.0
_KEEP = 1024
_USER_AGENT = "Freeport-Webhooks/1"
_WAIT_STATUSES = (429, 503)


class Postman:
    """Sends letters. `key` is what the secrets follow from."""

    def __init__(self, out: Outbound, key: bytes) -> None:
        self._out = out
        self._key = key

    async def send(self, letter: Letter) -> WebhookTried:
        """One try, and what came of it: whatever the other side does is an outcome, not an error."""
        at, began = datetime.now(UTC), time.perf_counter()
        status, error, response, retry_after = None, "", "", None
        try:
            answer = await self._out.post(
                letter.url, letter.body, self._headers(letter, at), within_s=TRY_S, keep=_KEEP
            )
            status, error = answer.status, _complaint(answer.status)
            response = answer.body.decode(errors="replace").replace("\0", "\ufffd")
            retry_after = retry_after_of(status, answer.headers, at)
        except OutboundFailed as failed:
            error = failed.code
        attempt = Attempt(
            delivery_id=letter.delivery_id,
            number=letter.number,
            at=at,
            duration_ms=round((time.perf_counter() - began) * 1000),
            status=status,
            error=error,
            response=response,
        )
        return WebhookTried(attempt=attempt, url=letter.url, retry_after=retry_after)

    def _headers(self, letter: Letter, at: datetime) -> dict[str, str]:
        secrets = [secret_of(self._key, letter.endpoint_id, version) for version in letter.secret_versions]
        return {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            "webhook-id": letter.delivery_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signatures(secrets, letter.delivery_id, at, letter.body),
        }


def signatures(secrets: Sequence[str], webhook_id: str, at: datetime, body: bytes) -> str:
    """One signature for each secret, parted by spaces (Standard Webhooks, "signature scheme")."""
    return " ".join(Webhook(secret).sign(webhook_id, at, body.decode()) for secret in secrets)


def retry_after_of(status: int, headers: httpx.Headers, now: datetime) -> timedelta | None:
    """How long the endpoint wants to be left alone: seconds or a date (RFC 9110 section 10.2.3), with 429 and 503 only."""
    wanted = headers.get("retry-after", "").strip()
    if status not in _WAIT_STATUSES or not wanted:
        return None
    if wanted.isascii() and wanted.isdigit():
        return timedelta(seconds=min(int(wanted[:10]), 10**8))
    try:
        until = parsedate_to_datetime(wanted)
    except (ValueError, TypeError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(timedelta(), until - now)


def _complaint(status: int) -> str:
    if 200 <= status < 300:
        return ""
    return "redirect" if 300 <= status < 400 else f"status_{status // 100}xx"
