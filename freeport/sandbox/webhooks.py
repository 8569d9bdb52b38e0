"""Webhooks out, as Standard Webhooks 1.0.0 has them: signed, repeated until heard, lost by no crash.

They are rows of the sandbox's book, written together with what they tell about.
"""

import asyncio
import json
import logging
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks import Webhook

from freeport.sandbox.book import Book

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS webhook (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    created_at REAL NOT NULL,
    due_at REAL,                        -- null when nothing is left to send
    deliveries INTEGER NOT NULL,        -- how often it is to be heard: twice shows who counts double
    delivered INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS webhook_due ON webhook (due_at) WHERE due_at IS NOT NULL;
"""

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_GIVE_UP_AFTER = 500  # attempts: hours of silence at the other side
_AT_ONCE = 16
_IDLE_S = 1.0


def enqueue(
    connection: sqlite3.Connection,
    kind: str,
    data: dict[str, Any],
    *,
    now: float,
    after: float = 0.0,
    deliveries: int = 1,
) -> str:
    """Write a webhook of type `kind` into the book, to be sent `after` seconds from `now`. Returns its id.

    Call it inside a `Book.write`, so that the webhook exists exactly if what it tells about does.
    """
    webhook_id = f"whk_{uuid.uuid4().hex}"
    stamp = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
    body = json.dumps({"type": kind, "timestamp": stamp, "data": data}, separators=(",", ":"))
    connection.execute(
        "INSERT INTO webhook (id, body, created_at, due_at, deliveries) VALUES (?, ?, ?, ?, ?)",
        (webhook_id, body, now, now + after, deliveries),
    )
    return webhook_id


class WebhookSender:
    """Sends what is due to one address, or to the one that `url` tells of a body. Only a 2xx counts as heard; a redirect does not; 410 ends it."""

    def __init__(self, book: Book, *, url: str | Callable[[str], str], secret: str, client: httpx.AsyncClient) -> None:
        self._book = book
        self._url = url
        self._signer = Webhook(secret)
        self._client = client
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something new may be due."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._woken.clear()
            if not await self.send_due():
                await self._pause()

    async def send_due(self) -> int:
        """Try once to send what is due by now. Returns how many were tried."""
        due = self._book.read("SELECT * FROM webhook WHERE due_at <= ? ORDER BY due_at LIMIT ?", _now(), _AT_ONCE)
        if due:
            heard = await asyncio.gather(*(self._send(row["id"], row["body"]) for row in due))
            now = _now()
            await self._book.write(lambda connection: _note(connection, list(zip(due, heard, strict=True)), now))
        return len(due)

    async def send_now(self, webhook_id: str) -> bool:
        """Send one webhook at once, due or not: for webhooks that are to overtake the answer. True when it was heard."""
        rows = self._book.read("SELECT * FROM webhook WHERE id = ?", webhook_id)
        heard = [(row, await self._send(row["id"], row["body"])) for row in rows]
        now = _now()
        await self._book.write(lambda connection: _note(connection, heard, now))
        return all(status is not None and status < 300 for _, status in heard)

    async def _pause(self) -> None:
        next_at = self._book.read("SELECT min(due_at) AS at FROM webhook WHERE due_at IS NOT NULL")[0]["at"]
        pause = _IDLE_S if next_at is None else min(max(next_at - _now(), 0.001), _IDLE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):  # not wait_for, which in Python 3.11 can swallow a cancellation
                await self._woken.wait()

    async def _send(self, webhook_id: str, body: str) -> int | None:
        """The status of the answer, None when there was none."""
        at = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signer.sign(webhook_id, at, body),
        }
        try:
            url = self._url if isinstance(self._url, str) else self._url(body)
            answer = await self._client.post(url, content=body.encode(), headers=headers, follow_redirects=False)
        except httpx.HTTPError as error:
            log.info("webhook %s was not heard: %r", webhook_id, error)
            return None
        return answer.status_code


def _note(connection: sqlite3.Connection, sent: list[tuple[sqlite3.Row, int | None]], now: float) -> None:
    for row, status in sent:
        heard = status is not None and status < 300
        attempts, delivered = row["attempts"] + 1, row["delivered"] + heard
        over = delivered >= row["deliveries"] or status == 410 or attempts >= _GIVE_UP_AFTER
        pause = 0.0 if heard else min(_FIRST_PAUSE_S * 2 ** min(attempts - 1, 10), _LONGEST_PAUSE_S)
        connection.execute(
            "UPDATE webhook SET attempts = ?, delivered = ?, due_at = ? WHERE id = ?",
            (attempts, delivered, None if over else now + pause, row["id"]),
        )


def _now() -> float:
    return datetime.now(UTC).timestamp()
